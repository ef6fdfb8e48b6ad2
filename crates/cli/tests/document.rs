//! `docs/openapi.json` against the real hub: requests are generated from the document, and the answers must be what it
//! says. Sessions of requests (the stateful phase) included.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use watertight_testkit::{HubProcess, Program, eventually};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

/// A run takes a few seconds; a machine that does much else takes longer.
const AMPLE: Duration = Duration::from_secs(300);

/// Calls that the document describes and this version does not answer yet.
const NOT_YET: &str = "^/services";

#[test]
fn the_hub_answers_what_its_description_says_to_whatever_is_generated_from_it() {
    // A stream ends by itself soon, so that a request for one has an answer.
    let hub =
        HubProcess::builder(WATERTIGHT).flag("--max-age", "100ms").flag("--logs-max-age", "100ms").start();
    let tools = Path::new(WATERTIGHT).ancestors().nth(2).unwrap().join("tools/python/bin/schemathesis");
    assert!(tools.exists(), "{} is not there: run `cargo xtask setup`", tools.display());
    let foreign = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../clients/foreign");
    let dir = TempDir::new().unwrap();
    let seed = hub.pid().to_string();
    let mut command = Command::new(tools);
    command
        .current_dir(&dir)
        .env("PYTHONPATH", &foreign)
        .arg("--config-file")
        .arg(foreign.join("schemathesis.toml"))
        .args(["run", &hub.url("/openapi.json"), "--exclude-path-regex", NOT_YET, "--seed", &seed])
        .args(["--max-examples", "30", "--workers", "1", "--no-color", "--suppress-health-check", "all"]);
    let mut run = Program::spawn(command);
    let status = run.wait(AMPLE);
    assert!(status.success(), "seed {seed}:\n{}{}", run.text(), run.errors());
    eventually!(hub.stats().live("subscription") == 0);
}
