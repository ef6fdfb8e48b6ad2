//! `GET /stats` with very many sessions: it must not walk them.

use std::time::Duration;

use super::super::Bench;
use super::super::failure::{Outcome, broken};
use super::super::histogram::Histogram;
use super::super::http::HttpClient;
use super::super::hub::Hub;
use super::super::report::{Figure, Report};

/// Requests written together over one connection.
const PIPELINED: usize = 64;

/// Calls before those that are measured.
const WARM_UP: u64 = 200;

#[derive(clap::Args, Debug)]
pub(in crate::bench) struct Args {
    /// How many sessions, each made by one publish
    #[arg(long, short = 'n', default_value_t = 100_000)]
    pub(in crate::bench) sessions: usize,
    /// How many calls
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::bench) calls: u64,
}

pub(in crate::bench) fn run(bench: &Bench, args: &Args) -> Outcome<Report> {
    let mut hub = Hub::obtain(bench, &[])?;
    let before = hub.process.memory()?;
    make_sessions(bench, &hub, args.sessions)?;
    let after = hub.process.memory()?;
    let there = hub.stats()?.live("session")?;
    bench.progress.step(format!("{} calls of GET /stats", args.calls));
    let mut client = HttpClient::connect(hub.address)?;
    for _ in 0..WARM_UP {
        call(&mut client)?;
    }
    let mut latency = Histogram::default();
    let cpu = hub.process.cpu()?;
    for done in 0..args.calls {
        let asked = bench.clock.now();
        call(&mut client)?;
        latency.record(u64::try_from((bench.clock.now() - asked).as_nanos()).unwrap_or(u64::MAX));
        bench.check()?;
        bench.progress.at(|| format!("{done}"));
    }
    let cpu = hub.process.cpu()?.saturating_sub(cpu);
    let milliseconds = |share| latency.quantile(share) as f64 / 1e6;
    let mut report = Report::new("stats");
    let name = format!("GET /stats with {} sessions, p99", args.sessions);
    report.figure(Figure::new(name, milliseconds(0.99), "ms").at_most(1.0));
    report.figure(Figure::new("median", milliseconds(0.5), "ms"));
    report.figure(Figure::new("CPU us per call", cpu.as_secs_f64() * 1e6 / args.calls as f64, "us"));
    let each = (after.resident as f64 - before.resident as f64) / args.sessions.max(1) as f64;
    report.figure(Figure::new("bytes per session with one event", each, "B"));
    if there < args.sessions as u64 {
        report.notes.push(format!("the ledger shows only {there} sessions"));
    }
    Ok(report)
}

fn call(client: &mut HttpClient) -> Outcome<()> {
    let answer = client.get("/stats")?;
    if answer.status == 200 { Ok(()) } else { broken(format!("GET /stats: {}", answer.status)) }
}

/// One publish to each of many sessions, several requests on their way at a time.
fn make_sessions(bench: &Bench, hub: &Hub, count: usize) -> Outcome<()> {
    bench.progress.step(format!("{count} sessions"));
    let mut client = HttpClient::connect(hub.address)?;
    let mut made = 0;
    while made < count {
        let together = PIPELINED.min(count - made);
        let mut requests = Vec::new();
        for index in made..made + together {
            client.write_post(&mut requests, &format!("/sessions/stats-{index}/events"), "text/plain", b"x");
        }
        client.send(&requests)?;
        for _ in 0..together {
            let answer = client.receive()?;
            if matches!(answer.status, 429 | 503) {
                bench.pause(answer.retry_after.unwrap_or(Duration::from_millis(100)))?;
            }
            answer.json("making a session")?;
        }
        made += together;
        bench.check()?;
        bench.progress.at(|| format!("{made}"));
    }
    Ok(())
}
