//! The package for Debian: a tree as it is installed, its control files, and `dpkg-deb`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::pages::Pages;
use super::{Release, copy, empty, entries, output, read, write};
use crate::step::{self, Outcome, root};

/// The file that an administrator changes and an upgrade keeps.
const CONFIGURATION: &str = "etc/watertight/hub.toml";

const DESCRIPTION: &str = "\
hub for Server-Sent Events that cannot leak
 Publishers send events to sessions by HTTP, and any number of subscribers
 read them as they come, by Server-Sent Events or long-poll. A subscriber
 that was away resumes where it was. Memory has a bound, no event is lost
 without saying so, and everything that a connection held is given back.";

pub(super) fn package(release: &Release, pages: &Pages) -> Outcome {
    let tree = release.work.join("debian");
    empty(&tree)?;
    copy(&release.binary, &tree.join("usr/bin/watertight"))?;
    copy(&root().join("deploy/hub.toml"), &tree.join(CONFIGURATION))?;
    copy(&root().join("deploy/debian/sysusers.conf"), &tree.join("usr/lib/sysusers.d/watertight.conf"))?;
    units(&tree)?;
    pages.install_completions(&tree)?;
    documents(release, &tree, pages)?;
    control(release, &tree)?;
    permissions(&tree)?;
    build(release, &tree)
}

/// The units, for a binary in `/usr/bin` and a user that is there before the hub is started.
fn units(tree: &Path) -> Outcome {
    let folder = tree.join("usr/lib/systemd/system");
    write(&folder.join("watertight.service"), &packaged(&read(&root().join("deploy/watertight.service"))?)?)?;
    let socket = root().join("deploy/watertight.socket");
    if socket.exists() {
        write(&folder.join("watertight.socket"), &without_title(&read(&socket)?))?;
    }
    Ok(())
}

fn packaged(unit: &str) -> Result<String, String> {
    let changes = [
        ("/usr/local/bin/watertight", "/usr/bin/watertight"),
        ("DynamicUser=yes", "User=watertight\nGroup=watertight"),
    ];
    let mut packaged = without_title(unit);
    for (from, to) in changes {
        if !packaged.contains(from) {
            return Err(format!("watertight.service does not have {from}"));
        }
        packaged = packaged.replace(from, to);
    }
    Ok(packaged)
}

/// Without the comment at the top, which says how a unit is installed by hand.
fn without_title(unit: &str) -> String {
    unit.lines().skip_while(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

fn documents(release: &Release, tree: &Path, pages: &Pages) -> Outcome {
    let about = tree.join("usr/share/doc/watertight");
    copy(&root().join("deploy/debian/copyright"), &about.join("copyright"))?;
    copy(&root().join("CHANGELOG.md"), &about.join("CHANGELOG.md"))?;
    write(&about.join("changelog"), &changelog(release)?)?;
    copy(
        &root().join("deploy/debian/lintian-overrides"),
        &tree.join("usr/share/lintian/overrides/watertight"),
    )?;
    let mut packed = vec![about.join("changelog"), about.join("CHANGELOG.md")];
    for page in pages.manuals()? {
        let name = page.file_name().ok_or_else(|| format!("{} is no page", page.display()))?;
        let installed = tree.join("usr/share/man/man1").join(name);
        copy(&page, &installed)?;
        packed.push(installed);
    }
    output(Command::new("gzip").args(["--best", "--no-name"]).args(packed)).map(|_| ())
}

/// In Debian's form, for its programs; the one for people lies beside it.
fn changelog(release: &Release) -> Result<String, String> {
    let when = output(
        Command::new("date").args(["--utc", "--rfc-email", "--date"]).arg(format!("@{}", release.epoch)),
    )?;
    Ok(format!(
        "watertight ({}) unstable; urgency=medium\n\n  * What is new stands in CHANGELOG.md.gz.\n\n -- {}  {when}",
        version(release),
        maintainer(),
    ))
}

/// A release candidate comes before the release.
fn version(release: &Release) -> String {
    release.version.replace('-', "~")
}

fn maintainer() -> String {
    let who = |name: &str, otherwise: &str| std::env::var(name).unwrap_or_else(|_| otherwise.to_owned());
    let name = who("DEBFULLNAME", "The Watertight authors");
    format!("{name} <{}>", who("DEBEMAIL", "watertight-sse@users.noreply.github.com"))
}

fn control(release: &Release, tree: &Path) -> Outcome {
    let control = tree.join("DEBIAN");
    for script in ["postinst", "prerm", "postrm"] {
        copy(&root().join("deploy/debian").join(script), &control.join(script))?;
    }
    write(&control.join("conffiles"), &format!("/{CONFIGURATION}\n"))?;
    let mut files = files_of(tree)?;
    files.retain(|file| !file.starts_with(&control));
    files.sort();
    let names: Vec<&Path> = files.iter().filter_map(|file| file.strip_prefix(tree).ok()).collect();
    let sums = output(Command::new("md5sum").args(names).current_dir(tree))?;
    write(&control.join("md5sums"), &sums)?;
    let bytes = files.iter().filter_map(|file| fs::metadata(file).ok()).map(|file| file.len()).sum::<u64>();
    let text = format!(
        "Package: watertight\nVersion: {}\nArchitecture: {}\nMaintainer: {}\nInstalled-Size: {}\n\
         Depends: {}, systemd | systemd-standalone-sysusers\nSection: net\nPriority: optional\n\
         Homepage: https://github.com/watertight-sse/watertight\nDescription: {DESCRIPTION}\n",
        version(release),
        output(Command::new("dpkg").arg("--print-architecture"))?.trim(),
        maintainer(),
        bytes.div_ceil(1024),
        libraries(release)?,
    );
    write(&control.join("control"), &text)
}

/// The packages with the libraries that the binary is linked to, in the versions that it needs.
fn libraries(release: &Release) -> Result<String, String> {
    let folder = release.work.join("shlibdeps");
    // It wants to know what package it is for.
    write(&folder.join("debian/control"), "Source: watertight\n\nPackage: watertight\nArchitecture: any\n")?;
    let said = output(Command::new("dpkg-shlibdeps").arg("-O").arg(&release.binary).current_dir(folder))?;
    let needed = said.trim().strip_prefix("shlibs:Depends=");
    needed.map(str::to_owned).ok_or_else(|| format!("dpkg-shlibdeps does not say what is needed: {said}"))
}

/// Readable by all, but for the configuration, which may hold secrets.
fn permissions(tree: &Path) -> Outcome {
    output(Command::new("chmod").args(["-R", "u=rwX,go=rX"]).arg(tree))?;
    let secret = fs::Permissions::from_mode(0o640);
    fs::set_permissions(tree.join(CONFIGURATION), secret).map_err(|error| format!("{CONFIGURATION}: {error}"))
}

fn build(release: &Release, tree: &Path) -> Outcome {
    let mut build = Command::new("dpkg-deb");
    build
        .args(["--root-owner-group", "-Zxz", "--build"])
        .arg(tree)
        .arg(&release.into)
        .env("SOURCE_DATE_EPOCH", &release.epoch);
    step::run("package for Debian", build)
}

fn files_of(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for path in entries(folder)? {
        if path.is_dir() { files.extend(files_of(&path)?) } else { files.push(path) }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_no_longer_has_what_the_package_changes_is_refused() {
        let unit = "# Install it.\n[Service]\nExecStart=/usr/local/bin/watertight serve\nDynamicUser=yes\n";
        let wanted = "[Service]\nExecStart=/usr/bin/watertight serve\nUser=watertight\nGroup=watertight\n";
        assert_eq!(packaged(unit).unwrap(), wanted);
        assert!(packaged(&unit.replace("DynamicUser=yes\n", "")).unwrap_err().contains("DynamicUser"));
    }
}
