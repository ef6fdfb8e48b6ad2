//! Thousands of streams in one thread: opened together, read together, stalled one by one.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use socket2::SockRef;
use watertight_wire::Item;

use crate::PATIENCE;
use crate::decode::StreamDecoder;
use crate::raw::ConnectOptions;
use crate::sse::End;
use crate::transport::Endpoint;

/// What a member saw.
#[derive(Debug)]
pub enum Seen<'a> {
    /// Something on its stream.
    Item(Item<'a>),
    /// Its end; nothing follows.
    End(End),
}

#[derive(Debug)]
struct Member {
    socket: mio::net::TcpStream,
    /// If it speaks TLS.
    tls: Option<Box<ClientConnection>>,
    decoder: StreamDecoder,
    end: Option<End>,
    reads: bool,
}

/// Streams that are read together.
#[derive(Debug)]
pub struct Crowd {
    poll: Poll,
    members: Vec<Option<Member>>,
}

impl Crowd {
    /// Asks for `count` streams, member `i` with the socket options and at the path that `of(i)` says. Reads
    /// nothing yet.
    ///
    /// # Panics
    /// When one cannot connect.
    #[must_use]
    pub fn connect(
        to: impl Into<Endpoint>,
        count: usize,
        of: impl Fn(usize) -> (ConnectOptions, String),
    ) -> Crowd {
        let to = to.into();
        let poll = Poll::new().unwrap();
        let mut members = Vec::with_capacity(count);
        for index in 0..count {
            let (options, path) = of(index);
            let request = format!("GET {path} HTTP/1.1\r\nHost: hub\r\n\r\n");
            let (socket, tls) = ask(&to, &options, request.as_bytes())
                .unwrap_or_else(|error| panic!("member {index}: {error}"));
            let mut member = Member {
                socket: mio::net::TcpStream::from_std(socket),
                tls,
                decoder: StreamDecoder::default(),
                end: None,
                reads: true,
            };
            poll.registry().register(&mut member.socket, Token(index), Interest::READABLE).unwrap();
            members.push(Some(member));
        }
        Crowd { poll, members }
    }

    /// The same, and waits until each has its head and the first bytes of its body. For streams without
    /// replay: what they say meanwhile is not kept.
    ///
    /// # Panics
    /// When one is refused, or says an event before all are open.
    #[must_use]
    pub fn open(
        to: impl Into<Endpoint>,
        count: usize,
        of: impl Fn(usize) -> (ConnectOptions, String),
    ) -> Crowd {
        let mut crowd = Crowd::connect(to, count, of);
        let mut opened = vec![false; count];
        let mut missing = count;
        crowd.read_until(PATIENCE.max(Duration::from_millis(10 * count as u64)), |index, seen| {
            if let Seen::End(_) | Seen::Item(Item::Event { .. }) = seen {
                panic!("member {index} sees {seen:?} before all are open");
            }
            missing -= usize::from(!std::mem::replace(&mut opened[index], true));
            if missing == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        for (index, member) in crowd.members.iter().enumerate() {
            let head = member.as_ref().unwrap().decoder.head().unwrap();
            assert_eq!(head.status, 200, "member {index}: {head:?}");
        }
        crowd
    }

    /// Members, those that left or were ended included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The id that a member would send to resume.
    ///
    /// # Panics
    /// When it has left.
    #[must_use]
    pub fn last_event_id(&self, index: usize) -> &str {
        self.members[index].as_ref().expect("a member").decoder.last_event_id()
    }

    /// How a member's stream ended, if it did and was read.
    #[must_use]
    pub fn end_of(&self, index: usize) -> Option<End> {
        self.members[index].as_ref().and_then(|member| member.end)
    }

    /// From now on this member reads nothing.
    ///
    /// # Panics
    /// When it has left.
    pub fn stall(&mut self, index: usize) {
        let member = self.members[index].as_mut().expect("a member");
        if std::mem::replace(&mut member.reads, false) {
            self.poll.registry().deregister(&mut member.socket).unwrap();
        }
    }

    /// From now on this member reads again.
    ///
    /// # Panics
    /// When it has left.
    pub fn resume(&mut self, index: usize) {
        let member = self.members[index].as_mut().expect("a member");
        if !std::mem::replace(&mut member.reads, true) {
            self.poll.registry().register(&mut member.socket, Token(index), Interest::READABLE).unwrap();
        }
    }

    /// This member leaves: with a reset, or gently.
    pub fn leave(&mut self, index: usize, with_reset: bool) {
        if let Some(member) = self.members[index].take()
            && with_reset
        {
            // A socket that is gone needs no reset.
            let _ = SockRef::from(&member.socket).set_linger(Some(Duration::ZERO));
        }
    }

    /// Reads whatever comes to those who read, and tells `see` of each item, until it breaks.
    ///
    /// # Panics
    /// When it did not break within `within`.
    pub fn read_until(&mut self, within: Duration, mut see: impl FnMut(usize, Seen<'_>) -> ControlFlow<()>) {
        let done = self.read_for(within, &mut see);
        assert!(done, "the crowd did not see what it waits for within {within:?}");
    }

    /// The same; `false` if `see` did not break in time.
    pub fn read_for(
        &mut self,
        within: Duration,
        see: &mut impl FnMut(usize, Seen<'_>) -> ControlFlow<()>,
    ) -> bool {
        let deadline = Instant::now() + within;
        let mut events = Events::with_capacity(1024);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            match self.poll.poll(&mut events, Some(left)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled.unwrap(),
            }
            let mut broke = false;
            // All that are ready are read, also behind one that breaks: readiness is told only once.
            for event in &events {
                let index = event.token().0;
                let Some(member) = self.members[index].as_mut() else { continue };
                broke |= member.read(&mut buffer, |seen| see(index, seen)).is_break();
                if member.end.is_some() && std::mem::replace(&mut member.reads, false) {
                    let _ = self.poll.registry().deregister(&mut member.socket);
                }
            }
            if broke {
                return true;
            }
        }
    }
}

/// Connects and sends a request. Nothing but the handshake is read.
fn ask(
    to: &Endpoint,
    options: &ConnectOptions,
    request: &[u8],
) -> io::Result<(TcpStream, Option<Box<ClientConnection>>)> {
    let mut socket = options.connect_tcp(to.address)?;
    let config = options.tls.as_ref().or(to.tls.as_ref().map(|tls| &tls.http1));
    let mut tls = None;
    if let Some(config) = config {
        socket.set_read_timeout(Some(PATIENCE))?;
        let name = ServerName::from(to.address.ip());
        let mut client = Box::new(ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?);
        while client.is_handshaking() {
            client.complete_io(&mut socket)?;
        }
        rustls::Stream::new(&mut *client, &mut socket).write_all(request)?;
        tls = Some(client);
    } else {
        socket.write_all(request)?;
    }
    socket.set_nonblocking(true)?;
    Ok((socket, tls))
}

impl Member {
    /// Some bytes of the answer; none at its end.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.socket.read(buffer),
            Some(tls) => rustls::Stream::new(&mut **tls, &mut self.socket).read(buffer),
        }
    }

    /// Reads until there is nothing more.
    fn read(
        &mut self,
        buffer: &mut [u8],
        mut see: impl FnMut(Seen<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut flow = ControlFlow::Continue(());
        while self.end.is_none() {
            let end = match self.fill(buffer) {
                Ok(0) => Some(End::Closed),
                Ok(count) => {
                    self.decoder.feed(&buffer[..count], &mut |item| {
                        if see(Seen::Item(item)).is_break() {
                            flow = ControlFlow::Break(());
                        }
                    });
                    self.decoder.is_over().then_some(End::Complete)
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return flow,
                Err(error) if error.kind() == ErrorKind::Interrupted => None,
                // A TLS peer that closes without close_notify still closes.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => Some(End::Closed),
                Err(_) => Some(End::Reset),
            };
            if let Some(end) = end {
                self.end = Some(end);
                if see(Seen::End(end)).is_break() {
                    flow = ControlFlow::Break(());
                }
            }
        }
        flow
    }
}
