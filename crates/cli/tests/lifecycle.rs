//! What ends an event, a session and a connection, and what its reader is told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use serde_json::{Value, json};
use watertight_testkit::{
    ConnectOptions, End, HubBuilder, HubProcess, PATIENCE, RawConnection, SseItem, SseReader, Stats,
    eventually, timed,
};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

/// What follows from something that has happened already. Below the heartbeat's 15 s.
const SHORTLY: Duration = Duration::from_secs(8);

/// Over HTTP/1.1, plain and over TLS. Both promise the same.
fn each_delivery(scenario: impl Fn(HubBuilder)) {
    scenario(HubProcess::builder(WATERTIGHT));
    println!("and over TLS:");
    scenario(HubProcess::builder(WATERTIGHT).tls());
}

fn poll(hub: &HubProcess, query: &str) -> Value {
    let path = format!("/sessions/demo/events?wait=0&{query}");
    hub.client().request("GET", path).header("Accept", "application/json").send().expect(200).json()
}

#[test]
fn an_expired_event_is_a_gap_for_whom_it_was_meant_and_nothing_for_anybody_else() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--cleanup-interval", "1h").start();
    let start = hub.subscribe("demo").last_event_id().to_owned();
    let short = json!([{"data": 1, "ttl": 3}, {"data": 2, "ttl": 3}, {"data": 3}]);
    let ids = hub.publish_json("demo", &short);
    assert_eq!(hub.resume("demo", &start).next_data(3), ["1", "2", "3"], "not expired yet");

    eventually!(poll(&hub, &format!("after={start}"))["gap"]["reason"] == "expired");
    // No cleanup has come by: what is expired is not shown all the same.
    assert_eq!(hub.stats().number("metrics.cleanupCount"), 0);
    let mut stream = hub.resume("demo", &start);
    let gap = stream.expect_gap();
    assert_eq!((gap.reason.as_str(), gap.missed), ("expired", Some(2)));
    assert_eq!((gap.from.as_ref(), &gap.to), (Some(&ids[0]), &ids[1]));
    assert_eq!(stream.next_data(1), ["3"]);
    // Who saw one of them misses the other; who saw both misses nothing; who asks for all misses both.
    assert_eq!(hub.resume("demo", &ids[0]).expect_gap().missed, Some(1));
    assert_eq!(hub.resume("demo", &ids[1]).next_data(1), ["3"]);
    let mut all = hub.subscribe_with("demo", "replay=all", &[]);
    assert_eq!(all.expect_gap(), gap);
    assert_eq!(all.next_data(1), ["3"]);
}

#[test]
fn an_event_reaches_whoever_is_there_however_short_its_time() {
    each_delivery(|builder| {
        let hub = builder.flag("--cleanup-interval", "100ms").start();
        let mut stream = hub.subscribe("demo");
        let expected: Vec<String> = (0..200).map(|n| n.to_string()).collect();
        for n in &expected {
            hub.publish_json("demo", &json!({"data": n.parse::<u32>().unwrap(), "ttl": 0.001}));
        }
        assert_eq!(stream.next_data(200), expected);
        // For history its time counts.
        eventually!(poll(&hub, "replay=all")["events"].as_array().map(Vec::len) == Some(0));
        eventually!(hub.stats().number("totalEvents") == 0);
    });
}

#[test]
fn what_expires_is_freed_by_the_cleanup() {
    let hub =
        HubProcess::builder(WATERTIGHT).flag("--event-ttl", "0.3").flag("--cleanup-interval", "0.1").start();
    for n in 0..100 {
        hub.publish_text("demo", &format!("{n} {}", "x".repeat(1000)));
    }
    let lasting = hub.publish_json("demo", &json!({"data": "lasting", "ttl": 3600})).remove(0);
    // What is gone is counted a moment later, at the end of the cleanup.
    let expired = |stats: &Stats| stats.number("metrics.eventsExpired") == 100;
    let stats = eventually!(hub.stats(), |stats| stats.number("totalEvents") == 1 && expired(stats));
    assert!(stats.number("budget.owners.frames") < 1000, "{:?}", stats.json()["budget"]);
    assert_eq!(hub.get("/sessions/demo").json()["events"], 1);
    let mut stream = hub.subscribe_with("demo", "replay=all", &[]);
    assert_eq!(stream.expect_gap().missed, Some(100));
    assert_eq!(stream.next_event().id, lasting);
}

#[test]
fn each_cleanup_is_counted_and_says_in_the_log_what_it_freed() {
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--event-ttl", "0.2")
        .flag("--session-ttl", "5")
        .flag("--cleanup-interval", "0.1")
        .flag("--log-format", "json")
        .start();
    for n in 0..100 {
        hub.publish_text("demo", &n.to_string());
    }
    eventually!(hub.stats().number("metrics.cleanupCount") >= 3);
    eventually!(hub.stats().number("metrics.sessionsExpired") == 1);
    let freed = |field: &str| {
        let log = hub.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let passes = lines.filter(|line| line["message"] == "cleaned up" && line["took_ms"].is_u64());
        passes.map(|pass| pass[field].as_u64().unwrap()).sum::<u64>()
    };
    eventually!((freed("events"), freed("sessions")) == (100, 1));
    assert!(freed("bytes") > 100, "{}", hub.log());
    let passes = hub.log().matches("cleaned up").count() as u64;
    assert!(passes < hub.stats().number("metrics.cleanupCount"), "one that freed nothing says nothing");
}

#[test]
fn a_session_nobody_uses_goes_after_its_time_and_what_comes_back_to_it_is_told() {
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--session-ttl", "0.3")
        .flag("--cleanup-interval", "0.1")
        .start();
    let id = hub.publish_text("demo", "one");
    let mut watched = hub.subscribe("watched");
    for n in 0..50 {
        hub.publish_text(&format!("s{n}"), "x");
    }
    let stats = eventually!(hub.stats(), |stats| {
        stats.live("session") == 1 && stats.number("metrics.sessionsExpired") == 51
    });
    assert_eq!(stats.number("totalSessions"), 1, "the watched one stays");
    hub.get("/sessions/demo").expect_problem(404, "SESSION_NOT_FOUND");
    hub.publish_text("watched", "still here");
    assert_eq!(watched.next_event().data, "still here");

    let mut back = hub.resume("demo", &id);
    assert_eq!(back.expect_gap().reason, "epoch");
    hub.publish_text("demo", "two");
    assert_eq!(back.next_data(1), ["two"], "nothing of the old life");
    drop((back, watched));
    let stats = eventually!(hub.stats(), |stats| stats.live("session") == 0);
    assert_eq!(stats.number("budget.owners.sessions"), 0);
    assert_eq!(stats.number("budget.owners.frames"), 0);
    assert_eq!(stats.number("budget.owners.subscribers"), 0);
}

#[test]
fn ending_a_session_delivers_what_is_in_it_and_says_so() {
    each_delivery(|builder| {
        let hub = builder.start();
        hub.publish_text("demo", "one");
        let mut level = hub.subscribe("demo");
        let mut behind = hub.subscribe_with("demo", "replay=all", &[]);
        hub.publish_text("demo", "two");
        hub.client().delete("/sessions/demo").expect(204);
        assert_eq!(level.next_data(1), ["two"]);
        assert_eq!(behind.next_data(2), ["one", "two"]);
        for stream in [&mut level, &mut behind] {
            let closing_event = stream.expect_closing_event("SESSION_ENDED");
            assert_eq!(closing_event.error, "Session ended");
            assert_eq!(closing_event.retry, None, "there is nothing to come back for");
        }
        hub.client().delete("/sessions/demo").expect_problem(404, "SESSION_NOT_FOUND");
        // The pump may still have it in hand.
        eventually!(hub.stats().live("session") == 0);
        // The name is free, and begins anew.
        let mut anew = hub.subscribe_with("demo", "replay=all", &[]);
        hub.publish_text("demo", "three");
        assert_eq!(anew.next_data(1), ["three"]);
    });
}

#[test]
fn an_operator_closes_one_connection_and_its_reader_is_told() {
    each_delivery(|builder| {
        let hub = builder.start();
        let mut closed = hub.subscribe("demo");
        let mut other = hub.subscribe("other");
        let list = || hub.get("/connections").expect(200).json()["connections"].as_array().unwrap().clone();
        let listed = eventually!(list(), |listed| listed.len() == 2);
        let id =
            listed.iter().find(|row| row["session"] == "demo").unwrap()["id"].as_str().unwrap().to_owned();
        let path = format!("/connections/{id}");
        hub.client().delete(&path).expect(204);
        let closing_event = closed.expect_closing_event("DISCONNECTED");
        assert!(closing_event.retry.is_some(), "it may come back");
        eventually!(list().len() == 1);
        hub.client().delete(&path).expect_problem(404, "CONNECTION_NOT_FOUND");
        for wrong in ["x", "p0-0", "p0-0-99999", "..", "%00"] {
            let path = format!("/connections/{wrong}");
            hub.client().delete(&path).expect_problem(404, "CONNECTION_NOT_FOUND");
        }
        hub.publish_text("other", "untouched");
        assert_eq!(other.next_data(1), ["untouched"]);
    });
}

#[test]
fn silence_is_filled_with_heartbeats_and_only_silence() {
    each_delivery(|builder| {
        let hub = builder.flag("--heartbeat-interval", "0.2").start();
        let beat = |stream: &mut SseReader| match stream.next_item() {
            SseItem::Comment(text) => assert_eq!(text, ""),
            item => panic!("a heartbeat was expected, this came: {item:?}"),
        };
        let (mut stream, took) = timed(|| {
            let mut stream = hub.subscribe("demo");
            (0..5).for_each(|_| beat(&mut stream));
            stream
        });
        assert!(took >= Duration::from_millis(900), "five beats of 200 ms took {took:?} only");
        hub.publish_text("demo", "hello");
        while let SseItem::Comment(_) = stream.next_item() {}
        beat(&mut stream);
    });
}

#[test]
fn a_heartbeat_is_a_comment_and_nothing_else() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--heartbeat-interval", "0.1").start();
    let mut connection = RawConnection::connect(hub.address());
    connection.send_get("/sessions/demo/events", &[]);
    connection.read_until("\n\n\r\n", PATIENCE);
    for _ in 0..3 {
        assert_eq!(connection.read_until("\n\n\r\n", PATIENCE), "3\r\n:\n\n\r\n");
    }
}

#[test]
fn a_stream_that_is_old_enough_is_asked_to_come_back_and_loses_nothing() {
    each_delivery(|builder| {
        // Long enough for what is published to be read before it is over.
        let hub = builder.flag("--max-age", "3").start();
        let mut stream = hub.subscribe("demo");
        let (mut published, mut seen) = (0, 0);
        for _ in 0..3 {
            let (closing_event, took) = timed(|| {
                hub.publish_text("demo", &published.to_string());
                published += 1;
                assert_eq!(stream.next_data(1), [seen.to_string()]);
                stream.expect_closing_event("TIMEOUT")
            });
            seen += 1;
            assert_eq!(closing_event.error, "Connection timeout");
            assert!(closing_event.retry.is_some_and(|ms| (1000..=3000).contains(&ms)), "{closing_event:?}");
            assert!(took < Duration::from_secs(12), "{took:?} for three seconds");
            let id = stream.last_event_id().to_owned();
            hub.publish_text("demo", &published.to_string());
            published += 1;
            stream = hub.resume("demo", &id);
            assert_eq!(stream.next_data(1), [seen.to_string()]);
            seen += 1;
        }
    });
}

#[test]
fn an_exact_age_is_exact() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--max-age", "1").flag("--max-age-jitter", 0).start();
    let (_, took) = timed(|| hub.subscribe("demo").expect_closing_event("TIMEOUT"));
    assert!((Duration::from_millis(900)..Duration::from_secs(8)).contains(&took), "{took:?}");
}

#[test]
fn a_peer_that_leaves_is_noticed_at_once_however_it_leaves() {
    // The heartbeat (15 s by default) has no part in it.
    each_delivery(|builder| {
        let hub = builder.start();
        let gone = |how: &str| {
            println!("{how} is noticed");
            eventually!(hub.stats().live("subscription") == 0, SHORTLY);
        };
        drop(hub.subscribe("demo"));
        gone("a close");
        hub.subscribe("demo").reset();
        gone("a reset");
        let mut half = hub.subscribe("demo");
        half.connection().half_close();
        gone("a half close");
        assert!(!matches!(half.rest().1, End::Complete), "a peer that left gets no closing event");
        let mut talker = hub.subscribe("demo");
        talker.connection().send("GET /stats HTTP/1.1\r\nHost: hub\r\n\r\n");
        drop(talker);
        gone("a close behind pipelined bytes");
    });
}

/// Publishes until the reader that stalls is ended, and looks at how it was.
fn a_reader_stalls(builder: HubBuilder, write_deadline: u64) {
    let hub = builder
        .flag("--write-deadline", write_deadline)
        .flag("--heartbeat-interval", "0.5")
        .flag("--send-buffer-bytes", "16KiB")
        .start();
    let options = ConnectOptions { receive_buffer: Some(2048), ..hub.client().options().clone() };
    let mut stalled = SseReader::open_with(hub.address(), "/sessions/demo/events", &[], &options).unwrap();
    let mut good = hub.subscribe("demo");
    let data = "x".repeat(10_000);
    let mut published = 0;
    eventually!(
        {
            hub.publish_text("demo", &data);
            published += 1;
            assert_eq!(good.next_event().data.len(), 10_000);
            hub.stats().live("subscription")
        },
        |live| *live == 1
    );
    eventually!(hub.stats().number("metrics.slowConsumers"), |count| *count == 1, SHORTLY);
    let (events, end) = stalled.rest();
    assert!(events.len() < published, "the stalled one did not get everything");
    assert_ne!(end, End::Complete, "nor a closing event, which it would not have taken either");
}

#[test]
fn a_reader_that_stalls_is_ended_by_the_write_deadline_and_the_others_go_on() {
    each_delivery(|builder| a_reader_stalls(builder, 2));
}

/// What is left of its buffer takes a little at growing intervals: each begins the hub's deadline anew, and not the kernel's.
#[test]
fn a_reader_that_stalls_is_told_from_one_that_is_dead_also_when_the_kernel_gives_it_up() {
    a_reader_stalls(HubProcess::builder(WATERTIGHT), 6);
}
