//! One limit for the requests of all protocols: taken with a complete head, shared fairly by address.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::time::Duration;

use watertight_testkit::http2::{Frame, kind};
use watertight_testkit::{
    Client, ConnectOptions, Http2, HubBuilder, HubProcess, PATIENCE, RawConnection, Response, eventually,
    timed,
};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

const EVENTS: &str = "/sessions/demo/events";

/// Well below any time limit of a request: 10 s if not said otherwise, which is also how long one waits for a permit.
const AT_ONCE: Duration = Duration::from_secs(4);

fn hub(permits: usize) -> HubBuilder {
    HubProcess::builder(WATERTIGHT).flag("--max-requests-in-flight", permits)
}

fn from(last: u8) -> ConnectOptions {
    ConnectOptions::from_address([0, 7, last])
}

/// A request that is in flight until its body ends.
fn unfinished(hub: &HubProcess, options: &ConnectOptions) -> RawConnection {
    let mut connection = RawConnection::connect_with(hub.address(), options).unwrap();
    let head = format!("POST {EVENTS} HTTP/1.1\r\nHost: hub\r\nContent-Type: text/plain\r\n");
    connection.send(format!("{head}Content-Length: 10\r\n\r\nx"));
    connection
}

fn ask(hub: &HubProcess, options: &ConnectOptions) -> Response {
    Client::with_options(hub.address(), options.clone()).get("/stats")
}

/// A connection from elsewhere that asks for figures; it has a share of its own.
fn requests(hub: &HubProcess) -> u64 {
    let answer = ask(hub, &from(200)).expect(200).json();
    answer["ledger"]["request"]["live"].as_u64().unwrap() - 1
}

#[test]
fn peers_that_send_one_byte_block_nobody() {
    let hub = hub(8).start();
    let slow: Vec<_> = (0..100)
        .map(|_| {
            let mut connection = RawConnection::connect(hub.address());
            connection.send("G");
            connection
        })
        .collect();
    eventually!(hub.stats().live("connection"), |live| *live == 101);
    for _ in 0..20 {
        let (_, took) = timed(|| hub.publish_text("demo", "x"));
        assert!(took < AT_ONCE, "{took:?}");
    }
    // A byte is no request; the publishers' own end a moment after their answers.
    eventually!(requests(&hub), |requests| *requests == 0);
    drop(slow);
}

#[test]
fn heads_that_are_slow_on_a_kept_connection_block_nobody_and_end_at_their_time() {
    let hub = hub(8).flag("--head-timeout", "6s").start();
    let mut slow: Vec<_> = (0..40)
        .map(|_| {
            let mut connection = RawConnection::connect(hub.address());
            connection.send_get("/stats", &[]);
            let _ = connection.read_response("GET").expect(200);
            connection.send("GET /st");
            connection
        })
        .collect();
    let (_, took) = timed(|| hub.publish_text("demo", "x"));
    assert!(took < AT_ONCE, "{took:?}");
    for connection in &mut slow {
        assert_eq!(connection.expect_closed(PATIENCE), "");
    }
}

#[test]
fn a_connection_that_rests_is_served_again_whenever_it_asks() {
    let hub = HubProcess::start(WATERTIGHT);
    let mut kept: Vec<_> = (0..50).map(|_| RawConnection::connect(hub.address())).collect();
    let busy = |kept: &mut Vec<RawConnection>| {
        for connection in kept.iter_mut() {
            connection.send_get("/stats", &[]);
            let _ = connection.read_response("GET").expect(200);
        }
        hub.stats().request_bytes()
    };
    for _ in 0..3 {
        let busy = busy(&mut kept);
        // Resting ones give hyper's buffers back, and the charge with them.
        let resting = eventually!(hub.stats().request_bytes(), |bytes| *bytes < busy / 2);
        println!("50 connections: {busy} bytes charged when busy, {resting} when they rest");
        // The next head may come in two parts.
        for connection in &mut kept {
            connection.send("\r\nGET /health/live HT");
        }
        for connection in &mut kept {
            connection.send("TP/1.1\r\nHost: hub\r\n\r\n");
            let _ = connection.read_response("GET").expect(200);
        }
    }
}

#[test]
fn pipelined_requests_are_answered_in_order_also_when_the_last_is_incomplete() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--head-timeout", "5s").start();
    let mut connection = RawConnection::connect(hub.address());
    let one = "GET /health/live HTTP/1.1\r\nHost: hub\r\n\r\n";
    connection.send(format!("{one}{one}GET /nowhere HTTP/1.1\r\nHo"));
    let _ = connection.read_response("GET").expect(200);
    let _ = connection.read_response("GET").expect(200);
    connection.send("st: hub\r\n\r\n");
    let _ = connection.read_response("GET").expect(404);
    // A head that is begun behind an answer has its time as any other.
    connection.send(format!("{one}GET /nowhere HTTP/1.1\r\nHo"));
    let _ = connection.read_response("GET").expect(200);
    let (_, took) = timed(|| assert_eq!(connection.expect_closed(PATIENCE), ""));
    assert!(took < Duration::from_secs(12), "{took:?}");
}

#[test]
fn requests_of_all_protocols_count_against_one_limit() {
    let hub = hub(16).flag("--head-timeout", "500ms").start();
    let mut plain = Vec::new();
    for last in 0..8 {
        plain.push(unfinished(&hub, &from(last)));
    }
    eventually!(requests(&hub), |live| *live == 8);
    let mut http2 = Http2::connect_with(hub.address(), &[], &from(50)).connection_with_posts(20);
    // Thirteen may go to one address while a quarter is free; eight are gone already: five are left of these,
    // and of the last quarter an eighth for each.
    let mut refused = 0;
    http2.read_until(PATIENCE, |frame| {
        refused += usize::from(frame.kind == kind::HEADERS);
        if refused >= 15 { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
    });
    // Eight of HTTP/1.1 and five of HTTP/2.
    eventually!(requests(&hub), |live| *live == 13);
    // The greedy address is told, over any protocol, in JSON and with a time to come back.
    let (answer, took) = timed(|| ask(&hub, &from(50)));
    answer.expect_problem(503, "OVERLOADED");
    assert!((Duration::from_millis(400)..Duration::from_secs(5)).contains(&took), "{took:?}");
    // Everybody else is served at once: whoever waits for a permit gets none, as nobody gives one back.
    for last in 60..90 {
        let _ = ask(&hub, &from(last)).expect(200);
    }
    drop((plain, http2));
}

trait Posts {
    fn connection_with_posts(self, count: u32) -> Self;
}

impl Posts for Http2 {
    /// Begins so many posts and one byte of each body.
    fn connection_with_posts(mut self, count: u32) -> Http2 {
        let post = |n: u32| {
            let stream = 2 * n + 1;
            let head = [("content-type", "text/plain")];
            [Frame::post(stream, EVENTS, &head), Frame::data(stream, b"x")]
        };
        self.send(&(0..count).flat_map(post).collect::<Vec<_>>()).unwrap();
        self
    }
}

#[test]
fn http2_connections_full_of_unfinished_posts_shut_nobody_else_out() {
    let hub = hub(64).start();
    let hostile: Vec<_> = (0..20)
        .map(|_| Http2::connect_with(hub.address(), &[], &from(1)).connection_with_posts(120))
        .collect();
    eventually!(requests(&hub), |live| *live > 40);
    for last in 10..30 {
        let client = Client::with_options(hub.address(), from(last));
        let (answer, took) = timed(|| client.post(EVENTS, "text/plain", "hello"));
        let _ = answer.expect(202);
        assert!(took < AT_ONCE, "{took:?}");
    }
    drop(hostile);
}

#[test]
fn a_permit_that_comes_free_goes_to_whoever_waits() {
    let hub = hub(4).start();
    let mut held: Vec<_> = (0..4).map(|last| unfinished(&hub, &from(last))).collect();
    eventually!(hub.process().sockets(hub.address()), |sockets| *sockets == 4);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| timed(|| ask(&hub, &from(100))));
        let first = &mut held[0];
        first.send("123456789");
        let _ = first.read_response("POST").expect(202);
        let (answer, took) = waiting.join().unwrap();
        let _ = answer.expect(200);
        assert!(took < Duration::from_secs(8), "{took:?}");
    });
}
