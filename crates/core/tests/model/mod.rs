//! The log's model: every event ever appended, each with what became of it.
//!
//! Slow and obvious on purpose. It knows no ring, no index and no shortcut; it answers each question by looking
//! at all events from the first.

use watertight_core::frame_charge;
use watertight_core::limits::FRAME_OVERHEAD_BYTES;
use watertight_core::log::{Cursor, Freed, LogLimits, ReadLimit, Resume};
use watertight_core::{Epoch, Gap, GapReason, Position, Tick};

use crate::support::Told;

#[derive(Debug, Clone, Copy)]
struct Event {
    number: u64,
    bytes: usize,
    charge: usize,
    expires: Tick,
    /// Its publisher said when it expires.
    is_own: bool,
    /// Why it was let go, if it was.
    gone: Option<GapReason>,
}

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) epoch: Epoch,
    pub(crate) limits: LogLimits,
    events: Vec<Event>,
    ended: bool,
    retired: bool,
}

impl Model {
    pub(crate) fn new(epoch: Epoch, limits: LogLimits) -> Model {
        Model { epoch, limits, events: Vec::new(), ended: false, retired: false }
    }

    pub(crate) fn next(&self) -> u64 {
        self.events.len() as u64 + 1
    }

    pub(crate) fn ended(&self) -> bool {
        self.ended || self.retired
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
    pub(crate) fn append(&mut self, chunk_bytes: usize, (expires, is_own): (Tick, bool)) -> Freed {
        let number = self.next();
        let bytes = chunk_bytes + FRAME_OVERHEAD_BYTES;
        let charge = frame_charge(chunk_bytes);
        self.events.push(Event { number, bytes, charge, expires, is_own, gone: None });
        let capacity = self.limits.max_queue_size.max(self.limits.max_history).max(1) as u64;
        let mut freed = self.let_go(GapReason::Evicted, |event| number - event.number >= capacity);
        while self.kept_bytes() > self.limits.max_bytes && self.kept_events() > 1 {
            let oldest = self.oldest_kept();
            freed += self.let_go(GapReason::Evicted, |event| Some(event.number) == oldest);
        }
        freed
    }

    pub(crate) fn expire(&mut self, now: Tick, needed: u64) -> Freed {
        self.let_go(GapReason::Expired, |event| event.expires <= now && event.number < needed)
    }

    pub(crate) fn shed_before(&mut self, number: u64) -> Freed {
        self.let_go(GapReason::Evicted, |event| event.number < number)
    }

    pub(crate) fn shed(&mut self, bytes: usize, needed: u64) -> Freed {
        let mut freed = Freed::default();
        while freed.bytes < bytes && !self.retired {
            let Some(oldest) = self.oldest_kept().filter(|oldest| *oldest < needed) else { break };
            freed += self.let_go(GapReason::Evicted, |event| event.number == oldest);
        }
        freed
    }

    /// Whether the events from `sequence` on would all be there, and near enough, after so many more.
    pub(crate) fn has_room_behind(&self, sequence: u64, events: usize, bytes: usize) -> bool {
        let needed = self.events.iter().filter(|event| event.number >= sequence);
        let held = needed.clone().filter(|event| event.gone.is_none()).map(|event| event.bytes);
        needed.count() + events <= self.limits.max_queue_size
            && held.sum::<usize>().saturating_add(bytes) <= self.limits.max_bytes
    }

    /// What lives as long as all do, and is not over, lives on. `false`: it had ended.
    pub(crate) fn end(&mut self, now: Tick) -> bool {
        if self.ended() {
            return false;
        }
        self.ended = true;
        for event in self.events.iter_mut().filter(|event| !event.is_own && event.expires > now) {
            event.expires = Tick::NEVER;
        }
        true
    }

    pub(crate) fn retire(&mut self) -> usize {
        if std::mem::replace(&mut self.retired, true) { 0 } else { self.kept_events() }
    }

    fn let_go(&mut self, why: GapReason, which: impl Fn(&Event) -> bool) -> Freed {
        let mut freed = Freed::default();
        for event in &mut self.events {
            if !self.retired && event.gone.is_none() && which(event) {
                event.gone = Some(why);
                freed += Freed { events: 1, bytes: event.charge };
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
            Some(self.remembered(event))
        } else {
            // Expiry is for history: who is live gets what is there.
            (!cursor.live && event.expires <= now).then_some(GapReason::Expired)
        }
    }

    /// Why an event is gone, as far as that is remembered: of all that went before the oldest event kept, the
    /// newest eight runs of one reason; whatever is older goes with the oldest of them.
    fn remembered(&self, event: &Event) -> GapReason {
        let oldest_kept = self.oldest_kept().unwrap_or(self.next());
        let before = self.events.iter().filter(|event| event.number < oldest_kept);
        let fates: Vec<_> = before.map(|event| (event.number, event.gone.unwrap())).collect();
        let mut runs: Vec<&[(u64, GapReason)]> = fates.chunk_by(|one, next| one.1 == next.1).collect();
        runs.drain(..runs.len().saturating_sub(8));
        match runs.first() {
            Some(run) if event.number < run[0].0 => run[0].1,
            _ => event.gone.unwrap(),
        }
    }

    /// Every event from the cursor on, given or named in a gap of just its reason.
    fn everything_for(&self, cursor: Cursor, now: Tick) -> Vec<Told> {
        let events = self.events.iter().filter(|event| event.number >= cursor.next);
        in_gaps(self, events.map(|event| (event.number, self.missing(event, cursor, now))))
    }

    /// As much of it as the limit lets through.
    pub(crate) fn read(&self, cursor: &mut Cursor, now: Tick, limit: ReadLimit) -> Vec<Told> {
        let mut told = Vec::new();
        let (mut events, mut bytes) = (0, 0);
        for piece in self.everything_for(*cursor, now).into_iter().take(limit.events) {
            cursor.next = match piece {
                Told::Event(number) => {
                    bytes += self.event(number).bytes;
                    if events > 0 && bytes > limit.bytes {
                        break;
                    }
                    events += 1;
                    number + 1
                }
                Told::Gap(gap) => gap.to.sequence + 1,
            };
            told.push(piece);
        }
        cursor.live |= cursor.next == self.next();
        told
    }

    /// Where a newcomer starts and what it is told first.
    pub(crate) fn locate(&self, resume: Resume, replay: bool, now: Tick) -> (Cursor, Vec<Gap>) {
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
            Resume::All => 1,
            Resume::Last(count) => next.saturating_sub(count).max(1),
            Resume::Unknown => {
                return (self.cursor(given), vec![unknown(None, GapReason::UnknownId)]);
            }
            Resume::After(id) if id.epoch != self.epoch => {
                return (self.cursor(given), vec![unknown(Some(id), GapReason::Epoch)]);
            }
            Resume::After(id) if id.sequence >= next => {
                return (self.cursor(given), vec![unknown(Some(id), GapReason::UnknownId)]);
            }
            Resume::After(id) => id.sequence + 1,
        };
        if wanted >= given {
            return (self.cursor(wanted), Vec::new());
        }
        let fate = |event: &Event| match event.gone {
            Some(_) => self.remembered(event),
            None if event.expires <= now => GapReason::Expired,
            None => GapReason::Evicted,
        };
        let missed = self.events.iter().filter(|event| (wanted..given).contains(&event.number));
        let told = in_gaps(self, missed.map(|event| (event.number, Some(fate(event)))));
        let mut gaps: Vec<Gap> = told
            .into_iter()
            .map(|told| match told {
                Told::Gap(gap) => gap,
                Told::Event(number) => unreachable!("event {number} is missed"),
            })
            .collect();
        // Eight are told at most: the oldest of more become one, with the reason of its newest event.
        if let Some(more) = gaps.len().checked_sub(8) {
            let begin = gaps[0].from.unwrap().sequence;
            gaps.drain(..more);
            gaps[0] = self.gap(begin, gaps[0].to.sequence, gaps[0].reason);
        }
        (self.cursor(given), gaps)
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

/// What is told of events that are given (`None`) or missing: neighbours with one reason share a gap.
fn in_gaps(model: &Model, events: impl Iterator<Item = (u64, Option<GapReason>)>) -> Vec<Told> {
    let mut told: Vec<Told> = Vec::new();
    for (number, missing) in events {
        match (missing, told.last_mut()) {
            (None, _) => told.push(Told::Event(number)),
            (Some(reason), Some(Told::Gap(gap))) if gap.reason == reason => {
                *gap = model.gap(gap.from.unwrap().sequence, number, reason);
            }
            (Some(reason), _) => told.push(Told::Gap(model.gap(number, number, reason))),
        }
    }
    told
}
