//! The write deadline of a peer that takes nothing. After a pause of the whole process (a suspended machine)
//! every deadline has passed before anything could be written, so a first expiry only grants a short grace, in
//! which what can be written is written.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// The longest grace.
const GRACE_MAX: Duration = Duration::from_secs(1);

/// A write deadline that is running. Dropped as soon as the peer takes a byte.
#[derive(Debug)]
pub(crate) struct Stall {
    timer: Pin<Box<Sleep>>,
    grace: Duration,
    in_grace: bool,
}

impl Stall {
    /// A deadline that begins now.
    pub(crate) fn begin(deadline: Duration) -> Stall {
        let grace = (deadline / 8).min(GRACE_MAX);
        Stall { timer: Box::pin(sleep(deadline)), grace, in_grace: false }
    }

    /// Begins anew.
    pub(crate) fn restart(&mut self, deadline: Duration) {
        self.in_grace = false;
        self.timer.as_mut().reset(Instant::now() + deadline);
    }

    /// Ready when the deadline and the grace behind it are over. A task that is woken must try to write before
    /// it polls this.
    pub(crate) fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<()> {
        ready!(self.timer.as_mut().poll(context));
        if self.in_grace {
            return Poll::Ready(());
        }
        self.in_grace = true;
        self.timer.as_mut().reset(Instant::now() + self.grace);
        self.timer.as_mut().poll(context)
    }
}
