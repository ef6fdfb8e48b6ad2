//! One adopted socket: a cursor, what is half written, and its lifecycle. A few hundred bytes, whatever its
//! backlog: what it has not read stays in the log.

use std::io::{self, IoSlice, Write};
use std::sync::Arc;

use mio::net::TcpStream;
use socket2::SockRef;
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

/// A socket and its cursor.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) socket: TcpStream,
    pub(super) cursor: Cursor,
    /// The peer's side is full: nothing is written until the kernel says that it is writable.
    pub(super) blocked: bool,
    /// Stands in the shard's ready queue.
    pub(super) queued: bool,
    /// On its way out, with the goodbye still to be written.
    pub(super) closing: Option<CloseReason>,
    /// The goodbye stands in `rest`; when that is written, the socket is closed.
    pub(super) farewell: bool,
    /// Its group, and its place in it.
    pub(super) group: u32,
    pub(super) place: u32,
    /// A frame of which this many bytes were written. Kept whole, so that a chunk is never torn.
    pub(super) rest: Option<(Frame, usize)>,
    pub(super) life: Lifecycle,
    pub(super) state: ConnectionState,
    pub(super) policy: Arc<Policy>,
    pub(super) generation: u64,
    /// Given back in this order when the connection is dropped: timer, subscription, connection.
    pub(super) _timer: Entry,
    pub(super) membership: Membership,
    pub(super) _guard: ConnectionGuard,
}

impl Conn {
    pub(super) fn session(&self) -> &Arc<Session> {
        self.membership.session()
    }

    /// Whether a pass may write to it: nothing of its own is in the way.
    pub(super) fn is_idle(&self) -> bool {
        !self.blocked && !self.queued && self.closing.is_none() && self.rest.is_none()
    }

    /// Whether it still reads, although it has fallen behind.
    pub(super) fn is_reading(&self, now: Tick) -> bool {
        let patience = watertight_core::limits::READING_PATIENCE_MS;
        now.0.saturating_sub(self.life.last_write.0) < patience
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

    /// Notes what became of a write. A socket that turns full gets the whole write deadline from the kernel
    /// too: a stalled reader is not a dead one.
    pub(super) fn note_write(&mut self, took_any: bool, full: bool, now: Tick) {
        if took_any {
            self.life.wrote(now, full);
            self.state.succeeded();
        } else if full {
            self.life.stalled(now);
        }
        if full != self.blocked {
            self.blocked = full;
            self.set_kernel_patience();
        }
    }

    /// How long the kernel waits for acknowledgements. A line that is not full is dead if a heartbeat is not
    /// acknowledged; a reader that stalls acknowledges, but the kernel counts its closed window all the same,
    /// so while the line is full the hub's own write deadline has to come first.
    fn set_kernel_patience(&self) {
        const MARGIN: std::time::Duration = std::time::Duration::from_secs(5);
        let patience = if self.blocked { self.policy.write_deadline + MARGIN } else { self.policy.half_open };
        // A kernel without the option still has the hub's deadlines.
        let _ = SockRef::from(&self.socket).set_tcp_user_timeout(Some(patience));
    }

    /// Closes hard: unsent bytes are thrown away at once, in the kernel too.
    pub(super) fn reset(&self) {
        // The socket is closed right after; if the option cannot be set it closes gently instead.
        let _ = SockRef::from(&self.socket).set_linger(Some(std::time::Duration::ZERO));
    }
}

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
