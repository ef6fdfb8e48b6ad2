//! Signals that are meant for the command, and what its end means as an exit code.

use std::future::poll_fn;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::task::Poll;

use rustix::process::{Pid, Signal as Number, kill_process, kill_process_group};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What is passed on. Those that end this process by default, but for those that no program handles.
const PASSED: [Number; 6] =
    [Number::INT, Number::TERM, Number::HUP, Number::QUIT, Number::USR1, Number::USR2];

/// A command killed by signal N has this plus N, as in a shell.
const KILLED: i32 = 128;

/// Signals to this process.
pub(super) struct Signals {
    passed: Vec<(Number, Signal)>,
    resized: Signal,
}

impl Signals {
    /// Listens from now on. Signals that whoever started us has switched off (`nohup`, `&` in a script) stay so, also for
    /// the command.
    pub(super) fn listen() -> io::Result<Self> {
        let ignored = ignored();
        let mut passed = Vec::new();
        for number in PASSED {
            if ignored >> (number.as_raw() - 1) & 1 == 0 {
                passed.push((number, signal(SignalKind::from_raw(number.as_raw()))?));
            }
        }
        Ok(Self { passed, resized: signal(SignalKind::window_change())? })
    }

    /// The next one; `None`: the size of the terminal has changed.
    pub(super) async fn next(&mut self) -> Option<Number> {
        let Self { passed, resized } = self;
        poll_fn(|context| {
            for (number, signal) in passed.iter_mut() {
                if signal.poll_recv(context).is_ready() {
                    return Poll::Ready(Some(*number));
                }
            }
            resized.poll_recv(context).map(|_| None)
        })
        .await
    }
}

/// The mask of signals that this process ignores, as the kernel tells it.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Whom signals are passed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// The command and what it has started.
    Group(Pid),
    /// The command. It is in our group, which shares our terminal: keys of the terminal reach it without us.
    Process(Pid),
}

impl Target {
    pub(super) fn send(self, number: Number) {
        // The command may end at this moment.
        let _ = match self {
            Self::Group(group) => kill_process_group(group, number),
            Self::Process(_) if is_by_key(number) => Ok(()),
            Self::Process(process) => kill_process(process, number),
        };
    }
}

/// Whether a signal comes from a key, most probably: the command has it then.
fn is_by_key(number: Number) -> bool {
    let has_key = number == Number::INT || number == Number::QUIT;
    has_key && std::fs::File::open("/dev/tty").is_ok_and(super::terminal::is_in_foreground)
}

/// What a shell's `$?` would be.
pub(super) fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| Some(KILLED + status.signal()?)).unwrap_or(1)
}
