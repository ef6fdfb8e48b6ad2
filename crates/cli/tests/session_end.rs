//! A session ends for good: whoever reads it hears so, whenever and however it comes, and history says what it leaves
//! out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use watertight_testkit::{HubBuilder, HubProcess, PATIENCE, Program, Response, eventually};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");
const END: &str = "/sessions/demo/end";
const EVENTS: &str = "/sessions/demo/events";
const CLOSING_EVENT: &str =
    "event: error\ndata: {\"error\":\"Session ended\",\"code\":\"SESSION_ENDED\"}\n\n";

/// The two ways a stream leaves over HTTP/1.1: by a pump (plain) and as a body (TLS). Both promise the same.
fn each_delivery(scenario: impl Fn(HubBuilder)) {
    scenario(HubProcess::builder(WATERTIGHT));
    println!("and over TLS:");
    scenario(HubProcess::builder(WATERTIGHT).tls());
}

fn publish(hub: &HubProcess, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| hub.publish_text("demo", &number.to_string())).collect()
}

fn end(hub: &HubProcess, body: &Value) -> Value {
    hub.client().post(END, "application/json", body.to_string()).expect(200).json()
}

fn poll(hub: &HubProcess, query: &str) -> Value {
    let path = format!("{EVENTS}?{query}");
    hub.client().request("GET", path).header("Accept", "application/json").send().expect(200).json()
}

fn session(hub: &HubProcess) -> Value {
    hub.get("/sessions/demo").expect(200).json()
}

fn with_key(hub: &HubProcess, key: &str, path: &str, body: &str) -> Response {
    let request = hub.client().request("POST", path).header("Content-Type", "text/plain");
    request.header("Idempotency-Key", key).body(body).send()
}

#[test]
fn whoever_is_there_returns_or_comes_late_gets_what_it_lacks_and_then_the_end() {
    each_delivery(|builder| {
        let hub = builder.start();
        let mut here = hub.subscribe("demo");
        let ids = publish(&hub, 0..3);
        assert_eq!(session(&hub)["state"], "open");
        let ended = end(&hub, &json!({"event": {"type": "done", "data": {"ok": true}}, "keep": 60}));
        assert_eq!((&ended["session"], &ended["keep"]), (&json!("demo"), &json!(60.0)));
        let last = ended["last"].as_str().unwrap();
        let readers = [
            (&mut here, 0),
            (&mut hub.resume("demo", &ids[0]), 1),
            (&mut hub.subscribe_with("demo", "replay=all", &[]), 0),
            (&mut hub.subscribe_with("demo", "replay=2", &[]), 2),
            (&mut hub.resume("demo", last), 4),
            (&mut hub.subscribe("demo"), 4),
        ];
        for (reader, from) in readers {
            let expected = ["0", "1", "2", r#"{"ok":true}"#];
            assert_eq!(reader.next_data(4 - from), expected[from..]);
            let closing_event = reader.expect_closing_event("SESSION_ENDED");
            assert_eq!(closing_event.retry, None, "there is nothing to come back for");
        }
        let shown = session(&hub);
        assert_eq!((&shown["state"], &shown["endedAt"]), (&json!("ended"), &ended["endedAt"]));
        assert_eq!((&shown["events"], &shown["newest"]), (&json!(4), &ended["last"]));
        assert!(shown["keptForSeconds"].as_f64().unwrap() <= 60.0, "{shown}");
        assert_eq!(hub.get("/sessions").expect(200).json()["sessions"][0]["state"], "ended");
        hub.client().delete("/sessions/demo").expect(204);
    });
}

#[test]
fn a_poller_gets_what_it_lacks_and_then_the_end_at_once() {
    let hub = HubProcess::start(WATERTIGHT);
    let ids = publish(&hub, 0..2);
    std::thread::scope(|scope| {
        let poller = scope.spawn(|| poll(&hub, &format!("after={}&wait=60", ids[1])));
        eventually!(hub.stats().live("subscription") == 1);
        end(&hub, &json!({}));
        assert_eq!(poller.join().unwrap()["end"]["code"], "SESSION_ENDED");
    });
    let answer = poll(&hub, &format!("after={}&wait=60", ids[0]));
    assert_eq!((&answer["events"][0]["data"], &answer["next"]), (&json!("1"), &json!(ids[1])));
    for query in [format!("after={}", ids[1]), "replay=0".to_owned(), String::new()] {
        let answer = poll(&hub, &format!("{query}&wait=60"));
        assert_eq!((&answer["events"], &answer["next"]), (&json!([]), &json!(ids[1])), "{query}");
        assert_eq!(answer["end"], json!({"error": "Session ended", "code": "SESSION_ENDED"}));
    }
}

#[test]
fn over_http2_and_http_1_0_a_late_reader_gets_the_history_and_the_end_and_its_stream_ends() {
    let hub = HubProcess::start(WATERTIGHT);
    publish(&hub, 0..1);
    end(&hub, &json!({"event": {"data": "last"}}));
    let url = hub.url(&format!("{EVENTS}?replay=all"));
    for flags in [&["--http1.0"][..], &["--http1.1"], &["--http2-prior-knowledge"]] {
        let mut curl = Program::start("curl", flags.iter().copied().chain(["-sSN", &url]));
        curl.finish(PATIENCE);
        let text = curl.text();
        assert!(text.contains("data: 0\n") && text.contains("data: \"last\"\n"), "{flags:?}: {text}");
        assert!(text.ends_with(CLOSING_EVENT), "{flags:?}: {text}");
    }
}

#[test]
fn an_ended_session_refuses_events_until_reopen_begins_a_new_epoch() {
    let hub = HubProcess::start(WATERTIGHT);
    let old = publish(&hub, 0..1).remove(0);
    with_key(&hub, "before", EVENTS, "kept").expect(202);
    let first = end(&hub, &json!({}));
    let bodies = [("text/plain", "x"), ("application/json", r#"[{"data":1},{"data":2}]"#)];
    for (content_type, body) in bodies {
        let refused = hub.client().post(EVENTS, content_type, body).expect_problem(409, "SESSION_ENDED");
        assert!(refused["detail"].as_str().unwrap().contains("reopen"), "{refused}");
    }
    with_key(&hub, "after", EVENTS, "x").expect_problem(409, "SESSION_ENDED");
    let retried = with_key(&hub, "before", EVENTS, "kept").expect(202).json();
    assert_eq!(retried["id"], first["last"], "it was published before the end");
    // Nothing was published meanwhile, and ending again changes nothing.
    let again = end(&hub, &json!({"event": {"data": "again"}, "keep": 1}));
    assert_eq!(again, first);

    let reopened = format!("{EVENTS}?reopen=true");
    let new = hub.client().post(&reopened, "text/plain", "anew").expect(202).json();
    let epoch = |id: &str| id.split_once('-').unwrap().0.to_owned();
    assert_ne!(epoch(new["id"].as_str().unwrap()), epoch(&old));
    let mut back = hub.resume("demo", &old);
    assert_eq!(back.expect_gap().reason, "epoch", "the session goes on");
    assert_eq!(back.next_data(1), ["anew"]);
    with_key(&hub, "after", EVENTS, "x").expect(202);
    assert_eq!(back.next_data(1), ["x"], "the refusal left no key behind");
    hub.client().post(&reopened, "text/plain", "goes on").expect(202);
    assert_eq!(back.next_data(1), ["goes on"]);
}

#[test]
fn an_ended_session_is_forgotten_after_its_keep_and_gives_everything_back() {
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--cleanup-interval", "100ms")
        .flag("--tombstone-ttl", "100ms")
        .start();
    publish(&hub, 0..10);
    hub.client().post(format!("{END}?keep=2"), "application/json", "").expect(200);
    assert_eq!(session(&hub)["events"], 10);
    let stats = eventually!(hub.stats(), |stats| {
        stats.live("session") == 0 && stats.number("budget.owners.caches") == 0
    });
    for owner in ["frames", "sessions"] {
        assert_eq!(stats.number(&format!("budget.owners.{owner}")), 0, "{owner}");
    }
    hub.get("/sessions/demo").expect_problem(404, "SESSION_NOT_FOUND");
    publish(&hub, 0..1);
}

#[test]
fn an_id_of_a_deleted_session_is_told_that_it_ended_and_everybody_else_begins_anew() {
    each_delivery(|builder| {
        let hub = builder.start();
        let ids = publish(&hub, 0..3);
        hub.client().delete("/sessions/demo").expect(204);
        for is_anew in [false, true] {
            if is_anew {
                publish(&hub, 7..8);
            }
            hub.resume("demo", &ids[2]).expect_closing_event("SESSION_ENDED");
            let mut behind = hub.resume("demo", &ids[0]);
            let gap = behind.expect_gap();
            assert_eq!((gap.reason.as_str(), gap.missed, &gap.to), ("evicted", Some(2), &ids[2]));
            behind.expect_closing_event("SESSION_ENDED");
            let answer = poll(&hub, &format!("after={}&wait=60", ids[2]));
            assert_eq!((&answer["end"]["code"], &answer["next"]), (&json!("SESSION_ENDED"), &json!(ids[2])));
        }
        assert_eq!(hub.subscribe_with("demo", "replay=all", &[]).next_data(1), ["7"]);
        assert_eq!(hub.resume("other", &ids[2]).expect_gap().reason, "epoch", "it is no id of that session");
    });
}

#[test]
fn a_key_belongs_to_an_epoch_of_its_session() {
    let hub = HubProcess::start(WATERTIGHT);
    let first = with_key(&hub, "k", EVENTS, "x").expect(202).json();
    assert_eq!(with_key(&hub, "k", EVENTS, "x").expect(202).json(), first);
    for body in ["x", "another"] {
        hub.client().delete("/sessions/demo").expect(204);
        let again = with_key(&hub, "k", EVENTS, body).expect(202).json();
        assert_ne!(again, first);
        let answer = poll(&hub, "replay=all&wait=0");
        assert_eq!((&answer["events"][0]["data"], &answer["next"]), (&json!(body), &again["id"]));
        assert_eq!(with_key(&hub, "k", EVENTS, body).expect(202).json(), again);
    }
}

#[test]
fn whoever_asks_for_history_is_told_what_is_gone_of_it() {
    each_delivery(|builder| {
        let hub = builder.start();
        let events: Vec<Value> = (0..700).map(|number| json!({"data": number})).collect();
        let ids = hub.publish_json("demo", &json!(events));
        for query in ["replay=all", "replay=700", "replay=1000"] {
            let mut stream = hub.subscribe_with("demo", query, &[]);
            let gap = stream.expect_gap();
            assert_eq!((gap.reason.as_str(), gap.missed), ("evicted", Some(200)), "{query}");
            assert_eq!((gap.from.as_ref(), &gap.to), (Some(&ids[0]), &ids[199]), "{query}");
            assert_eq!(stream.next_event().id, ids[200], "{query}");
            let answer = poll(&hub, &format!("{query}&wait=0"));
            assert_eq!(answer["gap"]["missed"], 200, "{query}");
            assert_eq!(answer["events"][0]["id"], json!(ids[200]), "{query}");
        }
        assert_eq!(hub.subscribe_with("demo", "replay=500", &[]).next_event().id, ids[200]);
    });
}

#[test]
fn a_session_says_what_a_newcomer_can_replay_and_from_where() {
    let hub = HubProcess::start(WATERTIGHT);
    let events: Vec<Value> = (0..700).map(|number| json!({"data": number})).collect();
    hub.publish_json("demo", &json!(events));
    let session = session(&hub);
    let before = session["before"].as_str().unwrap();
    let answer = poll(&hub, &format!("after={before}&wait=0&limit=1000"));
    assert_eq!(answer["gap"], Value::Null);
    assert_eq!(json!(answer["events"].as_array().unwrap().len()), session["events"]);
    assert_eq!(session["events"], 500);
}
