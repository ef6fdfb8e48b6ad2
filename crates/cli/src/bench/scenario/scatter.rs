//! Many sessions with one subscriber each, and publishers that go round them, one event a request: what a publish
//! with its delivery costs, the whole HTTP request included; beside the raw floor if asked.

mod publishers;

use std::time::Duration;

use super::super::Bench;
use super::super::child::ServerChild;
use super::super::cores::Apart;
use super::super::failure::Outcome;
use super::super::hub::{Hub, subscribe_request};
use super::super::process::{Process, allow_connections};
use super::super::report::{Figure, Report};
use super::gather;
use super::side::{Spent, Turns, Which};
use publishers::Scatter;

/// Published before the measurement, so that every path was taken once.
const WARM_UP: Duration = Duration::from_millis(500);

/// The most a publish with its delivery may cost of what it costs the raw floor.
const OVER_FLOOR_MAX: f64 = 1.3;

/// The most that may pass from a publish to its delivery for 99 of 100, in milliseconds.
const P99_MS_MAX: f64 = 0.5;

/// What a publish with its delivery costs an application that is written by hand with axum, in microseconds, on the machine
/// for which `docs/benchmarks.md` gives figures.
const BY_HAND_US: f64 = 23.0;

const PUBLISHERS: u64 = 2;

#[derive(clap::Args, Debug)]
pub(in crate::bench) struct Args {
    /// How many sessions, with one subscriber each
    #[arg(long, short = 'n', default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::bench) sessions: u64,
    /// How many publishers, each with a connection and a share of the sessions
    #[arg(long, default_value_t = PUBLISHERS, value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::bench) publishers: u64,
    /// How long to publish in all, in seconds
    #[arg(long, default_value_t = 10)]
    pub(in crate::bench) seconds: u64,
    /// Length of each event's data, in bytes
    #[arg(long, default_value_t = 100)]
    pub(in crate::bench) data_bytes: usize,
    /// Measure the raw floor in the same run, in turns with the hub: the ratio of the medians of their CPU time
    #[arg(long)]
    pub(in crate::bench) compare_floor: bool,
    /// Turns of each with --compare-floor
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::bench) rounds: u64,
}

impl Args {
    fn publishers(&self) -> u64 {
        self.publishers.min(self.sessions)
    }

    fn what(&self) -> String {
        format!("{} sessions, publishers: {}", self.sessions, self.publishers())
    }

    /// A limit that is one for as many publishers as there are by default (with more of them on few cores, each waits for
    /// the others), and where the kernel chooses the cores.
    fn limit(&self, limit: f64) -> Option<f64> {
        (self.publishers() == PUBLISHERS && !self.compare_floor).then_some(limit)
    }
}

pub(in crate::bench) fn run(bench: &Bench, args: &Args) -> Outcome<Report> {
    let connections = args.sessions + args.publishers();
    allow_connections(connections * if args.compare_floor { 2 } else { 1 })?;
    if !args.compare_floor {
        let hub = Hub::obtain(bench, &[])?;
        let mut scatter = start(bench, args, hub.address, hub.process)?;
        bench.progress.step("publishing");
        let spent = scatter.round(bench, Duration::from_secs(args.seconds))?;
        return Ok(report(args, &scatter, &spent, None));
    }
    let ((hub, floor), _apart) = Apart::start(bench, || {
        let floor = ServerChild::start(bench.clock, &["bench", "scatter-floor-server"], &[])?;
        Ok((Hub::obtain(bench, &[])?, floor))
    })?;
    let mut scatter = start(bench, args, hub.address, hub.process)?;
    let mut raw = start(bench, args, floor.address, Process { pid: floor.pid() })?;
    let turn = Duration::from_secs(args.seconds) / u32::try_from(args.rounds).unwrap_or(u32::MAX);
    let turns = Turns::take(bench, args.rounds, |which| match which {
        Which::First => scatter.round(bench, turn),
        Which::Second => raw.round(bench, turn),
    })?;
    let mut report = report(args, &scatter, &turns.first(), Some(&turns));
    report.notes.push(turns.note());
    Ok(report)
}

/// Subscribers and publishers of a server, warmed up.
fn start(bench: &Bench, args: &Args, address: std::net::SocketAddr, process: Process) -> Outcome<Scatter> {
    bench.progress.step(format!("{} sessions with a subscriber each", args.sessions));
    let count = usize::try_from(args.sessions).unwrap_or(usize::MAX);
    let crowd = gather(bench, address, count, 1, |index| subscribe_request(&session(index), "", None))?;
    let publishers = usize::try_from(args.publishers()).unwrap_or(1);
    let mut scatter = Scatter::connect(crowd, address, process, count, publishers, args.data_bytes)?;
    scatter.round(bench, WARM_UP)?;
    scatter.forget_latency();
    Ok(scatter)
}

fn session(index: usize) -> String {
    format!("scatter-{index}")
}

fn report(args: &Args, scatter: &Scatter, spent: &Spent, turns: Option<&Turns>) -> Report {
    let mut report = Report::new("scatter");
    let what = args.what();
    if let Some(turns) = turns {
        let name = format!("CPU per publish with its delivery over the raw floor's, {what}");
        report.figure(Figure::new(name, turns.ratio(), "x").at_most(OVER_FLOOR_MAX));
    }
    let cost = turns.map_or_else(|| spent.cost(), Turns::first_cost);
    let mut cost = Figure::new(format!("CPU us per publish with its delivery, {what}"), cost, "us");
    cost.at_most = args.limit(BY_HAND_US);
    report.figure(cost);
    if let Some(turns) = turns {
        report.figure(Figure::new("the raw floor's", turns.second_cost(), "us"));
    }
    report.figure(Figure::new("publishes per second", spent.per_second(), "/s"));
    let milliseconds = |share| scatter.crowd.latency.quantile(share) as f64 / 1000.0;
    report.figure(Figure::new("latency, median", milliseconds(0.5), "ms"));
    let mut p99 = Figure::new(format!("latency of a publish, p99, {what}"), milliseconds(0.99), "ms");
    p99.at_most = args.limit(P99_MS_MAX);
    report.figure(p99);
    report.undelivered = scatter.undelivered();
    report.tally = Some(scatter.crowd.tally.clone());
    report
}
