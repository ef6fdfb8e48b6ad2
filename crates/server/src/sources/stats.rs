//! What feeds `/stats/stream`: the hub's own figures, once a second, by one sampler for all who watch.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;
use watertight::clock::{Clock, wall_clock};
use watertight::event::EventType;
use watertight::{Event, Feed, Source, SourceError};

use crate::figures::{Latency, figures};
use crate::state::{App, WeakApp};

/// How often there is a sample.
const INTERVAL: Duration = Duration::from_secs(1);
/// How far back newcomers can look.
const HISTORY: Duration = Duration::from_secs(600);

/// Samples the hub that it is a source of.
pub(crate) struct StatsSource {
    /// Not held alive: the hub holds the session, and that the source.
    app: WeakApp,
    clock: Clock,
}

impl StatsSource {
    pub(crate) fn new(app: &App) -> StatsSource {
        StatsSource { app: app.downgrade(), clock: app.hub.clock().clone() }
    }
}

impl Source for StatsSource {
    async fn run(&self, feed: Feed) -> Result<(), SourceError> {
        let stats = EventType::new("stats").map_err(SourceError::new)?;
        let now = || self.clock.now();
        feed.keep_history(usize::try_from(HISTORY.as_secs() / INTERVAL.as_secs()).unwrap_or(usize::MAX));
        let mut before = None;
        let mut next = now();
        loop {
            let data = {
                let Some(app) = self.app.upgrade() else { return Ok(()) };
                let latency = Latency::of(&app);
                let mut sample = figures(&app, &latency.since(before.as_ref().unwrap_or(&latency)));
                before = Some(latency);
                // To the millisecond; a wall clock before 1970 there is none.
                sample["at"] = json!(u64::try_from(wall_clock().as_millis()).unwrap_or(u64::MAX));
                sample.to_string()
            };
            feed.publish(Event::of_type(stats.clone(), data).with_ttl(HISTORY)).await?;
            // After a pause of the whole process it goes on from now: no burst of samples.
            next = next.after(INTERVAL).max(now());
            sleep(next.since(now())).await;
        }
    }
}
