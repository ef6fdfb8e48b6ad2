//! Full-jitter back-off: how long to wait before the next attempt. Pure arithmetic; knows no clock.
//!
//! A delay is drawn evenly between a floor and a ceiling that doubles with each failure in a row. Two thousand
//! clients cut off at once therefore come back spread over the whole span, not in step.

use std::time::Duration;

use crate::limits::{RETRY_AFTER_MAX, RETRY_MIN};

/// The state of one back-off: its base and how many attempts in a row have failed.
#[derive(Debug)]
pub(crate) struct Backoff {
    base: Duration,
    ceiling: Duration,
    failures: u32,
}

impl Backoff {
    /// A back-off whose first delay lies under `base` and whose later ones under `ceiling`.
    pub(crate) fn new(base: Duration, ceiling: Duration) -> Self {
        Self { base: base.clamp(RETRY_MIN, ceiling), ceiling, failures: 0 }
    }

    /// Takes the hub's `retry:` as the new base, clamped so that it can neither spin nor park the client.
    pub(crate) fn set_base(&mut self, base: Duration) {
        self.base = base.clamp(RETRY_MIN, self.ceiling);
    }

    /// The last attempt got somewhere: start anew.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures in a row since the last [`Backoff::reset`].
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// The next delay; counts one failure. A `Retry-After` is waited out in full, and jitter added to it.
    pub(crate) fn next_delay(&mut self, retry_after: Option<Duration>) -> Duration {
        let ceiling = self.base.saturating_mul(1 << self.failures.min(20)).min(self.ceiling);
        self.failures = self.failures.saturating_add(1);
        match retry_after {
            Some(told) => told.min(RETRY_AFTER_MAX) + self.base.mul_f64(fastrand::f64()),
            None => RETRY_MIN + (ceiling - RETRY_MIN).mul_f64(fastrand::f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn delays_stay_between_floor_and_ceiling_for_ever() {
        let mut backoff = Backoff::new(SECOND, 60 * SECOND);
        for attempt in 0..200_u32 {
            let delay = backoff.next_delay(None);
            let ceiling = SECOND.saturating_mul(1 << attempt.min(10)).min(60 * SECOND);
            assert!(delay >= RETRY_MIN && delay <= ceiling, "attempt {attempt} waits {delay:?}");
        }
    }

    #[test]
    fn jitter_spreads_over_the_whole_span() {
        let mut backoff = Backoff::new(SECOND, 60 * SECOND);
        let delays: Vec<_> = (0..500)
            .map(|_| {
                backoff.reset();
                backoff.next_delay(None)
            })
            .collect();
        assert!(delays.iter().any(|delay| *delay < SECOND / 4));
        assert!(delays.iter().any(|delay| *delay > SECOND * 3 / 4));
    }

    #[test]
    fn retry_of_zero_never_spins_and_a_huge_one_never_parks() {
        let mut backoff = Backoff::new(SECOND, 60 * SECOND);
        backoff.set_base(Duration::ZERO);
        assert!(backoff.next_delay(None) >= RETRY_MIN);
        backoff.set_base(Duration::MAX);
        assert!(backoff.next_delay(None) <= 60 * SECOND);
    }

    #[test]
    fn retry_after_is_waited_out_in_full_but_not_for_a_year() {
        let mut backoff = Backoff::new(SECOND, 60 * SECOND);
        let delay = backoff.next_delay(Some(7 * SECOND));
        assert!(delay >= 7 * SECOND && delay <= 8 * SECOND);
        assert!(backoff.next_delay(Some(Duration::MAX)) <= RETRY_AFTER_MAX + SECOND);
    }
}
