//! Reading a log: where a newcomer starts, and what a cursor gets next.

use super::{Cursor, Log, Piece, Resume, cost};
use crate::gap::{Gap, GapReason};
use crate::id::Position;
use crate::time::Tick;

/// How much one read may take, so that no reader holds the log for long.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimit {
    /// Events at most.
    pub events: usize,
    /// Bytes at most; the first event is given whatever its size.
    pub bytes: usize,
}

impl Log {
    /// Where a newcomer starts, and what it missed before that. `replay` is false under memory pressure: then
    /// there are live events only, and a gap says so to whoever asked for more.
    #[must_use]
    pub fn locate(&self, resume: Resume, replay: bool, now: Tick) -> (Cursor, Option<Gap>) {
        let next = self.next();
        let history = self.oldest_for_newcomers(now);
        let oldest = if replay { history } else { next };
        let wanted =
            |from: u64| (from < oldest).then(|| self.missing(from, oldest, self.why_before(oldest, now)));
        let (at, gap) = match resume {
            Resume::Live => (next, None),
            Resume::All => (oldest, wanted(history)),
            Resume::Last(count) => {
                let from = history.max(next.saturating_sub(count));
                (oldest.max(from), wanted(from))
            }
            Resume::Unknown => (oldest, Some(self.unknown(None, oldest, GapReason::UnknownId))),
            Resume::After(id) if id.epoch != self.epoch => {
                (oldest, Some(self.unknown(Some(id), oldest, GapReason::Epoch)))
            }
            Resume::After(id) if id.sequence >= next => {
                (oldest, Some(self.unknown(Some(id), oldest, GapReason::UnknownId)))
            }
            Resume::After(id) => (oldest.max(id.sequence + 1), wanted(id.sequence + 1)),
        };
        (Cursor { next: at, live: at == next }, gap)
    }

    /// Gives `cursor` what comes next, up to `limit`, and moves it. A gap is always followed by something
    /// newer in the same read, or by the end of what there is; so of one event at most two pieces come.
    pub fn read(&self, cursor: &mut Cursor, now: Tick, limit: ReadLimit, mut give: impl FnMut(Piece)) {
        let next = self.next();
        // Everything before this was given, as an event or in a gap.
        let mut told = cursor.next;
        let (mut at, mut reason) = self.skip_lost(*cursor);
        let (mut events, mut bytes) = (0, 0);
        while at < next && events < limit.events {
            let Some(frame) = self.slot(at).and_then(|slot| slot.alive(now)) else {
                reason = GapReason::Expired;
                at += 1;
                continue;
            };
            if events > 0 && bytes + cost(frame) > limit.bytes {
                break;
            }
            if told < at {
                give(Piece::Gap(self.missing(told, at, reason)));
            }
            give(Piece::Event(at, frame.clone()));
            events += 1;
            bytes += cost(frame);
            at += 1;
            told = at;
        }
        if told < at && at == next {
            give(Piece::Gap(self.missing(told, at, reason)));
            told = at;
        }
        cursor.next = told;
        cursor.live |= told == next;
    }

    /// The first event that `cursor` can still be given, and why it is not the next one, if it is not.
    fn skip_lost(&self, cursor: Cursor) -> (u64, GapReason) {
        let lag_max = u64::try_from(self.limits.max_queue_size).unwrap_or(u64::MAX);
        let lag_start = if cursor.live { self.next().saturating_sub(lag_max) } else { 0 };
        // What lies further back than a live cursor may lag is lagged, whatever became of it since.
        let reason = if lag_start >= self.first { GapReason::Lagged } else { self.lost };
        (cursor.next.max(self.first).max(lag_start), reason)
    }

    /// The oldest event that a newcomer is given; the next one, if there is none. Looks at events only while
    /// they have expired and cleanup has not come by.
    fn oldest_for_newcomers(&self, now: Tick) -> u64 {
        let history = u64::try_from(self.limits.max_history).unwrap_or(u64::MAX);
        let mut oldest = self.first.max(self.next().saturating_sub(history));
        while oldest < self.next() && self.slot(oldest).is_none_or(|slot| slot.alive(now).is_none()) {
            oldest += 1;
        }
        oldest
    }

    /// Why a newcomer is not given the event before `sequence`.
    fn why_before(&self, sequence: u64, now: Tick) -> GapReason {
        match self.slot(sequence.saturating_sub(1)) {
            Some(slot) if slot.alive(now).is_some() => GapReason::Evicted,
            Some(_) => GapReason::Expired,
            None => self.lost,
        }
    }

    fn slot(&self, sequence: u64) -> Option<&super::Slot> {
        let index = sequence.checked_sub(self.first)?;
        self.slots.get(usize::try_from(index).ok()?)
    }

    /// The gap `from..to` (event numbers, `to` exclusive).
    fn missing(&self, from: u64, to: u64, reason: GapReason) -> Gap {
        Gap { from: Some(self.position(from)), to: self.position(to - 1), missed: Some(to - from), reason }
    }

    fn unknown(&self, from: Option<Position>, oldest: u64, reason: GapReason) -> Gap {
        Gap { from, to: self.position(oldest - 1), missed: None, reason }
    }
}
