//! What the generator is doing, on standard error: one line rewritten in place on a terminal, else one line per
//! step.

use std::cell::{Cell, RefCell};
use std::io::{IsTerminal, Write};
use std::time::Duration;

use super::clock::Clock;

/// Between two rewrites of the line.
const REWRITE_EVERY: Duration = Duration::from_millis(200);

pub(super) struct Progress {
    terminal: bool,
    clock: Clock,
    step: RefCell<String>,
    written_at: Cell<Duration>,
}

impl Progress {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            clock,
            step: RefCell::default(),
            written_at: Cell::new(Duration::ZERO),
        }
    }

    /// A new step begins.
    pub(super) fn step(&self, text: impl Into<String>) {
        let text = text.into();
        if self.terminal {
            self.write(&text);
        } else {
            eprintln!("bench: {text}");
        }
        self.step.replace(text);
    }

    /// How far the step has come. Cheap: most calls write nothing.
    pub(super) fn at(&self, detail: impl FnOnce() -> String) {
        if self.terminal && self.clock.now() >= self.written_at.get() + REWRITE_EVERY {
            self.write(&format!("{}: {}", self.step.borrow(), detail()));
        }
    }

    /// Takes the line away.
    pub(super) fn done(&self) {
        if self.terminal {
            eprint!("\r\x1b[2K");
        }
    }

    fn write(&self, text: &str) {
        self.written_at.set(self.clock.now());
        eprint!("\r\x1b[2Kbench: {text}");
        std::io::stderr().flush().ok();
    }
}
