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
const AMPLE: Duration = Duration::from_secs(600);

/// What the requests are made from, and how many there are of a kind. `cargo xtask fuzz` sets others by the environment:
/// this test asks the same each time, so that it fails for a change and not by the day.
const SEED: &str = "20260";
const EXAMPLES: &str = "30";

fn setting(name: &str, otherwise: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| otherwise.to_owned())
}

#[test]
fn the_hub_answers_what_its_description_says_to_whatever_is_generated_from_it() {
    // A stream ends by itself soon, so that a request for one has an answer.
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--max-age", "100ms")
        .flag("--logs-max-age", "100ms")
        .flag("--metrics-max-age", "100ms")
        .start();
    let tools = Path::new(WATERTIGHT).ancestors().nth(2).unwrap().join("tools/python/bin/schemathesis");
    assert!(tools.exists(), "{} is not there: run `cargo xtask setup`", tools.display());
    let foreign = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../clients/foreign");
    let dir = TempDir::new().unwrap();
    let seed = setting("WATERTIGHT_TEST_SEED", SEED);
    let examples = setting("WATERTIGHT_TEST_EXAMPLES", EXAMPLES);
    let mut command = Command::new(tools);
    command
        .current_dir(&dir)
        .env("PYTHONPATH", &foreign)
        .arg("--config-file")
        .arg(foreign.join("schemathesis.toml"))
        .args(["run", &hub.url("/openapi.json"), "--seed", &seed, "--max-examples", &examples])
        .args(["--workers", "1", "--no-color", "--suppress-health-check", "all"]);
    let mut run = Program::spawn(command);
    let status = run.wait(AMPLE);
    assert!(status.success(), "seed {seed}:\n{}{}", run.text(), run.errors());
    eventually!(hub.stats().live("subscription") == 0);
}
