//! Scratch space in which a shard seals what it writes over TLS: one for all its sockets, so that a socket holds
//! nothing of its own but what the kernel did not take.

use std::sync::Arc;

use watertight_core::{Budget, Owner, Permit};

use crate::tls::RECORD_BYTES;

/// Scratch space, empty between two writes.
#[derive(Debug)]
pub(super) struct Seal {
    budget: Arc<Budget>,
    /// Events side by side, that go into one record.
    pub(super) plain: Vec<u8>,
    /// What goes to the socket.
    pub(super) sealed: Vec<u8>,
}

impl Seal {
    pub(super) fn new(budget: &Arc<Budget>) -> Seal {
        Seal { budget: Arc::clone(budget), plain: Vec::new(), sealed: Vec::new() }
    }

    /// Charges bytes that are there already: they are part of a record that was begun, and cannot be left away. If
    /// that takes the budget above its threshold, the ladder closes the laggards, which are those that hold them.
    pub(super) fn charge(&self, bytes: usize) -> Permit {
        self.budget.charge(Owner::Subscribers, bytes)
    }

    /// Charges bytes that may still be refused.
    pub(super) fn try_charge(&self, bytes: usize) -> Option<Permit> {
        self.budget.try_charge(Owner::Subscribers, bytes).ok()
    }

    /// Adds to the record as much of `run` as it has room for. Returns the rest.
    pub(super) fn gather<'r>(&mut self, run: &'r [u8]) -> &'r [u8] {
        let room = RECORD_BYTES.saturating_sub(self.plain.len());
        let (some, rest) = run.split_at(run.len().min(room));
        self.plain.extend_from_slice(some);
        rest
    }

    /// Whether the record is as large as a record may be.
    pub(super) fn is_full(&self) -> bool {
        self.plain.len() >= RECORD_BYTES
    }
}
