//! The log as one would explain it on paper: every event there ever was, each with its fate.
//!
//! Slow and obvious on purpose. It knows no ring, no index and no shortcut; it answers each question by looking
//! at all events from the first.

use watertight_core::limits::FRAME_OVERHEAD_BYTES;
use watertight_core::log::{Cursor, Freed, LogLimits, ReadLimit, Resume};
use watertight_core::{Epoch, Gap, GapReason, Position, Tick};

use crate::support::Told;

#[derive(Debug, Clone, Copy)]
struct Event {
    number: u64,
    bytes: usize,
    expires: Tick,
    /// Why it was let go, if it was.
    gone: Option<GapReason>,
}

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) epoch: Epoch,
    pub(crate) limits: LogLimits,
    events: Vec<Event>,
    ended: bool,
}

impl Model {
    pub(crate) fn new(epoch: Epoch, limits: LogLimits) -> Model {
        Model { epoch, limits, events: Vec::new(), ended: false }
    }

    pub(crate) fn next(&self) -> u64 {
        self.events.len() as u64 + 1
    }

    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    pub(crate) fn kept_events(&self) -> usize {
        self.events.iter().filter(|event| event.gone.is_none()).count()
    }

    pub(crate) fn kept_bytes(&self) -> usize {
        self.events.iter().filter(|event| event.gone.is_none()).map(|event| event.bytes).sum()
    }

    pub(crate) fn oldest_kept(&self) -> Option<u64> {
        self.events.iter().find(|event| event.gone.is_none()).map(|event| event.number)
    }

    // What happens to it.

    /// A log keeps as many events as anybody may need, and as many bytes; the newest always.
    pub(crate) fn append(&mut self, chunk_bytes: usize, expires: Tick) -> Freed {
        let number = self.next();
        let bytes = chunk_bytes + FRAME_OVERHEAD_BYTES;
        self.events.push(Event { number, bytes, expires, gone: None });
        let capacity = self.limits.max_queue_size.max(self.limits.max_history).max(1) as u64;
        let mut freed = self.let_go(GapReason::Evicted, |event| number - event.number >= capacity);
        while self.kept_bytes() > self.limits.max_bytes && self.kept_events() > 1 {
            let oldest = self.oldest_kept();
            freed += self.let_go(GapReason::Evicted, |event| Some(event.number) == oldest);
        }
        freed
    }

    pub(crate) fn expire(&mut self, now: Tick) -> Freed {
        self.let_go(GapReason::Expired, |event| event.expires <= now)
    }

    pub(crate) fn shed_before(&mut self, number: u64) -> Freed {
        self.let_go(GapReason::Evicted, |event| event.number < number)
    }

    pub(crate) fn shed_bytes(&mut self, bytes: usize) -> Freed {
        let mut freed = Freed::default();
        while freed.bytes < bytes && self.kept_events() > 0 && !self.ended {
            let oldest = self.oldest_kept();
            freed += self.let_go(GapReason::Evicted, |event| Some(event.number) == oldest);
        }
        freed
    }

    pub(crate) fn end(&mut self) -> usize {
        if std::mem::replace(&mut self.ended, true) { 0 } else { self.kept_events() }
    }

    fn let_go(&mut self, why: GapReason, which: impl Fn(&Event) -> bool) -> Freed {
        let mut freed = Freed::default();
        for event in &mut self.events {
            if !self.ended && event.gone.is_none() && which(event) {
                event.gone = Some(why);
                freed += Freed { events: 1, bytes: event.bytes };
            }
        }
        freed
    }

    // What its readers must be told.

    /// Why an event is missing for a reader at `cursor`; `None` if it must be given.
    fn missing(&self, event: &Event, cursor: Cursor, now: Tick) -> Option<GapReason> {
        let lag = self.next() - event.number;
        if cursor.live && lag > self.limits.max_queue_size as u64 {
            Some(GapReason::Lagged)
        } else if event.gone.is_some() {
            event.gone
        } else {
            (event.expires <= now).then_some(GapReason::Expired)
        }
    }

    /// Every event from the cursor on, given or named in a gap. A gap's reason is that of its newest event.
    fn everything_for(&self, cursor: Cursor, now: Tick) -> Vec<Told> {
        let mut told: Vec<Told> = Vec::new();
        for event in self.events.iter().filter(|event| event.number >= cursor.next) {
            match (self.missing(event, cursor, now), told.last_mut()) {
                (None, _) => told.push(Told::Event(event.number)),
                (Some(reason), Some(Told::Gap(gap))) => {
                    *gap = Gap {
                        to: self.position(event.number),
                        missed: gap.missed.map(|missed| missed + 1),
                        reason,
                        ..*gap
                    };
                }
                (Some(reason), _) => told.push(Told::Gap(self.gap(event.number, event.number, reason))),
            }
        }
        told
    }

    /// As much of it as the limit lets through. A gap is told with what follows it, or at the end of all.
    pub(crate) fn read(&self, cursor: &mut Cursor, now: Tick, limit: ReadLimit) -> Vec<Told> {
        let everything = self.everything_for(*cursor, now);
        let (mut told, mut waiting) = (Vec::new(), Vec::new());
        let (mut events, mut bytes) = (0, 0);
        let mut cut_short = false;
        for piece in everything {
            waiting.push(piece);
            let Told::Event(number) = piece else { continue };
            bytes += self.event(number).bytes;
            cut_short = events == limit.events || (events > 0 && bytes > limit.bytes);
            if cut_short {
                break;
            }
            events += 1;
            told.append(&mut waiting);
        }
        if !cut_short && events < limit.events {
            told.append(&mut waiting);
        }
        match told.last() {
            Some(Told::Event(number)) => cursor.next = number + 1,
            Some(Told::Gap(gap)) => cursor.next = gap.to.sequence + 1,
            None => {}
        }
        cursor.live |= cursor.next == self.next();
        told
    }

    /// Where a newcomer starts and what it is told first.
    pub(crate) fn locate(&self, resume: Resume, replay: bool, now: Tick) -> (Cursor, Option<Gap>) {
        let next = self.next();
        let history = self.events.iter().filter(|event| {
            next - event.number <= self.limits.max_history as u64
                && event.gone.is_none()
                && event.expires > now
        });
        // The oldest event that a newcomer may have in quiet times, and the oldest that it gets now.
        let oldest = history.map(|event| event.number).min().unwrap_or(next);
        let given = if replay { oldest } else { next };
        let unknown = |from, reason| Gap { from, to: self.position(given - 1), missed: None, reason };
        let wanted = match resume {
            Resume::Live => next,
            Resume::All => oldest,
            Resume::Last(count) => oldest.max(next.saturating_sub(count)),
            Resume::Unknown => {
                return (self.cursor(given), Some(unknown(None, GapReason::UnknownId)));
            }
            Resume::After(id) if id.epoch != self.epoch => {
                return (self.cursor(given), Some(unknown(Some(id), GapReason::Epoch)));
            }
            Resume::After(id) if id.sequence >= next => {
                return (self.cursor(given), Some(unknown(Some(id), GapReason::UnknownId)));
            }
            Resume::After(id) => id.sequence + 1,
        };
        if wanted >= given {
            return (self.cursor(wanted), None);
        }
        let newest_missing = self.event(given - 1);
        let expired = (newest_missing.expires <= now).then_some(GapReason::Expired);
        let reason = newest_missing.gone.or(expired).unwrap_or(GapReason::Evicted);
        (self.cursor(given), Some(self.gap(wanted, given - 1, reason)))
    }

    fn cursor(&self, next: u64) -> Cursor {
        Cursor { next, live: next == self.next() }
    }

    fn event(&self, number: u64) -> &Event {
        &self.events[usize::try_from(number - 1).unwrap()]
    }

    fn position(&self, sequence: u64) -> Position {
        Position { epoch: self.epoch, sequence }
    }

    fn gap(&self, from: u64, to: u64, reason: GapReason) -> Gap {
        let missed = Some(to - from + 1);
        Gap { from: Some(self.position(from)), to: self.position(to), missed, reason }
    }
}
