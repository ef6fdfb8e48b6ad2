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
    /// The user whose questions all of these were. As long as it is a single one, the others are not kept waiting: whoever
    /// finds a question that the directory stumbles over must not keep everybody out.
    only: Option<Box<str>>,
    until: Tick,
    /// A question is under way to find out whether it answers again.
    is_probed: bool,
}

impl Breaker {
    /// Whether a question of this user may be put, and if so whether it is the one that finds out.
    pub(super) fn admit(&mut self, user: &str, now: Tick) -> Option<bool> {
        if !self.is_open_for(user) {
            return Some(false);
        }
        if self.is_probed || now < self.until {
            return None;
        }
        self.is_probed = true;
        Some(true)
    }

    /// Whether the directory is left alone by this user, but for the question that finds out.
    pub(super) fn is_open_for(&self, user: &str) -> bool {
        self.failures >= FAILURES_MAX && self.only.as_deref().is_none_or(|only| only == user)
    }

    /// A question that was admitted is not put after all.
    pub(super) fn give_up(&mut self, is_probe: bool) {
        self.is_probed &= !is_probe;
    }

    /// A question was answered.
    pub(super) fn succeeded(&mut self) {
        *self = Breaker::default();
    }

    /// A question was not answered. `jitter` is from 0 to 1.
    pub(super) fn failed(&mut self, user: &str, is_probe: bool, now: Tick, jitter: f64) {
        // Those that were under way when it was already left alone say nothing new.
        if self.is_open_for(user) && !is_probe {
            return;
        }
        self.give_up(is_probe);
        if self.failures == 0 {
            self.only = Some(user.into());
        } else if self.only.as_deref().is_some_and(|only| only != user) {
            self.only = None;
        }
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
        let at = Tick;
        for user in ["ada", "eve", "ada"] {
            assert_eq!(breaker.admit(user, at(0)), Some(false));
            breaker.failed(user, false, at(0), 1.0);
        }
        assert_eq!(breaker.admit("lin", at(249)), None);
        assert_eq!(breaker.admit("lin", at(250)), Some(true));
        assert_eq!(breaker.admit("ada", at(9_999)), None, "one at a time");
        breaker.failed("lin", true, at(300), 1.0);
        assert_eq!(breaker.admit("ada", at(799)), None, "twice as long");
        assert_eq!(breaker.admit("ada", at(800)), Some(true));
        breaker.succeeded();
        assert_eq!(breaker.admit("ada", at(801)), Some(false));
    }

    #[test]
    fn failures_of_a_single_user_keep_nobody_else_out() {
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            breaker.failed("eve", false, Tick(0), 1.0);
        }
        assert_eq!(breaker.admit("eve", Tick(0)), None);
        assert_eq!(breaker.admit("ada", Tick(0)), Some(false));
        breaker.failed("ada", false, Tick(0), 1.0);
        assert_eq!(breaker.admit("lin", Tick(0)), None, "two users: it is the directory");
        assert_eq!(breaker.admit("ada", Tick(5_000)), Some(true));
    }

    #[test]
    fn a_success_between_two_failures_keeps_it_closed() {
        let mut breaker = Breaker::default();
        for _ in 0..20 {
            breaker.failed("ada", false, Tick(0), 1.0);
            breaker.failed("eve", false, Tick(0), 1.0);
            assert_eq!(breaker.admit("ada", Tick(0)), Some(false));
            breaker.succeeded();
        }
    }

    #[test]
    fn a_probe_that_is_not_put_lets_the_next_one_find_out() {
        let mut breaker = Breaker::default();
        (0..FAILURES_MAX).for_each(|_| breaker.failed("ada", false, Tick(0), 0.0));
        assert_eq!(breaker.admit("ada", Tick(0)), Some(true));
        breaker.give_up(true);
        assert_eq!(breaker.admit("ada", Tick(0)), Some(true));
    }

    #[test]
    fn what_was_under_way_when_it_was_left_alone_makes_it_no_longer() {
        let mut breaker = Breaker::default();
        (0..1_000).for_each(|_| breaker.failed("ada", false, Tick(0), 1.0));
        assert_eq!(breaker.admit("ada", Tick(250)), Some(true));
        breaker.failed("ada", false, Tick(250), 1.0);
        assert_eq!(breaker.admit("ada", Tick(99_999)), None, "the probe is still under way");
    }

    #[test]
    fn it_is_never_left_alone_for_longer_than_the_most() {
        let mut breaker = Breaker::default();
        (0..FAILURES_MAX).for_each(|_| breaker.failed("ada", false, Tick(0), 1.0));
        let mut now = 0;
        for _ in 0..100 {
            now += 5_000;
            assert_eq!(breaker.admit("ada", Tick(now)), Some(true));
            breaker.failed("ada", true, Tick(now), 1.0);
        }
    }
}
