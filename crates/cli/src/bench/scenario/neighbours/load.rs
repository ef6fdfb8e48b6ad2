//! Publishers and peers that want everything: more history than there is memory, more requests than there is room.

use std::time::Duration;

use super::super::super::Bench;
use super::super::super::failure::Outcome;
use super::super::super::http::HttpClient;
use super::super::super::http2::Http2;
use super::super::super::hub::Hub;
use super::super::super::publisher::{HubOutlet, Plan, Publishing, Rate};
use super::super::readers::Readers;
use super::Neighbour;

/// Publishers that go flat out, each to a session of its own that nobody reads. Two small ones at a pace would
/// never fill the budget; more would measure the machine's cores.
const PUBLISHERS: usize = 2;

/// Longer than any measurement: they are stopped at its end.
const AS_LONG_AS_IT_TAKES: Duration = Duration::from_secs(3600);

/// Publishers flat out against a small budget.
#[derive(Default)]
pub(super) struct FullBudget(Vec<Publishing>);

impl Neighbour for FullBudget {
    fn name(&self) -> String {
        format!("{PUBLISHERS} publishers flat out with a full budget")
    }

    fn settings(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("memory_warning_threshold_mb", "30"),
            ("memory_critical_threshold_mb", "40"),
            ("max_history_per_session", "100000"),
            ("max_history_bytes_per_session", "20MiB"),
            ("max_queue_size", "100000"),
        ]
    }

    fn begin(&mut self, bench: &Bench, hub: &mut Hub, _: &mut Readers) -> Outcome<()> {
        let plan = Plan {
            rate: Rate::Max,
            lasting: AS_LONG_AS_IT_TAKES,
            events_max: u64::MAX,
            data_bytes: 1000,
            batch: 100,
            first: 1,
            gives_way: true,
        };
        for index in 0..PUBLISHERS {
            let outlet = HubOutlet::new(HttpClient::connect(hub.address)?, &format!("flood-{index}"));
            self.0.push(Publishing::start(bench.clock, outlet, plan)?);
        }
        bench.pause(super::LEAD)
    }

    fn end(&mut self, _: &mut Hub) -> Outcome<Option<String>> {
        let published: u64 = self.0.iter().map(Publishing::published).sum();
        self.0.clear();
        Ok(Some(format!("they published {published} events")))
    }
}

const PEERS: usize = 140;
const POSTS_PER_PEER: usize = 120;

/// Requests over HTTP/2 that begin and never end.
#[derive(Default)]
pub(super) struct HostilePeer(Vec<Http2>);

impl Neighbour for HostilePeer {
    fn name(&self) -> String {
        format!("{PEERS} connections with {POSTS_PER_PEER} unfinished POSTs each")
    }

    fn settings(&self) -> &'static [(&'static str, &'static str)] {
        &[("memory_warning_threshold_mb", "45"), ("memory_critical_threshold_mb", "60")]
    }

    fn begin(&mut self, bench: &Bench, hub: &mut Hub, _: &mut Readers) -> Outcome<()> {
        for _ in 0..PEERS {
            let mut peer = Http2::connect(hub.address)?;
            for _ in 0..POSTS_PER_PEER {
                // A hub that has had enough closes the connection.
                if peer.unfinished_post("/sessions/unfinished/events").is_err() {
                    break;
                }
            }
            self.0.push(peer);
        }
        bench.pause(super::LEAD)
    }

    fn end(&mut self, hub: &mut Hub) -> Outcome<Option<String>> {
        let live = hub.stats()?.live("request")?;
        self.0.clear();
        Ok(Some(format!("{live} requests were live")))
    }
}
