//! The end of a log: as state that readers come to, and as the way out of the registry.
//!
//! An ended log takes no more events. Its history is kept, read and, under memory pressure, shed like any other,
//! until it is over; what it held when it ended no longer expires by default. A retired log belongs to no
//! session that can be found: whoever still reads it reads all of it.

use std::time::Duration;

use super::{Kept, Log};
use crate::id::Position;
use crate::time::Tick;

/// That a session was ended, when, and for how long its history is kept after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionEnd {
    /// When.
    pub at: Tick,
    /// The same on the wall clock, since the Unix epoch: for people.
    pub ended_at: Duration,
    /// How long the history is kept from then on.
    pub keep: Duration,
}

impl SessionEnd {
    /// When the session is forgotten.
    #[must_use]
    pub fn over_at(&self) -> Tick {
        self.at.after(self.keep)
    }

    /// Whether it is, at `now`. One that is not kept at all is over at once, also for whoever looked at the clock just
    /// before the end.
    #[must_use]
    pub fn is_over(&self, now: Tick) -> bool {
        self.keep.is_zero() || now >= self.over_at()
    }
}

/// What can be done with a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogState {
    /// It takes events and readers.
    Open,
    /// It was ended: it takes readers only.
    Ended,
    /// It is retired, or its history was kept for long enough: its session is to be looked up anew.
    Over,
}

/// What the end of a session takes, bytes.
#[cfg(test)]
pub(crate) const END_BYTES: usize = size_of::<Ended>();

/// Behind a pointer, because few logs have one.
#[derive(Debug, Default)]
pub(super) struct Ended {
    end: Option<SessionEnd>,
    is_retired: bool,
}

impl Log {
    /// A retired log of which nothing is left but its last position: whoever comes back to it is told what it
    /// missed, and that it ended.
    #[must_use]
    pub fn past(last: Position, limits: super::LogLimits) -> Log {
        let mut log = Log::new(last.epoch, limits);
        log.first = last.sequence + 1;
        log.retire();
        log
    }

    /// Ends the log: from now on nothing is appended, and what can be replayed no longer expires, but for events
    /// with a time to live of their own. `false`: it had ended before, and that end stands.
    pub fn end(&mut self, end: SessionEnd) -> bool {
        if self.ended.is_some() {
            return false;
        }
        self.earliest_expiry = Tick::NEVER;
        for kept in &mut self.kept {
            kept.expires = kept.expires.ended(end.at);
            if kept.frame.is_some() {
                self.earliest_expiry = self.earliest_expiry.min(kept.expires.at());
            }
        }
        self.ended = Some(Box::new(Ended { end: Some(end), is_retired: false }));
        true
    }

    /// Takes the log out of use: nothing is appended or let go any more, what is there can still be read by whoever
    /// reads it. Returns how many events it held; 0 if it was retired before.
    pub fn retire(&mut self) -> usize {
        self.counted.set(0);
        let ended = self.ended.get_or_insert_default();
        if std::mem::replace(&mut ended.is_retired, true) { 0 } else { self.events }
    }

    /// Whether it takes no more events: it was ended, or retired.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Whether it was retired.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.ended.as_ref().is_some_and(|ended| ended.is_retired)
    }

    /// Its end, if it was ended; a log that was only retired has none.
    #[must_use]
    pub fn session_end(&self) -> Option<&SessionEnd> {
        self.ended.as_ref()?.end.as_ref()
    }

    /// What can be done with it at `now`.
    #[must_use]
    pub fn state(&self, now: Tick) -> LogState {
        match &self.ended {
            None => LogState::Open,
            Some(ended) if ended.is_retired => LogState::Over,
            Some(ended) if ended.end.is_some_and(|end| end.is_over(now)) => LogState::Over,
            Some(_) => LogState::Ended,
        }
    }
}

/// When an event expires, and whether its publisher said so. Packed, because every event has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry(u64);

impl Expiry {
    /// An event with a time to live of its own.
    #[must_use]
    pub fn own(at: Tick) -> Expiry {
        Expiry(at.0.min(u64::MAX >> 1) << 1 | 1)
    }

    /// An event that lives as long as all do; at the end of its session that is over.
    #[must_use]
    pub fn default_at(at: Tick) -> Expiry {
        Expiry(at.0.min(u64::MAX >> 1) << 1)
    }

    pub(super) fn at(self) -> Tick {
        match self.0 >> 1 {
            far if far == u64::MAX >> 1 => Tick::NEVER,
            at => Tick(at),
        }
    }

    /// The expiry after the end of its session at `at`.
    fn ended(self, at: Tick) -> Expiry {
        let goes_on = self.0 & 1 == 0 && at < self.at();
        if goes_on { Expiry::default_at(Tick::NEVER) } else { self }
    }
}

impl From<Tick> for Expiry {
    fn from(at: Tick) -> Expiry {
        Expiry::own(at)
    }
}

const _: () = assert!(size_of::<Kept>() == 2 * size_of::<u64>());
