//! Stopping: every reader is told, and the process is gone within its grace.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::time::Duration;

use watertight_testkit::{
    ConnectOptions, Crowd, End, FaultProxy, HubProcess, Mode, PATIENCE, Program, RawConnection, Seen, Signal,
    Transport, both_transports, eventually, raise_open_files, timed,
};
use watertight_wire::Item;

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

both_transports!(
    five_thousand_streams_are_told_and_those_that_stall_do_not_hold_the_end_up,
    either_signal_ends_every_kind_of_connection_gracefully,
    what_was_published_before_the_signal_is_delivered_before_the_closing_event,
    newcomers_are_refused_while_the_hub_stops,
    a_hub_told_to_stop_is_not_ready_but_serves_on_until_the_delay_is_over,
    a_second_signal_does_not_wait_for_the_delay,
    a_second_signal_does_not_wait_for_the_grace,
);

fn five_thousand_streams_are_told_and_those_that_stall_do_not_hold_the_end_up(over: Transport) {
    const STREAMS: usize = 5000;
    const STALLED: usize = 50;
    const GRACE: Duration = Duration::from_secs(6);
    raise_open_files(STREAMS as u64 + 100);
    let mut hub = HubProcess::builder(WATERTIGHT)
        .over(over)
        .flag("--shutdown-grace", GRACE.as_secs())
        .flag("--send-buffer-bytes", "16KiB")
        .flag("--log-level", "warn")
        .start();
    let stalls = |n: usize| n % (STREAMS / STALLED) == 7;
    let mut crowd = Crowd::open(&hub, STREAMS, |n| {
        let (options, session) = if stalls(n) {
            (ConnectOptions::small_window(), "stalled".to_owned())
        } else {
            (ConnectOptions::default(), format!("s{}", n % 100))
        };
        (options, format!("/sessions/{session}/events"))
    });
    for n in (0..STREAMS).filter(|n| stalls(*n)) {
        crowd.stall(n);
    }
    for _ in 0..30 {
        hub.publish_text("stalled", &"x".repeat(10_000));
    }
    let count = || {
        let (mut count, mut cursor) = (0, String::new());
        loop {
            let page = hub.get(&format!("/connections?limit=1000{cursor}")).expect(200).json();
            let rows = page["connections"].as_array().unwrap().iter();
            count += rows.filter(|row| row["session"] == "stalled" && row["lag"].as_u64() > Some(0)).count();
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return count,
            }
        }
    };
    eventually!(count() > 0);

    hub.signal(Signal::TERM);
    let (status, took) = timed(|| {
        let (mut told, mut ended, mut retries) = (HashSet::new(), 0, HashSet::new());
        crowd.read_until(PATIENCE, |index, seen| {
            match seen {
                Seen::Item(Item::Event { event_type: "error", data, .. }) => {
                    assert!(data.contains("\"code\":\"SHUTTING_DOWN\""), "{index}: {data}");
                    told.insert(index);
                }
                Seen::Item(Item::Retry(ms)) => drop(retries.insert(ms)),
                Seen::Item(_) => {}
                Seen::End(end) => {
                    assert!(end == End::Complete && told.contains(&index), "{index}: {end:?}");
                    ended += 1;
                }
            }
            if ended == STREAMS - STALLED { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(retries.len() > 100, "they come back one after the other: {} different", retries.len());
        hub.wait(PATIENCE)
    });
    assert!(status.success(), "{status}");
    // The write deadline, which would end those that stall, is 30 s.
    assert!(took < GRACE + Duration::from_secs(10), "{took:?} with a grace of {GRACE:?}");
    for n in (0..STREAMS).filter(|n| stalls(*n)) {
        crowd.resume(n);
    }
    let mut cut_off = 0;
    crowd.read_until(PATIENCE, |_, seen| {
        cut_off += usize::from(matches!(seen, Seen::End(_)));
        if cut_off == STALLED { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
}

fn either_signal_ends_every_kind_of_connection_gracefully(over: Transport) {
    for signal in [Signal::TERM, Signal::INT] {
        let mut hub = HubProcess::builder(WATERTIGHT).over(over).flag("--shutdown-grace", 60).start();
        println!("{signal:?}");
        let mut stream = hub.subscribe("demo");
        let mut curl = curl_http2(over, &hub.url("/sessions/demo/events"));
        eventually!(curl.text().contains("\n\n"));
        let mut polling = RawConnection::connect(&hub);
        polling.send_get("/sessions/demo/events?wait=30", &[("Accept", "application/json")]);
        let mut idle = RawConnection::connect(&hub);
        idle.send_get("/health/live", &[]);
        idle.read_response("GET").expect(200);
        let mut silent = RawConnection::connect(&hub);
        eventually!(hub.stats().live("subscription"), |live| *live == 3);

        hub.signal(signal);
        let (status, took) = timed(|| {
            let closing_event = stream.expect_closing_event("SHUTTING_DOWN");
            assert_eq!(closing_event.error, "Server is shutting down");
            assert!(closing_event.retry.is_some());
            polling.read_response("GET").expect_problem(503, "SHUTTING_DOWN");
            curl.finish(PATIENCE);
            idle.expect_closed(PATIENCE);
            silent.expect_closed(PATIENCE);
            hub.wait(PATIENCE)
        });
        assert!(curl.text().contains("\"code\":\"SHUTTING_DOWN\""), "{}", curl.text());
        assert!(status.success(), "{status}");
        assert!(took < Duration::from_secs(10), "nobody stalls, so nobody is waited for: {took:?}");
    }
}

fn what_was_published_before_the_signal_is_delivered_before_the_closing_event(over: Transport) {
    let mut hub = HubProcess::builder(WATERTIGHT).over(over).start();
    let mut streams: Vec<_> = (0..20).map(|_| hub.subscribe("demo")).collect();
    let expected: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    for data in &expected {
        hub.publish_text("demo", data);
    }
    hub.signal(Signal::TERM);
    for stream in &mut streams {
        assert_eq!(stream.next_data(50), expected);
        stream.expect_closing_event("SHUTTING_DOWN");
    }
    assert!(hub.wait(PATIENCE).success());
}

fn newcomers_are_refused_while_the_hub_stops(over: Transport) {
    let mut hub = HubProcess::builder(WATERTIGHT)
        .over(over)
        .flag("--shutdown-grace", 2)
        .flag("--send-buffer-bytes", "16KiB")
        .start();
    // Somebody who stalls keeps it waiting.
    let stalled = stalled_reader(&hub);
    let mut kept = RawConnection::connect(&hub);
    kept.send_get("/health/ready", &[]);
    kept.read_response("GET").expect(200);
    hub.signal(Signal::TERM);
    eventually!(hub.log().contains("stopping"));
    eventually!(RawConnection::connect_with(&hub, &ConnectOptions::default()).is_err());
    assert!(hub.wait(PATIENCE).success());
    drop(stalled);
}

fn a_hub_told_to_stop_is_not_ready_but_serves_on_until_the_delay_is_over(over: Transport) {
    // Longer than all that is done meanwhile.
    const DELAY: Duration = Duration::from_secs(8);
    let mut hub =
        HubProcess::builder(WATERTIGHT).over(over).flag("--shutdown-delay", DELAY.as_secs()).start();
    let mut stream = hub.subscribe("demo");
    let (status, took) = timed(|| {
        hub.signal(Signal::TERM);
        eventually!(hub.get("/health/ready").status == 503);
        hub.get("/health/ready").expect_problem(503, "SHUTTING_DOWN");
        hub.get("/health/live").expect(200);
        hub.publish_text("demo", "meanwhile");
        assert_eq!(stream.next_event().data, "meanwhile");
        let mut newcomer = hub.subscribe_with("demo", "replay=all", &[]);
        assert_eq!(newcomer.next_event().data, "meanwhile", "whom a balancer still sends is served");
        stream.expect_closing_event("SHUTTING_DOWN");
        newcomer.expect_closing_event("SHUTTING_DOWN");
        hub.wait(PATIENCE)
    });
    assert!(status.success(), "{status}");
    assert!(took >= DELAY - Duration::from_millis(100), "{took:?}");
}

fn a_second_signal_does_not_wait_for_the_delay(over: Transport) {
    let mut hub = HubProcess::builder(WATERTIGHT).over(over).flag("--shutdown-delay", 60).start();
    hub.signal(Signal::INT);
    eventually!(hub.get("/health/ready").status == 503);
    hub.signal(Signal::INT);
    let (status, took) = timed(|| hub.wait(PATIENCE));
    assert!(status.success() && took < Duration::from_secs(10), "{status} after {took:?}");
}

fn a_second_signal_does_not_wait_for_the_grace(over: Transport) {
    let mut hub = HubProcess::builder(WATERTIGHT)
        .over(over)
        .flag("--shutdown-grace", 30)
        .flag("--write-deadline", 60)
        .flag("--send-buffer-bytes", "16KiB")
        .start();
    let proxy = FaultProxy::start(hub.address());
    // A body over HTTP/2 that nobody reads: nothing but the grace would end it.
    let stalled = stalled_reader(&hub);
    let curl = curl_http2(over, &hub.url_at(proxy.address(), "/sessions/demo/events"));
    eventually!(curl.text().contains("\n\n"));
    proxy.set(Mode::Stall);
    hub.publish_text("demo", &"x".repeat(100_000));
    hub.signal(Signal::TERM);
    eventually!(hub.log().contains("stopping"));
    hub.signal(Signal::TERM);
    let (_, took) = timed(|| hub.wait(PATIENCE));
    assert!(took < Duration::from_secs(10), "{took:?}");
    drop((stalled, curl));
}

/// Reads a stream over HTTP/2.
fn curl_http2(over: Transport, url: &str) -> Program {
    let flags = match over {
        Transport::Plain => ["-sN", "--http2-prior-knowledge"],
        Transport::Tls => ["-skN", "--http2"],
    };
    Program::start("curl", flags.into_iter().chain([url]))
}

/// A reader that takes nothing, and of whom the hub knows it.
fn stalled_reader(hub: &HubProcess) -> RawConnection {
    let mut connection = RawConnection::connect_with(hub, &ConnectOptions::small_window()).unwrap();
    connection.send_get("/sessions/stalled/events", &[]);
    connection.read_until("\r\n\r\n", PATIENCE);
    let data = "x".repeat(10_000);
    eventually!({
        hub.publish_text("stalled", &data);
        hub.get("/connections").expect(200).json()["connections"][0]["lag"].as_u64() > Some(5)
    });
    connection
}
