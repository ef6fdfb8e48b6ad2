//! The life of a stream: what is due, whether it may end, how it ended.
//!
//! Every stream has one [`Life`], whatever delivers it: a socket in a pump, a response body, a long-poll, a Rust
//! stream. It alone decides. A delivery brings a clock and a way to write; it asks [`Life::due`] when the timer
//! of [`Life::next`] fires, does what is due, and says what became of it (`wrote`, `stalled`, `has_room`). Whoever wants to end a stream says [`Life::close`] (now) or [`Life::finish`] (once it
//! has read what there is).
//!
//! A stream is open, then closing (its closing event is being written), then ended. The first reason to close
//! stands, and so does the first end.

mod policy;
mod reason;

use std::sync::Arc;
use std::time::Duration;

pub use self::policy::{Delivery, Policy};
pub use self::reason::{CloseReason, End};
use crate::access::{Access, AccessLease};
use crate::time::Tick;

/// What a stream's timer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing yet; look again at this instant.
    Wait(Tick),
    /// There was silence: write a heartbeat, then say `wrote`, `stalled` or `skipped_heartbeat`.
    Heartbeat,
    /// The reader's deadline has passed: try to write once more, then say `wrote` or `stalled`. It has a short grace.
    TryWrite,
    /// It has just begun to close: write the closing event, then say `told`.
    Close(CloseReason),
    /// It is over: give everything back.
    End(End),
}

/// A stream that is to end once its reader has read what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finish {
    /// What its reader is told then.
    pub reason: CloseReason,
    /// When it is told at the latest, even if it has not read everything; [`Tick::NEVER`]: for as long as it
    /// reads.
    pub close_at: Tick,
    /// When it is cut off at the latest; [`Tick::NEVER`]: the closing event has its usual grace.
    pub cut_off_at: Tick,
}

impl Finish {
    /// For as long as its reader reads; the closing event has its usual grace.
    #[must_use]
    pub fn after_log(reason: CloseReason) -> Finish {
        Finish { reason, close_at: Tick::NEVER, cut_off_at: Tick::NEVER }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Open, and to be closed once it has caught up.
    Finishing(Finish),
    /// The closing event is on its way; `by` then the stream is cut off.
    Closing {
        reason: CloseReason,
        by: Tick,
    },
    Ended(End),
}

/// What a stream is doing: one record, shown in listings and in the log.
#[derive(Debug, Clone)]
pub struct ConnectionState {
    /// How it is delivered.
    pub delivery: Delivery,
    /// When it began.
    pub started: Tick,
    /// Events sent.
    pub sent: u64,
    /// Bytes the peer sent after its request; they are read and thrown away.
    pub received: u32,
    /// Errors that its source had had when it began.
    pub source_errors_before: u64,
}

/// One stream's life. Time is an argument of every call; a call that comes late still gets what was due before it.
#[derive(Debug)]
pub struct Life {
    policy: Arc<Policy>,
    phase: Phase,
    state: ConnectionState,
    /// The right under which it is open; `None`: nobody asked for one.
    access: Option<AccessLease>,
    /// When bytes were last accepted by the reader's side.
    last_write: Tick,
    /// Since when something waits that the reader does not accept; [`Tick::NEVER`] if nothing does.
    stalled_since: Tick,
    /// When one more write was tried after the reader's deadline; [`Tick::NEVER`] if none was.
    tried_at: Tick,
    /// When its age ends it.
    deadline: Tick,
}

impl Life {
    /// A stream that opens at `now`, under a right if one was asked for. `draw` is any random number, for the jitter of its age.
    #[must_use]
    pub fn begin(
        now: Tick,
        policy: Arc<Policy>,
        delivery: Delivery,
        access: Option<AccessLease>,
        draw: u64,
    ) -> Life {
        let deadline = policy.age_of_one(draw).map_or(Tick::NEVER, |age| now.after(age));
        Life {
            policy,
            phase: Phase::Open,
            state: ConnectionState { delivery, started: now, sent: 0, received: 0, source_errors_before: 0 },
            access,
            last_write: now,
            stalled_since: Tick::NEVER,
            tried_at: Tick::NEVER,
            deadline,
        }
    }

    /// Another delivery takes the stream over; its age and everything else go on.
    pub fn deliver_by(&mut self, delivery: Delivery) {
        self.state.delivery = delivery;
    }

    /// How it is delivered.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        self.state.delivery
    }

    /// The figures it lives under.
    #[must_use]
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// What it is doing.
    #[must_use]
    pub fn state(&self) -> &ConnectionState {
        &self.state
    }

    /// The right under which it is open, if one was asked for.
    #[must_use]
    pub fn access(&self) -> Option<&Arc<Access>> {
        self.access.as_ref().map(AccessLease::access)
    }

    /// Whose it is, if that is known.
    #[must_use]
    pub fn user(&self) -> Option<&Arc<str>> {
        self.access().and_then(|access| access.user())
    }

    /// How often its right was asked about.
    #[must_use]
    pub fn validations(&self) -> u32 {
        self.access.as_ref().map_or(0, AccessLease::validations)
    }

    /// Errors in all: of its source since it began (`source_errors`: what that has had by now), and questions about its
    /// right that got no answer.
    #[must_use]
    pub fn errors(&self, source_errors: u64) -> u32 {
        let of_source = source_errors.saturating_sub(self.state.source_errors_before);
        let of_source = u32::try_from(of_source).unwrap_or(u32::MAX);
        of_source.saturating_add(self.access.as_ref().map_or(0, AccessLease::errors))
    }

    /// It begins with a source that has had so many errors.
    #[must_use]
    pub fn after_source_errors(mut self, errors: u64) -> Life {
        self.state.source_errors_before = errors;
        self
    }

    /// Whether something waits that its reader does not accept.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.stalled_since.is_set()
    }

    /// Why it is closing, once it is: its closing event is to be written, and nothing else.
    #[must_use]
    pub fn closing(&self) -> Option<CloseReason> {
        match self.phase {
            Phase::Closing { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// How it ended, once it has.
    #[must_use]
    pub fn ended(&self) -> Option<End> {
        match self.phase {
            Phase::Ended(end) => Some(end),
            _ => None,
        }
    }

    /// When the timer is to fire next; [`Tick::NEVER`]: not at all.
    #[must_use]
    pub fn next(&self) -> Tick {
        let ends = match self.phase {
            Phase::Ended(_) => return Tick::ZERO,
            Phase::Closing { reason, by } => {
                return self.after_last_try(by, self.policy.closing_grace(reason));
            }
            Phase::Finishing(finish) => finish.close_at,
            Phase::Open => Tick::NEVER,
        };
        let silence = if self.stalled_since.is_set() {
            let patience = self.policy.patience(self.state.delivery);
            self.after_last_try(self.stalled_since.after(patience), patience)
        } else if self.state.delivery.has_heartbeat() {
            self.last_write.after(self.policy.heartbeat)
        } else {
            Tick::NEVER
        };
        let access = match self.access() {
            None => Tick::NEVER,
            Some(access) if access.withdrawn().is_some() => Tick::ZERO,
            Some(access) => access.expires(),
        };
        ends.min(silence).min(self.deadline).min(access)
    }

    /// What is due at `now`. Ends come before heartbeats.
    pub fn due(&mut self, now: Tick) -> Due {
        match self.phase {
            Phase::Ended(end) => return Due::End(end),
            Phase::Closing { reason, by } => {
                return self.at_last(now, by, self.policy.closing_grace(reason), End::CutOff(reason));
            }
            Phase::Finishing(finish) if now >= finish.close_at => return self.closes(now, finish.reason),
            Phase::Open | Phase::Finishing(_) => {}
        }
        if let Some(access) = self.access() {
            if let Some(reason) = access.withdrawn() {
                return self.closes(now, reason);
            }
            if now >= access.expires() {
                return self.closes(now, CloseReason::TokenExpired);
            }
        }
        if now >= self.deadline {
            return self.closes(now, CloseReason::Timeout);
        }
        if self.stalled_since.is_set() {
            let patience = self.policy.patience(self.state.delivery);
            let over = self.stalled_since.after(patience);
            match self.at_last(now, over, patience, End::CutOff(CloseReason::SlowConsumer)) {
                Due::Wait(_) => {}
                due => return due,
            }
        }
        let is_silent = !self.stalled_since.is_set() && self.state.delivery.has_heartbeat();
        if is_silent && now >= self.last_write.after(self.policy.heartbeat) {
            return Due::Heartbeat;
        }
        Due::Wait(self.next())
    }

    /// The reader's side accepted bytes; `waiting`: more of them wait.
    pub fn wrote(&mut self, now: Tick, waiting: bool) {
        self.last_write = self.last_write.max(now);
        self.stalled_since = if waiting { now } else { Tick::NEVER };
        self.tried_at = Tick::NEVER;
    }

    /// Something waits that the reader's side did not accept.
    pub fn stalled(&mut self, now: Tick) {
        self.stalled_since = self.stalled_since.min(now);
    }

    /// The reader could not take what waits through no fault of its own: its deadline does not pass before `until`. Returns
    /// since when it counts as waiting, at the earliest.
    pub fn prolong(&mut self, until: Tick) -> Tick {
        let patience = self.policy.patience(self.state.delivery);
        let since = Tick(until.0.saturating_sub(Tick::ZERO.after(patience).0));
        if self.stalled_since.is_set() && self.stalled_since < since {
            self.stalled_since = since;
            self.tried_at = Tick::NEVER;
        }
        since
    }

    /// The reader's side has room again, and nothing waits any more.
    pub fn has_room(&mut self) {
        self.stalled_since = Tick::NEVER;
        self.tried_at = Tick::NEVER;
    }

    /// No heartbeat was written: other bytes are about to be.
    pub fn skipped_heartbeat(&mut self, now: Tick) {
        self.last_write = self.last_write.max(now);
    }

    /// The reader was given events.
    pub fn sent(&mut self, events: u64) {
        self.state.sent += events;
    }

    /// The peer sent bytes behind its request. Returns how many there were so far.
    pub fn received(&mut self, bytes: usize) -> u32 {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.state.received = self.state.received.saturating_add(bytes);
        self.state.received
    }

    /// Closes the stream: its closing event is written next. `true` if this reason stands; `false` if it was
    /// closing or had ended already. A slow reader that takes nothing is cut off at once.
    pub fn close(&mut self, now: Tick, reason: CloseReason) -> bool {
        let latest = match self.phase {
            Phase::Open => Tick::NEVER,
            Phase::Finishing(finish) => finish.cut_off_at,
            Phase::Closing { .. } | Phase::Ended(_) => return false,
        };
        let by = now.after(self.policy.closing_grace(reason)).min(latest);
        self.tried_at = Tick::NEVER;
        self.phase = if reason == CloseReason::SlowConsumer && self.stalled_since.is_set() {
            Phase::Ended(End::CutOff(reason))
        } else {
            Phase::Closing { reason, by }
        };
        true
    }

    /// Closes the stream once its reader has read what there is. The first request stands; other ends may come
    /// before it.
    pub fn finish(&mut self, finish: Finish) {
        if self.phase == Phase::Open {
            self.phase = Phase::Finishing(finish);
        }
    }

    /// The reader has read what there is. `true`: that was all, and the closing event is to be written.
    pub fn caught_up(&mut self, now: Tick) -> bool {
        match self.phase {
            Phase::Finishing(finish) => self.close(now, finish.reason),
            _ => false,
        }
    }

    /// The reader took the closing event.
    pub fn told(&mut self) {
        if let Phase::Closing { reason, .. } = self.phase {
            self.phase = Phase::Ended(End::Closed(reason));
        }
    }

    /// It is over by itself (its peer left, it was answered). `true` the first time only.
    pub fn end(&mut self, end: End) -> bool {
        if matches!(self.phase, Phase::Ended(_)) {
            return false;
        }
        self.phase = Phase::Ended(end);
        true
    }

    fn closes(&mut self, now: Tick, reason: CloseReason) -> Due {
        self.close(now, reason);
        match self.phase {
            Phase::Ended(end) => Due::End(end),
            _ => Due::Close(reason),
        }
    }

    /// A reader's deadline is `over`: after it one more write is tried and a grace begins, because the clock may
    /// have jumped past the deadline.
    fn at_last(&mut self, now: Tick, over: Tick, time: Duration, end: End) -> Due {
        if now < over {
            return Due::Wait(over);
        }
        if !self.tried_at.is_set() {
            self.tried_at = now;
            return Due::TryWrite;
        }
        let by = self.tried_at.after(self.policy.last_try(time));
        if now < by {
            return Due::Wait(by);
        }
        self.phase = Phase::Ended(end);
        Due::End(end)
    }

    fn after_last_try(&self, over: Tick, time: Duration) -> Tick {
        if self.tried_at.is_set() { self.tried_at.after(self.policy.last_try(time)) } else { over }
    }
}
