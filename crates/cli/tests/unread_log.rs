//! Whoever does not read the hub's output stops nothing: lines are dropped, counted, and told of later.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, mkfifoat};
use tempfile::TempDir;
use watertight_testkit::{
    Client, ConnectOptions, Crowd, HubProcess, PATIENCE, Program, Signal, Stats, eventually, timed,
};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

/// Streams that are opened and closed at a time. Each leaves a line in the log.
const STREAMS: usize = 1000;

/// More lines than pipe and buffer take together.
const ROUNDS: usize = 6;

const GRACE: Duration = Duration::from_secs(15);

/// A pipe into which a hub logs, read only when the test does.
struct LogPipe {
    dir: TempDir,
    pipe: File,
    read: Vec<u8>,
}

impl LogPipe {
    fn new() -> LogPipe {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("pipe");
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        let pipe = OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(path)
            .unwrap();
        LogPipe { dir, pipe, read: Vec::new() }
    }

    /// A program that runs the hub with some of its output in the pipe.
    fn program(&self, into: &str, also: &str) -> PathBuf {
        let path = self.dir.path().join("hub");
        let pipe = self.dir.path().join("pipe");
        let script = format!("#!/bin/sh\nexec '{WATERTIGHT}' \"$@\" {into}'{}' {also}\n", pipe.display());
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        path
    }

    /// Fills it to the last byte.
    fn stuff(&self) {
        let path = self.dir.path().join("pipe");
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let mut pipe = OpenOptions::new().write(true).custom_flags(flags).open(path).unwrap();
        while pipe.write(b".").is_ok() {}
    }

    /// Everything that was read so far, and what is there now.
    fn read(&mut self) -> String {
        let mut chunk = vec![0; 64 * 1024];
        loop {
            match self.pipe.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => self.read.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("the pipe cannot be read: {error}"),
            }
        }
        String::from_utf8_lossy(&self.read).into_owned()
    }
}

/// Opens and closes streams; each leaves a line.
fn come_and_go(hub: SocketAddr) {
    drop(Crowd::open(hub, STREAMS, |n| (ConnectOptions::default(), format!("/sessions/s{}/events", n % 10))));
}

fn dropped(hub: &Client) -> u64 {
    Stats::new(hub.get("/stats").expect(200).json()).number("metrics.logLinesDropped")
}

/// The counts of the lines that tell of dropped ones.
fn told(log: &str) -> Vec<u64> {
    let told = log.lines().filter(|line| line.contains("log lines were dropped"));
    told.map(|line| line.rsplit_once("lines=").unwrap().1.parse().unwrap()).collect()
}

#[test]
fn streams_never_notice_that_nobody_reads_the_log_and_it_says_later_what_is_missing() {
    let mut log = LogPipe::new();
    let hub = HubProcess::builder(log.program("2>", "")).start();
    let mut steady = hub.subscribe("steady");
    for round in 0..ROUNDS {
        come_and_go(hub.address());
        let text = round.to_string();
        hub.publish_text("steady", &text);
        assert_eq!(steady.next_event().data, text, "a reader that was there before");
        hub.get("/health/live").expect(200);
    }
    // Each line is written or dropped once its stream is gone.
    eventually!(hub.stats().live("subscription"), |live| *live == 1);
    let missing = dropped(hub.client());
    assert!(missing > 0, "{missing} lines of {} were dropped", ROUNDS * STREAMS);
    let metrics = hub.get("/metrics").expect(200).text();
    assert!(metrics.contains(&format!("watertight_log_lines_dropped_total {missing}\n")), "{metrics}");

    eventually!(told(&log.read()), |told| !told.is_empty());
    assert_eq!(told(&log.read()), [missing], "one line says how many");
    // What comes now is there again, and nothing new is said of what was told.
    drop(hub.subscribe("later"));
    eventually!(log.read().contains("session=\"later\""));
    assert_eq!((told(&log.read()), dropped(hub.client())), (vec![missing], missing));
    let closed = log.read().matches("connection closed").count() as u64;
    assert_eq!(closed + missing, (ROUNDS * STREAMS + 1) as u64, "each line is there or counted");
}

#[test]
fn lines_that_are_dropped_later_are_told_of_by_themselves() {
    let mut log = LogPipe::new();
    let hub = HubProcess::builder(log.program("2>", "")).start();
    let mut before = 0;
    for turn in 1..=2 {
        eventually!({
            come_and_go(hub.address());
            // Each line is written or dropped once its stream is gone.
            eventually!(hub.stats().live("subscription") == 0);
            dropped(hub.client()) > before
        });
        eventually!(told(&log.read()), |told| told.len() >= turn);
        let missing = dropped(hub.client());
        assert_eq!(told(&log.read()).iter().sum::<u64>(), missing);
        assert_eq!(told(&log.read()).len(), turn, "each is told of once");
        before = missing;
    }
}

#[test]
fn a_hub_whose_log_nobody_reads_stops_within_its_grace() {
    let log = LogPipe::new();
    let mut hub =
        HubProcess::builder(log.program("2>", "")).flag("--shutdown-grace", GRACE.as_secs()).start();
    for _ in 0..ROUNDS {
        come_and_go(hub.address());
    }
    eventually!(dropped(hub.client()), |dropped| *dropped > 0);
    let mut stream = hub.subscribe("demo");
    hub.signal(Signal::TERM);
    let (status, took) = timed(|| {
        stream.expect_closing_event("SHUTTING_DOWN");
        hub.wait(PATIENCE)
    });
    assert!(status.success(), "{status}");
    assert!(took < GRACE, "{took:?}");
}

#[test]
fn a_hub_with_all_its_output_in_one_pipe_that_nobody_reads_stops_within_its_grace() {
    let mut log = LogPipe::new();
    let mut command = Command::new(log.program(">", "2>&1"));
    command.args(["serve", "--listen=127.0.0.1:0", "--allowed-hosts=hub"]);
    command.arg(format!("--shutdown-grace={}", GRACE.as_secs()));
    let mut hub = Program::spawn(command);
    let announced = |text: &str| text.split_once("http://")?.1.split_once('\n')?.0.parse().ok();
    let address = eventually!(announced(&log.read()), |address| address.is_some()).unwrap();
    let client = Client::new(address);
    for _ in 0..ROUNDS {
        come_and_go(address);
    }
    eventually!(dropped(&client), |dropped| *dropped > 0);
    // Not even a short line fits any more.
    log.stuff();
    hub.signal(Signal::TERM);
    let (status, took) = timed(|| hub.wait(PATIENCE));
    assert!(status.success() && took < GRACE, "{status} after {took:?}");
}

#[test]
fn the_last_lines_are_there_when_the_log_is_read() {
    let mut log = LogPipe::new();
    let mut hub = HubProcess::builder(log.program("2>", "")).start();
    let stream = hub.subscribe("demo");
    hub.signal(Signal::TERM);
    assert!(hub.wait(PATIENCE).success());
    drop(stream);
    let text = log.read();
    let lines: Vec<_> = text.lines().collect();
    assert!(text.contains("session=\"demo\"") && text.contains("reason="), "{text}");
    assert!(lines.last().is_some_and(|line| line.ends_with("stopped")), "{text}");
}
