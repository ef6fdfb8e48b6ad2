//! Rows 1, 2 and 3: peers that say nothing, say it slowly, or say too much, before there is a request.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use watertight_testkit::http2::{Frame, PREFACE};
use watertight_testkit::{
    Http2, HubBuilder, HubProcess, PATIENCE, RawConnection, Response, Transport, both_transports, eventually,
    timed,
};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

/// What the tests' hubs allow for each phase; everything else would be far above [`SOON`].
const LIMIT: Duration = Duration::from_millis(500);
/// A deadline of [`LIMIT`], kept by a busy machine.
const SOON: Duration = Duration::from_secs(5);

both_transports!(
    threat_01_whoever_says_nothing_or_one_byte_is_closed_at_the_deadline,
    threat_01_whoever_sends_nothing_but_empty_lines_is_closed_at_the_deadline,
    threat_01_whoever_stops_after_the_preface_or_in_a_frame_is_closed_too,
    threat_02_a_slow_head_ends_at_an_absolute_deadline_whatever_progress_it_makes,
    threat_03_a_head_that_is_too_large_is_refused_for_what_it_is,
    threat_03_a_crowd_with_huge_heads_fills_no_memory,
);

fn hub() -> HubBuilder {
    HubProcess::builder(WATERTIGHT)
        .flag("--first-byte-timeout", "500ms")
        .flag("--head-timeout", "500ms")
        .flag("--tls-handshake-timeout", "500ms")
        .flag("--keep-alive-timeout", "10m")
        .flag("--heartbeat-interval", "100ms")
        .flag("--half-open-timeout", "400ms")
}

/// A connection below TLS, to any hub, that has not spoken yet.
fn silent(hub: &HubProcess) -> RawConnection {
    RawConnection::connect(hub.address())
}

/// Asserts that the hub closes this connection at its deadline: not before, not much later.
fn expect_closed_at_the_deadline(what: &str, connection: &mut RawConnection, since: Instant) -> String {
    let said = connection.expect_closed(SOON);
    let took = since.elapsed();
    assert!(took >= LIMIT * 4 / 5 && took < SOON, "{what} was closed after {took:?}");
    said
}

fn threat_01_whoever_says_nothing_or_one_byte_is_closed_at_the_deadline(over: Transport) {
    let hub = hub().over(over).flag("--log-level", "watertight=debug").start();
    let preface = &PREFACE[..16];
    let cases: [(&str, &[u8]); 5] = [
        ("a silent peer", b""),
        ("one byte", b"G"),
        ("one byte of HTTP/2", &PREFACE[..1]),
        ("half a preface", preface),
        ("half a head", b"GET /sessions/demo/events HTTP/1.1\r\nHost: hub\r\n"),
    ];
    let connections: Vec<_> = cases
        .iter()
        .map(|(what, bytes)| {
            let mut connection = RawConnection::connect(&hub);
            // Over TLS this completes the handshake, be there a byte or none.
            connection.send(bytes);
            let since = Instant::now();
            (what, connection, since)
        })
        .collect();
    for (what, mut connection, since) in connections {
        let said = expect_closed_at_the_deadline(what, &mut connection, since);
        assert!(!said.contains(" 200 "), "{what} was answered: {said:?}");
    }
    eventually!(hub.log().matches("reason=\"head_timeout\"").count() == cases.len());
}

/// Empty lines before a request are no part of it (RFC 9112, section 2.2), and no beginning of one.
fn threat_01_whoever_sends_nothing_but_empty_lines_is_closed_at_the_deadline(over: Transport) {
    let hub = hub().over(over).start();
    let dripping = drip(&mut RawConnection::connect(&hub), b"\r\n");
    assert!((LIMIT * 4 / 5..SOON).contains(&dripping), "empty lines one by one: closed after {dripping:?}");

    let (mut pouring, since) = (RawConnection::connect(&hub), Instant::now());
    while pouring.try_send([b'\n'; 4096]).is_ok() {
        assert!(since.elapsed() < SOON, "still open although empty lines pour in for {SOON:?}");
    }

    // Those before a request that comes do no harm.
    let mut late = RawConnection::connect(&hub);
    late.send("\r\n\n\r\n");
    late.send("GET /stats HTTP/1.1\r\nHost: hub\r\n\r\n");
    let _ = late.read_response("GET").expect(200);
}

fn threat_01_whoever_stops_after_the_preface_or_in_a_frame_is_closed_too(over: Transport) {
    let hub = hub().over(over).start();
    // Nobody answers its pings: the line counts as dead after the half-open time-out.
    let after_preface = Http2::connect(&hub, &[]);
    let mut in_a_frame = Http2::connect(&hub, &[]);
    in_a_frame.connection().send(&Frame::get(1, "/stats").bytes()[..12]);
    let mut preface_only = RawConnection::connect(hub.endpoint().http2());
    preface_only.send(PREFACE);
    for connection in [after_preface, in_a_frame] {
        let mut connection = connection;
        connection.read_to_end(SOON);
    }
    preface_only.expect_closed(SOON);
}

#[test]
fn threat_01_whoever_says_nothing_on_a_tls_port_is_closed_at_the_deadline() {
    let hub = hub().tls().start();
    let (mut no_hello, since) = (silent(&hub), Instant::now());
    let mut half_a_hello = silent(&hub);
    half_a_hello.send(b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03");
    expect_closed_at_the_deadline("a peer without a ClientHello", &mut no_hello, since);
    expect_closed_at_the_deadline("half a ClientHello", &mut half_a_hello, since);
}

#[test]
fn threat_01_whoever_is_silent_after_the_handshake_is_closed_at_the_deadline() {
    let hub = hub().tls().start();
    for (what, to) in [("HTTP/1.1", hub.endpoint()), ("HTTP/2", hub.endpoint().http2())] {
        let mut connection = RawConnection::connect(to);
        // An empty write completes the handshake, and nothing more.
        connection.send(b"");
        expect_closed_at_the_deadline(&format!("{what} without a byte"), &mut connection, Instant::now());
    }
}

/// Sends one byte every 50 ms until the peer closes; says how long that took.
fn drip(connection: &mut RawConnection, bytes: &[u8]) -> Duration {
    let since = Instant::now();
    for byte in bytes.iter().cycle() {
        if connection.try_send([*byte]).is_err() {
            return since.elapsed();
        }
        match connection.read_some(Instant::now() + Duration::from_millis(50)) {
            Err(error) if error.kind() == ErrorKind::TimedOut => {}
            // An answer (408) or the end.
            _ => return since.elapsed(),
        }
        assert!(since.elapsed() < SOON, "still open although bytes came for {SOON:?}");
    }
    unreachable!("the bytes go on for ever");
}

fn threat_02_a_slow_head_ends_at_an_absolute_deadline_whatever_progress_it_makes(over: Transport) {
    let hub = hub().over(over).start();
    let head = b"GET /stats HTTP/1.1\r\nHost: hub\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let on_time = LIMIT * 4 / 5..SOON;
    let first = drip(&mut RawConnection::connect(&hub), head);
    assert!(on_time.contains(&first), "a first head was closed after {first:?}");

    // The second head of a connection has the same time, and its clock starts with its first byte.
    let mut connection = RawConnection::connect(&hub);
    connection.send("GET /stats HTTP/1.1\r\nHost: hub\r\n\r\n");
    let _ = connection.read_response("GET").expect(200);
    let idle = connection.read_some(Instant::now() + LIMIT * 2);
    assert_eq!(idle.unwrap_err().kind(), ErrorKind::TimedOut, "an idle connection may stay");
    let second = drip(&mut connection, head);
    assert!(on_time.contains(&second), "a second head was closed after {second:?}");

    // HTTP/2 has no clock for heads, but one for answers to its pings, and nothing fits into half a frame.
    let mut http2 = Http2::connect(&hub, &[]);
    http2.connection().send(Frame::settings(&[]).bytes());
    let (_, took) = timed(|| drip_http2(&mut http2));
    assert!(took < SOON, "a header block that drips was closed after {took:?}");
}

fn drip_http2(connection: &mut Http2) {
    let block = Frame::open_headers(1, &format!("/{}", "a".repeat(4000))).bytes();
    for byte in block {
        if connection.connection().try_send([byte]).is_err() {
            return;
        }
        let deadline = Instant::now() + Duration::from_millis(20);
        loop {
            match connection.next_frame(deadline) {
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(_) => break,
            }
        }
    }
}

#[test]
fn threat_02_a_slow_handshake_ends_at_its_deadline() {
    let hub = hub().tls().start();
    let mut handshake = silent(&hub);
    // The beginning of a ClientHello of 65 kB: the bytes that follow are all welcome.
    handshake.send(b"\x16\x03\x01\x40\x00\x01\x00\xff\xf0\x03\x03");
    let took = drip(&mut handshake, &[0]);
    assert!((LIMIT * 4 / 5..SOON).contains(&took), "a slow handshake was closed after {took:?}");
}

/// The status of the answer to a head, if it could be read: a hub that refuses in the middle of a head closes
/// on unread bytes, and the reset may overtake the answer.
fn status_of(hub: &HubProcess, head: &[u8]) -> Option<u16> {
    let mut connection = RawConnection::connect(hub);
    let _ = connection.try_send(head);
    let said = connection.expect_closed(PATIENCE);
    let statuses = Response::statuses("GET", said.as_bytes());
    assert!(statuses.len() <= 1, "one head, several answers: {said}");
    statuses.first().copied()
}

fn head_with(line: &str, headers: &str) -> Vec<u8> {
    format!("GET {line} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n{headers}\r\n").into_bytes()
}

fn threat_03_a_head_that_is_too_large_is_refused_for_what_it_is(over: Transport) {
    let hub = HubProcess::builder(WATERTIGHT).over(over).start();
    let events = "/sessions/demo/events";
    let many = |count: usize| (0..count).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    let long = |bytes: usize| "a".repeat(bytes);
    // What is refused, what of it may be the answer, and whether the answer must arrive.
    let cases: [(&str, Vec<u8>, &[u16], bool); 10] = [
        ("a target of 9 KB", head_with(&format!("/{}", long(9_000)), ""), &[414], true),
        ("a query of 9 KB", head_with(&format!("{events}?replay={}", long(9_000)), ""), &[414], true),
        ("a line of 100 KB", head_with(&format!("/{}", long(100_000)), ""), &[414, 431], false),
        ("a query of 1 MB", head_with(&format!("{events}?x={}", long(1_000_000)), ""), &[414, 431], false),
        ("65 headers", head_with(events, &many(65)), &[431], true),
        ("1,000 headers", head_with(events, &many(1_000)), &[431], true),
        ("a header of 17 KB", head_with(events, &format!("x: {}\r\n", long(17_000))), &[431], true),
        ("an id of 64 KB", head_with(events, &format!("Last-Event-ID: {}\r\n", long(65_536))), &[431], false),
        ("a name of 20 KB", head_with(events, &format!("{}: y\r\n", long(20_000))), &[431, 400], false),
        ("33 parameters", head_with(&format!("{events}?{}", "a=b&".repeat(33)), ""), &[400], true),
    ];
    for (what, head, expected, must_arrive) in cases {
        let status = status_of(&hub, &head);
        assert!(status.is_none_or(|status| expected.contains(&status)), "{what}: {status:?}");
        assert!(status.is_some() || !must_arrive, "{what}: the answer did not arrive");
    }
    // What is just not too large is taken.
    let longest = format!("/health/live?{}", long(8_000));
    assert_eq!(status_of(&hub, &head_with(&longest, "")), Some(200));
    assert_eq!(status_of(&hub, &head_with("/stats", &many(60))), Some(200));
    hub.get("/sessions/demo").expect_problem(404, "SESSION_NOT_FOUND");
}

fn threat_03_a_crowd_with_huge_heads_fills_no_memory(over: Transport) {
    const CROWD: usize = 300;
    let hub = HubProcess::builder(WATERTIGHT).over(over).start();
    let before = hub.process().anon();
    let head = format!("GET /{} HTTP/1.1\r\n", "a".repeat(1_000_000));
    let mut connections: Vec<_> = (0..CROWD).map(|_| RawConnection::connect(&hub)).collect();
    std::thread::scope(|scope| {
        for some in connections.chunks_mut(CROWD / 4) {
            scope.spawn(|| {
                for connection in some {
                    let _ = connection.try_send(&head);
                }
            });
        }
        let mut peak = before;
        eventually!({
            peak = peak.max(hub.process().anon());
            hub.stats().live("connection") == 1
        });
        let grown = peak.saturating_sub(before);
        assert!(grown < 32 << 20, "{CROWD} heads of 1 MB made the hub grow by {grown} bytes");
    });
}
