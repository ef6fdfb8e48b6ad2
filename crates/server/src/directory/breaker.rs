//! When a directory that fails is left alone, and when it is tried again: by one question at a time.

use std::time::Duration;

use watertight_core::Tick;

/// After how many failures in a row a directory is left alone.
pub(super) const FAILURES_MAX: u32 = 3;
/// How long it is left alone first at most. Twice as long each time, at random down to nothing (full jitter), so that hubs
/// do not come back together.
const REST: Duration = Duration::from_millis(250);
/// How long it is left alone at most.
const REST_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// In a row.
    failures: u32,
    until: Tick,
    /// A question is under way to find out whether it answers again.
    is_probed: bool,
}

impl Breaker {
    /// Whether a question may be put, and if so whether it is the one that finds out.
    pub(super) fn admit(&mut self, now: Tick) -> Option<bool> {
        if !self.is_open() {
            return Some(false);
        }
        if self.is_probed || now < self.until {
            return None;
        }
        self.is_probed = true;
        Some(true)
    }

    /// Whether the directory is left alone, but for the question that finds out.
    pub(super) fn is_open(&self) -> bool {
        self.failures >= FAILURES_MAX
    }

    /// A question that was admitted is not put after all.
    pub(super) fn give_up(&mut self, is_probe: bool) {
        self.is_probed &= !is_probe;
    }

    /// A question was answered. `true`: the directory had failed before.
    pub(super) fn succeeded(&mut self) -> bool {
        std::mem::take(self).failures > 0
    }

    /// A question was not answered. `jitter` is from 0 to 1.
    pub(super) fn failed(&mut self, is_probe: bool, now: Tick, jitter: f64) {
        // Those that were under way when it was already left alone say nothing new.
        if self.is_open() && !is_probe {
            return;
        }
        self.give_up(is_probe);
        self.failures = self.failures.saturating_add(1);
        let doublings = self.failures.saturating_sub(FAILURES_MAX).min(16);
        let rest = (REST * (1 << doublings)).min(REST_MAX);
        self.until = now.after(rest.mul_f64(jitter.clamp(0.0, 1.0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_three_failures_in_a_row_one_question_at_a_time_finds_out() {
        let mut breaker = Breaker::default();
        let at = |millis| Tick(millis);
        for _ in 0..FAILURES_MAX {
            assert_eq!(breaker.admit(at(0)), Some(false));
            breaker.failed(false, at(0), 1.0);
        }
        assert_eq!(breaker.admit(at(249)), None);
        assert_eq!(breaker.admit(at(250)), Some(true));
        assert_eq!(breaker.admit(at(9_999)), None, "one at a time");
        breaker.failed(true, at(300), 1.0);
        assert_eq!(breaker.admit(at(799)), None, "twice as long");
        assert_eq!(breaker.admit(at(800)), Some(true));
        assert!(breaker.succeeded());
        assert_eq!(breaker.admit(at(801)), Some(false));
        assert!(!breaker.succeeded());
    }

    #[test]
    fn a_success_between_two_failures_keeps_it_closed() {
        let mut breaker = Breaker::default();
        for _ in 0..20 {
            breaker.failed(false, Tick(0), 1.0);
            breaker.failed(false, Tick(0), 1.0);
            assert_eq!(breaker.admit(Tick(0)), Some(false));
            assert!(breaker.succeeded());
        }
    }

    #[test]
    fn a_probe_that_is_not_put_lets_the_next_one_find_out() {
        let mut breaker = Breaker::default();
        (0..FAILURES_MAX).for_each(|_| breaker.failed(false, Tick(0), 0.0));
        assert_eq!(breaker.admit(Tick(0)), Some(true));
        breaker.give_up(true);
        assert_eq!(breaker.admit(Tick(0)), Some(true));
    }

    #[test]
    fn what_was_under_way_when_it_was_left_alone_makes_it_no_longer() {
        let mut breaker = Breaker::default();
        (0..1_000).for_each(|_| breaker.failed(false, Tick(0), 1.0));
        assert_eq!(breaker.admit(Tick(250)), Some(true));
        breaker.failed(false, Tick(250), 1.0);
        assert_eq!(breaker.admit(Tick(99_999)), None, "the probe is still under way");
    }

    #[test]
    fn it_is_never_left_alone_for_longer_than_the_most() {
        let mut breaker = Breaker::default();
        (0..FAILURES_MAX).for_each(|_| breaker.failed(false, Tick(0), 1.0));
        let mut now = 0;
        for _ in 0..100 {
            now += 5_000;
            assert_eq!(breaker.admit(Tick(now)), Some(true));
            breaker.failed(true, Tick(now), 1.0);
        }
    }
}
