//! What feeds a session by itself while somebody watches it: when it runs, when it waits, when it is given up.
//!
//! A source is started with the first subscriber of its session and stopped some time after the last. Errors in a row
//! open its breaker: its readers are told and closed, and nobody starts it for a while. The rules are here; whoever
//! runs a source brings the clock and the task.

use std::any::Any;
use std::fmt;
use std::sync::Arc as StdArc;
use std::time::Duration;

use atomic_waker::AtomicWaker;

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::time::Tick;

/// What is attached to a session that is fed by a source.
pub trait Attached: Any + fmt::Debug + Send + Sync {
    /// How its source is.
    fn state(&self) -> &SourceState;
}

/// When a source that failed is tried again, and when it is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourcePolicy {
    /// Errors in a row that open its breaker.
    pub breaker_errors: u32,
    /// How long it waits at most after the first error; twice as long after each further one.
    pub backoff: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
    /// How long nobody starts it once its breaker is open.
    pub cooldown: Duration,
}

/// How a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourcePhase {
    /// Nobody watches.
    Stopped,
    /// It runs.
    Running,
    /// It runs or is about to, and what it feeds from does not answer.
    Waiting,
    /// Its breaker is open until then.
    Broken {
        /// When it may be started again.
        until: Tick,
    },
    /// It has come to its end.
    Finished,
}

impl SourcePhase {
    /// The phase's name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            SourcePhase::Stopped => "stopped",
            SourcePhase::Running => "running",
            SourcePhase::Waiting => "waiting",
            SourcePhase::Broken { .. } => "broken",
            SourcePhase::Finished => "finished",
        }
    }
}

/// What becomes of an attempt to start a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartSource {
    /// The caller is to run it.
    Start {
        /// The number of this run, for [`SourceState::stop`].
        run: u64,
    },
    /// Somebody runs it already, or it has come to its end.
    Nothing,
    /// Its breaker is open until then.
    Broken {
        /// When it may be started again.
        until: Tick,
    },
}

/// What readers are told of a source. They remember the last they were told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SourceView {
    /// Changes with anything else here.
    pub version: u64,
    /// What it feeds from does not answer.
    pub is_waiting: bool,
    /// Errors in all.
    pub errors: u64,
    /// Its breaker is open.
    pub is_broken: bool,
}

/// What operators see of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceInfo {
    /// How it is.
    pub phase: SourcePhase,
    /// Since when.
    pub since: Tick,
    /// Errors in all.
    pub errors: u64,
    /// The last reason to wait or error, while it matters.
    pub why: Option<StdArc<str>>,
}

#[derive(Debug)]
struct Inside {
    phase: SourcePhase,
    /// How often it was started.
    runs: u64,
    since: Tick,
    errors: u64,
    errors_in_a_row: u32,
    why: Option<StdArc<str>>,
}

/// How one source is, shared by whoever runs it, its readers and operators.
#[derive(Debug)]
pub struct SourceState {
    /// For a look without the lock.
    version: AtomicU64,
    inside: Mutex<Inside>,
    /// Whoever runs it, told when the last subscriber has left.
    runner: AtomicWaker,
    left_at: AtomicU64,
}

impl SourceState {
    /// One that nobody watches.
    #[must_use]
    pub fn new(now: Tick) -> SourceState {
        let inside = Inside {
            phase: SourcePhase::Stopped,
            runs: 0,
            since: now,
            errors: 0,
            errors_in_a_row: 0,
            why: None,
        };
        SourceState {
            version: AtomicU64::new(0),
            inside: Mutex::new(inside),
            runner: AtomicWaker::new(),
            left_at: AtomicU64::new(now.0),
        }
    }

    /// Changes whenever readers are to be told something.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    /// What readers are told.
    #[must_use]
    pub fn view(&self) -> SourceView {
        // The version first: what changes meanwhile is told again.
        let version = self.version();
        let inside = self.inside.lock();
        SourceView {
            version,
            is_waiting: inside.phase == SourcePhase::Waiting,
            errors: inside.errors,
            is_broken: matches!(inside.phase, SourcePhase::Broken { .. }),
        }
    }

    /// What operators see.
    #[must_use]
    pub fn info(&self) -> SourceInfo {
        let inside = self.inside.lock();
        SourceInfo {
            phase: inside.phase,
            since: inside.since,
            errors: inside.errors,
            why: inside.why.clone(),
        }
    }

    /// Errors in all.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.inside.lock().errors
    }

    /// Where whoever runs it is woken when the last subscriber has left, or the session has ended.
    pub fn runner(&self) -> &AtomicWaker {
        &self.runner
    }

    /// The last subscriber has left.
    pub fn last_has_left(&self, now: Tick) {
        self.left_at.fetch_max(now.0, Ordering::SeqCst);
        self.runner.wake();
    }

    /// When the last subscriber left last.
    #[must_use]
    pub fn left_at(&self) -> Tick {
        Tick(self.left_at.load(Ordering::SeqCst))
    }

    /// A subscriber came: whether the source is to be started. After a breaker's time one error opens it again.
    pub fn start(&self, now: Tick) -> StartSource {
        let mut inside = self.inside.lock();
        match inside.phase {
            SourcePhase::Stopped => {}
            SourcePhase::Broken { until } if now < until => return StartSource::Broken { until },
            SourcePhase::Broken { .. } => {
                inside.errors_in_a_row = inside.errors_in_a_row.saturating_sub(1);
                self.version.fetch_add(1, Ordering::SeqCst);
            }
            SourcePhase::Running | SourcePhase::Waiting | SourcePhase::Finished => {
                return StartSource::Nothing;
            }
        }
        inside.turn(SourcePhase::Running, now, None);
        inside.runs += 1;
        StartSource::Start { run: inside.runs }
    }

    /// Whoever ran it has stopped, unless `still_wanted` says that somebody came meanwhile. `true`: it has stopped.
    /// Looked at under the lock that [`SourceState::start`] takes: either the newcomer is seen here, or it starts
    /// the source anew. A run that has stopped already stops no later one.
    pub fn stop(&self, now: Tick, run: u64, still_wanted: impl FnOnce() -> bool) -> bool {
        let mut inside = self.inside.lock();
        if inside.runs != run {
            return true;
        }
        if still_wanted() {
            return false;
        }
        if matches!(inside.phase, SourcePhase::Running | SourcePhase::Waiting) {
            inside.turn(SourcePhase::Stopped, now, None);
        }
        true
    }

    /// It came to its end: nobody starts it any more.
    pub fn finish(&self, now: Tick) {
        let mut inside = self.inside.lock();
        if inside.phase == SourcePhase::Waiting {
            self.version.fetch_add(1, Ordering::SeqCst);
        }
        inside.turn(SourcePhase::Finished, now, None);
    }

    /// It fed something, or what it feeds from answers again. `true`: readers are to be told.
    pub fn succeeded(&self, now: Tick) -> bool {
        let mut inside = self.inside.lock();
        inside.errors_in_a_row = 0;
        let was_waiting = inside.phase == SourcePhase::Waiting;
        if was_waiting {
            inside.turn(SourcePhase::Running, now, None);
            self.version.fetch_add(1, Ordering::SeqCst);
        }
        was_waiting
    }

    /// What it feeds from does not answer, because of `why`. This is no error of its own: it is not given up. `true`:
    /// readers are to be told.
    pub fn waits(&self, now: Tick, why: &str) -> bool {
        let mut inside = self.inside.lock();
        match inside.phase {
            SourcePhase::Running => {}
            SourcePhase::Waiting => {
                inside.why = Some(why.into());
                return false;
            }
            _ => return false,
        }
        inside.turn(SourcePhase::Waiting, now, Some(why));
        self.version.fetch_add(1, Ordering::SeqCst);
        true
    }

    /// It failed. Returns when it is to be tried again (`draw` is any number, for the jitter), or `None`: its breaker is
    /// open.
    pub fn failed(&self, now: Tick, why: &str, policy: &SourcePolicy, draw: u64) -> Option<Tick> {
        let mut inside = self.inside.lock();
        inside.errors += 1;
        inside.errors_in_a_row = inside.errors_in_a_row.saturating_add(1);
        self.version.fetch_add(1, Ordering::SeqCst);
        if inside.errors_in_a_row >= policy.breaker_errors {
            let until = now.after(policy.cooldown);
            inside.turn(SourcePhase::Broken { until }, now, Some(why));
            return None;
        }
        inside.turn(SourcePhase::Waiting, now, Some(why));
        let doublings = (inside.errors_in_a_row - 1).min(16);
        let most = (policy.backoff * (1 << doublings)).min(policy.backoff_max);
        let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        Some(now.after(Duration::from_millis(draw % most.saturating_add(1).max(1))))
    }
}

impl Inside {
    fn turn(&mut self, phase: SourcePhase, now: Tick, why: Option<&str>) {
        if self.phase.name() != phase.name() {
            self.since = now;
        }
        self.phase = phase;
        self.why = why.map(Into::into);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: SourcePolicy = SourcePolicy {
        breaker_errors: 3,
        backoff: Duration::from_millis(100),
        backoff_max: Duration::from_millis(150),
        cooldown: Duration::from_secs(30),
    };

    fn started() -> SourceState {
        let state = SourceState::new(Tick::ZERO);
        assert_eq!(state.start(Tick::ZERO), StartSource::Start { run: 1 });
        state
    }

    #[test]
    fn it_is_started_by_one_and_shared_by_all_others() {
        let state = started();
        assert_eq!(state.start(Tick(1)), StartSource::Nothing);
        state.waits(Tick(2), "no answer");
        assert_eq!(state.start(Tick(2)), StartSource::Nothing);
        assert!(!state.stop(Tick(3), 1, || true), "somebody came meanwhile");
        assert!(state.stop(Tick(3), 1, || false));
        assert_eq!(state.start(Tick(4)), StartSource::Start { run: 2 });
        assert!(state.stop(Tick(4), 1, || false), "the first run is over");
        assert_eq!(state.start(Tick(4)), StartSource::Nothing, "and has not stopped the second");
        state.finish(Tick(5));
        assert_eq!(state.start(Tick(6)), StartSource::Nothing, "it has come to its end");
    }

    #[test]
    fn three_errors_in_a_row_open_the_breaker_and_only_a_success_sets_them_back() {
        let state = started();
        assert!(state.failed(Tick(1), "a", &POLICY, 0).is_some());
        assert!(state.failed(Tick(2), "b", &POLICY, 0).is_some());
        assert!(state.view().is_waiting);
        assert!(state.succeeded(Tick(3)), "readers are told that it is back");
        assert!(state.failed(Tick(4), "c", &POLICY, 0).is_some());
        assert!(state.failed(Tick(5), "d", &POLICY, 0).is_some());
        assert_eq!(state.failed(Tick(6), "e", &POLICY, 0), None);
        assert!(state.view().is_broken);
        let info = state.info();
        assert_eq!((info.errors, info.since, info.why.as_deref()), (5, Tick(6), Some("e")));
    }

    #[test]
    fn a_breaker_keeps_newcomers_out_for_its_time_and_then_one_error_opens_it_again() {
        let state = started();
        for now in 1..=3 {
            state.failed(Tick(now), "x", &POLICY, 0);
        }
        let until = Tick(30_003);
        assert_eq!(state.start(Tick(30_002)), StartSource::Broken { until });
        assert!(state.stop(Tick(30_002), 1, || false), "nobody runs it");
        assert_eq!(state.start(until), StartSource::Start { run: 2 });
        assert!(!state.view().is_broken);
        assert_eq!(state.failed(until, "y", &POLICY, 0), None);
    }

    #[test]
    fn waiting_is_no_error_and_is_told_once() {
        let state = started();
        assert!(state.waits(Tick(1), "no answer"));
        let version = state.version();
        assert!(!state.waits(Tick(9), "refused"), "told already");
        assert_eq!(state.version(), version);
        let info = state.info();
        assert_eq!((info.since, info.errors, info.why.as_deref()), (Tick(1), 0, Some("refused")));
        assert!(state.succeeded(Tick(10)));
        assert!(!state.succeeded(Tick(11)));
        assert_ne!(state.version(), version);
    }

    #[test]
    fn it_is_tried_again_at_random_within_a_time_that_doubles_up_to_its_limit() {
        for (draw, first, second) in [(0, 0, 0), (100, 100, 100), (150, 49, 150), (u64::MAX, 99, 91)] {
            let state = started();
            let at = |tick: Option<Tick>| tick.map(|tick| tick.0);
            let policy = SourcePolicy { backoff_max: Duration::from_millis(150), ..POLICY };
            let one = at(state.failed(Tick::ZERO, "x", &policy, draw)).unwrap();
            let two = at(state.failed(Tick::ZERO, "x", &policy, draw)).unwrap();
            assert!(one <= 100 && two <= 150, "{one} {two}");
            if draw <= 150 {
                assert_eq!((one, two), (first, second));
            }
        }
    }
}
