//! `watertight run` for tests: started with a spool directory of its own, and logs as viewers see them.
#![allow(dead_code, reason = "each test file uses its part")]

use std::process::{Command, ExitStatus};

use serde_json::Value;
use watertight_testkit::{HubBuilder, HubProcess, PATIENCE, Process, Program, SseReader, eventually};

pub(crate) const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

/// A hub whose logs are long.
pub(crate) fn hub() -> HubProcess {
    builder().start()
}

pub(crate) fn builder() -> HubBuilder {
    HubProcess::builder(WATERTIGHT).flag("--max-history-per-session", 100_000)
}

/// A command under `watertight run`.
pub(crate) struct Run {
    pub(crate) program: Program,
    spools: tempfile::TempDir,
}

/// Runs `command` as deployment `1`.
pub(crate) fn run(url: &str, flags: &[&str], command: &[&str]) -> Run {
    let mut run = command_of(url, flags);
    let spools = tempfile::tempdir().unwrap();
    run.arg("--spool-dir").arg(spools.path()).arg("--").args(command);
    Run { program: Program::spawn(run), spools }
}

/// The same, a script.
pub(crate) fn script(url: &str, flags: &[&str], script: &str) -> Run {
    run(url, flags, &["sh", "-c", script])
}

/// In a session of its own, without a terminal, and with no signal switched off: whoever runs the tests may have a
/// terminal, or may have started them with `nohup` or behind a shell's `&`. Either would change who gets signals.
pub(crate) fn command_of(url: &str, flags: &[&str]) -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal", "setsid"]);
    for name in ["WATERTIGHT_URL", "WATERTIGHT_TOKEN", "WATERTIGHT_TOKEN_FILE"] {
        command.env_remove(name);
    }
    command.args([WATERTIGHT, "run", "--hub", url, "--deployment", "1"]).args(flags);
    command
}

impl Run {
    /// Waits for its end. Its spool must be gone, as everything is in the log.
    pub(crate) fn finish(&mut self) -> ExitStatus {
        let status = self.program.wait(PATIENCE);
        assert_eq!(self.spool_files(), Vec::<std::path::PathBuf>::new(), "{}", self.program.errors());
        status
    }

    pub(crate) fn code(&mut self) -> Option<i32> {
        self.finish().code()
    }

    /// What there is in its spool directory.
    pub(crate) fn spool_files(&self) -> Vec<std::path::PathBuf> {
        self.spools.path().read_dir().unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    /// Whether its spool is there and has this text somewhere.
    pub(crate) fn spool_says(&self, text: &str) -> bool {
        let has =
            |file| std::fs::read(file).unwrap().windows(text.len()).any(|window| window == text.as_bytes());
        self.spool_files().into_iter().any(has)
    }

    /// What its spool says of itself; null while there is none.
    pub(crate) fn spool_state(&self) -> Value {
        let text = self.spool_files().first().map(|file| std::fs::read(file).unwrap()).unwrap_or_default();
        let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        serde_json::from_slice(line).unwrap_or_default()
    }

    /// Whether everything that it has kept so far was taken by the hub, and the answer has come.
    pub(crate) fn is_sent(&self) -> bool {
        let state = self.spool_state();
        state["epoch"].is_string() && state["sent"] == state["next"]
    }

    /// The one file there.
    pub(crate) fn spool(&self) -> std::path::PathBuf {
        let files = self.spool_files();
        assert_eq!(files.len(), 1, "{files:?}: {}", self.program.errors());
        files[0].clone()
    }
}

/// A viewer of the log of deployment `1`.
pub(crate) fn viewer(hub: &HubProcess) -> SseReader {
    SseReader::open(hub.address(), "/deployments/1/logs/stream", &[])
}

/// The next line that a viewer gets.
pub(crate) fn next(viewer: &mut SseReader) -> Value {
    let event = viewer.next_event();
    assert_eq!(event.event_type, "log", "{event:?}");
    serde_json::from_str(&event.data).unwrap()
}

/// A log that has ended: its records, and the exit code.
pub(crate) fn log(hub: &HubProcess) -> (Vec<Value>, Value) {
    rest(viewer(hub))
}

/// What a viewer still gets of a log, and the exit code.
pub(crate) fn rest(mut viewer: SseReader) -> (Vec<Value>, Value) {
    let (events, _) = viewer.rest();
    let (mut records, mut end) = (Vec::new(), None);
    for event in events {
        let data: Value = serde_json::from_str(&event.data).unwrap();
        match event.event_type.as_str() {
            "log" => {
                assert_eq!(end, None, "a line behind the end: {data}");
                records.push(data);
            }
            "end" => assert_eq!(end.replace(data["exitCode"].clone()), None, "two ends"),
            "error" => assert_eq!(data["code"], "SESSION_ENDED"),
            other => panic!("an event of type {other}: {data}"),
        }
    }
    (records, end.expect("the log has an end"))
}

/// The whole lines of one output, in order of their numbers.
pub(crate) fn texts(records: &[Value], stream: &str) -> Vec<String> {
    let mut lines: Vec<_> = records
        .iter()
        .filter(|record| record["stream"] == stream && record.get("partial").is_none())
        .map(|record| (record["line"].as_u64(), record["text"].as_str().unwrap().to_owned()))
        .collect();
    lines.sort();
    lines.into_iter().map(|(_, text)| text).collect()
}

/// Waits until a process whose id a command has printed is gone.
pub(crate) fn expect_gone(pid: &str) {
    let process = Process::new(pid.trim().parse().unwrap());
    eventually!(!process.is_alive() || is_zombie(process));
}

/// Ended, but nobody has waited for it: whose parent is gone, and where nobody takes over such children.
fn is_zombie(process: Process) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid())).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
}
