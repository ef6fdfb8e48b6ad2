//! What one round runs against: a hub with limits drawn at random, small enough that all of them are met.

use std::path::Path;
use std::time::Duration;

use super::model::Limits;
use super::reader::Terms;
use crate::hub::{HubBuilder, HubProcess};

/// How long a hub remembers a key.
pub(super) const KEY_TTL: Duration = Duration::from_secs(4);
/// How long after the first try a publisher tries again.
pub(super) const RETRY_WITHIN: Duration = Duration::from_secs(1);

/// The settings of a round.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub(super) has_tls: bool,
    /// Memory is short: more is published than the budget holds.
    pub(super) is_short: bool,
    pub(super) max_age: Option<Duration>,
    pub(super) event_ttl: Option<Duration>,
    max_queue_size: u64,
    max_history: u64,
    max_history_bytes: u64,
    heartbeat_ms: u64,
}

impl Setting {
    /// The setting of round `number`: TLS and short memory by turns, the rest at random.
    pub(super) fn draw(number: u64, random: &mut fastrand::Rng) -> Setting {
        let is_short = number % 3 == 1;
        let sizes = if is_short { [1000, 2000, 5000] } else { [40, 100, 400] };
        let of = |random: &mut fastrand::Rng| sizes[random.usize(0..3)];
        let seconds = Duration::from_secs_f64;
        Setting {
            has_tls: number % 3 == 2,
            is_short,
            max_age: [None, None, Some(seconds(1.5))][random.usize(0..3)],
            // Short memory must be relieved by time, or newcomers would be refused to the end.
            event_ttl: if is_short {
                Some(seconds(1.5))
            } else {
                [None, Some(seconds(0.4))][random.usize(0..2)]
            },
            max_queue_size: of(random),
            max_history: of(random),
            max_history_bytes: if is_short { 8 << 20 } else { [64 << 10, 1 << 20][random.usize(0..2)] },
            heartbeat_ms: [100, 500][random.usize(0..2)],
        }
    }

    pub(super) fn hub(&self, binary: &Path) -> HubBuilder {
        let ttl = self.event_ttl.map_or(0.0, |ttl| ttl.as_secs_f64());
        let mut builder = HubProcess::builder(binary)
            .own_group()
            .flag("--max-queue-size", self.max_queue_size)
            .flag("--max-history-per-session", self.max_history)
            .flag("--max-history-bytes-per-session", self.max_history_bytes)
            .flag("--max-event-bytes", "60KiB")
            .flag("--event-ttl", ttl)
            .flag("--cleanup-interval", "200ms")
            .flag("--heartbeat-interval", format!("{}ms", self.heartbeat_ms))
            .flag("--send-buffer-bytes", "16KiB")
            .flag("--write-deadline", "5s")
            .flag("--idempotency-ttl", KEY_TTL.as_secs())
            .flag("--tombstone-ttl", "2s")
            .flag("--log-level", "info");
        if self.is_short {
            builder =
                builder.flag("--memory-warning-threshold-mb", 16).flag("--memory-critical-threshold-mb", 24);
        }
        if let Some(age) = self.max_age {
            builder = builder.flag("--max-age", age.as_secs_f64());
        }
        if self.has_tls { builder.tls() } else { builder }
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            max_queue_size: self.max_queue_size,
            max_history: self.max_history,
            max_history_bytes: self.max_history_bytes,
            is_short: self.is_short,
        }
    }

    /// Whether requests may be refused because memory is short.
    pub(super) fn is_short(&self) -> bool {
        self.is_short
    }

    pub(super) fn terms(&self) -> Terms {
        Terms { has_max_age: self.max_age.is_some(), is_short: self.is_short }
    }

    /// Bytes of filler in an event.
    pub(super) fn bytes(&self, random: &mut fastrand::Rng) -> usize {
        let choices = if self.is_short { [100, 4_000, 12_000, 40_000] } else { [0, 20, 300, 3_000] };
        choices[random.usize(0..4)]
    }
}
