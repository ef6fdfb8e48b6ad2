//! Rows 16 and 18: more names than anybody needs, and bodies made to cost.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::time::{Duration, Instant};

use watertight_testkit::{HubBuilder, HubProcess, PATIENCE, Pipeline, RawConnection, eventually, timed};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

const EVENTS: &str = "/sessions/demo/events";

/// The series of a metrics page: its lines without their values.
fn series(page: &str) -> Vec<String> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

#[test]
fn threat_16_names_without_end_stop_at_the_cap_and_no_figure_carries_them() {
    const NAMES: usize = 100_000;
    const CAP: usize = 40_000;
    let hub = HubProcess::builder(WATERTIGHT).flag("--max-sessions", CAP).start();
    let known = hub.publish_text("known", "one");
    let mut stream = hub.subscribe("known");
    let metrics = hub.get("/metrics").expect(200).text();
    let before = hub.process().anon();
    let (made, took) = timed(|| {
        let flood = |from: usize| {
            let names = (from..NAMES).step_by(2).map(|n| (format!("name-{n}"), "x".to_owned()));
            let statuses = Pipeline::connect(hub.address()).publish(names);
            assert!(statuses.iter().all(|status| matches!(status, 202 | 503)), "{statuses:?}");
            statuses.iter().filter(|status| **status == 202).count()
        };
        std::thread::scope(|scope| {
            let other = scope.spawn(|| flood(1));
            flood(0) + other.join().unwrap()
        })
    });
    println!("{NAMES} names took {took:?}");
    assert_eq!(made, CAP - 1, "as many as there is room for beside the known one");
    let stats = hub.stats();
    assert_eq!((stats.number("totalSessions"), stats.live("session")), (CAP as u64, CAP as u64));

    // Existing streams go on, new sessions are refused, on either route.
    hub.client().post("/sessions/new/events", "text/plain", "x").expect_problem(503, "TOO_MANY_SESSIONS");
    hub.get("/sessions/new/events").expect_problem(503, "TOO_MANY_SESSIONS");
    hub.publish_text("known", "two");
    assert_eq!(stream.next_event().data, "two");
    assert_eq!(hub.resume("known", &known).next_event().data, "two");
    hub.publish_text("name-0", "y");

    // No figure knows a name, and none became slower to ask for.
    let now = hub.get("/metrics").expect(200).text();
    assert_eq!(series(&now), series(&metrics));
    assert!(now.len() < metrics.len() + 1000 && !now.contains("name-"));
    let cpu = hub.cpu_time();
    (0..50).for_each(|_| drop(hub.stats()));
    let used = hub.cpu_time() - cpu;
    assert!(used < Duration::from_secs(2), "50 times /stats took {used:?} of CPU");
    let each = (hub.process().anon().saturating_sub(before)) / CAP as u64;
    println!("{each} bytes per session with one event");
    assert!(each < 2_000, "a session with one event costs {each} bytes");

    // Room that is given back can be taken.
    hub.client().delete("/sessions/name-0").expect(204);
    eventually!(hub.client().post("/sessions/new/events", "text/plain", "x").status == 202);
}

#[test]
fn threat_16_long_names_are_refused() {
    let hub = HubProcess::start(WATERTIGHT);
    let name = |bytes: usize| format!("/sessions/{}/events", "n".repeat(bytes));
    let _ = hub.client().post(name(256), "text/plain", "x").expect(202);
    for bytes in [257, 1_000, 8_000] {
        hub.client().post(name(bytes), "text/plain", "x").expect_problem(400, "INVALID_SESSION_NAME");
        hub.get(&name(bytes)).expect_problem(400, "INVALID_SESSION_NAME");
    }
    hub.client().post(name(10_000), "text/plain", "x").expect_problem(414, "URI_TOO_LONG");
    // Bytes are counted, not characters.
    let umlauts = format!("/sessions/{}/events", "%C3%BC".repeat(129));
    hub.client().post(umlauts, "text/plain", "x").expect_problem(400, "INVALID_SESSION_NAME");
    assert_eq!(hub.stats().number("totalSessions"), 1);
}

fn small() -> HubBuilder {
    HubProcess::builder(WATERTIGHT)
        .flag("--max-event-bytes", "16KiB")
        .flag("--max-body-bytes", "64KiB")
        .flag("--max-batch-events", 100)
        .flag("--body-timeout", "500ms")
}

#[test]
fn threat_18_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent() {
    let hub = small().start();
    for (content_type, length, code) in [
        ("text/plain", 16 * 1024 + 1, "EVENT_TOO_LARGE"),
        ("application/json", 64 * 1024 + 1, "BODY_TOO_LARGE"),
        ("application/x-ndjson", usize::MAX >> 1, "BODY_TOO_LARGE"),
    ] {
        // No byte of the body is ever sent: the answer does not wait for it.
        let mut connection = RawConnection::connect(hub.address());
        let head = format!("POST {EVENTS} HTTP/1.1\r\nHost: hub\r\nContent-Type: {content_type}\r\n");
        connection.send(format!("{head}Content-Length: {length}\r\n\r\n"));
        connection.read_response("POST").expect_problem(413, code);
        // Nor is it asked for.
        let mut connection = RawConnection::connect(hub.address());
        connection.send(format!("{head}Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n"));
        connection.read_response("POST").expect_problem(413, code);
    }
    hub.get("/sessions/demo").expect_problem(404, "SESSION_NOT_FOUND");
}

#[test]
fn threat_18_a_body_without_a_length_is_refused_at_its_limit_and_never_held() {
    let hub = small().start();
    let asking = hub.asking_bytes();
    let before = hub.process().anon();
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(4096));
    for (content_type, code) in [
        ("text/plain", "EVENT_TOO_LARGE"),
        ("application/json", "BODY_TOO_LARGE"),
        ("application/x-ndjson", "BODY_TOO_LARGE"),
    ] {
        let mut connections: Vec<_> = (0..50).map(|_| RawConnection::connect(hub.address())).collect();
        for connection in &mut connections {
            let head = format!("POST {EVENTS} HTTP/1.1\r\nHost: hub\r\nContent-Type: {content_type}\r\n");
            // Just over the limit, so that the answer is not lost behind unread bytes.
            let chunks = chunk.repeat(if content_type == "text/plain" { 5 } else { 17 });
            connection.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}"));
        }
        for mut connection in connections {
            connection.read_response("POST").expect_problem(413, code);
        }
    }
    // Endless ones.
    let mut endless: Vec<_> = (0..20).map(|_| RawConnection::connect(hub.address())).collect();
    for connection in &mut endless {
        let head = format!("POST {EVENTS} HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\n");
        connection.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n"));
        let deadline = Instant::now() + PATIENCE;
        while connection.try_send(chunk.repeat(100)).is_ok() {
            assert!(Instant::now() < deadline, "the hub takes an endless body");
        }
    }
    let grown = hub.process().anon().saturating_sub(before);
    assert!(grown < 16 << 20, "bodies that were refused left {grown} bytes");
    eventually!(hub.stats().request_bytes(), |bytes| *bytes == asking);
}

#[test]
fn threat_18_a_body_on_its_way_is_charged_what_it_holds_and_no_more_than_it_has_sent() {
    const BODIES: usize = 14;
    const BYTES: usize = 8 << 20;
    let hub = HubProcess::builder(WATERTIGHT).flag("--body-timeout", "60s").start();
    let asking = hub.asking_bytes() as usize;
    let charged = || (hub.stats().number("budget.owners.requests") as usize).saturating_sub(asking);
    let head = format!("POST {EVENTS} HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\n");
    let mut connections: Vec<_> = (0..BODIES).map(|_| RawConnection::connect(hub.address())).collect();
    for connection in &mut connections {
        connection.send(format!("{head}Content-Length: {BYTES}\r\n\r\n{{\"data\":\""));
    }
    eventually!(hub.stats().live("request") >= BODIES as u64);
    // What was declared and not sent is not charged.
    eventually!(charged() > 0);
    assert!(charged() < BODIES * 256 * 1024, "{} for {BODIES} heads", charged());
    let before = hub.process().anon() as usize;
    let filler = vec![b'x'; BYTES - 10];
    for connection in &mut connections {
        connection.send(&filler);
    }
    eventually!(charged() >= BODIES * BYTES);
    let held = (hub.process().anon() as usize).saturating_sub(before);
    println!("{} charged, {held} held", charged());
    assert!(held < charged() * 5 / 4, "{held} held, {} charged", charged());
    for connection in connections {
        connection.reset();
    }
    eventually!(charged() == 0);
}

#[test]
fn threat_18_a_compressed_body_is_refused_unread() {
    let hub = HubProcess::start(WATERTIGHT);
    // The head of a bomb; what follows is of no interest.
    let gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    for encoding in
        ["gzip", "deflate", "br", "zstd", "x-gzip", "gzip, gzip", "identity, gzip", "compress", "anything"]
    {
        for content_type in ["text/plain", "application/json", "application/x-ndjson"] {
            let request = hub.client().request("POST", EVENTS).header("Content-Type", content_type);
            let answer = request.header("Content-Encoding", encoding).body(gzip).send();
            answer.expect_problem(415, "UNSUPPORTED_ENCODING");
        }
    }
    let request = hub.client().request("POST", EVENTS).header("Content-Type", "text/plain");
    let _ = request.header("Content-Encoding", "identity").body("as it is").send().expect(202);
}

#[test]
fn threat_18_a_slow_body_is_ended_at_an_absolute_deadline() {
    let hub = small().start();
    let asking = hub.asking_bytes();
    let head = format!("POST {EVENTS} HTTP/1.1\r\nHost: hub\r\nContent-Type: text/plain\r\n");
    let mut silent = RawConnection::connect(hub.address());
    silent.send(format!("{head}Content-Length: 10\r\n\r\nhalf"));
    let (answer, took) = timed(|| silent.read_response("POST"));
    answer.expect_problem(408, "BODY_TIMEOUT");
    assert!(took < Duration::from_secs(5), "{took:?}");

    for framing in ["Content-Length: 10000", "Transfer-Encoding: chunked"] {
        let mut dripping = RawConnection::connect(hub.address());
        dripping.send(format!("{head}{framing}\r\n\r\n"));
        let since = Instant::now();
        let said = loop {
            let byte = if framing.starts_with('T') { "1\r\nx\r\n" } else { "x" };
            let sent = dripping.try_send(byte);
            match dripping.read_some(Instant::now() + Duration::from_millis(30)) {
                Ok(bytes) => break String::from_utf8_lossy(&bytes).into_owned(),
                Err(_) => assert!(sent.is_ok(), "closed without an answer"),
            }
            assert!(since.elapsed() < Duration::from_secs(5), "progress must not move the deadline");
        };
        assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
        assert!(said.contains("BODY_TIMEOUT"), "{said}");
    }
    hub.get("/sessions/demo").expect_problem(404, "SESSION_NOT_FOUND");
    eventually!(hub.stats().request_bytes(), |bytes| *bytes == asking);
}

#[test]
fn threat_18_deep_json_and_bombs_of_small_things_are_bounded() {
    let hub = HubProcess::start(WATERTIGHT);
    let post = |content_type: &str, body: String| hub.client().post(EVENTS, content_type, body);
    let before = hub.process().anon();
    // Data is carried as its text: depth costs what the text costs, and nobody climbs down.
    let mut stream = hub.subscribe("demo");
    for depth in [200, 1_000, 30_000] {
        let data = format!("{}1{}", "{\"a\":[".repeat(depth), "]}".repeat(depth));
        let _ = post("application/json", format!("{{\"data\":{data}}}")).expect(202);
        assert_eq!(stream.next_event().data, data);
    }
    drop(stream);
    let published = hub.stats().number("metrics.eventsPublished");
    let closed = format!("{{\"data\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    post("application/json", closed).expect_problem(413, "EVENT_TOO_LARGE");
    for open in ["[", "{\"data\":", "[{\"data\":", "{\"data\":["] {
        for depth in [1_000, 100_000, 500_000] {
            let answer = post("application/json", open.repeat(depth));
            assert_eq!(answer.status, 400, "{open} {depth} times: {answer:?}");
        }
    }
    // Counts are capped beside bytes.
    let million = "{\"data\":1},".repeat(700_000);
    post("application/json", format!("[{million}{{\"data\":1}}]")).expect_problem(413, "TOO_MANY_EVENTS");
    post("application/x-ndjson", "{\"data\":1}\n".repeat(700_000)).expect_problem(413, "TOO_MANY_EVENTS");
    // Lines without anything in them are none.
    let nothing = post("application/x-ndjson", "\n".repeat(8_000_000)).expect(202);
    assert_eq!(nothing.json()["ids"].as_array().map(Vec::len), Some(0));
    post("application/json", " ".repeat(8_000_000)).expect_problem(400, "MALFORMED_JSON");
    post("application/json", format!("{{\"data\":1,{}\"x\":1}}", "\"data\":1,".repeat(100_000)))
        .expect_problem(400, "MALFORMED_BODY");
    post("application/json", r#"[["tick", 1]]"#.into()).expect_problem(400, "MALFORMED_BODY");
    let grown = hub.process().anon().saturating_sub(before);
    println!("the bombs left {grown} bytes");
    assert!(grown < 64 << 20, "bombs of small things left {grown} bytes");
    assert_eq!(hub.stats().number("metrics.eventsPublished"), published);
}

#[test]
fn threat_18_an_event_of_nothing_but_line_breaks_is_bounded() {
    // CVE-2026-32689's payload: each line break of the data is a line of the stream.
    let hub = HubProcess::start(WATERTIGHT);
    let mut stream = hub.subscribe("demo");
    let bomb = "\n".repeat(256 * 1024);
    let before = hub.stats().used_bytes();
    for _ in 0..20 {
        hub.publish_text("demo", &bomb);
        assert_eq!(stream.next_event().data.len(), bomb.len());
    }
    let used = hub.stats().used_bytes() - before;
    // Seven bytes of stream for one of data, and still within the session's history.
    assert!(used <= (8 << 20) + 4096, "20 bombs are charged with {used} bytes");
    let answer = hub.client().request("GET", format!("{EVENTS}?wait=0&replay=all&limit=1000"));
    let answer = answer.header("Accept", "application/json").send().expect(200);
    assert!(answer.body.len() < 4 << 20, "one long-poll answers with {} bytes", answer.body.len());
}

#[test]
fn threat_19_a_stream_is_never_compressed_and_each_event_leaves_at_once() {
    for builder in [HubProcess::builder(WATERTIGHT), HubProcess::builder(WATERTIGHT).tls()] {
        let hub = builder.start();
        let asks = [("Accept-Encoding", "gzip, deflate, br, zstd, *;q=1")];
        let mut stream = hub.subscribe_with("demo", "", &asks);
        let head = stream.head().clone();
        assert_eq!(head.header("content-encoding"), None, "{head:?}");
        assert_eq!(head.header("cache-control"), Some("no-store, no-transform"), "{head:?}");
        assert_eq!(head.header("x-accel-buffering"), Some("no"), "{head:?}");
        // One small event at a time: nothing waits for company.
        for n in 0..50 {
            let (event, took) = timed(|| {
                hub.publish_text("demo", &n.to_string());
                stream.next_event()
            });
            assert_eq!(event.data, n.to_string());
            // The heartbeat, which would take it along, comes after 15 s.
            assert!(took < Duration::from_secs(10), "event {n} came after {took:?}");
        }
        // Compressed are the files of the page alone, which are the same for all: nobody's secret has a length in them.
        for path in ["/stats", "/metrics", "/openapi.json", "/sessions/demo/events?wait=0&replay=all"] {
            let request = hub.client().request("GET", path).header("Accept", "application/json");
            let answer = request.header("Accept-Encoding", "gzip, br").send().expect(200);
            assert_eq!(answer.header("content-encoding"), None, "{path}");
        }
    }
}
