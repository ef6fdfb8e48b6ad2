//! What ends a connection other than its peer, and the one timer that watches over it.
//!
//! A connection has a [`Policy`] (shared by all of its kind) and a [`Lifecycle`] (its own few instants). The
//! nearest of heartbeat, deadline, token expiry, revalidation and write deadline is its timer; when it fires,
//! [`Lifecycle::due`] says what is to be done.

use std::sync::Arc;
use std::time::Duration;

use crate::time::Tick;

/// Why the hub ends a stream. Each has a stable code that is told to the subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The connection reached its maximum age.
    Timeout,
    /// The token it was opened with ran out.
    TokenExpired,
    /// The token it was opened with was revoked.
    TokenRevoked,
    /// The right to read this was taken away.
    Forbidden,
    /// Too many errors in a row.
    CircuitOpen,
    /// The peer accepted no bytes for too long, or lagged when memory was short.
    SlowConsumer,
    /// The session was ended.
    SessionEnded,
    /// The hub is stopping.
    ShuttingDown,
    /// The hub has no room.
    Overloaded,
    /// An operator closed it.
    Disconnected,
}

impl CloseReason {
    /// All reasons.
    pub const ALL: [CloseReason; 10] = [
        CloseReason::Timeout,
        CloseReason::TokenExpired,
        CloseReason::TokenRevoked,
        CloseReason::Forbidden,
        CloseReason::CircuitOpen,
        CloseReason::SlowConsumer,
        CloseReason::SessionEnded,
        CloseReason::ShuttingDown,
        CloseReason::Overloaded,
        CloseReason::Disconnected,
    ];

    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            CloseReason::Timeout => "TIMEOUT",
            CloseReason::TokenExpired => "TOKEN_EXPIRED",
            CloseReason::TokenRevoked => "TOKEN_REVOKED",
            CloseReason::Forbidden => "FORBIDDEN",
            CloseReason::CircuitOpen => "CIRCUIT_OPEN",
            CloseReason::SlowConsumer => "SLOW_CONSUMER",
            CloseReason::SessionEnded => "SESSION_ENDED",
            CloseReason::ShuttingDown => "SHUTTING_DOWN",
            CloseReason::Overloaded => "OVERLOADED",
            CloseReason::Disconnected => "DISCONNECTED",
        }
    }

    /// What a person reads.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            CloseReason::Timeout => "Connection timeout",
            CloseReason::TokenExpired => "Token expired",
            CloseReason::TokenRevoked => "Token revoked",
            CloseReason::Forbidden => "Access denied",
            CloseReason::CircuitOpen => "Too many errors in a row",
            CloseReason::SlowConsumer => "Reader too slow",
            CloseReason::SessionEnded => "Session ended",
            CloseReason::ShuttingDown => "Server is shutting down",
            CloseReason::Overloaded => "Server is overloaded",
            CloseReason::Disconnected => "Disconnected by an operator",
        }
    }

    /// Whether coming back makes sense: then the goodbye carries a `retry:`.
    #[must_use]
    pub fn may_return(self) -> bool {
        !matches!(self, CloseReason::TokenRevoked | CloseReason::Forbidden | CloseReason::SessionEnded)
    }

    /// The goodbye's data: `{"error","code"}`.
    #[must_use]
    pub fn to_json(self) -> String {
        format!("{{\"error\":\"{}\",\"code\":\"{}\"}}", self.message(), self.code())
    }
}

/// The figures that all connections of a kind share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Silence after which a heartbeat is written.
    pub heartbeat: Duration,
    /// How long the peer may accept no byte of what waits for it.
    pub write_deadline: Duration,
    /// How long written bytes may go unacknowledged on a line that is not full.
    pub half_open: Duration,
    /// Maximum age of a connection, if any.
    pub max_age: Option<Duration>,
    /// By how much the maximum age is shortened at random, percent: 20 means 80-100 %.
    pub max_age_jitter_percent: u8,
    /// How often access is asked again, if at all.
    pub revalidate: Option<Duration>,
    /// Errors in a row that close the connection.
    pub breaker_errors: u8,
}

impl Policy {
    /// The age at which one connection ends, given a random `draw` (any number).
    #[must_use]
    pub fn age_of_one(&self, draw: u64) -> Option<Duration> {
        let max_age = self.max_age?;
        let millis = u64::try_from(max_age.as_millis()).unwrap_or(u64::MAX);
        let span = millis / 100 * u64::from(self.max_age_jitter_percent.min(100));
        let cut = if span == 0 { 0 } else { draw % (span + 1) };
        Some(Duration::from_millis(millis - cut))
    }
}

/// What a connection's timer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing yet; look again at this instant.
    Wait(Tick),
    /// The line was silent: write a heartbeat.
    Heartbeat,
    /// Ask whether access still holds.
    Revalidate,
    /// End the connection.
    Close(CloseReason),
}

/// The instants of one connection. Forty bytes; the timer is derived from them and never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifecycle {
    /// When bytes were last accepted by the peer's side.
    pub last_write: Tick,
    /// Since when bytes have waited that the peer does not accept; [`Tick::NEVER`] if none wait.
    pub stalled_since: Tick,
    /// When its age ends it; [`Tick::NEVER`] if it may live on.
    pub deadline: Tick,
    /// When its token ends it.
    pub token_expiry: Tick,
    /// When access is asked again.
    pub revalidate_at: Tick,
}

impl Lifecycle {
    /// A connection that begins at `now`. `draw` is any random number, for the jitter of its age.
    #[must_use]
    pub fn begin(now: Tick, policy: &Policy, token_expiry: Tick, draw: u64) -> Lifecycle {
        Lifecycle {
            last_write: now,
            stalled_since: Tick::NEVER,
            deadline: policy.age_of_one(draw).map_or(Tick::NEVER, |age| now.after(age)),
            token_expiry,
            revalidate_at: policy.revalidate.map_or(Tick::NEVER, |every| now.after(every)),
        }
    }

    /// Notes that the peer accepted bytes; `waiting`: more of them wait.
    pub fn wrote(&mut self, now: Tick, waiting: bool) {
        self.last_write = now;
        self.stalled_since = if waiting { now } else { Tick::NEVER };
    }

    /// Notes that bytes wait which the peer did not accept.
    pub fn stalled(&mut self, now: Tick) {
        self.stalled_since = self.stalled_since.min(now);
    }

    /// When the timer is to fire next.
    #[must_use]
    pub fn next(&self, policy: &Policy) -> Tick {
        let silence_or_stall = if self.stalled_since.is_set() {
            self.stalled_since.after(policy.write_deadline)
        } else {
            self.last_write.after(policy.heartbeat)
        };
        silence_or_stall.min(self.deadline).min(self.token_expiry).min(self.revalidate_at)
    }

    /// What is due at `now`. Ends come before questions, questions before heartbeats.
    #[must_use]
    pub fn due(&self, now: Tick, policy: &Policy) -> Due {
        let next = self.next(policy);
        if now < next {
            return Due::Wait(next);
        }
        if now >= self.token_expiry {
            return Due::Close(CloseReason::TokenExpired);
        }
        if now >= self.deadline {
            return Due::Close(CloseReason::Timeout);
        }
        if self.stalled_since.is_set() && now >= self.stalled_since.after(policy.write_deadline) {
            return Due::Close(CloseReason::SlowConsumer);
        }
        if now >= self.revalidate_at {
            return Due::Revalidate;
        }
        Due::Heartbeat
    }
}

/// What a connection is doing: one record, the seeds' names.
#[derive(Debug, Clone)]
pub struct ConnectionState {
    /// What it streams: `session`, `metrics`, `logs`.
    pub kind: &'static str,
    /// Whose it is, if that is known.
    pub user: Option<Arc<str>>,
    /// False once it is on its way out. The way out is taken once.
    pub valid: bool,
    /// When it began.
    pub started: Tick,
    /// Events sent.
    pub sent: u64,
    /// Bytes the peer sent after its request; they are read and thrown away.
    pub received: u32,
    /// How often access was asked again.
    pub validations: u32,
    /// Errors in all.
    pub errors: u32,
    /// Errors in a row; a success sets it back.
    pub errors_in_a_row: u8,
}

impl ConnectionState {
    /// A connection that begins at `now`.
    #[must_use]
    pub fn begin(kind: &'static str, user: Option<Arc<str>>, now: Tick) -> ConnectionState {
        ConnectionState {
            kind,
            user,
            valid: true,
            started: now,
            sent: 0,
            received: 0,
            validations: 0,
            errors: 0,
            errors_in_a_row: 0,
        }
    }

    /// Counts an error; says whether the breaker opens.
    pub fn failed(&mut self, policy: &Policy) -> Option<CloseReason> {
        self.errors = self.errors.saturating_add(1);
        self.errors_in_a_row = self.errors_in_a_row.saturating_add(1);
        (self.errors_in_a_row >= policy.breaker_errors).then_some(CloseReason::CircuitOpen)
    }

    /// Counts a success: errors in a row begin anew.
    pub fn succeeded(&mut self) {
        self.errors_in_a_row = 0;
    }

    /// Takes the way out. `true` the first time only.
    pub fn end(&mut self) -> bool {
        std::mem::replace(&mut self.valid, false)
    }
}
