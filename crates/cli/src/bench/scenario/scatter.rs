//! Many sessions with one subscriber each, and publishers that go round them, one event a request: what a publish
//! with its delivery costs, the whole HTTP request included; beside the raw floor if asked.

mod publishers;

use std::time::Duration;

use super::super::Bench;
use super::super::child::ServerChild;
use super::super::failure::Outcome;
use super::super::hub::{Hub, subscribe_request};
use super::super::process::{Process, allow_connections};
use super::super::report::{Figure, Report};
use super::gather;
use super::side::Spent;
use publishers::Scatter;

/// Published before the measurement, so that every path was taken once.
const WARM_UP: Duration = Duration::from_millis(500);

#[derive(clap::Args, Debug)]
pub(in crate::bench) struct Args {
    /// How many sessions, with one subscriber each
    #[arg(long, short = 'n', default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::bench) sessions: u64,
    /// How many publishers, each with a connection and a share of the sessions (default: one per core)
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::bench) publishers: Option<u64>,
    /// How long to publish in all, in seconds
    #[arg(long, default_value_t = 10)]
    pub(in crate::bench) seconds: u64,
    /// Length of each event's data, in bytes
    #[arg(long, default_value_t = 100)]
    pub(in crate::bench) data_bytes: usize,
    /// Measure the raw floor in the same run, in turns with the hub
    #[arg(long)]
    pub(in crate::bench) compare_floor: bool,
    /// Turns of each with --compare-floor
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::bench) rounds: u64,
}

impl Args {
    fn publishers(&self) -> u64 {
        let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        self.publishers.unwrap_or_else(cores).min(self.sessions)
    }
}

pub(in crate::bench) fn run(bench: &Bench, args: &Args) -> Outcome<Report> {
    let connections = args.sessions + args.publishers();
    allow_connections(connections * if args.compare_floor { 2 } else { 1 })?;
    let hub = Hub::obtain(bench, &[])?;
    let mut scatter = start(bench, args, hub.address, hub.process)?;
    if !args.compare_floor {
        bench.progress.step("publishing");
        let spent = scatter.round(bench, Duration::from_secs(args.seconds))?;
        return Ok(report(args, &scatter, &spent, None));
    }
    let floor = ServerChild::start(bench.clock, &["bench", "scatter-floor-server"], &[])?;
    let mut raw = start(bench, args, floor.address, Process { pid: floor.pid() })?;
    let turn = Duration::from_secs(args.seconds) / u32::try_from(args.rounds).unwrap_or(u32::MAX);
    let mut rounds = Vec::new();
    for round in 1..=args.rounds {
        bench.progress.step(format!("round {round} of {}", args.rounds));
        let floor = raw.round(bench, turn)?;
        rounds.push((scatter.round(bench, turn)?, floor));
    }
    let hub_spent: Spent = rounds.iter().map(|(hub, _)| hub).sum();
    let mut report = report(args, &scatter, &hub_spent, Some(rounds.iter().map(|(_, floor)| floor).sum()));
    let mut ratios: Vec<_> = rounds.iter().map(|(hub, floor)| hub.cost() / floor.cost()).collect();
    ratios.sort_by(f64::total_cmp);
    let ratios: Vec<_> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
    report.notes.push(format!("ratio of each round, sorted: {}", ratios.join(" ")));
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

fn report(args: &Args, scatter: &Scatter, spent: &Spent, floor: Option<Spent>) -> Report {
    let mut report = Report::new("scatter");
    let what = format!("{} sessions, publishers: {}", args.sessions, args.publishers());
    if let Some(floor) = floor {
        let name = format!("CPU per publish with its delivery over the raw floor's, {what}");
        report.figure(Figure::new(name, spent.cost() / floor.cost(), "x"));
        report.figure(Figure::new("CPU us per publish with its delivery", spent.cost(), "us"));
        report.figure(Figure::new("the raw floor's", floor.cost(), "us"));
    } else {
        report.figure(Figure::new(
            format!("CPU us per publish with its delivery, {what}"),
            spent.cost(),
            "us",
        ));
    }
    report.figure(Figure::new("publishes per second", spent.per_second(), "/s"));
    for (name, share) in [("latency, median", 0.5), ("latency, p99", 0.99)] {
        let milliseconds = scatter.crowd.latency.quantile(share) as f64 / 1000.0;
        report.figure(Figure::new(name, milliseconds, "ms"));
    }
    report.undelivered = scatter.undelivered();
    report.tally = Some(scatter.crowd.tally.clone());
    report
}
