//! A session's log: a ring of frames bounded by count, by age and by bytes, and cursors into it.
//!
//! A cursor is a number. Reading copies nothing but shared frames; whatever a cursor cannot be given any more
//! becomes a [`Gap`] before anything newer. Resuming is arithmetic, never a search for an id; only what expired
//! since the last cleanup is stepped over. The log knows no subscribers, no locks and no clock.

mod read;

use std::collections::VecDeque;

use crate::frame::Frame;
use crate::gap::{Gap, GapReason};
use crate::id::{Epoch, Position};
use crate::limits::{FRAME_OVERHEAD_BYTES, SEQUENCE_MAX};
use crate::time::Tick;

pub use self::read::ReadLimit;

/// A ring of this many slots is kept as it is: too little memory to be worth the copying.
const SPARE_SLOTS: usize = 64;

/// How much a log keeps, and for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// How far a live subscriber may lag before it gets a gap, events.
    pub max_queue_size: usize,
    /// How far back a newcomer can replay, events.
    pub max_history: usize,
    /// Bytes of frames, their overhead included.
    pub max_bytes: usize,
}

impl LogLimits {
    fn capacity(&self) -> usize {
        self.max_queue_size.max(self.max_history)
    }
}

/// What a subscriber asks for when it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// Only what is published from now on.
    Live,
    /// All history there is for newcomers.
    All,
    /// The last `n` events of the history.
    Last(u64),
    /// Everything after this position.
    After(Position),
    /// An id that was no id: history, after a gap that says so.
    Unknown,
}

/// A position in a log. A subscriber *is* a cursor and a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Sequence of the next event to read.
    pub next: u64,
    /// Whether it has ever caught up. Before that it replays, and only retention limits it; after that
    /// `max_queue_size` does.
    pub live: bool,
}

/// One thing a cursor reads.
#[derive(Debug, Clone)]
pub enum Piece {
    /// An event and its sequence.
    Event(u64, Frame),
    /// What is missing before the next piece.
    Gap(Gap),
}

#[derive(Debug)]
struct Slot {
    /// `None` once it expired in the middle of the ring: its bytes are free, its number is not.
    frame: Option<Frame>,
    expires: Tick,
}

impl Slot {
    fn alive(&self, now: Tick) -> Option<&Frame> {
        self.frame.as_ref().filter(|_| now < self.expires)
    }
}

/// What an eviction freed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Freed {
    /// Events let go.
    pub events: usize,
    /// Their bytes, overhead included.
    pub bytes: usize,
}

impl Freed {
    fn add(&mut self, frame: &Frame) {
        self.events += 1;
        self.bytes += cost(frame);
    }
}

impl std::ops::AddAssign for Freed {
    fn add_assign(&mut self, other: Freed) {
        self.events += other.events;
        self.bytes += other.bytes;
    }
}

/// The ring. Event numbers are `first..next`, without a hole; an expired event leaves its number behind.
#[derive(Debug)]
pub struct Log {
    epoch: Epoch,
    limits: LogLimits,
    slots: VecDeque<Slot>,
    /// Number of the oldest slot; equals `next` when the ring is empty.
    first: u64,
    /// Why the event before `first` is gone.
    lost: GapReason,
    bytes: usize,
    /// Events that still have their frame.
    events: usize,
    /// No event expires before this: spares the walk.
    earliest_expiry: Tick,
    ended: bool,
}

impl Log {
    /// An empty log. Allocates nothing until the first event.
    #[must_use]
    pub fn new(epoch: Epoch, limits: LogLimits) -> Log {
        Log {
            epoch,
            limits,
            slots: VecDeque::new(),
            first: 1,
            lost: GapReason::Evicted,
            bytes: 0,
            events: 0,
            earliest_expiry: Tick::NEVER,
            ended: false,
        }
    }

    /// This life of the log.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Number that the next event will get.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    /// Number of the oldest event kept (or of the next event, if none is).
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Events that are still there.
    #[must_use]
    pub fn events(&self) -> usize {
        self.events
    }

    /// Bytes of the frames that are still there, overhead included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the session ended; an ended log takes no more events.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Ends the log for good: from now on nothing is appended or let go, what is there can still be read.
    /// Returns how many events it held; 0 if it had ended before.
    pub fn end(&mut self) -> usize {
        if std::mem::replace(&mut self.ended, true) { 0 } else { self.events }
    }

    /// The position of event `sequence`.
    #[must_use]
    pub fn position(&self, sequence: u64) -> Position {
        Position { epoch: self.epoch, sequence }
    }

    /// Appends an event that expires at `expires`, and lets the oldest go until count and bytes are within
    /// bounds again. Returns what was let go.
    pub fn append(&mut self, frame: Frame, expires: Tick) -> Freed {
        debug_assert!(!self.ended, "an ended log takes no events");
        debug_assert!(self.next() <= SEQUENCE_MAX, "2^53 events in one life of a log");
        self.bytes += cost(&frame);
        self.events += 1;
        self.earliest_expiry = self.earliest_expiry.min(expires);
        self.slots.push_back(Slot { frame: Some(frame), expires });
        let mut freed = Freed::default();
        while self.slots.len() > self.limits.capacity().max(1)
            || (self.bytes > self.limits.max_bytes && self.slots.len() > 1)
        {
            self.pop_front(GapReason::Evicted, &mut freed);
        }
        self.give_back_room();
        freed
    }

    /// Lets go of what expired by `now`: whole slots at the front, only the frames elsewhere. A walk over the
    /// ring at most, and none at all before the earliest expiry.
    pub fn expire(&mut self, now: Tick) -> Freed {
        let mut freed = Freed::default();
        if now < self.earliest_expiry || self.ended {
            return freed;
        }
        while self.slots.front().is_some_and(|slot| slot.alive(now).is_none()) {
            self.pop_front(GapReason::Expired, &mut freed);
        }
        let mut earliest = Tick::NEVER;
        for slot in &mut self.slots {
            if slot.expires > now {
                earliest = earliest.min(slot.expires);
            } else if let Some(frame) = slot.frame.take() {
                freed.add(&frame);
                self.events -= 1;
                self.bytes -= cost(&frame);
            }
        }
        self.earliest_expiry = earliest;
        self.give_back_room();
        freed
    }

    /// Lets go of everything before `sequence` (memory pressure).
    pub fn shed_before(&mut self, sequence: u64) -> Freed {
        let mut freed = Freed::default();
        while self.first < sequence && !self.slots.is_empty() && !self.ended {
            self.pop_front(GapReason::Evicted, &mut freed);
        }
        self.give_back_room();
        freed
    }

    /// Lets go of the oldest events until `bytes` are free or the log is empty.
    pub fn shed_bytes(&mut self, bytes: usize) -> Freed {
        let mut freed = Freed::default();
        while freed.bytes < bytes && !self.slots.is_empty() && !self.ended {
            self.pop_front(GapReason::Evicted, &mut freed);
        }
        self.give_back_room();
        freed
    }

    /// Gives back the ring's own memory after a burst: its slots are charged with the events that fill them,
    /// so empty ones must stay few.
    fn give_back_room(&mut self) {
        let spacious = self.slots.capacity() > SPARE_SLOTS && self.slots.len() < self.slots.capacity() / 4;
        if spacious || self.slots.is_empty() {
            self.slots.shrink_to_fit();
        }
    }

    fn pop_front(&mut self, why: GapReason, freed: &mut Freed) {
        if let Some(slot) = self.slots.pop_front() {
            self.first += 1;
            // A slot whose frame had expired before is gone because of that, whatever pushes it out now.
            self.lost = if slot.frame.is_some() { why } else { GapReason::Expired };
            if let Some(frame) = slot.frame {
                freed.add(&frame);
                self.events -= 1;
                self.bytes -= cost(&frame);
            }
        }
    }
}

/// What a frame is charged in the log.
#[must_use]
pub fn cost(frame: &Frame) -> usize {
    frame.chunk().len() + FRAME_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_of(events: usize, expires: impl Fn(usize) -> Tick) -> Log {
        let limits = LogLimits { max_queue_size: 10_000, max_history: 0, max_bytes: usize::MAX };
        let mut log = Log::new(Epoch::from_bits(1), limits);
        for number in 0..events {
            log.append(Frame::new(b"0\r\n\r\n", None), expires(number));
        }
        log
    }

    #[test]
    fn an_empty_log_has_allocated_nothing() {
        assert_eq!(log_of(0, |_| Tick::NEVER).slots.capacity(), 0);
    }

    #[test]
    fn leak_class_f_a_ring_gives_its_room_back_after_a_burst_however_it_was_emptied() {
        let few = |log: &Log| log.slots.capacity() <= SPARE_SLOTS;
        let mut expired = log_of(10_000, |number| if number < 9_990 { Tick(1) } else { Tick::NEVER });
        expired.expire(Tick(1));
        assert!(expired.events() == 10 && few(&expired), "{}", expired.slots.capacity());
        let mut shed = log_of(10_000, |_| Tick::NEVER);
        shed.shed_before(9_991);
        assert!(shed.events() == 10 && few(&shed), "{}", shed.slots.capacity());
        let mut shed = log_of(10_000, |_| Tick::NEVER);
        shed.shed_bytes(shed.bytes() - 1);
        assert!(shed.events() == 0 && shed.slots.capacity() == 0, "{}", shed.slots.capacity());
        let mut pushed_out = log_of(10_000, |_| Tick::NEVER);
        pushed_out.limits.max_bytes = 1000;
        pushed_out.append(Frame::new(b"0\r\n\r\n", None), Tick::NEVER);
        assert!(pushed_out.events() > 0 && few(&pushed_out), "{}", pushed_out.slots.capacity());
    }

    #[test]
    fn a_slot_of_the_ring_is_within_what_a_frame_is_charged_beside_its_bytes() {
        let shared_count_and_length = 2 * size_of::<usize>();
        let permit = size_of::<Option<crate::budget::Permit>>();
        assert!(size_of::<Slot>() + shared_count_and_length + permit <= FRAME_OVERHEAD_BYTES);
    }
}
