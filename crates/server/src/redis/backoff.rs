//! How long to wait before the next try: twice as long each time, at random (full jitter).

use std::time::Duration;

/// Tries that failed, one after the other.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    first: Duration,
    most: Duration,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(first: Duration, most: Duration) -> Backoff {
        Backoff { first, most, failures: 0 }
    }

    /// It worked.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// It failed: how long to wait, at random up to a bound that doubles.
    pub(super) fn next(&mut self) -> Duration {
        self.bound().mul_f64(fastrand::f64())
    }

    /// The same, but no less than half of that bound.
    pub(super) fn next_at_least_half(&mut self) -> Duration {
        self.bound().mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    fn bound(&mut self) -> Duration {
        let doublings = self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        (self.first * (1 << doublings)).min(self.most)
    }
}
