//! A session's log: a ring of frames bounded by count, by age and by bytes, and cursors into it.
//!
//! A cursor is a number. Reading copies nothing but shared frames; whatever a cursor cannot be given any more
//! becomes a [`Gap`] before anything newer. Resuming is arithmetic, never a search for an id; only what expired
//! since the last cleanup is stepped over. The log knows no subscribers, no locks and no clock.
//!
//! Expiry is for history: a reader that replays does not get expired events; a live reader gets every event that is
//! still held.

mod count;
mod end;
mod gone;
mod read;
mod release;

use std::collections::VecDeque;

use crate::frame::Frame;
use crate::gap::{Gap, GapReason};
use crate::id::{Epoch, Position};
use crate::limits::{FRAME_OVERHEAD_BYTES, SEQUENCE_MAX};
use crate::prefetch::prefetch_behind;
use crate::sync::Arc;
use crate::time::Tick;

use self::count::Counted;
pub use self::count::EventCount;
#[cfg(test)]
pub(crate) use self::end::END_BYTES;
use self::end::Ended;
pub use self::end::{Expiry, LogState, SessionEnd};
use self::gone::Gone;
pub use self::read::ReadLimit;
pub use self::release::Freed;

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
    /// All events since the log began; what newcomers are not given of them is a gap.
    All,
    /// The last `n` events, likewise.
    Last(u64),
    /// Everything after this position.
    After(Position),
    /// An id that was no id: history, after a gap that says so.
    Unknown,
}

/// A position in a log. All that is kept of a subscriber's progress.
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

/// What the ring keeps of an event.
#[derive(Debug)]
struct Kept {
    /// `None` once it expired in the middle of the ring: its bytes are free, its number is not.
    frame: Option<Frame>,
    expires: Expiry,
}

impl Kept {
    /// The event, for a reader that replays.
    fn unexpired(&self, now: Tick) -> Option<&Frame> {
        self.frame.as_ref().filter(|_| now < self.expires.at())
    }
}

/// The ring. It holds the numbers `first..next` without a hole: an expired event keeps its number, not its frame.
#[derive(Debug)]
pub struct Log {
    epoch: Epoch,
    limits: LogLimits,
    /// The oldest always has its frame.
    kept: VecDeque<Kept>,
    /// Number of the oldest event kept; equals `next` when the ring is empty.
    first: u64,
    /// Why the events before `first` are gone.
    gone: Gone,
    bytes: usize,
    /// Events that still have their frame.
    events: usize,
    /// No event expires before this: spares the walk.
    earliest_expiry: Tick,
    /// Set once it takes no more events.
    ended: Option<Box<Ended>>,
    counted: Counted,
}

impl Log {
    /// An empty log. Allocates nothing until the first event.
    #[must_use]
    pub fn new(epoch: Epoch, limits: LogLimits) -> Log {
        Log {
            epoch,
            limits,
            kept: VecDeque::new(),
            first: 1,
            gone: Gone::default(),
            bytes: 0,
            events: 0,
            earliest_expiry: Tick::NEVER,
            ended: None,
            counted: Counted::default(),
        }
    }

    /// The same log, with its events counted in `count` as long as it is there and is not retired.
    #[must_use]
    pub fn counted_in(mut self, count: Arc<EventCount>) -> Log {
        self.counted = Counted::among(count);
        self
    }

    /// From now on a newcomer can replay at least so many events, as far as their bytes and their time to live allow.
    pub fn keep_at_least(&mut self, events: usize) {
        self.limits.max_history = self.limits.max_history.max(events);
    }

    /// This life of the log.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Number that the next event will get.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.first + self.kept.len() as u64
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

    /// The position of event `sequence`.
    #[must_use]
    pub fn position(&self, sequence: u64) -> Position {
        Position { epoch: self.epoch, sequence }
    }

    /// Asks for the memory that the next event is put into.
    pub fn prefetch_next(&self) {
        if let Some(last) = self.kept.back() {
            prefetch_behind(last);
        }
    }

    /// Appends an event that expires at `expires`, and lets the oldest go until count and bytes are within
    /// bounds again. Returns what was let go.
    pub fn append(&mut self, frame: Frame, expires: impl Into<Expiry>) -> Freed {
        self.append_all([(frame, expires)])
    }

    /// Appends events one after the other: whoever reads the log sees all of them or none.
    pub fn append_all<E: Into<Expiry>>(&mut self, events: impl IntoIterator<Item = (Frame, E)>) -> Freed {
        debug_assert!(!self.ended(), "an ended log takes no events");
        let mut freed = Freed::default();
        let first = self.first;
        for (frame, expires) in events {
            debug_assert!(self.next() <= SEQUENCE_MAX, "2^53 events in one life of a log");
            self.bytes += cost(&frame);
            self.events += 1;
            let expires = expires.into();
            self.earliest_expiry = self.earliest_expiry.min(expires.at());
            self.kept.push_back(Kept { frame: Some(frame), expires });
            while self.kept.len() > self.limits.capacity().max(1)
                || (self.bytes > self.limits.max_bytes && self.events > 1)
            {
                self.pop_front(GapReason::Evicted, &mut freed);
            }
        }
        if self.first == first {
            // Nothing was let go: the oldest, which nobody has looked at for long, is not looked at.
            self.count_events();
        } else {
            self.after_letting_go();
        }
        freed
    }

    /// If the last that was appended is a mark of missing events that is still there, how many those are, where that is
    /// known.
    #[must_use]
    pub fn last_missed(&self) -> Option<Option<u64>> {
        self.kept.back()?.frame.as_ref()?.missed()
    }

    /// Whether `events` more, of `bytes` in all, can be appended without taking anything from a live reader
    /// that has read up to `sequence` (exclusive): neither pushed out nor put further back than it may lag.
    #[must_use]
    pub fn has_room_behind(&self, sequence: u64, events: usize, bytes: usize) -> bool {
        let unread = usize::try_from(self.next().saturating_sub(sequence)).unwrap_or(usize::MAX);
        if unread.saturating_add(events) > self.limits.max_queue_size {
            return false;
        }
        if self.bytes.saturating_add(bytes) <= self.limits.max_bytes {
            return true;
        }
        let needed = self.kept.iter().rev().take(unread).filter_map(|kept| kept.frame.as_ref());
        needed.map(cost).sum::<usize>().saturating_add(bytes) <= self.limits.max_bytes
    }
}

/// What a frame counts for in [`LogLimits::max_bytes`].
#[must_use]
pub fn cost(frame: &Frame) -> usize {
    frame.chunk().len() + FRAME_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::release::SPARE_EVENTS;
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
        assert_eq!(log_of(0, |_| Tick::NEVER).kept.capacity(), 0);
    }

    #[test]
    fn leak_class_f_a_ring_gives_its_room_back_after_a_burst_however_it_was_emptied() {
        let few = |log: &Log| log.kept.capacity() <= SPARE_EVENTS;
        let mut expired = log_of(10_000, |number| if number < 9_990 { Tick(1) } else { Tick::NEVER });
        expired.expire(Tick(1), u64::MAX);
        assert!(expired.events() == 10 && few(&expired), "{}", expired.kept.capacity());
        let mut shed = log_of(10_000, |_| Tick::NEVER);
        shed.shed_before(9_991);
        assert!(shed.events() == 10 && few(&shed), "{}", shed.kept.capacity());
        let mut shed = log_of(10_000, |_| Tick::NEVER);
        shed.shed(shed.bytes() - 1, u64::MAX);
        assert!(shed.events() == 0 && shed.kept.capacity() == 0, "{}", shed.kept.capacity());
        let mut pushed_out = log_of(10_000, |_| Tick::NEVER);
        pushed_out.limits.max_bytes = 1000;
        pushed_out.append(Frame::new(b"0\r\n\r\n", None), Tick::NEVER);
        assert!(pushed_out.events() > 0 && few(&pushed_out), "{}", pushed_out.kept.capacity());
    }

    #[test]
    fn an_event_is_charged_two_entries_of_the_ring_because_a_ring_that_grows_doubles() {
        assert_eq!(2 * size_of::<Kept>(), crate::limits::RING_ENTRY_BYTES);
    }
}
