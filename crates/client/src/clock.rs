//! Time, as an argument: what a subscriber waits on, and the only place that reads a clock.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use crate::error::Error;

/// A wait. Dropping it cancels it.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What time it is, and waiting. The default is tokio's, which also follows `tokio::time::pause`; a test may
/// have one of its own with [`Subscriber::with_clock`](crate::Subscriber::with_clock).
pub trait Clock: Send + Sync + 'static {
    /// Time since some instant that stays the same. Never goes back.
    fn now(&self) -> Duration;

    /// Is ready once [`Clock::now`] is at least `instant`. Only called while a future is being polled.
    fn sleep_until(&self, instant: Duration) -> Sleep;

    /// What the calendar says: for a `Retry-After` that is a date, where its answer has no `Date` beside it.
    fn wall(&self) -> SystemTime {
        wall()
    }
}

/// tokio's clock.
#[derive(Debug)]
pub(crate) struct TokioClock {
    origin: tokio::time::Instant,
}

impl TokioClock {
    pub(crate) fn new() -> Self {
        Self { origin: tokio::time::Instant::now() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn sleep_until(&self, instant: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(instant.saturating_sub(self.now())))
    }
}

/// The calendar of this machine.
#[expect(clippy::disallowed_methods, reason = "this is the clock module")]
pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}

/// Bounds `future` in time; the error names what was waited for. Dropping it drops `future`.
pub(crate) async fn until<F: Future>(
    clock: &dyn Clock,
    limit: Limit,
    phase: &'static str,
    future: F,
) -> Result<F::Output, Error> {
    let mut future = pin!(future);
    let mut sleep = clock.sleep_until(limit.deadline);
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        sleep.as_mut().poll(context).map(|()| Err(Error::TimedOut { phase, after: limit.after }))
    })
    .await
}

/// An instant at which patience ends, and how much there was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) deadline: Duration,
    pub(crate) after: Duration,
}

impl Limit {
    /// This much from now on.
    pub(crate) fn of(after: Duration, clock: &dyn Clock) -> Self {
        Self { deadline: clock.now().saturating_add(after), after }
    }
}
