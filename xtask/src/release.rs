//! `cargo xtask dist`: everything that a release consists of, in `target/dist`.
//!
//! Made from the same sources and the same `SOURCE_DATE_EPOCH` (the last commit's time, if it is not set), all files are
//! the same byte for byte.

mod archive;
mod debian;
mod pages;
pub(crate) mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::dependencies;
use crate::step::{self, Outcome, cargo, root, target_dir};

/// What it is made from, and where it goes.
pub(crate) struct Release {
    version: String,
    /// The machine the binary is for, as Rust names it: `x86_64-unknown-linux-gnu`.
    target: String,
    /// Seconds since 1970: the time that all files have.
    epoch: String,
    /// The binary, without symbols.
    binary: PathBuf,
    /// Holds what the packages are put together from; emptied at the start.
    work: PathBuf,
    /// Holds what is released; emptied at the start.
    into: PathBuf,
}

/// The options; each has a value.
struct Options {
    /// A binary that is built already; without one, the release build is made.
    binary: Option<PathBuf>,
    into: PathBuf,
    /// The version of the packages, if it is not the workspace's.
    version: Option<String>,
}

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self, String> {
        let mut options = Self { binary: None, into: target_dir().join("dist"), version: None };
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            let value = rest.next().ok_or_else(|| format!("{name} needs a value"))?;
            match *name {
                "--binary" => options.binary = Some(absolute(value)?),
                "--into" => options.into = absolute(value)?,
                "--version" => options.version = Some((*value).to_owned()),
                _ => return Err(format!("dist has no option {name}: --binary, --into, --version")),
            }
        }
        Ok(options)
    }
}

pub(crate) fn run(arguments: &[&str]) -> Outcome {
    let options = Options::parse(arguments)?;
    let built = match options.binary {
        Some(binary) => binary,
        None => build()?,
    };
    let sums = options.into.join("SHA256SUMS");
    if entries(&options.into).is_ok_and(|entries| !entries.is_empty()) && !sums.exists() {
        return Err(format!(
            "{} holds something else than a release: it is not emptied",
            options.into.display()
        ));
    }
    let work = PathBuf::from(format!("{}.work", options.into.display()));
    for folder in [&options.into, &work] {
        empty(folder)?;
    }
    let release = Release {
        version: options.version.map_or_else(version, Ok)?,
        target: target()?,
        epoch: epoch()?,
        binary: work.join("watertight"),
        work,
        into: options.into,
    };
    let mut strip = Command::new("strip");
    strip.arg("--strip-all").arg("-o").arg(&release.binary).arg(&built);
    step::run("strip the binary", strip)?;
    println!("xtask: manual pages and completions");
    let pages = pages::make(&release)?;
    archive::binary(&release, &pages)?;
    debian::package(&release, &pages)?;
    archive::chart(&release)?;
    println!("xtask: list of what the binary is made of");
    let bill = format!("watertight-{}.cdx.json", release.version);
    dependencies::list_into(&release.into.join(bill))?;
    checksums(&release)?;
    fs::remove_dir_all(&release.work).map_err(|error| format!("{}: {error}", release.work.display()))?;
    println!("xtask: everything is in {}", release.into.display());
    Ok(())
}

/// Commands run in the project's root, wherever we were started.
fn absolute(path: &str) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| format!("{path}: {error}"))
}

/// A build apart from `target/release`: paths of this machine are kept out of it, and with these flags the whole is
/// compiled anew.
fn build() -> Result<PathBuf, String> {
    let folder = target_dir().join("dist-build");
    let mut build = cargo(&["build", "--release", "--locked", "--package", "watertight-cli", "--target-dir"]);
    let home = std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|home| home + "/.cargo"));
    let home = home.map_err(|_| "neither CARGO_HOME nor HOME is set")?;
    let hidden = [(home.as_str(), "/cargo"), (&root().display().to_string(), "/watertight")]
        .map(|(path, name)| format!("--remap-path-prefix={path}={name}"));
    build.arg(&folder).env("CARGO_ENCODED_RUSTFLAGS", hidden.join("\u{1f}"));
    step::run("release build", build)?;
    Ok(folder.join("release/watertight"))
}

/// The workspace's version.
fn version() -> Result<String, String> {
    let manifest = read(&root().join("Cargo.toml"))?;
    let line = manifest.lines().find_map(|line| line.strip_prefix("version = "));
    line.map(|version| version.trim_matches('"').to_owned())
        .ok_or_else(|| "Cargo.toml has no version".to_owned())
}

fn target() -> Result<String, String> {
    let said = output(Command::new("rustc").arg("-vV"))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| format!("rustc does not say for what it builds: {said}"))
}

fn epoch() -> Result<String, String> {
    if let Ok(epoch) = std::env::var("SOURCE_DATE_EPOCH") {
        return Ok(epoch);
    }
    let said = output(Command::new("git").args(["log", "-1", "--format=%ct"]))
        .map_err(|error| format!("{error}: without git, set SOURCE_DATE_EPOCH"))?;
    Ok(said.trim().to_owned())
}

/// What `sha256sum --check` reads.
fn checksums(release: &Release) -> Outcome {
    println!("xtask: checksums");
    let mut names: Vec<_> =
        entries(&release.into)?.iter().filter_map(|it| it.file_name().map(ToOwned::to_owned)).collect();
    names.sort();
    let sums = output(Command::new("sha256sum").args(names).current_dir(&release.into))?;
    write(&release.into.join("SHA256SUMS"), &sums)
}

/// What a command prints.
fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    if command.get_current_dir().is_none() {
        command.current_dir(root());
    }
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "{name} failed ({}): {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("{name}: {error}"))
}

fn empty(folder: &Path) -> Outcome {
    let cleared = match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        cleared => cleared,
    };
    cleared
        .and_then(|()| fs::create_dir_all(folder))
        .map_err(|error| format!("{}: {error}", folder.display()))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let wrong = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::read_dir(folder).map_err(wrong)?.map(|entry| entry.map(|entry| entry.path()).map_err(wrong)).collect()
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

/// Writes a file, in a folder that is made if it is not there.
fn write(file: &Path, text: &str) -> Outcome {
    let folder = file.parent().unwrap_or(file);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(file, text))
        .map_err(|error| format!("{}: {error}", file.display()))
}

/// Copies a file into a folder that is made if it is not there.
fn copy(from: &Path, to: &Path) -> Outcome {
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder)
        .and_then(|()| fs::copy(from, to))
        .map(|_| ())
        .map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))
}
