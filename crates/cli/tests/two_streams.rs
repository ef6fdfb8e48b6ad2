//! The two streams of a deployment platform, metrics of services and the log of a deployment: whatever ends one, its reader
//! is told why, one line in the hub's log sums it up, and nothing of it is left.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tokens have wall times")]

mod tokens;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokens::{admin, ask, bearer, of, post, protected, publish};
use watertight_testkit::webhook::{Reply, WebhookServer};
use watertight_testkit::{HubBuilder, HubProcess, Redis, SseReader, Stats, eventually};

/// Each with its kind. Metrics come once, when the stream opens, and then not for a minute.
const STREAMS: [(&str, &str); 2] =
    [("metrics", "/services/metrics/stream?interval=60"), ("logs", "/deployments/42/logs/stream")];

/// A hub with one service and one deployment, both Ada's, in a file.
fn platform(dir: &tempfile::TempDir) -> HubBuilder {
    let file = dir.path().join("hub.toml");
    let text = "[services.api]\nowner = \"ada\"\nhost = true\n[deployments.42]\nowner = \"ada\"\n";
    std::fs::write(&file, text).unwrap();
    protected().flag("--config", file.display()).flag("--source-linger", "100ms")
}

/// Opens the stream and reads what it begins with.
fn watch(hub: &HubProcess, kind: &str, path: &str, token: &str) -> SseReader {
    let mut stream = SseReader::open(hub.address(), path, &[("Authorization", &bearer(token))]);
    if kind == "metrics" {
        assert_eq!(stream.next_event().event_type, "metrics");
    }
    stream
}

/// Leaves without a reset, which is what closing a socket with unread bytes is.
fn leave(mut stream: SseReader) {
    stream.connection().half_close();
    stream.rest();
}

/// What one stream holds: itself, its timer, its source, that one's subscription in Redis, its right.
fn held(stats: &Stats) -> [u64; 5] {
    ["subscription", "timer", "source", "redisSubscription", "access"].map(|kind| stats.live(kind))
}

/// Ends a stream that was opened with the token of this id.
type End = fn(&HubProcess, SseReader, &str);

/// Ways to end a stream: the reason in the log, and how it is done.
const WAYS: [(&str, End); 5] = [
    ("PEER_CLOSED", |_, stream, _| leave(stream)),
    ("PEER_RESET", |_, stream, _| stream.reset()),
    ("TOKEN_EXPIRED", |_, mut stream, _| drop(stream.expect_closing_event("TOKEN_EXPIRED"))),
    ("TOKEN_REVOKED", |hub, mut stream, id| {
        post(hub, "/tokens/revoke", &admin(), &json!({"jti": id})).expect(200);
        stream.expect_closing_event("TOKEN_REVOKED");
    }),
    ("DISCONNECTED", |hub, mut stream, _| {
        ask(hub, "DELETE", "/connections?user=ada", &admin()).expect(200);
        stream.expect_closing_event("DISCONNECTED");
    }),
];

/// What the log says of the streams of this kind that have ended.
fn closed(hub: &HubProcess, kind: &str) -> Vec<String> {
    let (log, kind) = (hub.log(), format!("kind=\"{kind}\""));
    let lines = log.lines().filter(|line| line.contains("connection closed") && line.contains(&kind));
    lines.map(str::to_owned).collect()
}

/// Opens each stream and ends it: everything that it held is given back, and one line says why it ended.
fn ends(hub: &HubProcess, redis: &Redis, reason: &str, end: End) {
    let subscribers = || redis.all(&["PUBSUB", "NUMSUB", "deployment:42:logs"]).remove(1);
    for (kind, path) in STREAMS {
        let id = format!("{kind} ended by {reason}");
        println!("{id}");
        let lasts = if reason == "TOKEN_EXPIRED" { 6 } else { 3600 };
        let token = of("ada").id(&id).lasting(Duration::from_secs(lasts)).text();
        let before = closed(hub, kind).len();
        let stream = watch(hub, kind, path, &token);
        // One that is closed by its age may be gone by now.
        if reason != "TIMEOUT" {
            let of_redis = u64::from(kind == "logs");
            eventually!(held(&hub.stats()), |held| *held == [1, 1, 1, of_redis, 1]);
            eventually!(subscribers() == of_redis.to_string());
        }
        end(hub, stream, &id);
        eventually!(held(&hub.stats()), |held| *held == [0; 5]);
        eventually!(subscribers() == "0");
        let line = eventually!(closed(hub, kind), |lines| lines.len() == before + 1).pop().unwrap();
        // A reset that meets the hub as it writes is told as a close.
        let is_it = |reason: &str| line.contains(&format!("reason=\"{reason}\""));
        assert!(is_it(reason) || reason == "PEER_RESET" && is_it("PEER_CLOSED"), "{reason}: {line}");
        if kind == "logs" {
            // The next one is not to be told what it may have missed meanwhile.
            ask(hub, "DELETE", "/sessions/deployments%2F42%2Flogs", &admin()).expect(204);
        }
    }
}

#[test]
fn whatever_ends_a_stream_of_metrics_or_of_logs_nothing_of_it_is_left() {
    let redis = Redis::start();
    let dir = tempfile::tempdir().unwrap();
    let platform =
        || platform(&dir).flag("--logs-source", "redis_pubsub").env("WATERTIGHT_REDIS_URL", redis.url());
    let hub = platform().start();
    WAYS.into_iter().for_each(|(reason, end)| ends(&hub, &redis, reason, end));
    assert_eq!(hub.log().matches("connection closed").count(), STREAMS.len() * WAYS.len());
    let hub = platform().flag("--metrics-max-age", "1s").flag("--logs-max-age", "1s").start();
    ends(&hub, &redis, "TIMEOUT", |_, mut stream, _| {
        assert_eq!(stream.expect_closing_event("TIMEOUT").error, "Connection timeout");
    });
}

#[test]
fn three_questions_in_a_row_without_an_answer_end_a_stream_of_metrics_or_of_logs() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hub.toml");
    std::fs::write(&file, "[services.api]\nhost = true\n").unwrap();
    for (kind, path) in STREAMS {
        let mut webhook = WebhookServer::start(Reply::allowed(true));
        let hub = protected()
            .flag("--config", file.display())
            .flag("--directory", "webhook")
            .flag("--webhook-url", webhook.url())
            .env("WATERTIGHT_WEBHOOK_SECRET", "a secret of the webhook")
            .flag("--revalidate-interval", "300ms")
            .flag("--directory-cache", "50ms")
            .unbalanced()
            .start();
        let mut stream = watch(&hub, kind, path, &of("ada").text());
        webhook.down();
        assert!(stream.expect_closing_event("CIRCUIT_OPEN").retry.is_some(), "it may come back");
        let log = eventually!(hub.log(), |log| log.contains("reason=\"CIRCUIT_OPEN\""));
        let line = log.lines().find(|line| line.contains("CIRCUIT_OPEN")).unwrap();
        assert!(line.contains("errors=3 ") && line.contains(&format!("kind=\"{kind}\"")), "{line}");
        eventually!(held(&hub.stats())[..2] == [0, 0]);
    }
}

#[test]
fn a_stream_of_metrics_or_of_logs_is_listed_and_leaves_a_line_with_its_user_duration_events_and_errors() {
    let dir = tempfile::tempdir().unwrap();
    let hub = platform(&dir).flag("--revalidate-interval", "200ms").flag("--log-format", "json").start();
    let token = of("ada").text();
    for (kind, path) in STREAMS {
        let mut stream = watch(&hub, kind, path, &token);
        let begun = Instant::now();
        if kind == "logs" {
            publish(&hub, "/deployments/42/logs", &token, "one\ntwo\nthree\n").expect(202);
            assert_eq!(stream.next_data(3), ["one", "two", "three"]);
        }
        let sent = if kind == "logs" { 3 } else { 1 };
        let listed = || ask(&hub, "GET", "/connections", &admin()).json()["connections"][0].clone();
        let listed = eventually!(listed(), |listed| listed["validations"].as_u64() >= Some(2));
        assert_eq!((&listed["kind"], &listed["user"]), (&kind.into(), &"ada".into()), "{listed}");
        assert_eq!((&listed["sent"], &listed["errors"]), (&sent.into(), &0.into()), "{listed}");
        assert!(listed["ageSeconds"].as_f64().unwrap() > 0.0, "{listed}");
        let open = begun.elapsed().as_millis() as u64;
        leave(stream);
        let line = || {
            let log = hub.log();
            let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.rfind(|line| line["message"] == "connection closed" && line["kind"] == kind)
        };
        let line = eventually!(line(), |line| line.is_some()).unwrap();
        assert_eq!((&line["user"], &line["reason"]), (&"ada".into(), &"PEER_CLOSED".into()), "{line}");
        assert_eq!((&line["sent"], &line["errors"]), (&sent.into(), &0.into()), "{line}");
        assert!(line["validations"].as_u64() >= Some(2), "{line}");
        // The hub's clock is read once a turn.
        assert!(
            (open.saturating_sub(50)..open + 10_000).contains(&line["duration_ms"].as_u64().unwrap()),
            "{open} ms: {line}"
        );
        eventually!(hub.stats().live("subscription") == 0);
    }
}
