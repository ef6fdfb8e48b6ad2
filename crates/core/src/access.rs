//! The right under which streams are open: one value for all streams of a token, or of a token and a resource.
//!
//! It says whose the streams are, when their token expires, and whether the right was withdrawn since. Streams hold
//! it by an [`AccessLease`]; each stream's [`Life`](crate::Life) looks at it whenever it is asked what is due. Whoever
//! asks whether the right still stands (a directory, an issuer) puts the [`Question`] with it and tells it the answer,
//! once for all its streams.

mod registry;

use std::any::Any;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

pub use self::registry::{AccessError, AccessKey, AccessRegistry, Grant, Withdrawn};
use crate::budget::Permit;
use crate::ledger::Entry;
use crate::life::CloseReason;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use crate::time::Tick;

/// How one finds out whether a right still stands. The rules never ask by themselves.
pub trait Question: Any + Debug + Send + Sync {
    /// Asks; `user` is whose the right is. Dropping the future gives the question up.
    fn ask(&self, user: Option<&Arc<str>>) -> PendingAnswer;
}

/// An answer that is on its way.
pub type PendingAnswer = Pin<Box<dyn Future<Output = Result<Answer, NoAnswer>> + Send>>;

/// Whether a right still stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It does.
    Granted,
    /// It does, until then; the time so far is forgotten.
    GrantedUntil(Tick),
    /// It does not; its streams are closed with this.
    Denied(CloseReason),
}

/// There was no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Whoever knows it erred, or was too slow.
    #[error("{0}")]
    Failed(String),
    /// Nobody was asked: it could not be this time, for lack of room on the hub's own side. That says nothing about
    /// whoever knows it; only if it goes on, it counts.
    #[error("{0}")]
    NotAsked(String),
}

/// Questions in a row that could not be put, after which it counts as a missing answer.
const NOT_ASKED_MAX: u8 = 10;

/// What holds for all questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessPolicy {
    /// How often a right in use is asked about; `None`: never.
    pub interval: Option<Duration>,
    /// Missing answers in a row that close its streams (`CIRCUIT_OPEN`).
    pub breaker_errors: u8,
    /// Missing answers close nothing: access is kept while nobody answers.
    pub fail_open: bool,
}

/// By how much the time between two questions is shortened at random, percent: so that the rights of many streams that
/// came at once are not asked about at once for ever.
const JITTER_PERCENT: u64 = 20;

impl AccessPolicy {
    /// When a question is put again that could not be put: soon, and not all of them at once.
    #[must_use]
    pub fn try_again(&self, now: Tick, draw: u64) -> Tick {
        const SOON_MS: u64 = 1_000;
        now.after(Duration::from_millis(SOON_MS / 2 + draw % SOON_MS)).min(self.next_question(now, draw))
    }

    /// When a right is asked about next, given a random `draw` (any number).
    #[must_use]
    pub fn next_question(&self, now: Tick, draw: u64) -> Tick {
        let Some(interval) = self.interval else { return Tick::NEVER };
        let millis = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        let span = millis / 100 * JITTER_PERCENT;
        now.after(Duration::from_millis(millis - draw % (span + 1)))
    }
}

/// The right under which streams are open. Given back to its registry when the last who holds it lets go.
#[derive(Debug)]
pub struct Access {
    user: Option<Arc<str>>,
    expires: AtomicU64,
    /// Zero, or one more than the number of the reason.
    withdrawn: AtomicU8,
    errors_in_a_row: AtomicU8,
    not_asked_in_a_row: AtomicU8,
    validations: AtomicU32,
    errors: AtomicU32,
    /// Streams that are open under it.
    streams: AtomicU32,
    question: Option<Box<dyn Question>>,
    key: AccessKey,
    registry: Arc<AccessRegistry>,
    _permit: Permit,
    _entry: Entry,
}

impl Access {
    /// Whose it is.
    #[must_use]
    pub fn user(&self) -> Option<&Arc<str>> {
        self.user.as_ref()
    }

    /// When it expires; [`Tick::NEVER`] if it does not.
    #[must_use]
    pub fn expires(&self) -> Tick {
        Tick(self.expires.load(Ordering::Acquire))
    }

    /// Why it was withdrawn, if it was.
    #[must_use]
    pub fn withdrawn(&self) -> Option<CloseReason> {
        let number = self.withdrawn.load(Ordering::Acquire);
        number.checked_sub(1).and_then(|number| CloseReason::ALL.get(usize::from(number)).copied())
    }

    /// How one finds out whether it still stands.
    #[must_use]
    pub fn question(&self) -> Option<&dyn Question> {
        self.question.as_deref()
    }

    /// How often it was asked about.
    #[must_use]
    pub fn validations(&self) -> u32 {
        self.validations.load(Ordering::Relaxed)
    }

    /// How often there was no answer.
    #[must_use]
    pub fn errors(&self) -> u32 {
        self.errors.load(Ordering::Relaxed)
    }

    /// Streams that are open under it.
    #[must_use]
    pub fn streams(&self) -> u32 {
        self.streams.load(Ordering::Relaxed)
    }

    /// Withdraws it: every stream under it is closed with this reason when its life is asked next, and nobody gets it
    /// from the registry any more. Tells nobody: whoever withdraws sees to it that the lives are asked. `true` if this
    /// reason stands; the first does.
    pub fn withdraw(&self, reason: CloseReason) -> bool {
        let number = 1 + reason as u8;
        let stands = self.withdrawn.compare_exchange(0, number, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if stands {
            self.registry.forget(self);
        }
        stands
    }

    /// Hears what became of a question. `true`: its streams are to be looked at.
    pub fn hear(&self, answer: &Result<Answer, NoAnswer>, policy: &AccessPolicy) -> bool {
        if let Err(NoAnswer::NotAsked(_)) = answer {
            let in_a_row = self.not_asked_in_a_row.load(Ordering::Relaxed).saturating_add(1);
            let counts = in_a_row >= NOT_ASKED_MAX;
            self.not_asked_in_a_row.store(if counts { 0 } else { in_a_row }, Ordering::Relaxed);
            if !counts {
                return false;
            }
        } else {
            self.not_asked_in_a_row.store(0, Ordering::Relaxed);
        }
        saturating_add(&self.validations);
        match answer {
            Ok(Answer::Denied(reason)) => return self.withdraw(*reason),
            Ok(Answer::Granted) => {}
            Ok(Answer::GrantedUntil(until)) => {
                let before = self.expires.swap(until.0, Ordering::AcqRel);
                self.errors_in_a_row.store(0, Ordering::Relaxed);
                // Timers stand at what was known before: one that is to fire earlier is set anew.
                return until.0 < before;
            }
            Err(NoAnswer::Failed(_) | NoAnswer::NotAsked(_)) => {
                saturating_add(&self.errors);
                // One question about a right at a time: nobody else counts meanwhile.
                let in_a_row = self.errors_in_a_row.load(Ordering::Relaxed).saturating_add(1);
                self.errors_in_a_row.store(in_a_row, Ordering::Relaxed);
                let opens = in_a_row >= policy.breaker_errors && !policy.fail_open;
                return opens && self.withdraw(CloseReason::CircuitOpen);
            }
        }
        self.errors_in_a_row.store(0, Ordering::Relaxed);
        false
    }

    /// Opens a stream under it.
    ///
    /// # Errors
    /// When its user has as many as a user may have, or it was withdrawn.
    pub fn lease(self: &Arc<Self>) -> Result<AccessLease, AccessError> {
        if let Some(reason) = self.withdrawn() {
            return Err(AccessError::Withdrawn(reason));
        }
        if let Some(user) = &self.user {
            self.registry.open_stream(user)?;
        }
        self.streams.fetch_add(1, Ordering::Relaxed);
        let lease =
            AccessLease { access: Arc::clone(self), validations: self.validations(), errors: self.errors() };
        Ok(lease)
    }
}

fn saturating_add(count: &AtomicU32) {
    // Nobody waits for this count: a lost addition at the very end of its range is none.
    if count.load(Ordering::Relaxed) < u32::MAX {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        self.registry.forget(self);
    }
}

/// One stream's hold on its access. Dropping it gives the user's place back.
#[derive(Debug)]
#[must_use = "dropping the lease closes the stream for its user's limit"]
pub struct AccessLease {
    access: Arc<Access>,
    /// What had been counted before the stream began.
    validations: u32,
    errors: u32,
}

impl AccessLease {
    /// What it holds.
    #[must_use]
    pub fn access(&self) -> &Arc<Access> {
        &self.access
    }

    /// How often the right was asked about since the stream began.
    #[must_use]
    pub fn validations(&self) -> u32 {
        self.access.validations().saturating_sub(self.validations)
    }

    /// How often there was no answer since the stream began.
    #[must_use]
    pub fn errors(&self) -> u32 {
        self.access.errors().saturating_sub(self.errors)
    }
}

impl Drop for AccessLease {
    fn drop(&mut self) {
        self.access.streams.fetch_sub(1, Ordering::Relaxed);
        if let Some(user) = &self.access.user {
            self.access.registry.close_stream(user);
        }
    }
}

// With the two counts of its `Arc` a size class of the allocator: one byte more costs 16 for each right.
const _: () = assert!(cfg!(loom) || cfg!(debug_assertions) || size_of::<Access>() <= 112);
