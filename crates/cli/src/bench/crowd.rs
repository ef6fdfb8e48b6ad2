//! Many subscribers in one thread: an epoll loop over small states and one shared read buffer.
//!
//! A subscriber costs its socket and about a hundred bytes. Must not know what is being measured.
//!
//! It stands on sockets and not on the client: ten thousand futures that reconnect, parse and copy would be what
//! is measured, beside the hub and on the same cores.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use super::clock::Clock;
use super::endpoint::{Endpoint, Wire};
use super::histogram::Histogram;
use super::scan::{self, Chunk, Malformed};
use super::tally::{Sequence, Tally};

/// Shared by all: what one read takes at most, behind what was left of the read before, in bytes.
const READ_BYTES: usize = 256 * 1024;

/// Receive buffer of a subscriber, in bytes. Left to itself the kernel lets it grow to tens of megabytes, and
/// what waits there is latency of the client, not of the hub.
const RECEIVE_BUFFER_BYTES: usize = 128 * 1024;

/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 1024;

/// Subscribers of one thread.
pub(super) struct Crowd {
    poll: Poll,
    events: Events,
    /// By token. An ended subscriber leaves its entry empty.
    members: Vec<Option<Member>>,
    buffer: Vec<u8>,
    /// Where records of TLS are read to.
    scratch: Vec<u8>,
    clock: Clock,
    /// Connections whose answer has not begun.
    pending: usize,
    pub(super) tally: Tally,
    /// Microseconds from publish to arrival.
    pub(super) latency: Histogram,
}

/// One subscriber. Its socket closes when it is dropped.
struct Member {
    stream: Wire,
    phase: Phase,
    /// The request while connecting; after that the start of what is not complete yet. Mostly empty, and then
    /// without memory.
    rest: Vec<u8>,
    sequence: Sequence,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Head,
    Body,
}

/// What became of a member after its bytes were read.
enum Fate {
    Stays,
    Ended,
}

impl Crowd {
    pub(super) fn new(clock: Clock) -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS_MAX),
            members: Vec::new(),
            buffer: vec![0; READ_BYTES],
            scratch: Vec::new(),
            clock,
            pending: 0,
            tally: Tally::default(),
            latency: Histogram::default(),
        })
    }

    /// Begins one more subscription; `first` is the number of the first event that it must see.
    pub(super) fn subscribe(&mut self, to: &Endpoint, request: Vec<u8>, first: u64) -> io::Result<()> {
        let mut stream = to.wire(connect(to.address)?)?;
        let token = Token(self.members.len());
        self.poll.registry().register(stream.tcp(), token, Interest::READABLE | Interest::WRITABLE)?;
        let sequence = Sequence::from(first);
        self.members.push(Some(Member { stream, phase: Phase::Connecting, rest: request, sequence }));
        self.pending += 1;
        Ok(())
    }

    /// Connections whose answer has not begun.
    pub(super) fn pending(&self) -> usize {
        self.pending
    }

    /// Connections there are.
    pub(super) fn live(&self) -> usize {
        self.members.iter().flatten().count()
    }

    /// Counts those that ended as if they had never been opened.
    #[cfg(feature = "testing")]
    pub(super) fn forget_ended(&mut self) {
        self.tally.opened -= std::mem::take(&mut self.tally.ended);
    }

    /// How many still wait for a number up to and including `last`.
    pub(super) fn behind(&self, last: u64) -> usize {
        self.members.iter().flatten().filter(|member| member.sequence.next() <= last).count()
    }

    /// The lowest number that anybody waits for.
    pub(super) fn lowest(&self) -> Option<u64> {
        self.members.iter().flatten().map(|member| member.sequence.next()).min()
    }

    /// Waits for something to happen, and deals with it.
    pub(super) fn turn(&mut self, timeout: Duration) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        for event in &self.events {
            let Some(Some(member)) = self.members.get_mut(event.token().0) else { continue };
            if member.phase == Phase::Connecting {
                if !event.is_writable() {
                    continue;
                }
                if member.send_request().is_err() {
                    self.members[event.token().0] = None;
                    self.tally.ended += 1;
                    self.pending -= 1;
                    continue;
                }
            }
            let waited = member.phase == Phase::Head;
            let mut reader = Reader {
                buffer: &mut self.buffer,
                scratch: &mut self.scratch,
                clock: self.clock,
                tally: &mut self.tally,
                latency: &mut self.latency,
            };
            let fate = reader.read(member, event.is_read_closed() || event.is_error());
            if waited && (member.phase != Phase::Head || matches!(fate, Fate::Ended)) {
                self.pending -= 1;
            }
            if matches!(fate, Fate::Ended) {
                self.members[event.token().0] = None;
            }
        }
        Ok(())
    }
}

/// Begins to connect, with a receive buffer of fixed size.
fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
            Err(error)
        }
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

impl Member {
    fn send_request(&mut self) -> io::Result<()> {
        if let Some(error) = self.stream.tcp().take_error()? {
            return Err(error);
        }
        self.stream.send(&std::mem::take(&mut self.rest))?;
        self.phase = Phase::Head;
        Ok(())
    }
}

/// What reading needs of a crowd, beside the member that is read.
struct Reader<'a> {
    buffer: &'a mut Vec<u8>,
    scratch: &'a mut Vec<u8>,
    clock: Clock,
    tally: &'a mut Tally,
    latency: &'a mut Histogram,
}

impl Reader<'_> {
    /// Reads until nothing is left. A short read says that (epoll(7)); `closing` says not to trust it.
    fn read(&mut self, member: &mut Member, closing: bool) -> Fate {
        loop {
            let kept = member.rest.len();
            let end = kept + READ_BYTES;
            if self.buffer.len() < end {
                self.buffer.resize(end, 0);
            }
            self.buffer[..kept].copy_from_slice(&member.rest);
            let received = match member.stream.receive(self.scratch, &mut self.buffer[kept..end]) {
                Ok(received) if received.count == 0 => return self.ended(),
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Fate::Stays,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return self.ended(),
            };
            match self.scan(member, kept + received.count) {
                Ok(Fate::Stays) => {}
                Ok(Fate::Ended) => return self.ended(),
                Err(Malformed(_)) => {
                    self.tally.malformed += 1;
                    return Fate::Ended;
                }
            }
            if received.is_drained && !closing {
                return Fate::Stays;
            }
        }
    }

    fn ended(&mut self) -> Fate {
        self.tally.ended += 1;
        Fate::Ended
    }

    /// Takes what is complete out of the first `filled` bytes of the buffer and keeps the rest.
    fn scan(&mut self, member: &mut Member, filled: usize) -> Result<Fate, Malformed> {
        let bytes = &self.buffer[..filled];
        let mut taken = 0;
        if member.phase == Phase::Head
            && let Some(head) = scan::head(bytes)?
        {
            self.tally.head(head.status);
            if head.status != 200 {
                return Ok(Fate::Ended);
            }
            taken = head.length;
            member.phase = Phase::Body;
        }
        let now = self.clock.micros();
        let mut fate = Fate::Stays;
        while member.phase == Phase::Body {
            match scan::chunk(&bytes[taken..])? {
                Chunk::Partial => break,
                Chunk::Last => {
                    fate = Fate::Ended;
                    break;
                }
                Chunk::Whole { payload, length } => {
                    scan::blocks(payload, &mut |block| {
                        if let Some(stamp) = self.tally.block(&block, &mut member.sequence) {
                            self.latency.record(now.saturating_sub(stamp));
                        }
                    })?;
                    taken += length;
                }
            }
        }
        keep(&mut member.rest, &bytes[taken..]);
        Ok(fate)
    }
}

/// Remembers what is not complete; an idle member holds no memory for it.
fn keep(rest: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.is_empty() {
        *rest = Vec::new();
    } else {
        rest.clear();
        rest.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use watertight_wire::{Encoder, EventId, EventType, LAST_CHUNK};

    use super::*;

    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

    /// One event of the generator's, as a hub writes it.
    fn event(number: u64) -> Vec<u8> {
        let data = format!("[{number},0]");
        Encoder::new().event(&EventType::default(), &data).finish(EventId::new("7-1").unwrap()).to_vec()
    }

    /// What a crowd of one counts if the server writes `parts`, one after the other has been read.
    fn received(parts: &[Vec<u8>]) -> (Tally, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut crowd = Crowd::new(Clock::start()).unwrap();
        crowd
            .subscribe(&listener.local_addr().unwrap().into(), b"GET / HTTP/1.1\r\n\r\n".to_vec(), 1)
            .unwrap();
        let (mut server, _) = listener.accept().unwrap();
        crowd.turn(Duration::from_secs(5)).unwrap();
        assert_eq!(server.read(&mut [0; 64]).unwrap(), 18, "the request is sent whole");
        for part in parts {
            server.write_all(part).unwrap();
            crowd.turn(Duration::from_secs(5)).unwrap();
        }
        (crowd.tally.clone(), crowd.live())
    }

    #[test]
    fn events_are_counted_however_the_stream_is_cut() {
        let stream: Vec<u8> = [HEAD.to_vec(), event(1), event(2), event(3)].concat();
        for at in [1, HEAD.len() - 1, HEAD.len(), HEAD.len() + 1, HEAD.len() + 10, stream.len() - 1] {
            let (tally, live) = received(&[stream[..at].to_vec(), stream[at..].to_vec()]);
            assert!(
                tally.is_exact() && tally.opened == 1 && tally.deliveries == 3 && live == 1,
                "{at}: {tally:?}"
            );
        }
    }

    #[test]
    fn losses_and_doubles_are_counted() {
        let (tally, _) = received(&[[HEAD.to_vec(), event(1), event(1), event(4)].concat()]);
        assert_eq!((tally.deliveries, tally.duplicates, tally.lost), (2, 1, 2));
    }

    #[test]
    fn refusals_ends_and_nonsense_end_the_subscriber() {
        let (tally, live) = received(&[b"HTTP/1.1 503 No\r\n\r\n".to_vec()]);
        assert_eq!((tally.refused.get(&503), live), (Some(&1), 0));
        let (tally, live) = received(&[[HEAD, LAST_CHUNK].concat()]);
        assert_eq!((tally.ended, live), (1, 0));
        let (tally, live) = received(&[[HEAD, b"nonsense"].concat()]);
        assert_eq!((tally.malformed, live), (1, 0));
    }
}
