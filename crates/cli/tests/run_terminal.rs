//! `watertight run` in a terminal: the command has one as well, of the same size, with every key; and the user's is as it was
//! afterwards, whatever happens.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod running;

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex};

use pty_process::Size;
use pty_process::blocking::{Command, Pty, open};
use running::{WATERTIGHT, hub, log, texts};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, tcgetattr};
use watertight_testkit::{PATIENCE, eventually};

/// A run in a terminal, as its user sees it.
struct Terminal {
    pty: Arc<Pty>,
    child: Child,
    screen: Arc<Mutex<Vec<u8>>>,
    spools: tempfile::TempDir,
    /// Held, so that the terminal's settings can be looked at when the run has ended.
    _pts: pty_process::blocking::Pts,
}

impl Terminal {
    fn start(url: &str, script: &str) -> Terminal {
        Terminal::start_with(url, script, |command| command)
    }

    fn start_with(url: &str, script: &str, change: impl FnOnce(Command) -> Command) -> Terminal {
        let (pty, pts) = open().unwrap();
        pty.resize(Size::new(33, 77)).unwrap();
        let spools = tempfile::tempdir().unwrap();
        // With no signal switched off, however the tests were started.
        let mut command = change(
            Command::new("env")
                .args(["--default-signal", WATERTIGHT])
                .env_remove("WATERTIGHT_URL")
                .env_remove("WATERTIGHT_TOKEN")
                .args(["run", "--hub", url, "--deployment", "1", "--spool-dir"])
                .arg(spools.path())
                .args(["--", "sh", "-c", script]),
        );
        let child = command.spawn_borrowed(&pts).unwrap();
        let (pty, screen) = (Arc::new(pty), Arc::new(Mutex::new(Vec::new())));
        std::thread::spawn({
            let (pty, screen) = (Arc::clone(&pty), Arc::clone(&screen));
            move || {
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = (&*pty).read(&mut bytes) {
                    screen.lock().unwrap().extend_from_slice(&bytes[..count]);
                }
            }
        });
        Terminal { pty, child, screen, spools, _pts: pts }
    }

    fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    fn keys(&self, keys: &str) {
        (&*self.pty).write_all(keys.as_bytes()).unwrap();
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(self.pty.as_fd()).unwrap().local_modes.contains(LocalModes::ICANON)
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        let child = &mut self.child;
        let status = eventually!(child.try_wait().unwrap(), |status| status.is_some(), PATIENCE).unwrap();
        assert!(!self.is_raw(), "the terminal is as it was");
        assert_eq!(self.spools.path().read_dir().unwrap().count(), 0);
        status
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the screen: {}", self.screen());
        }
    }
}

#[test]
fn the_command_has_a_terminal_of_the_same_size_and_learns_of_another_size() {
    let hub = hub();
    let work = "test -t 0 && test -t 1 && test -t 2 && stty size; trap 'stty size; exit 4' WINCH; echo ready; \
                while :; do sleep 0.02; done";
    let mut terminal = Terminal::start(&hub.url(""), work);
    eventually!(terminal.screen(), |screen| screen == "33 77\r\nready\r\n");
    terminal.pty.resize(Size::new(44, 111)).unwrap();
    eventually!(terminal.screen(), |screen| screen.contains("44 111"));
    assert_eq!(terminal.wait().code(), Some(4));
    let (records, end) = log(&hub);
    assert_eq!(
        (texts(&records, "stdout"), end),
        (vec!["33 77".into(), "ready".into(), "44 111".into()], 4.into())
    );
}

#[test]
fn keys_go_to_the_command_and_those_that_make_signals_make_them_for_it() {
    let hub = hub();
    let work = "trap 'echo interrupted; i=1' INT; read x; echo got $x; while [ -z \"$i\" ]; do sleep 0.02; done; \
                read x; echo got $x; cat; echo end; exit 5";
    let mut terminal = Terminal::start(&hub.url(""), work);
    eventually!(terminal.is_raw());
    terminal.keys("hello\r");
    // Once as the terminal of the command echoes it, once as it is printed.
    eventually!(terminal.screen(), |screen| screen == "hello\r\ngot hello\r\n");
    terminal.keys("\x03");
    eventually!(terminal.screen().contains("interrupted"));
    terminal.keys("again\r");
    eventually!(terminal.screen().contains("got again"));
    terminal.keys("\x04");
    assert_eq!(terminal.wait().code(), Some(5));
    let lines = texts(&log(&hub).0, "stdout");
    assert!(lines.contains(&"got again".into()) && lines.last().unwrap() == "end", "{lines:?}");
}

#[test]
fn the_terminal_comes_back_after_a_signal_and_a_command_that_leaves_it_raw() {
    let hub = hub();
    for (work, code) in [("stty raw -echo; echo ready; read x", 143), ("echo ready; read x", 143)] {
        let mut terminal = Terminal::start(&hub.url(""), work);
        eventually!(terminal.screen().contains("ready") && terminal.is_raw());
        terminal.signal(Signal::TERM);
        assert_eq!(terminal.wait().code(), Some(code));
    }
    let mut terminal = Terminal::start(&hub.url(""), "exec no-such-command");
    assert_eq!(terminal.wait().code(), Some(127));
}

#[test]
fn the_terminal_is_given_back_before_a_hub_that_is_gone_is_waited_for() {
    let nobody = watertight_testkit::free_address();
    let mut terminal = Terminal::start(&format!("http://{nobody}"), "echo done");
    eventually!(terminal.screen().contains("lines are kept in"));
    eventually!(!terminal.is_raw());
    // A key that makes a signal ends the waiting.
    terminal.keys("\x03");
    let child = &mut terminal.child;
    let status = eventually!(child.try_wait().unwrap(), |status| status.is_some(), PATIENCE).unwrap();
    assert_eq!(status.code(), Some(0));
    eventually!(terminal.screen().contains("watertight run --resend"));
}

#[test]
fn errors_that_go_elsewhere_stay_apart_from_the_terminal() {
    let hub = hub();
    let errors = tempfile::NamedTempFile::new().unwrap();
    let file = errors.reopen().unwrap();
    let mut terminal =
        Terminal::start_with(&hub.url(""), "test -t 0 && test -t 1 && echo out; echo err >&2", |command| {
            command.stderr(file)
        });
    assert_eq!(terminal.wait().code(), Some(0));
    eventually!(!terminal.screen().is_empty());
    assert_eq!(
        (terminal.screen(), std::fs::read_to_string(errors.path()).unwrap()),
        ("out\r\n".into(), "err\n".into())
    );
    let (records, _) = log(&hub);
    assert_eq!(
        (texts(&records, "stdout"), texts(&records, "stderr")),
        (vec!["out".into()], vec!["err".into()])
    );
}

#[test]
fn a_terminal_for_input_only_is_left_to_the_command() {
    let hub = hub();
    let output = tempfile::NamedTempFile::new().unwrap();
    let file = output.reopen().unwrap();
    let work = "test -t 0 && ! test -t 1 && read x </dev/tty && echo got $x";
    let mut terminal = Terminal::start_with(&hub.url(""), work, |command| command.stdout(file));
    terminal.keys("it\r");
    assert_eq!(terminal.wait().code(), Some(0));
    assert_eq!(std::fs::read_to_string(output.path()).unwrap(), "got it\n");
    assert_eq!(texts(&log(&hub).0, "stdout"), ["got it"]);
}

#[test]
fn an_interrupt_of_the_terminal_reaches_a_command_without_one_once() {
    let hub = hub();
    let output = tempfile::NamedTempFile::new().unwrap();
    let file = output.reopen().unwrap();
    let work = "n=0; trap 'n=$((n+1)); echo interrupt $n' INT; echo ready >/dev/tty; \
                while [ $n = 0 ]; do sleep 0.02; done; read x; echo end $n";
    let mut terminal = Terminal::start_with(&hub.url(""), work, |command| command.stdout(file));
    eventually!(terminal.screen().contains("ready"));
    terminal.keys("\x03");
    eventually!(std::fs::read_to_string(output.path()).unwrap() == "interrupt 1\n");
    terminal.keys("\r");
    assert_eq!(terminal.wait().code(), Some(0));
    assert_eq!(texts(&log(&hub).0, "stdout"), ["interrupt 1", "end 1"]);
}

#[test]
fn an_interrupt_of_the_terminal_is_not_passed_on_a_second_time() {
    let hub = hub();
    let output = tempfile::NamedTempFile::new().unwrap();
    let file = output.reopen().unwrap();
    // In a session of its own the terminal does not reach it: what it gets is passed on.
    let work = "exec setsid sh -c 'trap \"echo interrupt\" INT; trap \"echo term; kill \\$!; exit 6\" TERM; \
                sleep 100 & echo ready; while :; do wait; done'";
    let mut terminal = Terminal::start_with(&hub.url(""), work, |command| command.stdout(file));
    let printed = || std::fs::read_to_string(output.path()).unwrap();
    eventually!(printed(), |text| text == "ready\n");
    terminal.keys("\x03");
    // The key's signal comes after the terminal has shown the key, and before this one.
    eventually!(terminal.screen().contains("^C"));
    terminal.signal(Signal::TERM);
    assert_eq!(terminal.wait().code(), Some(6));
    assert_eq!(printed(), "ready\nterm\n");
}
