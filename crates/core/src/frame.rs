//! A frame: one encoded event in one allocation, shared by everybody who reads it.
//!
//! The allocation starts with the HTTP/1.1 chunk header, so that a plain socket writes the whole and HTTP/2 a
//! slice of it. It carries its own budget permit: however long a slow reader pins it, it stays charged until
//! its last byte is freed.

use std::fmt;
use std::time::Duration;

use triomphe::{Arc, ThinArc};
use watertight_wire::unchunk;

use crate::budget::Permit;
use crate::limits::RING_ENTRY_BYTES;

struct Head {
    /// Gives the frame's bytes back to the budget when the last reader lets go; `None` for frames that live
    /// only for one write (gaps).
    permit: Option<Permit>,
    /// When it was published, microseconds since the Unix epoch. Wall time: for people, not for deadlines. Of a mark
    /// ([`Frame::gap`]): [`MARK`], and one more than how many events are missing; without more, that is not known.
    stamp: u64,
}

/// Set in the stamp of a frame that stands for missing events.
const MARK: u64 = 1 << 63;

/// What a frame keeps beside its bytes: the head, their count, and how many share it.
pub(crate) const HEAD_BYTES: usize = size_of::<Head>() + 2 * size_of::<usize>();

/// What a frame of so many bytes is charged to the budget: what the allocator takes for it, and its place in the ring.
#[must_use]
pub const fn frame_charge(chunk_bytes: usize) -> usize {
    allocated_bytes(HEAD_BYTES + chunk_bytes) + RING_ENTRY_BYTES
}

/// What jemalloc, the allocator of the hub's binary, takes for `bytes`: four size classes per doubling, and whole pages
/// from 32 KiB on. Others take less.
const fn allocated_bytes(bytes: usize) -> usize {
    const STEP_MIN: usize = 16;
    const PAGE: usize = 4096;
    let step = match bytes {
        ..=128 => STEP_MIN,
        129..=32_768 => (1 << (bytes - 1).ilog2()) / 4,
        _ => PAGE,
    };
    bytes.next_multiple_of(step)
}

/// One encoded event. Cloning shares it.
#[derive(Clone)]
pub struct Frame(ThinArc<Head, u8>);

impl Frame {
    /// Copies one HTTP/1.1 chunk, as `watertight_wire::Encoder` makes it, into a frame of its exact size. One of
    /// the hub's own messages: for an event, see [`Frame::published`].
    #[must_use]
    pub fn new(chunk: &[u8], permit: Option<Permit>) -> Frame {
        Frame(ThinArc::from_header_and_slice(Head { permit, stamp: 0 }, chunk))
    }

    /// The same for an event that is published at `created_at`, wall time since the Unix epoch.
    #[must_use]
    pub fn published(chunk: &[u8], permit: Option<Permit>, created_at: Duration) -> Frame {
        let stamp = u64::try_from(created_at.as_micros()).unwrap_or(u64::MAX) & !MARK;
        Frame(ThinArc::from_header_and_slice(Head { permit, stamp }, chunk))
    }

    /// A mark in the log: here so many events are missing that never came in; `None`: nobody knows how many. It has no
    /// bytes; whoever reads it is told a gap.
    #[must_use]
    pub fn gap(missed: Option<u64>, permit: Option<Permit>) -> Frame {
        let stamp = MARK | missed.map_or(0, |missed| missed.min(MARK - 2) + 1);
        Frame(ThinArc::from_header_and_slice(Head { permit, stamp }, &[]))
    }

    /// Of a mark, how many events are missing, where that is known; `None`: it is an event.
    #[must_use]
    pub fn missed(&self) -> Option<Option<u64>> {
        let stamp = self.0.header.header.stamp;
        (stamp & MARK != 0).then(|| (stamp & !MARK).checked_sub(1))
    }

    /// Charges the frame with `permit` from here on. Only before it is shared; later the permit is given back at
    /// once.
    pub fn charge(&mut self, permit: Permit) {
        self.0.with_arc_mut(|frame| {
            if let Some(frame) = Arc::get_mut(frame) {
                frame.header_mut().permit = Some(permit);
            }
        });
    }

    /// When it was published, since the Unix epoch, in whole microseconds; zero for the hub's own messages.
    #[must_use]
    pub fn created_at(&self) -> Duration {
        Duration::from_micros(self.0.header.header.stamp & !MARK)
    }

    /// Bytes it is charged.
    #[must_use]
    pub fn charged(&self) -> usize {
        self.0.header.header.permit.as_ref().map_or(0, Permit::bytes)
    }

    /// The whole chunk: size line, event, line end.
    #[must_use]
    pub fn chunk(&self) -> &[u8] {
        &self.0.slice
    }

    /// The event alone, for deliveries that frame by themselves.
    #[must_use]
    pub fn event(&self) -> &[u8] {
        unchunk(self.chunk())
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({:?})", String::from_utf8_lossy(self.event()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::{Budget, Owner};

    const CHUNK: &[u8] = b"d\r\ndata: hello\n\n\r\n";

    #[test]
    fn a_frame_is_one_pointer_to_one_allocation_that_all_readers_share() {
        assert_eq!(size_of::<Frame>(), size_of::<usize>());
        assert_eq!(size_of::<Option<Frame>>(), size_of::<usize>());
        let frame = Frame::new(CHUNK, None);
        let reader = frame.clone();
        assert_eq!((frame.chunk(), frame.event()), (CHUNK, &b"data: hello\n\n"[..]));
        assert_eq!(frame.chunk().as_ptr(), reader.chunk().as_ptr());
        assert!(
            frame.chunk().as_ptr_range().contains(&frame.event().as_ptr()),
            "no second copy of the event"
        );
    }

    #[test]
    fn leak_class_a_a_frame_stays_charged_until_its_last_reader_lets_go() {
        let budget = Budget::new(1000, 1000);
        let frame = Frame::new(CHUNK, Some(budget.charge(Owner::Frames, 100)));
        let slow_reader = frame.clone();
        drop(frame);
        assert_eq!(budget.used_by(Owner::Frames), 100, "let go by the log, pinned by a reader");
        assert_eq!(slow_reader.chunk(), CHUNK);
        drop(slow_reader);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_frame_that_is_charged_later_gives_the_same_back_and_a_shared_one_is_not_charged_twice() {
        let budget = Budget::new(1000, 1000);
        let mut permit = budget.charge(Owner::Frames, 100);
        let mut frame = Frame::new(CHUNK, None);
        frame.charge(permit.split(30));
        let reader = frame.clone();
        frame.charge(permit.split(30));
        assert_eq!((frame.charged(), reader.charged(), budget.used()), (30, 30, 70));
        drop((frame, reader, permit));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_mark_says_how_many_events_are_missing_if_that_is_known() {
        for missed in [None, Some(0), Some(1), Some(7), Some(1 << 60)] {
            assert_eq!(Frame::gap(missed, None).missed(), Some(missed));
        }
        assert_eq!(Frame::gap(Some(u64::MAX), None).missed(), Some(Some(MARK - 2)), "as many as fit");
        assert_eq!(Frame::published(CHUNK, None, Duration::MAX).missed(), None, "an event is no mark");
    }

    #[test]
    fn a_frame_knows_when_it_was_published_to_the_microsecond() {
        let at = Duration::from_nanos(1_764_150_000_123_456_789);
        let frame = Frame::published(CHUNK, None, at);
        assert_eq!(frame.created_at(), Duration::from_micros(1_764_150_000_123_456));
        assert_eq!(frame.chunk(), CHUNK, "it is not on the wire");
    }
}
