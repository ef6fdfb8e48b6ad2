//! Subscribers that never read, beside others that do: the others must not notice, and the hub must end the
//! first.

use std::time::Duration;

use super::super::Bench;
use super::super::failure::Outcome;
use super::super::hub::{Hub, OverTls, subscribe_request};
use super::super::process::allow_connections;
use super::super::publisher::{Rate, parse_rate};
use super::super::report::{Figure, Report};
use super::super::sampler::Sampler;
use super::readers::{Readers, p99};
use super::silent;

const SESSION: &str = "stalled";

/// The hub's write deadline is 30 s: all must be ended within twice that.
const END_TIMEOUT: Duration = Duration::from_secs(60);

/// Pace at which publishing goes on until the stalled ones are ended.
const TRICKLE_PER_SECOND: u32 = 20;

#[derive(clap::Args, Debug)]
pub(in crate::bench) struct Args {
    /// How many subscribers in all
    #[arg(long, short = 'n', default_value_t = 1000)]
    pub(in crate::bench) subscribers: usize,
    /// How many of them never read
    #[arg(long, short = 'm', default_value_t = 200)]
    pub(in crate::bench) stalled: usize,
    /// Events per second, or `max`
    #[arg(long, default_value = "max", value_parser = parse_rate)]
    pub(in crate::bench) rate: Rate,
    /// How long to publish in each part, in seconds
    #[arg(long, default_value_t = 10)]
    pub(in crate::bench) seconds: u64,
    /// Length of each event's data, in bytes
    #[arg(long, default_value_t = 100)]
    pub(in crate::bench) data_bytes: usize,
    #[command(flatten)]
    pub(in crate::bench) over: OverTls,
}

pub(in crate::bench) fn run(bench: &Bench, args: &Args) -> Outcome<Report> {
    allow_connections(args.subscribers as u64)?;
    let good = args.subscribers.saturating_sub(args.stalled).max(1);
    let mut hub = Hub::obtain_over(bench, args.over.transport(), &[])?;
    let before_all = hub.stats()?.live("subscription")?;
    bench.progress.step(format!("{good} subscribers that read"));
    let mut readers = Readers::gather(bench, hub.endpoint()?, good, SESSION, args.data_bytes)?;
    let lasting = Duration::from_secs(args.seconds);
    readers.publish(bench, args.rate, Duration::from_secs(1))?;

    bench.progress.step("publishing to them alone");
    let alone = readers.publish(bench, args.rate, lasting)?;
    let before = hub.process.memory()?;
    bench.progress.step(format!("{} subscribers that never read", args.stalled));
    let sampler = Sampler::watch(hub.process)?;
    let request = subscribe_request(SESSION, "", None);
    let stalled =
        (0..args.stalled).map(|_| silent::ask(hub.endpoint()?, &request)).collect::<Outcome<Vec<_>>>()?;
    let all = before_all + args.subscribers as u64;
    hub.wait_for_live(bench, "subscription", |live| live >= all, END_TIMEOUT)?;
    bench.progress.step("publishing to all");
    let beside = readers.publish(bench, args.rate, lasting)?;
    bench.progress.step("waiting until the hub ends those that never read");
    let began = bench.clock.now();
    let wanted = before_all + good as u64;
    let mut live = hub.stats()?.live("subscription")?;
    while live > wanted && bench.clock.now() < began + END_TIMEOUT {
        readers.publish(bench, Rate::PerSecond(TRICKLE_PER_SECOND), Duration::from_millis(500))?;
        live = hub.stats()?.live("subscription")?;
    }
    let waited = bench.clock.now() - began;
    let peak = sampler.peak();
    drop(stalled);
    bench.progress.step("publishing to those that read, once more");
    let after = readers.publish(bench, args.rate, lasting)?;

    let mut without = alone.clone();
    without.merge(&after);
    let mut report = Report::new("stalled");
    let ratio = p99(&beside) / p99(&without).max(0.001);
    let (never, over) = (args.stalled, args.over.suffix());
    let name = format!("p99 of {good} readers beside {never} that never read, over that without{over}");
    report.figure(Figure::new(name, ratio, "x").at_most(1.2));
    report.figure(Figure::new("their p99 without", p99(&without), "ms"));
    report.figure(Figure::new("their p99 beside", p99(&beside), "ms"));
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let name = format!("memory of the hub at most, beside them{over}");
    let mut memory = Figure::new(name, mebibytes(peak.resident), "MiB");
    memory.at_most = hub.stats()?.number("/budget/criticalBytes").map(mebibytes);
    report.figure(memory);
    let growth = mebibytes(peak.resident) - mebibytes(before.resident);
    report.figure(Figure::new("growth of it", growth, "MiB"));
    let left = live.saturating_sub(wanted);
    report.figure(
        Figure::new(format!("never read, and not ended by the hub{over}"), left as f64, "").at_most(0.0),
    );
    report.figure(Figure::new("time until all were ended, after the load", waited.as_secs_f64(), "s"));
    report.notes.push(format!(
        "p99 before, beside, after: {:.2} {:.2} {:.2} ms",
        p99(&alone),
        p99(&beside),
        p99(&after)
    ));
    let gaps = readers.crowd.tally.gaps as f64;
    report.figure(
        Figure::new(format!("gaps told to subscribers that keep reading{over}"), gaps, "").at_most(0.0),
    );
    report.undelivered = readers.undelivered();
    report.tally = Some(readers.crowd.tally.clone());
    Ok(report)
}
