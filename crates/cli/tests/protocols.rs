//! The same stream over HTTP/1.0, HTTP/1.1, HTTP/2 and TLS.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::ops::ControlFlow;

use watertight_testkit::http2::{Frame, Http2, kind};
use watertight_testkit::{
    HubProcess, PATIENCE, Process, Program, RawConnection, SseItem, SseReader, eventually,
};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

/// The body of a stream that began live and carried these events, as curl prints it; its opening stripped.
fn body(ids: &[String]) -> String {
    ids.iter().enumerate().map(|(n, id)| format!("id: {id}\nevent: tick\ndata: {n}\n\n")).collect()
}

fn without_opening(text: &str) -> String {
    text.split_once("\n\n").map_or(String::new(), |(opening, rest)| {
        assert!(opening.starts_with(": watertight\nretry: "), "{opening:?}");
        rest.to_owned()
    })
}

fn publish(hub: &HubProcess, session: &str) -> Vec<String> {
    (0..50).flat_map(|n| hub.publish_json(session, &serde_json::json!({"type": "tick", "data": n}))).collect()
}

#[test]
fn curl_gets_the_same_bytes_over_every_protocol() {
    let plain = HubProcess::start(WATERTIGHT);
    let tls = HubProcess::builder(WATERTIGHT).tls().start();
    let cases: [(&HubProcess, &[&str], &str); 5] = [
        (&plain, &["--http1.0"], "HTTP/1.0 200"),
        (&plain, &["--http1.1"], "HTTP/1.1 200"),
        (&plain, &["--http2-prior-knowledge"], "HTTP/2 200"),
        (&tls, &["-k", "--http1.1"], "HTTP/1.1 200"),
        (&tls, &["-k", "--http2"], "HTTP/2 200"),
    ];
    for (hub, flags, status) in cases {
        let url = hub.url("/sessions/demo/events");
        let head = hub.dir().join("head");
        let head_file = head.to_str().unwrap();
        let mut arguments = vec!["-sN", "-D", head_file, &url];
        arguments.extend(flags);
        let curl = Program::start("curl", arguments);
        eventually!(curl.text().contains("\n\n"));
        let expected = body(&publish(hub, "demo"));
        eventually!(without_opening(&curl.text()), |text| *text == expected);
        let head = std::fs::read_to_string(&head).unwrap();
        // curl asks in HTTP/1.0; a server answers with its own version, and without chunks.
        let is_status = head.starts_with(status) || (status == "HTTP/1.0 200" && head.starts_with("HTTP/1."));
        assert!(is_status, "{flags:?}: {head}");
        assert!(head.to_lowercase().contains("content-type: text/event-stream"), "{flags:?}: {head}");
        let http2 = status.starts_with("HTTP/2") || status.starts_with("HTTP/1.0");
        assert!(!(http2 && head.to_lowercase().contains("transfer-encoding")), "{flags:?}: {head}");
        hub.client().delete("/sessions/demo").expect(204);
        let closing_event =
            "event: error\ndata: {\"error\":\"Session ended\",\"code\":\"SESSION_ENDED\"}\n\n";
        eventually!(curl.text().ends_with(closing_event));
    }
}

#[test]
fn curl_ends_by_itself_when_the_stream_does() {
    let hub = HubProcess::start(WATERTIGHT);
    for flags in [&["--http1.0"][..], &["--http1.1"], &["--http2-prior-knowledge"]] {
        hub.publish_text("demo", "last words");
        let url = hub.url("/sessions/demo/events?replay=all");
        let mut curl = Program::start("curl", flags.iter().copied().chain(["-sSN", &url]));
        eventually!(curl.text().contains("last words"));
        hub.client().delete("/sessions/demo").expect(204);
        // Exit code 0: the body ended as its protocol says it ends, not by a connection that broke.
        curl.finish(PATIENCE);
    }
}

#[test]
fn resume_and_refusals_work_over_http2() {
    let hub = HubProcess::start(WATERTIGHT);
    let ids = publish(&hub, "demo");
    let url = hub.url("/sessions/demo/events");
    let header = format!("Last-Event-ID: {}", ids[39]);
    let curl = Program::start("curl", ["-sN", "--http2-prior-knowledge", "-H", &header, &url]);
    let expected = body(&ids);
    let expected = &expected[expected.find(&ids[40]).unwrap() - "id: ".len()..];
    eventually!(without_opening(&curl.text()), |text| *text == expected);

    let nonsense = Program::start("curl", ["-sN", "--http2-prior-knowledge", "-H", "Last-Event-ID: x", &url]);
    eventually!(nonsense.text(), |text| text.contains("event: gap") && text.ends_with("data: 49\n\n"));

    let refused = ["-sS", "--http2-prior-knowledge", "-d", "{", "-H", "Content-Type: application/json", &url];
    let problem = Program::start("curl", refused).finish(PATIENCE);
    assert!(String::from_utf8_lossy(&problem).contains("MALFORMED_JSON"));
}

#[test]
fn many_streams_share_one_http2_connection_and_leave_with_it() {
    const STREAMS: usize = 40;
    let hub = HubProcess::builder(WATERTIGHT).tls().start();
    let mut arguments: Vec<String> =
        ["-skN", "-Z", "--parallel-max", "40", "--http2"].map(str::to_owned).to_vec();
    for n in 0..STREAMS {
        arguments.push(hub.url(&format!("/sessions/s{n}/events")));
        arguments.push("-o".into());
        arguments.push(hub.dir().join(format!("out{n}")).to_string_lossy().into_owned());
    }
    let curl = Program::start("curl", arguments);
    eventually!(hub.stats().live("subscription"), |live| *live == STREAMS as u64);
    let stats = hub.stats();
    assert!(stats.live("connection") <= 3, "one for all, and the one that asks: {:?}", stats.ledger());
    for n in 0..STREAMS {
        hub.publish_text(&format!("s{n}"), &format!("only for {n}"));
    }
    for n in 0..STREAMS {
        let read = || std::fs::read_to_string(hub.dir().join(format!("out{n}"))).unwrap_or_default();
        eventually!(read(), |text| text.ends_with(&format!("\ndata: only for {n}\n\n")));
    }
    drop(curl);
    eventually!(hub.stats().live("subscription"), |live| *live == 0);
}

#[test]
fn a_client_of_http_1_0_gets_a_stream_that_the_end_of_the_connection_ends() {
    let hub = HubProcess::start(WATERTIGHT);
    let mut connection = RawConnection::connect(hub.address());
    connection.send("GET /sessions/demo/events HTTP/1.0\r\n\r\n");
    let mut stream = SseReader::over(connection).unwrap();
    assert_eq!(stream.head().header("transfer-encoding"), None);
    hub.publish_text("demo", "hello");
    assert_eq!(stream.next_event().data, "hello");
    hub.client().delete("/sessions/demo").expect(204);
    let (events, end) = stream.rest();
    assert_eq!((events.len(), end), (1, watertight_testkit::End::Closed));
}

#[test]
fn what_comes_behind_the_request_does_not_end_a_stream_whatever_carries_it() {
    let builder =
        || HubProcess::builder(WATERTIGHT).flag("--head-timeout", "0.2").flag("--heartbeat-interval", "0.1");
    let (plain, tls) = (builder().start(), builder().tls().start());
    for (hub, version) in [(&plain, "1.1"), (&plain, "1.0"), (&tls, "1.1")] {
        for junk in ["x", "GET / HTTP/1.1\r\nHost: hub\r\n\r\n", "\r\n"] {
            let mut connection = RawConnection::connect_with(hub.address(), hub.client().options()).unwrap();
            connection.send(format!("GET /sessions/demo/events HTTP/{version}\r\nHost: hub\r\n\r\n{junk}"));
            let mut stream = SseReader::over(connection).unwrap();
            stream.connection().send(junk);
            // Well past the time a head may take: the request's was complete, and there is no other.
            for _ in 0..4 {
                let item = stream.next_item();
                assert_eq!(item, SseItem::Comment(String::new()), "HTTP/{version} with {junk:?}");
            }
            hub.publish_text("demo", "hello");
            assert_eq!(stream.next_event().data, "hello", "HTTP/{version} with {junk:?}");
        }
    }
}

#[test]
fn head_answers_with_the_head_and_subscribes_nobody() {
    let hub = HubProcess::start(WATERTIGHT);
    let mut connection = RawConnection::connect(hub.address());
    for path in ["/sessions/demo/events", "/stats", "/", "/health/live"] {
        connection.send(format!("HEAD {path} HTTP/1.1\r\nHost: hub\r\n\r\n"));
        let answer = connection.read_response("HEAD").expect(200);
        assert!(answer.header("content-type").is_some(), "{path}: {answer:?}");
    }
    // The answers had no bodies, or this would not be the next.
    connection.send("GET /stats HTTP/1.1\r\nHost: hub\r\n\r\n");
    let stats = watertight_testkit::Stats::new(connection.read_response("GET").expect(200).json());
    assert_eq!(stats.ledger().counts("subscription").opened, 0);
    assert_eq!(stats.number("totalSessions"), 0);
}

#[test]
fn plain_words_on_a_tls_port_and_tls_on_a_plain_one_are_closed_without_harm() {
    let tls = HubProcess::builder(WATERTIGHT).tls().start();
    let mut connection = RawConnection::connect(tls.address());
    connection.send("GET / HTTP/1.1\r\nHost: hub\r\n\r\n");
    assert!(!connection.expect_closed(PATIENCE).contains("200 OK"));
    tls.get("/health/live").expect(200);

    let plain = HubProcess::start(WATERTIGHT);
    let mut connection = RawConnection::connect(plain.address());
    connection.send(b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03");
    connection.half_close();
    let _ = connection.expect_closed(PATIENCE);
    plain.get("/health/live").expect(200);
}

#[test]
fn a_curl_that_is_killed_leaves_nothing() {
    let hub = HubProcess::builder(WATERTIGHT).tls().start();
    let url = hub.url("/sessions/demo/events");
    for flags in [["-skN", "--http1.1"], ["-skN", "--http2"]] {
        let curl = Program::start("curl", flags.into_iter().chain([url.as_str()]));
        eventually!(curl.text().contains("\n\n"));
        let process: Process = curl.process();
        drop(curl);
        assert!(!process.is_alive());
        eventually!(hub.stats().live("subscription"), |live| *live == 0);
    }
}

#[test]
fn head_over_http2_is_answered_without_a_body_whoever_answers_it() {
    let hub = HubProcess::start(WATERTIGHT);
    let mut connection = Http2::connect(&hub, &[]);
    // A route, no route, and what is refused before the routes.
    let long = format!("/sessions/{}/events", "x".repeat(9_000));
    for (stream, path, status) in
        [(1, "/sessions/a/events", 200), (3, "/stats", 200), (5, "/nowhere", 404), (7, &*long, 414)]
    {
        connection.send(&[Frame::head(stream, path)]).unwrap();
        let (mut seen, mut body_bytes) = (None, 0);
        let is_over = connection.read_until(PATIENCE, |frame| {
            if frame.stream != stream {
                return ControlFlow::Continue(());
            }
            match frame.kind {
                kind::HEADERS => seen = frame.status(),
                kind::DATA => body_bytes += frame.payload.len(),
                _ => {}
            }
            if frame.ends_stream() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(is_over, "{path:.40}");
        assert_eq!((seen, body_bytes), (Some(status), 0), "{path:.40}");
    }
}
