//! The load generator's clock: the only place here that reads time.

use std::time::Duration;
#[allow(clippy::disallowed_types, reason = "this is the clock")]
use std::time::Instant;

/// Monotonic time since the generator started. Stamps in the data of events are its microseconds, so latency is
/// only measured by the process that published.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(#[allow(clippy::disallowed_types, reason = "this is the clock")] Instant);

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn now(&self) -> Duration {
        self.0.elapsed()
    }

    pub(super) fn micros(&self) -> u64 {
        u64::try_from(self.now().as_micros()).unwrap_or(u64::MAX)
    }
}
