//! Who is let in: where a token is taken from, what it must grant, and what nobody learns from a refusal.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tokens have wall times")]

mod tokens;

use std::time::{Duration, SystemTime};

use serde_json::json;
use tokens::{admin, ask, bearer, of, post, protected, publish};
use watertight_testkit::{HubProcess, RawConnection, SseReader};

#[test]
fn without_a_token_nothing_is_answered_but_health_the_page_and_the_description() {
    let hub = HubProcess::builder(tokens::WATERTIGHT)
        .env("WATERTIGHT_TOKEN_SECRET", tokens::SECRET)
        .unbalanced()
        .start();
    for (method, path) in [
        ("GET", "/sessions/a/events"),
        ("POST", "/sessions/a/events"),
        ("GET", "/sessions"),
        ("GET", "/sessions/a"),
        ("DELETE", "/sessions/a"),
        ("POST", "/sessions/a/end"),
        ("GET", "/connections"),
        ("DELETE", "/connections?user=ada"),
        ("DELETE", "/connections/t-1"),
        ("POST", "/tokens/revoke"),
        ("GET", "/deployments/42/logs/stream"),
        ("POST", "/deployments/42/logs"),
        ("GET", "/stats"),
        ("GET", "/metrics"),
    ] {
        let response = hub.client().request(method, path).send();
        response.expect_problem(401, "UNAUTHORIZED");
        assert_eq!(response.header("www-authenticate"), Some("Bearer"), "{method} {path}");
        // A token that is good, and grants something else.
        let nothing = of("ada").subscribe(&["x"]).publish(&["x"]).text();
        ask(&hub, method, path, &nothing).expect_problem(403, "FORBIDDEN");
    }
    for path in ["/health/live", "/health/ready", "/", "/openapi.json"] {
        hub.get(path).expect(200);
    }
    for path in ["/stats", "/metrics", "/sessions", "/connections"] {
        ask(&hub, "GET", path, &admin()).expect(200);
    }
    let public = protected().flag("--metrics-public", true).start();
    public.get("/metrics").expect(200);
    public.get("/stats").expect(200);
}

#[test]
fn threat_27_every_token_that_is_not_good_gets_the_same_answer() {
    let hub = protected().start();
    let expired = of("ada").lasting(Duration::ZERO).issued_at(SystemTime::UNIX_EPOCH);
    let mut old = expired.clone();
    old.0.expires = Some(SystemTime::now() - Duration::from_secs(60));
    let good = of("ada").text();
    let (head, rest) = good.split_once('.').unwrap();
    let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", rest.split('.').next().unwrap());
    let mut answers = Vec::new();
    for token in [
        old.text(),
        format!("{good}x"),
        format!("{head}x.{rest}"),
        none,
        "a.b.c".to_owned(),
        "x".to_owned(),
        "e".repeat(9 * 1024),
    ] {
        let response = ask(&hub, "GET", "/sessions/a/events", &token);
        assert_eq!(response.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
        answers.push(response.expect_problem(401, "INVALID_TOKEN"));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    // Longer than a head may be.
    ask(&hub, "GET", "/sessions/a/events", &"e".repeat(100 * 1024)).expect_problem(431, "HEAD_TOO_LARGE");
    assert!(!hub.log().contains(rest), "no part of a token stands in the log");
}

#[test]
fn threat_21_a_header_counts_alone_and_two_of_a_kind_count_for_nothing() {
    let hub = protected().flag("--token-cookie", "wt").start();
    let (good, bad) = (of("ada").text(), "nonsense");
    let cookie = |token: &str| format!("a=b; wt={token}");
    let get = |headers: &[(&str, String)]| {
        let client = hub.client();
        let request =
            headers.iter().fold(client.request("HEAD", "/sessions/a/events"), |request, (name, value)| {
                request.header(name, value)
            });
        request.send().status
    };
    assert_eq!(get(&[("Cookie", cookie(&good))]), 200);
    assert_eq!(get(&[("Authorization", bearer(&good)), ("Cookie", cookie(bad))]), 200);
    assert_eq!(get(&[("Authorization", bearer(bad)), ("Cookie", cookie(&good))]), 401);
    assert_eq!(get(&[("Authorization", bearer(&good)), ("Authorization", bearer(&good))]), 401);
    assert_eq!(get(&[("Cookie", cookie(&good)), ("Cookie", cookie(&good))]), 401);
    assert_eq!(get(&[("Authorization", format!("Basic {good}"))]), 401);
    assert_eq!(get(&[("Cookie", format!("wtx={good}"))]), 401);
    // Bytes that no header may have.
    for byte in [0u8, b'\r'] {
        let mut connection = RawConnection::connect(hub.address());
        let mut head =
            b"GET /sessions/a/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer a".to_vec();
        head.extend([byte, b'b', b'\r', b'\n', b'\r', b'\n']);
        connection.send(&head);
        let status = connection.read_response("GET").status;
        assert!(matches!(status, 400 | 401), "{status}");
    }
}

#[test]
fn threat_20_a_token_in_the_address_counts_only_where_that_is_switched_on() {
    let good = of("ada").text();
    let path = format!("/sessions/a/events?replay=all&access_token={good}");
    let closed = protected().start();
    closed.get(&path).expect_problem(401, "UNAUTHORIZED");
    let open = protected().flag("--token-in-query", true).start();
    let stream = SseReader::open(open.address(), &path, &[]);
    drop(stream);
    let twice = format!("{path}&access_token={good}");
    open.get(&twice).expect_problem(401, "INVALID_TOKEN");
    for hub in [closed, open] {
        assert!(!hub.log().contains("eyJ"), "{}", hub.log());
    }
}

#[test]
fn threat_24_a_cookie_authorizes_no_change_that_a_page_of_another_origin_may_have_sent() {
    let hub = protected().flag("--token-cookie", "wt").start();
    let cookie = format!("wt={}", of("ada").text());
    let send = |name: &str, value: &str| {
        let request = hub.client().request("POST", "/sessions/a/events").header("Cookie", &cookie);
        request.header("Content-Type", "text/plain").header(name, value).body("x").send()
    };
    send("x-nothing", "1").expect_problem(403, "ORIGIN_NOT_ALLOWED");
    send("Origin", "https://evil.example").expect_problem(403, "ORIGIN_NOT_ALLOWED");
    send("Sec-Fetch-Site", "cross-site").expect_problem(403, "ORIGIN_NOT_ALLOWED");
    send("Sec-Fetch-Site", "same-site").expect_problem(403, "ORIGIN_NOT_ALLOWED");
    send("Sec-Fetch-Site", "same-origin").expect(202);
    send("X-Requested-With", "XMLHttpRequest").expect(202);
    let own = hub.url("");
    send("Origin", own.trim_end_matches('/')).expect(202);
}

#[test]
fn threat_21_patterns_are_matched_once_on_the_name_that_is_used() {
    let hub = protected().start();
    let token = of("ada").subscribe(&["sessions/a-*"]).publish(&["sessions/a-*"]).text();
    let head = |path: &str| ask(&hub, "HEAD", path, &token).status;
    assert_eq!(head("/sessions/a-1/events"), 200);
    assert_eq!(head("/sessions/a%2D1/events"), 200, "the name is a-1 however it is written");
    assert_eq!(head("/sessions/b-1/events"), 403);
    for path in [
        "/sessions/a-%2F..%2Fb/events",
        "/sessions/a-%2Fb/events",
        "/sessions/a-1%2F/events",
        "/sessions/a-%252e%252e/../events",
    ] {
        let status = head(path);
        assert!(matches!(status, 400 | 403 | 404), "{path}: {status}");
    }
    // Decoded twice it would be another name.
    let twice = of("ada").subscribe(&["sessions/a%2Db"]).text();
    assert_eq!(ask(&hub, "HEAD", "/sessions/a%252Db/events", &twice).status, 200);
    assert_eq!(ask(&hub, "HEAD", "/sessions/a%2Db/events", &twice).status, 403);
    for dots in ["/sessions/%2e/events", "/sessions/%2e%2e/events"] {
        assert!(matches!(head(dots), 400 | 403 | 404), "{dots}");
    }
    publish(&hub, "/sessions/a-1/events", &token, "x").expect(202);
    publish(&hub, "/sessions/b-1/events", &token, "x").expect_problem(403, "FORBIDDEN");
    // Logs of deployments have routes of their own.
    let all = of("ada").text();
    publish(&hub, "/sessions/deployments%2F42%2Flogs/events", &all, "x")
        .expect_problem(403, "RESERVED_SESSION");
    ask(&hub, "GET", "/sessions/services%2Fapi/events", &all).expect_problem(403, "RESERVED_SESSION");
}

#[test]
fn a_user_has_so_many_streams_and_opens_so_many_and_publishes_so_often() {
    let hub = protected()
        .flag("--max-connections-per-user", 2)
        .flag("--max-connects-per-user", 4)
        .flag("--max-publishes-per-user", 3)
        .start();
    let (one, other) = (of("ada").id("1").text(), of("ada").id("2").text());
    let open = |token: &str| {
        SseReader::open(hub.address(), "/sessions/a/events", &[("Authorization", &bearer(token))])
    };
    let held = [open(&one), open(&other)];
    let refused = ask(&hub, "GET", "/sessions/a/events", &one);
    refused.expect_problem(429, "TOO_MANY_STREAMS");
    assert!(refused.header("retry-after").is_some());
    drop(held);
    watertight_testkit::eventually!(hub.stats().live("subscription") == 0);
    drop(open(&one));
    let refused = ask(&hub, "GET", "/sessions/a/events", &other);
    refused.expect_problem(429, "RATE_LIMITED");
    let seconds: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=15).contains(&seconds), "a quarter of a minute: {seconds}");
    for _ in 0..3 {
        publish(&hub, "/sessions/a/events", &one, "x").expect(202);
    }
    publish(&hub, "/sessions/a/events", &one, "x").expect_problem(429, "RATE_LIMITED");
    publish(&hub, "/sessions/a/events", &of("eve").text(), "x").expect(202);
}

#[test]
fn a_hub_that_others_reach_starts_with_a_key_and_not_without() {
    let (status, said) = HubProcess::builder(tokens::WATERTIGHT).flag("--listen", "0.0.0.0:0").run_to_end();
    assert_eq!(status.code(), Some(64));
    assert!(said.contains("token_secret_file") && said.contains("--insecure-open"), "{said}");
    let hub = protected().flag("--listen", "0.0.0.0:0").flag("--allowed-hosts", "").start();
    // With tokens any host will do: a page has none, whatever its name is.
    let response = hub.client().request("GET", "/health/live").header("Host", "hub.example.com").send();
    response.expect(200);
    drop(hub);
    let listed = protected().flag("--allowed-hosts", "events.example.com").start();
    let ask = |host| listed.client().request("GET", "/health/live").header("Host", host).send().status;
    assert_eq!((ask("events.example.com"), ask("hub.example.com")), (200, 421), "a list is a list");
}

#[test]
fn keys_of_no_use_are_refused_at_start_and_the_refusal_says_what_was_found() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let pem = rcgen::KeyPair::generate().unwrap();
    let public = write("public.pem", &pem.public_key_pem());
    let private = write("private.pem", &pem.serialize_pem());
    let ssh = write("id.pub", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ1 ada@host\n");
    let short = write("short", "too short\n");
    let good = write("good", &format!("{}\n", tokens::SECRET));
    let refused = |flags: &[(&str, &std::path::Path)], words: &[&str]| {
        let builder = HubProcess::builder(tokens::WATERTIGHT);
        let builder = flags.iter().fold(builder, |builder, (flag, path)| builder.flag(flag, path.display()));
        let (status, said) = builder.run_to_end();
        assert_eq!(status.code(), Some(64), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{words:?} in {said}");
        assert!(!said.contains("MC4C") && !said.contains("MIG") && !said.contains("AAAAC3"), "{said}");
    };
    refused(&[("--token-secret-file", &public)], &["public"]);
    refused(&[("--token-secret-file", &private)], &["private"]);
    refused(&[("--token-secret-file", &short)], &["9 bytes"]);
    refused(&[("--token-public-key", &ssh)], &["OpenSSH"]);
    refused(&[("--token-public-key", &private)], &["private"]);
    let algorithms = std::path::Path::new("RS256");
    refused(&[("--token-secret-file", &good), ("--token-algorithms", algorithms)], &["RS256"]);
    // A line break at its end is no part of it.
    let hub = HubProcess::builder(tokens::WATERTIGHT)
        .flag("--token-secret-file", good.display())
        .flag("--stats-public", true)
        .start();
    ask(&hub, "HEAD", "/sessions/a/events", &of("ada").text()).expect(200);
    post(&hub, "/tokens/revoke", &admin(), &json!({"jti": "x"})).expect(200);
}

#[test]
fn threat_25_the_page_runs_nothing_of_others_and_operators_calls_need_a_token_on_every_listener() {
    let hub = protected().flag("--admin-listen", "127.0.0.1:0").unbalanced().start();
    let page = hub.get("/").expect(200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(policy.contains("default-src 'none'") || policy.contains("script-src 'self'"), "{policy}");
    assert!(!policy.contains("unsafe-inline") && !policy.contains("unsafe-eval"), "{policy}");
    let text = page.text();
    assert!(!text.contains("<script>") && !text.contains("onclick="), "no script stands in the page itself");
    let log = watertight_testkit::eventually!(hub.log(), |log| log.contains("listening for operators"));
    let line = log.lines().find(|line| line.contains("listening for operators")).unwrap();
    let address = line.split("address=").nth(1).unwrap().split_whitespace().next().unwrap();
    let operators = watertight_testkit::Client::new(address.parse().unwrap());
    for path in ["/sessions", "/connections", "/metrics"] {
        operators.get(path).expect_problem(401, "UNAUTHORIZED");
        let request = operators.request("GET", path).header("Authorization", bearer(&of("ada").text()));
        request.send().expect_problem(403, "FORBIDDEN");
        let request = operators.request("GET", path).header("Authorization", bearer(&admin()));
        request.send().expect(200);
        ask(&hub, "GET", path, &admin()).expect_problem(404, "NOT_FOUND");
    }
}

#[test]
fn threat_26_no_name_of_a_caller_writes_a_line_or_a_colour_into_the_log() {
    let hub = protected().start();
    let key = watertight_access::mint::SigningKey::from_secret(tokens::SECRET.as_bytes(), None).unwrap();
    let expires = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + 60;
    let grants = json!({"subscribe": ["**"], "publish": ["**"]});
    for sub in ["ada\nlevel=ERROR forged", "\u{1b}[31mred", "\u{0}", "\u{9b}31m"] {
        let token = key.sign(&json!({"sub": sub, "exp": expires, "watertight": grants})).unwrap();
        ask(&hub, "GET", "/sessions/a/events", &token).expect_problem(401, "INVALID_TOKEN");
    }
    let token = of("ada 🚰 \"quoted\" reason=FORGED").text();
    for name in ["a%0Ab", "a%1B%5B31mb", "a%C2%9B31mb"] {
        ask(&hub, "GET", &format!("/sessions/{name}/events"), &token).expect(400);
        ask(&hub, "GET", &format!("/deployments/{name}/logs/stream"), &token).expect(400);
    }
    drop(SseReader::open(
        hub.address(),
        "/sessions/a%E2%80%AEb/events",
        &[("Authorization", &bearer(&token))],
    ));
    let log = watertight_testkit::eventually!(hub.log(), |log| log.contains("connection closed"));
    let closed: Vec<&str> = log.lines().filter(|line| line.contains("connection closed")).collect();
    assert_eq!(closed.len(), 1, "{log}");
    assert!(!log.contains('\u{1b}') && !log.contains('\u{9b}'), "{log:?}");
    assert_eq!(
        closed[0].matches(" reason=").count(),
        2,
        "what a name says stands within its quotes: {}",
        closed[0]
    );
    assert!(closed[0].contains("\\\"quoted\\\""), "{}", closed[0]);
}
