//! The command: started with pipes or with a terminal of its own. Must not know what becomes of its output.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;

use pty_process::Pty;
use rustix::process::Pid;
use rustix::stdio::stderr;
use rustix::termios::isatty;
use tokio::process::{Child, Command};

use super::messages::Messages;
use super::record::Stream;
use super::signals::Target;
use super::terminal::{RawGuard, copy_size, is_interactive};

/// A shell's codes.
const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;

/// A command that was started.
pub(super) struct Started {
    pub(super) child: Child,
    /// Where its output can be read.
    pub(super) outputs: Vec<(Stream, OwnedFd)>,
    pub(super) target: Target,
    /// Its terminal, if it has one.
    pub(super) terminal: Option<Terminal>,
}

/// The terminal of the command, and what became of the user's.
pub(super) struct Terminal {
    pty: Pty,
    _raw: RawGuard,
}

impl Terminal {
    /// The user's terminal has another size.
    pub(super) fn resize(&self) {
        copy_size(self.pty.as_fd());
    }

    /// Where what the user types goes.
    pub(super) fn input(&self) -> io::Result<OwnedFd> {
        self.pty.as_fd().try_clone_to_owned()
    }
}

/// Starts it. Signals must be listened to already, so that none is lost.
pub(super) fn start(words: &[OsString], echoes: bool, messages: &Messages) -> io::Result<Started> {
    let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments);
    if echoes && is_interactive() { with_terminal(command, messages) } else { with_pipes(command) }
}

fn with_pipes(mut command: Command) -> io::Result<Started> {
    let (stdout, stdout_writer) = io::pipe()?;
    let (stderr, stderr_writer) = io::pipe()?;
    command.stdin(Stdio::inherit()).stdout(stdout_writer).stderr(stderr_writer);
    // A group of its own would keep it from a terminal that we share, to ask for a password there.
    let shares_terminal = std::fs::File::open("/dev/tty").is_ok();
    if !shares_terminal {
        command.process_group(0);
    }
    let child = command.spawn()?;
    // Our ends for writing go with it, so that reading ends when the command's do.
    drop(command);
    let pid = pid(&child)?;
    let target = if shares_terminal { Target::Process(pid) } else { Target::Group(pid) };
    let outputs = vec![(Stream::Stdout, stdout.into()), (Stream::Stderr, stderr.into())];
    Ok(Started { child, outputs, target, terminal: None })
}

fn with_terminal(command: Command, messages: &Messages) -> io::Result<Started> {
    let (pty, pts) = pty_process::open().map_err(into_io)?;
    copy_size(pty.as_fd());
    let raw = RawGuard::hand_over(pty.as_fd(), messages)?;
    let mut outputs = vec![(Stream::Stdout, pty.as_fd().try_clone_to_owned()?)];
    let mut command = pty_process::Command::from(command);
    // What goes elsewhere stays apart from the terminal.
    if !isatty(stderr()) {
        let (stderr, writer) = io::pipe()?;
        command = command.stderr(writer);
        outputs.push((Stream::Stderr, stderr.into()));
    }
    let child = command.spawn(pts).map_err(into_io)?;
    // It leads a session, and so a group.
    let target = Target::Group(pid(&child)?);
    Ok(Started { child, outputs, target, terminal: Some(Terminal { pty, _raw: raw }) })
}

fn pid(child: &Child) -> io::Result<Pid> {
    let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    pid.ok_or_else(|| io::Error::other("the command has no process id"))
}

fn into_io(error: pty_process::Error) -> io::Error {
    match error {
        pty_process::Error::Io(error) => error,
        pty_process::Error::Rustix(error) => error.into(),
        other => io::Error::other(other.to_string()),
    }
}

/// Why it cannot be started, and the code that a shell gives.
pub(super) fn not_started(words: &[OsString], error: &io::Error) -> (String, i32) {
    let program = words.first().map(|word| word.to_string_lossy()).unwrap_or_default();
    match error.kind() {
        io::ErrorKind::NotFound => (format!("{program}: command not found"), NOT_FOUND),
        _ => (format!("{program}: cannot be run: {error}"), NOT_EXECUTABLE),
    }
}
