//! A hub that speaks TLS in turns with one that speaks plain: what TLS adds to a delivery.

use super::super::super::Bench;
use super::super::super::cores::Apart;
use super::super::super::endpoint::Endpoint;
use super::super::super::failure::Outcome;
use super::super::super::http::HttpClient;
use super::super::super::hub::{Hub, Transport, subscribe_request};
use super::super::super::publisher::{HubOutlet, Rate};
use super::super::super::report::{Figure, Report};
use super::super::gather;
use super::super::side::{Side, Spent, Turns, Which};
use super::{Args, SESSION, WARM_UP};

/// The most a delivery over TLS may cost of one on plain: one event in each record, and many.
const PACED_MAX: f64 = 1.15;
const FLAT_OUT_MAX: f64 = 1.3;

/// What is measured if no rate is asked for.
const RATES: [Rate; 2] = [Rate::PerSecond(50), Rate::Max];

pub(super) fn run(bench: &Bench, args: &Args) -> Outcome<Report> {
    let (hubs, _apart) = Apart::start(bench, || {
        let of = |transport| Hub::obtain_over(bench, transport, &[]);
        Ok((of(Transport::Tls)?, of(Transport::Plain)?))
    })?;
    let mut tls = Measured::gather(bench, args, hubs.0, "TLS")?;
    let mut plain = Measured::gather(bench, args, hubs.1, "plain")?;
    let mut report = Report::new("fanout");
    let rates = args.rate.as_ref().map_or(&RATES[..], std::slice::from_ref);
    for rate in rates {
        for measured in [&mut tls, &mut plain] {
            measured.side.pace(*rate);
            measured.round(bench, WARM_UP)?;
            measured.side.pace(*rate);
        }
        let turns = Turns::take(bench, args.rounds, |which| match which {
            Which::First => tls.round(bench, args.turn()),
            Which::Second => plain.round(bench, args.turn()),
        })?;
        let limit = if *rate == Rate::Max { FLAT_OUT_MAX } else { PACED_MAX };
        let name = format!("CPU per delivery over TLS, over that on plain, {}", args.what(*rate));
        report.figure(Figure::new(name, turns.ratio(), "x").at_most(limit));
        report.figure(Figure::new("CPU us per delivery over TLS", turns.first_cost(), "us"));
        report.figure(Figure::new("on plain", turns.second_cost(), "us"));
        report.figure(Figure::new("deliveries per second over TLS", turns.first().per_second(), "/s"));
        for (name, side) in [("over TLS", &tls.side), ("on plain", &plain.side)] {
            let p99 = side.crowd.latency.quantile(0.99) as f64 / 1000.0;
            report.figure(Figure::new(format!("latency {name}, p99"), p99, "ms"));
        }
        report.notes.push(format!("{}: {}", args.what(*rate), turns.note()));
    }
    let mut tally = tls.side.crowd.tally.clone();
    tally.merge(&plain.side.crowd.tally);
    let name = "gaps told to subscribers that keep reading, over TLS and on plain";
    report.figure(Figure::new(name, tally.gaps as f64, "").at_most(0.0));
    report.undelivered = tls.side.undelivered() + plain.side.undelivered();
    report.tally = Some(tally);
    Ok(report)
}

/// A hub with its subscribers.
struct Measured {
    /// Held to be ended with this.
    _hub: Hub,
    to: Endpoint,
    side: Side,
}

impl Measured {
    fn gather(bench: &Bench, args: &Args, hub: Hub, transport: &str) -> Outcome<Self> {
        let to = hub.endpoint()?;
        bench.progress.step(format!("{} subscribers of one session, {transport}", args.subscribers));
        let request = |_| subscribe_request(SESSION, "", None);
        let crowd = gather(bench, to.clone(), args.subscribers, 1, request)?;
        let side = Side::new(crowd, hub.process, args.rate(), args.data_bytes, args.batch);
        Ok(Self { _hub: hub, to, side })
    }

    fn round(&mut self, bench: &Bench, lasting: std::time::Duration) -> Outcome<Spent> {
        let outlet = HubOutlet::new(HttpClient::connect(self.to.clone())?, SESSION);
        self.side.round(bench, outlet, lasting)
    }
}
