//! Time as this crate knows it: milliseconds since the hub began, only ever forward.
//!
//! Wall clocks jump; a TTL, a deadline or a heartbeat must not. Whoever drives this crate reads a monotonic
//! clock and passes the reading in.

use std::time::Duration;

/// Milliseconds since the hub began, on a clock that only goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tick(pub u64);

impl Tick {
    /// The hub's first instant.
    pub const ZERO: Tick = Tick(0);
    /// Never: a deadline that is not set.
    pub const NEVER: Tick = Tick(u64::MAX);

    /// This instant plus `duration`, saturating at [`Tick::NEVER`].
    #[must_use]
    pub fn after(self, duration: Duration) -> Tick {
        Tick(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this instant is; zero if it is not after it.
    #[must_use]
    pub fn since(self, earlier: Tick) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Whether this is a real instant and not [`Tick::NEVER`].
    #[must_use]
    pub fn is_set(self) -> bool {
        self != Tick::NEVER
    }
}
