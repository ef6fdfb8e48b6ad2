//! The binary as an archive for any Linux, and the Helm chart as one.

use std::path::Path;
use std::process::Command;

use super::pages::Pages;
use super::{Release, copy, output, read, write};
use crate::step::{self, Outcome, root};

/// The binary, its manual pages and completions, and what a reader looks for beside them.
pub(super) fn binary(release: &Release, pages: &Pages) -> Outcome {
    let name = format!("watertight-{}-{}", release.version, release.target);
    let tree = release.work.join("archive");
    let top = tree.join(&name);
    copy(&release.binary, &top.join("watertight"))?;
    for file in ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"] {
        copy(&root().join(file), &top.join(file))?;
    }
    for file in ["hub.toml", "watertight.service"] {
        copy(&root().join("deploy").join(file), &top.join("deploy").join(file))?;
    }
    let mut share = Command::new("cp");
    share.arg("-r").arg(pages.folder()).arg(top.join("share"));
    output(&mut share)?;
    pack(release, &tree, &name, &format!("{name}.tar.gz"))
}

/// The chart, with the version of the hub that it starts.
pub(super) fn chart(release: &Release) -> Outcome {
    let tree = release.work.join("chart");
    std::fs::create_dir_all(&tree).map_err(|error| format!("{}: {error}", tree.display()))?;
    let mut copy = Command::new("cp");
    copy.arg("-r").arg(root().join("deploy/chart")).arg(tree.join("watertight"));
    output(&mut copy)?;
    let about = tree.join("watertight/Chart.yaml");
    write(&about, &versioned(&read(&about)?, &release.version))?;
    pack(release, &tree, "watertight", &format!("watertight-chart-{}.tgz", release.version))
}

/// `Chart.yaml` with the version of the release in place of its own.
fn versioned(about: &str, version: &str) -> String {
    let line = |line: &str| match line.split_once(": ") {
        Some((key @ ("version" | "appVersion"), _)) => format!("{key}: \"{version}\"\n"),
        _ => format!("{line}\n"),
    };
    about.lines().map(line).collect()
}

/// The same bytes whoever packs, and when.
fn pack(release: &Release, tree: &Path, name: &str, archive: &str) -> Outcome {
    let mut pack = Command::new("tar");
    pack.arg("--create")
        .args([
            "--sort=name",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            "--mode=u=rwX,go=rX",
            "--format=gnu",
        ])
        .arg(format!("--mtime=@{}", release.epoch))
        .args(["--use-compress-program", "gzip -9n"])
        .arg("--file")
        .arg(release.into.join(archive))
        .arg("--directory")
        .arg(tree)
        .arg(name);
    step::run(archive, pack)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_gets_the_version_of_the_release_and_keeps_the_rest() {
        let about = "apiVersion: v2\nname: watertight\nversion: \"0.0.1\"\nappVersion: \"0.0.2\"\n";
        let wanted = "apiVersion: v2\nname: watertight\nversion: \"1.2.3\"\nappVersion: \"1.2.3\"\n";
        assert_eq!(versioned(about, "1.2.3"), wanted);
    }
}
