//! Row 12: HTTP/2 frames that cost the sender little and a careless server much. Either the connection is
//! closed with `GOAWAY`, or what it costs is bounded; in any case everybody else is served.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use watertight_testkit::http2::{Frame, INITIAL_WINDOW_SIZE, kind};
use watertight_testkit::{ConnectOptions, Http2, HubBuilder, HubProcess, PATIENCE, eventually, timed};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

const STREAM: &str = "/sessions/demo/events";

/// `GOAWAY` codes (RFC 9113, section 7).
const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;
const COMPRESSION_ERROR: u32 = 9;
const ENHANCE_YOUR_CALM: u32 = 11;

/// A publish beside a flood. A flood that keeps others waiting does so until the kit's patience with it ends.
const NOT_KEPT_WAITING: Duration = Duration::from_secs(10);

fn hub() -> HubBuilder {
    patient("1s").flag("--half-open-timeout", "2s")
}

/// A hub that has patience (15 s) with a peer that answers its pings, if late.
fn patient(write_deadline: &str) -> HubBuilder {
    HubProcess::builder(WATERTIGHT)
        .flag("--write-deadline", write_deadline)
        .flag("--heartbeat-interval", "500ms")
        .flag("--body-timeout", "2s")
}

/// What a flood cost the hub.
#[derive(Debug)]
struct Cost {
    cpu: Duration,
    bytes: u64,
}

/// Runs a flood while somebody else publishes and reads, and says what it cost.
fn flood(hub: &HubProcess, attack: impl FnOnce(&mut Http2) + Send) -> Cost {
    let mut stream = hub.subscribe("good");
    let (cpu, before) = (hub.cpu_time(), hub.process().anon());
    let mut peak = before;
    std::thread::scope(|scope| {
        let attacking = scope.spawn(|| attack(&mut Http2::connect(hub.address(), &[])));
        let mut probes = 0;
        while !attacking.is_finished() || probes == 0 {
            let text = probes.to_string();
            let ((), took) = timed(|| {
                hub.publish_text("good", &text);
                assert_eq!(stream.next_event().data, text);
            });
            assert!(took < NOT_KEPT_WAITING, "a publish took {took:?} during the flood");
            probes += 1;
            peak = peak.max(hub.process().anon());
        }
        attacking.join().unwrap();
    });
    drop(stream);
    eventually!(hub.stats().live("connection"), |live| *live == 1);
    let cost =
        Cost { cpu: hub.cpu_time() - cpu, bytes: peak.max(hub.process().anon()).saturating_sub(before) };
    println!("the flood cost {cost:?}");
    assert!(cost.bytes < 16 << 20, "a flood made the hub grow: {cost:?}");
    cost
}

/// Sends the same frames again and again until the peer has had enough of it, at most so many times.
fn repeat(connection: &mut Http2, times: usize, frames: impl Fn(u32) -> Vec<Frame>) -> io::Result<()> {
    (0..times).try_for_each(|turn| connection.send(&frames(u32::try_from(turn).unwrap())))
}

#[test]
fn threat_12_streams_that_are_reset_at_once_end_the_connection() {
    // CVE-2023-44487.
    let hub = hub().start();
    flood(&hub, |connection| {
        let reset = |n: u32| [Frame::get(2 * n + 1, STREAM), Frame::cancel(2 * n + 1)];
        let _ = connection.send(&(0..2000).flat_map(reset).collect::<Vec<_>>());
        assert_eq!(connection.read_to_end(PATIENCE), Some(ENHANCE_YOUR_CALM));
    });
}

#[test]
fn threat_12_streams_that_are_reset_one_by_one_leave_nothing() {
    let hub = hub().start();
    flood(&hub, |connection| {
        // Slowly enough for each to become a subscription.
        for n in 0..200 {
            let stream = 2 * n + 1;
            connection.send(&[Frame::get(stream, STREAM)]).unwrap();
            let is_head = |frame: &Frame| frame.kind == kind::HEADERS && frame.stream == stream;
            assert!(connection.read_until(PATIENCE, |frame| stop_at(is_head(frame))));
            connection.send(&[Frame::cancel(stream)]).unwrap();
        }
        eventually!(hub.stats().live("subscription"), |live| *live == 1);
        assert!(hub.stats().ledger().counts("subscription").opened >= 200);
    });
}

fn stop_at(found: bool) -> ControlFlow<()> {
    if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

#[test]
fn threat_12_making_the_hub_reset_streams_ends_the_connection() {
    // CVE-2025-8671: each stream gets more window than there can be, which is an error of the stream.
    const MOST: u32 = (1 << 31) - 1;
    let hub = hub().start();
    flood(&hub, |connection| {
        let provoke = |n: u32| [Frame::get(2 * n + 1, STREAM), Frame::window_update(2 * n + 1, MOST)];
        let _ = connection.send(&(0..1000).flat_map(provoke).collect::<Vec<_>>());
        assert_eq!(connection.read_to_end(PATIENCE), Some(ENHANCE_YOUR_CALM));
    });
}

#[test]
fn threat_12_a_header_block_without_end_ends_the_connection() {
    // RUSTSEC-2024-0332.
    let hub = hub().start();
    flood(&hub, |connection| {
        let _ = connection.send(&[Frame::open_headers(1, STREAM)]);
        let more = "x".repeat(15_000);
        let _ = repeat(connection, 10_000, |_| vec![Frame::continuation(1, &[("x-more", &more)])]);
        let code = connection.read_to_end(PATIENCE);
        let allowed = [Some(ENHANCE_YOUR_CALM), Some(PROTOCOL_ERROR), Some(COMPRESSION_ERROR), None];
        assert!(allowed.contains(&code), "{code:?}");
    });
    flood(&hub, |connection| {
        let _ = connection.send(&[Frame::open_headers(1, STREAM)]);
        let _ = repeat(connection, 100_000, |_| vec![Frame::continuation(1, &[])]);
        let code = connection.read_to_end(PATIENCE);
        assert!(matches!(code, Some(ENHANCE_YOUR_CALM) | None), "{code:?}");
    });
}

#[test]
fn threat_12_empty_data_without_end_ends_the_connection() {
    // RUSTSEC-2026-0258.
    let hub = hub().start();
    let cost = flood(&hub, |connection| {
        let post = Frame::post(1, STREAM, &[("content-type", "text/plain")]);
        let _ = connection.send(&[post]);
        let some: Vec<Frame> = (0..100).map(|_| Frame::data(1, b"")).collect();
        let _ = repeat(connection, 2_000, |_| some.clone());
        let code = connection.read_to_end(PATIENCE);
        assert!(matches!(code, Some(ENHANCE_YOUR_CALM) | None), "{code:?}");
    });
    assert!(cost.cpu < Duration::from_secs(5), "{cost:?}");
    hub.get("/sessions/demo").expect_problem(404, "SESSION_NOT_FOUND");
}

/// Floods with frames that want an answer, and reads none: the hub must stop reading, then give up.
fn unanswered(hub: &HubProcess, frame: &Frame) {
    let cost = flood(hub, |connection| {
        let many: Vec<u8> = frame.bytes().repeat(2_000);
        let deadline = Instant::now() + PATIENCE;
        // It ends by the hub closing, or by the hub no longer reading and then closing.
        while connection.connection().try_send(&many).is_ok() {
            assert!(Instant::now() < deadline, "the hub took an endless flood for {PATIENCE:?}");
        }
    });
    assert!(cost.cpu < Duration::from_secs(5), "{cost:?}");
}

#[test]
fn threat_12_pings_whose_answers_are_never_read_cost_a_bounded_amount_and_end() {
    unanswered(&hub().start(), &Frame::ping([7; 8]));
}

#[test]
fn threat_12_settings_whose_answers_are_never_read_cost_a_bounded_amount_and_end() {
    unanswered(&hub().start(), &Frame::settings(&[]));
}

/// Opens the stream on a connection that grants no room for its data.
fn without_window(hub: &HubProcess, streams: u32) -> Http2 {
    let mut connection = Http2::connect(hub.address(), &[(INITIAL_WINDOW_SIZE, 0)]);
    let requests: Vec<Frame> = (0..streams).map(|n| Frame::get(2 * n + 1, STREAM)).collect();
    connection.send(&requests).unwrap();
    connection
}

/// How many there ever were: those that are without a window do not last.
fn subscriptions(hub: &HubProcess) -> u64 {
    hub.stats().ledger().counts("subscription").opened
}

/// Answers pings and takes no data until so many streams are reset; the connection stays.
fn sit(connection: &mut Http2, streams: usize) -> Duration {
    let mut reset = 0;
    let (is_open, took) = timed(|| {
        connection.read_until(PATIENCE, |frame| {
            assert!(frame.kind != kind::DATA || frame.payload.is_empty(), "data without a window");
            reset += usize::from(frame.kind == kind::RST_STREAM);
            stop_at(reset == streams)
        })
    });
    assert!(is_open, "the connection was closed after {reset} resets");
    took
}

#[test]
fn threat_12_a_stream_without_a_window_is_ended_by_the_write_deadline() {
    let hub = patient("1s").start();
    let mut connection = without_window(&hub, 1);
    eventually!(subscriptions(&hub) == 1);
    hub.publish_text("demo", "nobody takes it");
    let took = sit(&mut connection, 1);
    assert!(took < Duration::from_secs(12), "ended after {took:?}");
    eventually!(hub.stats().live("subscription") == 0);
    assert_eq!(hub.stats().number("metrics.slowConsumers"), 1);
}

#[test]
fn threat_12_a_stream_that_does_not_even_take_its_opening_is_ended_too() {
    // Nothing is published: what waits is the opening block, and heartbeats that cannot be written.
    let hub = patient("1s").start();
    let mut connection = without_window(&hub, 100);
    eventually!(subscriptions(&hub) == 100);
    let took = sit(&mut connection, 100);
    assert!(took < Duration::from_secs(12), "ended after {took:?}");
    eventually!(hub.stats().live("subscription") == 0);
}

#[test]
fn threat_12_a_connection_has_so_many_streams_and_no_more() {
    const STREAMS: u32 = 128;
    let hub = patient("6s").start();
    let mut connection = Http2::connect(hub.address(), &[]);
    // What becomes of the requests on these streams, in their order: a head, or a refusal.
    let ask = |connection: &mut Http2, streams: &[u32]| {
        let requests: Vec<Frame> = streams.iter().map(|stream| Frame::get(*stream, STREAM)).collect();
        connection.send(&requests).unwrap();
        let mut answers = Vec::new();
        let is_open = connection.read_until(PATIENCE, |frame| {
            if streams.contains(&frame.stream) && matches!(frame.kind, kind::HEADERS | kind::RST_STREAM) {
                answers.push((frame.stream, frame.kind));
            }
            stop_at(answers.len() == streams.len())
        });
        assert!(is_open, "the connection ended after {answers:?}");
        answers.sort_unstable();
        answers.into_iter().map(|(_, kind)| kind).collect::<Vec<_>>()
    };
    let allowed: Vec<u32> = (0..STREAMS).map(|n| 2 * n + 1).collect();
    assert_eq!(ask(&mut connection, &allowed), [kind::HEADERS; STREAMS as usize], "so many");
    assert_eq!(ask(&mut connection, &[1001, 1003, 1005]), [kind::RST_STREAM; 3], "and no more");
    assert_eq!(hub.stats().live("subscription"), u64::from(STREAMS), "{:?}", hub.stats().ledger());
    // One that leaves makes room for one.
    connection.send(&[Frame::cancel(allowed[0])]).unwrap();
    eventually!(hub.stats().live("subscription"), |live| *live == u64::from(STREAMS) - 1);
    assert_eq!(ask(&mut connection, &[1007, 1009]), [kind::HEADERS, kind::RST_STREAM]);
}

#[test]
fn threat_12_a_body_that_is_not_read_fills_its_window_and_no_memory() {
    let hub = hub().flag("--max-event-bytes", "256KiB").start();
    for n in 0..30 {
        hub.publish_text("demo", &format!("{n}{}", "x".repeat(200_000)));
    }
    let before = hub.process().anon();
    let small = ConnectOptions::small_window();
    let connections: Vec<Http2> = (0..20)
        .map(|_| {
            let mut connection =
                Http2::connect_with(hub.address(), &[(INITIAL_WINDOW_SIZE, 1 << 30)], &small);
            connection.send(&[Frame::window_update(0, 1 << 30)]).unwrap();
            let path = format!("{STREAM}?replay=all");
            connection.send(&(0..5).map(|n| Frame::get(2 * n + 1, &path)).collect::<Vec<_>>()).unwrap();
            connection
        })
        .collect();
    let mut peak = before;
    eventually!({
        peak = peak.max(hub.process().anon());
        hub.stats().live("connection") == 1
    });
    let grown = peak - before;
    println!("100 streams of 6 MB that nobody reads made the hub grow by {grown} bytes");
    assert!(grown < 40 << 20, "100 streams that nobody reads made the hub grow by {grown} bytes");
    drop(connections);
}

/// The client gives the connection's room back for what it does not read, as browsers do.
#[test]
fn threat_12_a_stream_that_is_never_read_is_reset_and_its_neighbour_goes_on() {
    const ENOUGH: usize = 50;
    let hub = patient("6s").flag("--keep-alive-timeout", "1s").start();
    let mut connection = Http2::connect(hub.address(), &[]);
    connection.send(&[Frame::get(1, STREAM), Frame::get(3, STREAM)]).unwrap();
    eventually!(hub.stats().live("subscription") == 2);
    let (mut reset, mut since) = (false, 0);
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                hub.publish_text("demo", &"x".repeat(8_000));
            }
        });
        let deadline = Instant::now() + PATIENCE;
        let told = loop {
            let Ok(Some(frame)) = connection.next_frame(deadline) else { break "the connection ended" };
            connection.acknowledge(&frame);
            let room = u32::try_from(frame.payload.len()).unwrap();
            match (frame.kind, frame.stream) {
                (kind::DATA, 3) if room > 0 => {
                    connection.send(&[Frame::window_update(3, room), Frame::window_update(0, room)]).unwrap();
                    since += usize::from(reset);
                }
                (kind::DATA, 1) if room > 0 => {
                    connection.send(&[Frame::window_update(0, room)]).unwrap();
                }
                (kind::RST_STREAM, 1) => reset = true,
                (kind::RST_STREAM, _) => break "the stream that is read was reset",
                (kind::GOAWAY, _) => break "the connection was told to go",
                _ => {}
            }
            if since >= ENOUGH {
                break "";
            }
        };
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(told, "", "after {since} further pieces; reset: {reset}");
    });
    assert_eq!(hub.stats().number("metrics.slowConsumers"), 1);
    // Its connection is an ordinary one all the same: without requests it is told to go, and ends.
    connection.send(&[Frame::cancel(3)]).unwrap();
    assert_eq!(connection.read_to_end(PATIENCE), Some(NO_ERROR));
}

/// The client holds the connection's room back for what it does not read, until that stream is gone.
#[test]
fn threat_12_a_stream_whose_bytes_fill_the_connection_is_reset_and_its_neighbour_goes_on() {
    const WINDOW: u32 = 65_535;
    let hub = patient("6s").start();
    let mut connection = Http2::connect(hub.address(), &[]);
    connection.send(&[Frame::get(1, "/sessions/a/events"), Frame::get(3, "/sessions/b/events")]).unwrap();
    eventually!(hub.stats().live("subscription") == 2);
    let events: Vec<_> = (0..10).map(|_| serde_json::json!({ "data": "x".repeat(8_000) })).collect();
    hub.publish_json("a", &serde_json::json!(events));
    // The neighbour begins to wait a while later, and the client gives the room back when the neighbour has waited for longer
    // than its own deadline and the grace behind it. It looks at the time with each ping.
    const LATER: Duration = Duration::from_millis(300);
    const TOO_LONG: Duration = Duration::from_millis(7_000);
    let (mut unread, mut is_reset) = (0, false);
    let (mut filled, mut waits): (Option<Instant>, Option<Instant>) = (None, None);
    let is_open = connection_until(&mut connection, |connection, frame| {
        let room = u32::try_from(frame.payload.len()).unwrap();
        match (frame.kind, frame.stream) {
            (kind::DATA, 1) => {
                unread += room;
                filled = filled.or_else(|| (unread == WINDOW).then(Instant::now));
            }
            (kind::DATA, 3) if room > 0 => {
                connection.send(&[Frame::window_update(3, room), Frame::window_update(0, room)]).unwrap();
            }
            (kind::RST_STREAM, 1) => is_reset = true,
            (kind::RST_STREAM, _) => panic!("the stream that is read was reset"),
            _ => {}
        }
        if unread == WINDOW && frame.kind == kind::PING {
            let is_over = |since: &Option<Instant>, time| since.is_some_and(|since| since.elapsed() >= time);
            if waits.is_none() && is_over(&filled, LATER) {
                // One is given to the connection and waits there, the other waits in the log.
                hub.publish_text("b", &"x".repeat(1_000));
                hub.publish_text("b", "heard");
                waits = Some(Instant::now());
            }
            if is_reset && is_over(&waits, TOO_LONG) {
                connection.send(&[Frame::window_update(0, unread)]).unwrap();
                unread = 0;
            }
        }
        stop_at(frame.payload.windows(5).any(|some| some == b"heard"))
    });
    assert!(is_open && is_reset, "the connection ended; {unread} bytes were not read");
    assert_eq!(hub.stats().number("metrics.slowConsumers"), 1);
}

/// Reads frames until `see` breaks, which may answer them.
fn connection_until(
    connection: &mut Http2,
    mut see: impl FnMut(&mut Http2, &Frame) -> ControlFlow<()>,
) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while let Some(frame) = connection.next_frame(deadline).unwrap() {
        if see(connection, &frame).is_break() {
            return true;
        }
        connection.acknowledge(&frame);
    }
    false
}
