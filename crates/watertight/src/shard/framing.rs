//! How events stand in a response: each in a chunk (HTTP/1.1), or as they are, ended by the connection's end
//! (HTTP/1.0).

use watertight_core::Frame;
use watertight_wire::{HEARTBEAT, HEARTBEAT_CHUNK, LAST_CHUNK, unchunk};

/// How events stand in a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Nothing between events.
    Plain,
}

impl Framing {
    /// A frame's bytes in this framing.
    pub(super) fn bytes(self, frame: &Frame) -> &[u8] {
        match self {
            Framing::Chunked => frame.chunk(),
            Framing::Plain => frame.event(),
        }
    }

    /// A block that stands in one chunk, in this framing.
    pub(super) fn block(self, chunk: &[u8]) -> &[u8] {
        match self {
            Framing::Chunked => chunk,
            Framing::Plain => unchunk(chunk),
        }
    }

    pub(super) fn heartbeat(self) -> &'static [u8] {
        match self {
            Framing::Chunked => HEARTBEAT_CHUNK,
            Framing::Plain => HEARTBEAT,
        }
    }

    /// What ends a body.
    pub(super) fn end(self) -> &'static [u8] {
        match self {
            Framing::Chunked => LAST_CHUNK,
            Framing::Plain => b"",
        }
    }
}
