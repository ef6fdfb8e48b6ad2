//! Full-jitter back-off: how long to wait before the next attempt. Pure arithmetic; knows no clock.
//!
//! A delay is drawn evenly between a floor and a ceiling that doubles with each failure in a row. Two thousand
//! clients cut off at once therefore come back spread over the whole span, not in step.

use std::fmt;
use std::time::Duration;

use crate::limits::{RETRY_AFTER_MAX, RETRY_CEILING_MAX, RETRY_MIN};

/// Gives numbers from 0 to 1.
type Random = Box<dyn FnMut() -> f64 + Send>;

/// The state of one back-off: its base and how many attempts in a row have failed.
pub(crate) struct Backoff {
    base: Duration,
    ceiling: Duration,
    failures: u32,
    random: Random,
}

impl Backoff {
    /// A back-off whose first delay lies under `base` and whose later ones under `ceiling`.
    pub(crate) fn new(base: Duration, ceiling: Duration) -> Self {
        let mut new = Self {
            base,
            ceiling: ceiling.clamp(RETRY_MIN, RETRY_CEILING_MAX),
            failures: 0,
            random: Box::new(fastrand::f64),
        };
        new.set_base(base);
        new
    }

    /// Draws from `random` instead of the thread's own source.
    pub(crate) fn set_random(&mut self, random: Random) {
        self.random = random;
    }

    /// Takes the hub's `retry:` as the new base, clamped so that it can neither spin nor park the client.
    pub(crate) fn set_base(&mut self, base: Duration) {
        self.base = base.clamp(RETRY_MIN, self.ceiling);
    }

    /// Delays never lie above this from now on (but a `Retry-After` may).
    pub(crate) fn set_ceiling(&mut self, ceiling: Duration) {
        self.ceiling = ceiling.clamp(RETRY_MIN, RETRY_CEILING_MAX);
        self.set_base(self.base);
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
        // Whoever gives the numbers: neither the floor nor the ceiling depends on them.
        let drawn = (self.random)().clamp(0.0, 1.0);
        let drawn = if drawn.is_nan() { 0.0 } else { drawn };
        match retry_after {
            Some(told) => told.min(RETRY_AFTER_MAX) + self.base.mul_f64(drawn).min(self.base),
            // What a float makes of a long time may be a little more than it was.
            None => (RETRY_MIN + (ceiling - RETRY_MIN).mul_f64(drawn)).min(ceiling),
        }
    }
}

impl fmt::Debug for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { base, ceiling, failures, .. } = self;
        write!(f, "Backoff {{ base: {base:?}, ceiling: {ceiling:?}, failures: {failures} }}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[derive(Debug, Clone)]
    enum Step {
        Fail,
        FailAndWait(u64),
        Reset,
        Retry(u64),
        Ceiling(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => Just(Step::Fail),
            1 => any::<u64>().prop_map(Step::FailAndWait),
            1 => Just(Step::Reset),
            2 => any::<u64>().prop_map(Step::Retry),
            2 => (0..10_000_u64).prop_map(Step::Retry),
            1 => any::<u64>().prop_map(Step::Ceiling),
        ]
    }

    proptest! {
        /// Whatever servers ask for and whatever is drawn: never below the floor, never above the ceiling,
        /// and no step panics.
        #[test]
        fn no_schedule_leaves_its_bounds(
            base in any::<u64>(),
            steps in prop::collection::vec(step(), 0..200),
            draws in prop::collection::vec(prop_oneof![0.0..=1.0_f64, any::<f64>()], 1..20),
        ) {
            let mut ceiling = 60 * SECOND;
            let mut backoff = Backoff::new(Duration::from_millis(base), ceiling);
            let mut draws = draws.into_iter().cycle();
            backoff.set_random(Box::new(move || draws.next().unwrap_or_default()));
            for step in steps {
                match step {
                    Step::Fail => {
                        let delay = backoff.next_delay(None);
                        prop_assert!(delay >= RETRY_MIN && delay <= ceiling, "{delay:?}");
                    }
                    Step::FailAndWait(told) => {
                        let told = Duration::from_secs(told).min(RETRY_AFTER_MAX);
                        let delay = backoff.next_delay(Some(told));
                        prop_assert!(delay >= told && delay <= told + ceiling, "{delay:?}");
                    }
                    Step::Reset => backoff.reset(),
                    Step::Retry(retry) => backoff.set_base(Duration::from_millis(retry)),
                    Step::Ceiling(told) => {
                        ceiling = Duration::from_millis(told).max(RETRY_MIN);
                        backoff.set_ceiling(ceiling);
                    }
                }
            }
        }

        /// With the greatest number drawn each time, delays double, until they are as long as they may be.
        #[test]
        fn delays_double_up_to_the_ceiling(base in 100..5_000_u64) {
            let base = Duration::from_millis(base);
            let mut backoff = Backoff::new(base, 60 * SECOND);
            backoff.set_random(Box::new(|| 1.0));
            for failures in 0..100_u32 {
                let expected = base.saturating_mul(1 << failures.min(20)).min(60 * SECOND);
                prop_assert_eq!(backoff.next_delay(None), expected);
            }
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
