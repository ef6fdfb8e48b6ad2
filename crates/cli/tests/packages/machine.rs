//! A machine to install packages on, which is gone afterwards: what this one has on its disk, with a layer over it that takes
//! all changes, and no network but its own loopback.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use watertight_testkit::{Program, eventually};

/// Mounts vanish with the process that has made them. systemd is made to look as if it ran; what units
/// it is asked to start and stop is written down.
const BUILD: &str = r#"set -e
mount -t tmpfs tmpfs "$1"
cd "$1"
mkdir changes work root
mount -t overlay overlay -o lowerdir=/,upperdir=changes,workdir=work root
mount --bind /proc root/proc
mount --rbind /dev root/dev
mount -t tmpfs tmpfs root/run
mount -t tmpfs tmpfs root/tmp
mkdir -p root/run/systemd/system root/run/packages
mount --bind "$2" root/run/packages
printf '#!/bin/sh\necho "$*" >> /run/asked\n' > root/run/stub
chmod +x root/run/stub
touch root/run/asked
mount --bind root/run/stub root/usr/bin/deb-systemd-invoke
ip link set lo up
echo ready
exec cat
"#;

pub(crate) struct Machine {
    /// Holds the mounts. Ends with its standard input, even if the test is killed.
    holder: Program,
    folder: TempDir,
}

impl Machine {
    /// One that has what is in `packages` at `/run/packages`.
    pub(crate) fn start(packages: &Path) -> Machine {
        let folder = TempDir::new().unwrap();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--net", "--propagation=private", "sh", "-c", BUILD, "sh"]);
        command.arg(folder.path()).arg(packages);
        let mut holder = Program::spawn(command);
        eventually!(if let Some(status) = holder.ended() {
            panic!("{status}: these tests need root and overlays: {}", holder.errors());
        } else {
            holder.text() == "ready\n"
        });
        Machine { holder, folder }
    }

    /// A command on it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--net", "--target", &self.holder.process().pid().to_string(), "chroot"]);
        command.arg(self.folder.path().join("root")).args(arguments);
        command.env("DEBIAN_FRONTEND", "noninteractive").current_dir("/");
        command
    }

    /// What a command printed, both ways, which must succeed.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let (output, said) = self.try_run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}: {said}", output.status);
        said
    }

    pub(crate) fn try_run(&self, arguments: &[&str]) -> (Output, String) {
        let output = self.command(arguments).output().unwrap();
        let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        (output, said.concat())
    }

    /// What systemd was asked since the last time.
    pub(crate) fn asked(&self) -> Vec<String> {
        let file = self.path("root/run/asked");
        let asked = fs::read_to_string(&file).unwrap();
        fs::write(&file, "").unwrap();
        asked.lines().map(str::to_owned).collect()
    }

    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path("root").join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.path("root").join(file), text).unwrap();
    }

    pub(crate) fn has(&self, file: &str) -> bool {
        self.path("root").join(file).symlink_metadata().is_ok()
    }

    /// The files that are not as they were: made, changed or removed.
    pub(crate) fn changed(&self) -> Vec<String> {
        let changes = self.path("changes");
        let (mut found, mut open) = (Vec::new(), vec![changes.clone()]);
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.symlink_metadata().unwrap().is_dir() {
                    open.push(path);
                } else {
                    found.push(path.strip_prefix(&changes).unwrap().display().to_string());
                }
            }
        }
        found.sort();
        found
    }

    /// Where something is, seen from the machine that tests.
    fn path(&self, of: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.process().pid()));
        root.join(self.folder.path().strip_prefix("/").unwrap()).join(of)
    }
}
