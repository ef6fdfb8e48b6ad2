//! One request that publishes, however often it is tried.

use std::time::{Duration, Instant};

use crate::soak::position::Position;

/// What frames and the ring cost beside an event's data, at most, bytes.
const EVENT_OVERHEAD: u64 = 512;

/// What a request asks for.
#[derive(Debug, Clone)]
pub(in crate::soak) struct Order {
    pub(in crate::soak) session: String,
    /// How many events.
    pub(in crate::soak) events: usize,
    /// Bytes of filler in each.
    pub(in crate::soak) bytes: usize,
    /// When they expire.
    pub(in crate::soak) ttl: Option<Duration>,
}

/// What is known of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// No try of it can have published anything.
    Unsent,
    /// A try was sent whole and not answered: published or not, but once at most.
    Open,
    /// Answered with ids.
    Acknowledged,
}

#[derive(Debug)]
pub(super) struct Publication {
    pub(super) order: Order,
    pub(super) standing: Standing,
    /// Tries that were sent whole and not answered.
    pub(super) unanswered: u32,
    /// Which events these are, as far as anybody saw.
    pub(super) events: Vec<Option<Position>>,
    /// When it was first sent.
    pub(super) sent_at: Instant,
    /// A retry came so late that the hub may have forgotten its key.
    pub(super) may_double: bool,
}

impl Publication {
    #[allow(clippy::disallowed_methods, reason = "the checker measures real time")]
    pub(super) fn new(order: Order) -> Publication {
        let events = vec![None; order.events];
        let sent_at = Instant::now();
        Publication { order, standing: Standing::Unsent, unanswered: 0, events, sent_at, may_double: false }
    }

    /// Whether its events may have expired by `now`.
    pub(super) fn may_be_expired(&self, now: Instant) -> bool {
        self.order.ttl.is_some_and(|ttl| now.saturating_duration_since(self.sent_at) >= ttl)
    }

    /// What one of its events takes of a session's bytes, at most.
    pub(super) fn bytes_at_most(&self) -> u64 {
        self.order.bytes as u64 + EVENT_OVERHEAD
    }
}
