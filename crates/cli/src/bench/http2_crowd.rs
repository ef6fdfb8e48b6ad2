//! Many idle streams over HTTP/2 connections, in one thread: an epoll loop over small states. It opens all windows,
//! answers settings and pings, and throws the bodies away.

use std::io;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::endpoint::{Endpoint, Wire};
use super::http2::{
    ACK, END_HEADERS, END_STREAM, FRAME_BYTES_MAX, HEADERS, INITIAL_WINDOW_SIZE, PING, PREFACE, SETTINGS,
    frame, header_block,
};

const GOAWAY: u8 = 7;
const RST_STREAM: u8 = 3;
const WINDOW_UPDATE: u8 = 8;
const DATA: u8 = 0;

/// The largest window there is (RFC 9113, section 6.9.1): heartbeats never fill it.
const WINDOW_BYTES: u32 = (1 << 31) - 1;
/// What a connection's window is at first.
const FIRST_WINDOW_BYTES: u32 = 65_535;

/// `:status: 200` as a server's header block begins with it (RFC 7541, appendix A).
const STATUS_200: u8 = 0x88;

/// What one read takes at most.
const READ_BYTES: usize = 64 * 1024;

const EVENTS_MAX: usize = 1024;

/// The length of what stands before a frame's payload.
const FRAME_HEAD_BYTES: usize = 9;

/// Connections of one thread.
pub(super) struct Http2Crowd {
    poll: Poll,
    events: Events,
    /// By token. An ended connection leaves its entry empty.
    members: Vec<Option<Member>>,
    buffer: Vec<u8>,
    scratch: Vec<u8>,
    /// Streams without an answer yet.
    pub(super) pending: usize,
    /// Streams answered with 200, and otherwise.
    pub(super) opened: usize,
    pub(super) refused: usize,
    /// Streams and connections that were ended by the hub.
    pub(super) ended: usize,
}

struct Member {
    stream: Wire,
    is_connecting: bool,
    /// The requests while connecting; after that the start of a frame.
    rest: Vec<u8>,
    next_stream: u32,
}

impl Http2Crowd {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS_MAX),
            members: Vec::new(),
            buffer: vec![0; READ_BYTES],
            scratch: Vec::new(),
            pending: 0,
            opened: 0,
            refused: 0,
            ended: 0,
        })
    }

    /// Begins one more connection with one stream.
    pub(super) fn connect(&mut self, to: &Endpoint, path: &str) -> io::Result<()> {
        let mut stream = to.wire(TcpStream::connect(to.address)?)?;
        let token = Token(self.members.len());
        self.poll.registry().register(stream.tcp(), token, Interest::READABLE | Interest::WRITABLE)?;
        let settings = [&INITIAL_WINDOW_SIZE[..], &WINDOW_BYTES.to_be_bytes()].concat();
        let window = (WINDOW_BYTES - FIRST_WINDOW_BYTES).to_be_bytes();
        let mut member = Member { stream, is_connecting: true, rest: Vec::new(), next_stream: 1 };
        member.rest = [
            PREFACE,
            &frame(SETTINGS, 0, 0, &settings),
            &frame(WINDOW_UPDATE, 0, 0, &window),
            &member.request(path),
        ]
        .concat();
        self.members.push(Some(member));
        self.pending += 1;
        Ok(())
    }

    /// Begins one more stream over the connection with this index.
    pub(super) fn open(&mut self, index: usize, path: &str) -> io::Result<()> {
        if let Some(Some(member)) = self.members.get_mut(index) {
            let request = member.request(path);
            member.stream.send(&request)?;
            self.pending += 1;
        }
        Ok(())
    }

    /// Waits for something to happen, and deals with it.
    pub(super) fn turn(&mut self, timeout: Duration) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        let mut seen = Seen::default();
        for event in &self.events {
            let index = event.token().0;
            let Some(Some(member)) = self.members.get_mut(index) else { continue };
            if member.is_connecting {
                if !event.is_writable() {
                    continue;
                }
                member.is_connecting = false;
                let requests = std::mem::take(&mut member.rest);
                if member.stream.send(&requests).is_err() {
                    seen.ended += 1;
                    self.members[index] = None;
                    continue;
                }
            }
            if !member.read(&mut self.scratch, &mut self.buffer, &mut seen) {
                seen.ended += 1;
                self.members[index] = None;
            }
        }
        self.pending = self.pending.saturating_sub(seen.opened + seen.refused);
        self.opened += seen.opened;
        self.refused += seen.refused;
        self.ended += seen.ended;
        Ok(())
    }
}

/// What frames said.
#[derive(Default)]
struct Seen {
    opened: usize,
    refused: usize,
    ended: usize,
}

impl Member {
    fn request(&mut self, path: &str) -> Vec<u8> {
        let block = header_block("GET", path, "text/event-stream");
        let stream = self.next_stream;
        self.next_stream += 2;
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)
    }

    /// Reads until nothing is left; whether the connection stays.
    fn read(&mut self, scratch: &mut Vec<u8>, buffer: &mut [u8], seen: &mut Seen) -> bool {
        loop {
            match self.stream.receive(scratch, buffer) {
                Ok(received) if received.count == 0 => return false,
                Ok(received) => self.rest.extend_from_slice(&buffer[..received.count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return false,
            }
            if !self.frames(seen) {
                return false;
            }
        }
    }

    fn frames(&mut self, seen: &mut Seen) -> bool {
        let rest = std::mem::take(&mut self.rest);
        let mut left = rest.as_slice();
        while let Some((head, after)) = left.split_first_chunk::<FRAME_HEAD_BYTES>() {
            let [a, b, c, kind, flags, ..] = *head;
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            if length > FRAME_BYTES_MAX {
                return false;
            }
            let Some((payload, after)) = after.split_at_checked(length) else { break };
            let answered = match kind {
                HEADERS if payload.first() == Some(&STATUS_200) => {
                    seen.opened += 1;
                    Ok(())
                }
                HEADERS => {
                    seen.refused += 1;
                    Ok(())
                }
                DATA if flags & END_STREAM == 0 => Ok(()),
                DATA | RST_STREAM => {
                    seen.ended += 1;
                    Ok(())
                }
                SETTINGS if flags & ACK == 0 => self.stream.send(&frame(SETTINGS, ACK, 0, &[])),
                PING if flags & ACK == 0 => self.stream.send(&frame(PING, ACK, 0, payload)),
                GOAWAY => return false,
                _ => Ok(()),
            };
            if answered.is_err() {
                return false;
            }
            left = after;
        }
        // An idle connection holds no memory for it.
        self.rest = left.to_vec();
        true
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn answers_refusals_and_ends_are_counted_and_pings_are_answered() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut crowd = Http2Crowd::new().unwrap();
        let to = Endpoint::from(listener.local_addr().unwrap());
        crowd.connect(&to, "/a").unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let turn = |crowd: &mut Http2Crowd| crowd.turn(Duration::from_secs(5)).unwrap();
        turn(&mut crowd);
        crowd.open(0, "/b").unwrap();
        assert_eq!(crowd.pending, 2);
        let answers = [
            frame(SETTINGS, 0, 0, &[]),
            frame(HEADERS, END_HEADERS, 1, &[STATUS_200]),
            frame(HEADERS, END_HEADERS | END_STREAM, 3, &[0x8d]),
            frame(PING, 0, 0, b"12345678"),
        ]
        .concat();
        // Cut in the middle of a frame.
        for part in [&answers[..12], &answers[12..]] {
            server.write_all(part).unwrap();
            turn(&mut crowd);
        }
        assert_eq!((crowd.pending, crowd.opened, crowd.refused, crowd.ended), (0, 1, 1, 0));
        let mut sent = vec![0; 4096];
        let count = server.read(&mut sent).unwrap();
        assert!(sent[..count].ends_with(&frame(PING, ACK, 0, b"12345678")));
        drop(server);
        turn(&mut crowd);
        assert_eq!(crowd.ended, 1);
    }
}
