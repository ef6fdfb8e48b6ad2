//! The one way out: every connection that ends, ends here, once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::info;
use watertight_core::{CloseReason, Session};

use super::run::Shard;

/// How long a goodbye may wait for a peer that is full, before it is cut off.
const FAREWELL_GRACE: std::time::Duration = std::time::Duration::from_secs(5);

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The hub closed it, and the goodbye was taken.
    Closed(CloseReason),
    /// The hub cut it off: the peer did not take the goodbye in time.
    CutOff(CloseReason),
    /// The peer closed.
    PeerClosed,
    /// The peer reset the connection.
    PeerReset,
    /// The kernel gave the peer up: nothing was acknowledged.
    PeerVanished,
    /// The peer kept sending, which a subscriber has no business to do.
    PeerTalked,
    /// Another error of the socket.
    Failed,
}

impl End {
    pub(super) fn from_error(error: &io::Error) -> End {
        match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => End::PeerClosed,
            io::ErrorKind::ConnectionReset => End::PeerReset,
            io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable => End::PeerVanished,
            _ => End::Failed,
        }
    }

    fn name(self) -> &'static str {
        match self {
            End::Closed(reason) | End::CutOff(reason) => reason.code(),
            End::PeerClosed => "PEER_CLOSED",
            End::PeerReset => "PEER_RESET",
            End::PeerVanished => "PEER_VANISHED",
            End::PeerTalked => "PEER_TALKED",
            End::Failed => "SOCKET_ERROR",
        }
    }

    /// Whether unsent bytes are to be thrown away in the kernel too.
    fn is_hard(self) -> bool {
        matches!(self, End::CutOff(_) | End::PeerTalked)
    }
}

impl Shard<'_> {
    /// Starts the way out: the goodbye is written as soon as the socket takes it. The first reason stands.
    pub(super) fn begin_close(&mut self, slot: u32, reason: CloseReason) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(slot as usize) else { return };
        if conn.closing.is_some() || !conn.cold.state.end() {
            return;
        }
        conn.closing = Some(reason);
        // From here on the deadline is the goodbye's; heartbeats and everything else are over.
        conn.cold.life.deadline = now.after(FAREWELL_GRACE);
        if conn.blocked && reason == CloseReason::SlowConsumer {
            self.finish(slot, End::CutOff(reason));
        } else {
            self.arm(slot);
            self.make_ready(slot);
        }
    }

    /// Ends a connection: out of its group, off the wheel, into the log; dropping it gives the rest back.
    pub(super) fn finish(&mut self, slot: u32, end: End) {
        let Some(conn) = self.conns.try_remove(slot as usize) else { return };
        self.wheel.disarm(slot);
        self.leave_group(conn.cold.group, conn.cold.place);
        if matches!(end, End::Closed(CloseReason::SlowConsumer) | End::CutOff(CloseReason::SlowConsumer)) {
            self.inner.counters.slow_consumers.fetch_add(1, Ordering::Relaxed);
        }
        if end.is_hard() {
            conn.reset();
        }
        info!(
            target: "watertight::connection",
            connection = %self.id_of(slot, conn.cold.generation),
            kind = conn.cold.state.kind,
            user = conn.cold.state.user.as_deref().unwrap_or("-"),
            session = conn.session().name().as_str(),
            duration_ms = self.now.since(conn.cold.state.started).as_millis() as u64,
            sent = conn.sent,
            errors = conn.cold.state.errors,
            validations = conn.cold.state.validations,
            reason = end.name(),
            "connection closed"
        );
        let mut conn = conn;
        // Taken out of epoll before the descriptor is closed and its number given to somebody else.
        let _ = self.registry.deregister(&mut conn.socket);
        drop(conn);
        if self.conns.is_empty() {
            // Give the memory of a past crowd back.
            self.conns.shrink_to_fit();
            self.groups.shrink_to_fit();
            self.ready.shrink_to(64);
            self.wheel = watertight_core::Wheel::new(self.now);
        }
    }

    /// Ends what failed during a walk over a group, after the walk.
    pub(super) fn end_failed(&mut self) {
        while let Some((slot, end)) = self.failed.pop() {
            self.finish(slot, end);
        }
    }

    /// Takes a socket out of its group; the last member takes its place.
    fn leave_group(&mut self, key: u32, place: u32) {
        let Some(group) = self.groups.get_mut(key as usize) else { return };
        let place = place as usize;
        group.members.swap_remove(place);
        let moved = group.members.get(place).copied();
        // A member that moves from the part of a pass that is still to come into the part that is over would
        // be passed by: it draws level by itself.
        let passed_by = moved.filter(|_| place < group.at && group.members.len() >= group.at);
        group.at = group.at.min(group.members.len());
        if group.members.is_empty() {
            let session = Arc::clone(&group.session);
            self.groups.remove(key as usize);
            self.wake_paced(&session);
        } else {
            self.queue_look(key);
        }
        if let Some(slot) = moved {
            if let Some(conn) = self.conns.get_mut(slot as usize) {
                conn.cold.place = u32::try_from(place).unwrap_or(u32::MAX);
            }
            if passed_by.is_some() {
                self.make_ready(slot);
            }
        }
    }

    /// The session was ended: whoever is level says goodbye, the others after they have read to the end.
    pub(super) fn session_ended(&mut self, key: u32) {
        let Some(group) = self.groups.get(key as usize) else { return };
        let members = group.members.clone();
        for slot in members {
            self.make_ready(slot);
        }
    }

    /// Closes the sockets furthest behind, a few at a time: the last rung of the memory ladder.
    pub(super) fn close_laggards(&mut self) {
        const A_FEW: usize = 16;
        let mut laggards: Vec<(u64, u32)> = self
            .conns
            .iter()
            .filter_map(|(slot, conn)| {
                let lag = conn.session().head().saturating_sub(conn.cursor.next);
                // Who is behind but not full has its turn coming: it holds nothing up.
                (lag > 0 && conn.blocked && conn.closing.is_none())
                    .then_some((lag, u32::try_from(slot).ok()?))
            })
            .collect();
        laggards.sort_unstable_by(|one, other| other.cmp(one));
        for (_, slot) in laggards.into_iter().take(A_FEW) {
            self.begin_close(slot, CloseReason::SlowConsumer);
        }
    }

    /// Wakes publishers that wait for this session's readers.
    pub(super) fn wake_paced(&mut self, session: &Session) {
        if session.has_paced() {
            session.paced(&mut self.publishers);
            for publisher in self.publishers.drain(..) {
                publisher.wake();
            }
        }
    }
}
