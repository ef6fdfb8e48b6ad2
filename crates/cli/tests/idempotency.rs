//! A publish with an `Idempotency-Key` may be repeated: it happens once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use watertight_testkit::{ConnectOptions, Gap, HubProcess, RawConnection, Response, SseReader, eventually};

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
        let key = format!("round {round}");
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
    for key in [&b""[..], long.as_bytes(), b"caf\xe9"] {
        let request = hub.client().request("POST", EVENTS).header("Content-Type", "text/plain");
        let answer = request.header("Idempotency-Key", key).body("x").send();
        answer.expect_problem(400, "INVALID_IDEMPOTENCY_KEY");
    }
    post(&hub, EVENTS, &long[1..], "text/plain", "x").expect(202);
    assert_eq!(published(&hub), 1);
}

#[test]
fn a_publisher_that_leaves_in_the_middle_of_a_batch_finds_all_of_it_once() {
    // A reader that stops makes the batch wait for it: time to leave in the middle.
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--max-queue-size", 40)
        .flag("--max-history-per-session", 1000)
        .flag("--send-buffer-bytes", "16KiB")
        .start();
    let options = ConnectOptions::small_window();
    let mut reader = SseReader::open_with(hub.address(), EVENTS, &[], &options).unwrap();
    let filler = "x".repeat(2000);
    let events: Vec<Value> = (0..400).map(|n| json!({"data": format!("{n} {filler}")})).collect();
    let body = json!(events).to_string();
    let request = hub.client().request("POST", EVENTS).header("Content-Type", "application/json");
    let bytes = request.header("Idempotency-Key", "k").body(&body).bytes();
    let mut leaver = RawConnection::connect(hub.address());
    leaver.send(&bytes);
    eventually!(published(&hub), |count| *count > 0);
    leaver.reset();

    let answer = post(&hub, EVENTS, "k", "application/json", &body).expect(202).json();
    let ids: Vec<&str> = answer["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    assert_eq!(ids.len(), 400);
    assert_eq!(published(&hub), 400);
    // The reader stalled for longer than publishers wait for it, so it may be told of gaps; of each event it gets
    // or is told of, once and in order.
    let sequence = |id: &str| id.split_once('-').unwrap().1.parse::<usize>().unwrap();
    let mut next = 0;
    while next < ids.len() {
        let event = reader.next_event();
        if event.event_type == "gap" {
            let gap = Gap::of(&event);
            assert_eq!(gap.from.as_deref(), Some(ids[next]), "{gap:?}");
            assert_eq!(gap.missed, Some((sequence(&gap.to) - next) as u64), "{gap:?}");
            next = sequence(&gap.to);
        } else {
            assert_eq!((event.id.as_str(), event.data), (ids[next], format!("\"{next} {filler}\"")));
            next += 1;
        }
    }
    let mut replay = hub.subscribe_with("demo", "replay=all", &[]);
    for (n, id) in ids.iter().enumerate() {
        let event = replay.next_event();
        assert_eq!((event.id.as_str(), event.data), (*id, format!("\"{n} {filler}\"")));
    }
    // Nothing came twice: behind the last of them comes what is published next.
    let last = hub.publish_text("demo", "last");
    assert_eq!((reader.next_event().id, replay.next_event().id), (last.clone(), last));
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
        post(&hub, EVENTS, &format!("key {n}"), "text/plain", "x").expect(202);
    }
    assert!(caches() < 50 * 1024, "fifty at most: {}", caches());
    eventually!(caches() == 0);
    let again = post(&hub, EVENTS, "k", "text/plain", "x").expect(202).body;
    assert_ne!(again, first, "a new life, a new event");
}
