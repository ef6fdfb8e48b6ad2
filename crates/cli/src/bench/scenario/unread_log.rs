//! The hub's log in a pipe that is not read, while streams are opened and closed: other readers must not
//! notice.

use std::time::Duration;

use super::super::Bench;
use super::super::failure::{Failure, Outcome};
use super::super::hub::Hub;
use super::super::process::allow_connections;
use super::super::publisher::Rate;
use super::super::report::{Figure, Report};
use super::readers::{Readers, median};
use super::visitors::Visitors;

/// Each stream that closes is a line of the log.
pub(super) const SETTINGS: [(&str, &str); 1] = [("log_level", "info")];

/// The pipe and the hub's buffer must be full within this time.
const FULL_TIMEOUT: Duration = Duration::from_secs(60);

/// Streams that fill the pipe of a hub that does not say how many lines it dropped.
const VISITORS_MIN: u64 = 1000;

#[derive(clap::Args, Debug)]
pub(in crate::bench) struct Args {
    /// How many subscribers keep reading
    #[arg(long, short = 'n', default_value_t = 200)]
    pub(in crate::bench) subscribers: usize,
    /// Events per second
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::bench) rate: u32,
    /// How long to publish in each part, in seconds
    #[arg(long, default_value_t = 5)]
    pub(in crate::bench) seconds: u64,
}

pub(in crate::bench) fn run(bench: &Bench, args: &Args) -> Outcome<Report> {
    allow_connections(args.subscribers as u64)?;
    let mut hub = Hub::obtain(bench, &SETTINGS)?;
    hub.child()?;
    let mut readers = Readers::gather(bench, hub.address, args.subscribers, "unread-log", 100)?;
    let rate = Rate::PerSecond(args.rate);
    readers.publish(bench, rate, Duration::from_secs(1))?;
    let visitors = Visitors::begin(hub.address)?;
    bench.progress.step("publishing while the log is read");
    let mut read = readers.slices(bench, rate, args.seconds)?;
    bench.progress.step("filling the log's pipe");
    hub.child()?.leave_errors_unread(true);
    fill(bench, &mut hub, &mut readers, &visitors)?;
    bench.progress.step("publishing while nobody reads the log");
    let (answered, unanswered) = (visitors.answered(), visitors.unanswered());
    let unread = readers.slices(bench, rate, args.seconds)?;
    let (answered, unanswered) = (visitors.answered() - answered, visitors.unanswered() - unanswered);
    let dropped = hub.stats()?.number("/metrics/logLinesDropped");
    hub.child()?.leave_errors_unread(false);
    bench.progress.step("publishing while the log is read again");
    read.extend(readers.slices(bench, rate, args.seconds)?);
    drop(visitors);

    let (read, unread) = (median(read), median(unread));
    let mut report = Report::new("unread-log");
    let ratio = unread / read.max(0.001);
    let name =
        format!("p99 of {} readers while nobody reads the log, over that while it is read", args.subscribers);
    report.figure(Figure::new(name, ratio, "x").at_most(1.2));
    report.figure(Figure::new("their p99 while it is read", read, "ms"));
    report.figure(Figure::new("their p99 while it is not", unread, "ms"));
    report.figure(Figure::new("new streams without an answer meanwhile", unanswered as f64, "").at_most(0.0));
    report.figure(Figure::new("new streams with one", answered as f64, ""));
    match dropped {
        Some(dropped) => report.figure(Figure::new("lines of the log that were dropped", dropped as f64, "")),
        None => report.notes.push("GET /stats does not say how many lines were dropped".into()),
    }
    report.undelivered = readers.undelivered();
    report.tally = Some(readers.crowd.tally.clone());
    Ok(report)
}

/// Publishes a little until a line was dropped.
pub(super) fn fill(bench: &Bench, hub: &mut Hub, readers: &mut Readers, visitors: &Visitors) -> Outcome<()> {
    let (began, first) = (bench.clock.now(), visitors.answered() + visitors.unanswered());
    loop {
        readers.publish(bench, Rate::PerSecond(20), Duration::from_millis(200))?;
        let come = visitors.answered() + visitors.unanswered() - first;
        match hub.stats()?.number("/metrics/logLinesDropped") {
            Some(0) if bench.clock.now() > began + FULL_TIMEOUT => {
                return Err(Failure::Broken(format!("no line was dropped although {come} streams came")));
            }
            Some(0) => {}
            None if come < VISITORS_MIN && visitors.unanswered() == 0 => {}
            _ => return Ok(()),
        }
    }
}
