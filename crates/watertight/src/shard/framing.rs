//! How events stand in a response: each in a chunk (HTTP/1.1), or as they are, ended by the connection's end
//! (HTTP/1.0).

use watertight_core::Frame;
use watertight_wire::{
    HEARTBEAT, HEARTBEAT_CHUNK, LAST_CHUNK, SOURCE_BACK, SOURCE_BACK_CHUNK, WAITING, WAITING_CHUNK, unchunk,
};

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

    /// A heartbeat; one that says so, while what feeds the session does not answer.
    pub(super) fn heartbeat(self, is_waiting: bool) -> &'static [u8] {
        match (self, is_waiting) {
            (Framing::Chunked, false) => HEARTBEAT_CHUNK,
            (Framing::Plain, false) => HEARTBEAT,
            (Framing::Chunked, true) => WAITING_CHUNK,
            (Framing::Plain, true) => WAITING,
        }
    }

    /// What feeds the session answers again.
    pub(super) fn source_is_back(self) -> &'static [u8] {
        match self {
            Framing::Chunked => SOURCE_BACK_CHUNK,
            Framing::Plain => SOURCE_BACK,
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
