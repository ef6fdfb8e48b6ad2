//! What runs in Node.js: the dependencies of each package, and the tests of the TypeScript client, the examples and the dashboard.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::jobs::Job;
use crate::python;
use crate::step::{Outcome, root, run, target_dir};

/// Folders with a package of their own, in the order in which they need each other.
pub(crate) const PACKAGES: [&str; 5] = [
    "clients/typescript",
    "examples/react-page",
    "clients/dashboard",
    "examples/deployments",
    "examples/agents",
];

/// The oldest Node.js that the package supports.
const NODE_MIN: u32 = 20;

/// Installs what the lock files name. The job runs each package's tests, one after the other, because some use what an earlier
/// one built; against the hub that cargo has built by then. The application in Python is last: its package is built meanwhile.
pub(crate) fn job() -> Result<Job, String> {
    let hub = target_dir().join("debug/watertight");
    let mut commands = Vec::new();
    for package in PACKAGES {
        install(package)?;
        let mut test = Command::new("npm");
        test.args(["test", "--silent", "--prefix"]).arg(root().join(package)).env("WATERTIGHT_BIN", &hub);
        test.env("AGENTS_PYTHON", python::interpreter()).env("CONTRACT_PYTHON", python::interpreter());
        commands.push(test);
    }
    Ok(Job { name: PACKAGES.join(", "), commands })
}

/// Installs what the lock file of a package names, if that is not there yet.
pub(crate) fn install(package: &str) -> Outcome {
    check_node()?;
    let folder = root().join(package);
    if is_installed(&folder) {
        return Ok(());
    }
    let mut install = Command::new("npm");
    install.args(["ci", "--no-audit", "--no-fund", "--prefix"]).arg(&folder);
    run(&format!("dependencies of {package}"), install)
}

/// Whether what is installed is what the lock file says: npm keeps a lock of its own beside the packages.
fn is_installed(folder: &Path) -> bool {
    let changed = |name: &str| fs::metadata(folder.join(name)).and_then(|file| file.modified());
    match (changed("node_modules/.package-lock.json"), changed("package-lock.json")) {
        (Ok(installed), Ok(wanted)) => installed >= wanted,
        _ => false,
    }
}

fn check_node() -> Outcome {
    let needed = format!("the tests need Node.js {NODE_MIN} or newer, with npm; please install it");
    let output = Command::new("node").arg("--version").output().map_err(|_| needed.clone())?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= NODE_MIN => Ok(()),
        _ => Err(format!("{needed} (found {version:?})")),
    }
}
