//! What runs in Python: programs that the tests start, and the tests of the package for Python. Each has an environment of its
//! own below cargo's target directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::jobs::Job;
use crate::step::{Outcome, root, run, target_dir};

/// What is installed for the tests of the hub, with versions.
const FOREIGN: &str = "clients/foreign/requirements.txt";

/// The package, and what is installed for its tests.
const PACKAGE: &str = "clients/python";
const DEVELOPMENT: &str = "clients/python/requirements-dev.txt";

/// The programs that the tests start.
pub(crate) fn install() -> Outcome {
    environment("python", FOREIGN)?;
    environment("python-package", DEVELOPMENT).map(drop)
}

/// The interpreter that has the package once it is built.
pub(crate) fn interpreter() -> PathBuf {
    target_dir().join("tools/python-package/bin/python")
}

/// Builds the package into its environment.
pub(crate) fn develop() -> Outcome {
    environment("python-package", DEVELOPMENT)?;
    let build = command("maturin", &["develop", "--quiet", "--features", "testing"]);
    run(&format!("{PACKAGE} is built"), build)
}

/// Checks the package that is built, and runs its tests against the hub that cargo has built by then.
pub(crate) fn job() -> Job {
    let mut pyright = command("pyright", &["--pythonpath"]);
    pyright.arg(interpreter());
    let checks = vec![
        command("ruff", &["check", "--quiet"]),
        command("ruff", &["format", "--check", "--quiet"]),
        pyright,
        command("mypy", &[]),
        command("pytest", &["--quiet"]),
    ];
    Job::new(PACKAGE, checks)
}

/// A program of the package's environment.
fn command(program: &str, arguments: &[&str]) -> Command {
    let environment = target_dir().join("tools/python-package");
    let mut command = Command::new(environment.join("bin").join(program));
    command.args(arguments).current_dir(root().join(PACKAGE));
    command.env("VIRTUAL_ENV", &environment).env("WATERTIGHT_BIN", target_dir().join("debug/watertight"));
    command
}

/// Makes an environment with what a list names, if it is not there yet: a copy of the list is put beside it when it is done.
fn environment(name: &str, requirements: &str) -> Result<PathBuf, String> {
    let environment = target_dir().join("tools").join(name);
    let (wanted, done) = (root().join(requirements), environment.join("installed.txt"));
    let text = fs::read(&wanted).map_err(|error| format!("{requirements}: {error}"))?;
    if !fs::read(&done).is_ok_and(|installed| installed == text) {
        fill(&environment, &wanted)?;
        fs::write(&done, text).map_err(|error| format!("{}: {error}", done.display()))?;
    }
    Ok(environment)
}

fn fill(environment: &Path, requirements: &Path) -> Outcome {
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(environment);
    run("environment for Python", make)?;
    let mut install = Command::new(environment.join("bin/python"));
    install
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(requirements);
    run(&format!("{} for the tests", requirements.display()), install)
}
