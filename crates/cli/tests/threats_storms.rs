//! Rows 31, 37 and 38: clocks that jump, publishers flat out, and everybody leaving at once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use watertight_testkit::http2::{Frame, kind};
use watertight_testkit::{
    ConnectOptions, Crowd, End, Http2, HubProcess, PATIENCE, Pipeline, Seen, Signal, eventually,
    raise_open_files, timed,
};
use watertight_wire::Item;

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

fn sequence(id: &str) -> u64 {
    id.rsplit_once('-').unwrap().1.parse().unwrap()
}

/// Publishes to a session of its own, one event at a time, until told to stop; says how long each took from the
/// request to its arrival.
fn quiet_neighbour(hub: &HubProcess, go_on: &AtomicBool) -> Vec<Duration> {
    let (mut stream, mut pipeline) = (hub.subscribe("quiet"), Pipeline::connect(hub.address()));
    let mut times = Vec::new();
    while go_on.load(Ordering::SeqCst) {
        let text = times.len().to_string();
        let ((), took) = timed(|| {
            assert_eq!(pipeline.publish([("quiet".to_owned(), text.clone())]), [202]);
            assert_eq!(stream.next_event().data, text);
        });
        times.push(took);
        stream.expect_silence(Duration::from_millis(5));
    }
    times
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// Runs a storm beside a quiet neighbour, who must hardly notice, and then looks whether the hub rests.
fn storm(hub: &HubProcess, storm: impl FnOnce()) {
    let go_on = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let stop = Stop(&go_on);
        let quiet = scope.spawn(|| quiet_neighbour(hub, &go_on));
        let ((), took) = timed(storm);
        drop(stop);
        let mut times = quiet.join().unwrap();
        times.sort_unstable();
        assert!(times.len() > 5, "{} quiet events in {took:?}", times.len());
        let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
        let quiet = format!("{} quiet events took {median:?}, the slowest {worst:?}", times.len());
        println!("the storm took {took:?}; {quiet}");
        // A machine that stands still for a moment is met by one of them.
        assert!(median < Duration::from_secs(2) && worst < Duration::from_secs(10), "{quiet}");
    });
    let mut stream = hub.subscribe("afterwards");
    let cpu = hub.cpu_time();
    stream.expect_silence(Duration::from_millis(500));
    let used = hub.cpu_time() - cpu;
    assert!(used < Duration::from_millis(150), "{used:?} of CPU in half a second of rest");
}

#[test]
fn threat_37_a_storm_on_one_session_reaches_its_readers_whole_and_passes_by_the_others() {
    const PUBLISHERS: usize = 2;
    const EVENTS: usize = 15_000;
    const READERS: usize = 20;
    let hub = HubProcess::start(WATERTIGHT);
    let mut crowd = Crowd::open(hub.address(), READERS, |_| {
        (ConnectOptions::default(), "/sessions/storm/events".to_owned())
    });
    storm(&hub, || {
        std::thread::scope(|scope| {
            for publisher in 0..PUBLISHERS {
                let hub = &hub;
                scope.spawn(move || {
                    let events = (0..EVENTS).map(|n| ("storm".to_owned(), format!("{publisher} {n}")));
                    let statuses = Pipeline::connect(hub.address()).publish(events);
                    assert!(statuses.iter().all(|status| *status == 202));
                });
            }
            let mut seen = [(0u64, [0usize; PUBLISHERS]); READERS];
            let mut missing = READERS;
            crowd.read_until(Duration::from_secs(60), |index, what| {
                let Seen::Item(Item::Event { id, event_type, data }) = what else {
                    assert!(!matches!(what, Seen::End(_)), "reader {index}: {what:?}");
                    return ControlFlow::Continue(());
                };
                // No gap, nothing twice, and each publisher's events in its order.
                let (last, of) = &mut seen[index];
                assert_eq!((event_type, sequence(id)), ("message", *last + 1), "reader {index}: {data}");
                *last += 1;
                let (publisher, n) = data.split_once(' ').unwrap();
                let next = &mut of[publisher.parse::<usize>().unwrap()];
                assert_eq!(n, next.to_string(), "reader {index}");
                *next += 1;
                missing -= usize::from(*last == (PUBLISHERS * EVENTS) as u64);
                if missing == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
        });
    });
    assert_eq!(hub.stats().number("metrics.gaps"), 0);
}

#[test]
fn threat_37_a_storm_of_large_events_is_slowed_before_readers_fall_off_the_bytes() {
    // The history's bytes hold 130 of these events, far fewer than a live subscriber may lag by.
    const EVENTS: usize = 600;
    const READERS: usize = 10;
    let hub = HubProcess::start(WATERTIGHT);
    let mut crowd = Crowd::open(hub.address(), READERS, |_| {
        (ConnectOptions::default(), "/sessions/storm/events".to_owned())
    });
    std::thread::scope(|scope| {
        let hub = &hub;
        scope.spawn(move || {
            let data = "x".repeat(64_000);
            // Half of them in arrays, each of them half as large as the history.
            for batch in 0..5 {
                let events = (batch * 60..(batch + 1) * 60).map(|n| json!({ "data": format!("{n} {data}") }));
                hub.publish_json("storm", &events.collect());
            }
            let events = (300..EVENTS).map(|n| ("storm".to_owned(), format!("{n} {data}")));
            let statuses = Pipeline::connect(hub.address()).publish(events);
            assert!(statuses.iter().all(|status| *status == 202));
        });
        let mut seen = [0; READERS];
        let mut missing = READERS;
        crowd.read_until(Duration::from_secs(60), |index, what| {
            if let Seen::Item(Item::Event { event_type, data, .. }) = what {
                let (n, _) = data.split_once(' ').unwrap_or((data, ""));
                let n = n.trim_start_matches('"');
                assert_eq!((event_type, n), ("message", &*seen[index].to_string()), "reader {index}");
                seen[index] += 1;
                missing -= usize::from(seen[index] == EVENTS);
            }
            if missing == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    });
    assert_eq!(hub.stats().number("metrics.gaps"), 0);
}

#[test]
fn threat_37_a_storm_over_ten_thousand_sessions_is_fair_to_all_of_them() {
    const SESSIONS: usize = 10_000;
    const ROUNDS: usize = 3;
    const READERS: usize = 200;
    let hub = HubProcess::start(WATERTIGHT);
    let name = |n: usize| format!("s{n}");
    // A reader on every fiftieth session.
    let path = |index: usize| format!("/sessions/{}/events", name(index * (SESSIONS / READERS)));
    let mut crowd = Crowd::open(hub.address(), READERS, |index| (ConnectOptions::default(), path(index)));
    storm(&hub, || {
        std::thread::scope(|scope| {
            for half in 0..2 {
                let hub = &hub;
                scope.spawn(move || {
                    let all = (0..ROUNDS).flat_map(|round| (0..SESSIONS).map(move |n| (n, round)));
                    let mine =
                        all.filter(|(n, _)| n % 2 == half).map(|(n, round)| (name(n), round.to_string()));
                    let statuses = Pipeline::connect(hub.address()).publish(mine);
                    assert!(statuses.iter().all(|status| *status == 202));
                });
            }
            let mut seen = [0; READERS];
            let mut missing = READERS;
            crowd.read_until(Duration::from_secs(60), |index, what| {
                if let Seen::Item(Item::Event { data, .. }) = what {
                    assert_eq!(data, seen[index].to_string(), "reader {index}");
                    seen[index] += 1;
                    missing -= usize::from(seen[index] == ROUNDS);
                }
                if missing == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
        });
    });
    let stats = hub.stats();
    assert_eq!(
        stats.number("totalEvents"),
        (SESSIONS * ROUNDS) as u64 + hub.get("/sessions/quiet").json()["events"].as_u64().unwrap()
    );
    assert_eq!(stats.number("metrics.gaps"), 0);
}

#[test]
fn threat_38_two_thousand_streams_are_told_to_come_back_at_different_times_and_the_end_is_in_time() {
    const STREAMS: usize = 2000;
    const STALLED: usize = 40;
    const GRACE: Duration = Duration::from_secs(6);
    raise_open_files(STREAMS as u64 + 200);
    let mut hub = HubProcess::builder(WATERTIGHT)
        .flag("--shutdown-grace", GRACE.as_secs())
        .flag("--send-buffer-bytes", "16KiB")
        .flag("--log-level", "warn")
        .start();
    let mut crowd = Crowd::open(hub.address(), STREAMS, |n| match n < STALLED {
        true => (ConnectOptions::small_window(), "/sessions/stalled/events".to_owned()),
        false => (ConnectOptions::default(), format!("/sessions/s{}/events", n % 50)),
    });
    (0..STALLED).for_each(|index| crowd.stall(index));
    let big = "x".repeat(10_000);
    let full = Pipeline::connect(hub.address()).publish((0..20).map(|_| ("stalled".to_owned(), big.clone())));
    assert!(full.iter().all(|status| *status == 202));
    let mut http2 = Http2::connect(hub.address(), &[]);
    http2.send(&(0..20).map(|n| Frame::get(2 * n + 1, "/sessions/s1/events")).collect::<Vec<_>>()).unwrap();
    eventually!(hub.stats().live("subscription"), |live| *live == STREAMS as u64 + 20);

    hub.signal(Signal::TERM);
    let since = Instant::now();
    let (mut told, mut retries, mut ended) = (HashSet::new(), Vec::new(), 0);
    crowd.read_until(PATIENCE, |index, seen| {
        match seen {
            Seen::Item(Item::Event { event_type, data, .. }) => {
                assert_eq!(event_type, "error", "{index}: {data}");
                assert!(data.contains("\"SHUTTING_DOWN\"") && told.insert(index), "{index}: {data}");
            }
            Seen::Item(Item::Retry(ms)) => retries.push(ms),
            Seen::Item(Item::Comment(_)) => {}
            Seen::End(end) => {
                assert!(end == End::Complete && told.contains(&index), "{index}: {end:?}");
                ended += 1;
            }
        }
        if ended == STREAMS - STALLED { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    // All were told when to come back, and hardly two the same.
    assert_eq!(retries.len(), STREAMS - STALLED);
    assert!(retries.iter().all(|ms| (1000..=3000).contains(ms)), "{retries:?}");
    let different: HashSet<u64> = retries.iter().copied().collect();
    assert!(different.len() > 500, "only {} different times", different.len());
    let mean = retries.iter().sum::<u64>() / retries.len() as u64;
    assert!((1800..=2200).contains(&mean), "they come back after {mean} ms on average");

    let mut bytes = 0;
    http2.read_until(PATIENCE, |frame| {
        if frame.kind == kind::DATA {
            bytes += String::from_utf8_lossy(&frame.payload).matches("SHUTTING_DOWN").count();
        }
        ControlFlow::Continue(())
    });
    assert_eq!(bytes, 20, "streams of HTTP/2 are told too");
    let status = hub.wait(PATIENCE);
    let took = since.elapsed();
    // The write deadline, which would end those that stall, is 30 s.
    assert!(status.success() && took < GRACE + Duration::from_secs(10), "{status} after {took:?}");
}

#[test]
fn threat_31_a_hub_that_was_suspended_goes_on_as_if_nothing_had_been() {
    const READERS: usize = 100;
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--heartbeat-interval", "100ms")
        .flag("--write-deadline", "500ms")
        .flag("--half-open-timeout", "500ms")
        .flag("--max-subscriber-idle-time", "1s")
        .flag("--session-ttl", "1s")
        .flag("--cleanup-interval", "100ms")
        .start();
    let mut crowd = Crowd::open(hub.address(), READERS, |n| {
        (ConnectOptions::default(), format!("/sessions/s{}/events", n % 10))
    });
    let mut one = hub.subscribe("s0");
    let start = one.last_event_id().to_owned();
    hub.publish_json("s0", &json!({ "data": 1, "ttl": 0.5 }));
    assert_eq!(one.next_event().data, "1");
    let mut http2 = Http2::connect(hub.address(), &[]);
    http2.send(&[Frame::get(1, "/sessions/s0/events")]).unwrap();
    // All that ever were: nobody answers the pings of the one over HTTP/2, so that it does not last.
    let opened = || hub.stats().ledger().counts("subscription").opened;
    eventually!(opened(), |opened| *opened == READERS as u64 + 2);

    // Every deadline passes while nothing runs: a machine that sleeps, a container that is frozen.
    hub.signal(Signal::STOP);
    eventually!(one.try_next(Duration::from_millis(500)).is_none());
    one.expect_silence(Duration::from_secs(2));
    hub.signal(Signal::CONT);
    for n in 0..10 {
        hub.publish_text(&format!("s{n}"), "awake");
    }
    let mut missing = READERS;
    crowd.read_until(PATIENCE, |index, what| {
        match what {
            Seen::End(end) => panic!("reader {index} was ended: {end:?}"),
            Seen::Item(Item::Event { data, .. }) => missing -= usize::from(data == "awake"),
            Seen::Item(_) => {}
        }
        if missing == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(one.next_event().data, "awake");
    let stats = hub.stats();
    assert_eq!(stats.number("metrics.slowConsumers"), 0);
    assert_eq!(stats.live("session"), 10, "sessions with subscribers stay");
    // What expired meanwhile did expire.
    assert_eq!(hub.resume("s0", &start).expect_gap().reason, "expired");
}
