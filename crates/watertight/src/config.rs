//! What a hub is configured with. Defaults are sound for one small machine; every figure is bounded.

use std::time::Duration;

use watertight_core::{LogLimits, Policy};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Figures of a hub. [`HubConfig::default`] is ready to use.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// How far a live subscriber may lag before it gets a gap, events. Publishers are slowed at half of it.
    pub max_queue_size: usize,
    /// How far back a newcomer can replay, events.
    pub max_history_per_session: usize,
    /// Bytes of history per session, overhead included.
    pub max_history_bytes_per_session: usize,
    /// How long an event lives unless it says so itself; `None`: as long as the ring holds it.
    pub event_ttl: Option<Duration>,
    /// How long a session lives without subscribers and activity.
    pub session_ttl: Duration,
    /// For how long it is remembered that a session was forgotten after its end.
    pub tombstone_ttl: Duration,
    /// How often expired events and sessions are cleaned up.
    pub cleanup_interval: Duration,
    /// How long a Rust stream may go without being read while something waits for it.
    pub max_subscriber_idle_time: Duration,
    /// Where the memory warning begins, bytes.
    pub memory_warning_bytes: usize,
    /// Where shedding begins, bytes.
    pub memory_critical_bytes: usize,
    /// Largest `data` of an event, bytes.
    pub max_event_bytes: usize,
    /// Sessions at most.
    pub max_sessions: usize,
    /// Longest session name, bytes.
    pub max_session_name_bytes: usize,
    /// Silence after which a heartbeat is written.
    pub heartbeat_interval: Duration,
    /// How long a peer may accept no byte of what waits for it.
    pub write_deadline: Duration,
    /// How long a closing event may wait for its reader before the connection is cut off.
    pub closing_grace: Duration,
    /// How long written bytes may go unacknowledged on a line that is not full.
    pub half_open_timeout: Duration,
    /// Maximum age of a session stream, if any.
    pub max_age: Option<Duration>,
    /// By how much the maximum age is shortened at random, percent.
    pub max_age_jitter_percent: u8,
    /// Errors in a row, of a source or of questions about a right, that close the streams it is for.
    pub breaker_errors: u8,
    /// How often a right in use is asked about again; `None`: never.
    pub revalidate_interval: Option<Duration>,
    /// Streams go on while nobody answers whether their right still stands.
    pub access_fail_open: bool,
    /// Streams that one user may have open; `None`: as many as there is room for.
    pub max_streams_per_user: Option<u32>,
    /// How long a source goes on after its last subscriber has left.
    pub source_linger: Duration,
    /// Base of the reconnect hint; each subscriber gets 50-150 % of it.
    pub retry: Duration,
    /// Pump threads; `None`: one per core.
    pub shards: Option<usize>,
    /// Kernel send buffer of a stream, bytes; `None`: left to the kernel.
    pub send_buffer_bytes: Option<usize>,
}

impl Default for HubConfig {
    fn default() -> Self {
        HubConfig {
            max_queue_size: 1000,
            max_history_per_session: 500,
            max_history_bytes_per_session: 8 * MIB,
            event_ttl: Some(Duration::from_secs(300)),
            session_ttl: Duration::from_secs(1800),
            tombstone_ttl: Duration::from_secs(600),
            cleanup_interval: Duration::from_secs(60),
            max_subscriber_idle_time: Duration::from_secs(600),
            memory_warning_bytes: 500 * MIB,
            memory_critical_bytes: 1000 * MIB,
            max_event_bytes: 256 * KIB,
            max_sessions: 200_000,
            max_session_name_bytes: 256,
            heartbeat_interval: Duration::from_secs(15),
            write_deadline: Duration::from_secs(30),
            closing_grace: Duration::from_secs(5),
            half_open_timeout: Duration::from_secs(15),
            max_age: None,
            max_age_jitter_percent: 20,
            breaker_errors: 3,
            revalidate_interval: Some(Duration::from_secs(30)),
            access_fail_open: false,
            max_streams_per_user: None,
            source_linger: Duration::from_secs(10),
            retry: Duration::from_secs(2),
            shards: None,
            send_buffer_bytes: Some(128 * KIB),
        }
    }
}

/// A figure that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}")]
pub struct InvalidConfig {
    /// The field.
    pub key: &'static str,
    /// What is wrong with it, and what would do.
    pub why: String,
}

impl HubConfig {
    /// Checks every figure.
    ///
    /// # Errors
    /// Names the first figure that makes no sense, and what would do.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        let counts = [
            ("max_queue_size", self.max_queue_size),
            ("max_history_bytes_per_session", self.max_history_bytes_per_session),
            ("max_event_bytes", self.max_event_bytes),
            ("max_sessions", self.max_sessions),
            ("max_session_name_bytes", self.max_session_name_bytes),
            ("memory_warning_bytes", self.memory_warning_bytes),
            ("shards", self.shards.unwrap_or(1)),
            ("breaker_errors", usize::from(self.breaker_errors)),
        ];
        let times = [
            ("session_ttl", self.session_ttl),
            ("tombstone_ttl", self.tombstone_ttl),
            ("cleanup_interval", self.cleanup_interval),
            ("max_subscriber_idle_time", self.max_subscriber_idle_time),
            ("heartbeat_interval", self.heartbeat_interval),
            ("write_deadline", self.write_deadline),
            ("closing_grace", self.closing_grace),
            ("half_open_timeout", self.half_open_timeout),
            ("retry", self.retry),
        ];
        let zero_count = counts.iter().find(|(_, count)| *count == 0).map(|(key, _)| *key);
        let zero_time = times.iter().find(|(_, time)| time.is_zero()).map(|(key, _)| *key);
        if let Some(key) = zero_count.or(zero_time) {
            return Err(InvalidConfig { key, why: "must be more than zero".into() });
        }
        if self.memory_critical_bytes <= self.memory_warning_bytes {
            let why = format!("must be above memory_warning_bytes ({})", self.memory_warning_bytes);
            return Err(InvalidConfig { key: "memory_critical_bytes", why });
        }
        if self.max_event_bytes > self.max_history_bytes_per_session {
            let why = "must fit into max_history_bytes_per_session".into();
            return Err(InvalidConfig { key: "max_event_bytes", why });
        }
        if self.shards.is_some_and(|shards| shards > 256) {
            return Err(InvalidConfig { key: "shards", why: "must be 256 at most".into() });
        }
        Ok(())
    }

    pub(crate) fn log_limits(&self) -> LogLimits {
        LogLimits {
            max_queue_size: self.max_queue_size,
            max_history: self.max_history_per_session,
            max_bytes: self.max_history_bytes_per_session,
        }
    }

    pub(crate) fn session_policy(&self) -> Policy {
        Policy {
            kind: "session",
            heartbeat: self.heartbeat_interval,
            write_deadline: self.write_deadline,
            read_deadline: self.max_subscriber_idle_time,
            closing_grace: self.closing_grace,
            half_open: self.half_open_timeout,
            max_age: self.max_age,
            max_age_jitter_percent: self.max_age_jitter_percent,
        }
    }

    pub(crate) fn shard_count(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.shards.unwrap_or_else(cores).clamp(1, 256)
    }
}
