//! From the bytes of a connection to the items of a stream: head, chunks, events. No I/O.

use std::ops::ControlFlow;

use watertight_wire::{Item, Limits, Parser};

use crate::http::parse_head;
use crate::raw::find;

/// Largest event a decoder takes, bytes: above everything a test sends.
const EVENT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The head of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Debug)]
enum State {
    Head(Vec<u8>),
    /// Not chunked: everything up to the end of the connection.
    Plain,
    ChunkSize(Vec<u8>),
    /// Bytes of the chunk still to come.
    Chunk(usize),
    /// Line break after a chunk, bytes of it seen.
    ChunkEnd(usize),
    /// Line break after the last chunk, bytes of it seen.
    LastEnd(usize),
    Over,
}

/// Decodes one response that is a stream.
#[derive(Debug)]
pub struct StreamDecoder {
    state: State,
    head: Option<Head>,
    parser: Parser,
    /// Bytes after the response's end: there should be none.
    pub surplus: usize,
}

impl Default for StreamDecoder {
    fn default() -> Self {
        StreamDecoder {
            state: State::Head(Vec::new()),
            head: None,
            parser: Parser::new(Limits { max_event_bytes: EVENT_BYTES_MAX }),
            surplus: 0,
        }
    }
}

impl StreamDecoder {
    /// A decoder for a body whose head and framing others took away.
    #[must_use]
    pub fn of_body() -> StreamDecoder {
        StreamDecoder { state: State::Plain, ..StreamDecoder::default() }
    }

    /// The head, once it is complete.
    #[must_use]
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// The id that a client coming back would send.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        self.parser.last_event_id()
    }

    /// Whether the body ended by its own rules: the last chunk came.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Takes bytes and gives `sink` what they complete.
    ///
    /// # Panics
    /// At bytes that are no HTTP response or no valid chunk.
    pub fn feed(&mut self, mut bytes: &[u8], sink: &mut dyn FnMut(Item<'_>)) {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Head(seen) => {
                    let before = seen.len();
                    seen.extend_from_slice(bytes);
                    let Some(at) = find(seen, b"\r\n\r\n") else { return };
                    bytes = &bytes[at + 4 - before..];
                    seen.truncate(at + 4);
                    let parsed = parse_head(seen);
                    let (status, headers) = parsed.unwrap_or_else(|| panic!("{seen:?} is no head"));
                    let head = Head { status, headers };
                    let is_chunked = head.header("transfer-encoding") == Some("chunked");
                    self.state = if is_chunked { State::ChunkSize(Vec::new()) } else { State::Plain };
                    self.head = Some(head);
                }
                State::Plain => {
                    parse(&mut self.parser, bytes, sink);
                    return;
                }
                State::ChunkSize(digits) => {
                    let byte = bytes[0];
                    bytes = &bytes[1..];
                    if byte == b'\n' {
                        let text = str::from_utf8(digits).unwrap().strip_suffix('\r').expect("CRLF");
                        let size = usize::from_str_radix(text, 16).expect("a chunk's size");
                        self.state = if size == 0 { State::LastEnd(0) } else { State::Chunk(size) };
                    } else {
                        digits.push(byte);
                        assert!(digits.len() <= 16, "{digits:?} is no chunk size");
                    }
                }
                State::Chunk(left) => {
                    let some = bytes.len().min(*left);
                    parse(&mut self.parser, &bytes[..some], sink);
                    bytes = &bytes[some..];
                    *left -= some;
                    if *left == 0 {
                        self.state = State::ChunkEnd(0);
                    }
                }
                State::ChunkEnd(at) | State::LastEnd(at) => {
                    assert_eq!(bytes[0], b"\r\n"[*at], "a chunk ends with CRLF");
                    bytes = &bytes[1..];
                    *at += 1;
                    if *at == 2 {
                        let is_last = matches!(self.state, State::LastEnd(_));
                        self.state = if is_last { State::Over } else { State::ChunkSize(Vec::new()) };
                    }
                }
                State::Over => {
                    self.surplus += bytes.len();
                    return;
                }
            }
        }
    }
}

fn parse(parser: &mut Parser, bytes: &[u8], sink: &mut dyn FnMut(Item<'_>)) {
    let fed = parser.feed(bytes, &mut |item: Item<'_>| {
        sink(item);
        ControlFlow::Continue(())
    });
    fed.expect("an event within the limit");
}
