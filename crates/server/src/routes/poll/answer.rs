//! A long-poll's answer as JSON, made piece by piece straight from the frames while it is taken: however long it is
//! and however slowly it is read, it holds its events (which are shared) and a piece.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, header};
use http_body::{Body as HttpBody, Frame as BodyFrame, SizeHint};
use serde_json::json;
use watertight::serve::MadeInPieces;
use watertight::{CloseReason, Gap};
use watertight_core::Frame;

/// What was collected for an answer.
#[derive(Debug, Default)]
pub(super) struct PollAnswer {
    pub(super) events: Vec<Frame>,
    pub(super) next: String,
    pub(super) gap: Option<Gap>,
    pub(super) end: Option<CloseReason>,
}

impl PollAnswer {
    /// Whether there is nothing to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.gap.is_none()
    }

    pub(super) fn into_response(self) -> Response {
        let mut response = Response::new(Body::new(PollBody::new(self)));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.extensions_mut().insert(MadeInPieces);
        response
    }

    /// What stands behind the events.
    fn tail(&self) -> String {
        let gap = self.gap.as_ref().map_or_else(|| "null".to_owned(), Gap::to_json);
        let mut tail = format!("],\"next\":\"{}\",\"gap\":{gap}", self.next);
        if let Some(reason) = self.end {
            let end = json!({ "error": reason.message(), "code": reason.code() });
            tail.push_str(&format!(",\"end\":{end}"));
        }
        tail.push('}');
        tail
    }
}

/// A part of an event's JSON.
#[derive(Debug, Clone, Copy)]
enum Part {
    Text(&'static str),
    /// The value of a field of the frame, escaped.
    Id,
    Type,
    Data,
    /// Seconds since the Unix epoch, as a number with three decimals.
    CreatedAt,
}

/// An event, part by part.
const EVENT: [Part; 9] = [
    Part::Text("{\"id\":\""),
    Part::Id,
    Part::Text("\",\"type\":\""),
    Part::Type,
    Part::Text("\",\"data\":\""),
    Part::Data,
    Part::Text("\",\"created_at\":"),
    Part::CreatedAt,
    Part::Text("}"),
];

/// Where in the answer the next piece begins.
#[derive(Debug, Default)]
struct At {
    event: usize,
    part: usize,
    /// In the field that is being written, bytes.
    offset: usize,
}

/// The body.
#[derive(Debug)]
struct PollBody {
    events: Vec<Frame>,
    tail: String,
    at: At,
    /// Bytes that are still to come.
    left: u64,
}

const OPENING: &str = "{\"events\":[";

impl PollBody {
    fn new(answer: PollAnswer) -> PollBody {
        let tail = answer.tail();
        let events: usize = answer.events.iter().map(|frame| length(frame) + 1).sum();
        // A comma between two events.
        let length = OPENING.len() + events.saturating_sub(1) + tail.len();
        PollBody { events: answer.events, tail, at: At::default(), left: length as u64 }
    }

    /// The next piece; empty at the end.
    fn piece(&mut self) -> Vec<u8> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(MadeInPieces::PIECE_BYTES);
        let mut out = Vec::with_capacity(most);
        if (self.at.event, self.at.part, self.at.offset) == (0, 0, 0) && self.left > 0 {
            out.extend_from_slice(OPENING.as_bytes());
        }
        while let Some(frame) = self.events.get(self.at.event) {
            if !write_event(frame, &mut self.at, &mut out, most) {
                return out;
            }
            self.at.event += 1;
            (self.at.part, self.at.offset) = (0, 0);
            if self.at.event < self.events.len() {
                out.push(b',');
            }
        }
        if self.left > 0 && out.len() + self.tail.len() <= most {
            out.append(&mut std::mem::take(&mut self.tail).into_bytes());
            // All is written: whoever asks again gets nothing.
            self.at.event = usize::MAX;
            self.events = Vec::new();
        }
        out
    }
}

/// Writes an event from `at` on, as far as there is room. `false`: there was no room for all of it.
fn write_event(frame: &Frame, at: &mut At, out: &mut Vec<u8>, most: usize) -> bool {
    let fields = Fields::of(frame);
    while let Some(part) = EVENT.get(at.part) {
        let (value, is_data) = match part {
            Part::Text(text) => (text.as_bytes(), false),
            Part::Id => (fields.id, false),
            Part::Type => (fields.event_type, false),
            Part::Data => (fields.data, true),
            Part::CreatedAt => (fields.created_at.as_bytes(), false),
        };
        if let Part::Text(text) = part {
            if out.len() + text.len() + 1 > most {
                return false;
            }
            out.extend_from_slice(value);
        } else if !write_escaped(value, is_data, &mut at.offset, out, most) {
            return false;
        }
        at.part += 1;
        at.offset = 0;
    }
    true
}

/// The fields of an event as they stand in its frame, which the hub has written itself.
struct Fields<'a> {
    id: &'a [u8],
    event_type: &'a [u8],
    /// Lines, each with its prefix.
    data: &'a [u8],
    created_at: String,
}

const DATA_PREFIX: &[u8] = b"data: ";

impl<'a> Fields<'a> {
    fn of(frame: &'a Frame) -> Fields<'a> {
        let rest = frame.event();
        let (id, rest) = field(rest, b"id: ").unwrap_or((b"", rest));
        let (event_type, rest) = field(rest, b"event: ").unwrap_or((b"message", rest));
        // Without the empty line behind it.
        let (created, data) = (frame.created_at(), rest.strip_suffix(b"\n").unwrap_or(rest));
        let created_at = format!("{}.{:03}", created.as_secs(), created.subsec_millis());
        Fields { id, event_type, data, created_at }
    }
}

/// The value of the first line, if it has this prefix, and what stands behind the line.
fn field<'a>(text: &'a [u8], prefix: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let value = text.strip_prefix(prefix)?;
    let end = value.iter().position(|byte| *byte == b'\n')?;
    Some((&value[..end], &value[end + 1..]))
}

/// The next byte of a value: of data, lines without their prefixes, with a line feed between them.
fn next_byte(value: &[u8], is_data: bool, offset: &mut usize) -> Option<u8> {
    if is_data && (*offset == 0 || value.get(*offset - 1) == Some(&b'\n')) {
        if *offset + DATA_PREFIX.len() > value.len() {
            return None;
        }
        *offset += DATA_PREFIX.len();
    }
    let byte = *value.get(*offset)?;
    let is_last_line_end = is_data && byte == b'\n' && *offset + 1 == value.len();
    (!is_last_line_end).then(|| {
        *offset += 1;
        byte
    })
}

/// The longest escape of one byte.
const ESCAPE_MAX: usize = 6;

/// Writes a value as the inside of a JSON string. `false`: there was no room for all of it.
fn write_escaped(value: &[u8], is_data: bool, offset: &mut usize, out: &mut Vec<u8>, most: usize) -> bool {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    while out.len() + ESCAPE_MAX <= most {
        let Some(byte) = next_byte(value, is_data, offset) else { return true };
        match short_escape(byte) {
            Some(letter) => out.extend_from_slice(&[b'\\', letter]),
            None if byte < 0x20 => {
                let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digits[0], digits[1]]);
            }
            None => out.push(byte),
        }
    }
    false
}

fn short_escape(byte: u8) -> Option<u8> {
    match byte {
        b'"' | b'\\' => Some(byte),
        b'\n' => Some(b'n'),
        b'\r' => Some(b'r'),
        b'\t' => Some(b't'),
        0x08 => Some(b'b'),
        0x0c => Some(b'f'),
        _ => None,
    }
}

/// How long the JSON of an event is.
fn length(frame: &Frame) -> usize {
    let fields = Fields::of(frame);
    let of_value = |value: &[u8], is_data| {
        let mut offset = 0;
        std::iter::from_fn(|| next_byte(value, is_data, &mut offset)).map(escaped_length).sum::<usize>()
    };
    let of_part = |part: &Part| match part {
        Part::Text(text) => text.len(),
        Part::Id => of_value(fields.id, false),
        Part::Type => of_value(fields.event_type, false),
        Part::Data => of_value(fields.data, true),
        Part::CreatedAt => fields.created_at.len(),
    };
    EVENT.iter().map(of_part).sum()
}

fn escaped_length(byte: u8) -> usize {
    match short_escape(byte) {
        Some(_) => 2,
        None if byte < 0x20 => ESCAPE_MAX,
        None => 1,
    }
}

impl HttpBody for PollBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Infallible>>> {
        let piece = self.piece();
        self.left = self.left.saturating_sub(piece.len() as u64);
        Poll::Ready((!piece.is_empty()).then(|| Ok(BodyFrame::data(Bytes::from(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use watertight::event::EventType;
    use watertight_wire::{Encoder, EventId};

    use super::*;

    fn frame(id: &str, event_type: &str, data: &str) -> Frame {
        let mut encoder = Encoder::new();
        let event_type = EventType::new(event_type).unwrap();
        Frame::new(encoder.event(&event_type, data).finish(EventId::new(id).unwrap()), None)
    }

    /// The whole answer, its pieces checked for their size.
    fn read(answer: PollAnswer) -> (String, u64) {
        let mut body = PollBody::new(answer);
        let (said, mut all) = (body.left, Vec::new());
        while !body.is_end_stream() {
            let piece = body.piece();
            assert!(!piece.is_empty() && piece.len() <= MadeInPieces::PIECE_BYTES, "{} bytes", piece.len());
            body.left = body.left.checked_sub(piece.len() as u64).expect("no more than was said");
            all.extend(piece);
        }
        assert!(body.piece().is_empty());
        (String::from_utf8(all).unwrap(), said)
    }

    #[test]
    fn an_answer_made_in_pieces_is_the_json_of_its_events_and_as_long_as_it_says() {
        let every: String = (0..0x250u32).filter_map(char::from_u32).collect();
        let texts = [
            String::new(),
            "\n".to_owned(),
            "a\n\nb\n".to_owned(),
            "data: x\n id: y".to_owned(),
            every.repeat(40),
            "\u{1}".repeat(50_000),
            "é\u{1F600}\"\\".repeat(9_000),
        ];
        for count in 0..texts.len() {
            for padding in [0, 1, 2, 3, 5, 8, 13, 16_300, 16_330, 16_350, 16_370, 16_384] {
                let mut data = texts[..count].to_vec();
                data.push("x".repeat(padding));
                let events = data.iter().enumerate().map(|(n, text)| frame(&format!("e-{n}"), "tick", text));
                let answer =
                    PollAnswer { events: events.collect(), next: "e-9".to_owned(), ..PollAnswer::default() };
                let (text, said) = read(answer);
                assert_eq!(text.len() as u64, said);
                let json: Value = serde_json::from_str(&text).unwrap();
                assert_eq!((&json["next"], &json["gap"]), (&json!("e-9"), &Value::Null));
                let seen = json["events"].as_array().unwrap();
                assert_eq!(seen.len(), data.len());
                for (n, (event, text)) in seen.iter().zip(&data).enumerate() {
                    let lines = text.replace("\r\n", "\n").replace('\r', "\n");
                    let (id, created_at) = (format!("e-{n}"), 0.0);
                    let expected =
                        json!({ "id": id, "type": "tick", "data": lines, "created_at": created_at });
                    assert_eq!(*event, expected);
                }
            }
        }
    }

    #[test]
    fn an_answer_says_when_an_event_was_published_to_the_millisecond() {
        let mut encoder = Encoder::new();
        let chunk = encoder.event(&EventType::default(), "x").finish(EventId::new("e-1").unwrap());
        let frame = Frame::published(chunk, None, std::time::Duration::from_millis(1_764_149_707_045));
        let (text, _) = read(PollAnswer { events: vec![frame], ..PollAnswer::default() });
        assert!(text.contains("\"created_at\":1764149707.045}"), "{text}");
    }

    #[test]
    fn an_answer_without_events_says_where_to_go_on_and_why_it_ends() {
        let end = Some(CloseReason::SessionEnded);
        let (text, said) = read(PollAnswer { next: "e-1".to_owned(), end, ..PollAnswer::default() });
        let json: Value = serde_json::from_str(&text).unwrap();
        let told = CloseReason::SessionEnded;
        assert_eq!(json["end"], json!({ "error": told.message(), "code": told.code() }));
        assert_eq!((json["events"].as_array().unwrap().len(), text.len() as u64), (0, said));
    }
}
