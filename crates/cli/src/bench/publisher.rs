//! Publishes numbered events, paced or flat out, from a thread of its own. Must not know who receives them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::background::{Background, Stop};
use super::clock::Clock;
use super::failure::{Outcome, broken};
use super::http::{Answer, HttpClient};
use super::process::give_way;

/// A paced publisher makes at most so many requests a second; above that it groups events.
const REQUESTS_PER_SECOND_MAX: u32 = 1000;

/// How often a busy hub (429, 503) is asked again in a row.
const BUSY_RETRIES_MAX: u32 = 100;

/// Wait between two such requests, if the hub names none.
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// How fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rate {
    /// As fast as the answers come.
    Max,
    /// Events per second.
    PerSecond(u32),
}

/// `max` or a number of events per second.
pub(super) fn parse_rate(text: &str) -> Result<Rate, String> {
    match (text, text.parse()) {
        ("max", _) => Ok(Rate::Max),
        (_, Ok(rate)) if rate > 0 => Ok(Rate::PerSecond(rate)),
        _ => Err("`max` or a number of events per second above 0 would do".to_owned()),
    }
}

/// What is to be published.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) rate: Rate,
    pub(super) lasting: Duration,
    /// Flat out it ends before that with so many events.
    pub(super) events_max: u64,
    /// Length of each event's data, in bytes.
    pub(super) data_bytes: usize,
    /// Events per request flat out.
    pub(super) batch: usize,
    /// Number of the first event.
    pub(super) first: u64,
    /// Whether it is a neighbour of what is measured, to which it gives way.
    pub(super) gives_way: bool,
}

/// Where events go.
pub(super) trait Outlet: Send + 'static {
    /// Publishes events of these data, in order. `None` once they are taken; where there is no room for them now,
    /// how long to wait before they are offered again.
    fn offer(&mut self, data: &[String]) -> Outcome<Option<Duration>>;

    /// Offers them until they are taken. `data` is asked for each time: it says when they were offered.
    fn publish(&mut self, mut data: impl FnMut() -> Vec<String>) -> Outcome<()> {
        for _ in 0..BUSY_RETRIES_MAX {
            match self.offer(&data())? {
                None => return Ok(()),
                Some(pause) => std::thread::sleep(pause),
            }
        }
        broken("the hub stays too busy to take events")
    }
}

/// A session of a hub.
pub(super) struct HubOutlet {
    client: HttpClient,
    path: String,
    body: Vec<u8>,
}

impl HubOutlet {
    pub(super) fn new(client: HttpClient, session: &str) -> Self {
        Self { client, path: format!("/sessions/{session}/events"), body: Vec::new() }
    }
}

impl Outlet for HubOutlet {
    fn offer(&mut self, data: &[String]) -> Outcome<Option<Duration>> {
        self.body.clear();
        for data in data {
            self.body.extend_from_slice(b"{\"data\":");
            self.body.extend_from_slice(data.as_bytes());
            self.body.extend_from_slice(b"}\n");
        }
        taken(&self.client.post(&self.path, "application/x-ndjson", &self.body)?)
    }
}

/// What an answer to a publish says: `None` that it was taken, or how long to wait before it is offered again.
pub(super) fn taken(answer: &Answer) -> Outcome<Option<Duration>> {
    if matches!(answer.status, 429 | 503) {
        return Ok(Some(answer.retry_after.unwrap_or(BUSY_PAUSE)));
    }
    answer.json("a publish").map(|_| None)
}

/// A publisher at work. Dropping it stops it.
pub(super) struct Publishing {
    published: Arc<AtomicU64>,
    work: Background<Outcome<()>>,
}

impl Publishing {
    pub(super) fn start(clock: Clock, outlet: impl Outlet, plan: Plan) -> Outcome<Self> {
        let published = Arc::default();
        let worker = Worker { clock, outlet, plan, published: Arc::clone(&published) };
        Ok(Self { published, work: Background::start("publisher", move |stop| worker.run(stop))? })
    }

    /// Events taken so far.
    pub(super) fn published(&self) -> u64 {
        self.published.load(Ordering::Acquire)
    }

    pub(super) fn is_finished(&self) -> bool {
        self.work.is_finished()
    }

    /// Waits for its end; answers with the number of events published.
    pub(super) fn join(self) -> Outcome<u64> {
        self.work.join()??;
        Ok(self.published.load(Ordering::Acquire))
    }
}

struct Worker<O> {
    clock: Clock,
    outlet: O,
    plan: Plan,
    published: Arc<AtomicU64>,
}

impl<O: Outlet> Worker<O> {
    fn run(mut self, stop: &Stop) -> Outcome<()> {
        if self.plan.gives_way {
            give_way()?;
        }
        match self.plan.rate {
            Rate::Max => self.flat_out(stop),
            Rate::PerSecond(rate) => self.paced(rate, stop),
        }
    }

    fn flat_out(&mut self, stop: &Stop) -> Outcome<()> {
        let end = self.clock.now() + self.plan.lasting;
        let mut left = self.plan.events_max;
        while left > 0 && self.clock.now() < end && !stop.is_asked() {
            let count = self.plan.batch.min(usize::try_from(left).unwrap_or(usize::MAX));
            self.publish(count)?;
            left -= count as u64;
        }
        Ok(())
    }

    /// Events at even intervals. A late request is not made up for by a burst: the next ones follow at the pace.
    fn paced(&mut self, rate: u32, stop: &Stop) -> Outcome<()> {
        let group = rate.div_ceil(REQUESTS_PER_SECOND_MAX);
        let interval = Duration::from_secs(1) * group / rate;
        let end = self.clock.now() + self.plan.lasting;
        let mut due = self.clock.now();
        while due < end && !stop.is_asked() {
            let now = self.clock.now();
            if due > now {
                std::thread::sleep(due - now);
            } else {
                due = now;
            }
            self.publish(group as usize)?;
            due += interval;
        }
        Ok(())
    }

    fn publish(&mut self, count: usize) -> Outcome<()> {
        let next = self.plan.first + self.published.load(Ordering::Relaxed);
        let (clock, bytes) = (self.clock, self.plan.data_bytes);
        self.outlet.publish(|| {
            let stamp = clock.micros();
            (next..).take(count).map(|number| event_data(number, stamp, bytes)).collect()
        })?;
        self.published.fetch_add(count as u64, Ordering::Release);
        Ok(())
    }
}

/// The data of an event: its number, when it was published, and padding up to `bytes` where there is room.
pub(super) fn event_data(number: u64, stamp: u64, bytes: usize) -> String {
    let mut data = format!("[{number},{stamp},\"");
    let padding = bytes.saturating_sub(data.len() + 2);
    data.extend(std::iter::repeat_n('x', padding));
    data.push_str("\"]");
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::scan::{Block, blocks};

    #[test]
    fn data_has_its_length_and_reads_back() {
        let data = event_data(42, 1_000_000, 100);
        assert_eq!(data.len(), 100);
        let payload = format!("id: 7-1\ndata: {data}\n\n");
        let mut seen = Vec::new();
        blocks(payload.as_bytes(), &mut |block| seen.push(block)).unwrap();
        assert_eq!(seen, [Block::Event { number: 42, stamp: 1_000_000 }]);
    }

    #[test]
    fn rates_are_max_or_above_zero() {
        assert_eq!(parse_rate("max"), Ok(Rate::Max));
        assert_eq!(parse_rate("50"), Ok(Rate::PerSecond(50)));
        assert!(parse_rate("0").is_err() && parse_rate("fast").is_err());
    }
}
