//! `watertight bench` against the hub that it starts, in small: what is measured is a hub that delivers. No figure is
//! checked, only that there is one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::process::Command;
use std::time::Duration;

use watertight_testkit::Program;

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

/// Each takes seconds; a machine that does much else takes longer.
const AMPLE: Duration = Duration::from_secs(120);

/// What a scenario prints.
fn bench(arguments: &str) -> String {
    let mut bench = Program::start(WATERTIGHT, format!("bench {arguments}").split(' '));
    bench.wait(AMPLE);
    let text = bench.text();
    assert!(!text.is_empty(), "{arguments}: {}", bench.errors());
    text
}

/// The number that stands before a word.
fn count(text: &str, word: &str) -> u64 {
    let at = text.find(word).unwrap_or_else(|| panic!("no {word:?} in {text}"));
    let digits = text[..at].trim_end().rsplit([' ', '(', '\n']).next().unwrap();
    digits.replace(',', "").parse().unwrap_or_else(|_| panic!("{digits:?} before {word:?} in {text}"))
}

#[test]
fn what_is_measured_is_a_hub_that_delivers_everything() {
    for arguments in [
        "fanout -n 20 --seconds 1 --rate 50",
        "fanout -n 20 --seconds 1 --rate max",
        "fanout -n 20 --seconds 1 --rounds 1 --tls",
        "scatter -n 20 --seconds 1",
        "scatter -n 20 --seconds 1 --rounds 1 --publishers 4 --compare-floor",
        "storm -n 20 --events 20",
        "stalled -n 20 -m 5 --seconds 1 --set heartbeat_interval=200ms --set write_deadline=2s",
        "stalled -n 20 -m 5 --seconds 1 --tls --set heartbeat_interval=200ms --set write_deadline=2s",
        "neighbours -n 20 --seconds 1 --only answers",
        "unread-log -n 10 --seconds 1",
    ] {
        let text = bench(arguments);
        assert!(count(&text, "deliveries,") > 0, "{arguments}: {text}");
        assert_eq!((count(&text, "lost"), count(&text, "undelivered")), (0, 0), "{arguments}: {text}");
    }
}

#[test]
fn every_line_of_a_log_is_counted_whatever_it_comes_from() {
    let text = bench("logs -n 5 --lines 6000 --rounds 1");
    // Three turns, a fourth that is faster than viewers take it, and what was published before.
    let seen = count(&text, "deliveries,") + count(&text, "missed");
    assert_eq!(seen, 5 * (4 * 6_000 + 3 * 5_001), "{text}");
    for name in ["redis_pubsub", "redis_stream"] {
        assert!(
            text.contains(&format!("CPU per delivered line over that of published sessions, {name}")),
            "{text}"
        );
    }
}

#[test]
fn a_hub_that_runs_by_itself_is_not_measured_over_tls() {
    let mut bench = Program::start(WATERTIGHT, ["bench", "hold", "--tls", "--url", "http://127.0.0.1:9"]);
    assert_eq!(bench.wait(AMPLE).code(), Some(64));
    assert!(bench.errors().contains("leave out --url"), "{}", bench.errors());
}

#[test]
fn a_redis_that_is_not_installed_is_named_with_its_package() {
    let mut command = Command::new(WATERTIGHT);
    command.args(["bench", "logs", "-n", "1"]).env("PATH", "/nonexistent");
    let mut bench = Program::spawn(command);
    assert_eq!(bench.wait(AMPLE).code(), Some(1));
    assert!(bench.errors().contains("apt-get install redis-server"), "{}", bench.errors());
}

#[test]
fn subscribers_that_are_held_or_come_and_go_got_their_streams() {
    let held = bench("hold --subscribers 50 --sessions own");
    assert!(held.contains("bytes per idle subscriber"), "{held}");
    churned("churn --cycles 200");
    let stats = bench("stats --sessions 20 --calls 20");
    assert!(stats.contains("CPU us per call"), "{stats}");
    let access = bench("access -n 20 --tokens 2 --seconds 1");
    assert!(access.contains("questions an interval, 2 tokens"), "{access}");
    let tokens = bench("tokens --seconds 0.05");
    assert!(["HS256", "ES256", "RS256", "EdDSA"].iter().all(|name| tokens.contains(name)), "{tokens}");
}

#[test]
fn subscribers_over_tls_and_http2_got_their_streams_too() {
    let held = bench("hold --subscribers 50 --tls");
    assert!(held.contains("each in a session of its own, over TLS"), "{held}");
    for arguments in
        ["hold --subscribers 50 --http2 --streams 5", "hold --subscribers 50 --http2 --streams 5 --tls"]
    {
        let held = bench(arguments);
        assert!(held.contains("bytes per further stream") && !held.contains("the ledger shows"), "{held}");
    }
    churned("churn --cycles 200 --tls");
}

/// Asserts of a churn that nobody was refused, and nobody was cut off.
fn churned(arguments: &str) {
    let churned = bench(arguments);
    assert!(count(&churned, "streams opened") > 100, "{churned}");
    assert_eq!((count(&churned, "refused"), count(&churned, "broke off")), (0, 0), "{churned}");
}
