//! Publishers that go round their share of many sessions, each on a thread and a connection of its own, and the
//! crowd that receives what they publish.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::super::super::Bench;
use super::super::super::clock::Clock;
use super::super::super::crowd::Crowd;
use super::super::super::failure::{Failure, Outcome, While};
use super::super::super::histogram::Histogram;
use super::super::super::http::HttpClient;
use super::super::super::process::Process;
use super::super::super::publisher::event_data;
use super::super::side::Spent;
use super::super::{DRAIN_TIMEOUT, TURN};
use super::session;

/// A server, its subscribers and its publishers.
pub(super) struct Scatter {
    pub(super) crowd: Crowd,
    process: Process,
    publishers: Vec<Publisher>,
}

/// One publisher. A session belongs to one of them, so that its events have an order.
struct Publisher {
    client: HttpClient,
    paths: Vec<String>,
    /// Events published so far. Their number within a session is how often it was gone round.
    published: u64,
    data_bytes: usize,
}

impl Publisher {
    fn work(&mut self, clock: Clock, end: Duration, stop: &AtomicBool) -> Outcome<()> {
        let paths = self.paths.len() as u64;
        while clock.now() < end && !stop.load(Ordering::Relaxed) {
            let number = self.published / paths + 1;
            let path = &self.paths[(self.published % paths) as usize];
            let body = format!("{{\"data\":{}}}", event_data(number, clock.micros(), self.data_bytes));
            self.client.post(path, "application/json", body.as_bytes())?.json("a publish")?;
            self.published += 1;
        }
        Ok(())
    }
}

impl Scatter {
    pub(super) fn connect(
        crowd: Crowd,
        address: SocketAddr,
        process: Process,
        sessions: usize,
        publishers: usize,
        data_bytes: usize,
    ) -> Outcome<Self> {
        let publisher = |share: usize| {
            let own = (share..sessions).step_by(publishers);
            let paths = own.map(|index| format!("/sessions/{}/events", session(index))).collect();
            Ok(Publisher { client: HttpClient::connect(address)?, paths, published: 0, data_bytes })
        };
        let publishers = (0..publishers).map(publisher).collect::<Outcome<_>>()?;
        Ok(Self { crowd, process, publishers })
    }

    /// Publishes flat out for `lasting` and receives all of it.
    pub(super) fn round(&mut self, bench: &Bench, lasting: Duration) -> Outcome<Spent> {
        let (cpu, started) = (self.process.cpu()?, bench.clock.now());
        let deliveries = self.crowd.tally.deliveries;
        let (clock, end, stop) = (bench.clock, started + lasting, &AtomicBool::new(false));
        std::thread::scope(|scope| {
            let work = |publisher| scope.spawn(move || Publisher::work(publisher, clock, end, stop));
            let working: Vec<_> = self.publishers.iter_mut().map(work).collect();
            let mut received = Ok(());
            while received.is_ok() && !working.iter().all(|publisher| publisher.is_finished()) {
                received = turn(bench, &mut self.crowd);
            }
            stop.store(true, Ordering::Relaxed);
            for publisher in working {
                let panicked = |_| Failure::Broken("a publisher panicked".into());
                publisher.join().map_err(panicked)??;
            }
            received
        })?;
        self.drain(bench)?;
        Ok(Spent {
            cpu: self.process.cpu()?.saturating_sub(cpu),
            elapsed: bench.clock.now() - started,
            deliveries: self.crowd.tally.deliveries - deliveries,
        })
    }

    /// Receives until everything came, or nothing more comes.
    fn drain(&mut self, bench: &Bench) -> Outcome<()> {
        let (mut missing, mut progress_at) = (self.undelivered(), bench.clock.now());
        while missing > 0 && bench.clock.now() < progress_at + DRAIN_TIMEOUT {
            turn(bench, &mut self.crowd)?;
            if self.undelivered() < missing {
                (missing, progress_at) = (self.undelivered(), bench.clock.now());
            }
        }
        Ok(())
    }

    /// Events that neither came nor were announced as missing.
    pub(super) fn undelivered(&self) -> u64 {
        let tally = &self.crowd.tally;
        let published: u64 = self.publishers.iter().map(|publisher| publisher.published).sum();
        published.saturating_sub(tally.deliveries + tally.missed + tally.lost)
    }

    pub(super) fn forget_latency(&mut self) {
        self.crowd.latency = Histogram::default();
    }
}

fn turn(bench: &Bench, crowd: &mut Crowd) -> Outcome<()> {
    crowd.turn(TURN).during("receiving")?;
    bench.check()?;
    bench.progress.at(|| format!("{} delivered", crowd.tally.deliveries));
    Ok(())
}
