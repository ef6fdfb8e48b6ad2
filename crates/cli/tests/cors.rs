//! Which pages of other origins may use the hub: those on the list, and no others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use watertight_testkit::{
    Client, ConnectOptions, HubProcess, RawConnection, Response, SseReader, eventually,
};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

const LISTED: &str = "https://app.example.com";
const EVENTS: &str = "/sessions/demo/events";

/// Origins that look like the listed one, and are not.
const STRANGERS: [&str; 10] = [
    "https://app.example.com.evil.org",
    "https://evil.org",
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://APP.example.com",
    "https://sub.app.example.com",
    "https://app.example.co",
    "https://evil.org/https://app.example.com",
    "null",
    "*",
];

fn ask(hub: &HubProcess, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    let request = hub.client().request(method, path);
    headers.iter().fold(request, |request, (name, value)| request.header(name, value)).send()
}

fn preflight(hub: &HubProcess, origin: &str) -> Response {
    let headers = [
        ("Origin", origin),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "last-event-id, idempotency-key, authorization, content-type"),
    ];
    ask(hub, "OPTIONS", EVENTS, &headers)
}

fn allowed(answer: &Response) -> Option<&str> {
    answer.header("access-control-allow-origin")
}

fn varies(answer: &Response) -> bool {
    let values = answer.headers.iter().filter(|(name, _)| name == "vary");
    values.flat_map(|(_, value)| value.split(',')).any(|name| name.trim().eq_ignore_ascii_case("origin"))
}

#[test]
fn without_a_list_nobody_is_allowed() {
    let hub = HubProcess::start(WATERTIGHT);
    for origin in STRANGERS.iter().chain(&[LISTED]) {
        let answer = ask(&hub, "GET", "/stats", &[("Origin", origin)]).expect(200);
        assert_eq!(allowed(&answer), None, "{origin}");
        assert_eq!(allowed(&preflight(&hub, origin)), None, "{origin}");
    }
}

#[test]
fn who_is_on_the_list_is_allowed_and_who_looks_like_it_is_not() {
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--cors-origins", format!("{LISTED},http://127.0.0.1:3000"))
        .start();
    for origin in [LISTED, "http://127.0.0.1:3000"] {
        let answer = ask(&hub, "GET", "/stats", &[("Origin", origin)]).expect(200);
        assert_eq!(allowed(&answer), Some(origin));
        assert!(varies(&answer), "{answer:?}");
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }
    for origin in STRANGERS {
        let answer = ask(&hub, "GET", "/stats", &[("Origin", origin)]).expect(200);
        assert_eq!(allowed(&answer), None, "{origin}");
        assert!(varies(&answer), "a cache must not mix them up: {answer:?}");
        assert_eq!(allowed(&preflight(&hub, origin)), None, "{origin}");
    }
    let without = ask(&hub, "GET", "/stats", &[]).expect(200);
    assert_eq!(allowed(&without), None);
    assert!(varies(&without), "{without:?}");
}

#[test]
fn a_preflight_says_which_methods_and_headers_may_be_used() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--cors-origins", LISTED).start();
    let answer = preflight(&hub, LISTED).expect(200);
    let listed = |name: &str| -> Vec<String> {
        let value = answer.header(name).unwrap_or_default().to_ascii_lowercase();
        let mut words: Vec<String> = value.split(',').map(|word| word.trim().to_owned()).collect();
        words.sort();
        words
    };
    assert_eq!(listed("access-control-allow-methods"), ["delete", "get", "post"]);
    let headers = listed("access-control-allow-headers");
    let expected =
        ["authorization", "baggage", "cache-control", "content-type", "idempotency-key", "last-event-id"];
    assert_eq!(
        headers,
        [&expected[..], &["sentry-trace", "traceparent", "tracestate", "x-requested-with"]].concat()
    );
    assert!(answer.header("access-control-max-age").is_some());
    assert_eq!(hub.stats().number("totalSessions"), 0, "a preflight makes no session");
}

#[test]
fn cors_headers_lets_pages_send_more() {
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--cors-origins", LISTED)
        .flag("--cors-headers", "X-Api-Version,baggage")
        .start();
    let answer = preflight(&hub, LISTED).expect(200);
    let headers = answer.header("access-control-allow-headers").unwrap();
    assert!(headers.split(',').any(|name| name == "x-api-version"), "{headers}");
    assert_eq!(headers.matches("baggage").count(), 1, "{headers}");
}

/// What is refused before any route is known: 503, 429, 400 and 431.
#[test]
fn a_listed_page_can_read_refusals_that_no_route_gave() {
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--cors-origins", LISTED)
        .flag("--max-connections", 3)
        .flag("--max-connections-per-address", 2)
        .start();
    let readable = |answer: &Response, may_return: bool| {
        assert_eq!(allowed(answer), Some(LISTED), "{answer:?}");
        assert!(varies(answer), "{answer:?}");
        let exposed = answer.header("access-control-expose-headers").unwrap_or_default();
        assert!(exposed.contains("retry-after"), "{answer:?}");
        assert_eq!(answer.header("retry-after").is_some(), may_return, "{answer:?}");
    };
    let raw = |head: &str| {
        let mut connection = RawConnection::connect(hub.address());
        connection.send(format!("GET {EVENTS} HTTP/1.1\r\nOrigin: {LISTED}\r\n{head}\r\n"));
        connection.read_response("GET")
    };
    let many: String = (0..100).map(|n| format!("x-{n}: y\r\n")).collect();
    for (head, status, code) in [
        ("", 400, "INVALID_HOST"),
        ("Host: hub\r\nno colon\r\n", 400, "MALFORMED_REQUEST"),
        (&*format!("Host: hub\r\n{many}"), 431, "HEAD_TOO_LARGE"),
    ] {
        let answer = raw(head);
        answer.expect_problem(status, code);
        readable(&answer, false);
    }
    let stranger = {
        let mut connection = RawConnection::connect(hub.address());
        connection.send(format!("GET {EVENTS} HTTP/1.1\r\nOrigin: https://evil.org\r\n\r\n"));
        connection.read_response("GET")
    };
    assert_eq!(allowed(&stranger), None, "{stranger:?}");
    eventually!(hub.stats().live("connection") == 1);
    let from = |last: u8| ConnectOptions::from_address([0, 0, last]);
    let subscribe = |last: u8| SseReader::open_when_there_is_room(hub.address(), EVENTS, &from(last));
    let refused = |last: u8| {
        let client = Client::with_options(hub.address(), from(last));
        client.request("GET", EVENTS).header("Origin", LISTED).send()
    };
    let _readers = [subscribe(2), subscribe(2)];
    let answer = refused(2);
    answer.expect_problem(429, "TOO_MANY_CONNECTIONS");
    readable(&answer, true);
    let _third = subscribe(3);
    let answer = refused(4);
    answer.expect_problem(503, "TOO_MANY_CONNECTIONS");
    readable(&answer, true);
}

#[test]
fn streams_publishes_polls_and_refusals_are_all_readable_by_the_listed_page() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--cors-origins", LISTED).start();
    let origin = ("Origin", LISTED);
    let stream = SseReader::open(hub.address(), EVENTS, &[origin]);
    assert_eq!(stream.head().header("access-control-allow-origin"), Some(LISTED));
    let exposed =
        stream.head().header("access-control-expose-headers").unwrap_or_default().to_ascii_lowercase();
    assert!(exposed.contains("heartbeat-interval") && exposed.contains("retry-after"), "{exposed}");
    let publish =
        hub.client().request("POST", EVENTS).header("Origin", LISTED).header("Content-Type", "text/plain");
    assert_eq!(allowed(&publish.body("x").send().expect(202)), Some(LISTED));
    let poll = ask(&hub, "GET", &format!("{EVENTS}?wait=0"), &[origin, ("Accept", "application/json")]);
    assert_eq!(allowed(&poll.expect(200)), Some(LISTED));
    // A page must be able to read why it was refused, too.
    for (method, path, status) in
        [("GET", "/nowhere", 404), ("PUT", EVENTS, 405), ("GET", "/sessions?limit=0", 400)]
    {
        assert_eq!(allowed(&ask(&hub, method, path, &[origin]).expect(status)), Some(LISTED), "{path}");
    }
}

#[test]
fn cookies_are_for_listed_pages_only_and_never_for_all() {
    let hub =
        HubProcess::builder(WATERTIGHT).flag("--cors-origins", LISTED).arg("--cors-credentials").start();
    let answer = ask(&hub, "GET", "/stats", &[("Origin", LISTED)]).expect(200);
    assert_eq!(allowed(&answer), Some(LISTED), "never a star with credentials");
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    let stranger = ask(&hub, "GET", "/stats", &[("Origin", "https://evil.org")]).expect(200);
    assert_eq!(allowed(&stranger), None);

    let builder = HubProcess::builder(WATERTIGHT).flag("--cors-origins", "*").arg("--cors-credentials");
    let (status, said) = builder.run_to_end();
    assert_eq!(status.code(), Some(64));
    assert!(said.contains("cors_credentials"), "{said}");
}

#[test]
fn a_star_allows_all_without_cookies() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--cors-origins", "*").start();
    for origin in [LISTED, "https://evil.org", "null"] {
        let answer = ask(&hub, "GET", "/stats", &[("Origin", origin)]).expect(200);
        assert_eq!(allowed(&answer), Some("*"), "a star, never the origin reflected");
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }
}

#[test]
fn every_answer_carries_what_protects_browsers() {
    let hub = HubProcess::start(WATERTIGHT);
    let stream = hub.subscribe("demo");
    assert_eq!(stream.head().header("x-content-type-options"), Some("nosniff"));
    assert_eq!(stream.head().header("referrer-policy"), Some("no-referrer"));
    for path in ["/", "/stats", "/sessions", "/nowhere", "/metrics", "/openapi.json", "/health/ready"] {
        let answer = hub.get(path);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
    }
    let policy = hub.get("/").header("content-security-policy").unwrap_or_default().to_owned();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
}
