//! A block of fields chosen one by one: what a hub says beside events.
//!
//! The opening of a stream (`retry`, an id, a comment), a gap, a closing event. Fields stand in the order in which
//! they were called for, and all of them in one chunk. Knows nothing of when to say which.

use std::io::Write as _;

use crate::encode::{BLOCK_START, finish_chunk, write_data, write_event_type, write_id, write_lines};
use crate::field::{EventId, EventType};

/// A block being written into an encoder's buffer. Dropping it writes nothing.
#[derive(Debug)]
#[must_use = "a block is written by `finish`"]
pub struct Block<'a> {
    scratch: &'a mut Vec<u8>,
}

impl<'a> Block<'a> {
    /// `scratch` holds the head room and nothing else.
    pub(crate) fn new(scratch: &'a mut Vec<u8>) -> Block<'a> {
        debug_assert_eq!(scratch.len(), BLOCK_START);
        Block { scratch }
    }

    /// How long a client waits before it comes back, milliseconds.
    pub fn retry(self, milliseconds: u64) -> Block<'a> {
        let written = writeln!(self.scratch, "retry: {milliseconds}");
        debug_assert!(written.is_ok(), "writing to a vector cannot fail");
        self
    }

    /// The id: a client that comes back names the last one.
    pub fn id(self, id: EventId<'_>) -> Block<'a> {
        write_id(self.scratch, id);
        self
    }

    /// The type; `message` is left out.
    pub fn event(self, event_type: &EventType) -> Block<'a> {
        write_event_type(self.scratch, event_type);
        self
    }

    /// Data, one line of the stream for each line of it. Without data a client dispatches no event.
    pub fn data(self, data: &str) -> Block<'a> {
        write_data(self.scratch, data);
        self
    }

    /// A comment, one line of the stream for each line of it.
    pub fn comment(self, text: &str) -> Block<'a> {
        write_lines(self.scratch, b": ", text);
        self
    }

    /// Ends the block with its blank line, and gives the chunk: size line, block, line end.
    #[must_use]
    pub fn finish(self) -> &'a [u8] {
        self.scratch.extend_from_slice(b"\n\r\n");
        finish_chunk(self.scratch, BLOCK_START)
    }
}
