//! Connections that come and go in every bad manner: afterwards the hub must be as it was.

mod cycle;
mod manner;

use std::time::Duration;

use super::super::Bench;
use super::super::failure::{Outcome, While};
use super::super::http::HttpClient;
use super::super::hub::{Hub, OverTls, Stats};
use super::super::process::{Memory, allow_connections};
use super::super::publisher::{HubOutlet, Outlet, event_data};
use super::super::report::{Figure, Report};
use cycle::Churn;
use manner::{HISTORY_SESSION, SESSIONS, session};

/// Growth below this is no growth: allocators keep a page here and there, in bytes.
const NOISE_BYTES: u64 = 512 * 1024;

/// Memory must have stood still for this long, and is read after the second time at the latest. An allocator
/// gives pages back some seconds after they were freed.
const QUIET: Duration = Duration::from_secs(4);
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The ledger must be back within this time: the write deadline and some.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(60);

/// Cycles before the first reading: whatever the hub allocates once must be there.
const WARM_UP: u64 = 4_000;

/// History that a stalled reader asks for, so that its socket fills.
const HISTORY_EVENTS: u64 = 200;
const HISTORY_DATA_BYTES: usize = 8 * 1024;

#[derive(clap::Args, Debug)]
pub(in crate::bench) struct Args {
    /// How many times to connect and to disconnect
    #[arg(long, short = 'n', default_value_t = 40_000)]
    pub(in crate::bench) cycles: u64,
    /// How many connections at once
    #[arg(long, default_value_t = 200)]
    pub(in crate::bench) at_once: usize,
    #[command(flatten)]
    pub(in crate::bench) over: OverTls,
}

impl Args {
    /// Cycles before the first reading. Over TLS as many as are measured: a connection costs the hub forty times as much
    /// while it is there, and the allocator keeps some of what the most at one time took, which grows with the run.
    fn warm_up(&self) -> u64 {
        if self.over.tls { self.cycles } else { WARM_UP.min(self.cycles) }
    }
}

/// What must be the same before and after.
struct Reading {
    memory: Memory,
    files: u64,
    stats: Stats,
}

pub(in crate::bench) fn run(bench: &Bench, args: &Args) -> Outcome<Report> {
    allow_connections(args.at_once as u64)?;
    let mut hub = Hub::obtain_over(bench, args.over.transport(), &[])?;
    prepare(&hub)?;
    let mut churn = Churn::new(bench.clock, hub.endpoint()?).during("making an epoll")?;
    let connections = hub.stats()?.live("connection")?;
    bench.progress.step("warming up");
    churn.run(bench, args.warm_up(), args.at_once)?;
    let before = read(bench, &mut hub, connections)?;

    bench.progress.step(format!("{} connect/disconnect cycles", args.cycles));
    let started = bench.clock.now();
    churn.run(bench, args.cycles, args.at_once)?;
    let took = bench.clock.now() - started;
    bench.progress.step("waiting until everything is back");
    let ended = bench.clock.now();
    hub.wait_for_live(bench, "connection", |live| live <= connections, LEDGER_TIMEOUT)?;
    let back_after = bench.clock.now() - ended;
    let after = read(bench, &mut hub, connections)?;

    let mut report = Report::new("churn");
    let growth = |after: u64, before: u64| after as f64 - before as f64;
    let memory = growth(after.memory.anonymous, before.memory.anonymous);
    let over = args.over.suffix();
    let name = format!("memory growth over {} connect/disconnect cycles{over}", args.cycles);
    // Below the noise it is nothing; what was read stands in a note.
    let counted = if memory <= NOISE_BYTES as f64 { 0.0 } else { memory };
    report.figure(Figure::new(name, counted, "B").at_most(0.0));
    report.figure(
        Figure::new(format!("growth of open files{over}"), growth(after.files, before.files), "")
            .at_most(0.0),
    );
    let ledger = ledger_growth(&before.stats, &after.stats);
    let total = ledger.iter().map(|(_, growth)| *growth).sum();
    report.figure(Figure::new(format!("growth of the ledger{over}"), total, "").at_most(0.0));
    report.figure(Figure::new("time until the ledger was back", back_after.as_secs_f64(), "s"));
    report.figure(Figure::new("cycles per second", args.cycles as f64 / took.as_secs_f64().max(1e-9), "/s"));
    report.notes.push(format!(
        "heap and stacks {memory:+} B, resident {:+} B ({NOISE_BYTES} B count as noise)",
        growth(after.memory.resident, before.memory.resident)
    ));
    report.notes.extend(ledger.into_iter().map(|(kind, growth)| format!("ledger: {growth:+} {kind}")));
    report.notes.push(churn.summary());
    Ok(report)
}

/// Makes all sessions that the cycles will use.
fn prepare(hub: &Hub) -> Outcome<()> {
    for index in 0..SESSIONS {
        HubOutlet::new(HttpClient::connect(hub.endpoint()?)?, &session(index))
            .publish(|| vec![event_data(0, 0, 16)])?;
    }
    let mut outlet = HubOutlet::new(HttpClient::connect(hub.endpoint()?)?, HISTORY_SESSION);
    for number in 1..=HISTORY_EVENTS {
        outlet.publish(|| vec![event_data(number, 0, HISTORY_DATA_BYTES)])?;
    }
    Ok(())
}

/// Reads everything once all connections are gone and memory stands still.
fn read(bench: &Bench, hub: &mut Hub, connections: u64) -> Outcome<Reading> {
    hub.wait_for_live(bench, "connection", |live| live <= connections, LEDGER_TIMEOUT)?;
    let memory = hub.settled_memory(bench, QUIET, SETTLE_TIMEOUT, || Ok(()))?;
    Ok(Reading { memory, files: hub.process.files()?, stats: hub.stats()? })
}

/// Kinds of which more is live than before.
fn ledger_growth(before: &Stats, after: &Stats) -> Vec<(String, f64)> {
    let before = before.ledger();
    let was = |kind: &str| before.iter().find(|(known, _)| known == kind).map_or(0, |(_, live)| *live);
    let growth = after.ledger().into_iter().map(|(kind, live)| {
        let growth = live as f64 - was(&kind) as f64;
        (kind, growth)
    });
    growth.filter(|(_, growth)| *growth > 0.0).collect()
}
