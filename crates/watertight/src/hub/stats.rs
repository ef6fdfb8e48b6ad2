//! Figures of the hub: a few counters, read in O(1), never by walking sessions.

use std::sync::atomic::{AtomicU64, Ordering};

use watertight_core::log::Freed;
use watertight_core::{Kind, Owner, Piece, Rung};

use super::Hub;

/// Counters that only rise.
#[derive(Debug, Default)]
pub struct Counters {
    /// Events appended to logs.
    pub events_published: AtomicU64,
    /// Events handed to subscribers' sockets or tasks.
    pub events_delivered: AtomicU64,
    /// Gaps told.
    pub gaps: AtomicU64,
    /// Subscribers closed for reading too slowly.
    pub slow_consumers: AtomicU64,
    /// Events let go because they expired.
    pub events_expired: AtomicU64,
    /// Events let go under memory pressure.
    pub events_shed: AtomicU64,
    /// Sessions removed after their time to live.
    pub sessions_expired: AtomicU64,
    /// Cleanup passes.
    pub cleanups: AtomicU64,
    /// Milliseconds the last cleanup pass took.
    pub last_cleanup_ms: AtomicU64,
    /// Pumps that panicked and were restarted.
    pub pump_restarts: AtomicU64,
    /// Keepers that panicked and were started again.
    pub keeper_restarts: AtomicU64,
}

impl Counters {
    pub(crate) fn note_delivered(&self, piece: &Piece) {
        match piece {
            Piece::Event(..) => self.events_delivered.fetch_add(1, Ordering::Relaxed),
            Piece::Gap(_) => self.gaps.fetch_add(1, Ordering::Relaxed),
        };
    }

    pub(crate) fn note_shed(&self, freed: Freed) {
        self.events_shed.fetch_add(freed.events as u64, Ordering::Relaxed);
    }

    pub(crate) fn note_expired(&self, freed: Freed) {
        self.events_expired.fetch_add(freed.events as u64, Ordering::Relaxed);
    }
}

/// The figures at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Sessions there are.
    pub sessions: usize,
    /// Events in their logs.
    pub events: usize,
    /// Subscribers of any delivery.
    pub subscribers: u64,
    /// Bytes charged to the budget.
    pub used_bytes: usize,
    /// Bytes the allocator reported last; 0 if nobody reports.
    pub observed_bytes: usize,
    /// Bytes charged, by owner.
    pub owners: Vec<(&'static str, usize)>,
    /// The rung of the memory ladder.
    pub rung: Rung,
    /// Opened and closed, by kind.
    pub ledger: Vec<(&'static str, watertight_core::ledger::Counts)>,
    /// How long the hub has run, milliseconds.
    pub uptime_ms: u64,
}

impl Hub {
    /// The figures now. O(1): no lock is held over sessions.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let state = &self.state;
        Stats {
            sessions: state.registry.len(),
            events: state.events_held.get(),
            subscribers: state.ledger.live(Kind::Subscription),
            used_bytes: state.budget.used(),
            observed_bytes: state.budget.observed(),
            owners: Owner::ALL.iter().map(|owner| (owner.name(), state.budget.used_by(*owner))).collect(),
            rung: state.budget.rung(),
            ledger: Kind::ALL.iter().map(|kind| (kind.name(), state.ledger.counts(*kind))).collect(),
            uptime_ms: state.clock.now().0,
        }
    }

    /// The counters themselves.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.state.counters
    }
}
