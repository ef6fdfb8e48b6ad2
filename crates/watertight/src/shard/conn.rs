//! One adopted socket: a cursor, what is half written, and its life. A few hundred bytes, whatever its backlog:
//! what it has not read stays in the log. In two parts: what every delivery touches, and the rest.

use std::io::{self, IoSlice, Write};
use std::net::IpAddr;
use std::sync::Arc;

use watertight_core::limits::{HOLD_MAX_MS, NEWCOMER_PATIENCE_MS, PROOF_BYTES, READING_PATIENCE_MS};
use watertight_core::{Cursor, Frame, Life, Session, Tick};

use super::framing::Framing;
use super::link::TlsLink;
use super::seal::Seal;
use super::socket::PeerSocket;
use crate::gate::ConnectionGuard;
use crate::subscription::Holdings;

/// How a write went.
#[derive(Debug)]
pub(super) enum Wrote {
    /// Everything was taken.
    All,
    /// This much was taken, then the socket was full. Over TLS: was sealed; what the socket did not take of that is
    /// kept, so this may be all.
    Part(usize),
}

impl Wrote {
    /// How much was taken of so many bytes, and whether the socket is full.
    fn of(self, bytes: usize) -> (usize, bool) {
        match self {
            Wrote::All => (bytes, false),
            Wrote::Part(taken) => (taken, true),
        }
    }
}

/// What was begun and must be finished before anything else is written.
#[derive(Debug)]
pub(super) enum Rest {
    /// An event of which this much was written. Kept whole, so that it is never torn.
    Frame(Frame, usize),
    /// The hub's own bytes.
    Bytes(Box<[u8]>, usize),
}

impl Rest {
    fn remaining(&self, framing: Framing) -> &[u8] {
        let (bytes, at) = match self {
            Rest::Frame(frame, at) => (framing.bytes(frame), *at),
            Rest::Bytes(bytes, at) => (&**bytes, *at),
        };
        bytes.get(at..).unwrap_or_default()
    }

    fn wrote(&mut self, bytes: usize) {
        match self {
            Rest::Frame(_, at) | Rest::Bytes(_, at) => *at += bytes,
        }
    }
}

/// What a pass touches of a socket. Small and side by side in memory: with a thousand sockets per event, what
/// the processor has to fetch for each is what a delivery costs beside its system call.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) socket: PeerSocket,
    pub(super) framing: Framing,
    /// The peer's side is full: nothing is written until the kernel says that it is writable.
    pub(super) blocked: bool,
    /// Stands in the shard's ready queue.
    pub(super) queued: bool,
    /// Has something of its own to write first.
    has_rest: bool,
    /// Its life is closing: the closing event is all that is still written.
    is_closing: bool,
    pub(super) cursor: Cursor,
    /// When bytes were last accepted. The life is told when it is asked.
    pub(super) last_write: Tick,
    /// Events sent since the life was last told.
    pub(super) sent: u64,
    /// Over TLS: its state, and what is sealed and not sent.
    pub(super) tls: Option<Box<TlsLink>>,
    /// Everything else.
    pub(super) cold: Box<Cold>,
}

/// What a pass does not touch of a socket.
#[derive(Debug)]
pub(super) struct Cold {
    /// Its number among the members of its group.
    pub(super) member: u32,
    /// The closing event stands in `rest`; when that is written, the socket is closed.
    pub(super) has_closing_event: bool,
    /// How long it has held publishers back while others were near, milliseconds, since it last caught up.
    pub(super) held_ms: u32,
    /// Bytes it took after it had been full for the first time.
    taken_since_full: u32,
    /// Few sockets have one at any instant, so it is stored separately.
    rest: Option<Box<Rest>>,
    life: Life,
    /// Tells it from every other connection of this hub.
    pub(super) number: u64,
    /// Given back when the connection is dropped, before the gate's guard.
    pub(super) holdings: Holdings,
    guard: ConnectionGuard,
}

impl Conn {
    /// Where its peer is; `None` if it has no address.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.cold.guard.address()
    }

    pub(super) fn new(
        (socket, tls, framing): (PeerSocket, Option<Box<TlsLink>>, Framing),
        cursor: Cursor,
        opening: Box<[u8]>,
        (life, number): (Life, u64),
        (holdings, guard): (Holdings, ConnectionGuard),
        now: Tick,
    ) -> Conn {
        let is_closing = life.closing().is_some();
        let cold = Cold {
            member: 0,
            has_closing_event: false,
            held_ms: 0,
            taken_since_full: 0,
            rest: Some(Box::new(Rest::Bytes(opening, 0))),
            life,
            number,
            holdings,
            guard,
        };
        Conn {
            socket,
            framing,
            blocked: false,
            queued: false,
            has_rest: true,
            is_closing,
            cursor,
            last_write: now,
            sent: 0,
            tls,
            cold: Box::new(cold),
        }
    }

    pub(super) fn session(&self) -> &Arc<Session> {
        self.cold.holdings.membership.session()
    }

    /// Whether a pass may write to it: nothing of its own is in the way.
    pub(super) fn is_idle(&self) -> bool {
        !self.blocked && !self.queued && !self.has_rest && !self.is_closing
    }

    /// Whether something is half written.
    pub(super) fn has_rest(&self) -> bool {
        self.has_rest
    }

    /// Remembers what is half written.
    pub(super) fn set_rest(&mut self, rest: Rest) {
        self.has_rest = true;
        self.cold.rest = Some(Box::new(rest));
    }

    /// Writes on in what is half written: what is sealed already comes first. Returns the bytes that were taken.
    pub(super) fn write_rest(&mut self, now: Tick, seal: &mut Seal) -> io::Result<usize> {
        let mut taken = 0;
        if let Some(tls) = &mut self.tls
            && tls.has_unsent()
        {
            taken = tls.write_unsent(&self.socket)?;
            let is_full = tls.has_unsent();
            self.note_write(taken, is_full, now);
            if is_full {
                return Ok(taken);
            }
        }
        let Some(mut rest) = self.cold.rest.take() else {
            self.has_rest = false;
            return Ok(taken);
        };
        let remaining = rest.remaining(self.framing);
        let length = remaining.len();
        // What closes the stream closes TLS, too.
        let ends = self.cold.has_closing_event;
        let (wrote, full) = match &mut self.tls {
            Some(tls) => tls.write(&self.socket, remaining, ends, seal)?,
            None => write_plain(&self.socket, remaining)?,
        }
        .of(length);
        rest.wrote(wrote);
        self.cold.rest = (wrote < length).then_some(rest);
        self.has_rest = full;
        self.note_write(wrote, full, now);
        Ok(taken + wrote)
    }

    /// Whether it still reads, although it has fallen behind. A reader that has read on after a full socket is
    /// waited for longer than one that never has.
    pub(super) fn is_reading(&self, now: Tick) -> bool {
        let has_proved = self.cold.taken_since_full as usize >= PROOF_BYTES;
        let patience = if has_proved { READING_PATIENCE_MS } else { NEWCOMER_PATIENCE_MS };
        u64::from(self.cold.held_ms) < HOLD_MAX_MS && now.0.saturating_sub(self.last_write.0) < patience
    }

    /// Runs `with` on the life, told what was written, and keeps what the pass must know of it.
    pub(super) fn with_life<R>(&mut self, with: impl FnOnce(&mut Life) -> R) -> R {
        let life = &mut self.cold.life;
        life.skipped_heartbeat(self.last_write);
        life.sent(std::mem::take(&mut self.sent));
        let result = with(life);
        self.is_closing = life.closing().is_some() || life.ended().is_some();
        result
    }

    /// What stands in the life, for listings. Events of the last passes are not in it: see `sent`.
    pub(super) fn life(&self) -> &Life {
        &self.cold.life
    }

    /// Writes one run of bytes.
    pub(super) fn write(&mut self, bytes: &[u8], seal: &mut Seal) -> io::Result<Wrote> {
        if self.tls.is_some() {
            return self.over_tls(|tls, socket| tls.write(socket, bytes, false, seal));
        }
        write_plain(&self.socket, bytes)
    }

    /// Writes several runs: with one system call, or over TLS in as few records as may be.
    pub(super) fn write_vectored(&mut self, runs: &[IoSlice<'_>], seal: &mut Seal) -> io::Result<Wrote> {
        if self.tls.is_some() {
            return self.over_tls(|tls, socket| tls.write_vectored(socket, runs, seal));
        }
        let total: usize = runs.iter().map(|run| run.len()).sum();
        let wrote = retry(|| (&self.socket).write_vectored(runs))?;
        Ok(if wrote == total { Wrote::All } else { Wrote::Part(wrote) })
    }

    fn over_tls(
        &mut self,
        write: impl FnOnce(&mut TlsLink, &PeerSocket) -> io::Result<Wrote>,
    ) -> io::Result<Wrote> {
        let Some(tls) = &mut self.tls else { return Ok(Wrote::Part(0)) };
        let wrote = write(tls, &self.socket);
        self.note_unsent();
        wrote
    }

    /// Whether its TLS has something to send, which then goes before everything else.
    pub(super) fn note_unsent(&mut self) -> bool {
        let has_unsent = self.has_unsent();
        self.has_rest |= has_unsent;
        has_unsent
    }

    /// Whether something is sealed that the kernel has not taken.
    pub(super) fn has_unsent(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.has_unsent())
    }

    /// Notes what became of a write that was not a whole run to an idle socket.
    pub(super) fn note_write(&mut self, took: usize, full: bool, now: Tick) {
        if took > 0 {
            let was_full = self.cold.taken_since_full > 0 || self.cold.life.is_stalled();
            if was_full {
                let took = u32::try_from(took).unwrap_or(u32::MAX);
                self.cold.taken_since_full = self.cold.taken_since_full.saturating_add(took);
            }
            self.last_write = now;
            self.cold.life.wrote(now, full);
        } else if full {
            self.cold.life.stalled(now);
        }
        if full != self.blocked {
            self.blocked = full;
            self.set_kernel_patience();
        }
    }

    /// The kernel has room again.
    pub(super) fn note_room(&mut self) {
        if !self.has_rest {
            // A heartbeat that was not taken is all that waited.
            self.cold.life.has_room();
        }
        self.blocked = false;
        self.set_kernel_patience();
    }

    /// How long the kernel waits for acknowledgements. A line that is not full is dead if a heartbeat is not
    /// acknowledged; a reader that stalls acknowledges, but the kernel counts its closed window all the same,
    /// so while the line is full the hub's own write deadline has to come first.
    pub(super) fn set_kernel_patience(&self) {
        const MARGIN: std::time::Duration = std::time::Duration::from_secs(5);
        let policy = self.cold.life.policy();
        let patience = if self.blocked { policy.write_deadline + MARGIN } else { policy.half_open };
        self.socket.set_kernel_patience(patience);
    }

    /// Tells the peer's TLS that this is the end, so that it can be told from a connection that was cut.
    pub(super) fn say_close(&mut self, seal: &mut Seal) {
        if let Some(tls) = &mut self.tls {
            tls.say_close(&self.socket, seal);
        }
    }

    /// Closes hard: unsent bytes are thrown away at once, in the kernel too.
    pub(super) fn reset(&self) {
        self.socket.set_hard_close();
    }
}

// One cache line: a pass over many sockets reads this and nothing else.
const _: () = assert!(cfg!(debug_assertions) || size_of::<Option<Conn>>() <= 64);

// A size class of the allocator: one byte more costs 64.
const _: () = assert!(cfg!(debug_assertions) || size_of::<Cold>() <= 256);

fn write_plain(mut socket: &PeerSocket, bytes: &[u8]) -> io::Result<Wrote> {
    let wrote = retry(|| socket.write(bytes))?;
    Ok(if wrote == bytes.len() { Wrote::All } else { Wrote::Part(wrote) })
}

/// Repeats what a signal interrupted; a full socket is "nothing taken", a closed one an error.
pub(super) fn retry(mut write: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match write() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            other => return other,
        }
    }
}
