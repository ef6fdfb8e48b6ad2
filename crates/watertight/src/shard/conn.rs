//! One adopted socket: a cursor, what is half written, and its lifecycle. A few hundred bytes, whatever its
//! backlog: what it has not read stays in the log. In two parts: what every delivery touches, and the rest.

use std::io::{self, IoSlice, Write};
use std::sync::Arc;

use mio::net::TcpStream;
use socket2::SockRef;
use watertight_core::limits::{HOLD_MAX_MS, NEWCOMER_PATIENCE_MS, PROOF_BYTES, READING_PATIENCE_MS};
use watertight_core::{CloseReason, ConnectionState, Cursor, Entry, Frame, Lifecycle, Policy, Session, Tick};

use crate::gate::ConnectionGuard;
use crate::subscription::Membership;

/// How a write went.
#[derive(Debug)]
pub(super) enum Wrote {
    /// Everything was taken.
    All,
    /// This much was taken, then the socket was full.
    Part(usize),
}

/// What a pass touches of a socket. Small and side by side in memory: with a thousand sockets per event, what
/// the processor has to fetch for each is what a delivery costs beside its system call.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) socket: TcpStream,
    /// The peer's side is full: nothing is written until the kernel says that it is writable.
    pub(super) blocked: bool,
    /// Stands in the shard's ready queue.
    pub(super) queued: bool,
    /// Has something of its own to write first: the rest of a frame.
    has_rest: bool,
    /// On its way out, with the goodbye still to be written.
    pub(super) closing: Option<CloseReason>,
    pub(super) cursor: Cursor,
    /// When bytes were last accepted. The lifecycle is told when it is asked.
    pub(super) last_write: Tick,
    /// Events sent.
    pub(super) sent: u64,
    /// Everything else.
    pub(super) cold: Box<Cold>,
}

/// What a pass does not touch of a socket.
#[derive(Debug)]
pub(super) struct Cold {
    /// Its group, and its place in it.
    pub(super) group: u32,
    pub(super) place: u32,
    /// The goodbye stands in `rest`; when that is written, the socket is closed.
    pub(super) farewell: bool,
    /// How long it has held publishers back while others were level, milliseconds, since it was level itself.
    pub(super) held_ms: u64,
    /// Bytes it took after it had been full for the first time.
    taken_since_full: usize,
    /// A frame of which this many bytes were written. Kept whole, so that a chunk is never torn.
    rest: Option<(Frame, usize)>,
    pub(super) life: Lifecycle,
    pub(super) state: ConnectionState,
    pub(super) policy: Arc<Policy>,
    pub(super) generation: u64,
    /// Given back in this order when the connection is dropped: timer, subscription, connection.
    pub(super) _timer: Entry,
    pub(super) membership: Membership,
    pub(super) _guard: ConnectionGuard,
}

impl Cold {
    pub(super) fn new(
        place: (u32, u32),
        life: Lifecycle,
        state: ConnectionState,
        policy: Arc<Policy>,
        generation: u64,
        guards: (Entry, Membership, ConnectionGuard),
    ) -> Cold {
        let ((group, place), (timer, membership, guard)) = (place, guards);
        Cold {
            group,
            place,
            farewell: false,
            held_ms: 0,
            taken_since_full: 0,
            rest: None,
            life,
            state,
            policy,
            generation,
            _timer: timer,
            membership,
            _guard: guard,
        }
    }
}

impl Conn {
    pub(super) fn new(socket: TcpStream, cursor: Cursor, opening: Frame, cold: Cold) -> Conn {
        let mut conn = Conn {
            socket,
            blocked: false,
            queued: false,
            has_rest: false,
            closing: None,
            cursor,
            last_write: cold.life.last_write,
            sent: 0,
            cold: Box::new(cold),
        };
        conn.set_rest(Some((opening, 0)));
        conn
    }

    pub(super) fn session(&self) -> &Arc<Session> {
        self.cold.membership.session()
    }

    /// Whether a pass may write to it: nothing of its own is in the way.
    pub(super) fn is_idle(&self) -> bool {
        !self.blocked && !self.queued && !self.has_rest && self.closing.is_none()
    }

    /// Whether a frame is half written.
    pub(super) fn has_rest(&self) -> bool {
        self.has_rest
    }

    /// Remembers a half-written frame.
    pub(super) fn set_rest(&mut self, rest: Option<(Frame, usize)>) {
        self.has_rest = rest.is_some();
        self.cold.rest = rest;
    }

    /// Takes the half-written frame.
    pub(super) fn take_rest(&mut self) -> Option<(Frame, usize)> {
        self.has_rest = false;
        self.cold.rest.take()
    }

    /// Whether it still reads, although it has fallen behind. Who has shown that it reads on is given more
    /// patience than who never has.
    pub(super) fn is_reading(&self, now: Tick) -> bool {
        let has_proved = self.cold.taken_since_full >= PROOF_BYTES;
        let patience = if has_proved { READING_PATIENCE_MS } else { NEWCOMER_PATIENCE_MS };
        self.cold.held_ms < HOLD_MAX_MS && now.0.saturating_sub(self.last_write.0) < patience
    }

    /// The lifecycle, told when bytes were last accepted.
    pub(super) fn life(&mut self) -> &mut Lifecycle {
        self.cold.life.last_write = self.last_write;
        &mut self.cold.life
    }

    /// Writes one run of bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<Wrote> {
        let wrote = retry(|| (&self.socket).write(bytes))?;
        Ok(if wrote == bytes.len() { Wrote::All } else { Wrote::Part(wrote) })
    }

    /// Writes several runs with one system call.
    pub(super) fn write_vectored(&mut self, runs: &[IoSlice<'_>]) -> io::Result<Wrote> {
        let total: usize = runs.iter().map(|run| run.len()).sum();
        let wrote = retry(|| (&self.socket).write_vectored(runs))?;
        Ok(if wrote == total { Wrote::All } else { Wrote::Part(wrote) })
    }

    /// Notes what became of a write that was not a whole run to an idle socket.
    pub(super) fn note_write(&mut self, took: usize, full: bool, now: Tick) {
        if took > 0 {
            if self.cold.taken_since_full > 0 || self.cold.life.stalled_since.is_set() {
                self.cold.taken_since_full = self.cold.taken_since_full.saturating_add(took);
            }
            self.last_write = now;
            self.cold.life.wrote(now, full);
            self.cold.state.succeeded();
        } else if full {
            self.cold.life.stalled(now);
        }
        if full != self.blocked {
            self.blocked = full;
            self.set_kernel_patience();
        }
    }

    /// How long the kernel waits for acknowledgements. A line that is not full is dead if a heartbeat is not
    /// acknowledged; a reader that stalls acknowledges, but the kernel counts its closed window all the same,
    /// so while the line is full the hub's own write deadline has to come first.
    pub(super) fn set_kernel_patience(&self) {
        const MARGIN: std::time::Duration = std::time::Duration::from_secs(5);
        let policy = &self.cold.policy;
        let patience = if self.blocked { policy.write_deadline + MARGIN } else { policy.half_open };
        // A kernel without the option still has the hub's deadlines.
        let _ = SockRef::from(&self.socket).set_tcp_user_timeout(Some(patience));
    }

    /// Closes hard: unsent bytes are thrown away at once, in the kernel too.
    pub(super) fn reset(&self) {
        // The socket is closed right after; if the option cannot be set it closes gently instead.
        let _ = SockRef::from(&self.socket).set_linger(Some(std::time::Duration::ZERO));
    }
}

// One cache line: a pass over many sockets reads this and nothing else.
const _: () = assert!(cfg!(debug_assertions) || size_of::<Conn>() <= 56);

/// Repeats what a signal interrupted; a full socket is "nothing taken", a closed one an error.
fn retry(mut write: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match write() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            other => return other,
        }
    }
}
