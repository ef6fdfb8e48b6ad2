//! A server with its crowd, and what rounds of publishing cost it. The hub and the raw floor are one each.

use std::iter::Sum;
use std::time::Duration;

use super::super::Bench;
use super::super::crowd::Crowd;
use super::super::failure::Outcome;
use super::super::histogram::Histogram;
use super::super::process::Process;
use super::super::publisher::{Outlet, Plan, Publishing, Rate};
use super::readers::median;
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

    /// From now on at another rate, with latencies of its own.
    pub(super) fn pace(&mut self, rate: Rate) {
        self.plan.rate = rate;
        self.crowd.latency = Histogram::default();
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

/// What two servers spent in turns, in one run. Other load on the machine comes in bursts: medians stand for each, so
/// that a burst beside one turn does not decide.
pub(super) struct Turns(Vec<(Spent, Spent)>);

impl Turns {
    /// Runs so many turns; the second server goes first in each.
    pub(super) fn take(
        bench: &Bench,
        count: u64,
        mut turn: impl FnMut(Which) -> Outcome<Spent>,
    ) -> Outcome<Self> {
        let mut turns = Vec::new();
        for round in 1..=count {
            bench.progress.step(format!("round {round} of {count}"));
            let second = turn(Which::Second)?;
            turns.push((turn(Which::First)?, second));
        }
        Ok(Self(turns))
    }

    /// The first's cost over the second's.
    pub(super) fn ratio(&self) -> f64 {
        self.first_cost() / self.second_cost()
    }

    pub(super) fn first_cost(&self) -> f64 {
        median(self.0.iter().map(|(first, _)| first.cost()).collect())
    }

    pub(super) fn second_cost(&self) -> f64 {
        median(self.0.iter().map(|(_, second)| second.cost()).collect())
    }

    /// All that the first spent.
    pub(super) fn first(&self) -> Spent {
        self.0.iter().map(|(first, _)| first).sum()
    }

    /// The ratio of each round, for a note.
    pub(super) fn note(&self) -> String {
        let mut ratios: Vec<_> = self.0.iter().map(|(first, second)| first.cost() / second.cost()).collect();
        ratios.sort_by(f64::total_cmp);
        let ratios: Vec<_> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
        format!("ratio of each round, sorted: {}", ratios.join(" "))
    }
}

/// One of two servers that take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    First,
    Second,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(cpu_ms: u64) -> Spent {
        Spent { cpu: Duration::from_millis(cpu_ms), elapsed: Duration::from_secs(1), deliveries: 1000 }
    }

    #[test]
    fn a_burst_beside_one_turn_does_not_decide() {
        let turns = Turns(vec![
            (spent(20), spent(10)),
            (spent(900), spent(11)),
            (spent(21), spent(10)),
            (spent(22), spent(800)),
            (spent(20), spent(9)),
        ]);
        assert_eq!((turns.first_cost(), turns.second_cost(), turns.ratio()), (21.0, 10.0, 2.1));
        assert_eq!(turns.note(), "ratio of each round, sorted: 0.03 2.00 2.10 2.22 81.82");
    }
}
