//! Reading a log: where a newcomer starts, and what a cursor gets next.

use super::{Cursor, Kept, Log, Piece, Resume, cost};
use crate::gap::{Gap, GapReason};
use crate::id::Position;
use crate::time::Tick;

/// Gaps that a newcomer is told before its first event, at most. Of more, the oldest are told as one.
const GAPS_MAX: usize = 8;

/// How much one read may take, so that no reader holds the log for long.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimit {
    /// Events at most, each gap counted as one.
    pub events: usize,
    /// Bytes at most; the first event is given whatever its size.
    pub bytes: usize,
}

impl Log {
    /// Where a newcomer starts, and what it missed before that, oldest first: one gap for each reason. Whoever asks
    /// for history is told what this life of the log had of it and has no more, with an id or without one. `replay`
    /// is false under memory pressure: then there are live events only, and a gap says so to whoever asked for
    /// more.
    #[must_use]
    pub fn locate(&self, resume: Resume, replay: bool, now: Tick) -> (Cursor, Vec<Gap>) {
        let next = self.next();
        let oldest = if replay { self.oldest_for_newcomers(now) } else { next };
        let wanted = |from: u64| self.missed_by_newcomer(from, oldest, now);
        let unknown = |from, reason| vec![self.unknown(from, oldest, reason)];
        let (at, gaps) = match resume {
            Resume::Live => (next, Vec::new()),
            Resume::All => (oldest, wanted(1)),
            Resume::Last(count) => {
                let from = next.saturating_sub(count).max(1);
                (oldest.max(from), wanted(from))
            }
            Resume::Unknown => (oldest, unknown(None, GapReason::UnknownId)),
            Resume::After(id) if id.epoch != self.epoch => (oldest, unknown(Some(id), GapReason::Epoch)),
            Resume::After(id) if id.sequence >= next => (oldest, unknown(Some(id), GapReason::UnknownId)),
            Resume::After(id) => (oldest.max(id.sequence + 1), wanted(id.sequence + 1)),
        };
        (Cursor { next: at, live: at == next }, gaps)
    }

    /// Gives `cursor` what comes next, up to `limit`, and moves it. A gap tells of one reason; where there are
    /// two, two gaps come.
    pub fn read(&self, cursor: &mut Cursor, now: Tick, limit: ReadLimit, mut give: impl FnMut(Piece)) {
        let next = self.next();
        let mut at = cursor.next;
        let (mut pieces, mut events, mut bytes) = (0, 0, 0);
        while at < next && pieces < limit.events {
            match self.kept_for(at, *cursor, now) {
                Ok(frame) => {
                    if events > 0 && bytes + cost(frame) > limit.bytes {
                        break;
                    }
                    give(match frame.missed() {
                        None => Piece::Event(at, frame.clone()),
                        Some(missed) => Piece::Gap(Gap {
                            from: Some(self.position(at)),
                            to: self.position(at),
                            missed,
                            reason: GapReason::Source,
                        }),
                    });
                    events += 1;
                    bytes += cost(frame);
                    at += 1;
                }
                Err((reason, mut end)) => {
                    while end < next
                        && let Err((same, further)) = self.kept_for(end, *cursor, now)
                        && same == reason
                    {
                        end = further;
                    }
                    give(Piece::Gap(self.missing(at, end, reason)));
                    at = end;
                }
            }
            pieces += 1;
        }
        cursor.next = at;
        cursor.live |= at == next;
    }

    /// Event `at` (one of this log's) for `cursor`; or why it is not given, and up to where (exclusive) that
    /// holds for what follows, too.
    fn kept_for(&self, at: u64, cursor: Cursor, now: Tick) -> Result<&crate::frame::Frame, (GapReason, u64)> {
        let lag_max = u64::try_from(self.limits.max_queue_size).unwrap_or(u64::MAX);
        let lag_start = if cursor.live { self.next().saturating_sub(lag_max) } else { 0 };
        if at < lag_start {
            // Events further back than a live reader may lag are reported as lagged, even if they expired since.
            return Err((GapReason::Lagged, lag_start));
        }
        if let Some(gone) = self.gone.at(at) {
            return Err(gone);
        }
        let frame = self
            .kept(at)
            .and_then(|kept| if cursor.live { kept.frame.as_ref() } else { kept.unexpired(now) });
        frame.ok_or((GapReason::Expired, at + 1))
    }

    /// What a newcomer can replay: how many events, and the position that they come after. Resuming from it gives
    /// just those.
    #[must_use]
    pub fn replayable(&self, now: Tick) -> (usize, Position) {
        let oldest = self.oldest_for_newcomers(now);
        let numbers = oldest..self.next();
        let events = if self.none_expired(now) {
            usize::try_from(numbers.end - numbers.start).unwrap_or(usize::MAX)
        } else {
            numbers.filter(|at| self.kept(*at).is_some_and(|kept| kept.unexpired(now).is_some())).count()
        };
        (events, self.position(oldest - 1))
    }

    /// Whether all numbers in the ring have their events, and none of those has expired. Costs nothing.
    fn none_expired(&self, now: Tick) -> bool {
        self.events == self.kept.len() && now < self.earliest_expiry
    }

    /// The oldest event that a newcomer is given; the next one, if there is none. Steps over events that have
    /// expired since the last cleanup only.
    fn oldest_for_newcomers(&self, now: Tick) -> u64 {
        let history = u64::try_from(self.limits.max_history).unwrap_or(u64::MAX);
        let mut oldest = self.first.max(self.next().saturating_sub(history));
        while oldest < self.next() && self.kept(oldest).is_none_or(|kept| kept.unexpired(now).is_none()) {
            oldest += 1;
        }
        oldest
    }

    /// Why a newcomer is not given event `at`, and up to where (exclusive) that holds.
    fn why_not_for_newcomers(&self, at: u64, now: Tick) -> (GapReason, u64) {
        if let Some(gone) = self.gone.at(at) {
            return gone;
        }
        if self.none_expired(now) {
            return (GapReason::Evicted, self.next());
        }
        let is_there = self.kept(at).is_some_and(|kept| kept.unexpired(now).is_some());
        (if is_there { GapReason::Evicted } else { GapReason::Expired }, at + 1)
    }

    /// The gaps that a newcomer is told: it asked for events from `from` on and gets events from `oldest` on.
    fn missed_by_newcomer(&self, from: u64, oldest: u64, now: Tick) -> Vec<Gap> {
        let mut gaps: Vec<Gap> = Vec::new();
        let mut at = from;
        while at < oldest {
            let (reason, end) = self.why_not_for_newcomers(at, now);
            let end = end.min(oldest);
            let gap = self.missing(at, end, reason);
            at = end;
            match gaps.last_mut() {
                Some(last) if last.reason == reason => *last = joined(last, &gap),
                _ => gaps.push(gap),
            }
            if gaps.len() > GAPS_MAX {
                let oldest = gaps.remove(0);
                gaps[0] = joined(&oldest, &gaps[0]);
            }
        }
        gaps
    }

    fn kept(&self, sequence: u64) -> Option<&Kept> {
        let index = sequence.checked_sub(self.first)?;
        self.kept.get(usize::try_from(index).ok()?)
    }

    /// The gap `from..to` (event numbers, `to` exclusive).
    fn missing(&self, from: u64, to: u64, reason: GapReason) -> Gap {
        Gap { from: Some(self.position(from)), to: self.position(to - 1), missed: Some(to - from), reason }
    }

    fn unknown(&self, from: Option<Position>, oldest: u64, reason: GapReason) -> Gap {
        Gap { from, to: self.position(oldest - 1), missed: None, reason }
    }
}

/// Two gaps, one right after the other, as one with the reason of the later.
fn joined(earlier: &Gap, later: &Gap) -> Gap {
    let missed = earlier.missed.zip(later.missed).map(|(one, other)| one + other);
    Gap { from: earlier.from, missed, ..*later }
}
