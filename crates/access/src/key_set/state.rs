//! What is known of a key set: its keys, how old they are, when it may be asked again. No I/O; time is an argument.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use futures_util::future::{BoxFuture, Shared};

use crate::fetch::FetchError;
use crate::key::Key;
use crate::key_set::read::{Passed, ReadSet};
use crate::limits::{PASSED_OVER_MAX, RETRY_MIN, UNKNOWN_NAMES_MAX};

/// An answer, shared by all who wait for it.
pub(crate) type Answer = Arc<Result<ReadSet, FetchError>>;

/// A question under way. It holds nothing of the set itself, so that no circle keeps both alive.
pub(crate) type Flight = Shared<BoxFuture<'static, Answer>>;

/// What stands for an unknown key: a digest of its name, or of the token if that names none.
pub(crate) type Unknown = [u8; 32];

pub(crate) fn unknown_key(name: Option<&str>, signed: &str) -> Unknown {
    let (kind, text) = name.map_or((&[0], signed), |name| (&[1], name));
    let mut unknown = [0; 32];
    unknown.copy_from_slice(digest(&SHA256, &[kind, text.as_bytes()].concat()).as_ref());
    unknown
}

/// What there is to say after an answer.
pub(crate) struct Said {
    pub(crate) passed_over: Vec<Passed>,
    pub(crate) is_empty: bool,
    pub(crate) recovered: bool,
}

/// The state of a key set. All times are since the clock's start.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) keys: Arc<[Arc<Key>]>,
    /// When the question began whose answer the keys are.
    read_at: Option<Duration>,
    /// When it is to be read again without anybody asking.
    refresh_at: Duration,
    /// No question before this.
    pub(crate) not_before: Duration,
    failures: u32,
    pub(crate) flight: Option<(u64, Flight)>,
    flights: u64,
    started: Duration,
    /// Unknown keys that tokens have named since the last answer.
    unknown: HashSet<Unknown>,
    /// Those that the question under way was put for.
    asked_about: HashSet<Unknown>,
    /// Unknown keys that were asked about and are not in the last answer.
    absent: HashSet<Unknown>,
    /// Passed-over keys that were logged.
    logged: HashSet<Passed>,
}

impl State {
    /// How old the keys are; `None` if there never were any.
    pub(crate) fn age(&self, now: Duration) -> Option<Duration> {
        self.read_at.map(|at| now.saturating_sub(at))
    }

    pub(crate) fn is_usable(&self, now: Duration, stale: Duration) -> bool {
        self.age(now).is_some_and(|age| age <= stale)
    }

    /// When the keeper is to ask.
    pub(crate) fn due_at(&self) -> Duration {
        let wanted = if self.unknown.is_empty() { self.refresh_at } else { Duration::ZERO };
        self.not_before.max(wanted)
    }

    pub(crate) fn note_unknown(&mut self, unknown: Unknown) {
        if self.unknown.len() < UNKNOWN_NAMES_MAX {
            self.unknown.insert(unknown);
        }
    }

    pub(crate) fn is_absent(&self, unknown: &Unknown) -> bool {
        self.absent.contains(unknown)
    }

    pub(crate) fn start(
        &mut self,
        now: Duration,
        cooldown: Duration,
        ask: impl FnOnce() -> Flight,
    ) -> (u64, Flight) {
        self.flights += 1;
        // What is named from now on is not known to be absent when this question is answered: the issuer may have got it
        // in between.
        self.asked_about = std::mem::take(&mut self.unknown);
        self.started = now;
        self.not_before = now.saturating_add(cooldown);
        let flight = (self.flights, ask());
        self.flight = Some(flight.clone());
        flight
    }

    /// Whether this is the answer that is waited for; it is taken only once.
    pub(crate) fn lands(&mut self, number: u64) -> bool {
        let awaited = self.flight.as_ref().is_some_and(|(awaited, _)| *awaited == number);
        if awaited {
            self.flight = None;
        }
        awaited
    }

    /// Takes a set in. `refresh` is when to read it again, after the question's start.
    pub(crate) fn take(&mut self, set: &ReadSet, refresh: Duration) -> Said {
        let names: HashSet<Unknown> =
            set.keys.iter().filter_map(|key| key.name()).map(|name| unknown_key(Some(name), "")).collect();
        // Keys that are gone are known to be gone: their tokens are not put off.
        let gone = self.keys.iter().filter_map(|key| key.name()).map(|name| unknown_key(Some(name), ""));
        let mut absent: HashSet<Unknown> = gone.chain(self.asked_about.drain()).collect();
        absent.retain(|unknown| !names.contains(unknown));
        self.absent = absent;
        self.keys = Arc::clone(&set.keys);
        self.read_at = Some(self.started);
        self.refresh_at = self.started.saturating_add(refresh);
        let recovered = std::mem::take(&mut self.failures) > 0;
        let mut passed_over = Vec::new();
        for passed in &set.passed_over {
            if self.logged.len() < PASSED_OVER_MAX && self.logged.insert(passed.clone()) {
                passed_over.push(passed.clone());
            }
        }
        Said { passed_over, is_empty: set.keys.is_empty(), recovered }
    }

    /// Notes a failure and when to ask again: anywhere in a span that doubles with each failure in a row, up to the
    /// cool-down, so that many hubs do not come back in step. Returns the failures in a row.
    pub(crate) fn fail(&mut self, now: Duration, cooldown: Duration) -> u32 {
        for name in std::mem::take(&mut self.asked_about) {
            self.note_unknown(name);
        }
        let span = RETRY_MIN.saturating_mul(1 << self.failures.min(20)).min(cooldown.max(RETRY_MIN));
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.saturating_add((span.mul_f64(fastrand::f64())).max(RETRY_MIN));
        self.failures
    }
}
