//! The Rust tests of the workspace: built by cargo, run several binaries at once. Most of them wait most of their time: for a
//! deadline, a restart, a browser. One after the other, as `cargo test` runs them, they leave the machine idle.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::jobs::Job;
use crate::step::{cargo, root};

const ALL: [&str; 2] = ["--workspace", "--all-features"];

/// Those that take longest begin first, so that none of them is waited for alone at the end.
const LONGEST: [&str; 5] = ["watertight_server", "bench", "packages", "document", "doctor_proxies"];

/// The job that lints, which has cargo's folder to itself for minutes.
pub(crate) const LINTS: &str = "lints";

/// Those whose tests run cargo.
const CALLING_CARGO: [&str; 1] = ["packages"];

/// Builds all tests, and gives a job for each binary, and one for the examples in the documentation.
pub(crate) fn jobs() -> Result<Vec<Job>, String> {
    let mut binaries = build()?;
    binaries
        .sort_by_key(|binary| LONGEST.iter().position(|name| *name == binary.name).unwrap_or(LONGEST.len()));
    let documentation = cargo(&[&["test", "--doc", "--no-fail-fast"], &ALL[..]].concat());
    let mut jobs: Vec<_> = binaries.into_iter().map(Binary::into_job).collect();
    jobs.push(Job::one("examples in the documentation", documentation).after(LINTS));
    Ok(jobs)
}

struct Binary {
    name: String,
    package: String,
    executable: String,
}

impl Binary {
    /// As cargo runs it: in its package's folder.
    fn into_job(self) -> Job {
        let mut command = Command::new(&self.executable);
        command.current_dir(&self.package).env("CARGO_MANIFEST_DIR", &self.package);
        let package = Path::new(&self.package);
        let package = package.strip_prefix(root()).unwrap_or(package);
        let job = Job::one(format!("{} of {}", self.name, package.display()), command);
        // It would wait for its turn to call it, and its tests have time limits.
        if CALLING_CARGO.contains(&self.name.as_str()) { job.after(LINTS) } else { job }
    }
}

fn build() -> Result<Vec<Binary>, String> {
    println!("xtask: tests");
    let arguments = [&["test", "--no-run", "--message-format=json-render-diagnostics"], &ALL[..]].concat();
    let mut command = cargo(&arguments);
    command.current_dir(root()).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| format!("cargo test: {error}"))?;
    if !output.status.success() {
        return Err(format!("the tests do not build ({})", output.status));
    }
    let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let messages = lines
        .map(|line| serde_json::from_slice::<Value>(line).map_err(|error| format!("cargo test: {error}")));
    let binaries = messages.filter_map(|message| message.map(|message| binary(&message)).transpose());
    let binaries = binaries.collect::<Result<Vec<_>, _>>()?;
    if binaries.is_empty() { Err("cargo test built no tests".to_owned()) } else { Ok(binaries) }
}

/// The test binary that a message of cargo tells of, if it tells of one.
fn binary(message: &Value) -> Option<Binary> {
    let is_test = message["reason"] == "compiler-artifact" && message["profile"]["test"] == true;
    let manifest = Path::new(message["manifest_path"].as_str()?);
    is_test.then_some(Binary {
        name: message["target"]["name"].as_str()?.to_owned(),
        package: manifest.parent()?.to_str()?.to_owned(),
        executable: message["executable"].as_str()?.to_owned(),
    })
}
