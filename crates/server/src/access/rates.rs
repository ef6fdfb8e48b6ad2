//! How often a user may come: a bucket each that holds as many as a minute allows and fills evenly. Only users who came
//! in the last minute are remembered, so many at most; one more waits.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use watertight::{Hub, Tick};
use watertight_core::{Owner, Permit};

/// What a bucket costs, bytes: its entry in a map that doubles, and its user.
const BUCKET_BYTES: usize = 160;

/// Users that are remembered at most. Beyond it newcomers wait: a limit that could be passed by coming under many
/// names would be none.
const USERS_MAX: usize = 100_000;

const MINUTE_MS: f64 = 60_000.0;

#[derive(Debug)]
struct Bucket {
    /// How often its user may still come, at `at`.
    left: f64,
    at: Tick,
    _permit: Permit,
}

/// A limit for each user.
#[derive(Debug)]
pub(super) struct Rates {
    hub: Hub,
    /// How often a user may come in a minute; `None`: as often as they like.
    per_minute: Option<f64>,
    buckets: Mutex<HashMap<Arc<str>, Bucket>>,
}

impl Rates {
    pub(super) fn new(hub: &Hub, per_minute: Option<usize>) -> Rates {
        Rates {
            hub: hub.clone(),
            per_minute: per_minute.map(|count| count as f64),
            buckets: Mutex::default(),
        }
    }

    /// Counts one.
    ///
    /// # Errors
    /// There have been too many; says when the next may come.
    pub(super) fn take(&self, user: &Arc<str>) -> Result<(), Duration> {
        let Some(per_minute) = self.per_minute else { return Ok(()) };
        let now = self.hub.clock().now();
        let mut buckets = self.buckets.lock();
        if !buckets.contains_key(user) {
            let permit = self.hub.budget().try_charge(Owner::Caches, BUCKET_BYTES + user.len());
            match permit {
                Ok(permit) if buckets.len() < USERS_MAX => {
                    let bucket = Bucket { left: per_minute, at: now, _permit: permit };
                    buckets.insert(Arc::clone(user), bucket);
                }
                _ => return Err(Duration::from_secs(1)),
            }
        }
        let Some(bucket) = buckets.get_mut(user) else { return Ok(()) };
        bucket.fill(per_minute, now);
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return Ok(());
        }
        Err(Duration::from_millis(((1.0 - bucket.left) * MINUTE_MS / per_minute).ceil() as u64))
    }

    /// Forgets users whose buckets are full again.
    pub(super) fn sweep(&self) {
        let Some(per_minute) = self.per_minute else { return };
        let now = self.hub.clock().now();
        let mut buckets = self.buckets.lock();
        buckets.retain(|_, bucket| {
            bucket.fill(per_minute, now);
            bucket.left < per_minute
        });
        let len = buckets.len();
        if buckets.capacity() > 64.max(4 * len) {
            buckets.shrink_to(2 * len);
        }
    }
}

impl Bucket {
    fn fill(&mut self, per_minute: f64, now: Tick) {
        let passed = now.since(self.at).as_millis() as f64;
        self.left = (self.left + passed * per_minute / MINUTE_MS).min(per_minute);
        self.at = now;
    }
}
