//! Bad input: a clear `application/problem+json` with a stable code, and nothing lost.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use watertight_testkit::{Client, ConnectOptions, HubProcess, PATIENCE, RawConnection, Response, eventually};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

const EVENTS: &str = "/sessions/demo/events";
const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const TEXT: &str = "text/plain";

/// A hub with small limits, so that what is too much is easily made.
fn strict_hub() -> HubProcess {
    HubProcess::builder(WATERTIGHT)
        .flag("--max-event-bytes", "1KiB")
        .flag("--max-body-bytes", "8KiB")
        .flag("--max-batch-events", 10)
        .flag("--max-session-name-bytes", 32)
        .flag("--max-uri-bytes", "1KiB")
        .flag("--max-sessions", 3)
        .start()
}

/// Query, content type, path, body, and the status and code of the refusal.
type Case<'a> = (&'a str, &'a str, &'a str, &'a [u8], u16, &'a str);

#[test]
fn what_cannot_be_published_is_refused_with_a_code_and_nothing_of_it_is_in_the_log() {
    let hub = strict_hub();
    let asking = hub.asking_bytes();
    let mut stream = hub.subscribe("demo");
    let big = "x".repeat(1025);
    let big_json = format!("{{\"data\":\"{big}\"}}");
    let big_body = format!("[{}]", vec![format!("{{\"data\":\"{}\"}}", "x".repeat(900)); 9].join(","));
    let eleven = format!("[{}]", ["{\"data\":1}"; 11].join(","));
    let eleven_lines = "{\"data\":1}\n".repeat(11);
    let good_then_big = format!("[{{\"data\":1}},{big_json}]");
    let deep = format!("{{\"data\":{}{}}}", "[".repeat(900), "]".repeat(900));
    let long_type = format!("{{\"type\":\"{}\",\"data\":1}}", "t".repeat(257));
    let long_type_query = format!("?type={}", "t".repeat(257));
    let long_name = format!("/sessions/{}/events", "n".repeat(33));
    let long_target = format!("{EVENTS}?x={}", "x".repeat(1024));
    let cases: &[Case<'_>] = &[
        // what is no JSON
        ("", JSON, EVENTS, b"", 400, "MALFORMED_JSON"),
        ("", JSON, EVENTS, b"{", 400, "MALFORMED_JSON"),
        ("", JSON, EVENTS, b"{\"data\":}", 400, "MALFORMED_JSON"),
        ("", JSON, EVENTS, b"hello", 400, "MALFORMED_JSON"),
        ("", JSON, EVENTS, b"{\"data\":1}{\"data\":2}", 400, "MALFORMED_JSON"),
        ("", JSON, EVENTS, b"[{\"data\":1},]", 400, "MALFORMED_JSON"),
        ("", JSON, EVENTS, b"[{\"data\":1}", 400, "MALFORMED_JSON"),
        ("", JSON, EVENTS, b"{\"data\":\"\xff\"}", 400, "MALFORMED_JSON"),
        ("", JSON, EVENTS, b"{\"data\":NaN}", 400, "MALFORMED_JSON"),
        ("", NDJSON, EVENTS, b"{\"data\":1}\n{\"data\":", 400, "MALFORMED_JSON"),
        ("", NDJSON, EVENTS, b"{\"data\":1} {\"data\":2}\n", 400, "MALFORMED_JSON"),
        // what is JSON and no event
        ("", JSON, EVENTS, b"null", 400, "MALFORMED_BODY"),
        ("", JSON, EVENTS, b"42", 400, "MALFORMED_BODY"),
        ("", JSON, EVENTS, b"{}", 400, "MALFORMED_BODY"),
        ("", JSON, EVENTS, b"{\"type\":\"x\"}", 400, "MALFORMED_BODY"),
        ("", JSON, EVENTS, b"{\"data\":1,\"id\":\"7\"}", 400, "MALFORMED_BODY"),
        ("", JSON, EVENTS, b"{\"data\":1,\"data\":2}", 400, "MALFORMED_BODY"),
        ("", JSON, EVENTS, b"{\"data\":1,\"type\":7}", 400, "MALFORMED_BODY"),
        ("", JSON, EVENTS, b"{\"data\":1,\"ttl\":\"5\"}", 400, "MALFORMED_BODY"),
        ("", JSON, EVENTS, b"[1]", 400, "MALFORMED_BODY"),
        ("", JSON, EVENTS, b"[[{\"data\":1}]]", 400, "MALFORMED_BODY"),
        ("", TEXT, EVENTS, b"caf\xe9", 400, "MALFORMED_BODY"),
        // fields that inject
        ("", JSON, EVENTS, b"{\"type\":\"a\\nid: 1\",\"data\":1}", 400, "INVALID_EVENT_TYPE"),
        ("", JSON, EVENTS, b"{\"type\":\"a\\r\",\"data\":1}", 400, "INVALID_EVENT_TYPE"),
        ("", JSON, EVENTS, b"{\"type\":\"\\u0000\",\"data\":1}", 400, "INVALID_EVENT_TYPE"),
        ("", JSON, EVENTS, long_type.as_bytes(), 400, "INVALID_EVENT_TYPE"),
        ("?type=a%0Ab", TEXT, EVENTS, b"x", 400, "INVALID_EVENT_TYPE"),
        ("?type=a%0Db", TEXT, EVENTS, b"x", 400, "INVALID_EVENT_TYPE"),
        ("?type=a%00b", TEXT, EVENTS, b"x", 400, "INVALID_EVENT_TYPE"),
        (&long_type_query, TEXT, EVENTS, b"x", 400, "INVALID_EVENT_TYPE"),
        // types that are the hub's own
        ("", JSON, EVENTS, b"{\"type\":\"gap\",\"data\":1}", 403, "RESERVED_EVENT_TYPE"),
        ("", JSON, EVENTS, b"[{\"data\":1},{\"type\":\"error\",\"data\":1}]", 403, "RESERVED_EVENT_TYPE"),
        ("?type=error", TEXT, EVENTS, b"x", 403, "RESERVED_EVENT_TYPE"),
        // times to live
        ("", JSON, EVENTS, b"{\"data\":1,\"ttl\":0}", 400, "INVALID_TTL"),
        ("", JSON, EVENTS, b"{\"data\":1,\"ttl\":-1}", 400, "INVALID_TTL"),
        ("", JSON, EVENTS, b"{\"data\":1,\"ttl\":1e300}", 400, "INVALID_TTL"),
        ("?ttl=0", TEXT, EVENTS, b"x", 400, "INVALID_TTL"),
        ("?ttl=NaN", TEXT, EVENTS, b"x", 400, "INVALID_TTL"),
        ("?ttl=soon", TEXT, EVENTS, b"x", 400, "INVALID_PARAMETER"),
        // too much
        ("", TEXT, EVENTS, big.as_bytes(), 413, "EVENT_TOO_LARGE"),
        ("", JSON, EVENTS, big_json.as_bytes(), 413, "EVENT_TOO_LARGE"),
        ("", JSON, EVENTS, good_then_big.as_bytes(), 413, "EVENT_TOO_LARGE"),
        ("", JSON, EVENTS, deep.as_bytes(), 413, "EVENT_TOO_LARGE"),
        ("", JSON, EVENTS, big_body.as_bytes(), 413, "BODY_TOO_LARGE"),
        ("", JSON, EVENTS, eleven.as_bytes(), 413, "TOO_MANY_EVENTS"),
        ("", NDJSON, EVENTS, eleven_lines.as_bytes(), 413, "TOO_MANY_EVENTS"),
        // kinds of body
        ("", "", EVENTS, b"x", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("", "application/x-www-form-urlencoded", EVENTS, b"x", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("", "application/xml", EVENTS, b"<x/>", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("", "text/plainly", EVENTS, b"x", 415, "UNSUPPORTED_MEDIA_TYPE"),
        // names
        ("", TEXT, "/sessions//events", b"x", 400, "INVALID_SESSION_NAME"),
        ("", TEXT, "/sessions/%2E/events", b"x", 400, "INVALID_SESSION_NAME"),
        ("", TEXT, "/sessions/../events", b"x", 400, "INVALID_SESSION_NAME"),
        ("", TEXT, "/sessions/a%00b/events", b"x", 400, "INVALID_SESSION_NAME"),
        ("", TEXT, "/sessions/a%0Ab/events", b"x", 400, "INVALID_SESSION_NAME"),
        ("", TEXT, "/sessions/%7F/events", b"x", 400, "INVALID_SESSION_NAME"),
        ("", TEXT, "/sessions/%C2%85/events", b"x", 400, "INVALID_SESSION_NAME"),
        ("", TEXT, &long_name, b"x", 400, "INVALID_SESSION_NAME"),
        ("", TEXT, &long_target, b"x", 414, "URI_TOO_LONG"),
        ("?type=%FF", TEXT, EVENTS, b"x", 400, "INVALID_PARAMETER"),
    ];
    for (query, content_type, path, body, status, code) in cases {
        let what = format!("{path}{query} {content_type} {:?}", String::from_utf8_lossy(body));
        println!("{:.100}", what);
        let mut request = hub.client().request("POST", format!("{path}{query}")).body(body);
        if !content_type.is_empty() {
            request = request.header("Content-Type", content_type);
        }
        if body.is_empty() {
            request = request.header("Content-Length", "0");
        }
        request.send().expect_problem(*status, code);
    }
    hub.publish_text("demo", "the only one");
    assert_eq!(stream.next_event().data, "the only one");
    assert_eq!(hub.stats().number("metrics.eventsPublished"), 1);
    eventually!(hub.stats().request_bytes(), |bytes| *bytes == asking);
}

#[test]
fn a_refused_batch_names_the_event_that_spoilt_it() {
    let hub = strict_hub();
    let post = |content_type: &str, body: &str| hub.client().post(EVENTS, content_type, body);
    let big = "x".repeat(1025);
    for (content_type, body, code, index) in [
        (JSON, r#"[{"data":1},{"data":2},{"type":"gap","data":3}]"#.to_owned(), "RESERVED_EVENT_TYPE", 2),
        (JSON, r#"[{"data":1},{"type":"a\nb","data":3}]"#.to_owned(), "INVALID_EVENT_TYPE", 1),
        (JSON, format!(r#"[{{"data":1}},{{"data":"{big}"}}]"#), "EVENT_TOO_LARGE", 1),
        (NDJSON, "{\"data\":1}\n\n{\"data\":2}\nnonsense\n".to_owned(), "MALFORMED_JSON", 2),
        (NDJSON, "{\"data\":1}\n{\"data\":2,\"ttl\":0}\n".to_owned(), "INVALID_TTL", 1),
    ] {
        let problem = post(content_type, &body).json();
        assert_eq!(
            (problem["code"].as_str(), problem["index"].as_u64()),
            (Some(code), Some(index)),
            "{problem}"
        );
    }
    assert_eq!(hub.stats().number("metrics.eventsPublished"), 0);
}

#[test]
fn a_batch_that_a_session_could_not_hold_at_once_is_refused_whole() {
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--max-queue-size", 50)
        .flag("--max-history-bytes-per-session", "64KiB")
        .flag("--max-event-bytes", "16KiB")
        .start();
    let batch = |events: usize, bytes: usize| {
        let event = format!("{{\"data\":\"{}\"}}\n", "x".repeat(bytes));
        hub.client().post(EVENTS, NDJSON, event.repeat(events))
    };
    batch(51, 10).expect_problem(413, "TOO_MANY_EVENTS");
    let refused = batch(5, 14_000).expect_problem(413, "BATCH_TOO_LARGE");
    assert_eq!(refused.get("index"), None, "no single event is wrong");
    assert_eq!(hub.stats().number("metrics.eventsPublished"), 0);
    assert_eq!(batch(50, 10).expect(202).json()["ids"].as_array().map(Vec::len), Some(50));
    assert_eq!(batch(4, 14_000).expect(202).json()["ids"].as_array().map(Vec::len), Some(4));
}

#[test]
fn a_body_is_taken_as_it_is_and_never_unpacked() {
    let hub = strict_hub();
    for encoding in ["gzip", "br", "deflate", "zstd", "identity, gzip"] {
        let request = hub.client().request("POST", EVENTS).header("Content-Type", TEXT);
        let answer = request.header("Content-Encoding", encoding).body("\x1f\u{8b}").send();
        answer.expect_problem(415, "UNSUPPORTED_ENCODING");
    }
    let request = hub.client().request("POST", EVENTS).header("Content-Type", TEXT);
    request.header("Content-Encoding", "identity").body("x").send().expect(202);
}

#[test]
fn paths_and_methods_that_lead_nowhere_say_so() {
    let hub = strict_hub();
    let ask = |method: &str, path: &str| hub.client().request(method, path).send();
    for (method, path, status, code) in [
        ("GET", "/nowhere", 404, "NOT_FOUND"),
        ("GET", "/sessions/demo/", 404, "SESSION_NOT_FOUND"),
        ("GET", "/nowhere/", 404, "NOT_FOUND"),
        ("GET", "/../etc/passwd", 404, "NOT_FOUND"),
        ("GET", "/sessions/none", 404, "SESSION_NOT_FOUND"),
        ("DELETE", "/sessions/none", 404, "SESSION_NOT_FOUND"),
        ("DELETE", "/connections/none", 404, "CONNECTION_NOT_FOUND"),
        ("PUT", EVENTS, 405, "METHOD_NOT_ALLOWED"),
        ("PATCH", EVENTS, 405, "METHOD_NOT_ALLOWED"),
        ("DELETE", EVENTS, 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/stats", 405, "METHOD_NOT_ALLOWED"),
        ("DELETE", "/sessions", 405, "METHOD_NOT_ALLOWED"),
        ("BREW", "/", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/sessions?limit=0", 400, "INVALID_PARAMETER"),
        ("GET", "/sessions?cursor=x", 400, "INVALID_PARAMETER"),
        ("GET", "/connections?limit=x", 400, "INVALID_PARAMETER"),
    ] {
        println!("{method} {path}");
        let answer = ask(method, path);
        answer.expect_problem(status, code);
        if status == 405 {
            assert!(answer.header("allow").is_some(), "{method} {path} says what is allowed: {answer:?}");
        }
    }
}

#[test]
fn a_body_where_none_belongs_is_refused_and_the_connection_closed() {
    let hub = strict_hub();
    for (method, path) in [("GET", EVENTS), ("GET", "/stats"), ("DELETE", "/sessions/demo")] {
        let mut connection = RawConnection::connect(hub.address());
        let hidden = "GET /health/live HTTP/1.1\r\nHost: hub\r\n\r\n";
        let length = hidden.len();
        connection.send(format!(
            "{method} {path} HTTP/1.1\r\nHost: hub\r\nContent-Length: {length}\r\n\r\n{hidden}"
        ));
        connection.read_response(method).expect_problem(400, "BODY_NOT_ALLOWED");
        let more = connection.expect_closed(PATIENCE);
        assert_eq!(more, "", "what was hidden in the body is not answered");
    }
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for_for_ever() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--body-timeout", "0.3").start();
    for sent in ["", "abc"] {
        let mut connection = RawConnection::connect(hub.address());
        connection.send(format!(
            "POST {EVENTS} HTTP/1.1\r\nHost: hub\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n{sent}"
        ));
        connection.read_response("POST").expect_problem(408, "BODY_TIMEOUT");
        connection.expect_closed(PATIENCE);
    }
    assert_eq!(hub.stats().number("metrics.eventsPublished"), 0);
}

#[test]
fn a_body_that_breaks_off_publishes_nothing() {
    let hub = HubProcess::start(WATERTIGHT);
    let asking = hub.asking_bytes();
    let heads = [
        ("Content-Type: text/plain\r\nContent-Length: 10\r\n", "abc"),
        ("Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n", "3\r\nabc\r\n"),
        ("Content-Type: application/x-ndjson\r\nContent-Length: 100\r\n", "{\"data\":1}\n{\"data\":2}\n"),
    ];
    for (head, body) in heads {
        let mut connection = RawConnection::connect(hub.address());
        connection.send(format!("POST {EVENTS} HTTP/1.1\r\nHost: hub\r\n{head}\r\n{body}"));
        eventually!(hub.stats().live("request") == 2);
        drop(connection);
        eventually!(hub.stats().live("request") == 1);
    }
    assert_eq!(hub.stats().number("metrics.eventsPublished"), 0);
    eventually!(hub.stats().request_bytes(), |bytes| *bytes == asking);
}

#[test]
fn one_session_too_many_is_refused_and_room_is_made_by_ending_one() {
    let hub = strict_hub();
    for name in ["a", "b", "c"] {
        hub.publish_text(name, "x");
    }
    let publish = || hub.client().post("/sessions/d/events", TEXT, "x");
    publish().expect_problem(503, "TOO_MANY_SESSIONS");
    hub.get("/sessions/d/events").expect_problem(503, "TOO_MANY_SESSIONS");
    let poll = hub.client().request("GET", "/sessions/d/events").header("Accept", JSON).send();
    poll.expect_problem(503, "TOO_MANY_SESSIONS");
    hub.publish_text("a", "those who are there go on");
    hub.client().delete("/sessions/b").expect(204);
    publish().expect(202);
}

#[test]
fn one_connection_too_many_is_refused_and_nobody_is_evicted_for_it() {
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--max-connections", 5)
        .flag("--max-connections-per-address", 3)
        .start();
    let from = |last: u8| ConnectOptions::from_address([0, 0, last]);
    let subscribe =
        |last: u8| watertight_testkit::SseReader::open_when_there_is_room(hub.address(), EVENTS, &from(last));
    let refused = |last: u8| -> Response { Client::with_options(hub.address(), from(last)).get("/stats") };
    let mut streams = vec![subscribe(2), subscribe(2), subscribe(2)];
    refused(2).expect_problem(429, "TOO_MANY_CONNECTIONS");
    streams.push(subscribe(3));
    streams.push(subscribe(3));
    refused(3).expect_problem(503, "TOO_MANY_CONNECTIONS");
    refused(4).expect_problem(503, "TOO_MANY_CONNECTIONS");
    drop(streams.pop());
    let client = Client::with_options(hub.address(), from(4));
    eventually!(client.request("POST", EVENTS).header("Content-Type", TEXT).body("x").send().status == 202);
    for stream in &mut streams {
        assert_eq!(stream.next_event().data, "x", "whoever was there is there");
    }
    drop(streams);
    let answer = eventually!(client.get("/stats"), |answer| answer.status == 200);
    assert!(answer.json()["metrics"]["connectionsRefused"].as_u64() >= Some(3), "{}", answer.text());
}

#[test]
fn what_is_no_http_gets_a_400_or_nothing_and_the_connection_is_closed() {
    let hub = strict_hub();
    for junk in [
        &b"\x00\x01\x02\x03\x04\x05"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon here\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n",
        b"GET /%zz HTTP/1.1\r\nHost: hub\r\nBad Name: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\njunk that is no frame at all",
    ] {
        let mut connection = RawConnection::connect(hub.address());
        connection.send(junk);
        let answer = connection.expect_closed(PATIENCE);
        let is_fine =
            answer.is_empty() || answer.starts_with("HTTP/1.1 400") || !answer.starts_with("HTTP/1");
        assert!(is_fine, "{:?}: {answer:?}", String::from_utf8_lossy(junk));
    }
    hub.get("/health/live").expect(200);
}
