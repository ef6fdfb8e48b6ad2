//! HTTP/2 as literal frames (RFC 9113): a client that can send what no well-behaved client would. Knows no flow
//! control and answers nothing by itself; [`Http2::read_until`] can be told to.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::raw::{ConnectOptions, RawConnection};
use crate::transport::Endpoint;

/// What a client begins with.
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Kinds of frames.
pub mod kind {
    /// Bytes of a body.
    pub const DATA: u8 = 0;
    /// A header block, or its beginning.
    pub const HEADERS: u8 = 1;
    /// The end of a stream, at once.
    pub const RST_STREAM: u8 = 3;
    /// What the sender can take.
    pub const SETTINGS: u8 = 4;
    /// A question that wants an answer.
    pub const PING: u8 = 6;
    /// The end of a connection, with a reason.
    pub const GOAWAY: u8 = 7;
    /// Room for further bytes.
    pub const WINDOW_UPDATE: u8 = 8;
    /// More of a header block.
    pub const CONTINUATION: u8 = 9;
}

/// `END_STREAM` on DATA and HEADERS, `ACK` on SETTINGS and PING.
const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
/// `SETTINGS_INITIAL_WINDOW_SIZE`.
pub const INITIAL_WINDOW_SIZE: u16 = 0x4;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its kind.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0 is the connection.
    pub stream: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A frame of any sort, valid or not.
    #[must_use]
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Frame {
        Frame { kind, flags, stream, payload: payload.into() }
    }

    /// Settings with these values.
    #[must_use]
    pub fn settings(values: &[(u16, u32)]) -> Frame {
        let pair = |(name, value): &(u16, u32)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat();
        Frame::new(kind::SETTINGS, 0, 0, values.iter().flat_map(pair).collect::<Vec<_>>())
    }

    /// A ping with these eight bytes.
    #[must_use]
    pub fn ping(payload: [u8; 8]) -> Frame {
        Frame::new(kind::PING, 0, 0, payload)
    }

    /// A whole request without a body, its headers neither compressed nor indexed.
    #[must_use]
    pub fn get(stream: u32, path: &str) -> Frame {
        Frame::new(kind::HEADERS, END_STREAM | END_HEADERS, stream, header_block("GET", path, &[]))
    }

    /// The same with further headers.
    #[must_use]
    pub fn get_with(stream: u32, path: &str, headers: &[(&str, &str)]) -> Frame {
        Frame::new(kind::HEADERS, END_STREAM | END_HEADERS, stream, header_block("GET", path, headers))
    }

    /// A whole HEAD request.
    #[must_use]
    pub fn head(stream: u32, path: &str) -> Frame {
        Frame::new(kind::HEADERS, END_STREAM | END_HEADERS, stream, header_block("HEAD", path, &[]))
    }

    /// The head of a request with a body still to come.
    #[must_use]
    pub fn post(stream: u32, path: &str, headers: &[(&str, &str)]) -> Frame {
        Frame::new(kind::HEADERS, END_HEADERS, stream, header_block("POST", path, headers))
    }

    /// The beginning of a header block that goes on in CONTINUATION frames.
    #[must_use]
    pub fn open_headers(stream: u32, path: &str) -> Frame {
        Frame::new(kind::HEADERS, END_STREAM, stream, header_block("GET", path, &[]))
    }

    /// More of a header block, which still does not end.
    #[must_use]
    pub fn continuation(stream: u32, headers: &[(&str, &str)]) -> Frame {
        let mut block = Vec::new();
        headers.iter().for_each(|(name, value)| literal(&mut block, name, value));
        Frame::new(kind::CONTINUATION, 0, stream, block)
    }

    /// Bytes of a body that does not end with them.
    #[must_use]
    pub fn data(stream: u32, bytes: &[u8]) -> Frame {
        Frame::new(kind::DATA, 0, stream, bytes)
    }

    /// The end of a body.
    #[must_use]
    pub fn end(stream: u32) -> Frame {
        Frame::last_data(stream, &[])
    }

    /// The last bytes of a body.
    #[must_use]
    pub fn last_data(stream: u32, bytes: &[u8]) -> Frame {
        Frame::new(kind::DATA, END_STREAM, stream, bytes)
    }

    /// The end of a stream (`CANCEL`).
    #[must_use]
    pub fn cancel(stream: u32) -> Frame {
        Frame::new(kind::RST_STREAM, 0, stream, 8u32.to_be_bytes())
    }

    /// Room for so many more bytes.
    #[must_use]
    pub fn window_update(stream: u32, bytes: u32) -> Frame {
        Frame::new(kind::WINDOW_UPDATE, 0, stream, bytes.to_be_bytes())
    }

    /// Whether it is an answer to a ping or to settings.
    #[must_use]
    pub fn is_ack(&self) -> bool {
        matches!(self.kind, kind::SETTINGS | kind::PING) && self.flags & ACK != 0
    }

    /// Whether it ends its stream.
    #[must_use]
    pub fn ends_stream(&self) -> bool {
        let has_flag = matches!(self.kind, kind::DATA | kind::HEADERS) && self.flags & END_STREAM != 0;
        has_flag || self.kind == kind::RST_STREAM
    }

    /// The status in the first answer on a connection: its header block begins with it, and there is no table
    /// yet that it could refer to. `None`: this is no such block.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
        if self.kind != kind::HEADERS {
            return None;
        }
        match *self.payload.first()? {
            index @ 0x88..=0x8e => Some(INDEXED[usize::from(index - 0x88)]),
            // A literal, with or without indexing, whose name is number 8: `:status`.
            0x48 | 0x08 | 0x18 => {
                let length = *self.payload.get(1)?;
                let text = self.payload.get(2..2 + usize::from(length & 0x7f))?;
                if length & 0x80 == 0 {
                    str::from_utf8(text).ok()?.parse().ok()
                } else {
                    huffman_digits(text)
                }
            }
            _ => None,
        }
    }

    /// The frame as it goes over the line.
    ///
    /// # Panics
    /// When its payload does not fit a frame.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap();
        assert!(length < 1 << 24, "{length} bytes in one frame");
        let head = [&length.to_be_bytes()[1..], &[self.kind, self.flags], &self.stream.to_be_bytes()];
        [&head.concat(), self.payload.as_slice()].concat()
    }
}

/// A connection that speaks frames.
#[derive(Debug)]
pub struct Http2 {
    connection: RawConnection,
    buffer: Vec<u8>,
}

impl Http2 {
    /// Connects and sends preface and settings; reads nothing.
    ///
    /// # Panics
    /// When it cannot connect.
    #[must_use]
    pub fn connect(to: impl Into<Endpoint>, settings: &[(u16, u32)]) -> Http2 {
        Http2::connect_with(to, settings, &ConnectOptions::default())
    }

    /// The same with options for the socket.
    ///
    /// # Panics
    /// When it cannot connect.
    #[must_use]
    pub fn connect_with(to: impl Into<Endpoint>, settings: &[(u16, u32)], options: &ConnectOptions) -> Http2 {
        Http2::try_connect(to, settings, options).expect("a connection")
    }

    /// The same, to a server that may refuse.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn try_connect(
        to: impl Into<Endpoint>,
        settings: &[(u16, u32)],
        options: &ConnectOptions,
    ) -> io::Result<Http2> {
        let to = to.into();
        let tls = options.tls.clone().or(to.tls.as_ref().map(|tls| Arc::clone(&tls.http2)));
        let options = ConnectOptions { tls, ..options.clone() };
        let mut connection = RawConnection::connect_with(to, &options)?;
        connection.try_send([PREFACE.as_slice(), &Frame::settings(settings).bytes()].concat())?;
        Ok(Http2 { connection, buffer: Vec::new() })
    }

    /// The socket underneath.
    pub fn connection(&mut self) -> &mut RawConnection {
        &mut self.connection
    }

    /// Sends frames in one piece.
    ///
    /// # Errors
    /// What the kernel says, if the peer has closed or takes nothing.
    pub fn send(&mut self, frames: &[Frame]) -> io::Result<()> {
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
        self.connection.try_send(bytes)
    }

    /// The next frame; `None` when the connection ended, however it did.
    ///
    /// # Errors
    /// `TimedOut` after `deadline`.
    pub fn next_frame(&mut self, deadline: Instant) -> io::Result<Option<Frame>> {
        loop {
            if let Some((frame, length)) = parse(&self.buffer) {
                self.buffer.drain(..length);
                return Ok(Some(frame));
            }
            match self.connection.read_some(deadline) {
                Ok(bytes) if bytes.is_empty() => return Ok(None),
                Ok(bytes) => self.buffer.extend_from_slice(&bytes),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(error),
                Err(_) => return Ok(None),
            }
        }
    }

    /// The next frame that is there, without waiting; reads at most `max` bytes for it. `None`: none is.
    ///
    /// # Errors
    /// `UnexpectedEof` when the connection ended, or what the kernel says.
    pub fn try_frame(&mut self, max: usize) -> io::Result<Option<Frame>> {
        loop {
            if let Some((frame, length)) = parse(&self.buffer) {
                self.buffer.drain(..length);
                return Ok(Some(frame));
            }
            match self.connection.try_read(max)? {
                None => return Ok(None),
                Some(bytes) if bytes.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(bytes) => self.buffer.extend_from_slice(&bytes),
            }
        }
    }

    /// Answers a ping or settings, as an honest client does; anything else is left alone.
    pub fn acknowledge(&mut self, frame: &Frame) {
        if matches!(frame.kind, kind::SETTINGS | kind::PING) && !frame.is_ack() {
            let payload = if frame.kind == kind::PING { frame.payload.clone() } else { Vec::new() };
            // Whoever closes meanwhile is noticed by the next read.
            let _ = self.send(&[Frame::new(frame.kind, ACK, 0, payload)]);
        }
    }

    /// Reads frames until `see` breaks, answering pings and settings as an honest client does. `false`: the
    /// connection ended before.
    ///
    /// # Panics
    /// When neither happens within `within`.
    pub fn read_until(&mut self, within: Duration, mut see: impl FnMut(&Frame) -> ControlFlow<()>) -> bool {
        let deadline = Instant::now() + within;
        loop {
            let frame = self.next_frame(deadline).unwrap_or_else(|error| panic!("{error} ({within:?})"));
            let Some(frame) = frame else { return false };
            if see(&frame).is_break() {
                return true;
            }
            self.acknowledge(&frame);
        }
    }

    /// Reads to the end of the connection, answering nothing, and returns the code of the `GOAWAY` that came
    /// before it. `None`: none came (or a reset took it away).
    ///
    /// # Panics
    /// When the connection does not end within `within`.
    pub fn read_to_end(&mut self, within: Duration) -> Option<u32> {
        let deadline = Instant::now() + within;
        let mut code = None;
        loop {
            match self.next_frame(deadline) {
                Ok(Some(frame)) if frame.kind == kind::GOAWAY => {
                    code = frame.payload.get(4..8).map(|code| u32::from_be_bytes(code.try_into().unwrap()));
                }
                Ok(Some(_)) => {}
                Ok(None) => return code,
                Err(error) => panic!("still open after {within:?}: {error}"),
            }
        }
    }
}

fn parse(bytes: &[u8]) -> Option<(Frame, usize)> {
    let head = bytes.get(..9)?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let stream = u32::from_be_bytes(head[5..9].try_into().unwrap()) & (u32::MAX >> 1);
    let payload = bytes.get(9..9 + length)?.to_vec();
    Some((Frame { kind: head[3], flags: head[4], stream, payload }, 9 + length))
}

/// Three digits in the code of RFC 7541, appendix B: `0` to `2` are the numbers 0 to 2 in five bits, `3` to `9`
/// the numbers 25 to 31 in six.
fn huffman_digits(text: &[u8]) -> Option<u16> {
    let bits = text.iter().fold(0u32, |bits, byte| (bits << 8) | u32::from(*byte));
    let (mut left, mut number) = (8 * u32::try_from(text.len()).ok()?, 0);
    for _ in 0..3 {
        let five = (bits >> left.checked_sub(5)?) & 31;
        let (digit, length) =
            if five < 3 { (five, 5) } else { (((bits >> left.checked_sub(6)?) & 63) - 22, 6) };
        left -= length;
        number = 10 * number + u16::try_from(digit).ok().filter(|digit| *digit < 10)?;
    }
    Some(number)
}

fn header_block(method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    let pseudo = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "hub")];
    pseudo.iter().chain(headers).for_each(|(name, value)| literal(&mut block, name, value));
    block
}

/// A field without indexing, with a literal name (RFC 7541, section 6.2.2).
fn literal(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    for text in [name, value] {
        integer(block, text.len());
        block.extend_from_slice(text.as_bytes());
    }
}

/// A length with a prefix of seven bits (RFC 7541, section 5.1).
fn integer(block: &mut Vec<u8>, mut number: usize) {
    if let Ok(short @ 0..=126) = u8::try_from(number) {
        return block.push(short);
    }
    block.push(127);
    number -= 127;
    while number >= 128 {
        block.push(u8::try_from(number % 128).unwrap() | 0x80);
        number /= 128;
    }
    block.push(u8::try_from(number).unwrap());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_an_answer_is_read_however_it_is_written() {
        let head = |payload: &[u8]| Frame::new(kind::HEADERS, END_HEADERS, 1, payload).status();
        assert_eq!(head(&[0x88, 0x5f]), Some(200));
        assert_eq!(head(&[0x8d]), Some(404));
        assert_eq!(head(b"\x48\x03503"), Some(503));
        // RFC 7541, C.6.1 and C.6.2: "302" and "307".
        assert_eq!(head(&[0x48, 0x82, 0x64, 0x02]), Some(302));
        assert_eq!(head(&[0x48, 0x83, 0x64, 0x0e, 0xff]), Some(307));
        assert_eq!(Frame::data(1, b"x").status(), None);
    }
}
