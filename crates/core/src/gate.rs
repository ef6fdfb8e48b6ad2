//! The gate that every publish passes, so that a hub that stops knows when the last event is in its log.
//!
//! A publish enters before it looks whether the hub stops, and leaves after the pumps were told of its event.
//! Whoever closes the gate and waits until all who entered have left has seen the last of them: an event that
//! was taken is in its log before any pump looks for the last time.

use std::task::{Poll, Waker};

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicUsize, Ordering};

/// Set once the gate is closed.
const CLOSED: usize = 1;
/// What one who has entered counts.
const ONE: usize = 2;

/// Counts publishes that are under way, until it is closed.
#[derive(Debug)]
pub struct PublishGate {
    /// [`CLOSED`], and [`ONE`] for each who is inside.
    state: AtomicUsize,
    /// Who waits for the last to leave. Bounded by the calls that wait.
    waiting: Mutex<Vec<Waker>>,
}

impl Default for PublishGate {
    fn default() -> PublishGate {
        PublishGate { state: AtomicUsize::new(0), waiting: Mutex::new(Vec::new()) }
    }
}

/// The right to append; dropping it leaves the gate.
#[derive(Debug)]
#[must_use = "dropping it leaves the gate at once"]
pub struct PublishPass<'a>(&'a PublishGate);

impl PublishGate {
    /// Enters, until the pass is dropped; `None` once the gate is closed.
    pub fn enter(&self) -> Option<PublishPass<'_>> {
        // Counted before it looks: whoever closes the gate either sees this one inside or is seen by it.
        let before = self.state.fetch_add(ONE, Ordering::SeqCst);
        let pass = PublishPass(self);
        (before & CLOSED == 0).then_some(pass)
    }

    /// Lets nobody in from here on.
    pub fn close(&self) {
        self.state.fetch_or(CLOSED, Ordering::SeqCst);
    }

    /// Whether the gate is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.load(Ordering::SeqCst) & CLOSED != 0
    }

    /// Ready once it is closed and all who entered have left; until then the waker is woken when they have.
    pub fn poll_left(&self, waker: &Waker) -> Poll<()> {
        if self.is_left() {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.lock();
        if !waiting.iter().any(|known| known.will_wake(waker)) {
            waiting.push(waker.clone());
        }
        drop(waiting);
        // The last may have left before it could see the waker.
        if self.is_left() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn is_left(&self) -> bool {
        self.state.load(Ordering::SeqCst) == CLOSED
    }
}

impl Drop for PublishPass<'_> {
    fn drop(&mut self) {
        if self.0.state.fetch_sub(ONE, Ordering::SeqCst) == ONE | CLOSED {
            let waiting = std::mem::take(&mut *self.0.waiting.lock());
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}
