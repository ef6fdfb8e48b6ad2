//! Subscribers that keep reading one session, and what their latencies are while something is published to it.

use std::time::Duration;

use super::super::Bench;
use super::super::crowd::Crowd;
use super::super::endpoint::Endpoint;
use super::super::failure::Outcome;
use super::super::histogram::Histogram;
use super::super::http::HttpClient;
use super::super::hub::subscribe_request;
use super::super::publisher::{HubOutlet, Plan, Publishing, Rate};
use super::{gather, receive, undelivered};

/// Events per request flat out.
const BATCH: usize = 100;

/// Those that read.
pub(super) struct Readers {
    pub(super) crowd: Crowd,
    to: Endpoint,
    session: String,
    data_bytes: usize,
    /// Number of the next event.
    next: u64,
}

impl Readers {
    pub(super) fn gather(
        bench: &Bench,
        to: impl Into<Endpoint>,
        count: usize,
        session: &str,
        data_bytes: usize,
    ) -> Outcome<Self> {
        let to = to.into();
        let crowd = gather(bench, to.clone(), count, 1, |_| subscribe_request(session, "", None))?;
        Ok(Self { crowd, to, session: session.to_owned(), data_bytes, next: 1 })
    }

    /// Publishes and receives; answers with the latencies.
    pub(super) fn publish(&mut self, bench: &Bench, rate: Rate, lasting: Duration) -> Outcome<Histogram> {
        self.crowd.latency = Histogram::default();
        let outlet = HubOutlet::new(HttpClient::connect(self.to.clone())?, &self.session);
        let plan = Plan {
            rate,
            lasting,
            events_max: u64::MAX,
            data_bytes: self.data_bytes,
            batch: BATCH,
            first: self.next,
            gives_way: false,
        };
        let publishing = Publishing::start(bench.clock, outlet, plan)?;
        self.next += receive(bench, &mut self.crowd, publishing, self.next)?;
        Ok(std::mem::take(&mut self.crowd.latency))
    }

    /// The same in slices of a second. On a machine where others work as well, the median of their p99 is steadier
    /// than that of all.
    pub(super) fn slices(&mut self, bench: &Bench, rate: Rate, seconds: u64) -> Outcome<Vec<f64>> {
        let slice = |_| self.publish(bench, rate, Duration::from_secs(1)).map(|latency| p99(&latency));
        (0..seconds).map(slice).collect()
    }

    /// Deliveries that neither came nor were announced as missing.
    pub(super) fn undelivered(&self) -> u64 {
        undelivered(&self.crowd, self.next - 1)
    }
}

/// The value in the middle of all; 0 if there is none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// The 99th percentile, in milliseconds.
pub(super) fn p99(latency: &Histogram) -> f64 {
    latency.quantile(0.99) as f64 / 1000.0
}
