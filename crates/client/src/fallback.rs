//! Which way to ask next: by stream, or by long-poll where no stream comes through. Pure; knows no socket and
//! no clock.
//!
//! One loop, one request at a time: each outcome decides the next request.

use std::time::Duration;

use crate::error::Error;
use crate::limits::{FALLBACK_AFTER, PROBE_INTERVAL_MAX, PROBE_INTERVAL_MIN};

/// How the next request asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Stream,
    Poll,
}

/// What is known of the two ways.
#[derive(Debug)]
pub(crate) struct Fallback {
    /// Off if the application says so, or once whoever answers has not understood.
    enabled: bool,
    /// Failures in a row after which long-poll is tried.
    after: u32,
    /// Attempts in a row over which no byte of a stream came.
    mute_failures: u32,
    /// There while the stream is given up for now.
    given_up: Option<GivenUp>,
}

#[derive(Debug)]
struct GivenUp {
    /// When to try the stream again.
    probe_at: Duration,
    /// From one such probe to the next.
    interval: Duration,
    /// Whether the last long-poll was answered.
    working: bool,
}

/// How to go on after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) way: Way,
    /// Whether the other way works, so that there is nothing to wait for.
    pub(crate) at_once: bool,
}

impl Fallback {
    pub(crate) fn new(enabled: bool) -> Self {
        Self { enabled, after: FALLBACK_AFTER, mute_failures: 0, given_up: None }
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

    /// A byte of a stream came.
    pub(crate) fn stream_spoke(&mut self) {
        self.mute_failures = 0;
        self.given_up = None;
    }

    /// An attempt at a stream failed before a byte of it came.
    pub(crate) fn stream_failed(&mut self, error: &Error, now: Duration) -> Next {
        // Nobody was there at all: that says nothing about streams, so the first long-poll that is answered
        // is followed by a probe.
        let unreachable = matches!(error, Error::Connect { .. });
        if let Some(given_up) = &mut self.given_up {
            if unreachable && !given_up.working {
                given_up.probe_at = now;
            } else {
                given_up.interval = given_up.interval.saturating_mul(2).min(PROBE_INTERVAL_MAX);
                given_up.probe_at = now.saturating_add(given_up.interval);
            }
            return Next { way: Way::Poll, at_once: given_up.working };
        }
        // Who says when to come back speaks to us well enough.
        if !self.enabled || error.retry_after().is_some() {
            return Next { way: Way::Stream, at_once: false };
        }
        self.mute_failures += 1;
        if self.mute_failures < self.after {
            return Next { way: Way::Stream, at_once: false };
        }
        self.mute_failures = 0;
        let interval = PROBE_INTERVAL_MIN;
        let probe_at = if unreachable { now } else { now.saturating_add(interval) };
        self.given_up = Some(GivenUp { probe_at, interval, working: false });
        Next { way: Way::Poll, at_once: false }
    }

    /// A long-poll was answered.
    pub(crate) fn poll_answered(&mut self, now: Duration) -> Way {
        let Some(given_up) = &mut self.given_up else { return Way::Stream };
        given_up.working = true;
        if now >= given_up.probe_at { Way::Stream } else { Way::Poll }
    }

    /// A long-poll failed: neither way is better than the other.
    pub(crate) fn poll_failed(&mut self) -> Next {
        if let Some(given_up) = &mut self.given_up {
            given_up.working = false;
        }
        Next { way: Way::Stream, at_once: false }
    }

    /// Whoever answers knows no long-poll: it is not tried again. If long-polls were answered before, somebody else
    /// has spoken, or half an answer came: that is a failure like any other.
    pub(crate) fn poll_not_understood(&mut self) -> Next {
        if self.is_polling() {
            return self.poll_failed();
        }
        self.enabled = false;
        self.given_up = None;
        Next { way: Way::Stream, at_once: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn unreachable() -> Error {
        Error::Connect { address: String::new(), source: std::io::ErrorKind::ConnectionRefused.into() }
    }

    fn next(way: Way, at_once: bool) -> Next {
        Next { way, at_once }
    }

    #[test]
    fn probes_come_after_thirty_seconds_and_then_ever_more_seldom_up_to_five_minutes() {
        let mut fallback = Fallback::new(true);
        let mut now = Duration::ZERO;
        assert_eq!(fallback.stream_failed(&Error::StreamEnded, now), next(Way::Stream, false));
        assert_eq!(fallback.stream_failed(&Error::StreamEnded, now), next(Way::Stream, false));
        assert_eq!(fallback.stream_failed(&Error::StreamEnded, now), next(Way::Poll, false));
        assert!(!fallback.is_polling());
        for seconds in [30, 60, 120, 240, 300, 300] {
            assert_eq!(fallback.poll_answered(now), Way::Poll);
            assert!(fallback.is_polling());
            now += seconds * SECOND;
            assert_eq!(fallback.poll_answered(now - SECOND), Way::Poll);
            assert_eq!(fallback.poll_answered(now), Way::Stream);
            assert_eq!(fallback.stream_failed(&Error::StreamEnded, now), next(Way::Poll, true));
        }
        fallback.stream_spoke();
        assert!(!fallback.is_polling());
        assert_eq!(fallback.stream_failed(&Error::StreamEnded, now), next(Way::Stream, false));
    }

    #[test]
    fn after_an_outage_the_stream_is_tried_as_soon_as_anything_answers() {
        let mut fallback = Fallback::new(true);
        for _ in 0..3 {
            fallback.stream_failed(&unreachable(), SECOND);
        }
        for _ in 0..10 {
            assert_eq!(fallback.poll_failed(), next(Way::Stream, false));
            assert_eq!(fallback.stream_failed(&unreachable(), SECOND), next(Way::Poll, false));
        }
        assert_eq!(fallback.poll_answered(SECOND), Way::Stream);
    }

    #[test]
    fn what_is_not_understood_is_not_tried_again() {
        let mut fallback = Fallback::new(true);
        for _ in 0..3 {
            fallback.stream_failed(&Error::StreamEnded, SECOND);
        }
        fallback.poll_not_understood();
        for _ in 0..10 {
            assert_eq!(fallback.stream_failed(&Error::StreamEnded, SECOND).way, Way::Stream);
        }
    }
}
