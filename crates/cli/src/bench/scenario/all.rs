//! Every figure that must be reached, one scenario after the other, each with a hub of its own.

use super::super::Bench;
use super::super::failure::{Failure, Outcome};
use super::super::hub::OverTls;
use super::super::publisher::Rate;
use super::super::report::{Figure, Report, table};
use super::{
    churn, fanout, hold, logs, neighbours, scatter, stalled, stats, storm, tokens, unread, unread_log,
};

#[derive(clap::Args, Debug)]
pub(in crate::bench) struct Args {
    /// A tenth of everything: whether it works, not what it costs
    #[arg(long)]
    quick: bool,
}

pub(in crate::bench) fn run(bench: &Bench, args: &Args) -> Outcome<Vec<Report>> {
    let scale = if args.quick { 10 } else { 1 };
    let hold = |sessions, tls, http2| hold::Args {
        subscribers: 10_000 / scale,
        sessions,
        http2,
        streams: 10,
        over: OverTls { tls },
    };
    let fanout = |rate, seconds, compare_floor, tls| fanout::Args {
        subscribers: 1000 / scale,
        rate,
        seconds,
        data_bytes: 100,
        batch: 100,
        compare_floor,
        tls,
        rounds: if args.quick { 1 } else { 5 },
    };
    let seconds = if args.quick { 1 } else { 10 };
    let churn = |tls| churn::Args { cycles: 40_000 / scale as u64, at_once: 200, over: OverTls { tls } };
    let stalled = |tls| stalled::Args {
        subscribers: 2000 / scale,
        stalled: 1000 / scale,
        rate: Rate::Max,
        seconds,
        data_bytes: 100,
        over: OverTls { tls },
    };
    let storm = storm::Args { subscribers: 10_000 / scale, events: 256, data_bytes: 10_240 };
    let stats = stats::Args { sessions: 100_000 / scale, calls: 10_000 / scale as u64 };
    let tokens = tokens::Args { seconds: if args.quick { 0.1 } else { 1.0 } };
    let scatter = |publishers, compare_floor| scatter::Args {
        sessions: 1000 / scale as u64,
        publishers,
        seconds: if compare_floor { 2 * seconds } else { seconds },
        data_bytes: 100,
        compare_floor,
        rounds: if args.quick { 1 } else { 5 },
    };
    let unread = unread::Args { http1: 300 / scale, http2: 200 / scale };
    let logs = logs::Args {
        viewers: 100 / scale as u64,
        lines: 100_000 / scale as u64,
        rounds: if args.quick { 1 } else { 3 },
        line_bytes: 100,
    };
    let unread_log = unread_log::Args { subscribers: 200 / scale, rate: 100, seconds: seconds.div_ceil(2) };
    let neighbours = neighbours::Args {
        subscribers: 100 / scale,
        rate: 100,
        seconds: seconds.div_ceil(2),
        sockets: 10_000 / scale as u64,
        only: None,
    };
    let mut reports = Reports::default();
    reports.add("hold", hold::run(bench, &hold(hold::Sessions::Own, false, false)))?;
    reports.add("hold", hold::run(bench, &hold(hold::Sessions::One, false, false)))?;
    reports.add("hold", hold::run(bench, &hold(hold::Sessions::Own, true, false)))?;
    reports.add("hold", hold::run(bench, &hold(hold::Sessions::Own, true, true)))?;
    reports.add("fanout", fanout::run(bench, &fanout(Some(Rate::Max), seconds, false, false)))?;
    let paced = fanout(Some(Rate::PerSecond(50)), 2 * seconds, true, false);
    reports.add("fanout", fanout::run(bench, &paced))?;
    reports.add("fanout", fanout::run(bench, &fanout(None, 2 * seconds, false, true)))?;
    reports.add("scatter", scatter::run(bench, &scatter(2, false)))?;
    for publishers in [2, 4, 8] {
        reports.add("scatter", scatter::run(bench, &scatter(publishers, true)))?;
    }
    for tls in [false, true] {
        reports.add("churn", churn::run(bench, &churn(tls)))?;
        reports.add("stalled", stalled::run(bench, &stalled(tls)))?;
    }
    reports.add("storm", storm::run(bench, &storm))?;
    reports.add("stats", stats::run(bench, &stats))?;
    reports.add("tokens", tokens::run(bench, &tokens))?;
    reports.add("unread", unread::run(bench, &unread))?;
    reports.add("logs", logs::run(bench, &logs))?;
    reports.add("unread-log", unread_log::run(bench, &unread_log))?;
    reports.add("neighbours", neighbours::run(bench, &neighbours))?;
    Ok(reports.0)
}

/// What was measured so far. One scenario that fails takes nothing from the others.
#[derive(Default)]
struct Reports(Vec<Report>);

impl Reports {
    fn add(&mut self, scenario: &'static str, outcome: Outcome<Report>) -> Outcome<()> {
        match outcome {
            Ok(report) => self.0.push(report),
            Err(Failure::Broken(failure)) => {
                let mut report = Report::new(scenario);
                report.failure = Some(failure);
                self.0.push(report);
            }
            Err(stop) => return Err(stop),
        }
        Ok(())
    }
}

/// The figures that have a target, in one table.
pub(in crate::bench) fn summary(reports: &[Report]) -> String {
    let figures: Vec<Figure> = reports
        .iter()
        .flat_map(|report| &report.figures)
        .filter(|figure| figure.at_most.is_some())
        .cloned()
        .collect();
    let verdict = if reports.iter().all(Report::is_exact) {
        "nothing was lost in silence, doubled or reordered"
    } else {
        "SOMETHING was lost in silence, doubled, reordered or not measured: see above"
    };
    format!("all\n{}  {verdict}\n", table(&figures))
}
