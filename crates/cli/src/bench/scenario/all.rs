//! Every figure that must be reached, one scenario after the other, each with a hub of its own.

use super::super::Bench;
use super::super::failure::Outcome;
use super::super::publisher::Rate;
use super::super::report::{Figure, Report, table};
use super::{churn, fanout, hold, stalled, stats, storm};

#[derive(clap::Args, Debug)]
pub(in crate::bench) struct Args {
    /// A tenth of everything: whether it works, not what it costs
    #[arg(long)]
    quick: bool,
}

pub(in crate::bench) fn run(bench: &Bench, args: &Args) -> Outcome<Vec<Report>> {
    let scale = if args.quick { 10 } else { 1 };
    let hold = |sessions| hold::Args { subscribers: 10_000 / scale, sessions };
    let fanout = |rate, seconds, compare_floor| fanout::Args {
        subscribers: 1000 / scale,
        rate,
        seconds,
        data_bytes: 100,
        batch: 100,
        compare_floor,
        rounds: if args.quick { 1 } else { 5 },
    };
    let seconds = if args.quick { 1 } else { 10 };
    Ok(vec![
        hold::run(bench, &hold(hold::Sessions::Own))?,
        hold::run(bench, &hold(hold::Sessions::One))?,
        fanout::run(bench, &fanout(Rate::Max, seconds, false))?,
        fanout::run(bench, &fanout(Rate::PerSecond(50), 2 * seconds, true))?,
        churn::run(bench, &churn::Args { cycles: 40_000 / scale as u64, at_once: 200 })?,
        stalled::run(
            bench,
            &stalled::Args {
                subscribers: 2000 / scale,
                stalled: 1000 / scale,
                rate: Rate::Max,
                seconds,
                data_bytes: 100,
            },
        )?,
        storm::run(bench, &storm::Args { subscribers: 10_000 / scale, events: 256, data_bytes: 10_240 })?,
        stats::run(bench, &stats::Args { sessions: 100_000 / scale, calls: 10_000 / scale as u64 })?,
    ])
}

/// The figures that have a target, in one table.
pub(in crate::bench) fn summary(reports: &[Report]) -> String {
    let figures: Vec<Figure> = reports
        .iter()
        .flat_map(|report| &report.figures)
        .filter(|figure| figure.at_most.is_some())
        .cloned()
        .collect();
    let exact = if reports.iter().all(Report::is_exact) { "nothing" } else { "SOMETHING" };
    format!("all\n{}  {exact} was lost in silence, doubled or reordered\n", table(&figures))
}
