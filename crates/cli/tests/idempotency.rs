//! A publish with an `Idempotency-Key` may be repeated: it happens once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use watertight_testkit::http2::Frame;
use watertight_testkit::{
    ConnectOptions, Http2, HubProcess, RawConnection, Response, SseReader, eventually, timed,
};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

const EVENTS: &str = "/sessions/demo/events";

fn post(hub: &HubProcess, path: &str, key: &str, content_type: &str, body: &str) -> Response {
    let request = hub.client().request("POST", path).header("Content-Type", content_type);
    request.header("Idempotency-Key", key).body(body).send()
}

fn published(hub: &HubProcess) -> u64 {
    hub.stats().number("metrics.eventsPublished")
}

#[test]
fn the_same_key_gets_the_same_answer_and_one_event() {
    let hub = HubProcess::start(WATERTIGHT);
    let mut stream = hub.subscribe("demo");
    let batch = r#"[{"data":1},{"type":"b","data":2}]"#;
    let cases = [
        ("text", "text/plain", "hello", 1),
        ("one", "application/json", r#"{"data":1}"#, 1),
        ("batch", "application/json", batch, 2),
        ("empty", "application/json", "[]", 0),
        ("lines", "application/x-ndjson", "{\"data\":1}\n{\"data\":2}\n{\"data\":3}", 3),
        ("~!\"§$ no".split('§').next().unwrap(), "text/plain", "any visible ASCII", 1),
    ];
    let mut expected = 0;
    for (key, content_type, body, events) in cases {
        let first = post(&hub, EVENTS, key, content_type, body).expect(202);
        for _ in 0..3 {
            assert_eq!(post(&hub, EVENTS, key, content_type, body).expect(202).body, first.body, "{key}");
        }
        expected += events;
        assert_eq!(published(&hub), expected, "{key}");
    }
    hub.publish_text("demo", "the end");
    let seen = (0..=expected).map(|_| stream.next_event().data).collect::<Vec<_>>();
    assert_eq!(seen.last().unwrap(), "the end");
}

#[test]
fn the_same_key_for_something_else_is_refused_and_changes_nothing() {
    let hub = HubProcess::start(WATERTIGHT);
    post(&hub, EVENTS, "k", "text/plain", "hello").expect(202);
    let other_query = format!("{EVENTS}?type=x");
    let other_ttl = format!("{EVENTS}?ttl=5");
    for (path, content_type, body) in [
        (EVENTS, "text/plain", "hello!"),
        (EVENTS, "text/plain", ""),
        (EVENTS, "application/x-ndjson", "{\"data\":1}"),
        (&other_query, "text/plain", "hello"),
        (&other_ttl, "text/plain", "hello"),
    ] {
        post(&hub, path, "k", content_type, body).expect_problem(422, "IDEMPOTENCY_KEY_REUSED");
    }
    assert_eq!(published(&hub), 1);
    post(&hub, EVENTS, "k", "text/plain", "hello").expect(202);
    assert_eq!(published(&hub), 1);
}

#[test]
fn a_key_counts_within_its_session() {
    let hub = HubProcess::start(WATERTIGHT);
    // Session and key that would be the same text if they were joined.
    for (session, key) in [("a", "b"), ("a/b", "c"), ("a", "b/c"), ("ab", ""), ("b", "a")] {
        if key.is_empty() {
            continue;
        }
        let path = format!("/sessions/{}/events", session.replace('/', "%2F"));
        post(&hub, &path, key, "text/plain", session).expect(202);
    }
    assert_eq!(published(&hub), 4);
}

#[test]
fn many_at_once_with_one_key_are_one() {
    let hub = HubProcess::start(WATERTIGHT);
    let body = json!((0..500).map(|n| json!({"data": n})).collect::<Vec<_>>()).to_string();
    for round in 0..5 {
        let key = format!("round-{round}");
        let answers: Vec<Vec<u8>> = std::thread::scope(|scope| {
            let ask = || post(&hub, EVENTS, &key, "application/json", &body).expect(202).body;
            let posts: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
            posts.into_iter().map(|post| post.join().unwrap()).collect()
        });
        assert!(answers.iter().all(|answer| *answer == answers[0]));
        assert_eq!(published(&hub), 500 * (round + 1));
    }
}

#[test]
fn a_refused_request_does_not_use_the_key_up() {
    let hub = HubProcess::start(WATERTIGHT);
    post(&hub, EVENTS, "k", "application/json", "{").expect_problem(400, "MALFORMED_JSON");
    post(&hub, EVENTS, "k", "application/json", r#"{"type":"gap","data":1}"#)
        .expect_problem(403, "RESERVED_EVENT_TYPE");
    post(&hub, EVENTS, "k", "application/json", r#"{"data":1}"#).expect(202);
    assert_eq!(published(&hub), 1);
}

#[test]
fn what_cannot_be_a_key_is_refused() {
    let hub = HubProcess::start(WATERTIGHT);
    let long = "k".repeat(256);
    for key in [&b""[..], long.as_bytes(), b"caf\xe9", b"two words", b"a\tb"] {
        let request = hub.client().request("POST", EVENTS).header("Content-Type", "text/plain");
        let answer = request.header("Idempotency-Key", key).body("x").send();
        answer.expect_problem(400, "INVALID_IDEMPOTENCY_KEY");
    }
    post(&hub, EVENTS, &long[1..], "text/plain", "x").expect(202);
    assert_eq!(published(&hub), 1);
}

/// A hub on which a batch of [`batch`] waits for a reader that takes nothing.
fn hub_that_waits() -> HubProcess {
    HubProcess::builder(WATERTIGHT)
        .flag("--max-queue-size", 400)
        .flag("--max-history-per-session", 1000)
        .flag("--send-buffer-bytes", "16KiB")
        .start()
}

/// 400 events of 2 KB.
fn batch(name: &str) -> String {
    let filler = "x".repeat(2000);
    json!((0..400).map(|n| json!({"data": format!("{name} {n} {filler}")})).collect::<Vec<_>>()).to_string()
}

fn ids(answer: &Value) -> Vec<&str> {
    answer["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect()
}

/// Begins a publish on a connection of its own, and does not wait for its answer.
fn begin(hub: &HubProcess, key: &str, body: &str) -> RawConnection {
    let request = hub.client().request("POST", EVENTS).header("Content-Type", "application/json");
    let bytes = request.header("Idempotency-Key", key).body(body).bytes();
    let mut connection = RawConnection::connect(hub.address());
    connection.send(&bytes);
    connection
}

#[test]
fn a_publisher_that_leaves_while_it_waits_for_readers_finds_all_of_its_batch_once() {
    let hub = hub_that_waits();
    let options = ConnectOptions::small_window();
    let reader = SseReader::open_with(hub.address(), EVENTS, &[], &options).unwrap();
    let body = batch("b");
    let leaver = begin(&hub, "k", &body);
    // All of it at once, never a part.
    assert_eq!(eventually!(published(&hub), |count| *count > 0), 400);
    leaver.reset();

    let answer = post(&hub, EVENTS, "k", "application/json", &body).expect(202).json();
    assert_eq!((ids(&answer).len(), published(&hub)), (400, 400));
    let replay = hub.subscribe_with("demo", "replay=all", &[]);
    for mut reader in [replay, reader] {
        for (n, id) in ids(&answer).iter().enumerate() {
            let event = reader.next_event();
            assert_eq!(event.id, *id);
            assert!(event.data.starts_with(&format!("\"b {n} ")), "{n}");
        }
    }
}

#[test]
fn a_publisher_that_leaves_while_its_batch_waits_for_room_leaves_nothing_and_its_key_is_free() {
    let hub = hub_that_waits();
    let options = ConnectOptions::small_window();
    let mut reader = SseReader::open_with(hub.address(), EVENTS, &[], &options).unwrap();
    let first = begin(&hub, "first", &batch("first"));
    assert_eq!(eventually!(published(&hub), |count| *count > 0), 400);
    // The reader has not read the first: there is no room for a second behind it.
    let second = begin(&hub, "second", &batch("second"));
    eventually!(hub.stats().number("budget.owners.requests") > 800_000);
    second.reset();
    eventually!(hub.stats().number("budget.owners.requests") < 400_000);
    assert_eq!(published(&hub), 400, "no part of it");
    let reads = std::thread::spawn(move || (0..800).map(|_| reader.next_event().data).collect::<Vec<_>>());
    let answer = post(&hub, EVENTS, "second", "application/json", &batch("second")).expect(202).json();
    assert_eq!((ids(&answer).len(), published(&hub)), (400, 800), "it was free, and published once");
    let seen = reads.join().unwrap();
    for (n, data) in seen.iter().enumerate() {
        let expected = if n < 400 { format!("\"first {n} ") } else { format!("\"second {} ", n - 400) };
        assert!(data.starts_with(&expected), "event {n}: {}", &data[..20]);
    }
    drop(first);
}

#[test]
fn a_batch_whose_http2_stream_is_reset_is_there_whole_or_not_at_all() {
    let hub = hub_that_waits();
    let options = ConnectOptions::small_window();
    let _reader = SseReader::open_with(hub.address(), EVENTS, &[], &options).unwrap();
    let first = begin(&hub, "first", &batch("first"));
    assert_eq!(eventually!(published(&hub), |count| *count > 0), 400);
    // Its key is settled, if not its pacing.
    post(&hub, EVENTS, "first", "application/json", &batch("first")).expect(202);
    let caches = || hub.stats().number("budget.owners.caches");
    let before = caches();
    let mut http2 = Http2::connect(hub.address(), &[]);
    let fields = [("content-type", "application/json"), ("idempotency-key", "second")];
    // A few large events: within the stream's first window.
    let events: Vec<Value> = (0..20).map(|n| json!({"data": format!("{n} {}", "x".repeat(1000))})).collect();
    let body = json!(events).to_string();
    http2.send(&[Frame::post(1, EVENTS, &fields)]).unwrap();
    let parts = body.as_bytes().chunks(16_000).map(|part| Frame::data(1, part));
    http2.send(&parts.collect::<Vec<_>>()).unwrap();
    http2.send(&[Frame::end(1)]).unwrap();
    eventually!(caches() > before);
    http2.send(&[Frame::cancel(1)]).unwrap();
    eventually!(caches() == before);
    assert_eq!(published(&hub), 400, "no part of it");
    drop(first);
}

/// More wait for one key than may be in flight.
#[test]
fn whoever_waits_for_a_key_keeps_nobody_else_out() {
    const WAITERS: usize = 200;
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--max-queue-size", 400)
        .flag("--max-history-per-session", 1000)
        .flag("--send-buffer-bytes", "16KiB")
        .flag("--max-requests-in-flight", 32)
        .start();
    let options = ConnectOptions::small_window();
    let mut reader = SseReader::open_with(hub.address(), EVENTS, &[], &options).unwrap();
    let first = begin(&hub, "first", &batch("first"));
    assert_eq!(eventually!(published(&hub), |count| *count > 0), 400);
    // It reads on once its socket was full, so it is waited for, for a while.
    for _ in 0..50 {
        reader.next_event();
    }
    // Waits for room behind what the reader has not read; the others wait for it.
    let many = json!(vec![json!({"data": 1}); 400]).to_string();
    let one = || begin(&hub, "one", &many);
    let mut waiting = Vec::new();
    while waiting.len() < WAITERS {
        waiting.extend((0..8).map(|_| one()));
        eventually!(hub.stats().live("request") > waiting.len() as u64);
    }
    let (answer, took) = timed(|| post(&hub, "/sessions/other/events", "one", "text/plain", "x"));
    answer.expect(202);
    println!("a publish beside {WAITERS} waiters took {took:?}");
    assert!(hub.stats().live("request") > WAITERS as u64, "they still wait");
    let answers = waiting.iter_mut().map(|waiter| waiter.read_response("POST").expect(202).body);
    let answers: std::collections::BTreeSet<_> = answers.collect();
    assert_eq!((answers.len(), published(&hub)), (1, 801), "published once, and one answer for all");
    drop(first);
}

#[test]
fn refused_keys_leave_nothing() {
    const REQUESTS: usize = 30_000;
    let hub = HubProcess::start(WATERTIGHT);
    post(&hub, EVENTS, "kept", "text/plain", "x").expect(202);
    let refused = |from: usize, to: usize| {
        let mut connection = RawConnection::connect(hub.address());
        for numbers in (from..to).collect::<Vec<_>>().chunks(100) {
            let requests = numbers.iter().map(|n| {
                let body = r#"{"type":"gap","data":1}"#;
                format!(
                    "POST {EVENTS} HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\n\
                     Idempotency-Key: {n:0>255}\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )
            });
            connection.send(requests.collect::<String>());
            for _ in numbers {
                connection.read_response("POST").expect_problem(403, "RESERVED_EVENT_TYPE");
            }
        }
    };
    let caches = || hub.stats().number("budget.owners.caches");
    let before = caches();
    refused(0, 2_000);
    let resident = hub.process().anon();
    refused(2_000, REQUESTS);
    assert_eq!(caches(), before);
    let grown = hub.process().anon().saturating_sub(resident);
    assert!(grown < 3 << 20, "{REQUESTS} refused keys left {grown} bytes");
    post(&hub, EVENTS, "kept", "text/plain", "x").expect(202);
    assert_eq!(published(&hub), 1);
}

#[test]
fn keys_never_take_the_room_of_history() {
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--memory-warning-threshold-mb", 12)
        .flag("--memory-critical-threshold-mb", 16)
        .flag("--max-history-bytes-per-session", "4MiB")
        .flag("--max-body-bytes", "1MiB")
        .start();
    hub.publish_text("other", "history");
    let body = json!((0..1000).map(|n| json!({"data": n})).collect::<Vec<_>>()).to_string();
    let caches = || hub.stats().number("budget.owners.caches");
    for n in 0..1_500 {
        post(&hub, EVENTS, &format!("key-{n}"), "application/json", &body).expect(202);
        if n % 100 == 0 {
            assert!(caches() <= (16 << 20) / 32, "{}", caches());
        }
    }
    assert_eq!(hub.stats().number("metrics.eventsShed"), 0, "no history went for them");
    assert_eq!(hub.subscribe_with("other", "replay=all", &[]).next_event().data, "history");
}

#[test]
fn keys_are_forgotten_after_their_time_and_their_memory_with_them() {
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--idempotency-ttl", "0.5")
        .flag("--max-idempotency-keys", 50)
        .start();
    let caches = || hub.stats().number("budget.owners.caches");
    let first = post(&hub, EVENTS, "k", "text/plain", "x").expect(202).body;
    for n in 0..100 {
        post(&hub, EVENTS, &format!("key-{n}"), "text/plain", "x").expect(202);
    }
    assert!(caches() < 50 * 1024, "fifty at most: {}", caches());
    eventually!(caches() == 0);
    let again = post(&hub, EVENTS, "k", "text/plain", "x").expect(202).body;
    assert_ne!(again, first, "a new life, a new event");
}
