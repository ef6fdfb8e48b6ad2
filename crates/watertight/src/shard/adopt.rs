//! Taking over a socket: from here on its head is written, its cursor moves, and the shard owns it.

use std::net::TcpStream;

use mio::Interest;
use tracing::debug;
use watertight_core::{CloseReason, ConnectionState, Frame, Kind, Lifecycle};

use super::conn::{Cold, Conn};
use super::pass::Group;
use super::run::Shard;
use crate::gate::ConnectionGuard;
use crate::subscription::Parts;

/// A socket, the head of its response, and the subscription it is to carry.
#[derive(Debug)]
pub(crate) struct Adoption {
    pub(crate) socket: TcpStream,
    /// Status line and headers, ready to be written.
    pub(crate) head: Vec<u8>,
    pub(crate) parts: Parts,
    pub(crate) guard: ConnectionGuard,
}

impl Shard<'_> {
    pub(super) fn adopt(&mut self, adoption: Adoption) {
        let Adoption { socket, head, parts, guard } = adoption;
        let mut socket = mio::net::TcpStream::from_std(socket);
        let slot = self.conns.vacant_key();
        let both = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.registry.register(&mut socket, mio::Token(slot), both) {
            // Dropping the parts gives everything back; the peer sees the connection close.
            debug!(%error, "a socket could not be watched");
            return;
        }
        let Ok(slot) = u32::try_from(slot) else { return };
        let opening = self.opening(head, &parts);
        let session = parts.membership.session().clone();
        let key = self.group_of(&session);
        let place = self.groups.get(key as usize).map_or(0, |group| group.members.len());
        let draw = fastrand::u64(..);
        let life = Lifecycle::begin(self.now, &parts.terms.policy, parts.terms.token_expiry, draw);
        let state = ConnectionState::begin(parts.terms.kind, parts.terms.user, self.now);
        let timer = self.inner.ledger.open(Kind::Timer);
        let cold = Cold::new(
            (key, u32::try_from(place).unwrap_or(u32::MAX)),
            life,
            state,
            parts.terms.policy,
            self.inner.next_generation(),
            (timer, parts.membership, guard),
        );
        let conn = Conn::new(socket, parts.cursor, opening, cold);
        session.slot(self.index()).joined(conn.cursor.next, conn.cursor.live);
        self.conns.insert(conn);
        if let Some(group) = self.groups.get_mut(key as usize) {
            group.members.push(slot);
        }
        self.arm(slot);
        self.make_ready(slot);
        if self.inner.is_stopping() {
            self.begin_close(slot, CloseReason::ShuttingDown);
        }
    }

    /// Head, opening block and the first gap in one frame: one write opens the stream.
    fn opening(&mut self, head: Vec<u8>, parts: &Parts) -> Frame {
        let mut bytes = head;
        let retry = self.inner.retry_hint();
        let opening = crate::wire::opening(&mut self.encoder, retry, parts.start, parts.gaps.first());
        bytes.extend_from_slice(&opening);
        for gap in &parts.gaps {
            bytes.extend_from_slice(crate::wire::gap_block(&mut self.encoder, gap));
        }
        Frame::new(&bytes, None)
    }

    /// The shard's group of that session, made if there is none. It is announced to publishers before the
    /// log is read for its first member, so no event falls between.
    fn group_of(&mut self, session: &std::sync::Arc<watertight_core::Session>) -> u32 {
        let slot = session.slot(self.index());
        if let Some(key) = slot.group() {
            return key;
        }
        let group = Group::new(session.clone(), self.index());
        let key = u32::try_from(self.groups.insert(group)).unwrap_or(u32::MAX);
        session.slot(self.index()).set_group(Some(key));
        key
    }
}
