//! `/stats/stream`: the hub's own figures once a second, by one sampler however many look, for those who may see `/stats`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tokens have wall times")]

mod tokens;

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokens::{SECRET, admin, ask, bearer, of, post, protected};
use watertight_testkit::{ConnectOptions, Crowd, HubProcess, SseReader, eventually};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");
const STREAM: &str = "/stats/stream";
const LINGER: &str = "300ms";

/// A hub whose sources stop soon after the last watcher.
fn start() -> HubProcess {
    HubProcess::builder(WATERTIGHT).flag("--source-linger", LINGER).start()
}

fn next(stream: &mut SseReader) -> Value {
    let event = stream.next_event();
    assert_eq!(event.event_type, "stats");
    serde_json::from_str(&event.data).unwrap()
}

#[test]
fn the_figures_come_once_a_second_and_say_what_stats_says() {
    let hub = start();
    let mut stream = SseReader::open(hub.address(), STREAM, &[]);
    let first = next(&mut stream);
    let none = json!({ "p50Ms": null, "p99Ms": null });
    assert_eq!(
        first["latency"],
        json!({ "delivery": none, "publish": none }),
        "nothing was published so far"
    );
    let _reader = hub.subscribe("demo");
    // Before what is waited for.
    hub.get("/sessions/none").expect_problem(404, "SESSION_NOT_FOUND");
    for _ in 0..50 {
        hub.publish_text("demo", "x");
    }
    // One of them is told of the second in which these were.
    let published = |event: &Value| event["metrics"]["eventsPublished"].as_u64().unwrap();
    let mut second = next(&mut stream);
    let publishes = |event: &Value| event["latency"]["publish"].clone();
    let mut latency = publishes(&second);
    while published(&second) < 50 {
        second = next(&mut stream);
        if latency["p99Ms"].is_null() {
            latency = publishes(&second);
        }
    }
    let (p50, p99) = (latency["p50Ms"].as_f64().unwrap(), latency["p99Ms"].as_f64().unwrap());
    assert!(0.0 < p50 && p50 <= p99 && p99 <= 30_000.0, "{latency}");
    assert_eq!(second["refusalsByReason"]["SESSION_NOT_FOUND"], 1);
    let apart = second["at"].as_u64().unwrap() - first["at"].as_u64().unwrap();
    assert!((500..30_000).contains(&apart), "{apart} ms apart");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    assert!(now.abs_diff(second["at"].as_u64().unwrap()) < 60_000);
    let mut stats = hub.stats().json().clone();
    assert!(stats["latency"]["delivery"]["p99Ms"].as_f64().unwrap() > 0.0, "since the start");
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    stats["at"] = 0.into();
    let mut expected = names(&stats);
    expected.sort();
    let mut streamed = names(&second);
    streamed.sort();
    assert_eq!(streamed, expected);
}

#[test]
fn a_hundred_watchers_share_one_sampler_and_nothing_of_them_stays() {
    let hub = start();
    for round in 1..=3 {
        let crowd = Crowd::connect(hub.address(), 100, |_| (ConnectOptions::default(), STREAM.to_owned()));
        let stats = eventually!(hub.stats(), |stats| {
            stats.number("totalSubscribers") == 100 && stats.number("metrics.eventsPublished") >= round
        });
        assert_eq!((stats.live("source"), stats.number("metrics.sourcesStarted")), (1, round));
        drop(crowd);
        eventually!(hub.stats().live("source") == 0);
    }
    // The kit looks at ledger, budget and descriptors when the hub goes.
    assert_eq!(hub.stats().number("totalSubscribers"), 0);
}

#[test]
fn whoever_comes_gets_the_last_sample_at_once_and_whoever_asks_what_was_before() {
    // Fewer than ten minutes of anybody else's events are kept.
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--max-history-per-session", 1)
        .flag("--max-queue-size", 16)
        .flag("--source-linger", LINGER)
        .start();
    let mut first = SseReader::open(hub.address(), STREAM, &[]);
    let samples: Vec<Value> = (0..3).map(|_| next(&mut first)).collect();
    let last_id = first.last_event_id().to_owned();
    let mut late = SseReader::open(hub.address(), STREAM, &[]);
    assert!(next(&mut late)["at"].as_u64() >= samples[2]["at"].as_u64());
    let mut all = SseReader::open(hub.address(), &format!("{STREAM}?replay=600"), &[]);
    for sample in &samples {
        assert_eq!(next(&mut all), *sample);
    }
    let mut resumed = SseReader::open(hub.address(), STREAM, &[("Last-Event-ID", &last_id)]);
    assert!(next(&mut resumed)["at"].as_u64() > samples[2]["at"].as_u64(), "what came after the id");
    let page = hub.get("/connections").json();
    assert_eq!((&page["connections"][0]["kind"], &page["total"]), (&"stats".into(), &4.into()));
}

#[test]
fn nobody_publishes_to_the_hubs_own_session_or_ends_it() {
    let hub = start();
    let mut stream = SseReader::open(hub.address(), STREAM, &[]);
    let before = next(&mut stream);
    let forged = "/sessions/stats%2Fstream";
    let client = hub.client();
    client.post(format!("{forged}/events"), "text/plain", "x").expect_problem(403, "RESERVED_SESSION");
    client.get(format!("{forged}/events")).expect_problem(403, "RESERVED_SESSION");
    client.post(format!("{forged}/end"), "application/json", "").expect_problem(403, "RESERVED_SESSION");
    client.delete(forged).expect_problem(403, "RESERVED_SESSION");
    assert!(next(&mut stream)["at"].as_u64() > before["at"].as_u64(), "it goes on");
}

#[test]
fn the_stream_is_for_tokens_with_admin_and_ends_when_the_token_is_revoked() {
    let hub = HubProcess::builder(WATERTIGHT).env("WATERTIGHT_TOKEN_SECRET", SECRET).unbalanced().start();
    hub.get(STREAM).expect_problem(401, "UNAUTHORIZED");
    ask(&hub, "GET", STREAM, &of("ada").text()).expect_problem(403, "FORBIDDEN");
    let head = hub.client().request("HEAD", STREAM).header("Authorization", bearer(&of("ada").text())).send();
    assert_eq!(head.status, 403);
    // An operator's token need not grant to subscribe to anything.
    let mut operator = of("operator").subscribe(&[]).publish(&[]);
    operator.0.admin = true;
    let mut stream = SseReader::open(hub.address(), STREAM, &[("Authorization", &bearer(&operator.text()))]);
    next(&mut stream);
    let _ = post(&hub, "/tokens/revoke", &admin(), &json!({ "sub": "operator", "before": 4e9 })).expect(200);
    stream.expect_closing_event("TOKEN_REVOKED");
}

#[test]
fn where_stats_are_public_their_stream_is_too() {
    let hub = protected().flag("--source-linger", LINGER).start();
    next(&mut SseReader::open(hub.address(), STREAM, &[]));
    hub.get("/sessions").expect_problem(401, "UNAUTHORIZED");
}
