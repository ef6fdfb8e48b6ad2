//! Which way to ask next: by stream, or by long-poll where no stream comes through. Pure; knows no socket and
//! no clock.
//!
//! One loop, one request at a time: each outcome decides the next request. The twin of the TypeScript
//! client's; `clients/cases/reconnect-cases.json` drives both.

use std::time::Duration;

use crate::limits::{FALLBACK_AFTER, POLL_AGAIN_MAX, POLL_AGAIN_MIN, PROBE_INTERVAL_MAX, PROBE_INTERVAL_MIN};

/// How the next request asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Stream,
    Poll,
}

/// What is known of the two ways.
#[derive(Debug)]
pub(crate) struct Fallback {
    /// Off if the application says so.
    enabled: bool,
    /// Failures in a row after which long-poll is tried.
    after: u32,
    /// Attempts in a row in which no stream proved itself.
    silent_streams: u32,
    /// There while the stream is given up for now.
    given_up: Option<GivenUp>,
    /// Whoever answered knew no long-poll: none is tried before this moment ...
    polls_from: Duration,
    /// ... which came after this pause.
    polls_delay: Duration,
}

#[derive(Debug, Clone, Copy)]
struct GivenUp {
    /// When to try the stream again.
    probe_at: Duration,
    /// From one such probe to the next.
    interval: Duration,
    /// Whether the last long-poll was answered.
    working: bool,
}

/// What is known of a stream that failed before it proved itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamFailure {
    /// It was silent until the time was up: somebody on the way may keep streams back.
    pub(crate) is_held_back: bool,
    /// The server said when to come back: whoever speaks so keeps nothing back.
    pub(crate) has_retry_after: bool,
}

/// How to go on after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) way: Way,
    /// Whether the other way works, so that there is nothing to wait for.
    pub(crate) at_once: bool,
}

impl Next {
    const STREAM: Self = Self { way: Way::Stream, at_once: false };
}

impl Fallback {
    pub(crate) fn new(enabled: bool) -> Self {
        Self {
            enabled,
            after: FALLBACK_AFTER,
            silent_streams: 0,
            given_up: None,
            polls_from: Duration::ZERO,
            polls_delay: Duration::ZERO,
        }
    }

    pub(crate) fn set_enabled(&mut self, enabled: bool) {
        self.enabled = enabled;
    }

    /// At least 1.
    pub(crate) fn set_after(&mut self, failures: u32) {
        self.after = failures.max(1);
    }

    /// Whether events come by long-poll at present.
    pub(crate) fn is_polling(&self) -> bool {
        self.given_up.as_ref().is_some_and(|given_up| given_up.working)
    }

    /// A stream brought bytes, and ended otherwise than by silence; or was well for long.
    pub(crate) fn stream_worked(&mut self) -> Next {
        self.silent_streams = 0;
        self.given_up = None;
        Next::STREAM
    }

    /// An attempt at a stream failed before it proved itself.
    pub(crate) fn stream_failed(&mut self, failure: StreamFailure, now: Duration) -> Next {
        if !self.enabled {
            return Next::STREAM;
        }
        if let Some(given_up) = &mut self.given_up {
            if given_up.working {
                given_up.interval = given_up.interval.saturating_mul(2).min(PROBE_INTERVAL_MAX);
            }
            // Where streams were refused, not kept back, the way may be free as soon as anything gets through.
            let is_later = given_up.working || failure.is_held_back;
            given_up.probe_at = if is_later { now.saturating_add(given_up.interval) } else { now };
            return Next { way: Way::Poll, at_once: given_up.working };
        }
        if failure.has_retry_after {
            return Next::STREAM;
        }
        self.silent_streams = self.silent_streams.saturating_add(1);
        if self.silent_streams < self.after || now < self.polls_from {
            return Next::STREAM;
        }
        let interval = PROBE_INTERVAL_MIN;
        let probe_at = if failure.is_held_back { now.saturating_add(interval) } else { now };
        self.given_up = Some(GivenUp { probe_at, interval, working: false });
        Next { way: Way::Poll, at_once: false }
    }

    /// A long-poll was answered.
    pub(crate) fn poll_answered(&mut self, now: Duration) -> Next {
        let Some(given_up) = self.given_up.as_mut().filter(|_| self.enabled) else {
            return Next { way: Way::Stream, at_once: true };
        };
        given_up.working = true;
        self.polls_delay = Duration::ZERO;
        Next { way: if now < given_up.probe_at { Way::Poll } else { Way::Stream }, at_once: true }
    }

    /// A long-poll failed: neither way is better than the other, so they take turns.
    pub(crate) fn poll_failed(&mut self) -> Next {
        if let Some(given_up) = &mut self.given_up {
            given_up.working = false;
        }
        Next::STREAM
    }

    /// Whoever answered knows no long-poll. If long-polls were answered before, somebody else has spoken, or
    /// half an answer came: a failure like any other. If not, streams go on alone, and long-polls are tried
    /// again after ever longer pauses.
    pub(crate) fn poll_not_understood(&mut self, now: Duration) -> Next {
        if self.is_polling() {
            return self.poll_failed();
        }
        self.polls_delay = self.polls_delay.saturating_mul(2).clamp(POLL_AGAIN_MIN, POLL_AGAIN_MAX);
        self.polls_from = now.saturating_add(self.polls_delay);
        self.given_up = None;
        Next::STREAM
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// What the TypeScript client is held to as well.
    const CASES: &str = include_str!("../../../clients/cases/reconnect-cases.json");

    #[derive(Deserialize)]
    struct Cases {
        fallback: Vec<Case>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Case {
        name: String,
        is_enabled: bool,
        steps: Vec<Step>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Step {
        at: u64,
        happened: String,
        #[serde(default)]
        is_held_back: bool,
        #[serde(default)]
        has_retry_after: bool,
        next: String,
        is_at_once: bool,
        is_polling: bool,
    }

    fn follow(fallback: &mut Fallback, step: &Step) -> Next {
        let now = Duration::from_millis(step.at);
        match step.happened.as_str() {
            "streamFailed" => {
                let Step { is_held_back, has_retry_after, .. } = *step;
                fallback.stream_failed(StreamFailure { is_held_back, has_retry_after }, now)
            }
            "streamWorked" => fallback.stream_worked(),
            "pollAnswered" => fallback.poll_answered(now),
            "pollFailed" => fallback.poll_failed(),
            "pollNotUnderstood" => fallback.poll_not_understood(now),
            other => panic!("no such thing happens: {other}"),
        }
    }

    #[test]
    fn what_follows_an_attempt_is_what_the_shared_table_says() {
        let cases: Cases = serde_json::from_str(CASES).unwrap();
        assert!(cases.fallback.len() >= 10);
        for case in cases.fallback {
            let mut fallback = Fallback::new(case.is_enabled);
            for (number, step) in case.steps.iter().enumerate() {
                let next = follow(&mut fallback, step);
                let way = if step.next == "poll" { Way::Poll } else { Way::Stream };
                let expected = (Next { way, at_once: step.is_at_once }, step.is_polling);
                assert_eq!((next, fallback.is_polling()), expected, "{}: step {number}", case.name);
            }
        }
    }

    #[test]
    fn long_poll_is_tried_after_as_many_failures_as_the_application_says() {
        let mut fallback = Fallback::new(true);
        fallback.set_after(0);
        let failure = StreamFailure { is_held_back: true, has_retry_after: false };
        assert_eq!(fallback.stream_failed(failure, Duration::ZERO).way, Way::Poll);
    }
}
