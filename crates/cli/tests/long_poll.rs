//! Long-poll: the same cursors as streams, one answer at a time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use watertight_testkit::{HubProcess, RawConnection, Response, eventually, timed};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

fn ask(hub: &HubProcess, query: &str) -> Response {
    let path = format!("/sessions/demo/events?{query}");
    hub.client().request("GET", path).header("Accept", "application/json").send()
}

fn poll(hub: &HubProcess, query: &str) -> Value {
    let answer = ask(hub, query).expect(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("etag"), None);
    answer.json()
}

fn data(answer: &Value) -> Vec<&str> {
    let events = answer["events"].as_array().unwrap();
    events.iter().map(|event| event["data"].as_str().unwrap()).collect()
}

fn next(answer: &Value) -> &str {
    answer["next"].as_str().unwrap()
}

fn publish_numbers(hub: &HubProcess, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|n| hub.publish_text("demo", &n.to_string())).collect()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[test]
fn an_answer_has_events_and_a_cursor_and_says_that_nothing_is_missing() {
    let hub = HubProcess::start(WATERTIGHT);
    let event = json!({"type": "tick", "data": {"a": 1}});
    let id = hub.publish_json("demo", &event).remove(0);
    let mut answer = poll(&hub, "replay=all&wait=0");
    let told = json!({"id": id, "type": "tick", "data": "{\"a\":1}"});
    answer["events"][0].as_object_mut().unwrap().remove("created_at").unwrap();
    assert_eq!(answer, json!({"events": [told], "next": id, "gap": null}));
}

#[test]
fn an_answer_says_when_each_event_was_published_to_the_millisecond() {
    let since_epoch = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let hub = HubProcess::start(WATERTIGHT);
    let before = since_epoch();
    hub.publish_text("demo", "one");
    let between = since_epoch();
    hub.publish_json("demo", &json!([{"data": 2}, {"data": 3}]));
    let after = since_epoch();
    let answer = poll(&hub, "replay=all&wait=0");
    let created_at = |n: usize| answer["events"][n]["created_at"].as_f64().unwrap();
    // Cut to the millisecond.
    assert!(before - 0.001 <= created_at(0) && created_at(0) <= between, "{answer}");
    assert!(between - 0.001 <= created_at(1) && created_at(1) <= after, "{answer}");
    assert_eq!(created_at(1), created_at(2), "a batch is published at once");
    for n in 0..3 {
        let millis = created_at(n) * 1000.0;
        assert!((millis - millis.round()).abs() < 0.01, "{millis}");
    }
}

#[test]
fn two_reasons_are_two_gaps_and_each_answer_tells_one() {
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--max-history-per-session", 3)
        .flag("--max-queue-size", 3)
        .start();
    let start = publish_numbers(&hub, 0..1).remove(0);
    let evicted = publish_numbers(&hub, 1..4);
    let expired = hub.publish_json("demo", &json!({"data": 4, "ttl": 0.001})).remove(0);
    publish_numbers(&hub, 5..7);
    eventually!(hub.get("/sessions/demo").json()["events"] == 2);
    let answer = poll(&hub, &format!("after={start}&wait=0"));
    let gap = json!({"from": evicted[0], "to": evicted[2], "missed": 3, "reason": "evicted"});
    assert_eq!((&answer["gap"], data(&answer).len()), (&gap, 0), "{answer}");
    let answer = poll(&hub, &format!("after={}&wait=0", next(&answer)));
    let gap = json!({"from": expired, "to": expired, "missed": 1, "reason": "expired"});
    assert_eq!((&answer["gap"], data(&answer)), (&gap, vec!["5", "6"]), "{answer}");
    // A stream tells both, one after the other.
    let mut stream = hub.resume("demo", &start);
    let (first, second) = (stream.expect_gap(), stream.expect_gap());
    assert_eq!((first.reason.as_str(), first.missed), ("evicted", Some(3)));
    assert_eq!((second.reason.as_str(), second.missed), ("expired", Some(1)));
    assert_eq!(stream.next_data(2), ["5", "6"]);
}

#[test]
fn polls_in_a_row_see_every_event_once_in_order_while_a_publisher_goes_on() {
    const EVENTS: usize = 1000;
    let hub = HubProcess::start(WATERTIGHT);
    let mut cursor = next(&poll(&hub, "wait=0")).to_owned();
    let mut seen = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| publish_numbers(&hub, 0..EVENTS));
        while seen.len() < EVENTS {
            let answer = poll(&hub, &format!("after={cursor}&wait=10&limit=7"));
            assert_eq!(answer["gap"], json!(null));
            let data = data(&answer);
            assert!((1..=7).contains(&data.len()), "a poll that waits comes back with something: {answer}");
            seen.extend(data.into_iter().map(str::to_owned));
            cursor = next(&answer).to_owned();
        }
    });
    assert_eq!(seen, numbers(0..EVENTS));
}

#[test]
fn polls_and_streams_have_the_same_cursors() {
    let hub = HubProcess::start(WATERTIGHT);
    let mut stream = hub.subscribe("demo");
    publish_numbers(&hub, 0..10);
    assert_eq!(stream.next_data(4), numbers(0..4));
    let answer = poll(&hub, &format!("after={}&limit=3", stream.last_event_id()));
    assert_eq!(data(&answer), numbers(4..7));
    assert_eq!(hub.resume("demo", next(&answer)).next_data(3), numbers(7..10));
    // The header works here too, and wins.
    let path = format!("/sessions/demo/events?after={}", stream.last_event_id());
    let request = hub.client().request("GET", path).header("Accept", "application/json");
    let answer = request.header("Last-Event-ID", next(&answer)).send().expect(200).json();
    assert_eq!(data(&answer), numbers(7..10));
}

#[test]
fn a_poll_that_meets_nothing_waits_and_then_says_where_to_go_on() {
    let hub = HubProcess::start(WATERTIGHT);
    let ids = publish_numbers(&hub, 0..3);
    let (answer, took) = timed(|| poll(&hub, &format!("after={}&wait=0.5", ids[2])));
    assert_eq!(answer, json!({"events": [], "next": ids[2], "gap": null}));
    assert!((Duration::from_millis(480)..Duration::from_secs(5)).contains(&took), "{took:?}");
    let (answer, took) = timed(|| poll(&hub, "wait=0"));
    assert_eq!(answer, json!({"events": [], "next": ids[2], "gap": null}), "live only, without a cursor");
    assert!(took < Duration::from_secs(2), "{took:?}");
    publish_numbers(&hub, 3..4);
    assert_eq!(data(&poll(&hub, &format!("after={}", next(&answer)))), ["3"]);
}

#[test]
fn a_waiting_poll_is_answered_the_moment_something_comes() {
    let hub = HubProcess::start(WATERTIGHT);
    std::thread::scope(|scope| {
        let poller = scope.spawn(|| timed(|| poll(&hub, "wait=15")));
        eventually!(hub.stats().live("subscription") == 1);
        hub.publish_text("demo", "hello");
        let (answer, took) = poller.join().unwrap();
        assert_eq!(data(&answer), ["hello"]);
        assert!(took < Duration::from_secs(5), "{took:?}");
    });
}

#[test]
fn a_poll_is_told_of_a_gap_and_gets_what_is_left_with_it() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--max-history-per-session", 10).start();
    let ids = publish_numbers(&hub, 0..50);
    let answer = poll(&hub, &format!("after={}&limit=4", ids[9]));
    assert_eq!(answer["gap"], json!({"from": ids[10], "to": ids[39], "missed": 30, "reason": "evicted"}));
    assert_eq!(data(&answer), numbers(40..44));
    let answer = poll(&hub, &format!("after={}", next(&answer)));
    assert_eq!(
        (&answer["gap"], data(&answer)),
        (&json!(null), numbers(44..50).iter().map(String::as_str).collect())
    );

    let answer = poll(&hub, "after=nonsense&wait=15&limit=1");
    assert_eq!(
        (answer["gap"]["reason"].as_str(), &answer["gap"]["from"]),
        (Some("unknown_id"), &json!(null))
    );
    assert_eq!(data(&answer), ["40"]);
}

#[test]
fn a_gap_with_nothing_behind_it_is_told_at_once() {
    let hub = HubProcess::start(WATERTIGHT);
    let (answer, took) = timed(|| poll(&hub, "after=nonsense&wait=15"));
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(answer["gap"]["reason"], "unknown_id");
    assert_eq!(answer["gap"]["to"], answer["next"]);
    let again = poll(&hub, &format!("after={}&wait=0", next(&answer)));
    assert_eq!(again["gap"], json!(null), "and only once");
}

#[test]
fn a_poller_learns_that_its_session_was_ended() {
    let hub = HubProcess::start(WATERTIGHT);
    std::thread::scope(|scope| {
        let poller = scope.spawn(|| poll(&hub, "wait=15"));
        eventually!(hub.stats().live("subscription") == 1);
        hub.client().delete("/sessions/demo").expect(204);
        let answer = poller.join().unwrap();
        assert_eq!(answer["end"], json!({"error": "Session ended", "code": "SESSION_ENDED"}));
    });
}

#[test]
fn limits_and_waits_beyond_the_allowed_are_cut_to_it_and_nonsense_is_refused() {
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--long-poll-max-wait", "0.3")
        .flag("--long-poll-default-wait", "0.2")
        .flag("--long-poll-max-events", 5)
        .flag("--long-poll-default-events", 2)
        .start();
    publish_numbers(&hub, 0..20);
    assert_eq!(data(&poll(&hub, "replay=all")).len(), 2);
    assert_eq!(data(&poll(&hub, "replay=all&limit=100")).len(), 5);
    let (_, took) = timed(|| poll(&hub, "wait=3600"));
    assert!(took < Duration::from_secs(3), "{took:?}");
    for wrong in [
        "wait=x",
        "wait=-1",
        "wait=NaN",
        "wait=inf",
        "limit=0",
        "limit=-1",
        "limit=x",
        "limit=1.5",
        "replay=x",
    ] {
        ask(&hub, wrong).expect_problem(400, "INVALID_PARAMETER");
    }
}

#[test]
fn an_answer_is_bounded_in_bytes_and_the_rest_comes_with_the_next() {
    let hub = HubProcess::start(WATERTIGHT);
    let data_of = |n: usize| format!("{n} {}", "x".repeat(200 * 1024));
    for n in 0..20 {
        hub.publish_text("demo", &data_of(n));
    }
    let (mut cursor, mut n) = (String::from("replay=all"), 0);
    while n < 20 {
        let answer = ask(&hub, &format!("{cursor}&limit=1000")).expect(200);
        assert!(answer.body.len() < 3 * 1024 * 1024 / 2, "{} bytes", answer.body.len());
        let answer = answer.json();
        for text in data(&answer) {
            assert!(text == data_of(n), "event {n}");
            n += 1;
        }
        cursor = format!("after={}", next(&answer));
    }
}

#[test]
fn a_poller_that_leaves_is_let_go_at_once() {
    let hub = HubProcess::start(WATERTIGHT);
    for with_reset in [false, true] {
        let mut connection = RawConnection::connect(hub.address());
        connection.send_get("/sessions/demo/events?wait=15", &[("Accept", "application/json")]);
        eventually!(hub.stats().live("subscription") == 1);
        if with_reset {
            connection.reset()
        } else {
            drop(connection)
        }
        eventually!(hub.stats().live("subscription") == 0, Duration::from_secs(3));
    }
}

#[test]
fn one_connection_polls_again_and_again() {
    let hub = HubProcess::start(WATERTIGHT);
    publish_numbers(&hub, 0..10);
    let mut connection = RawConnection::connect(hub.address());
    let mut cursor = "replay=all".to_owned();
    for n in 0..10 {
        let path = format!("/sessions/demo/events?{cursor}&limit=1");
        connection.send_get(&path, &[("Accept", "application/json")]);
        let answer = connection.read_response("GET").expect(200).json();
        assert_eq!(data(&answer), [n.to_string()]);
        cursor = format!("after={}", next(&answer));
    }
}
