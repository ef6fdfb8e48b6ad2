//! An event, encoded once: everything but its id outside of the lock, the id and the size under it.
//!
//! An event's id is known only when its position in the log is, under the session's lock; its data may be long
//! and must not be copied there. So [`Encoder::event`] leaves head room before the event, and
//! [`Draft::finish`] fills in what was missing right-aligned into it: a few dozen bytes, whatever the length.
//! Knows nothing of logs, locks or sockets.

use crate::block::Block;
use crate::chunk::{CRLF, size_digits, write_size_line_before};
use crate::field::{EventId, EventType};
use crate::limits::{KEPT_BUFFER_BYTES, MAX_EVENT_ID_BYTES, SIZE_DIGITS_MAX};

const ID_FIELD: &[u8] = b"id: ";
const EVENT_FIELD: &[u8] = b"event: ";
const DATA_FIELD: &[u8] = b"data: ";

/// Room before the event for the size line and the id line at their longest.
const HEAD_ROOM: usize = SIZE_DIGITS_MAX + CRLF.len() + ID_FIELD.len() + MAX_EVENT_ID_BYTES + 1;

/// Encodes events, each as one HTTP/1.1 chunk, into a scratch buffer that it reuses.
///
/// Nothing is allocated for an event that fits the buffer. Of a buffer that a large event made larger than
/// [`KEPT_BUFFER_BYTES`] the rest is given back with the next event, or at once by [`Encoder::shrink`].
///
/// Its methods have no way to fail: what could be refused was refused when the [`EventType`] and the
/// [`EventId`] were made. Keep data within [`MAX_DATA_BYTES`](crate::limits::MAX_DATA_BYTES) for lengths that
/// fit in 32 bits; chunks are right beyond that, too.
#[derive(Debug)]
pub struct Encoder {
    /// [`HEAD_ROOM`] bytes of which only the end is used, then the event, the blank line and the chunk's end.
    scratch: Vec<u8>,
}

/// An event without its id. Dropping it costs nothing and writes nothing.
#[derive(Debug)]
#[must_use = "an event is written by `finish`"]
pub struct Draft<'a> {
    scratch: &'a mut Vec<u8>,
}

impl Encoder {
    /// An encoder with room for a small event.
    #[must_use]
    pub fn new() -> Encoder {
        let mut scratch = Vec::with_capacity(1024);
        scratch.resize(HEAD_ROOM, 0);
        Encoder { scratch }
    }

    /// Encodes everything of an event but its id.
    ///
    /// CR, LF and CRLF in the data each end one line of it; a client reads them all as LF. Empty data is one
    /// empty line, so that a client dispatches the event. The type `message` is left out.
    pub fn event(&mut self, event_type: &EventType, data: &str) -> Draft<'_> {
        self.clear();
        // Exact for data of one line. More lines grow the buffer as any vector grows.
        self.scratch.reserve(
            EVENT_FIELD.len() + event_type.as_str().len() + DATA_FIELD.len() + data.len() + 3 + CRLF.len(),
        );
        write_event_type(&mut self.scratch, event_type);
        write_data(&mut self.scratch, data);
        self.scratch.extend_from_slice(b"\n\r\n");
        Draft { scratch: &mut self.scratch }
    }

    /// Starts a block of fields chosen one by one: what a hub says beside events.
    pub fn block(&mut self) -> Block<'_> {
        self.clear();
        Block::new(&mut self.scratch)
    }

    /// Gives back what a large event left beyond [`KEPT_BUFFER_BYTES`].
    pub fn shrink(&mut self) {
        self.scratch.truncate(HEAD_ROOM);
        self.scratch.shrink_to(KEPT_BUFFER_BYTES);
    }

    /// The memory it holds on to, bytes.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        self.scratch.capacity()
    }

    fn clear(&mut self) {
        if self.scratch.capacity() > KEPT_BUFFER_BYTES {
            self.shrink();
        }
        self.scratch.truncate(HEAD_ROOM);
    }
}

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder::new()
    }
}

impl<'a> Draft<'a> {
    /// Writes the id and the chunk's size, and gives the chunk: size line, event, line end.
    ///
    /// Costs the same whatever the length of the data: meant to be called under a lock.
    #[must_use]
    pub fn finish(self, id: EventId<'_>) -> &'a [u8] {
        let id = id.as_str().as_bytes();
        let id_end = HEAD_ROOM - 1;
        let id_start = id_end - id.len();
        let event_start = id_start - ID_FIELD.len();
        self.scratch[id_end] = b'\n';
        self.scratch[id_start..id_end].copy_from_slice(id);
        self.scratch[event_start..id_start].copy_from_slice(ID_FIELD);
        finish_chunk(self.scratch, event_start)
    }
}

/// How long the chunk of an event will be with an id of `id_bytes`, bytes: for asking whether there is room for
/// it before it is encoded.
#[must_use]
pub fn encoded_len(event_type: &EventType, data: &str, id_bytes: usize) -> usize {
    let type_line =
        if event_type.is_message() { 0 } else { EVENT_FIELD.len() + event_type.as_str().len() + 1 };
    let event = ID_FIELD.len() + id_bytes + 1 + type_line + data_len(data) + 1;
    size_digits(event) + CRLF.len() + event + CRLF.len()
}

/// What [`write_data`] writes, bytes. Each line break is one byte less for the break (two for CRLF) and one
/// line more.
fn data_len(data: &str) -> usize {
    let bytes = data.as_bytes();
    let line = DATA_FIELD.len() + 1;
    let breaks = memchr::memchr2_iter(b'\r', b'\n', bytes);
    // The second byte of a CRLF ends no line of its own.
    breaks.fold(line + bytes.len(), |len, at| {
        let is_second = at > 0 && bytes[at] == b'\n' && bytes[at - 1] == b'\r';
        len - 1 + if is_second { 0 } else { line }
    })
}

/// Writes the size line before `content_start` and gives the chunk. The line end after it is already there.
pub(crate) fn finish_chunk(scratch: &mut [u8], content_start: usize) -> &[u8] {
    let size = scratch.len() - content_start - CRLF.len();
    let start = write_size_line_before(scratch, content_start, size);
    &scratch[start..]
}

/// Where a block starts: it has no id to wait for, so it begins right after the head room.
pub(crate) const BLOCK_START: usize = HEAD_ROOM;

pub(crate) fn write_id(out: &mut Vec<u8>, id: EventId<'_>) {
    out.extend_from_slice(ID_FIELD);
    out.extend_from_slice(id.as_str().as_bytes());
    out.push(b'\n');
}

pub(crate) fn write_event_type(out: &mut Vec<u8>, event_type: &EventType) {
    if !event_type.is_message() {
        out.extend_from_slice(EVENT_FIELD);
        out.extend_from_slice(event_type.as_str().as_bytes());
        out.push(b'\n');
    }
}

pub(crate) fn write_data(out: &mut Vec<u8>, data: &str) {
    write_lines(out, DATA_FIELD, data);
}

/// Writes each line of `text` as a line of its own with `prefix` before it.
///
/// The prefix ends with the one space that a client strips, so that a space at the start of a line survives.
pub(crate) fn write_lines(out: &mut Vec<u8>, prefix: &[u8], text: &str) {
    let mut rest = text.as_bytes();
    loop {
        out.extend_from_slice(prefix);
        let Some(end) = memchr::memchr2(b'\r', b'\n', rest) else {
            out.extend_from_slice(rest);
            out.push(b'\n');
            return;
        };
        out.extend_from_slice(&rest[..end]);
        out.push(b'\n');
        let line_break = if rest[end..].starts_with(CRLF) { 2 } else { 1 };
        rest = &rest[end + line_break..];
    }
}
