//! Python: programs that the tests start, and the client with its tests, each in an environment of its own below cargo's
//! target directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{Outcome, root, run, run_in, target_dir};

/// The client's own folder.
const CLIENT: &str = "clients/python";

/// Installs the programs that tests start.
pub(crate) fn install() -> Outcome {
    install_list("clients/foreign/requirements.txt", "python").map(|_| ())
}

/// Installs the client as a user would, checks it, and runs its tests against the hub that cargo has just built.
pub(crate) fn test_client(hub: &Path) -> Outcome {
    let environment = install_list("clients/python/requirements.txt", "python-client")?;
    let program = |name: &str| environment.join("bin").join(name);
    let pip = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation"];
    let mut install = Command::new(program("python"));
    install.args(["-m", "pip"]).args(pip).args(["--force-reinstall", "."]);
    let interpreter = program("python").display().to_string();
    let checks: [(&str, &[&str]); 5] = [
        ("ruff", &["check", "."]),
        ("ruff", &["format", "--check", "."]),
        ("mypy", &[]),
        ("pyright", &["--pythonpath", &interpreter]),
        ("pytest", &["-n", "2"]),
    ];
    run_here("install", install)?;
    for (name, arguments) in checks {
        let mut command = Command::new(program(name));
        command.args(arguments).env("WATERTIGHT_BIN", hub);
        command.env("PYRIGHT_PYTHON_CACHE_DIR", target_dir().join("tools/pyright"));
        run_here(name, command)?;
    }
    Ok(())
}

/// Runs one step in the client's folder.
fn run_here(name: &str, command: Command) -> Outcome {
    run_in(&root().join(CLIENT), &format!("{name} of {CLIENT}"), command)
}

/// Installs what a list names, with versions, if that is not there yet: a copy of the list is put beside it when it is done.
/// Gives the environment.
fn install_list(list: &str, name: &str) -> Result<PathBuf, String> {
    let environment = target_dir().join("tools").join(name);
    let (wanted, done) = (root().join(list), environment.join("installed.txt"));
    let text = fs::read(&wanted).map_err(|error| format!("{list}: {error}"))?;
    if fs::read(&done).is_ok_and(|installed| installed == text) {
        return Ok(environment);
    }
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(&environment);
    run("environment for Python", make)?;
    let mut install = Command::new(environment.join("bin/python"));
    install
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(&wanted);
    run("Python programs for the tests", install)?;
    fs::write(&done, text).map_err(|error| format!("{}: {error}", done.display()))?;
    Ok(environment)
}
