//! What a run has to say itself: on standard error, behind what the command writes there.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Says things. Cloning shares whether the terminal is raw.
#[derive(Debug, Clone)]
pub(super) struct Messages {
    quiet: bool,
    is_raw: Arc<AtomicBool>,
}

impl Messages {
    pub(super) fn new(quiet: bool) -> Self {
        Self { quiet, is_raw: Arc::new(AtomicBool::new(false)) }
    }

    /// Whether a line feed alone leaves the cursor in its column.
    pub(super) fn set_raw(&self, is_raw: bool) {
        self.is_raw.store(is_raw, Ordering::Relaxed);
    }

    /// What users like to know.
    pub(super) fn say(&self, text: impl std::fmt::Display) {
        if !self.quiet {
            self.warn(text);
        }
    }

    /// What they must know.
    pub(super) fn warn(&self, text: impl std::fmt::Display) {
        let end = if self.is_raw.load(Ordering::Relaxed) { "\r\n" } else { "\n" };
        // Nobody is left to tell if standard error is gone.
        let _ = io::stderr().write_all(format!("watertight: {text}{end}").as_bytes());
    }
}
