//! The raw floor of `scatter`: an epoll loop that reads a request, sends one frame to the session's subscriber and
//! one answer to the publisher. It looks at a request no closer than it must to know whose it is.

use std::collections::HashMap;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use memchr::memmem;
use mio::net::{TcpListener, TcpStream};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use watertight_wire::{Encoder, EventId, EventType};

use super::child::LISTENING;
use super::floor::{accept_all, send_all};

const LISTENER: Token = Token(usize::MAX);
const STDIN: Token = Token(usize::MAX - 1);

/// As long as a hub's ids are.
const ID: &str = "0123456789abcdef-12345";

/// As long as a hub's answer is.
const ANSWER: &[u8] = b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: 31\r\n\
    date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n{\"id\":\"0123456789abcdef-12345\"}";

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n3\r\n:\n\n\r\n";

/// Runs until standard input ends.
pub(super) fn serve() -> io::Result<()> {
    let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let stdin = io::stdin().as_raw_fd();
    poll.registry().register(&mut SourceFd(&stdin), STDIN, Interest::READABLE)?;
    println!("{LISTENING}{}", listener.local_addr()?);
    let mut floor =
        ScatterFloor { streams: Vec::new(), subscribers: HashMap::new(), encoder: Encoder::new() };
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            match event.token() {
                STDIN => return Ok(()),
                LISTENER => accept_all(&listener, &poll, &mut floor.streams)?,
                Token(index) => floor.readable(index),
            }
        }
    }
}

/// What the floor server holds: sockets.
struct ScatterFloor {
    /// By token; `None` once it is gone.
    streams: Vec<Option<TcpStream>>,
    /// Which stream reads a session, by its path.
    subscribers: HashMap<Vec<u8>, usize>,
    encoder: Encoder,
}

impl ScatterFloor {
    /// One request: the generator sends each in one piece, and the next after the answer. Anything else ends the
    /// connection, which the generator notices.
    fn readable(&mut self, index: usize) {
        let Some(stream) = self.streams.get_mut(index).and_then(Option::as_mut) else { return };
        let mut request = [0; 4096];
        let count = match stream.read(&mut request) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            other => other.unwrap_or(0),
        };
        if self.answer(index, &request[..count]).is_none() {
            self.streams[index] = None;
        }
    }

    fn answer(&mut self, index: usize, request: &[u8]) -> Option<()> {
        let (method, rest) = request.split_at_checked(memchr::memchr(b' ', request)?)?;
        let path = &rest[1..1 + memchr::memchr(b' ', &rest[1..])?];
        if method == b"GET" {
            self.subscribers.insert(path.to_vec(), index);
            return send_all(self.streams[index].as_mut()?, HEAD).then_some(());
        }
        let body = &request[memmem::find(request, b"\r\n\r\n")? + 4..];
        let data = str::from_utf8(body.strip_prefix(b"{\"data\":")?.strip_suffix(b"}")?).ok()?;
        let frame = self.encoder.event(&EventType::default(), data).finish(EventId::new(ID).ok()?);
        let subscriber = *self.subscribers.get(path)?;
        let sent = send_all(self.streams[subscriber].as_mut()?, frame);
        (send_all(self.streams[index].as_mut()?, ANSWER) && sent).then_some(())
    }
}
