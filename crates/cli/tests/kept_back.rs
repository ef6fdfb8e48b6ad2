//! What is kept back for health, and refusals that arrive.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::ops::ControlFlow;
use std::time::Duration;

use watertight_testkit::http2::{Frame, kind};
use watertight_testkit::{
    Client, ConnectOptions, Http2, HubBuilder, HubProcess, PATIENCE, RawConnection, Stats, eventually, timed,
};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

/// At once: whoever waits for a permit or a first byte waits for 10 s and more.
const AT_ONCE: Duration = Duration::from_secs(8);

fn from(last: u8) -> ConnectOptions {
    ConnectOptions::from_address([0, 8, last])
}

/// A connection that was there before, and sees the figures when nobody else does.
struct Old(RawConnection);

impl Old {
    fn connect(hub: &HubProcess) -> Old {
        let mut old = Old(RawConnection::connect_with(hub.address(), hub.client().options()).unwrap());
        old.stats();
        old
    }

    fn stats(&mut self) -> Stats {
        self.0.send_get("/stats", &[]);
        Stats::new(self.0.read_response("GET").expect(200).json())
    }
}

fn hold(hub: &HubProcess, options: &ConnectOptions, count: usize) -> Vec<RawConnection> {
    (0..count).map(|_| RawConnection::connect_with(hub.address(), options).unwrap()).collect()
}

fn probes_are_answered(hub: &HubProcess, options: &ConnectOptions) {
    let client = Client::with_options(hub.address(), options.clone());
    for path in ["/health/live", "/health/ready"] {
        let (answer, took) = timed(|| client.get(path));
        let _ = answer.expect(200);
        assert!(took < AT_ONCE, "{path} took {took:?}");
    }
}

fn full(builder: HubBuilder) -> (HubProcess, Old, Vec<RawConnection>) {
    let hub = builder.flag("--max-connections", 20).flag("--first-byte-timeout", "10m").start();
    let mut old = Old::connect(&hub);
    // Those of the hub's own tests have gone by then.
    eventually!(old.stats().live("connection") == 1);
    let held = hold(&hub, &from(1), 19);
    eventually!(old.stats().live("connection") == 20);
    (hub, old, held)
}

#[test]
fn health_answers_while_all_connections_are_taken_and_everything_else_is_refused() {
    let (hub, _old, held) = full(HubProcess::builder(WATERTIGHT));
    for last in 0..10 {
        probes_are_answered(&hub, &from(last));
        let client = Client::with_options(hub.address(), from(last));
        let _ = client.get("/stats").expect_problem(503, "TOO_MANY_CONNECTIONS");
        let _ = client.get("/health/lively").expect_problem(503, "TOO_MANY_CONNECTIONS");
        let _ = client.post("/health/live", "text/plain", "x").expect_problem(503, "TOO_MANY_CONNECTIONS");
    }
    // Over HTTP/2, too.
    let mut http2 = Http2::connect_with(hub.address(), &[], &from(9))
        .with(&[Frame::get(1, "/stats"), Frame::get(3, "/health/live")]);
    let mut bodies = String::new();
    let saw = http2.read_until(PATIENCE, |frame| {
        if frame.kind == kind::DATA {
            bodies.push_str(&String::from_utf8_lossy(&frame.payload));
        }
        let both = bodies.contains("TOO_MANY_CONNECTIONS") && bodies.contains("\"live\"");
        if both { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(saw, "{bodies}");
    drop(held);
}

trait With {
    fn with(self, frames: &[Frame]) -> Self;
}

impl With for Http2 {
    fn with(mut self, frames: &[Frame]) -> Http2 {
        self.send(frames).unwrap();
        self
    }
}

#[test]
fn health_answers_over_tls_while_all_connections_are_taken() {
    let (hub, _old, held) = full(HubProcess::builder(WATERTIGHT).tls());
    let options = ConnectOptions { tls: hub.client().options().tls.clone(), ..from(3) };
    probes_are_answered(&hub, &options);
    let client = Client::with_options(hub.address(), options);
    let _ = client.get("/stats").expect_problem(503, "TOO_MANY_CONNECTIONS");
    drop(held);
}

#[test]
fn health_answers_while_all_requests_are_in_flight() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--max-requests-in-flight", 8).start();
    let unfinished = |last: u8| {
        let mut connection = RawConnection::connect_with(hub.address(), &from(last)).unwrap();
        let head = "POST /sessions/demo/events HTTP/1.1\r\nHost: hub\r\nContent-Type: text/plain\r\n";
        connection.send(format!("{head}Content-Length: 10\r\n\r\nx"));
        connection
    };
    // Eight are in flight, four wait.
    let held: Vec<_> = (0..12).map(unfinished).collect();
    // Once their heads have come, whoever comes next waits, too.
    let wait = || {
        let mut waiting = RawConnection::connect_with(hub.address(), &from(100)).unwrap();
        waiting.send_get("/stats", &[]);
        let soon = std::time::Instant::now() + Duration::from_millis(50);
        waiting.read_some(soon).is_err().then_some(waiting)
    };
    let mut waiting = eventually!(wait(), |waiting| waiting.is_some()).unwrap();
    for last in 0..20 {
        probes_are_answered(&hub, &from(last));
    }
    let soon = std::time::Instant::now() + Duration::from_millis(50);
    assert!(waiting.read_some(soon).is_err(), "all permits are taken");
    drop(held);
    let _ = waiting.read_response("GET").expect(200);
}

#[test]
fn a_refusal_arrives_whole_although_the_peer_sends_on() {
    let (hub, _old, held) = full(HubProcess::builder(WATERTIGHT));
    for _ in 0..30 {
        let mut connection = RawConnection::connect_with(hub.address(), &from(2)).unwrap();
        let head = "POST /sessions/demo/events HTTP/1.1\r\nHost: hub\r\nContent-Type: text/plain\r\n";
        // The whole body is there before the hub has looked at the head.
        let request = [format!("{head}Content-Length: 100000\r\n\r\n").into_bytes(), vec![b'x'; 100_000]];
        connection.send(request.concat());
        let answer = connection.read_response("POST");
        answer.expect_problem(503, "TOO_MANY_CONNECTIONS");
        assert_eq!(answer.header("connection"), Some("close"));
    }
    drop(held);
}

#[test]
fn what_is_kept_back_is_bounded_in_number_and_time_and_no_address_has_it_all() {
    let (hub, mut old, held) = full(HubProcess::builder(WATERTIGHT));
    // Silent ones from one address fill what it may have, the others are closed at once.
    let silent = hold(&hub, &from(1), 300);
    eventually!(old.stats().live("connection"), |live| *live > 100);
    assert!(old.stats().live("connection") < 20 + 128, "some are left for others");
    probes_are_answered(&hub, &from(2));
    // They are closed within seconds.
    for mut connection in silent {
        let _ = connection.expect_closed(PATIENCE);
    }
    probes_are_answered(&hub, &from(1));
    drop(held);
}

#[test]
fn at_no_newcomers_a_tls_connection_is_refused_before_its_handshake() {
    let hub = HubProcess::builder(WATERTIGHT)
        .tls()
        .flag("--memory-warning-threshold-mb", 4)
        .flag("--memory-critical-threshold-mb", 20)
        .flag("--max-body-bytes", "1MiB")
        .flag("--head-timeout", "10m")
        .start();
    let mut old = Old::connect(&hub);
    // Half heads of 15 KB over TLS, each charged with its session and its buffer: nothing that could be shed.
    let mut held = Vec::new();
    let options = hub.client().options().clone();
    let head = format!("GET / HTTP/1.1\r\nHost: hub\r\nX: {}", "x".repeat(15_000));
    let rungs = ["no_newcomers", "close_laggards"];
    eventually!({
        for _ in 0..20 {
            if let Ok(mut connection) = RawConnection::connect_with(hub.address(), &options)
                && connection.try_send(&head).is_ok()
            {
                held.push(connection);
            }
        }
        rungs.contains(&old.stats().json()["budget"]["level"].as_str().unwrap())
    });
    let before = old.stats().number("metrics.connectionsRefused");
    // Closed without a byte, although it says nothing: no handshake is awaited.
    let mut newcomer = RawConnection::connect(hub.address());
    let (bytes, took) = timed(|| newcomer.expect_closed(PATIENCE));
    assert_eq!(bytes, "");
    assert!(took < AT_ONCE, "{took:?}");
    assert!(old.stats().number("metrics.connectionsRefused") > before);
    drop(held);
    eventually!(
        old.stats().json()["budget"]["level"] == "normal"
            || old.stats().json()["budget"]["level"] == "warning"
    );
}

#[test]
fn handshakes_that_stay_silent_are_charged_what_they_hold() {
    const SILENT: u64 = 300;
    let hub = HubProcess::builder(WATERTIGHT).tls().flag("--first-byte-timeout", "10m").start();
    let asking = hub.asking_bytes();
    let mut silent: Vec<_> = hold(&hub, hub.client().options(), usize::try_from(SILENT).unwrap());
    for connection in &mut silent {
        // The handshake, and nothing after it.
        connection.try_send("").unwrap();
    }
    eventually!(hub.stats().request_bytes(), |bytes| *bytes > asking + SILENT * 7_000);
    drop(silent);
    eventually!(hub.stats().request_bytes() == asking);
}
