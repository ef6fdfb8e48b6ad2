//! The user's terminal while the command has one of its own: every key goes to the command, and its settings come back on
//! every way out.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::stdio::{stdin, stdout};
use rustix::termios::{
    OptionalActions, Termios, isatty, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr, tcsetwinsize,
};

use super::messages::Messages;

/// Whether the command is to have a terminal: we have one for input and output, and are in its foreground (whoever is
/// not is stopped when it changes the terminal's settings).
pub(super) fn is_interactive() -> bool {
    isatty(stdin()) && isatty(stdout()) && is_in_foreground(stdin())
}

/// Whether keys of this terminal that make signals make them for us.
pub(super) fn is_in_foreground(terminal: impl AsFd) -> bool {
    tcgetpgrp(terminal).is_ok_and(|group| group == rustix::process::getpgrp())
}

/// Gives another terminal the size of ours.
pub(super) fn copy_size(to: BorrowedFd<'_>) {
    // A terminal whose size is not known is none to be copied.
    if let Ok(size) = tcgetwinsize(stdin()) {
        let _ = tcsetwinsize(to, size);
    }
}

/// The terminal as it was, given back on drop.
#[derive(Debug)]
pub(super) struct RawGuard {
    before: Termios,
    messages: Messages,
}

impl RawGuard {
    /// Gives `to` the settings of the user's terminal, and makes that raw.
    pub(super) fn hand_over(to: BorrowedFd<'_>, messages: &Messages) -> rustix::io::Result<Self> {
        let before = tcgetattr(stdin())?;
        tcsetattr(to, OptionalActions::Now, &before)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        messages.set_raw(true);
        Ok(Self { before, messages: messages.clone() })
    }
}

impl Drop for RawGuard {
    fn drop(&mut self) {
        // It fails if the terminal is gone; then nobody misses its settings.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
        self.messages.set_raw(false);
    }
}
