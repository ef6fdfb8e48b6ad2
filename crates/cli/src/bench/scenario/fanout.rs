//! Many subscribers of one session: CPU time of the hub per delivery, and latency; beside the raw floor, or over TLS
//! beside the same on plain, if asked.

mod over_tls;

use std::time::Duration;

use super::super::Bench;
use super::super::child::ServerChild;
use super::super::cores::Apart;
use super::super::failure::{Outcome, broken};
use super::super::floor::FloorOutlet;
use super::super::http::HttpClient;
use super::super::hub::{Hub, subscribe_request};
use super::super::process::{Process, allow_connections};
use super::super::publisher::{HubOutlet, Rate, event_data, parse_rate};
use super::super::report::{Figure, Report};
use super::gather;
use super::side::{Side, Spent, Turns, Which};

const SESSION: &str = "fanout";

/// Published before the measurement, so that every path was taken once.
const WARM_UP: Duration = Duration::from_millis(500);

#[derive(clap::Args, Debug)]
pub(in crate::bench) struct Args {
    /// How many subscribers
    #[arg(long, short = 'n', default_value_t = 1000)]
    pub(in crate::bench) subscribers: usize,
    /// Events per second, or `max`: as fast as the hub takes them (default: max; with --tls 50, then max)
    #[arg(long, value_parser = parse_rate)]
    pub(in crate::bench) rate: Option<Rate>,
    /// How long to publish in all, in seconds
    #[arg(long, default_value_t = 10)]
    pub(in crate::bench) seconds: u64,
    /// Length of each event's data, in bytes
    #[arg(long, default_value_t = 100)]
    pub(in crate::bench) data_bytes: usize,
    /// Events per request when flat out
    #[arg(long, default_value_t = 100)]
    pub(in crate::bench) batch: usize,
    /// Measure the raw floor in the same run, in turns with the hub
    #[arg(long)]
    pub(in crate::bench) compare_floor: bool,
    /// Over TLS, in turns with a hub that speaks plain: CPU time per delivery over the other's
    #[arg(long, conflicts_with = "compare_floor")]
    pub(in crate::bench) tls: bool,
    /// Turns of each with --compare-floor and --tls
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::bench) rounds: u64,
}

impl Args {
    /// What the specification allows for this rate with 1,000 subscribers.
    fn limit(&self) -> Option<f64> {
        (self.rate() == Rate::Max && !self.compare_floor).then_some(0.4)
    }

    fn rate(&self) -> Rate {
        self.rate.unwrap_or(Rate::Max)
    }

    fn turn(&self) -> Duration {
        Duration::from_secs(self.seconds) / u32::try_from(self.rounds).unwrap_or(u32::MAX)
    }

    fn what(&self, rate: Rate) -> String {
        match rate {
            Rate::Max => format!("publisher flat out, {} subscribers", self.subscribers),
            Rate::PerSecond(rate) => format!("{rate} events/s to {}", self.subscribers),
        }
    }
}

pub(in crate::bench) fn run(bench: &Bench, args: &Args) -> Outcome<Report> {
    allow_connections(args.subscribers as u64 * if args.compare_floor || args.tls { 2 } else { 1 })?;
    if args.tls {
        return over_tls::run(bench, args);
    }
    let ((hub, floor), _apart) = match args.compare_floor {
        true => Apart::start(bench, || Ok((Hub::obtain(bench, &[])?, Some(start_floor(bench)?))))?,
        false => ((Hub::obtain(bench, &[])?, None), None),
    };
    let id = sample_id(&mut HttpClient::connect(hub.address)?, args.data_bytes)?;
    bench.progress.step(format!("{} subscribers of one session", args.subscribers));
    let crowd = gather(bench, hub.address, args.subscribers, 1, |_| subscribe_request(SESSION, "", None))?;
    let mut side = Side::new(crowd, hub.process, args.rate(), args.data_bytes, args.batch);
    let outlet = || HttpClient::connect(hub.address).map(|client| HubOutlet::new(client, SESSION));
    side.round(bench, outlet()?, WARM_UP)?;
    let Some(floor) = floor else {
        bench.progress.step("publishing");
        let spent = side.round(bench, outlet()?, Duration::from_secs(args.seconds))?;
        return Ok(report(args, &side, &spent));
    };
    let mut floor = Floor::gather(bench, args, id, floor)?;
    floor.side.round(bench, floor.outlet()?, WARM_UP)?;
    let turns = Turns::take(bench, args.rounds, |which| match which {
        Which::First => side.round(bench, outlet()?, args.turn()),
        Which::Second => {
            let outlet = floor.outlet()?;
            floor.side.round(bench, outlet, args.turn())
        }
    })?;
    Ok(compared(args, &side, &turns))
}

/// An id as the hub makes them, so that the floor's frames are as long as the hub's.
fn sample_id(client: &mut HttpClient, data_bytes: usize) -> Outcome<String> {
    let body = format!("{{\"data\":{}}}", event_data(0, 0, data_bytes));
    let path = format!("/sessions/{SESSION}/events");
    let answer = client.post(&path, "application/json", body.as_bytes())?.json("a publish")?;
    match answer.get("id").and_then(|id| id.as_str()) {
        Some(id) => Ok(id.to_owned()),
        None => broken(format!("a publish was answered without an id: {answer}")),
    }
}

fn start_floor(bench: &Bench) -> Outcome<ServerChild> {
    ServerChild::start(bench.clock, &["bench", "floor-server"], &[])
}

/// The raw floor beside the hub.
struct Floor {
    side: Side,
    id: String,
    child: ServerChild,
}

impl Floor {
    fn gather(bench: &Bench, args: &Args, id: String, child: ServerChild) -> Outcome<Self> {
        bench.progress.step(format!("{} subscribers of the floor", args.subscribers));
        let request = |_| subscribe_request(SESSION, "", None);
        let crowd = gather(bench, child.address, args.subscribers, 1, request)?;
        let process = Process { pid: child.pid() };
        let side = Side::new(crowd, process, args.rate(), args.data_bytes, args.batch);
        Ok(Self { side, id, child })
    }

    fn outlet(&self) -> Outcome<FloorOutlet> {
        FloorOutlet::connect(self.child.address, &self.id)
    }
}

fn report(args: &Args, side: &Side, spent: &Spent) -> Report {
    let mut report = Report::new("fanout");
    let mut cost =
        Figure::new(format!("CPU us per delivery, {}", args.what(args.rate())), spent.cost(), "us");
    cost.at_most = args.limit();
    report.figure(cost);
    report.figure(Figure::new("deliveries per second", spent.per_second(), "/s"));
    add_latency(&mut report, side);
    report
}

fn compared(args: &Args, side: &Side, turns: &Turns) -> Report {
    let mut report = Report::new("fanout");
    let name = format!("CPU per delivery over the raw floor's, {}", args.what(args.rate()));
    report.figure(Figure::new(name, turns.ratio(), "x").at_most(1.1));
    report.figure(Figure::new("CPU us per delivery", turns.first_cost(), "us"));
    report.figure(Figure::new("the raw floor's", turns.second_cost(), "us"));
    report.figure(Figure::new("deliveries per second", turns.first().per_second(), "/s"));
    add_latency(&mut report, side);
    report.notes.push(turns.note());
    report
}

fn add_latency(report: &mut Report, side: &Side) {
    let latency = |share| side.crowd.latency.quantile(share) as f64 / 1000.0;
    report.figure(Figure::new("latency, median", latency(0.5), "ms"));
    report.figure(Figure::new("latency, p99", latency(0.99), "ms"));
    // A publisher that outruns delivery is slowed: speed alone makes no gap.
    let gaps = side.crowd.tally.gaps as f64;
    report.figure(Figure::new("gaps told to subscribers that keep reading", gaps, "").at_most(0.0));
    report.tally = Some(side.crowd.tally.clone());
    report.undelivered = side.undelivered();
}
