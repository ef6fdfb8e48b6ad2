//! What feeds `/services/metrics/stream`: one sampler for all who watch the same services at the same interval.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::{sleep, timeout};
use watertight::clock::{Clock, wall_clock};
use watertight::event::EventType;
use watertight::{Event, Feed, Hub, Source, SourceError};
use watertight_figures::{Limits, Roots, Surroundings};

use super::sampling::Sampling;
use super::services::Services;
use crate::resource::ResourceId;

/// How long an event waits for services that take their time, at most: what comes later stands in the next one.
const PATIENCE_MAX: Duration = Duration::from_millis(500);
/// The same as a share of the interval.
const PATIENCE_SHARE: u32 = 4;
/// What an event has beside its services, bytes.
const FRAME_BYTES: usize = 128;

/// What all samplers of a hub share.
#[derive(Debug)]
pub(crate) struct Sampled {
    pub(crate) services: Services,
    /// Samples of services that were begun.
    pub(crate) samples: AtomicU64,
}

/// Samples some services every so often.
pub(crate) struct MetricsSource {
    shared: Arc<Sampled>,
    ids: Box<[ResourceId]>,
    interval: Duration,
    max_event_bytes: usize,
    clock: Clock,
    surroundings: Surroundings,
    /// Of processes that were sampled, when they started: kept while nobody watches.
    started: Mutex<BTreeMap<ResourceId, (usize, u64)>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metrics {
    sampled_at: f64,
    interval: serde_json::Number,
    services: Vec<Box<RawValue>>,
}

impl MetricsSource {
    pub(crate) fn new(
        hub: &Hub,
        shared: &Arc<Sampled>,
        ids: &[ResourceId],
        interval: Duration,
    ) -> MetricsSource {
        let clock = hub.clock().clone();
        let elapsed = clock.clone();
        MetricsSource {
            shared: Arc::clone(shared),
            ids: ids.into(),
            interval,
            max_event_bytes: hub.config().max_event_bytes,
            surroundings: Surroundings {
                roots: Roots::default(),
                clock: Arc::new(move || elapsed.elapsed()),
                budget: Arc::clone(hub.budget()),
            },
            clock,
            started: Mutex::default(),
        }
    }

    fn limits(&self) -> Limits {
        let default = Limits::default();
        Limits {
            time_max: default.time_max.min(self.interval),
            json_bytes_max: default.json_bytes_max.min(self.max_event_bytes),
            ..default
        }
    }
}

/// Whole seconds as such.
fn seconds(time: Duration) -> serde_json::Number {
    let whole = || serde_json::Number::from(time.as_secs());
    if time.subsec_nanos() == 0 {
        return whole();
    }
    serde_json::Number::from_f64(time.as_secs_f64()).unwrap_or_else(whole)
}

impl Source for MetricsSource {
    async fn run(&self, feed: Feed) -> Result<(), SourceError> {
        let metrics = EventType::new("metrics").map_err(SourceError::new)?;
        let now = || self.clock.now();
        let started = self.started.lock().clone();
        let mut sampling = Sampling::new(&self.ids, self.limits(), self.surroundings.clone(), started);
        let patience = (self.interval / PATIENCE_SHARE).min(PATIENCE_MAX);
        let mut next = now();
        loop {
            sampling.begin(&self.shared.services.now(), now());
            self.shared.samples.fetch_add(sampling.take_count(), Ordering::Relaxed);
            let all = async {
                while sampling.is_under_way() {
                    sampling.next(now).await;
                }
            };
            // Whoever is late stands in the next event.
            let _ = timeout(patience, all).await;
            let event = Metrics {
                sampled_at: wall_clock().as_millis() as f64 / 1e3,
                interval: seconds(self.interval),
                services: sampling.show(now(), self.max_event_bytes.saturating_sub(FRAME_BYTES)),
            };
            let data = serde_json::to_string(&event).map_err(SourceError::new)?;
            self.started.lock().clone_from(&sampling.started);
            feed.publish(Event::of_type(metrics.clone(), data)).await?;
            // After a pause of the whole process it goes on from now: no burst of samples.
            next = next.after(self.interval).max(now());
            let mut until_next = std::pin::pin!(sleep(next.since(now())));
            loop {
                tokio::select! {
                    () = &mut until_next => break,
                    _ = sampling.next(now), if sampling.is_under_way() => {}
                }
            }
        }
    }
}
