//! Requests as the field sends them: hosts, pages that rebind a name, heads that no parser takes, clients that write
//! before they read or close their side early.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use watertight_testkit::{
    ConnectOptions, HubBuilder, HubProcess, PATIENCE, RawConnection, Response, SseReader, eventually,
};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");
const EVENTS: &str = "/sessions/demo/events";

/// A hub that knows its own hosts and two more.
fn strict() -> HubBuilder {
    HubProcess::builder(WATERTIGHT).flag("--allowed-hosts", "events.example.com,hub:81")
}

/// What is answered to a head with exactly these lines, and whether the connection ends behind it.
fn answer(hub: &HubProcess, method: &str, target: &str, lines: &[&str]) -> Response {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let mut connection = RawConnection::connect(hub.address());
    connection.send(format!("{method} {target} HTTP/1.1\r\n{lines}\r\n"));
    connection.read_response(method)
}

#[test]
fn a_request_without_a_host_or_with_two_or_with_nonsense_is_refused_and_the_connection_closed() {
    let hub = HubProcess::start(WATERTIGHT);
    for lines in
        ["", "Host: hub\r\nHost: hub\r\n", "Host: hub\r\nhost: evil\r\n", "Host: a b\r\n", "Host: a/b\r\n"]
    {
        let mut connection = RawConnection::connect(hub.address());
        connection.send(format!("GET /stats HTTP/1.1\r\n{lines}\r\n"));
        connection.read_response("GET").expect_problem(400, "INVALID_HOST");
        assert_eq!(connection.expect_closed(PATIENCE), "", "{lines:?}");
    }
    // HTTP/1.0 knows no Host.
    let mut old = RawConnection::connect(hub.address());
    old.send("GET /stats HTTP/1.0\r\n\r\n");
    let _ = old.read_response("GET").expect(200);
    let mut old = RawConnection::connect(hub.address());
    old.send("GET /stats HTTP/1.0\r\nHost: hub\r\nHost: hub\r\n\r\n");
    old.read_response("GET").expect_problem(400, "INVALID_HOST");
}

#[test]
fn a_head_that_no_parser_takes_is_refused_with_a_problem() {
    let hub = HubProcess::start(WATERTIGHT);
    let many: String = (0..100).map(|n| format!("x-{n}: y\r\n")).collect();
    let large = format!("x: {}\r\n", "a".repeat(17_000));
    let huge = format!("/{}", "a".repeat(100_000));
    for (target, lines, status, code) in [
        ("/stats", "no colon\r\n", 400, "MALFORMED_REQUEST"),
        ("/stats", "bad name: x\r\n", 400, "MALFORMED_REQUEST"),
        ("/stats", "Content-Length: 0x3\r\n", 400, "MALFORMED_REQUEST"),
        ("/stats", "Content-Length: 18446744073709551615\r\n", 400, "MALFORMED_REQUEST"),
        ("/stats", "Content-Length: 99999999999999999999\r\n", 400, "MALFORMED_REQUEST"),
        ("/stats", &many, 431, "HEAD_TOO_LARGE"),
        ("/stats", &large, 431, "HEAD_TOO_LARGE"),
        (&huge, "", 431, "HEAD_TOO_LARGE"),
    ] {
        for first in ["", "GET /health/live HTTP/1.1\r\nHost: hub\r\n\r\n"] {
            let mut connection = RawConnection::connect(hub.address());
            connection.send(format!("{first}GET {target} HTTP/1.1\r\nHost: hub\r\n{lines}\r\n"));
            if !first.is_empty() {
                let _ = connection.read_response("GET").expect(200);
            }
            let refused = connection.read_response("GET");
            refused.expect_problem(status, code);
            assert_eq!(refused.header("connection"), Some("close"), "{refused:?}");
            assert_eq!(connection.expect_closed(PATIENCE), "", "{lines:?}");
        }
    }
}

#[test]
fn a_page_that_rebinds_its_name_to_the_hub_reaches_nothing() {
    let hub = strict().start();
    hub.publish_text("a", "x");
    let port = hub.address().port();
    let evil = format!("Host: evil.com:{port}");
    let origin = format!("Origin: http://evil.com:{port}");
    let lies = ["Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: none", "X-Forwarded-Host: localhost"];
    for (method, target) in [
        ("DELETE", "/sessions/a"),
        ("GET", "/sessions"),
        ("GET", "/sessions/a/events"),
        ("OPTIONS", "/sessions/a/events"),
        ("POST", "/sessions/a/events"),
        ("GET", "/"),
        ("GET", "/nowhere"),
    ] {
        for lie in lies {
            let refused = answer(&hub, method, target, &[&evil, &origin, lie, "Content-Length: 0"]);
            let problem = refused.expect_problem(421, "HOST_NOT_ALLOWED");
            assert!(problem["detail"].as_str().unwrap().contains("allowed_hosts"), "{problem}");
        }
    }
    assert_eq!(hub.get("/sessions/a").expect(200).json()["events"], 1);
    for host in [&format!("localhost:{port}"), "LOCALHOST", "127.0.0.1", "[::1]:9"] {
        let _ = answer(&hub, "GET", "/stats", &[&format!("Host: {host}")]).expect(200);
    }
}

#[test]
fn allowed_hosts_are_served_and_an_open_hub_without_a_list_serves_any() {
    let hub = strict().start();
    for (host, status) in [
        ("events.example.com", 200),
        ("Events.Example.com:8443", 200),
        ("hub:81", 200),
        ("hub", 421),
        ("example.com", 421),
        ("127.0.0.1", 200),
    ] {
        let _ = answer(&hub, "GET", "/stats", &[&format!("Host: {host}")]).expect(status);
    }
    let open = HubProcess::builder(WATERTIGHT).arg("--insecure-open").start();
    let _ = answer(&open, "GET", "/stats", &["Host: anything.example"]).expect(200);
    let listed = HubProcess::builder(WATERTIGHT)
        .arg("--insecure-open")
        .flag("--allowed-hosts", "events.example.com")
        .start();
    let _ = answer(&listed, "GET", "/stats", &["Host: anything.example"]).expect(421);
    let _ = answer(&listed, "GET", "/stats", &["Host: events.example.com"]).expect(200);
}

#[test]
fn what_the_browser_says_of_a_page_is_believed_before_its_origin_is_compared_with_the_host() {
    let hub = HubProcess::start(WATERTIGHT);
    let delete = |lines: &[&str]| {
        hub.publish_text("a", "x");
        answer(&hub, "DELETE", "/sessions/a", lines)
    };
    for lines in [
        // nginx without `proxy_set_header Host` sends the name of its upstream.
        &["Host: hub", "Origin: https://events.example.com", "Sec-Fetch-Site: same-origin"][..],
        &["Host: hub", "Origin: https://events.example.com", "Sec-Fetch-Site: none"],
        &["Host: hub:80", "Origin: http://hub"],
        &["Host: hub", "Origin: http://hub:80"],
        &["Host: hub:443", "Origin: https://hub"],
        &["Host: hub", "Origin: https://hub"],
        &["Host: HUB", "Origin: http://hub", "Sec-Fetch-Site: cross-site"],
    ] {
        let _ = delete(lines).expect(204);
    }
    for lines in [
        &["Host: hub", "Origin: https://evil.org"][..],
        &["Host: hub", "Origin: https://evil.org", "Sec-Fetch-Site: cross-site"],
        &["Host: hub", "Origin: https://evil.org", "Sec-Fetch-Site: same-site"],
        &["Host: hub", "Origin: null"],
        &["Host: hub:8080", "Origin: http://hub"],
        &["Host: hub:80", "Origin: https://hub"],
        &["Host: hub", "Origin: http://hub.evil.org"],
    ] {
        delete(lines).expect_problem(403, "ORIGIN_NOT_ALLOWED");
    }
}

#[test]
fn an_id_is_taken_however_its_parameter_is_spelt() {
    let hub = HubProcess::start(WATERTIGHT);
    let ids: Vec<_> = (0..3).map(|n| hub.publish_text("demo", &n.to_string())).collect();
    for name in
        ["Last-Event-ID", "last-event-id", "last_event_id", "lastEventId", "LASTEVENTID", "Last_Event-Id"]
    {
        assert_eq!(
            hub.subscribe_with("demo", &format!("{name}={}", ids[1]), &[]).next_event().data,
            "2",
            "{name}"
        );
    }
    // An empty one is not there.
    let both = format!("last_event_id=&lastEventId={}&replay=", ids[1]);
    assert_eq!(hub.subscribe_with("demo", &both, &[]).next_event().data, "2");
    // One that is no text is no id, as in the header.
    assert_eq!(hub.subscribe_with("demo", "last_event_id=%FF", &[]).expect_gap().reason, "unknown_id");
}

#[test]
fn a_parameter_that_is_unknown_or_of_no_use_is_refused_with_what_was_meant() {
    let hub = HubProcess::start(WATERTIGHT);
    for (method, target, content_type, says) in [
        ("GET", "/sessions/demo/events?repaly=all", "", "replay"),
        ("GET", "/sessions/demo/events?lastEventIdd=x", "", "last_event_id"),
        ("GET", "/sessions/demo/events?Replay=all", "", "replay"),
        ("GET", "/sessions/demo/events?foo=1", "", "last_event_id, after, replay, wait, limit"),
        ("GET", "/sessions/demo/events?foo", "", "replay"),
        ("GET", "/sessions/demo/events?wait=1", "", "wait"),
        ("GET", "/sessions?limt=5", "", "limit"),
        ("GET", "/connections?curser=5", "", "cursor"),
        ("GET", "/stats?pretty=1", "", "pretty"),
        ("GET", "/metrics?name=x", "", "name"),
        ("POST", "/sessions/demo/events?tpye=x", "text/plain", "type"),
        ("POST", "/sessions/demo/events?type=x", "application/json", "type"),
        ("POST", "/sessions/demo/events?ttl=5", "application/x-ndjson", "ttl"),
        ("DELETE", "/sessions/demo?force=1", "", "force"),
    ] {
        let request = hub.client().request(method, target);
        let request = if content_type.is_empty() {
            request
        } else {
            request.header("Content-Type", content_type).body("{\"data\":1}")
        };
        let problem = request.send().expect_problem(400, "INVALID_PARAMETER");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{target}: {problem}");
    }
    assert_eq!(hub.stats().number("totalSessions"), 0, "nothing was made or published");
}

#[test]
fn a_body_that_is_not_what_the_hub_reads_is_refused_for_what_it_is() {
    let hub = HubProcess::start(WATERTIGHT);
    let text = "Content-Type: text/plain";
    for (lines, status, code) in [
        (&[text, "Transfer-Encoding: gzip, chunked"][..], 415, "UNSUPPORTED_ENCODING"),
        (
            &[text, "Content-Encoding: identity", "Content-Encoding: gzip", "Content-Length: 3"],
            415,
            "UNSUPPORTED_ENCODING",
        ),
        (&["Content-Type: text/plain;charset=utf-16le", "Content-Length: 3"], 415, "UNSUPPORTED_MEDIA_TYPE"),
        (
            &["Content-Type: application/json; charset=\"iso-8859-1\"", "Content-Length: 3"],
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        (&[text, "Content-Type: application/json", "Content-Length: 3"], 415, "UNSUPPORTED_MEDIA_TYPE"),
        (&[text, "Idempotency-Key: two words", "Content-Length: 3"], 400, "INVALID_IDEMPOTENCY_KEY"),
        (
            &[text, "Idempotency-Key: a", "Idempotency-Key: b", "Content-Length: 3"],
            400,
            "INVALID_IDEMPOTENCY_KEY",
        ),
    ] {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let body = if lines.contains("chunked") { "3\r\nhey\r\n0\r\n\r\n" } else { "hey" };
        let mut connection = RawConnection::connect(hub.address());
        connection.send(format!("POST {EVENTS} HTTP/1.1\r\nHost: hub\r\n{lines}\r\n{body}"));
        connection.read_response("POST").expect_problem(status, code);
    }
    assert_eq!(hub.stats().number("totalSessions"), 0);
    for charset in ["utf-8", "UTF-8", "\"utf-8\"", "us-ascii"] {
        let content_type = format!("text/plain; charset={charset}");
        let _ = hub.client().post(EVENTS, &content_type, "x").expect(202);
    }
    // A length of nothing is no body.
    let _ = answer(&hub, "GET", "/stats", &["Host: hub", "Content-Length: 00"]).expect(200);
}

#[test]
fn a_byte_order_mark_is_no_part_of_json() {
    let hub = HubProcess::start(WATERTIGHT);
    let mut stream = hub.subscribe("demo");
    for (content_type, body) in [
        ("application/json", "\u{feff}{\"data\":1}"),
        ("application/json", "\u{feff}[{\"data\":1}]"),
        ("application/x-ndjson", "\u{feff}{\"data\":1}\n"),
    ] {
        let _ = hub.client().post(EVENTS, content_type, body).expect(202);
        assert_eq!(stream.next_event().data, "1");
    }
}

#[test]
fn a_slash_at_the_end_changes_nothing() {
    let hub = HubProcess::start(WATERTIGHT);
    let _ = hub.client().post("/sessions/demo/events/", "text/plain", "x").expect(202);
    assert_eq!(hub.subscribe_with("demo", "", &[]).head().status, 200);
    for path in
        ["/stats/", "/sessions/", "/sessions/demo/", "/health/live/", "/metrics/", "/sessions/?limit=1"]
    {
        let _ = hub.get(path).expect(200);
    }
    let mut stream = SseReader::open(hub.address(), "/sessions/demo/events/?replay=all", &[]);
    assert_eq!(stream.next_event().data, "x");
}

#[test]
fn metrics_are_text_for_whoever_does_not_ask_for_openmetrics() {
    let hub = HubProcess::start(WATERTIGHT);
    let ask = |accept: Option<&str>| {
        let request = hub.client().request("GET", "/metrics");
        accept
            .into_iter()
            .fold(request, |request, accept| request.header("Accept", accept))
            .send()
            .expect(200)
    };
    for accept in [
        None,
        Some("text/plain;version=0.0.4"),
        Some("*/*"),
        Some("application/openmetrics-text;q=0.1, text/plain"),
    ] {
        let answer = ask(accept);
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; version=0.0.4; charset=utf-8"),
            "{accept:?}"
        );
        let text = answer.text();
        assert!(
            text.contains(
                "# TYPE watertight_events_published_total counter\nwatertight_events_published_total 0\n"
            ),
            "{text}"
        );
        assert!(!text.contains("# EOF") && !text.contains("# UNIT"), "{text}");
    }
    // What Prometheus sends.
    let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                      text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    let answer = ask(Some(prometheus));
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(answer.header("content-type"), Some(content_type));
    assert!(answer.text().ends_with("# EOF\n"));
}

/// `nc -N` closes its side as soon as its request is sent.
#[test]
fn whoever_closes_its_side_behind_a_complete_request_gets_the_answer() {
    let hub = HubProcess::start(WATERTIGHT);
    {
        let options = hub.client().options();
        for (method, head, status) in [
            ("GET", "GET /stats HTTP/1.1\r\nHost: hub\r\n\r\n".to_owned(), 200),
            (
                "POST",
                format!(
                    "POST {EVENTS} HTTP/1.1\r\nHost: hub\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nhey"
                ),
                202,
            ),
            (
                "POST",
                format!(
                    "POST {EVENTS} HTTP/1.1\r\nHost: hub\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhey\r\n0\r\n\r\n"
                ),
                202,
            ),
            ("GET", "GET /openapi.json HTTP/1.1\r\nHost: hub\r\n\r\n".to_owned(), 200),
            ("GET", "GET /stats HTTP/1.0\r\n\r\n".to_owned(), 200),
        ] {
            for _ in 0..20 {
                let mut connection = RawConnection::connect_with(hub.address(), options).unwrap();
                connection.send(&head);
                connection.half_close();
                let _ = connection.read_response(method).expect(status);
                assert_eq!(connection.expect_closed(PATIENCE), "");
            }
        }
        assert_eq!(hub.stats().number("metrics.eventsPublished"), 40);
        // What is not complete is not waited for.
        let mut half = RawConnection::connect_with(hub.address(), options).unwrap();
        half.send(format!(
            "POST {EVENTS} HTTP/1.1\r\nHost: hub\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nhey"
        ));
        eventually!(hub.stats().live("request") == 2);
        half.half_close();
        eventually!(hub.stats().live("request") == 1);
    }
}

#[test]
fn whoever_closes_its_side_while_a_stream_or_a_poll_waits_has_left() {
    for builder in [HubProcess::builder(WATERTIGHT), HubProcess::builder(WATERTIGHT).tls()] {
        let hub = builder.start();
        for accept in ["text/event-stream", "application/json"] {
            let mut connection = RawConnection::connect_with(hub.address(), hub.client().options()).unwrap();
            connection.send_get(EVENTS, &[("Accept", accept)]);
            eventually!(hub.stats().live("subscription") == 1);
            connection.half_close();
            eventually!(hub.stats().live("subscription") == 0);
            // At once as well as later.
            let mut connection = RawConnection::connect_with(hub.address(), hub.client().options()).unwrap();
            connection.send_get(EVENTS, &[("Accept", accept)]);
            connection.half_close();
            connection.expect_closed(PATIENCE);
            eventually!(hub.stats().live("subscription") == 0);
        }
    }
}

#[test]
fn a_client_that_writes_all_before_it_reads_gets_its_refusal() {
    let hub = HubProcess::start(WATERTIGHT);
    for megabytes in [3, 20] {
        for (kind, code) in [("application/json", "BODY_TOO_LARGE"), ("text/plain", "EVENT_TOO_LARGE")] {
            if megabytes == 3 && kind == "application/json" {
                continue;
            }
            for _ in 0..5 {
                let body = vec![b'x'; megabytes << 20];
                let mut connection =
                    RawConnection::connect_with(hub.address(), &ConnectOptions::default()).unwrap();
                connection.send(format!("POST {EVENTS} HTTP/1.1\r\nHost: hub\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len()));
                connection.send(&body);
                connection.read_response("POST").expect_problem(413, code);
            }
        }
    }
    assert_eq!(hub.stats().number("totalSessions"), 0);
}
