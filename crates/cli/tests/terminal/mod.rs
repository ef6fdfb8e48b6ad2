//! A program in a real pseudo terminal, seen by a virtual one: what its user would see.

#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::fd::AsFd;
use std::process::{Child, ExitStatus};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use pty_process::Size;
use pty_process::blocking::{Command, Pts, Pty, open};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, tcgetattr};
use watertight_testkit::{PATIENCE, eventually};

pub(crate) const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

pub(crate) struct Terminal {
    /// `None` once it was hung up.
    pty: Option<Arc<Pty>>,
    child: Child,
    seen: Arc<Mutex<Seen>>,
    reader: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    /// Held, so that the terminal's settings can be looked at when the program has ended.
    _pts: Pts,
}

/// Reads until told to stop, or the terminal is gone.
fn read(pty: &Pty, seen: &Mutex<Seen>, stop: &AtomicBool) {
    const STEP: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
    let mut bytes = [0; 4096];
    while !stop.load(Relaxed) {
        if poll(&mut [PollFd::new(pty, PollFlags::IN)], Some(&STEP)) != Ok(1) {
            continue;
        }
        let mut reader = pty;
        let Ok(count @ 1..) = reader.read(&mut bytes) else { return };
        let mut seen = seen.lock().unwrap();
        seen.screen.process(&bytes[..count]);
        seen.bytes.extend_from_slice(&bytes[..count]);
    }
}

struct Seen {
    screen: vt100::Parser,
    /// Everything that came, as it came.
    bytes: Vec<u8>,
}

impl Terminal {
    /// `watertight top` with these arguments, in 80 by 24.
    pub(crate) fn top(arguments: &[&str]) -> Terminal {
        Terminal::start(24, 80, |command| command.args([WATERTIGHT, "top"]).args(arguments))
    }

    /// A command in a session of its own, with this terminal; no signal is switched off, however the tests were started.
    pub(crate) fn start(rows: u16, columns: u16, change: impl FnOnce(Command) -> Command) -> Terminal {
        let (pty, pts) = open().unwrap();
        pty.resize(Size::new(rows, columns)).unwrap();
        let mut command = Command::new("env").args(["--default-signal", "--"]).env("TERM", "xterm-256color");
        for name in ["WATERTIGHT_URL", "WATERTIGHT_TOKEN", "WATERTIGHT_TOKEN_FILE", "NO_COLOR"] {
            command = command.env_remove(name);
        }
        let child = change(command).spawn_borrowed(&pts).unwrap();
        let size = |length| NonZeroU16::new(length).unwrap();
        let screen = vt100::Parser::new(size(rows), size(columns), 0);
        let seen = Arc::new(Mutex::new(Seen { screen, bytes: Vec::new() }));
        let (pty, stop) = (Arc::new(pty), Arc::new(AtomicBool::new(false)));
        let reader = std::thread::spawn({
            let (pty, seen, stop) = (Arc::clone(&pty), Arc::clone(&seen), Arc::clone(&stop));
            move || read(&pty, &seen, &stop)
        });
        Terminal { pty: Some(pty), child, seen, reader: Some(reader), stop, _pts: pts }
    }

    /// The screen as text.
    pub(crate) fn screen(&self) -> String {
        self.seen.lock().unwrap().screen.screen().contents()
    }

    /// Waits until the screen has this text.
    pub(crate) fn expect(&self, text: &str) -> String {
        self.expect_that(|screen| screen.contains(text), text)
    }

    /// Waits for a screen of which this is true.
    pub(crate) fn expect_that(&self, holds: impl Fn(&str) -> bool, what: &str) -> String {
        watertight_testkit::eventually::wait_until(what, PATIENCE, || self.screen(), |screen| holds(screen))
    }

    /// Everything that the terminal ever got.
    pub(crate) fn bytes(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap().bytes).into_owned()
    }

    /// The screen's line that has this text.
    pub(crate) fn line(&self, text: &str) -> String {
        let screen = self.screen();
        screen.lines().find(|line| line.contains(text)).unwrap_or_default().to_owned()
    }

    pub(crate) fn keys(&self, keys: &str) {
        (&**self.pty()).write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        let size = |length| NonZeroU16::new(length).unwrap();
        self.seen.lock().unwrap().screen.screen_mut().set_size(size(rows), size(columns));
        self.pty().resize(Size::new(rows, columns)).unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn pty(&self) -> &Arc<Pty> {
        self.pty.as_ref().unwrap()
    }

    /// The terminal goes away, as its window or its connection does.
    pub(crate) fn hang_up(&mut self) {
        self.stop_reading();
        self.pty = None;
    }

    fn stop_reading(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(reader) = self.reader.take() {
            // It fails if it has panicked, which the test will see.
            let _ = reader.join();
        }
    }

    /// Whether keys are read one by one, and the page stands on the other screen.
    pub(crate) fn is_taken(&self) -> bool {
        !tcgetattr(self.pty().as_fd()).unwrap().local_modes.contains(LocalModes::ICANON)
    }

    /// Waits for the end; the terminal must be as it was, if it is still there.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let child = &mut self.child;
        let status = eventually!(child.try_wait().unwrap(), |status| status.is_some()).unwrap();
        if self.pty.is_some() {
            self.expect_given_back();
        }
        status
    }

    /// The settings, the screen, the cursor and the way of pasting are those of before.
    pub(crate) fn expect_given_back(&self) {
        assert!(!self.is_taken(), "the settings are those of before");
        let kept = || {
            let seen = self.seen.lock().unwrap();
            let screen = seen.screen.screen();
            (screen.alternate_screen(), screen.hide_cursor(), screen.bracketed_paste())
        };
        // What was written last may not have been read.
        eventually!(kept(), |kept| *kept == (false, false, false));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.stop_reading();
        if std::thread::panicking() {
            eprintln!("--- the screen:\n{}", self.screen());
        }
    }
}
