//! `watertight doctor` for tests: run to its end, and what it found.
#![allow(dead_code, reason = "each test file uses its part")]

use std::fmt;
use std::process::Command;

use serde_json::{Value, json};
use watertight_testkit::{HubProcess, PATIENCE, Program};

pub(crate) const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

/// A hub with a heartbeat each second.
pub(crate) fn hub() -> HubProcess {
    HubProcess::builder(WATERTIGHT).flag("--heartbeat-interval", "1s").start()
}

/// What the doctor found.
pub(crate) struct Diagnosis {
    pub(crate) json: Value,
    pub(crate) code: Option<i32>,
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.json)
    }
}

/// Examines what is at this URL, for a second unless the flags say otherwise: too short to see a heartbeat.
pub(crate) fn doctor(url: &str, flags: &[&str]) -> Diagnosis {
    let mut command = Command::new(WATERTIGHT);
    command.env_remove("WATERTIGHT_TOKEN").args(["doctor", url, "--json"]).args(flags);
    if !flags.contains(&"--patience") {
        command.args(["--patience", "1"]);
    }
    let mut program = Program::spawn(command);
    let code = program.wait(3 * PATIENCE).code();
    let json = serde_json::from_slice(&program.output());
    Diagnosis { json: json.unwrap_or_else(|error| panic!("{error}: {}", program.errors())), code }
}

impl Diagnosis {
    fn checks(&self) -> impl Iterator<Item = &Value> {
        self.json["checks"].as_array().unwrap().iter()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.checks().map(|check| check["check"].as_str().unwrap().to_owned()).collect()
    }

    /// The checks with this verdict.
    pub(crate) fn of(&self, verdict: &str) -> Vec<&str> {
        let of = self.checks().filter(|check| check["verdict"] == verdict);
        of.map(|check| check["check"].as_str().unwrap()).collect()
    }

    /// Asserts what a check found; answers with the settings that mend it.
    pub(crate) fn is(&self, name: &str, verdict: &str, text: &str) -> &Value {
        let check = self.checks().find(|check| check["check"] == name);
        let check = check.unwrap_or_else(|| panic!("there is no {name} in {self}"));
        assert_eq!(check["verdict"], verdict, "{check:#}");
        assert!(check["found"].as_str().unwrap().contains(text), "{text:?} is not in {check:#}");
        &check["mend"]
    }

    /// Asserts what a check found that measures time, of which a busy machine takes more.
    pub(crate) fn is_good_or_slow(&self, name: &str, text: &str) {
        let verdict = if self.of("slow").contains(&name) { "slow" } else { "good" };
        self.is(name, verdict, text);
    }

    /// Asserts that all is good, but for these checks, of which none is wrong. On a busy machine everything takes its
    /// time: what is measured may be slow.
    pub(crate) fn is_good_but_for(&self, others: &[&str]) {
        assert_eq!((self.code, self.of("wrong")), (Some(0), Vec::new()), "{self}");
        for check in self.of("slow").into_iter().chain(self.of("not tested")) {
            let is_measured = ["buffering", "leaving"].contains(&check);
            assert!(is_measured || others.contains(&check), "{check} in {self}");
        }
    }

    /// Asserts that nothing of the probe stayed.
    pub(crate) fn left_nothing(&self, hub: &HubProcess) {
        assert_eq!(self.json["left"], Value::Null);
        assert_eq!(hub.get("/sessions").expect(200).json()["sessions"], json!([]));
    }
}
