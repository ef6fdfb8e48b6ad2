//! A frame: one encoded event in one allocation, shared by everybody who reads it.
//!
//! The allocation starts with the HTTP/1.1 chunk header, so that a plain socket writes the whole and HTTP/2 a
//! slice of it. It carries its own budget permit: however long a slow reader pins it, it stays charged until
//! its last byte is freed.

use std::fmt;

use triomphe::ThinArc;
use watertight_wire::unchunk;

use crate::budget::Permit;

struct Head {
    /// Gives the frame's bytes back to the budget when the last reader lets go; `None` for frames that live
    /// only for one write (gaps).
    _permit: Option<Permit>,
}

/// One encoded event. Cloning shares it.
#[derive(Clone)]
pub struct Frame(ThinArc<Head, u8>);

impl Frame {
    /// Copies one HTTP/1.1 chunk, as `watertight_wire::Encoder` makes it, into a frame of its exact size.
    #[must_use]
    pub fn new(chunk: &[u8], permit: Option<Permit>) -> Frame {
        Frame(ThinArc::from_header_and_slice(Head { _permit: permit }, chunk))
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
}
