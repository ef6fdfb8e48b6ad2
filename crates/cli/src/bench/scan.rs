//! Reads what a hub streams, exactly and at little cost: whole chunks of HTTP/1.1, whole events in each.
//!
//! Made for millions of deliveries a second on the machine that is being measured, so it takes only what the
//! hub writes: chunks that hold whole blocks. Anything else is [`Malformed`], never passed over. Pure.

use memchr::memchr;

/// A chunk longer than this is no chunk of a hub's, in bytes.
const CHUNK_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Longest answer head, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The stream is not what a hub sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// The start of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    /// Bytes it took.
    pub(super) length: usize,
}

/// The head, once it is complete.
pub(super) fn head(bytes: &[u8]) -> Result<Option<Head>, Malformed> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return if bytes.len() > HEAD_BYTES_MAX { Err(Malformed("a head without end")) } else { Ok(None) };
    };
    let status =
        bytes.strip_prefix(b"HTTP/1.1 ").and_then(|rest| str::from_utf8(rest.get(..3)?).ok()?.parse().ok());
    let status = status.ok_or(Malformed("no HTTP/1.1 status line"))?;
    Ok(Some(Head { status, length: end + 4 }))
}

/// What stands at the start of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Chunk<'a> {
    /// Not all of it is there yet.
    Partial,
    /// A whole chunk: what it carries, and how many bytes it took.
    Whole { payload: &'a [u8], length: usize },
    /// The last chunk of a body.
    Last,
}

/// The chunk at the start of `bytes` (RFC 9112, section 7.1).
pub(super) fn chunk(bytes: &[u8]) -> Result<Chunk<'_>, Malformed> {
    let mut size = 0_usize;
    let mut digits = 0;
    for byte in bytes {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' if digits > 0 => break,
            _ => return Err(Malformed("no chunk size")),
        };
        size = size * 16 + usize::from(digit);
        digits += 1;
        if size > CHUNK_BYTES_MAX {
            return Err(Malformed("a chunk beyond all limits"));
        }
    }
    let start = digits + 2;
    let length = start + size + 2;
    let Some(whole) = bytes.get(..length) else { return Ok(Chunk::Partial) };
    let (framed, payload) = (&whole[..start], &whole[start..start + size]);
    if !framed.ends_with(b"\r\n") || !whole.ends_with(b"\r\n") {
        return Err(Malformed("a chunk without its CRLF"));
    }
    Ok(if size == 0 { Chunk::Last } else { Chunk::Whole { payload, length } })
}

/// What one block of a stream says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Block<'a> {
    /// An event of the generator's own: its number and the time stamped into it.
    Event { number: u64, stamp: u64 },
    /// Events are missing; how many, if the hub can tell.
    Gap { missed: Option<u64> },
    /// The hub closes the stream: its code.
    ClosingEvent { code: &'a str },
    /// An id without an event: a position to resume from.
    Position { id: &'a str },
    /// Heartbeats and other things without a meaning here.
    Other,
}

/// Hands out each block of a chunk's payload.
pub(super) fn blocks<'a>(payload: &'a [u8], sink: &mut impl FnMut(Block<'a>)) -> Result<(), Malformed> {
    if let Some(event) = single_event(payload) {
        sink(event);
        return Ok(());
    }
    let mut rest = payload;
    let mut fields = Fields::default();
    while !rest.is_empty() {
        let Some(end) = memchr(b'\n', rest) else { return Err(Malformed("a chunk that ends within a line")) };
        let line = &rest[..end];
        rest = &rest[end + 1..];
        if line.is_empty() {
            sink(std::mem::take(&mut fields).block()?);
        } else {
            fields.take(line);
        }
    }
    if fields.any { Err(Malformed("a chunk that ends within an event")) } else { Ok(()) }
}

/// The common case, one event of type `message` or `log` in a chunk, without looking at each byte of it.
fn single_event(payload: &[u8]) -> Option<Block<'static>> {
    let body = payload.strip_prefix(b"id: ")?.strip_suffix(b"\n\n")?;
    let after_id = &body[memchr(b'\n', body)? + 1..];
    let data = after_id.strip_prefix(b"event: log\n").unwrap_or(after_id).strip_prefix(b"data: ")?;
    if memchr(b'\n', data).is_some() {
        return None;
    }
    own_data(data)
}

/// `[number,stamp,...`
fn own_data(data: &[u8]) -> Option<Block<'static>> {
    let (number, rest) = integer(data.strip_prefix(b"[")?)?;
    let (stamp, rest) = integer(rest.strip_prefix(b",")?)?;
    matches!(rest.first(), Some(b',' | b']')).then_some(Block::Event { number, stamp })
}

fn integer(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    let mut length = 0;
    while let Some(digit @ b'0'..=b'9') = bytes.get(length) {
        value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
        length += 1;
    }
    (length > 0).then(|| (value, &bytes[length..]))
}

/// The fields of a block on the slow way.
#[derive(Default)]
struct Fields<'a> {
    any: bool,
    id: Option<&'a [u8]>,
    event: &'a [u8],
    data: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn take(&mut self, line: &'a [u8]) {
        self.any = true;
        if let Some(id) = line.strip_prefix(b"id: ") {
            self.id = Some(id);
        } else if let Some(event) = line.strip_prefix(b"event: ") {
            self.event = event;
        } else if let Some(data) = line.strip_prefix(b"data: ") {
            self.data = Some(data);
        }
    }

    fn block(self) -> Result<Block<'a>, Malformed> {
        match (self.event, self.data, self.id) {
            (b"" | b"log", Some(data), Some(_)) => {
                own_data(data).ok_or(Malformed("an event that nobody here published"))
            }
            (b"gap", Some(data), _) => {
                Ok(Block::Gap { missed: member(data, b"\"missed\":").and_then(number_text) })
            }
            (b"error", Some(data), _) => {
                Ok(Block::ClosingEvent { code: member(data, b"\"code\":\"").and_then(word).unwrap_or("?") })
            }
            (_, None, Some(id)) => str::from_utf8(id)
                .map(|id| Block::Position { id })
                .map_err(|_| Malformed("an id that is no text")),
            (_, None, None) => Ok(Block::Other),
            _ => Err(Malformed("an event without an id or of a foreign type")),
        }
    }
}

/// What follows a member's name in a flat JSON object that the hub wrote.
fn member<'a>(json: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    memchr::memmem::find(json, name).map(|at| &json[at + name.len()..])
}

fn number_text(bytes: &[u8]) -> Option<u64> {
    integer(bytes).map(|(value, _)| value)
}

fn word(bytes: &[u8]) -> Option<&str> {
    str::from_utf8(&bytes[..memchr(b'"', bytes)?]).ok()
}

#[cfg(test)]
mod tests {
    use watertight_wire::{Encoder, EventId, EventType, HEARTBEAT_CHUNK, LAST_CHUNK};

    use super::*;

    /// All blocks of a stream, cut into two reads at `at`.
    fn scanned(stream: &[u8], at: usize) -> Vec<String> {
        let mut seen = Vec::new();
        let mut rest = Vec::new();
        for read in [&stream[..at], &stream[at..]] {
            rest.extend_from_slice(read);
            let mut taken = 0;
            while let Chunk::Whole { payload, length } = chunk(&rest[taken..]).unwrap() {
                blocks(payload, &mut |block| seen.push(format!("{block:?}"))).unwrap();
                taken += length;
            }
            rest.drain(..taken);
        }
        seen
    }

    #[test]
    fn what_the_hub_writes_is_read_wherever_it_is_cut() {
        let mut encoder = Encoder::new();
        let message = EventType::default();
        let id = |text| EventId::new(text).unwrap();
        let mut stream = encoder.block().retry(2000).id(id("7-1")).comment("watertight").finish().to_vec();
        stream.extend_from_slice(HEARTBEAT_CHUNK);
        stream.extend_from_slice(encoder.event(&message, "[1,20,\"x\"]").finish(id("7-2")));
        let gap = EventType::new("gap").unwrap();
        let lost = r#"{"from":"7-2","to":"7-9","missed":7,"reason":"lagged"}"#;
        stream.extend_from_slice(encoder.event(&gap, lost).finish(id("7-9")));
        stream.extend_from_slice(encoder.event(&message, "[9,21]").finish(id("7-10")));
        let error = EventType::new("error").unwrap();
        let closing_event = r#"{"error":"The hub stops","code":"SHUTTING_DOWN"}"#;
        stream.extend_from_slice(encoder.block().retry(9).event(&error).data(closing_event).finish());
        for at in 0..=stream.len() {
            let expected = [
                r#"Position { id: "7-1" }"#,
                "Other",
                "Event { number: 1, stamp: 20 }",
                "Gap { missed: Some(7) }",
                "Event { number: 9, stamp: 21 }",
                r#"ClosingEvent { code: "SHUTTING_DOWN" }"#,
            ];
            assert_eq!(scanned(&stream, at), expected, "cut at {at}");
        }
        assert_eq!(chunk(LAST_CHUNK), Ok(Chunk::Last));
    }

    #[test]
    fn several_events_in_one_chunk_are_all_counted() {
        let payload = b"id: 7-1\ndata: [1,5]\n\nid: 7-2\ndata: [2,6]\n\n:\n\n";
        let mut seen = Vec::new();
        blocks(payload, &mut |block| seen.push(block)).unwrap();
        assert_eq!(
            seen,
            [Block::Event { number: 1, stamp: 5 }, Block::Event { number: 2, stamp: 6 }, Block::Other]
        );
    }

    #[test]
    fn lines_of_a_log_are_counted_alone_and_together() {
        let line = b"id: 7-1\nevent: log\ndata: [1,5]\n\n";
        for lines in [1, 2] {
            let mut seen = Vec::new();
            let text = line.repeat(lines);
            blocks(&text, &mut |block| seen.push(block)).unwrap();
            assert_eq!(seen.len(), lines);
            assert!(seen.iter().all(|block| *block == Block::Event { number: 1, stamp: 5 }), "{seen:?}");
        }
    }

    #[test]
    fn nothing_unexpected_is_passed_over() {
        for stream in [b"zz\r\n".as_slice(), b"\r\n", b"3\nabc\r\n", b"3\r\nabcde", b"ffffffffff"] {
            assert!(chunk(stream).is_err(), "{stream:?}");
        }
        for payload in
            [b"id: 7-1\ndata: [1,5]\n".as_slice(), b"data: [1,5]\n\n", b"id: 1\ndata: foreign\n\n", b"id: 1"]
        {
            assert!(blocks(payload, &mut |_| {}).is_err(), "{payload:?}");
        }
    }

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let bytes = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\r\nbody";
        assert_eq!(head(&bytes[..20]), Ok(None));
        assert_eq!(head(bytes), Ok(Some(Head { status: 503, length: 52 })));
        assert!(head(b"SSH-2.0-x\r\n\r\n").is_err());
    }
}
