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
