//! Manual pages and completions: the binary itself prints them.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Release, copy, empty, entries, output, write};
use crate::step::Outcome;

/// The shells, and what their completions are called.
const SHELLS: [(&str, &str); 3] =
    [("bash", "watertight"), ("zsh", "_watertight"), ("fish", "watertight.fish")];

/// Where they are: `man1` and one folder for each shell.
pub(super) struct Pages(PathBuf);

impl Pages {
    /// The manual pages, in the order of their names.
    pub(super) fn manuals(&self) -> Result<Vec<PathBuf>, String> {
        let mut pages = entries(&self.0.join("man1"))?;
        pages.sort();
        Ok(pages)
    }

    /// Copies the completions to where a system has them, below its root.
    pub(super) fn install_completions(&self, tree: &Path) -> Outcome {
        let folders = [
            "usr/share/bash-completion/completions",
            "usr/share/zsh/vendor-completions",
            "usr/share/fish/vendor_completions.d",
        ];
        SHELLS.iter().zip(folders).try_for_each(|((shell, name), folder)| {
            copy(&self.0.join(shell).join(name), &tree.join(folder).join(name))
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0
    }
}

pub(super) fn make(release: &Release) -> Result<Pages, String> {
    let folder = release.work.join("pages");
    let manuals = folder.join("man1");
    empty(&manuals)?;
    output(watertight(release).arg("man").arg(&manuals))?;
    for (shell, name) in SHELLS {
        let script = output(watertight(release).args(["completions", shell]))?;
        write(&folder.join(shell).join(name), &script)?;
    }
    Ok(Pages(folder))
}

/// Without the environment, whose settings would be shown as defaults.
fn watertight(release: &Release) -> Command {
    let mut command = Command::new(&release.binary);
    command.env_clear();
    command
}
