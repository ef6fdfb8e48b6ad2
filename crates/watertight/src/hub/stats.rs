//! Figures of the hub: a few counters, read in O(1), never by walking sessions.

use std::sync::atomic::{AtomicU64, Ordering};

use watertight_core::log::Freed;
use watertight_core::{CloseReason, End, GapReason, Kind, Owner, Piece, Rung};

use super::{Durations, Hub, RecentLag};
use crate::clock::wall_clock;

/// Counters that only rise.
#[derive(Debug, Default)]
pub struct Counters {
    /// Events appended to logs.
    pub events_published: AtomicU64,
    /// Events handed to subscribers' sockets or tasks.
    pub events_delivered: AtomicU64,
    /// How long events took from being accepted until they were handed to the sockets or tasks of readers who had taken
    /// everything before. What a reader takes later, because it is slow or replays, is not in it; of several events that
    /// wait for a task at once, the first is.
    pub deliveries: Durations,
    /// Gaps told.
    pub gaps: AtomicU64,
    /// Gaps told, by reason, in the order of [`GapReason::ALL`].
    gaps_by_reason: [AtomicU64; GapReason::ALL.len()],
    /// Streams that ended, by name, in the order of [`End::of_each_name`].
    ends: [AtomicU64; End::NAMES],
    /// How far behind the slowest reader was lately.
    pub lag: RecentLag,
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
    /// Sources that were started.
    pub sources_started: AtomicU64,
    /// Errors of sources.
    pub source_errors: AtomicU64,
}

impl Counters {
    /// A task took this; `was_waiting`: it had taken all before, and waited for it.
    pub(crate) fn note_taken(&self, piece: &Piece, was_waiting: bool) {
        match piece {
            Piece::Event(_, frame) => {
                self.events_delivered.fetch_add(1, Ordering::Relaxed);
                if was_waiting {
                    self.deliveries.note_delivered([frame].into_iter(), 1, wall_clock());
                }
            }
            Piece::Gap(gap) => self.note_gap(gap.reason, 1),
        }
    }

    /// `readers` were told a gap of this reason.
    pub(crate) fn note_gap(&self, reason: GapReason, readers: u64) {
        self.gaps.fetch_add(readers, Ordering::Relaxed);
        if let Some(at) = GapReason::ALL.iter().position(|known| *known == reason) {
            self.gaps_by_reason[at].fetch_add(readers, Ordering::Relaxed);
        }
    }

    pub(crate) fn note_end(&self, end: End) {
        if end.reason() == Some(CloseReason::SlowConsumer) {
            self.slow_consumers.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(at) = End::of_each_name().position(|known| known.name() == end.name()) {
            self.ends[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many gaps were told of each reason.
    pub fn gaps_by_reason(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.gaps_by_reason.iter().map(|count| count.load(Ordering::Relaxed));
        GapReason::ALL.iter().map(|reason| reason.name()).zip(counts)
    }

    /// How many streams ended by each name.
    pub fn ends(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.ends.iter().map(|count| count.load(Ordering::Relaxed));
        End::of_each_name().map(End::name).zip(counts)
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
    ///
    /// They are not of one instant, but in order: the ledger is read first and the budget last, so what the ledger
    /// shows as closed is no longer charged.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let state = &self.state;
        Stats {
            ledger: Kind::ALL.iter().map(|kind| (kind.name(), state.ledger.counts(*kind))).collect(),
            sessions: state.registry.len(),
            events: state.events_held.get(),
            subscribers: state.ledger.live(Kind::Subscription),
            used_bytes: state.budget.used(),
            observed_bytes: state.budget.observed(),
            owners: Owner::ALL.iter().map(|owner| (owner.name(), state.budget.used_by(*owner))).collect(),
            rung: state.budget.rung(),
            uptime_ms: state.clock.now().0,
        }
    }

    /// The counters themselves.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.state.counters
    }
}
