//! What the configuration promises, tested as a user would set it: files on disk, variables, real flags.

mod documents;
mod limits;
mod refusals;
mod relations;
mod secrets;
mod sources;
mod tables;
mod values;

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::{Args, Command, FromArgMatches};

use super::{ConfigArgs, ConfigError, Loaded, load};

/// A directory with a `hub.toml`, removed on drop.
struct Folder(PathBuf);

impl Folder {
    fn with(bytes: impl AsRef<[u8]>) -> Folder {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name =
            format!("watertight-config-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = Folder(std::env::temp_dir().join(name));
        fs::create_dir(&folder.0).unwrap();
        fs::write(folder.file(), bytes).unwrap();
        folder
    }

    fn file(&self) -> PathBuf {
        self.0.join("hub.toml")
    }

    /// `text` without the folder's name, so that it can be compared with a literal.
    fn relative(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.0.display()), "")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The flags as the command line parser gives them.
fn args(flags: &[&str]) -> Result<ConfigArgs, clap::Error> {
    let command = ConfigArgs::augment_args(Command::new("serve").no_binary_name(true));
    ConfigArgs::from_arg_matches(&command.try_get_matches_from(flags)?)
}

fn env(variables: &[(&str, &str)]) -> impl Iterator<Item = (OsString, OsString)> {
    let owned: Vec<_> = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
    owned.into_iter()
}

/// Loads from all three sources.
fn load_all(file: &str, variables: &[(&str, &str)], flags: &[&str]) -> Result<Loaded, ConfigError> {
    let folder = Folder::with(file);
    let mut args = args(flags).unwrap();
    args.config = Some(folder.file());
    load(&args, env(variables))
}

fn load_file(file: &str) -> Result<Loaded, ConfigError> {
    load_all(file, &[], &[])
}

fn load_env(variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    load(&ConfigArgs::default(), env(variables))
}

fn load_flags(flags: &[&str]) -> Result<Loaded, ConfigError> {
    load(&args(flags).unwrap(), env(&[]))
}

/// What is printed about a refused file, with the folder left out.
fn refusal(file: impl AsRef<[u8]>, variables: &[(&str, &str)], flags: &[&str]) -> String {
    let folder = Folder::with(file);
    let mut args = args(flags).unwrap();
    args.config = Some(folder.file());
    folder.relative(&load(&args, env(variables)).unwrap_err().to_string())
}
