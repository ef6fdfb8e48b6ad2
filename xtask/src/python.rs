//! Programs in Python that the tests start, in an environment of their own below cargo's target directory.

use std::fs;
use std::process::Command;

use crate::step::{Outcome, root, run, target_dir};

/// What is installed, with versions.
const REQUIREMENTS: &str = "clients/foreign/requirements.txt";

/// Installs what the list names, if that is not there yet: a copy of the list is put beside it when it is done.
pub(crate) fn install() -> Outcome {
    let environment = target_dir().join("tools/python");
    let (wanted, done) = (root().join(REQUIREMENTS), environment.join("installed.txt"));
    let text = fs::read(&wanted).map_err(|error| format!("{REQUIREMENTS}: {error}"))?;
    if fs::read(&done).is_ok_and(|installed| installed == text) {
        return Ok(());
    }
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(&environment);
    run("environment for Python", make)?;
    let mut install = Command::new(environment.join("bin/python"));
    install
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(&wanted);
    run("Python programs for the tests", install)?;
    fs::write(&done, text).map_err(|error| format!("{}: {error}", done.display()))
}
