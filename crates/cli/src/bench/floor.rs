//! The raw floor: what it costs to call `send` once per subscriber and event, and nothing else.
//!
//! A child process with an epoll loop. It takes the bytes that a hub would send over a control connection, so
//! it does no protocol work; what it costs is what the kernel costs. Both sides of it stand here.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream as BlockingStream};
use std::os::fd::AsFd;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsRawFd;
use watertight_wire::{Encoder, EventId, EventType};

use super::child::LISTENING;
use super::failure::{Outcome, While};
use super::publisher::Outlet;

const LISTENER: Token = Token(usize::MAX);
const STDIN: Token = Token(usize::MAX - 1);

/// First line of the connection over which frames come, each behind its length in four bytes. A length of
/// zero ends a batch, which is answered with one byte once all of it was sent.
const CONTROL_HELLO: &[u8] = b"FLOOR\r\n\r\n";

/// A subscriber that takes nothing for so long is dropped.
const FULL_SOCKET_TIMEOUT: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };

/// Hands frames to a floor server, as a hub would write them.
pub(super) struct FloorOutlet {
    stream: BlockingStream,
    encoder: Encoder,
    /// As long as the hub's ids are.
    id: String,
    frames: Vec<u8>,
}

impl FloorOutlet {
    pub(super) fn connect(address: SocketAddr, id: &str) -> Outcome<Self> {
        let mut stream = BlockingStream::connect(address).during("connecting to the floor")?;
        stream.set_nodelay(true).during("connecting to the floor")?;
        stream.write_all(CONTROL_HELLO).during("connecting to the floor")?;
        Ok(Self { stream, encoder: Encoder::new(), id: id.to_owned(), frames: Vec::new() })
    }
}

impl Outlet for FloorOutlet {
    fn offer(&mut self, data: &[String]) -> Outcome<Option<Duration>> {
        let id = EventId::new(&self.id).during("encoding a frame")?;
        self.frames.clear();
        for data in data {
            let frame = self.encoder.event(&EventType::default(), data).finish(id);
            self.frames.extend_from_slice(&(frame.len() as u32).to_be_bytes());
            self.frames.extend_from_slice(frame);
        }
        self.frames.extend_from_slice(&[0; 4]);
        self.stream.write_all(&self.frames).during("feeding the floor")?;
        self.stream.read_exact(&mut [0]).during("waiting for the floor")?;
        Ok(None)
    }
}

/// Runs until standard input ends.
pub(super) fn serve() -> io::Result<()> {
    let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let stdin = io::stdin().as_raw_fd();
    poll.registry().register(&mut SourceFd(&stdin), STDIN, Interest::READABLE)?;
    println!("{LISTENING}{}", listener.local_addr()?);
    let mut floor = Floor::default();
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            match event.token() {
                STDIN => return Ok(()),
                LISTENER => accept_all(&listener, &poll, &mut floor.newcomers)?,
                Token(index) => floor.readable(index)?,
            }
        }
    }
}

/// What the floor server holds: sockets.
#[derive(Default)]
struct Floor {
    /// By token, until it is known what they are.
    newcomers: Vec<Option<TcpStream>>,
    subscribers: Vec<TcpStream>,
    control: Option<(usize, TcpStream)>,
    /// Frames that are not complete yet.
    incoming: Vec<u8>,
}

/// Takes everybody who waits; a connection's token is its place in `streams`.
pub(super) fn accept_all(
    listener: &TcpListener,
    poll: &Poll,
    streams: &mut Vec<Option<TcpStream>>,
) -> io::Result<()> {
    loop {
        match listener.accept() {
            Ok((mut stream, _)) => {
                stream.set_nodelay(true)?;
                let token = Token(streams.len());
                poll.registry().register(&mut stream, token, Interest::READABLE)?;
                streams.push(Some(stream));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

impl Floor {
    fn readable(&mut self, index: usize) -> io::Result<()> {
        if self.control.as_ref().is_some_and(|(control, _)| *control == index) {
            return self.frames();
        }
        // What subscribers say or that they leave is noticed by writing.
        let Some(mut stream) = self.newcomers.get_mut(index).and_then(Option::take) else { return Ok(()) };
        let mut request = [0; 4096];
        let count = match stream.read(&mut request) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.newcomers[index] = Some(stream);
                return Ok(());
            }
            Err(_) => 0,
        };
        if let Some(frames) = request[..count].strip_prefix(CONTROL_HELLO) {
            self.incoming.extend_from_slice(frames);
            self.control = Some((index, stream));
            return self.frames();
        }
        if count > 0 {
            let mut encoder = Encoder::new();
            let mut answer =
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                    .to_vec();
            answer.extend_from_slice(encoder.block().comment("floor").finish());
            if send_all(&mut stream, &answer) {
                self.subscribers.push(stream);
            }
        }
        Ok(())
    }

    /// Takes frames from the control connection and sends each to everybody.
    fn frames(&mut self) -> io::Result<()> {
        let Some((_, control)) = &mut self.control else { return Ok(()) };
        let mut chunk = [0; 64 * 1024];
        loop {
            let mut rest = self.incoming.as_slice();
            while let Some((length, body)) = rest.split_first_chunk::<4>() {
                let Some((frame, after)) = body.split_at_checked(u32::from_be_bytes(*length) as usize) else {
                    break;
                };
                if frame.is_empty() {
                    send_all(control, b".");
                } else {
                    self.subscribers.retain_mut(|stream| send_all(stream, frame));
                }
                rest = after;
            }
            let taken = self.incoming.len() - rest.len();
            self.incoming.drain(..taken);
            match control.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(count) => self.incoming.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// One `send`, and more only if the socket is full. `false`: the subscriber is gone.
pub(super) fn send_all(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while !rest.is_empty() {
        match stream.write(rest) {
            Ok(0) => return false,
            Ok(count) => rest = &rest[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut fds = [PollFd::from_borrowed_fd(stream.as_fd(), PollFlags::OUT)];
                // Else it is writable, broken (which the next write tells) or was interrupted.
                if let Ok(0) = poll(&mut fds, Some(&FULL_SOCKET_TIMEOUT)) {
                    return false;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    true
}
