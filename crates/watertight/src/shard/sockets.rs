//! Adopted sockets by slot, as the kernel's poller knows them, and those that wait for a turn.
//!
//! A slot is the number of a socket in this table. It may change: when most sockets have closed, the rest are
//! moved to lower slots, so that memory follows the number of sockets.

use std::collections::VecDeque;
use std::io;

use mio::{Interest, Registry, Token};
use watertight_core::Table;

use super::conn::Conn;
use super::socket::PeerSocket;

/// Gives back what a queue holds above about twice of what it needs.
pub(super) fn give_back<T>(queue: &mut VecDeque<T>) {
    if queue.capacity() > 1024 && 4 * queue.len() < queue.capacity() {
        queue.shrink_to(2 * queue.len());
    }
}

/// A socket that got another slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moved {
    pub(super) from: u32,
    pub(super) to: u32,
}

/// All sockets of a shard. Bounded by the gate's permits.
#[derive(Debug)]
pub(super) struct Sockets {
    table: Table<Conn>,
    registry: Registry,
    /// Sockets that may be written to, in turn. One whose mark is not set has had its turn, or has gone.
    ready: VecDeque<u32>,
}

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

impl Sockets {
    pub(super) fn new(registry: Registry) -> Sockets {
        Sockets { table: Table::default(), registry, ready: VecDeque::new() }
    }

    /// Asks for what a pass touches of a socket.
    pub(super) fn prefetch(&self, slot: u32) {
        self.table.prefetch(slot);
    }

    /// Asks for what a write over TLS reads, if this socket has TLS.
    pub(super) fn prefetch_tls(&self, slot: u32) {
        if let Some(tls) = self.table.get(slot).and_then(|conn| conn.tls.as_deref()) {
            tls.prefetch();
        }
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Conn> {
        self.table.get(slot)
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Conn> {
        self.table.get_mut(slot)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// One more than the highest slot.
    pub(super) fn end(&self) -> u32 {
        u32::try_from(self.table.end()).unwrap_or(u32::MAX)
    }

    /// Watches a socket under the slot that it gets, which is the next that is inserted.
    pub(super) fn watch(&mut self, socket: &mut PeerSocket) -> io::Result<u32> {
        let slot = self.table.next_key();
        self.registry.register(socket, Token(slot as usize), BOTH)?;
        Ok(slot)
    }

    /// Puts a watched socket in.
    pub(super) fn insert(&mut self, conn: Conn) -> u32 {
        self.table.insert(conn)
    }

    /// Takes a socket out, and says whether another one moved.
    pub(super) fn remove(&mut self, slot: u32) -> Option<(Conn, Option<Moved>)> {
        let mut conn = self.table.remove(slot)?;
        // Taken out of the poller before the descriptor is closed and its number given to somebody else. It may be
        // closed by the peer already: then there is nothing to take out.
        let _ = self.registry.deregister(&mut conn.socket);
        let moved = self.table.compact_one().map(|(from, to)| Moved { from, to });
        if let Some(moved) = moved {
            self.rename(moved);
        }
        Some((conn, moved))
    }

    /// Tells the poller and the queue of a socket's new slot.
    fn rename(&mut self, moved: Moved) {
        let Some(conn) = self.table.get_mut(moved.to) else { return };
        let renamed = self.registry.reregister(&mut conn.socket, Token(moved.to as usize), BOTH);
        if let Err(error) = renamed {
            // Events of this socket are not reported any more; its next timer writes, and so finds out.
            tracing::debug!(%error, "a socket could not be watched under its new slot");
        }
        if conn.queued {
            self.ready.push_back(moved.to);
        }
    }

    /// Gives a socket a turn to write, once.
    pub(super) fn make_ready(&mut self, slot: u32) {
        if let Some(conn) = self.table.get_mut(slot)
            && !conn.queued
        {
            conn.queued = true;
            self.ready.push_back(slot);
        }
    }

    /// The socket whose turn it is.
    pub(super) fn next_ready(&mut self) -> Option<u32> {
        loop {
            let slot = self.ready.pop_front()?;
            give_back(&mut self.ready);
            if let Some(conn) = self.table.get_mut(slot)
                && std::mem::replace(&mut conn.queued, false)
            {
                return Some(slot);
            }
        }
    }

    pub(super) fn ready_len(&self) -> usize {
        self.ready.len()
    }

    /// Sockets with their slots, from a slot on.
    pub(super) fn iter_from(&self, slot: u32) -> impl Iterator<Item = (u32, &Conn)> {
        self.table.iter_from(slot)
    }
}
