//! Time of the doctor: the only file here that reads a clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// By a clock that only goes forward.
pub(super) fn now() -> Instant {
    Instant::now()
}

/// By the calendar: since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "this is the clock module")]
pub(super) fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO)
}
