//! Runs cycles, many at once, in an epoll loop.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, SockRef, Socket, Type};

use super::super::super::Bench;
use super::super::super::clock::Clock;
use super::super::super::endpoint::{Endpoint, Wire};
use super::super::super::failure::{Outcome, While, broken};
use super::super::super::scan;
use super::manner::Manner;

/// How long a stalled reader stays.
const STALL: Duration = Duration::from_millis(100);

/// The kernel doubles it and takes no less.
const STALLED_RECEIVE_BUFFER_BYTES: usize = 1024;

/// A port that was used rests for a minute, and an address has 28,000 of them: with so many source addresses
/// they do not run out.
const SOURCES: u64 = 32;

/// What one read takes at most.
const READ_BYTES: usize = 64 * 1024;

/// No cycle may take longer.
const STUCK_AFTER: Duration = Duration::from_secs(30);

pub(super) struct Churn {
    poll: Poll,
    events: Events,
    clock: Clock,
    to: Endpoint,
    buffers: Buffers,
    /// By token; a finished cycle leaves its entry to another.
    cycles: Vec<Option<Cycle>>,
    free: Vec<usize>,
    /// Stalled readers in the order in which they go.
    stalled: VecDeque<(Duration, usize)>,
    begun: u64,
    done: u64,
    /// Streams that were answered with 200.
    opened: u64,
    /// Answers other than 200, and connections that broke before theirs.
    refused: u64,
    broke: u64,
}

/// Where answers are read to, by all cycles.
struct Buffers {
    scratch: Vec<u8>,
    answer: Vec<u8>,
}

struct Cycle {
    stream: Wire,
    manner: Manner,
    index: u64,
    sent: bool,
    /// Whether all that it does is done, and it stays only to stall.
    is_done: bool,
    /// The start of an answer.
    answer: Vec<u8>,
}

impl Churn {
    pub(super) fn new(clock: Clock, to: Endpoint) -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            clock,
            to,
            buffers: Buffers { scratch: Vec::new(), answer: vec![0; READ_BYTES] },
            cycles: Vec::new(),
            free: Vec::new(),
            stalled: VecDeque::new(),
            begun: 0,
            done: 0,
            opened: 0,
            refused: 0,
            broke: 0,
        })
    }

    /// Runs so many more cycles, to their ends.
    pub(super) fn run(&mut self, bench: &Bench, count: u64, at_once: usize) -> Outcome<()> {
        let end = self.begun + count;
        let mut progress = (self.done, self.clock.now());
        while self.done < end {
            while self.begun < end && self.begun - self.done < at_once as u64 {
                self.begin().during("connecting")?;
            }
            self.turn().during("cycling")?;
            bench.check()?;
            bench.progress.at(|| format!("{} of {end}", self.done));
            if self.done > progress.0 {
                progress = (self.done, self.clock.now());
            } else if self.clock.now() > progress.1 + STUCK_AFTER {
                return broken(format!("{} connections get no answer", self.begun - self.done));
            }
        }
        Ok(())
    }

    /// What became of all cycles so far.
    pub(super) fn summary(&self) -> String {
        let Self { done, opened, refused, broke, .. } = self;
        format!(
            "{done} cycles with the warm-up: {opened} streams opened, {refused} refused, {broke} broke off"
        )
    }

    fn begin(&mut self) -> io::Result<()> {
        let manner = Manner::of(self.begun, self.to.tls.is_some());
        let mut stream = self.to.wire(connect(self.to.address, self.begun, manner)?)?;
        let index = self.free.pop().unwrap_or(self.cycles.len());
        self.poll.registry().register(stream.tcp(), Token(index), Interest::READABLE | Interest::WRITABLE)?;
        let cycle =
            Cycle { stream, manner, index: self.begun, sent: false, is_done: false, answer: Vec::new() };
        if index == self.cycles.len() {
            self.cycles.push(Some(cycle));
        } else {
            self.cycles[index] = Some(cycle);
        }
        self.begun += 1;
        Ok(())
    }

    fn turn(&mut self) -> io::Result<()> {
        let now = self.clock.now();
        let timeout =
            self.stalled.front().map_or(Duration::from_millis(50), |(until, _)| until.saturating_sub(now));
        match self.poll.poll(&mut self.events, Some(timeout.min(Duration::from_millis(50)))) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        let mut finished = Vec::new();
        for event in &self.events {
            let index = event.token().0;
            let Some(Some(cycle)) = self.cycles.get_mut(index) else { continue };
            match cycle.step(event.is_writable(), event.is_readable(), &mut self.buffers) {
                Ok(Step::Waits) => {}
                Ok(Step::Stalls) => self.stalled.push_back((self.clock.now() + STALL, index)),
                Ok(Step::Done { status }) => {
                    match status {
                        Some(200) => self.opened += 1,
                        Some(_) => self.refused += 1,
                        None => {}
                    }
                    finished.push(index);
                }
                // A stalled reader's entry is freed when its time is over.
                Err(_) if cycle.is_done && cycle.manner.stalls() => self.broke += 1,
                Err(_) => {
                    self.broke += 1;
                    finished.push(index);
                }
            }
        }
        while self.stalled.front().is_some_and(|(until, _)| *until <= self.clock.now()) {
            finished.extend(self.stalled.pop_front().map(|(_, index)| index));
        }
        for index in finished {
            self.finish(index)?;
        }
        Ok(())
    }

    /// Closes the connection in its manner.
    fn finish(&mut self, index: usize) -> io::Result<()> {
        let Some(mut cycle) = self.cycles.get_mut(index).and_then(Option::take) else { return Ok(()) };
        if cycle.manner.resets() {
            SockRef::from(&*cycle.stream.tcp()).set_linger(Some(Duration::ZERO))?;
        } else if cycle.manner.says_end(cycle.index) {
            // The hub may have been quicker.
            cycle.stream.say_end().ok();
        }
        self.free.push(index);
        self.done += 1;
        Ok(())
    }
}

enum Step {
    Waits,
    Stalls,
    /// It may go; the status if it waited for one.
    Done {
        status: Option<u16>,
    },
}

impl Cycle {
    fn step(&mut self, writable: bool, readable: bool, buffers: &mut Buffers) -> io::Result<Step> {
        if !self.sent {
            if !writable {
                return Ok(Step::Waits);
            }
            if let Some(error) = self.stream.tcp().take_error()? {
                return Err(error);
            }
            match self.manner.below_tls() {
                Some(bytes) => self.stream.send_below(bytes)?,
                None => self.stream.send(&self.manner.request(self.index))?,
            }
            self.sent = true;
        }
        if self.manner.awaits_head() {
            return if readable { self.read_head(buffers) } else { Ok(Step::Waits) };
        }
        if self.is_done {
            return Ok(Step::Waits);
        }
        if self.stream.is_handshaking() && !self.manner.leaves_in_handshake() {
            if readable && self.read(buffers)? == Some(0) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if self.stream.is_handshaking() {
                return Ok(Step::Waits);
            }
        }
        self.is_done = true;
        Ok(if self.manner.stalls() { Step::Stalls } else { Step::Done { status: None } })
    }

    /// What came; `None` if nothing did.
    fn read(&mut self, buffers: &mut Buffers) -> io::Result<Option<usize>> {
        match self.stream.receive(&mut buffers.scratch, &mut buffers.answer) {
            Ok(received) => Ok(Some(received.count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read_head(&mut self, buffers: &mut Buffers) -> io::Result<Step> {
        loop {
            match self.read(buffers)? {
                Some(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(count) => self.answer.extend_from_slice(&buffers.answer[..count]),
                None => return Ok(Step::Waits),
            }
            match scan::head(&self.answer) {
                Ok(None) => {}
                Ok(Some(head)) => return Ok(Step::Done { status: Some(head.status) }),
                Err(_) => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }
}

/// A connection under way, from one of many addresses of this host if the hub is on it.
fn connect(address: SocketAddr, index: u64, manner: Manner) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    if let SocketAddr::V4(v4) = address
        && v4.ip().is_loopback()
    {
        let source = Ipv4Addr::new(127, 0, 0, 2 + (index % SOURCES) as u8);
        socket.bind(&SocketAddr::from((source, 0)).into())?;
    }
    if manner.stalls() {
        socket.set_recv_buffer_size(STALLED_RECEIVE_BUFFER_BYTES)?;
    }
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(IN_PROGRESS) => return Err(error),
        _ => {}
    }
    Ok(TcpStream::from_std(socket.into()))
}

/// EINPROGRESS: what connecting without blocking answers.
const IN_PROGRESS: i32 = rustix::io::Errno::INPROGRESS.raw_os_error();
