//! What `cargo xtask dist` makes, used as those do who get it: the package for Debian is installed, started, used, upgraded
//! and purged on a machine that is gone afterwards.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "packages/machine.rs"]
mod machine;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use machine::Machine;
use rustix::process::Signal;
use tempfile::TempDir;
use watertight_testkit::{Program, eventually};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

/// Packing takes some seconds; a machine that does much else takes longer.
const AMPLE: Duration = Duration::from_secs(300);

const CONFIGURATION: &str = "etc/watertight/hub.toml";

/// The release, with the binary that is tested.
fn dist(into: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--quiet", "--package", "xtask", "--", "dist", "--binary", WATERTIGHT, "--into"]);
    command.arg(into).current_dir(root).env("SOURCE_DATE_EPOCH", "1700000000");
    Program::spawn(command).finish(AMPLE);
    fs::read_to_string(into.join("SHA256SUMS")).unwrap()
}

/// The release, once for all tests; it lies in cargo's folder for what tests write.
fn release() -> &'static Path {
    static RELEASE: OnceLock<PathBuf> = OnceLock::new();
    RELEASE.get_or_init(|| {
        let into = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dist");
        dist(&into);
        into
    })
}

fn file_ending(with: &str) -> PathBuf {
    let mut files = fs::read_dir(release()).unwrap().map(|entry| entry.unwrap().path());
    files.find(|file| file.to_str().unwrap().ends_with(with)).unwrap_or_else(|| panic!("no {with}"))
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The package once more, of a later version and with another default configuration.
fn later(into: &Path) {
    let tree = into.join("tree");
    let path = tree.to_str().unwrap();
    run("dpkg-deb", &["--raw-extract", file_ending(".deb").to_str().unwrap(), path]);
    let control = tree.join("DEBIAN/control");
    let text = fs::read_to_string(&control).unwrap();
    let version = text.lines().find(|line| line.starts_with("Version: ")).unwrap();
    fs::write(&control, text.replace(version, "Version: 99.0")).unwrap();
    fs::write(tree.join(CONFIGURATION), "max_sessions = 99\n").unwrap();
    run("dpkg-deb", &["-Znone", "--build", path, into.join("later.deb").to_str().unwrap()]);
    fs::remove_dir_all(tree).unwrap();
}

/// Starts the hub as its unit says: the command, the user, and the credential.
fn start(machine: &Machine) -> Program {
    let unit = machine.read("usr/lib/systemd/system/watertight.service");
    let value = |key: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("the unit has no {key}"))
    };
    let (user, credential) = (value("User"), value("LoadCredential").split_once(':').unwrap());
    machine.run(&[
        "install",
        "-D",
        "-m400",
        "-o",
        user,
        credential.1,
        &format!("/run/credentials/{}", credential.0),
    ]);
    let command = value("ExecStart").replace("${CREDENTIALS_DIRECTORY}", "/run/credentials");
    let as_user = ["setpriv", "--reuid", user, "--regid", value("Group"), "--clear-groups", "--no-new-privs"];
    let words: Vec<&str> = as_user.into_iter().chain(command.split(' ')).collect();
    let mut hub = Program::spawn(machine.command(&words));
    eventually!(hub.ended().is_some() || hub.text().contains("listening on"));
    assert!(hub.ended().is_none(), "{}{}", hub.text(), hub.errors());
    hub
}

/// Publishes a line and reads it back, with the programs that the package has installed.
fn use_it(machine: &Machine, url: &str, line: &str) {
    let mut publish = Program::spawn(machine.command(&["watertight", "publish", "demo", "--url", url]));
    publish.input(format!("{line}\n"));
    publish.close_input();
    publish.finish(AMPLE);
    let read = ["watertight", "tail", "demo", "--url", url, "--replay", "1", "--count", "1", "--quiet"];
    assert_eq!(machine.run(&read), format!("{line}\n"));
}

fn stop(mut hub: Program) {
    hub.signal(Signal::TERM);
    assert!(hub.wait(AMPLE).success(), "{}", hub.errors());
}

#[test]
fn the_debian_package_is_installed_used_upgraded_and_purged_and_leaves_what_policy_keeps() {
    let packages = TempDir::new().unwrap();
    fs::copy(file_ending(".deb"), packages.path().join("first.deb")).unwrap();
    later(packages.path());
    let machine = Machine::start(packages.path());
    assert!(!machine.has("usr/bin/watertight") && !machine.has("etc/watertight"), "it is installed here");

    machine.run(&["dpkg", "--install", "/run/packages/first.deb"]);
    assert_eq!(machine.run(&["dpkg", "--verify", "watertight"]), "", "all files are as they were packed");
    let wanted = "etc/systemd/system/multi-user.target.wants/watertight.service";
    assert!(machine.has(wanted), "it starts with the machine");
    assert_eq!(machine.asked(), ["start watertight.service"]);
    assert!(machine.run(&["getent", "passwd", "watertight"]).trim().ends_with(":/usr/sbin/nologin"));
    let unit = "/usr/lib/systemd/system/watertight.service";
    assert!(!machine.run(&["systemd-analyze", "verify", unit]).contains("watertight.service:"));
    assert!(machine.run(&["man", "--where", "watertight-serve"]).contains("watertight-serve.1.gz"));
    let mode = machine.run(&["stat", "--format=%a %U", &format!("/{CONFIGURATION}")]);
    assert_eq!(mode, "640 root\n", "it may hold secrets");

    let hub = start(&machine);
    use_it(&machine, "http://127.0.0.1:8080", "before");
    stop(hub);
    machine.write(CONFIGURATION, "listen = \"127.0.0.1:8099\"\n");

    machine.run(&["dpkg", "--force-confdef", "--install", "/run/packages/later.deb"]);
    assert!(machine.run(&["dpkg-query", "--show", "watertight"]).ends_with("\t99.0\n"));
    assert_eq!(machine.asked(), ["restart watertight.service"]);
    assert_eq!(machine.read(CONFIGURATION), "listen = \"127.0.0.1:8099\"\n", "the administrator's");
    let hub = start(&machine);
    use_it(&machine, "http://127.0.0.1:8099", "after");
    stop(hub);

    machine.run(&["dpkg", "--remove", "watertight"]);
    assert_eq!(machine.asked(), ["stop watertight.service"]);
    assert!(!machine.has("usr/bin/watertight") && machine.has(CONFIGURATION));
    machine.run(&["dpkg", "--purge", "watertight"]);
    assert!(!machine.has("etc/watertight") && !machine.has(wanted));
    // Caches and logs of other programs, and the user: its files, if it has any, must not become another's.
    let kept = [
        "etc/passwd",
        "etc/shadow",
        "etc/group",
        "etc/gshadow",
        "etc/.pwd.lock",
        "var/lib/dpkg/",
        "var/log/",
        "var/cache/",
    ];
    let left: Vec<String> = machine
        .changed()
        .into_iter()
        .filter(|file| !kept.iter().any(|kept| file.starts_with(kept)))
        .collect();
    assert_eq!(left, [""; 0]);
    assert!(machine.run(&["getent", "passwd", "watertight"]).starts_with("watertight:"));
}

/// What is different on purpose is written down in the package, with the reason.
#[test]
fn debians_own_checker_finds_nothing_in_the_package() {
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0"]);
    lintian.arg(file_ending(".deb"));
    let mut lintian = Program::spawn(lintian);
    let status = lintian.wait(AMPLE);
    assert!(status.success() && lintian.text().is_empty(), "{}{}", lintian.text(), lintian.errors());
}

#[test]
fn the_same_binary_makes_the_same_files_byte_for_byte() {
    let again = TempDir::new().unwrap();
    let sums = dist(&again.path().join("dist"));
    assert_eq!(sums, fs::read_to_string(release().join("SHA256SUMS")).unwrap());
    assert_eq!(sums.lines().count(), 4, "archive, package, chart, list: {sums}");
}

#[test]
fn the_checksums_are_of_all_files_and_the_archive_has_a_binary_that_runs() {
    let said =
        Command::new("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(release()).output().unwrap();
    assert!(said.status.success(), "{said:?}");
    let files = fs::read_dir(release()).unwrap().count();
    assert_eq!(String::from_utf8(said.stdout).unwrap().matches(": OK").count() + 1, files);
    let dir = TempDir::new().unwrap();
    let archive = file_ending(".tar.gz");
    run(
        "tar",
        &["-xf", archive.to_str().unwrap(), "-C", dir.path().to_str().unwrap(), "--strip-components=1"],
    );
    let binary = dir.path().join("watertight");
    assert!(run(binary.to_str().unwrap(), &["--version"]).starts_with("watertight "));
    assert!(
        !run("readelf", &["--sections", "--wide", binary.to_str().unwrap()]).contains(".symtab"),
        "stripped"
    );
    for file in [
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "deploy/hub.toml",
        "share/man1/watertight.1",
        "share/zsh/_watertight",
    ] {
        assert!(dir.path().join(file).exists(), "{file}");
    }
}

#[test]
fn a_folder_that_holds_something_else_is_not_emptied() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("letters"), "dear").unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--quiet", "--package", "xtask", "--", "dist", "--binary", WATERTIGHT, "--into"]);
    let said = command.arg(dir.path()).current_dir(root).output().unwrap();
    assert!(!said.status.success(), "{said:?}");
    assert_eq!(fs::read_to_string(dir.path().join("letters")).unwrap(), "dear");
}

/// Each line that is commented out is a setting, and says the default.
#[test]
fn the_configuration_that_is_installed_changes_nothing_and_can_be_uncommented_line_by_line() {
    let text = include_str!("../../../deploy/hub.toml");
    let dir = TempDir::new().unwrap();
    let check = |text: &str| {
        let file = dir.path().join("hub.toml");
        fs::write(&file, text).unwrap();
        let report = run(WATERTIGHT, &["check", file.to_str().unwrap()]);
        let values = report.lines().map(|line| line.split("  # ").next().unwrap().trim_end().to_owned());
        values.collect::<Vec<String>>()
    };
    let is_setting = |line: &str| {
        line.starts_with('#') && line[1..].starts_with(char::is_lowercase) && line.contains(" = ")
    };
    let uncommented: Vec<&str> =
        text.lines().filter(|line| is_setting(line)).map(|line| &line[1..]).collect();
    assert!(uncommented.len() > 5, "{uncommented:?}");
    let defaults = check(text);
    assert_eq!(check(""), defaults);
    assert_eq!(check(&uncommented.join("\n")), defaults);
}
