//! The figures that all streams of a kind share, and how a stream reaches its reader.

use std::time::Duration;

use super::reason::CloseReason;

/// How events reach a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// A socket that a pump writes to.
    Socket,
    /// A response body that somebody else's connection polls (HTTP/2, TLS).
    Body,
    /// A long-poll that waits for its answer.
    Poll,
    /// A Rust `Stream`.
    Stream,
}

impl Delivery {
    /// The delivery's name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Delivery::Socket => "socket",
            Delivery::Body => "body",
            Delivery::Poll => "poll",
            Delivery::Stream => "stream",
        }
    }

    /// Whether silence is broken by heartbeats: where there is a peer that may be gone.
    #[must_use]
    pub fn has_heartbeat(self) -> bool {
        matches!(self, Delivery::Socket | Delivery::Body)
    }
}

/// The figures that all streams of a kind share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What such a stream streams: `session`, `metrics`, `logs`.
    pub kind: &'static str,
    /// Silence after which a heartbeat is written.
    pub heartbeat: Duration,
    /// How long a peer may accept no byte of what waits for it.
    pub write_deadline: Duration,
    /// The same for a Rust stream: how long it may not be read while something waits for it.
    pub read_deadline: Duration,
    /// How long written bytes may go unacknowledged on a line that is not full.
    pub half_open: Duration,
    /// How long a closing event may wait for its reader.
    pub closing_grace: Duration,
    /// Maximum age of a stream, if any.
    pub max_age: Option<Duration>,
    /// By how much the maximum age is shortened at random, percent: 20 means 80-100 %.
    pub max_age_jitter_percent: u8,
}

/// How long the closing event of a stream that has lost its right may wait for its reader, at most.
const LOST_RIGHT_GRACE: Duration = Duration::from_millis(500);

/// After a reader's deadline one more write is tried, and the reader gets this share of its deadline as a grace, at
/// most [`LAST_TRY_MAX`]: after a pause of the whole process every reader looks stalled until its pump has run.
const LAST_TRY_SHARE: u32 = 8;
/// See [`LAST_TRY_SHARE`].
const LAST_TRY_MAX: Duration = Duration::from_secs(1);

impl Policy {
    /// The age at which one stream ends, given a random `draw` (any number).
    #[must_use]
    pub fn age_of_one(&self, draw: u64) -> Option<Duration> {
        let max_age = self.max_age?;
        let millis = u64::try_from(max_age.as_millis()).unwrap_or(u64::MAX);
        let span = millis / 100 * u64::from(self.max_age_jitter_percent.min(100));
        let cut = if span == 0 { 0 } else { draw % (span + 1) };
        Some(Duration::from_millis(millis - cut))
    }

    /// How long a closing event with this reason may wait for its reader. Whoever has lost the right to a stream is not
    /// waited for: within a second it is gone, read or not.
    #[must_use]
    pub fn closing_grace(&self, reason: CloseReason) -> Duration {
        match reason {
            CloseReason::TokenExpired
            | CloseReason::TokenRevoked
            | CloseReason::Forbidden
            | CloseReason::CircuitOpen => self.closing_grace.min(LOST_RIGHT_GRACE),
            _ => self.closing_grace,
        }
    }

    /// How long a reader of this delivery may take nothing while something waits for it.
    #[must_use]
    pub fn patience(&self, delivery: Delivery) -> Duration {
        match delivery {
            Delivery::Stream => self.read_deadline,
            Delivery::Socket | Delivery::Body | Delivery::Poll => self.write_deadline,
        }
    }

    /// The grace of a reader after its deadline, once one more write was tried.
    #[must_use]
    pub fn last_try(&self, time: Duration) -> Duration {
        (time / LAST_TRY_SHARE).min(LAST_TRY_MAX)
    }
}
