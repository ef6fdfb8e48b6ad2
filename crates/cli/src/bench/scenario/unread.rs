//! Answers that nobody takes: long-polls for events that are large once escaped, over HTTP/1.1 with full sockets
//! and over HTTP/2 with a window of zero: what they do to the hub's memory, and how long they are kept.

use std::time::Duration;

use super::super::Bench;
use super::super::failure::{Outcome, broken};
use super::super::hub::Hub;
use super::super::process::allow_connections;
use super::super::report::{Figure, Report};
use super::super::sampler::Sampler;
use super::silent::UnreadAnswers;

/// `memory_warning_threshold_mb` and `memory_critical_threshold_mb` of a hub that is started.
const SETTINGS: [(&str, &str); 2] =
    [("memory_warning_threshold_mb", "30"), ("memory_critical_threshold_mb", "40")];

/// Memory must have stood still for this long before.
const QUIET: Duration = Duration::from_secs(1);
const SETTLE_TIMEOUT: Duration = Duration::from_secs(15);

/// After this long it is no longer waited for.
const LET_GO_TIMEOUT: Duration = Duration::from_secs(100);

/// The hub's `write_deadline` is 30 s, and memory goes back within moments.
const LET_GO_SECONDS_MAX: f64 = 35.0;

/// Between two looks at whether all were let go.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Memory counts as given back within so many bytes of what it was: pages that allocators keep.
const GIVEN_BACK_BYTES: u64 = 8 * 1024 * 1024;

#[derive(clap::Args, Debug)]
pub(in crate::bench) struct Args {
    /// How many polls over HTTP/1.1
    #[arg(long, default_value_t = 300)]
    pub(in crate::bench) http1: usize,
    /// How many polls over HTTP/2, a hundred to a connection
    #[arg(long, default_value_t = 200)]
    pub(in crate::bench) http2: usize,
}

pub(in crate::bench) fn run(bench: &Bench, args: &Args) -> Outcome<Report> {
    allow_connections(args.http1 as u64)?;
    let mut hub = Hub::obtain(bench, &SETTINGS)?;
    UnreadAnswers::prepare(hub.address)?;
    let before = hub.settled_memory(bench, QUIET, SETTLE_TIMEOUT, || Ok(()))?;
    let stats = hub.stats()?;
    let (subscriptions, requests) = (stats.live("subscription")?, stats.live("request")?);
    let Some(critical) = stats.number("/budget/criticalBytes") else {
        return broken("GET /stats has no budget.criticalBytes");
    };

    bench.progress.step(format!("{} polls over HTTP/1.1, {} over HTTP/2", args.http1, args.http2));
    let sampler = Sampler::watch(hub.process)?;
    let began = bench.clock.now();
    let unread = UnreadAnswers::ask(hub.address, args.http1, args.http2)?;
    // All are on their way before it is asked whether they are gone.
    bench.pause(Duration::from_secs(1))?;
    bench.progress.step("waiting until they are let go");
    let mut is_let_go = false;
    while !is_let_go && bench.clock.now() < began + LET_GO_TIMEOUT {
        bench.pause(LOOK_EVERY)?;
        let (stats, memory) = (hub.stats()?, hub.process.memory()?);
        is_let_go = stats.live("subscription")? <= subscriptions
            && stats.live("request")? <= requests
            && memory.anonymous <= before.anonymous + GIVEN_BACK_BYTES;
        bench.progress.at(|| format!("memory is at {} MiB", memory.anonymous >> 20));
    }
    let took = bench.clock.now() - began;
    let peak = sampler.peak();
    drop(unread);

    let mut report = Report::new("unread");
    let what = format!("{} answers over HTTP/1.1 and {} over HTTP/2", args.http1, args.http2);
    report.figure(
        Figure::new(
            format!("memory at most over the critical threshold, {what} that nobody takes"),
            peak.anonymous as f64 / critical as f64,
            "x",
        )
        .at_most(1.25),
    );
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    report.figure(Figure::new(
        "growth of memory",
        mebibytes(peak.resident) - mebibytes(before.resident),
        "MiB",
    ));
    let until = Figure::new("time until all were let go", took.as_secs_f64(), "s");
    report.figure(until.at_most(LET_GO_SECONDS_MAX));
    if !is_let_go {
        report.notes.push(format!("they are still there after {LET_GO_TIMEOUT:?}"));
    }
    Ok(report)
}
