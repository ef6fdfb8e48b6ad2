//! Time of a run: the only file here that reads a clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// When something was seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// By the calendar: milliseconds since the Unix epoch.
    pub(super) wall_ms: u64,
    /// By a clock that only goes forward, for waiting.
    pub(super) instant: Instant,
}

impl Now {
    #[expect(clippy::disallowed_methods, reason = "this is the clock module")]
    pub(super) fn read() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self { wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX), instant: Instant::now() }
    }
}
