//! Thousands at once: what an idle subscriber costs, and what a reader that stalls costs the others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use watertight_testkit::{
    ConnectOptions, Crowd, End, HubProcess, PATIENCE, RawConnection, Seen, eventually, raise_open_files,
};
use watertight_wire::Item;

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

const MIB: u64 = 1024 * 1024;

#[test]
fn ten_thousand_idle_subscribers_in_sessions_of_their_own_cost_1500_bytes_each_and_give_all_back() {
    const SUBSCRIBERS: usize = 10_000;
    raise_open_files(SUBSCRIBERS as u64 + 100);
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--session-ttl", "1")
        .flag("--cleanup-interval", "0.2")
        .flag("--log-level", "warn")
        .start();
    let own_session = |n: usize| (ConnectOptions::default(), format!("/sessions/session-{n}/events"));
    // Once in small, so that what is allocated once and for all is there already.
    drop(Crowd::open(hub.address(), 200, own_session));
    eventually!(hub.stats().live("session") == 0);
    let before = hub.process().anon();

    let mut crowd = Crowd::open(hub.address(), SUBSCRIBERS, own_session);
    let stats = hub.stats();
    assert_eq!(stats.live("subscription"), SUBSCRIBERS as u64);
    assert_eq!(stats.live("session"), SUBSCRIBERS as u64);
    eventually!(hub.sockets(), |sockets| *sockets == SUBSCRIBERS);
    // The allocator gives what opening took back in its own time.
    let each = || hub.process().anon().saturating_sub(before) / SUBSCRIBERS as u64;
    let each = eventually!(each(), |bytes| *bytes <= 1500);
    println!("{each} bytes of the process each");

    // They are all alive.
    for n in [0, 1, 4999, 9999] {
        hub.publish_text(&format!("session-{n}"), "hello");
        crowd.read_until(PATIENCE, |index, seen| match seen {
            Seen::Item(Item::Event { data: "hello", .. }) if index == n => ControlFlow::Break(()),
            Seen::Item(_) => ControlFlow::Continue(()),
            Seen::End(end) => panic!("{index} ended: {end:?}"),
        });
    }
    drop(crowd);
    eventually!(hub.stats().live("session") == 0);
    assert_eq!(hub.stats().kept_bytes(), 0);
    eventually!(hub.process().anon(), |anon| *anon < before + 2 * MIB, Duration::from_secs(40));
}

#[test]
fn of_a_thousand_subscribers_two_hundred_never_read_and_the_others_get_everything() {
    const READERS: usize = 800;
    const STALLED: usize = 200;
    const EVENTS: usize = 300;
    raise_open_files(2000);
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--write-deadline", "2")
        .flag("--heartbeat-interval", "0.5")
        .flag("--send-buffer-bytes", "32KiB")
        .flag("--log-level", "warn")
        .start();
    let before = hub.rss();
    // Every fifth stalls, so that they stand between the others.
    let stalls = |n: usize| n % 5 == 4;
    let mut crowd = Crowd::open(hub.address(), READERS + STALLED, |n| {
        let options = if stalls(n) { ConnectOptions::small_window() } else { ConnectOptions::default() };
        (options, "/sessions/demo/events".to_owned())
    });
    for n in (0..crowd.len()).filter(|n| stalls(*n)) {
        crowd.stall(n);
    }
    let (done, most_bytes, most_rss) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| publish(&hub, EVENTS));
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                most_bytes.fetch_max(hub.stats().used_bytes(), Ordering::SeqCst);
                most_rss.fetch_max(hub.rss(), Ordering::SeqCst);
                std::thread::yield_now();
            }
        });
        let (mut next, mut complete) = (vec![0; READERS + STALLED], 0);
        crowd.read_until(Duration::from_secs(90), |index, seen| match seen {
            Seen::Item(Item::Event { event_type, data, .. }) => {
                assert_eq!(event_type, "message", "{index}: {data:.100}");
                let number = data.trim_start_matches('"').split(' ').next().unwrap();
                assert_eq!(number, next[index].to_string(), "{index} sees every event once, in order");
                next[index] += 1;
                complete += usize::from(next[index] == EVENTS);
                if complete == READERS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }
            Seen::Item(_) => ControlFlow::Continue(()),
            Seen::End(end) => panic!("{index} was ended: {end:?}"),
        });
        let stats = eventually!(hub.stats(), |stats| stats.live("subscription") == READERS as u64);
        done.store(true, Ordering::SeqCst);
        assert_eq!(stats.number("metrics.slowConsumers"), STALLED as u64, "by the write deadline");
        assert_eq!(stats.number("metrics.gaps"), 0);
        assert_eq!(stats.json()["budget"]["level"], "normal");
    });
    // Who stalled finds its stream broken off, without everything.
    for n in (0..crowd.len()).filter(|n| stalls(*n)) {
        crowd.resume(n);
    }
    let mut ended = 0;
    crowd.read_until(PATIENCE, |index, seen| {
        if let Seen::End(end) = seen {
            assert!(stalls(index) && end != End::Complete, "{index}: {end:?}");
            ended += 1;
        }
        if ended == STALLED { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let (bytes, rss) = (most_bytes.into_inner(), most_rss.into_inner());
    println!("at most {bytes} bytes charged, {} MiB resident above the start", (rss - before) / MIB);
    assert!(bytes < 8 * MIB + MIB, "one session's history, and the subscribers: {bytes}");
    assert!(rss < before + 64 * MIB, "{} MiB", (rss - before) / MIB);
}

/// Events of 4 KB over one connection, ten at a time.
fn publish(hub: &HubProcess, events: usize) {
    let filler = "x".repeat(4000);
    let mut connection = RawConnection::connect(hub.address());
    for first in (0..events).step_by(10) {
        let batch: Vec<_> = (first..first + 10).map(|n| json!({"data": format!("{n} {filler}")})).collect();
        let request = hub.client().request("POST", "/sessions/demo/events");
        let request = request.header("Content-Type", "application/json").header("Connection", "keep-alive");
        connection.send(request.body(json!(batch).to_string()).bytes());
        connection.read_response("POST").expect(202);
    }
}

#[test]
fn a_crowd_that_comes_back_at_once_replays_in_bounded_memory() {
    const RETURNERS: usize = 1000;
    raise_open_files(2000);
    let hub = HubProcess::builder(WATERTIGHT).flag("--log-level", "warn").start();
    let opening = hub.subscribe("demo").last_event_id().to_owned();
    publish(&hub, 100);
    let before = hub.rss();
    let path = format!("/sessions/demo/events?last_event_id={opening}");
    let mut crowd = Crowd::connect(hub.address(), RETURNERS, |_| (ConnectOptions::default(), path.clone()));
    let (mut seen_by, mut complete) = (vec![0; RETURNERS], 0);
    crowd.read_until(Duration::from_secs(60), |index, seen| {
        if let Seen::Item(Item::Event { event_type, .. }) = seen {
            assert_eq!(event_type, "message");
            seen_by[index] += 1;
            complete += usize::from(seen_by[index] == 100);
        }
        if complete == RETURNERS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let grown = hub.rss().saturating_sub(before);
    assert!(grown < 32 * MIB, "{} MiB for a thousand that replay 400 KB each", grown / MIB);
}
