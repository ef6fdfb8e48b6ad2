//! Many subscribers come back at once, each with the same history to replay: what it does to the hub's memory.

use std::time::Duration;

use super::super::Bench;
use super::super::failure::{Outcome, broken};
use super::super::http::HttpClient;
use super::super::hub::{Hub, subscribe_request};
use super::super::process::allow_connections;
use super::super::publisher::{HubOutlet, Outlet, event_data};
use super::super::report::{Figure, Report};
use super::super::sampler::Sampler;
use super::{drain, gather, undelivered};

const SESSION: &str = "storm";

/// Memory must have stood still for this long before the storm.
const QUIET: Duration = Duration::from_secs(1);
const SETTLE_TIMEOUT: Duration = Duration::from_secs(15);

/// How many come and go before the measurement.
const WARM_UP: usize = 100;

/// Events of 10 KB in one request: under every limit on bodies.
const PUBLISH_AT_ONCE: usize = 16;

#[derive(clap::Args, Debug)]
pub(in crate::bench) struct Args {
    /// How many subscribers come back
    #[arg(long, short = 'n', default_value_t = 10_000)]
    pub(in crate::bench) subscribers: usize,
    /// Events that each has missed
    #[arg(long, default_value_t = 256)]
    pub(in crate::bench) events: u64,
    /// Length of each event's data, in bytes
    #[arg(long, default_value_t = 10_240)]
    pub(in crate::bench) data_bytes: usize,
}

pub(in crate::bench) fn run(bench: &Bench, args: &Args) -> Outcome<Report> {
    allow_connections(args.subscribers as u64)?;
    let mut hub = Hub::obtain(bench, &[])?;
    let last_seen = history(bench, &hub, args)?;
    let request = |_: usize| subscribe_request(SESSION, "", Some(&last_seen));
    bench.progress.step("warming up");
    let before_all = hub.stats()?.live("subscription")?;
    let mut few = gather(bench, hub.address, WARM_UP.min(args.subscribers), 1, request)?;
    drain(bench, &mut few, args.events)?;
    drop(few);
    hub.wait_for_live(bench, "subscription", |live| live <= before_all, Duration::from_secs(30))?;
    let before = hub.settled_memory(bench, QUIET, SETTLE_TIMEOUT, || Ok(()))?;

    bench.progress.step(format!("{} come back at once", args.subscribers));
    let cpu = hub.process.cpu()?;
    let started = bench.clock.now();
    let sampler = Sampler::watch(hub.process)?;
    let mut crowd = gather(bench, hub.address, args.subscribers, 1, request)?;
    drain(bench, &mut crowd, args.events)?;
    let took = bench.clock.now() - started;
    let cpu = hub.process.cpu()?.saturating_sub(cpu);
    let peak = sampler.peak();

    let mebibytes = |peak: u64, before: u64| (peak as f64 - before as f64) / f64::from(1 << 20);
    let name = format!(
        "memory growth, {} back at once, {} events of {} bytes each",
        args.subscribers, args.events, args.data_bytes
    );
    let mut report = Report::new("storm");
    report.figure(Figure::new(name, mebibytes(peak.resident, before.resident), "MiB").at_most(32.0));
    report.figure(Figure::new(
        "the same, heap and stacks only",
        mebibytes(peak.anonymous, before.anonymous),
        "MiB",
    ));
    report.figure(Figure::new("time until everybody had everything", took.as_secs_f64(), "s"));
    let deliveries = crowd.tally.deliveries.max(1) as f64;
    report.figure(Figure::new("CPU us per delivery", cpu.as_secs_f64() * 1e6 / deliveries, "us"));
    report.undelivered = undelivered(&crowd, args.events);
    report.tally = Some(crowd.tally.clone());
    Ok(report)
}

/// Publishes what everybody will have missed; answers with the id of the event before it.
fn history(bench: &Bench, hub: &Hub, args: &Args) -> Outcome<String> {
    bench.progress.step(format!("{} events to miss", args.events));
    let mut client = HttpClient::connect(hub.address)?;
    let answer =
        client.post(&format!("/sessions/{SESSION}/events"), "text/plain", b"[0,0]")?.json("a publish")?;
    let Some(last_seen) = answer.get("id").and_then(|id| id.as_str()) else {
        return broken(format!("a publish was answered without an id: {answer}"));
    };
    let numbers: Vec<u64> = (1..=args.events).collect();
    let mut outlet = HubOutlet::new(client, SESSION);
    for numbers in numbers.chunks(PUBLISH_AT_ONCE) {
        outlet.publish(|| {
            let stamp = bench.clock.micros();
            numbers.iter().map(|number| event_data(*number, stamp, args.data_bytes)).collect()
        })?;
    }
    Ok(last_seen.to_owned())
}
