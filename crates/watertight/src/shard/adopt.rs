//! Taking over a socket: from here on its head is written, its cursor moves, and the shard owns it.

use tracing::debug;
use watertight_core::{CloseReason, Delivery, Due, End};

use super::conn::Conn;
use super::framing::Framing;
use super::link::TlsLink;
use super::run::Shard;
use super::socket::PeerSocket;
use crate::gate::ConnectionGuard;
use crate::subscription::Parts;

/// A socket, the head of its response, and the subscription it is to carry.
#[derive(Debug)]
pub(crate) struct Adoption {
    pub(crate) socket: PeerSocket,
    /// The socket's TLS, if it has any.
    pub(crate) tls: Option<Box<TlsLink>>,
    /// Status line and headers, ready to be written.
    pub(crate) head: Vec<u8>,
    pub(crate) framing: Framing,
    pub(crate) parts: Parts,
    pub(crate) guard: ConnectionGuard,
}

impl Shard {
    pub(super) fn adopt(&mut self, adoption: Adoption) {
        let Adoption { mut socket, tls, head, framing, mut parts, guard } = adoption;
        if let Err(error) = self.sockets.watch(&mut socket) {
            // Dropping the parts gives everything back; the peer sees the connection close.
            debug!(%error, "a socket could not be watched");
            return;
        }
        parts.life.deliver_by(Delivery::Socket);
        // Checked again here: it may have ended while it was handed over.
        let due = parts.life.due(self.now);
        if let Some(finish) = self.stopping.finish() {
            parts.life.finish(finish);
        }
        let session = parts.holdings.membership.session().clone();
        let source = session.attached().map(|attached| attached.state().view()).unwrap_or_default();
        let opening = self.opening(head, framing, &parts, source.is_waiting);
        // It may have said so behind its request, before the socket came here.
        let has_left = tls.as_ref().is_some_and(|tls| tls.peer_closed());
        let (life, number) = (parts.life, parts.number);
        let conn = Conn::new(
            (socket, tls, framing),
            parts.cursor,
            opening,
            (life, number),
            (parts.holdings, guard),
            self.now,
        );
        let index = self.index();
        let key = self.groups.of_session(&session, index, source.version);
        if session.attached().is_some_and(|attached| attached.state().version() != source.version) {
            // It changed meanwhile, and this group may not have been there to be told.
            self.groups.queue_pass(key);
        }
        session.view(index).joined(conn.cursor.next, conn.cursor.live);
        let slot = self.sockets.insert(conn);
        if let Some(group) = self.groups.get_mut(key)
            && let Some(conn) = self.sockets.get_mut(slot)
        {
            conn.cold.member = u32::try_from(group.members.len()).unwrap_or(u32::MAX);
            group.members.push(slot);
        }
        if let Due::End(end) = due {
            return self.finish(slot, end);
        }
        if has_left {
            return self.finish(slot, End::PeerClosed);
        }
        self.arm(slot);
        self.sockets.make_ready(slot);
        if source.is_broken {
            // Its source was given up while it was handed over: the walk that told all others may be over.
            self.begin_close(slot, CloseReason::CircuitOpen);
        }
    }

    /// Head, opening block and the first gaps in one piece: one write opens the stream.
    fn opening(&mut self, head: Vec<u8>, framing: Framing, parts: &Parts, is_waiting: bool) -> Box<[u8]> {
        let mut bytes = head;
        let retry = self.hub.retry_hint();
        let opening = crate::wire::opening(&mut self.encoder, retry, parts.start, parts.gaps.first());
        bytes.extend_from_slice(framing.block(&opening));
        for gap in &parts.gaps {
            bytes.extend_from_slice(framing.block(crate::wire::gap_block(&mut self.encoder, gap)));
        }
        if is_waiting {
            bytes.extend_from_slice(framing.heartbeat(true));
        }
        bytes.into()
    }
}
