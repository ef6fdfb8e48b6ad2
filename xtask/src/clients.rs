//! What runs in Node.js: the dependencies of each package, and the tests of the TypeScript client, the examples and the dashboard.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::jobs::Job;
use crate::python;
use crate::setup;
use crate::step::{Outcome, root, run, target_dir};

/// Folders with a package of their own, in the order in which they need each other, and after whose tests those of each begin.
/// Those of the client build it anew: nobody has a page of it open meanwhile. Then two run at once, as most have a browser.
const PACKAGES: [(&str, Option<&str>); 5] = [
    ("clients/typescript", None),
    ("examples/react-page", Some("clients/typescript")),
    ("clients/dashboard", Some("clients/typescript")),
    ("examples/deployments", Some("examples/react-page")),
    ("examples/agents", Some("clients/dashboard")),
];

/// All of them.
pub(crate) fn packages() -> impl Iterator<Item = &'static str> {
    PACKAGES.into_iter().map(|(package, _)| package)
}

/// The oldest Node.js that the package supports.
const NODE_MIN: u32 = 20;

/// What all of them need is installed, in the order in which they need each other.
pub(crate) fn install_all() -> Outcome {
    packages().try_for_each(install)
}

/// A job for each package runs its tests, against the hub that cargo has built by then.
pub(crate) fn jobs() -> Vec<Job> {
    let of = |(package, before): (_, Option<_>)| {
        let job = Job::one(package, test(package));
        if let Some(before) = before { job.after(before) } else { job }
    };
    let mut jobs: Vec<_> = PACKAGES.into_iter().map(of).collect();
    jobs.push(python::job());
    jobs
}

fn test(package: &str) -> Command {
    let mut test = Command::new("npm");
    test.args(["test", "--silent", "--prefix"]).arg(root().join(package));
    let built = target_dir().join("debug");
    test.env("WATERTIGHT_BIN", built.join("watertight"))
        .env("CONTRACT_RUST", built.join("examples/contract_service"));
    test.env("AGENTS_PYTHON", python::interpreter()).env("CONTRACT_PYTHON", python::interpreter());
    // Where no tab hides another it is the same browser, and takes half the time.
    if let Some(shell) = setup::headless_shell() {
        test.env("CHROMIUM_HEADLESS", shell);
    }
    test
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
