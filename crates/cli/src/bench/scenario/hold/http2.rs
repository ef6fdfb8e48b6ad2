//! Idle streams over HTTP/2: what a connection costs with its first stream, and what each further one does.

use super::super::super::Bench;
use super::super::super::endpoint::Endpoint;
use super::super::super::failure::{Outcome, While, broken};
use super::super::super::http2_crowd::Http2Crowd;
use super::super::super::hub::Hub;
use super::super::super::report::{Figure, Report};
use super::super::{GATHER_TIMEOUT, GATHER_WINDOW, TURN};
use super::{Args, LEDGER_TIMEOUT, QUIET, SETTLE_TIMEOUT, Sessions, WARM_UP};

/// Limits of what a connection costs with its first stream, and of each further stream, in bytes.
const CONNECTION_BYTES_MAX: f64 = 24_000.0;
const STREAM_BYTES_MAX: f64 = 3_000.0;

pub(super) fn run(bench: &Bench, args: &Args, mut hub: Hub) -> Outcome<Report> {
    let streams = args.streams.max(2);
    let connections = (args.subscribers / streams).max(1);
    let to = hub.endpoint_http2()?;
    let path = |prefix: &str, index: usize| match args.sessions {
        Sessions::Own => format!("/sessions/{prefix}-{index}/events"),
        Sessions::One => format!("/sessions/{prefix}/events"),
    };
    let before_all = hub.stats()?.live("subscription")?;
    bench.progress.step("warming up");
    drop(connect(bench, &to, WARM_UP, |index| path("warm-up", index))?);
    hub.wait_for_live(bench, "subscription", |live| live <= before_all, LEDGER_TIMEOUT)?;
    let before = hub.settled_memory(bench, QUIET, SETTLE_TIMEOUT, || Ok(()))?;

    bench.progress.step(format!("{connections} connections with a stream each"));
    let mut crowd = connect(bench, &to, connections, |index| path("hold", index))?;
    let settle = |crowd: &mut Http2Crowd, hub: &Hub| {
        let keep_reading = || crowd.turn(TURN).during("reading heartbeats");
        hub.settled_memory(bench, QUIET, SETTLE_TIMEOUT, keep_reading)
    };
    let first = settle(&mut crowd, &hub)?;

    bench.progress.step(format!("{streams} streams over each of them"));
    let mut index = connections;
    for _ in 1..streams {
        for connection in 0..connections {
            crowd.open(connection, &path("hold", index)).during("opening a stream")?;
            index += 1;
        }
        answered(bench, &mut crowd, index)?;
    }
    let all = settle(&mut crowd, &hub)?;
    let wanted = before_all + index as u64;
    let live = hub.wait_for_live(bench, "subscription", |live| live >= wanted, LEDGER_TIMEOUT)?;

    let over = args.over.suffix();
    let each = |after: u64, before: u64, count: usize| (after as f64 - before as f64) / count as f64;
    let mut report = Report::new("hold");
    let name = format!("bytes per HTTP/2 connection with one idle stream{over}");
    let connection = each(first.resident, before.resident, connections);
    report.figure(Figure::new(name, connection, "B").at_most(CONNECTION_BYTES_MAX));
    let name = format!("bytes per further stream, {streams} over each connection{over}");
    let stream = each(all.resident, first.resident, index - connections);
    report.figure(Figure::new(name, stream, "B").at_most(STREAM_BYTES_MAX));
    let name = format!("bytes per idle subscriber over HTTP/2, {streams} streams over each connection{over}");
    report.figure(Figure::new(name, each(all.resident, before.resident, index), "B"));
    if live != wanted || crowd.ended > 0 {
        let ended = crowd.ended;
        report.notes.push(format!("the ledger shows {live} subscriptions of {wanted}; {ended} were ended"));
    }
    Ok(report)
}

/// Opens connections with one stream each, and waits until all are answered.
fn connect(
    bench: &Bench,
    to: &Endpoint,
    count: usize,
    path: impl Fn(usize) -> String,
) -> Outcome<Http2Crowd> {
    let mut crowd = Http2Crowd::new().during("making an epoll")?;
    for index in 0..count {
        crowd.connect(to, &path(index)).during("connecting")?;
        if crowd.pending >= GATHER_WINDOW {
            answered(bench, &mut crowd, index + 1)?;
        }
    }
    answered(bench, &mut crowd, count)?;
    Ok(crowd)
}

/// Waits until so many streams are answered, all with 200.
fn answered(bench: &Bench, crowd: &mut Http2Crowd, count: usize) -> Outcome<()> {
    let mut progress = (crowd.pending, bench.clock.now());
    while crowd.pending > 0 && bench.clock.now() < progress.1 + GATHER_TIMEOUT {
        crowd.turn(TURN).during("waiting for streams")?;
        bench.check()?;
        bench.progress.at(|| format!("{} streams", crowd.opened));
        if crowd.pending < progress.0 {
            progress = (crowd.pending, bench.clock.now());
        }
    }
    if crowd.opened == count && crowd.ended == 0 {
        return Ok(());
    }
    let Http2Crowd { opened, refused, ended, .. } = crowd;
    broken(format!("of {count} streams {opened} are open, {refused} were refused, {ended} ended"))
}
