//! Thousands who wait for one `Idempotency-Key` over HTTP/2 cost others nothing: a keyed publish elsewhere takes the hub as
//! much work as without them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::Duration;

use watertight_testkit::http2::{Frame, kind};
use watertight_testkit::{ConnectOptions, Http2, HubProcess, PATIENCE, RawConnection, SseReader, eventually};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

/// A log: a hundred batches of its short lines fit the window that an HTTP/2 connection begins with.
const LINES: &str = "/deployments/42/logs";
const STREAM: &str = "/deployments/42/logs/stream";

const CONNECTIONS: usize = 96;
/// On each connection; a hub takes 128.
const STREAMS: usize = 100;
const WAITERS: usize = CONNECTIONS * STREAMS;

/// Lines that a reader takes whose socket was full, which proves that it reads; lines that fill what the hub holds for it, and
/// lines of the batch that waits for room behind them.
const PROOF: usize = 300;
const FILLING: usize = 400;
const BATCH: usize = 200;

/// Events that the reader takes now and then, so that it is waited for: more than a send buffer, whose sender does not notice
/// less. All of them together still leave no room for the batch.
const READ_ON: usize = 10;

/// Keyed publishes elsewhere, with and without waiters: so many that a slice is several ticks of the clock of CPU time.
const PUBLISHES: usize = 18_000;
const SLICES: usize = 6;

/// How many have the turn one after the other. Nobody waits for readers longer than ten seconds; whoever is next has ten
/// seconds of its own.
const TURNS: usize = 4 + SLICES + 2;

/// It was 24 when each publish woke all who waited.
const RATIO_MAX: f64 = 3.0;

/// Begins a publish with a key on a connection of its own, and does not wait for its answer.
fn begin(hub: &HubProcess, key: &str, body: &str) -> RawConnection {
    let request = hub.client().request("POST", LINES).header("Content-Type", "text/plain");
    let mut connection = RawConnection::connect(hub.address());
    connection.send(request.header("Idempotency-Key", key).body(body).bytes());
    connection
}

/// A connection on which a hundred ask for the same, and take their answers whenever they come.
fn ask(hub: &HubProcess, body: &str) -> Http2 {
    let mut http2 = Http2::connect(hub.address(), &[]);
    let fields = [("content-type", "text/plain"), ("idempotency-key", "one")];
    let mut frames = vec![Frame::window_update(0, 1 << 24)];
    for stream in (1..).step_by(2).take(STREAMS) {
        frames.extend([Frame::post(stream, LINES, &fields), Frame::last_data(stream, body.as_bytes())]);
    }
    http2.send(&frames).unwrap();
    http2
}

/// The bodies of all answers of such a connection.
fn answers(http2: &mut Http2) -> Vec<Vec<u8>> {
    let (mut bodies, mut ended) = (BTreeMap::<u32, Vec<u8>>::new(), 0);
    let is_whole = http2.read_until(PATIENCE, |frame| {
        if frame.kind == kind::DATA {
            bodies.entry(frame.stream).or_default().extend_from_slice(&frame.payload);
        }
        ended += usize::from(frame.ends_stream());
        if ended == STREAMS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(is_whole, "the connection ended after {ended} answers");
    bodies.into_values().collect()
}

/// Publishes elsewhere, each with a key of its own, over one connection. Returns the CPU time of the hub for each, in the slice
/// that took least: whatever else a hub does now and then only adds to it, and what a publish costs it costs in each.
fn work_per_publish(hub: &HubProcess, name: &str, mut between: impl FnMut()) -> Duration {
    let mut connection = RawConnection::connect(hub.address());
    let mut least = Duration::MAX;
    for slice in 0..SLICES {
        let before = hub.cpu_time();
        for n in 0..PUBLISHES / SLICES {
            let request =
                hub.client().request("POST", "/sessions/other/events").header("Connection", "keep-alive");
            let request = request.header("Content-Type", "text/plain");
            let key = format!("{name}-{slice}-{n}");
            connection.send(request.header("Idempotency-Key", key).body("x").bytes());
            connection.read_response("POST").expect(202);
        }
        least = least.min(hub.cpu_time().saturating_sub(before));
        between();
    }
    least / u32::try_from(PUBLISHES / SLICES).unwrap()
}

#[test]
fn thousands_who_wait_for_a_key_over_http2_make_no_other_publish_dearer() {
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--max-queue-size", FILLING)
        .flag("--max-history-per-session", 1000)
        .flag("--send-buffer-bytes", "16KiB")
        .start();
    let published = || hub.stats().number("metrics.eventsPublished") as usize;
    let requests = || hub.stats().live("request") as usize;
    // Before anything else is there: what it costs by itself, once every path was taken.
    work_per_publish(&hub, "warm", || {});
    let alone = work_per_publish(&hub, "alone", || {});
    let elsewhere = published();

    let options = ConnectOptions::small_window();
    let mut reader = SseReader::open_with(hub.address(), STREAM, &[], &options).unwrap();
    let long = |lines| format!("{}\n", "x".repeat(2000)).repeat(lines);
    let proof = begin(&hub, "proof", &long(PROOF));
    // The socket takes only some of it until it is read from.
    eventually!(hub.stats().number("metrics.eventsDelivered") > 0);
    (0..PROOF).for_each(|_| drop(reader.next_event()));
    let elsewhere = elsewhere + PROOF;

    let mut read = 0;
    let mut read_some = |count: usize| {
        for _ in 0..count {
            reader.next_event();
        }
        read += count;
        read
    };
    let first = begin(&hub, "first", &long(FILLING));
    assert_eq!(eventually!(published(), |count| *count > elsewhere), elsewhere + FILLING);

    // One has the turn and waits for room, a few are next, and all others wait behind those.
    let body = "1\n".repeat(BATCH);
    let mut turns: Vec<RawConnection> = Vec::new();
    while turns.len() < TURNS {
        turns.push(begin(&hub, "one", &body));
        // The first one's answer is held back, too.
        eventually!(requests() > turns.len() + 1);
    }
    let mut connections = Vec::new();
    for n in 1..=CONNECTIONS {
        connections.push(ask(&hub, &body));
        eventually!(requests() > turns.len() + n * STREAMS);
        if n % (CONNECTIONS / 4) == 0 {
            turns.remove(0).reset();
            read_some(READ_ON);
        }
    }
    eventually!(requests() > turns.len() + WAITERS);
    assert_eq!(published(), elsewhere + FILLING, "they wait");

    let beside = work_per_publish(&hub, "beside", || {
        turns.remove(0).reset();
        read_some(READ_ON);
    });
    let ratio = beside.as_secs_f64() / alone.as_secs_f64();
    println!("CPU time of a publish: {alone:?} alone, {beside:?} beside {WAITERS} who wait: {ratio:.2}");
    assert!(ratio < RATIO_MAX, "{alone:?} alone, {beside:?} beside {WAITERS} who wait");
    assert!(requests() > turns.len() + WAITERS, "they all still wait: {}", requests());
    assert_eq!(published(), elsewhere + FILLING + PUBLISHES, "only what was published elsewhere");

    // There is room once it has been read, and all are answered: published once.
    let left = FILLING + BATCH - read_some(0);
    read_some(left);
    let mut bodies = BTreeSet::new();
    let mut count = 0;
    for http2 in &mut connections {
        let answers = answers(http2);
        count += answers.len();
        bodies.extend(answers);
    }
    assert_eq!((count, bodies.len()), (WAITERS, 1), "one answer for all");
    let ids = String::from_utf8(bodies.pop_first().unwrap()).unwrap();
    assert_eq!(ids.matches('-').count(), BATCH, "{ids}");
    assert_eq!(published(), elsewhere + FILLING + PUBLISHES + BATCH);
    drop((proof, first, turns));
}
