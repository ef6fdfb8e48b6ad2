//! Notices that whoever reads standard output is gone, also while there is nothing to write.

use std::future::pending;
use std::io::{self, Stdout};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Standard output, where it is something that can be closed at its other end: a pipe, a socket, a terminal.
pub(super) struct Closed(Option<AsyncFd<Stdout>>);

impl Closed {
    /// Must be called on a runtime.
    #[expect(deprecated, reason = "safe here: standard output is never closed while the process runs")]
    pub(super) fn watch() -> Self {
        // A file cannot be watched, nor need it be.
        Self(AsyncFd::with_interest(io::stdout(), Interest::ERROR).ok())
    }

    /// Returns once nobody can read any more, and not before.
    pub(super) async fn wait(&self) {
        match &self.0 {
            Some(watched) => drop(watched.ready(Interest::ERROR).await),
            None => pending().await,
        }
    }
}
