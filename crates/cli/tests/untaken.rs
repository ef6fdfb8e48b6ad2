//! Answers that nobody takes: bounded and charged while they wait, reset when the write deadline is over.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use serde_json::json;
use watertight_testkit::http2::{Frame, INITIAL_WINDOW_SIZE, kind};
use watertight_testkit::{
    ConnectOptions, Http2, HubBuilder, HubProcess, PATIENCE, RawConnection, eventually, timed,
};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

const MIB: u64 = 1 << 20;
const CRITICAL: u64 = 40 * MIB;

/// Answers to this poll are 6 MiB of JSON: each byte of data becomes six.
const POLL: &str = "/sessions/demo/events?replay=all";

fn hub() -> HubBuilder {
    patient().flag("--write-deadline", "2s").flag("--heartbeat-interval", "500ms")
}

fn patient() -> HubBuilder {
    HubProcess::builder(WATERTIGHT)
        .flag("--memory-warning-threshold-mb", 30)
        .flag("--memory-critical-threshold-mb", 40)
}

fn publish_what_grows(hub: &HubProcess) {
    for _ in 0..4 {
        hub.publish_text("demo", &"\u{1}".repeat(256 * 1024));
    }
}

fn poll(stream: u32) -> Frame {
    Frame::get_with(stream, POLL, &[("accept", "application/json")])
}

/// The largest the hub was while `until` did not hold.
fn peak(hub: &HubProcess, mut until: impl FnMut() -> bool) -> u64 {
    let mut peak = 0;
    eventually!({
        peak = peak.max(hub.process().anon());
        until()
    });
    peak
}

#[test]
fn two_hundred_polls_without_a_window_stay_within_the_budget_and_are_reset_at_the_deadline() {
    let hub = hub().start();
    publish_what_grows(&hub);
    std::thread::scope(|scope| {
        let hub = &hub;
        let attacks: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(move || {
                    let mut connection = Http2::connect(hub.address(), &[(INITIAL_WINDOW_SIZE, 0)]);
                    connection.send(&(0..100).map(|n| poll(2 * n + 1)).collect::<Vec<_>>()).unwrap();
                    let (mut begun, mut waits) = (HashMap::new(), Vec::new());
                    let is_open = connection.read_until(PATIENCE, |frame| {
                        match frame.kind {
                            // Two hundred answers of such a size take their time.
                            kind::HEADERS => drop(begun.insert(frame.stream, Instant::now())),
                            kind::DATA => assert!(frame.payload.is_empty(), "no window"),
                            kind::RST_STREAM => waits.push(begun[&frame.stream].elapsed()),
                            _ => {}
                        }
                        if waits.len() == 100 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                    });
                    assert!(is_open, "the connection ended after {} resets", waits.len());
                    // The others on it go on: this one gets a window, and its whole answer.
                    connection
                        .send(&[Frame::get(201, "/health/live"), Frame::window_update(201, 1000)])
                        .unwrap();
                    let mut body = Vec::new();
                    assert!(connection.read_until(PATIENCE, |frame| {
                        body.extend_from_slice(if frame.kind == kind::DATA { &frame.payload } else { b"" });
                        let is_end = frame.stream == 201 && frame.ends_stream();
                        if is_end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                    }));
                    assert_eq!(body, br#"{"status":"live"}"#);
                    waits.into_iter().max().unwrap()
                })
            })
            .collect();
        let peak = peak(hub, || attacks.iter().all(|attack| attack.is_finished()));
        for attack in attacks {
            let waited = attack.join().unwrap();
            assert!(waited < Duration::from_secs(12), "reset {waited:?} after its head");
        }
        println!("200 polls of 6 MiB without a window: at most {} MiB", peak / MIB);
        assert!(peak < CRITICAL * 5 / 4, "{peak} bytes");
    });
    eventually!(hub.stats().live("request") == 1);
}

#[test]
fn three_hundred_polls_that_nobody_reads_stay_within_the_budget_and_end_at_the_deadline() {
    let hub = hub().flag("--half-open-timeout", "20s").start();
    publish_what_grows(&hub);
    let small = ConnectOptions::small_window();
    let mut unread: Vec<_> = (0..300)
        .map(|_| {
            let mut connection = RawConnection::connect_with(hub.address(), &small).unwrap();
            connection.send_get(POLL, &[("Accept", "application/json")]);
            connection
        })
        .collect();
    let peak = peak(&hub, || hub.process().sockets(hub.address()) == 0);
    println!("300 unread polls of 6 MiB: at most {} MiB", peak / MIB);
    assert!(peak < CRITICAL * 5 / 4, "{peak} bytes");
    for connection in &mut unread {
        // What was in the kernel, then a reset or an end.
        while connection.read_some(Instant::now() + PATIENCE).is_ok_and(|bytes| !bytes.is_empty()) {}
    }
    eventually!(hub.stats().live("request") == 1);
}

#[test]
fn an_answer_is_charged_until_its_last_byte_is_taken() {
    let hub = patient().flag("--write-deadline", "10m").flag("--half-open-timeout", "10m").start();
    publish_what_grows(&hub);
    let asking = hub.asking_bytes();
    let mut connection = RawConnection::connect_with(hub.address(), &ConnectOptions::small_window()).unwrap();
    connection.send_get(POLL, &[("Accept", "application/json")]);
    let held = eventually!(hub.stats().request_bytes() - asking, |bytes| *bytes > 32 * 1024);
    assert!(held < 96 * 1024, "an answer of 6 MiB is charged with {held} bytes, which is more than it holds");
    let answer = connection.read_response("GET").expect(200);
    let length: usize = answer.header("content-length").unwrap().parse().unwrap();
    assert!(length == answer.body.len() && length > 4 * 6 * 256 * 1024, "{length} bytes");
    let events = answer.json()["events"].as_array().unwrap().len();
    assert_eq!(events, 4);
    drop(connection);
    eventually!(hub.stats().request_bytes() == asking);
}

#[test]
fn an_answer_for_which_there_is_no_room_is_refused_before_it_begins() {
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--memory-warning-threshold-mb", 7)
        .flag("--memory-critical-threshold-mb", 12)
        .flag("--max-body-bytes", "1MiB")
        .flag("--write-deadline", "5s")
        .flag("--heartbeat-interval", "1s")
        .start();
    hub.publish_text("demo", &"\u{1}".repeat(100 * 1024));
    let (mut refused, mut given) = (0, 0);
    let mut connections = Vec::new();
    for _ in 0..6 {
        let mut connection = Http2::connect(hub.address(), &[(INITIAL_WINDOW_SIZE, 0)]);
        connection.send(&(0..100).map(|n| poll(2 * n + 1)).collect::<Vec<_>>()).unwrap();
        let mut heads = 0;
        connection.read_until(PATIENCE, |frame| {
            if frame.kind == kind::HEADERS {
                heads += 1;
                // The status is the first field: indexed 200, or another.
                if frame.payload[0] == 0x88 { given += 1 } else { refused += 1 }
            }
            if heads == 100 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        connections.push(connection);
    }
    println!("{given} answers were given, {refused} refused");
    assert!(given > 20 && refused > 100, "{given} answers were given, {refused} refused");
    assert!(hub.process().anon() < 12 * MIB * 5 / 4 + 8 * MIB, "{}", hub.process().anon());
    drop(connections);
    eventually!(hub.stats().live("request") == 1);
}

#[test]
fn a_stream_that_is_not_taken_is_reset_and_the_others_on_its_connection_go_on() {
    let hub = hub().start();
    let mut connection = Http2::connect(hub.address(), &[(INITIAL_WINDOW_SIZE, 0)]);
    let stream = "/sessions/demo/events";
    connection
        .send(&[Frame::get(1, stream), Frame::get(3, stream), Frame::window_update(3, 1 << 20)])
        .unwrap();
    // That ever were: one of them does not last.
    eventually!(hub.stats().ledger().counts("subscription").opened == 2);
    let id = hub.publish_json("demo", &json!({"type": "tick", "data": 1})).remove(0);
    let (mut body, mut reset) = (String::new(), Vec::new());
    connection.read_until(PATIENCE, |frame| {
        match frame.kind {
            kind::DATA => body.push_str(&String::from_utf8_lossy(&frame.payload)),
            kind::RST_STREAM => reset.push(frame.stream),
            _ => {}
        }
        // In either order: how soon the event is published depends on the machine.
        let both = !reset.is_empty() && body.contains(&id);
        if both { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(reset, [1]);
    assert!(body.contains(&id), "{body}");
    hub.publish_text("demo", "after the reset");
    assert!(connection.read_until(PATIENCE, |frame| {
        let text = String::from_utf8_lossy(&frame.payload);
        assert!(frame.kind != kind::RST_STREAM, "stream {} is reset", frame.stream);
        if text.contains("after the reset") { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }));
    let stats = hub.stats();
    assert_eq!((stats.number("metrics.slowConsumers"), stats.live("subscription")), (1, 1));
}

#[test]
fn an_answer_of_other_calls_that_nobody_takes_is_reset_too() {
    let hub = hub().start();
    for n in 0..300 {
        hub.publish_text(&format!("session-{n}"), "x");
    }
    let mut connection = Http2::connect(hub.address(), &[(INITIAL_WINDOW_SIZE, 10)]);
    connection.send(&[Frame::get(1, "/sessions?limit=1000"), Frame::get(3, "/nowhere")]).unwrap();
    let mut reset = Vec::new();
    let (_, took) = timed(|| {
        connection.read_until(PATIENCE, |frame| {
            reset.extend((frame.kind == kind::RST_STREAM).then_some(frame.stream));
            if reset.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    });
    assert!(took < Duration::from_secs(8), "{took:?}");
    eventually!(hub.stats().live("request") == 1);
}

#[test]
fn heads_of_waiting_polls_are_let_go_and_what_stays_is_charged() {
    const POLLS: u64 = 20 * 100;
    let hub = HubProcess::start(WATERTIGHT);
    let asking = hub.asking_bytes();
    let before = hub.process().anon();
    // 15 KB each as HTTP/2 counts them.
    let big = "v".repeat(300);
    let names: Vec<String> = (0..40).map(|n| format!("x-{n}")).collect();
    let mut headers = vec![("accept", "application/json")];
    headers.extend(names.iter().map(|name| (name.as_str(), big.as_str())));
    let connections: Vec<_> = (0..POLLS / 100)
        .map(|last| {
            let options = ConnectOptions::from_address([0, 9, u8::try_from(last).unwrap()]);
            let mut connection = Http2::connect_with(hub.address(), &[], &options);
            for n in 0..100 {
                let poll = Frame::get_with(2 * n + 1, "/sessions/demo/events?wait=60", &headers);
                connection.send(&[poll]).unwrap();
            }
            connection
        })
        .collect();
    eventually!(hub.stats().live("subscription"), |live| *live == POLLS);
    let charged = hub.stats().used_bytes() - asking;
    let held = hub.process().anon().saturating_sub(before);
    println!("{POLLS} polls with large heads: {charged} bytes charged, {held} held");
    assert!(charged / POLLS > 6_000, "{charged} bytes are charged for {POLLS} polls");
    assert!(charged / POLLS < 12_000, "{charged} bytes are charged for {POLLS} polls: their heads are held");
    drop(connections);
    eventually!(hub.stats().request_bytes() == asking);
}
