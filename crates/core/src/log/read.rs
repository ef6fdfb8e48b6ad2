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
        let oldest = if replay { self.oldest_for_newcomers(now) } else { next };
        let (at, gap) = match resume {
            Resume::Live => (next, None),
            Resume::All => (oldest, None),
            Resume::Last(count) => (oldest.max(next.saturating_sub(count)), None),
            Resume::Unknown => (oldest, Some(self.unknown(None, oldest, GapReason::UnknownId))),
            Resume::After(id) if id.epoch != self.epoch => {
                (oldest, Some(self.unknown(Some(id), oldest, GapReason::Epoch)))
            }
            Resume::After(id) if id.sequence >= next => {
                (oldest, Some(self.unknown(Some(id), oldest, GapReason::UnknownId)))
            }
            Resume::After(id) if id.sequence + 1 >= oldest => (id.sequence + 1, None),
            Resume::After(id) => {
                let gap = self.missing(id.sequence + 1, oldest, self.why_before(oldest));
                (oldest, Some(gap))
            }
        };
        (Cursor { next: at, live: at == next }, gap)
    }

    /// Gives `cursor` what comes next, up to `limit`, and moves it. A gap is always followed by something
    /// newer, or by the end of what there is.
    pub fn read(&self, cursor: &mut Cursor, now: Tick, limit: ReadLimit, mut give: impl FnMut(Piece)) {
        let next = self.next();
        let mut missing_from = cursor.next;
        let (mut at, mut reason) = self.skip_lost(*cursor);
        let (mut events, mut bytes) = (0, 0);
        while at < next {
            let slot = &self.slots[usize::try_from(at - self.first).unwrap_or(usize::MAX)];
            let Some(frame) = slot.alive(now) else {
                reason = GapReason::Expired;
                at += 1;
                continue;
            };
            if events == limit.events || (events > 0 && bytes + cost(frame) > limit.bytes) {
                break;
            }
            if missing_from < at {
                give(Piece::Gap(self.missing(missing_from, at, reason)));
            }
            give(Piece::Event(at, frame.clone()));
            events += 1;
            bytes += cost(frame);
            at += 1;
            missing_from = at;
        }
        if missing_from < at {
            give(Piece::Gap(self.missing(missing_from, at, reason)));
        }
        cursor.next = at;
        cursor.live |= at == next;
    }

    /// The first event that `cursor` can still be given, and why it is not the next one, if it is not.
    fn skip_lost(&self, cursor: Cursor) -> (u64, GapReason) {
        let next = self.next();
        let (mut at, mut reason) = (cursor.next, self.lost);
        if at < self.first {
            at = self.first;
            if cursor.live && reason == GapReason::Evicted && self.slots.len() >= self.limits.max_queue_size {
                // Pushed out by newer events while it was live: it lagged.
                reason = GapReason::Lagged;
            }
        }
        let lag_max = u64::try_from(self.limits.max_queue_size).unwrap_or(u64::MAX);
        if cursor.live && next - at > lag_max {
            at = next - lag_max;
            reason = GapReason::Lagged;
        }
        (at, reason)
    }

    fn oldest_for_newcomers(&self, now: Tick) -> u64 {
        let history = u64::try_from(self.limits.max_history).unwrap_or(u64::MAX);
        let mut oldest = self.first.max(self.next().saturating_sub(history));
        while oldest < self.next() && self.slot(oldest).is_none_or(|slot| slot.alive(now).is_none()) {
            oldest += 1;
        }
        oldest
    }

    /// Why the event before `sequence` cannot be had.
    fn why_before(&self, sequence: u64) -> GapReason {
        match self.slot(sequence.saturating_sub(1)) {
            Some(slot) if slot.frame.is_none() => GapReason::Expired,
            Some(_) if sequence == self.next() || self.is_within_history(sequence - 1) => GapReason::Expired,
            Some(_) => GapReason::Evicted,
            None => self.lost,
        }
    }

    fn is_within_history(&self, sequence: u64) -> bool {
        self.next() - sequence <= u64::try_from(self.limits.max_history).unwrap_or(u64::MAX)
    }

    fn slot(&self, sequence: u64) -> Option<&super::Slot> {
        let index = sequence.checked_sub(self.first)?;
        self.slots.get(usize::try_from(index).ok()?)
    }

    /// The gap `from..to` (event numbers, `to` exclusive).
    fn missing(&self, from: u64, to: u64, reason: GapReason) -> Gap {
        Gap {
            from: Some(self.position(from)),
            to: self.position(to - 1),
            missed: Some(to - from),
            reason,
        }
    }

    fn unknown(&self, from: Option<Position>, oldest: u64, reason: GapReason) -> Gap {
        Gap { from, to: self.position(oldest - 1), missed: None, reason }
    }
}
