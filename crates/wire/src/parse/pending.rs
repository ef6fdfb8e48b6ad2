//! The event being gathered, and the only memory a parser has beside the last id. Bounded, and small again
//! after each event. Knows nothing of lines' ends or of whom events go to.

use std::borrow::Cow;

use super::line::Field;
use super::{Limits, ParseError};
use crate::limits::{KEPT_BUFFER_BYTES, KEPT_FIELD_BYTES, MAX_COMMENT_BYTES};

/// The least that a buffer grows to, bytes, so that input in single bytes does not grow it step by step.
const SMALLEST_BUFFER_BYTES: usize = 64;

/// What the lines since the last blank line amount to, as bytes: they are decoded when they are complete.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Lines of data with LF between them.
    data: Vec<u8>,
    /// Whether there was a line of data: one that is empty counts, too.
    has_data: bool,
    /// The last type named; empty for none.
    event_type: Vec<u8>,
    /// The last valid id named.
    event_id: Vec<u8>,
    /// Whether there was one: one that is empty counts, too.
    has_event_id: bool,
    /// The type, id or comment whose line is being read; empty between lines.
    value: Vec<u8>,
    /// The comment being read is longer than what is kept of it.
    comment_is_cut: bool,
}

impl Pending {
    /// Begins the value of a line.
    pub(super) fn start(&mut self, field: Field, limits: Limits) -> Result<(), ParseError> {
        if !matches!(field, Field::Data) {
            return Ok(());
        }
        if std::mem::replace(&mut self.has_data, true) {
            return self.extend(field, b"\n", limits);
        }
        Ok(())
    }

    /// Adds to the value of the line of type, id, data or comment being read.
    pub(super) fn extend(&mut self, field: Field, bytes: &[u8], limits: Limits) -> Result<(), ParseError> {
        let limit = limits.max_event_bytes;
        let held = self.data.len() + self.event_type.len() + self.event_id.len() + self.value.len();
        let room = limit.saturating_sub(held);
        match field {
            Field::Comment => {
                let kept = bytes.len().min(MAX_COMMENT_BYTES - self.value.len());
                self.comment_is_cut |= kept < bytes.len();
                append(&mut self.value, &bytes[..kept], MAX_COMMENT_BYTES);
            }
            _ if bytes.len() > room => return Err(ParseError::TooLarge { limit }),
            Field::Data => append(&mut self.data, bytes, limit),
            Field::EventType | Field::EventId => append(&mut self.value, bytes, limit),
            Field::Retry(_) | Field::Ignored => debug_assert!(false, "nothing of {field:?} is kept"),
        }
        Ok(())
    }

    /// The line of a type is complete.
    pub(super) fn end_event_type(&mut self) {
        std::mem::swap(&mut self.event_type, &mut self.value);
        self.end_value();
    }

    /// The line of an id is complete. One with NUL is no id.
    pub(super) fn end_event_id(&mut self) {
        if memchr::memchr(0, &self.value).is_none() {
            std::mem::swap(&mut self.event_id, &mut self.value);
            self.has_event_id = true;
        }
        self.end_value();
    }

    /// The comment that is complete.
    pub(super) fn comment(&self) -> Cow<'_, str> {
        let kept = if self.comment_is_cut { whole_characters(&self.value) } else { &self.value };
        text(kept)
    }

    /// The line of a comment was dealt with.
    pub(super) fn end_comment(&mut self) {
        self.comment_is_cut = false;
        self.end_value();
    }

    /// The id that this event sets, if it sets one.
    pub(super) fn event_id(&self) -> Option<Cow<'_, str>> {
        self.has_event_id.then(|| text(&self.event_id))
    }

    /// Its type; empty for none.
    pub(super) fn event_type(&self) -> Cow<'_, str> {
        text(&self.event_type)
    }

    /// Its data, if it has any: without, it is no event.
    pub(super) fn data(&self) -> Option<Cow<'_, str>> {
        self.has_data.then(|| text(&self.data))
    }

    /// Empties it for the next event, and gives back what a large one needed.
    pub(super) fn clear(&mut self) {
        empty(&mut self.data, KEPT_BUFFER_BYTES);
        empty(&mut self.event_type, KEPT_FIELD_BYTES);
        empty(&mut self.event_id, KEPT_FIELD_BYTES);
        self.has_data = false;
        self.has_event_id = false;
    }

    pub(super) fn kept_bytes(&self) -> usize {
        self.data.capacity() + self.event_type.capacity() + self.event_id.capacity() + self.value.capacity()
    }

    fn end_value(&mut self) {
        empty(&mut self.value, KEPT_FIELD_BYTES);
    }
}

/// Appends, doubling the buffer as it grows but never reserving beyond `limit`.
fn append(buffer: &mut Vec<u8>, bytes: &[u8], limit: usize) {
    let needed = buffer.len() + bytes.len();
    if needed > buffer.capacity() {
        let doubled = buffer.capacity().saturating_mul(2).max(SMALLEST_BUFFER_BYTES).min(limit);
        buffer.reserve_exact(doubled.max(needed) - buffer.len());
    }
    buffer.extend_from_slice(bytes);
}

fn empty(buffer: &mut Vec<u8>, kept_bytes: usize) {
    buffer.clear();
    if buffer.capacity() > kept_bytes {
        buffer.shrink_to(kept_bytes);
    }
}

/// The text of a value. The lossy way takes its time, and what is not UTF-8 is rare.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// `bytes` without a character at their end that was cut in two.
fn whole_characters(bytes: &[u8]) -> &[u8] {
    let invalid_end = bytes.utf8_chunks().last().map_or(&[][..], |chunk| chunk.invalid());
    let is_unfinished = std::str::from_utf8(invalid_end).is_err_and(|error| error.error_len().is_none());
    if is_unfinished { &bytes[..bytes.len() - invalid_end.len()] } else { bytes }
}
