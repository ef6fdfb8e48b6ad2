//! A server with its crowd, and what rounds of publishing cost it. The hub and the raw floor are one each.

use std::iter::Sum;
use std::time::Duration;

use super::super::Bench;
use super::super::crowd::Crowd;
use super::super::failure::Outcome;
use super::super::histogram::Histogram;
use super::super::process::Process;
use super::super::publisher::{Outlet, Plan, Publishing, Rate};
use super::{receive, undelivered};

pub(super) struct Side {
    pub(super) crowd: Crowd,
    process: Process,
    plan: Plan,
    warm: bool,
}

/// What a round took of the server.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spent {
    pub(super) cpu: Duration,
    pub(super) elapsed: Duration,
    pub(super) deliveries: u64,
}

impl Side {
    /// `crowd` must have been gathered to see the event number 1 first.
    pub(super) fn new(crowd: Crowd, process: Process, rate: Rate, data_bytes: usize, batch: usize) -> Self {
        let plan = Plan {
            rate,
            lasting: Duration::ZERO,
            events_max: u64::MAX,
            data_bytes,
            batch: batch.max(1),
            first: 1,
            gives_way: false,
        };
        Self { crowd, process, plan, warm: false }
    }

    /// Publishes for `lasting` and receives all of it. The first round is a warm-up: its latencies are
    /// forgotten.
    pub(super) fn round(&mut self, bench: &Bench, outlet: impl Outlet, lasting: Duration) -> Outcome<Spent> {
        let cpu = self.process.cpu()?;
        let started = bench.clock.now();
        let deliveries = self.crowd.tally.deliveries;
        self.plan.lasting = lasting;
        let publishing = Publishing::start(bench.clock, outlet, self.plan)?;
        self.plan.first += receive(bench, &mut self.crowd, publishing, self.plan.first)?;
        if !std::mem::replace(&mut self.warm, true) {
            self.crowd.latency = Histogram::default();
        }
        Ok(Spent {
            cpu: self.process.cpu()?.saturating_sub(cpu),
            elapsed: bench.clock.now() - started,
            deliveries: self.crowd.tally.deliveries - deliveries,
        })
    }

    /// Deliveries that neither came nor were announced as missing.
    pub(super) fn undelivered(&self) -> u64 {
        undelivered(&self.crowd, self.plan.first - 1)
    }
}

impl Spent {
    /// Microseconds of CPU time per delivery.
    pub(super) fn cost(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.deliveries.max(1) as f64
    }

    pub(super) fn per_second(&self) -> f64 {
        self.deliveries as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

impl Sum for Spent {
    fn sum<I: Iterator<Item = Spent>>(rounds: I) -> Spent {
        rounds.fold(Spent::default(), |sum, round| Spent {
            cpu: sum.cpu + round.cpu,
            elapsed: sum.elapsed + round.elapsed,
            deliveries: sum.deliveries + round.deliveries,
        })
    }
}

impl<'a> Sum<&'a Spent> for Spent {
    fn sum<I: Iterator<Item = &'a Spent>>(rounds: I) -> Spent {
        rounds.copied().sum()
    }
}
