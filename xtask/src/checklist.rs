//! `cargo xtask release VERSION`: what must hold before a release, looked at in order, and what is left to do by hand.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::book;
use crate::dependencies;
use crate::step::{self, Outcome, cargo, root};

/// Packages that have a version of their own file, beside the workspace's.
const PACKAGES: [(&str, &str); 2] =
    [("clients/typescript/package.json", "/version"), ("clients/typescript/jsr.json", "/version")];

/// Files, and the version that each has in it.
type Versions = Vec<(String, String)>;

/// Looks at everything; with `--files` only at what the files say, with `--yes` it also sets the tag.
pub(crate) fn run(arguments: &[&str]) -> Outcome {
    let usage = "cargo xtask release VERSION [--files | --yes]";
    let (version, rest) = arguments.split_first().ok_or(usage)?;
    let (only_files, may_tag) = match rest {
        [] => (false, false),
        ["--files"] => (true, false),
        ["--yes"] => (false, true),
        _ => return Err(usage.to_owned()),
    };
    let mut wrong = Vec::new();
    match files() {
        Ok((workspace, packages, changelog)) => look(version, &workspace, &packages, &changelog, &mut wrong),
        Err(error) => wrong.push(error),
    }
    if !only_files {
        wrong.extend(tree(version).err());
    }
    if !wrong.is_empty() {
        return Err(format!("not ready for {version}:\n  {}", wrong.join("\n  ")));
    }
    println!("xtask: the files are those of {version}");
    if only_files {
        return Ok(());
    }
    dependencies::check()?;
    book::run()?;
    step::run(
        "documents",
        cargo(&["test", "--package", "watertight-cli", "--all-features", "--test", "document_blocks"]),
    )?;
    if may_tag {
        let tag = format!("v{version}");
        let mut command = Command::new("git");
        command.args(["tag", "--annotate", &tag, "--message", &format!("Watertight {version}")]);
        step::run(&format!("tag {tag}"), command)?;
    }
    println!("{}", by_hand(version, may_tag));
    Ok(())
}

/// What a program cannot or should not do.
fn by_hand(version: &str, is_tagged: bool) -> String {
    let tag = if is_tagged { "" } else { "  git tag: the same command with --yes sets it, here only\n" };
    format!(
        "\nLeft to do by hand:\n  cargo xtask test, on a machine that does nothing else\n  cargo xtask bench: compare with \
         docs/benchmarks.md\n  cargo xtask soak, cargo xtask fuzz 600\n{tag}  git push origin v{version}: the workflow \
         `Release` tests and builds it, and drafts the release\n  read the draft, install what is attached, publish it\n  \
         cargo publish and npm publish, in the order in which the packages need each other\n  a new `## [Unreleased]` in \
         CHANGELOG.md"
    )
}

/// The workspace's version, those of the packages, and the changelog.
fn files() -> Result<(String, Versions, String), String> {
    let read = |file: &str| fs::read_to_string(root().join(file)).map_err(|error| format!("{file}: {error}"));
    let mut packages = Versions::new();
    for (file, pointer) in PACKAGES {
        let json: Value = serde_json::from_str(&read(file)?).map_err(|error| format!("{file}: {error}"))?;
        let version = json.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        packages.push((file.to_owned(), version.to_owned()));
    }
    Ok((read("Cargo.toml")?, packages, read("CHANGELOG.md")?))
}

/// What the files say that does not fit `version`.
fn look(
    version: &str,
    workspace: &str,
    packages: &[(String, String)],
    changes: &str,
    wrong: &mut Vec<String>,
) {
    let mut parts = version.split('.');
    let is_number = |part: Option<&str>| part.is_some_and(|part| part.parse::<u32>().is_ok());
    if !(0..3).all(|_| is_number(parts.next())) || parts.next().is_some() {
        wrong.push(format!("{version:?} is no version: three numbers, as 1.2.3"));
    }
    // The workspace's own, and that of each of its crates among the dependencies.
    for line in
        workspace.lines().filter(|line| line.starts_with("version =") || line.starts_with("watertight"))
    {
        let written = line.split("version = \"").nth(1).and_then(|rest| rest.split('"').next());
        if let Some(written) = written.filter(|written| *written != version) {
            wrong.push(format!("Cargo.toml says {written}: {line}"));
        }
    }
    for (file, written) in packages.iter().filter(|(_, written)| written != version) {
        wrong.push(format!("{file} says {written:?}"));
    }
    let heading = format!("\n## [{version}] - ");
    match changes.split_once(&heading).map(|(_, rest)| rest) {
        None => wrong.push(format!("CHANGELOG.md has no section `## [{version}] - YYYY-MM-DD`")),
        Some(rest) => {
            let section = rest.split("\n## ").next().unwrap_or_default();
            if !section.contains("\n- ") {
                wrong.push(format!("CHANGELOG.md says nothing of {version}"));
            }
        }
    }
}

/// Whether all is committed, and the tag is free.
fn tree(version: &str) -> Outcome {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(root()).output();
        let output = output.map_err(|error| format!("git: {error}"))?;
        if !output.status.success() {
            return Err(format!("git {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let changed = git(&["status", "--porcelain"])?;
    if !changed.is_empty() {
        return Err(format!("not everything is committed:\n{changed}"));
    }
    let tags = git(&["tag", "--list", &format!("v{version}")])?;
    if tags.is_empty() { Ok(()) } else { Err(format!("the tag {tags} is there already")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKSPACE: &str = "[workspace.package]\nversion = \"1.2.3\"\nrust-version = \"1.95\"\n[workspace.dependencies]\n\
         watertight = { path = \"crates/watertight\", version = \"1.2.3\" }\naxum = { version = \"0.8\" }\n";
    const CHANGES: &str =
        "# Changelog\n\n## [1.2.3] - 2026-11-27\n\n### Added\n\n- Something.\n\n## [1.2.2] - 2026-10-01\n";

    fn wrong(version: &str, workspace: &str, package: &str, changes: &str) -> Vec<String> {
        let (mut wrong, packages) = (Vec::new(), [("package.json".to_owned(), package.to_owned())]);
        look(version, workspace, &packages, changes, &mut wrong);
        wrong
    }

    #[test]
    fn a_release_is_ready_when_every_file_has_its_version_and_the_changelog_tells_of_it() {
        assert_eq!(wrong("1.2.3", WORKSPACE, "1.2.3", CHANGES), Vec::<String>::new());
        let of_crate =
            WORKSPACE.replace("watertight\", version = \"1.2.3\"", "watertight\", version = \"1.2.2\"");
        for (workspace, package, changes) in [
            (of_crate.as_str(), "1.2.3", CHANGES),
            (WORKSPACE, "1.2.2", CHANGES),
            (WORKSPACE, "1.2.3", "# Changelog\n\n## [Unreleased]\n\n- Something.\n"),
            (
                WORKSPACE,
                "1.2.3",
                "# Changelog\n\n## [1.2.3] - 2026-11-27\n\n## [1.2.2] - 2026-10-01\n\n- Old.\n",
            ),
        ] {
            assert_eq!(wrong("1.2.3", workspace, package, changes).len(), 1, "{workspace}{package}{changes}");
        }
        for version in ["1.2", "v1.2.3", "1.2.3.4", "1.2.x"] {
            assert!(wrong(version, WORKSPACE, "1.2.3", CHANGES)[0].contains("three numbers"), "{version}");
        }
    }

    #[test]
    fn all_files_have_one_version_now() {
        let (workspace, packages, _) = files().unwrap();
        let version =
            workspace.split("\nversion = \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let changes = format!("\n## [{version}] - today\n\n- Something.\n");
        let mut wrong = Vec::new();
        look(version, &workspace, &packages, &changes, &mut wrong);
        assert_eq!(wrong, Vec::<String>::new());
    }
}
