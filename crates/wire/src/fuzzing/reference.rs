//! A slow, obvious parser: the whole stream at once, line after line, as the standard's text reads.
//!
//! It shares no code with the real one. What it takes from beyond the standard is said where it does.

use super::item::{Outcome, OwnedItem};
use crate::limits::MAX_COMMENT_BYTES;
use crate::{Limits, ParseError};

/// What the standard calls the buffers.
#[derive(Default)]
struct Buffers {
    data: Option<Value>,
    event_type: Value,
    event_id: Option<Value>,
}

/// A value as text, and how many bytes it was.
#[derive(Default)]
struct Value {
    text: String,
    bytes: usize,
}

/// Parses a stream that ended where `stream` ends.
#[must_use]
pub fn parse(stream: &[u8], limits: Limits) -> Outcome {
    let stream = stream.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(stream);
    let mut outcome = Outcome { items: Vec::new(), error: None, last_event_id: String::new() };
    let mut buffers = Buffers::default();
    for (line, ended) in lines(stream) {
        if !fits(line, ended, &buffers, limits) {
            outcome.error = Some(ParseError::TooLarge { limit: limits.max_event_bytes });
            break;
        }
        if !ended {
            break;
        }
        if line.is_empty() {
            dispatch(&mut buffers, &mut outcome);
        } else {
            process(line, &mut buffers, &mut outcome);
        }
    }
    outcome
}

/// The lines, and of each whether it was ended.
fn lines(stream: &[u8]) -> Vec<(&[u8], bool)> {
    let mut lines = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while at < stream.len() {
        if stream[at] == b'\r' || stream[at] == b'\n' {
            lines.push((&stream[start..at], true));
            if stream[at..].starts_with(b"\r\n") {
                at += 1;
            }
            start = at + 1;
        }
        at += 1;
    }
    lines.push((&stream[start..], false));
    lines
}

/// The name of a line's field and its value, if it has a colon.
fn split(line: &[u8]) -> (&[u8], Option<&[u8]>) {
    match line.iter().position(|byte| *byte == b':') {
        Some(colon) => {
            let value = &line[colon + 1..];
            (&line[..colon], Some(value.strip_prefix(b" ").unwrap_or(value)))
        }
        None => (line, None),
    }
}

/// Not of the standard: whether what the event would hold is within the limit.
fn fits(line: &[u8], ended: bool, buffers: &Buffers, limits: Limits) -> bool {
    let (name, value) = split(line);
    if value.is_none() && !ended {
        return true;
    }
    let line_feed = usize::from(name == b"data" && buffers.data.is_some());
    let bytes = |value: &Option<Value>| value.as_ref().map_or(0, |value| value.bytes);
    let held = bytes(&buffers.data) + buffers.event_type.bytes + bytes(&buffers.event_id);
    match name {
        b"data" | b"event" | b"id" => {
            let grows = line_feed + value.map_or(0, <[u8]>::len);
            grows == 0 || held + grows <= limits.max_event_bytes
        }
        _ => true,
    }
}

fn process(line: &[u8], buffers: &mut Buffers, outcome: &mut Outcome) {
    let (name, value) = split(line);
    let bytes = value.unwrap_or_default();
    let value = || Value { text: text(bytes), bytes: bytes.len() };
    match name {
        // The standard ignores comments; ours are delivered.
        b"" => outcome.items.push(OwnedItem::Comment(cut_comment(&line[1..]))),
        b"event" => buffers.event_type = value(),
        b"data" => match &mut buffers.data {
            Some(data) => {
                data.text = format!("{}\n{}", data.text, text(bytes));
                data.bytes += 1 + bytes.len();
            }
            None => buffers.data = Some(value()),
        },
        b"id" if !bytes.contains(&0) => buffers.event_id = Some(value()),
        b"retry" if !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit) => {
            // All digits, so the only way not to be a number is to be too large a one.
            outcome.items.push(OwnedItem::Retry(text(bytes).parse().unwrap_or(u64::MAX)));
        }
        _ => {}
    }
}

/// The id counts from the blank line on, not from its own line: a client that loses the connection between
/// them has not had the event.
fn dispatch(buffers: &mut Buffers, outcome: &mut Outcome) {
    let Buffers { data, event_type, event_id } = std::mem::take(buffers);
    if let Some(id) = event_id {
        outcome.last_event_id = id.text;
    }
    if let Some(data) = data {
        let id = outcome.last_event_id.clone();
        let named = !event_type.text.is_empty();
        let event_type = if named { event_type.text } else { "message".to_owned() };
        outcome.items.push(OwnedItem::Event { id, event_type, data: data.text });
    }
}

/// Not of the standard: as much of a comment as is kept, without a character cut in two.
#[must_use]
pub fn cut_comment(comment: &[u8]) -> String {
    if comment.len() <= MAX_COMMENT_BYTES {
        return text(comment);
    }
    let kept = &comment[..MAX_COMMENT_BYTES];
    match kept.utf8_chunks().last() {
        // An unfinished character is one that more bytes could finish.
        Some(last) if unfinished(last.invalid()) => text(&kept[..kept.len() - last.invalid().len()]),
        _ => text(kept),
    }
}

fn unfinished(bytes: &[u8]) -> bool {
    matches!(std::str::from_utf8(bytes), Err(error) if error.error_len().is_none())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
