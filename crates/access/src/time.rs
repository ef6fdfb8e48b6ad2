//! Times of tokens: seconds since 1970 as JSON numbers (RFC 7519, "NumericDate"), and the clock they are compared with.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Number;

use crate::limits::SECONDS_MAX;
use crate::refused::{Member, Why};

/// A clock in two parts: wall time for the times of tokens, and time since some start, which only goes forward, for how
/// old an answer is. Both can be moved by tests.
#[derive(Clone)]
pub struct Clock {
    wall: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    elapsed: Arc<dyn Fn() -> Duration + Send + Sync>,
}

impl Clock {
    /// The operating system's clocks.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "times of tokens are wall time")]
    pub fn system() -> Clock {
        let start = tokio::time::Instant::now();
        Clock::new(SystemTime::now, move || start.elapsed())
    }

    /// A clock of one's own: wall time, and time since some start, which must never go back.
    pub fn new(
        wall: impl Fn() -> SystemTime + Send + Sync + 'static,
        elapsed: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Clock {
        Clock { wall: Arc::new(wall), elapsed: Arc::new(elapsed) }
    }

    /// Wall time.
    #[must_use]
    pub fn wall(&self) -> SystemTime {
        (self.wall)()
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        (self.elapsed)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").finish_non_exhaustive()
    }
}

/// The time of a claim. What lies after the year 9999 counts as its end.
pub(crate) fn from_number(member: Member, number: &Number) -> Result<SystemTime, Why> {
    let since = match (number.as_u64(), number.as_f64()) {
        (Some(seconds), _) => Duration::from_secs(seconds.min(SECONDS_MAX)),
        (None, Some(seconds)) if seconds < 0.0 => return Err(Why::Negative(member)),
        (None, Some(seconds)) if seconds.is_finite() => {
            #[expect(clippy::cast_precision_loss, reason = "the end of the year 9999 is exact in a double")]
            let seconds = seconds.min(SECONDS_MAX as f64);
            Duration::try_from_secs_f64(seconds).map_err(|_| Why::WrongType(member, "number"))?
        }
        _ => return Err(Why::WrongType(member, "number")),
    };
    Ok(UNIX_EPOCH.checked_add(since).unwrap_or_else(far))
}

/// The latest time there is for tokens.
pub(crate) fn far() -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_secs(SECONDS_MAX)).unwrap_or(UNIX_EPOCH)
}

/// A time and a while later, at most the latest there is.
pub(crate) fn later(time: SystemTime, by: Duration) -> SystemTime {
    time.checked_add(by).unwrap_or_else(far)
}
