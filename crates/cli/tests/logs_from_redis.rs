//! Logs of deployments from a channel or a stream in Redis: shared by all viewers, told when Redis is away, ended for good.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::ops::{ControlFlow, Range};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use watertight_testkit::crowd::Seen;
use watertight_testkit::proxy::{Cut, Mode};
use watertight_testkit::sse::SseItem;
use watertight_testkit::{
    ConnectOptions, Crowd, FaultProxy, HubBuilder, HubProcess, PATIENCE, Redis, SseReader, Stats, eventually,
};
use watertight_wire::Item;

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");
const STREAM: &str = "/deployments/42/logs/stream";
const CHANNEL: &str = "deployment:42:logs";

fn hub(source: &str, url: &str) -> HubBuilder {
    HubProcess::builder(WATERTIGHT)
        .flag("--logs-source", source)
        .flag("--source-linger", "200ms")
        .env("WATERTIGHT_REDIS_URL", url)
}

fn watch(hub: &HubProcess) -> SseReader {
    SseReader::open(hub.address(), STREAM, &[])
}

/// Subscribers of the channel, as Redis counts them.
fn subscribers(redis: &Redis) -> String {
    redis.all(&["PUBSUB", "NUMSUB", CHANNEL]).remove(1)
}

fn publish(redis: &Redis, line: &str) {
    redis.command(&["PUBLISH", CHANNEL, line]);
}

fn add(redis: &Redis, line: &str) {
    redis.command(&["XADD", CHANNEL, "*", "line", line]);
}

fn source(hub: &HubProcess) -> Value {
    hub.get("/connections").json()["connections"][0]["source"].clone()
}

/// Reads on to a comment with this text.
fn expect_comment(stream: &mut SseReader, text: &str) {
    // Heartbeats keep a stream busy: after a few of them nothing else will come.
    let found =
        (0..10).any(|_| matches!(stream.next_item(), SseItem::Comment(found) if found.trim() == text));
    assert!(found, "no comment {text:?} came");
}

#[test]
fn a_line_reaches_a_thousand_viewers_in_order_over_one_subscription() {
    let redis = Redis::start();
    let hub = hub("redis_pubsub", &redis.url()).start();
    let mut crowd = Crowd::connect(hub.address(), 1000, |_| (ConnectOptions::default(), STREAM.to_owned()));
    eventually!(hub.stats().number("totalSubscribers") == 1000);
    eventually!(subscribers(&redis) == "1");
    let line = |n: i32| vec!["PUBLISH".to_owned(), CHANNEL.to_owned(), format!("line {n}")];
    redis.commands(&(0..100).map(line).collect::<Vec<_>>());
    let (mut next, mut ready) = (vec![0; crowd.len()], 0);
    crowd.read_until(PATIENCE, |index, seen| {
        if let Seen::Item(Item::Event { event_type, data, .. }) = seen {
            assert_eq!((event_type, data), ("log", &*format!("line {}", next[index])));
            next[index] += 1;
            ready += usize::from(next[index] == 100);
        }
        if ready == 1000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!((subscribers(&redis), hub.stats().live("redisSubscription")), ("1".to_owned(), 1));
    drop(crowd);
    eventually!(subscribers(&redis) == "0");
    eventually!(hub.stats().live("source") == 0);
}

#[test]
fn leak_class_g_a_subscription_goes_with_its_last_viewer_however_that_leaves() {
    let redis = Redis::start();
    let hub = hub("redis_pubsub", &redis.url()).start();
    for round in 0..4 {
        let reader = watch(&hub);
        eventually!(subscribers(&redis) == "1");
        match round {
            0 => drop(reader),
            1 => reader.reset(),
            2 => {
                let page = hub.get("/connections").json();
                let id = page["connections"][0]["id"].as_str().unwrap().to_owned();
                hub.client().delete(format!("/connections/{id}")).expect(204);
            }
            _ => drop(hub.client().delete("/sessions/deployments%2F42%2Flogs").expect(204)),
        }
        eventually!(subscribers(&redis) == "0");
    }
    eventually!(hub.stats().live("redisSubscription") == 0);
}

#[test]
fn threat_28_viewers_of_a_channel_stay_when_redis_is_killed_are_told_and_get_a_gap() {
    let mut redis = Redis::start();
    let hub = hub("redis_pubsub", &redis.url()).start();
    let mut viewers: Vec<_> = (0..20).map(|_| watch(&hub)).collect();
    eventually!(subscribers(&redis) == "1");
    publish(&redis, "before");
    for viewer in &mut viewers {
        assert_eq!(viewer.next_data(1), ["before"]);
    }
    redis.stop();
    for viewer in &mut viewers {
        expect_comment(viewer, "waiting for source");
    }
    let state = source(&hub);
    assert_eq!(state["state"], "waiting", "{state}");
    assert!(state["lastError"].as_str().is_some_and(|why| !why.is_empty()), "{state}");
    redis.restart();
    eventually!(subscribers(&redis) == "1");
    publish(&redis, "after");
    for viewer in &mut viewers {
        let gap = viewer.expect_gap();
        assert_eq!((gap.reason.as_str(), gap.missed), ("source", None));
        assert_eq!(viewer.next_data(1), ["after"]);
    }
    assert_eq!(hub.stats().live("subscription"), 20);
    eventually!(source(&hub)["state"] == "running");
}

#[test]
fn viewers_of_a_stream_get_every_line_once_across_times_without_redis() {
    let redis = Redis::start();
    let proxy = FaultProxy::start(redis.address());
    let hub = hub("redis_stream", &format!("redis://{}", proxy.address())).start();
    add(&redis, "0");
    let mut viewers: Vec<_> = (0..20).map(|_| watch(&hub)).collect();
    for viewer in &mut viewers {
        assert_eq!(viewer.next_data(1), ["0"]);
    }
    for round in 0..3 {
        proxy.cut(Cut::Rst);
        for line in 1..=50 {
            add(&redis, &format!("{}", round * 50 + line));
        }
    }
    for viewer in &mut viewers {
        let expected: Vec<_> = (1..=150).map(|line| line.to_string()).collect();
        assert_eq!(viewer.next_data(150), expected);
    }
    assert_eq!(hub.stats().number("metrics.gaps"), 0);
}

#[test]
fn a_hub_that_starts_without_redis_serves_viewers_and_recovers() {
    let mut redis = Redis::start();
    for kind in ["redis_pubsub", "redis_stream"] {
        redis.stop();
        // Its connection to Redis comes after its start, and stays.
        let hub = hub(kind, &redis.url()).unbalanced().start();
        let mut viewer = watch(&hub);
        expect_comment(&mut viewer, "waiting for source");
        redis.restart();
        if kind == "redis_pubsub" {
            eventually!(subscribers(&redis) == "1");
            publish(&redis, "here");
        } else {
            add(&redis, "here");
        }
        assert_eq!(viewer.next_data(1), ["here"]);
        drop(viewer);
        let live =
            |stats: &Stats| ["source", "redisSubscription", "subscription"].map(|kind| stats.live(kind));
        eventually!(hub.stats(), |stats| live(stats) == [0, 0, 0]);
    }
}

fn expect_end(stream: &mut SseReader, exit_code: impl Into<Value>) {
    let event = stream.next_event();
    assert_eq!(event.event_type, "end", "{event:?}");
    let data: Value = serde_json::from_str(&event.data).unwrap();
    assert_eq!(data["exitCode"], exit_code.into());
    assert!(data["endedAt"].as_f64().unwrap() > 1e9, "{data}");
    stream.expect_closing_event("SESSION_ENDED");
}

#[test]
fn the_end_of_a_channel_is_told_whenever_one_comes_and_a_new_deployment_begins_anew() {
    let mut redis = Redis::start();
    let hub = hub("redis_pubsub", &redis.url()).start();
    let key = "deployment:42:logs:end";
    // It ended before anybody watched.
    redis.command(&["SET", key, r#"{"exitCode":3,"endedAt":1764150000.5}"#]);
    expect_end(&mut watch(&hub), 3);
    expect_end(&mut watch(&hub), 3);
    hub.client().post("/deployments/42/logs", "text/plain", "x").expect_problem(409, "SESSION_ENDED");
    // The same id is deployed again.
    redis.command(&["DEL", key]);
    let mut viewer = watch(&hub);
    eventually!(subscribers(&redis) == "1");
    publish(&redis, "again");
    publish(&redis, r#"{"message":"JSON  as it is"}"#);
    assert_eq!(viewer.next_data(2), ["again", r#"{"message":"JSON  as it is"}"#]);
    publish(&redis, r#"{"event":"end","exitCode":0}"#);
    expect_end(&mut viewer, 0);
    // It ended while Redis was away, which comes back with the key.
    let mut viewer = watch(&hub);
    eventually!(subscribers(&redis) == "1");
    redis.stop();
    expect_comment(&mut viewer, "waiting for source");
    redis.restart();
    redis.command(&["SET", key, "137"]);
    // It may have looked for the key before; whoever ends a deployment says so as well.
    publish(&redis, r#"{"event":"end","exitCode":137}"#);
    viewer.expect_gap();
    expect_end(&mut viewer, 137);
}

#[test]
fn a_stream_has_history_a_tail_and_an_end_and_goes_on_exactly_after_nobody_watched() {
    let redis = Redis::start();
    let hub = hub("redis_stream", &redis.url()).start();
    for line in 1..=10 {
        add(&redis, &line.to_string());
    }
    let tail = format!("{STREAM}?tail=2");
    let mut last = SseReader::open(hub.address(), &tail, &[]);
    assert_eq!(last.next_data(2), ["9", "10"]);
    let mut all = watch(&hub);
    assert_eq!(all.next_data(10).last().unwrap(), "10");
    let id = all.last_event_id().to_owned();
    drop((all, last));
    eventually!(hub.stats().live("source") == 0);
    for line in 11..=13 {
        add(&redis, &line.to_string());
    }
    let mut back = SseReader::open(hub.address(), STREAM, &[("Last-Event-ID", &id)]);
    assert_eq!(back.next_data(3), ["11", "12", "13"]);
    redis.command(&["XADD", CHANNEL, "*", "event", "end", "exit_code", "1"]);
    expect_end(&mut back, 1);
    let mut late = SseReader::open(hub.address(), &tail, &[]);
    assert_eq!(late.next_data(2), ["12", "13"]);
    expect_end(&mut late, 1);
    // Deployed again: the stream is made anew.
    redis.command(&["DEL", CHANNEL]);
    add(&redis, "new");
    let mut viewer = watch(&hub);
    assert_eq!(viewer.next_data(1), ["new"]);
}

#[test]
fn a_stream_that_is_longer_than_a_log_says_how_much_came_before() {
    let redis = Redis::start();
    let builder = hub("redis_stream", &redis.url()).flag("--max-history-per-session", 5);
    let hub = builder.start();
    for line in 1..=12 {
        add(&redis, &line.to_string());
    }
    let mut viewer = watch(&hub);
    let gap = viewer.expect_gap();
    assert_eq!((gap.reason.as_str(), gap.missed), ("source", Some(7)));
    assert_eq!(viewer.next_data(5), ["8", "9", "10", "11", "12"]);
}

#[test]
fn the_tail_of_a_long_stream_is_its_last_lines_also_for_the_first_viewer() {
    let redis = Redis::start();
    let hub = hub("redis_stream", &redis.url()).flag("--max-history-per-session", 5).start();
    for line in 1..=12 {
        add(&redis, &line.to_string());
    }
    let mut viewer = SseReader::open(hub.address(), &format!("{STREAM}?tail=2"), &[]);
    add(&redis, "13");
    assert_eq!(viewer.next_data(3), ["11", "12", "13"]);
}

#[test]
fn odd_entries_and_long_lines_are_told_not_fatal() {
    let redis = Redis::start();
    let hub = hub("redis_stream", &redis.url()).flag("--max-event-bytes", "1KiB").start();
    let mut viewer = watch(&hub);
    redis.command(&["XADD", CHANNEL, "*", "text", "the only field"]);
    redis.command(&["XADD", CHANNEL, "*", "a", "1", "b", "two"]);
    redis.command(&["XADD", CHANNEL, "*", "level", "info", "message", "with a level"]);
    add(&redis, &"x".repeat(300_000));
    add(&redis, "\u{1b}[31mred\u{1b}[0m \0 tail\r\n");
    let lines = viewer.next_data(5);
    assert_eq!(lines[..3], ["the only field", r#"{"a":"1","b":"two"}"#, "with a level"]);
    assert!(lines[3].starts_with("xxx") && lines[3].ends_with("… [cut: 300000 bytes]"), "{}", lines[3].len());
    assert!(lines[3].len() <= 1024);
    assert_eq!(lines[4], "\u{1b}[31mred\u{1b}[0m \0 tail");
    let metrics = hub.get("/metrics").expect(200);
    assert!(metrics.text().contains("watertight_redis_log_lines_cut_total 1\n"), "{metrics:?}");
}

#[test]
fn a_channel_that_the_user_may_not_read_is_told_with_the_acl_that_is_missing_and_recovers() {
    let redis = Redis::start();
    redis.command(&["ACL", "SETUSER", "hub", "on", ">pw", "resetchannels", "+@all", "~*"]);
    let hub = hub("redis_pubsub", &redis.url_for("hub", "pw")).start();
    let mut viewer = watch(&hub);
    expect_comment(&mut viewer, "waiting for source");
    let why = eventually!(source(&hub)["lastError"].to_string(), |why| why.contains(CHANNEL));
    assert!(why.contains("&deployment:42:logs") && !why.contains("pw"), "{why}");
    redis.command(&["ACL", "SETUSER", "hub", "&*"]);
    eventually!(subscribers(&redis) == "1");
    publish(&redis, "allowed");
    assert_eq!(viewer.next_data(1), ["allowed"]);
}

#[test]
fn threat_29_hubs_that_are_cut_off_from_redis_have_every_line_once_and_in_order_when_it_heals() {
    let redis = Redis::start();
    let proxies = [FaultProxy::start(redis.address()), FaultProxy::start(redis.address())];
    let hubs =
        proxies.each_ref().map(|proxy| hub("redis_stream", &format!("redis://{}", proxy.address())).start());
    add(&redis, "0");
    let mut viewers: Vec<_> = hubs.iter().flat_map(|hub| (0..5).map(|_| watch(hub))).collect();
    for viewer in &mut viewers {
        assert_eq!(viewer.next_data(1), ["0"]);
    }
    // One is cut off without a word, the other is not; then the other way round.
    for (round, cut_off) in [0, 1].into_iter().enumerate() {
        proxies[cut_off].set(Mode::BlackHole);
        for line in 1..=20 {
            add(&redis, &format!("{}", round * 20 + line));
        }
        let (near, far) = viewers.split_at_mut(5);
        let served = if cut_off == 0 { far } else { near };
        let lines = |round: usize| (1..=20).map(|line| (round * 20 + line).to_string()).collect::<Vec<_>>();
        for viewer in served.iter_mut() {
            assert_eq!(viewer.next_data(20), lines(round), "whoever is not cut off waits for nobody");
        }
        proxies[cut_off].cut(Cut::Rst);
        proxies[cut_off].set(Mode::Pass);
        let healed = if cut_off == 0 { &mut viewers[..5] } else { &mut viewers[5..] };
        for viewer in healed {
            assert_eq!(viewer.next_data(20), lines(round), "each once, in order");
        }
    }
}

/// Adds lines from 1 on, one every 10 ms, across the time in which Redis is away: each is in the stream once.
fn feed(redis: &Mutex<Redis>, kind: &str, lines: Range<u32>) {
    for line in lines {
        let (id, text) = (format!("{line}-1"), line.to_string());
        let words: &[&str] = match kind {
            "redis_stream" => &["XADD", CHANNEL, &id, "line", &text],
            _ => &["PUBLISH", CHANNEL, &text],
        };
        // Refused: it is there already, and only the answer was lost.
        while redis.lock().unwrap().try_command(words).is_err() {
            std::thread::sleep(PAUSE);
        }
        std::thread::sleep(PAUSE);
    }
}

const PAUSE: Duration = Duration::from_millis(10);

#[test]
fn redis_killed_under_a_hundred_viewers_with_a_line_every_10_ms_loses_none_of_them_and_nothing_in_silence() {
    for kind in ["redis_stream", "redis_pubsub"] {
        // What was answered is on disk.
        let redis = Mutex::new(Redis::start_with(&["--appendonly", "yes", "--appendfsync", "always"]));
        let hub = hub(kind, &redis.lock().unwrap().url()).start();
        let mut crowd = Crowd::open(hub.address(), 100, |_| (ConnectOptions::default(), STREAM.to_owned()));
        if kind == "redis_pubsub" {
            eventually!(subscribers(&redis.lock().unwrap()) == "1");
        }
        let (mut last, mut gaps, mut told) = ([0; 100], [0; 100], [false; 100]);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                feed(&redis, kind, 1..100);
                // What a channel says is nowhere but on its way: the hub has it all before Redis is gone.
                eventually!(hub.stats().number("metrics.eventsPublished") >= 99);
                redis.lock().unwrap().stop();
                // Everyone is told before it comes back.
                eventually!(source(&hub)["state"] == "waiting");
                std::thread::sleep(500 * PAUSE);
                redis.lock().unwrap().restart();
                if kind == "redis_pubsub" {
                    eventually!(subscribers(&redis.lock().unwrap()) == "1");
                }
                feed(&redis, kind, 100..200);
            });
            let mut ready = 0;
            crowd.read_until(3 * PATIENCE, |index, seen| {
                match seen {
                    Seen::Item(Item::Event { event_type: "log", data, .. }) => {
                        let line: u32 = data.parse().unwrap();
                        assert_eq!(line, last[index] + 1, "each line once, in order ({kind})");
                        last[index] = line;
                        ready += usize::from(line == 199);
                    }
                    Seen::Item(Item::Event { event_type: "gap", .. }) => gaps[index] += 1,
                    Seen::Item(Item::Comment(text)) => told[index] |= text.trim() == "waiting for source",
                    Seen::Item(Item::Event { event_type, data, .. }) => panic!("{event_type}: {data}"),
                    Seen::End(end) => panic!("viewer {index} was disconnected: {end:?}"),
                    _ => {}
                }
                if ready == 100 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
        });
        assert!(told.iter().all(|told| *told), "{kind}: everyone is told");
        let expected = if kind == "redis_stream" { 0 } else { 1 };
        assert!(gaps.iter().all(|gaps| *gaps == expected), "{kind}: {gaps:?}");
        assert_eq!(hub.stats().number("totalSubscribers"), 100);
    }
}
