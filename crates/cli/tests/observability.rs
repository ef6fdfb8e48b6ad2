//! What an operator sees: figures that add up and agree with the kernel, health, pages of sessions.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::Value;
use watertight_testkit::{
    ConnectOptions, Crowd, HubProcess, PATIENCE, Program, RawConnection, Signal, eventually,
};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

#[test]
fn stats_say_what_there_is_and_agree_with_the_kernel() {
    let hub = HubProcess::start(WATERTIGHT);
    let crowd = Crowd::open(hub.address(), 50, |n| {
        (ConnectOptions::default(), format!("/sessions/s{}/events", n % 5))
    });
    for n in 0..7 {
        hub.publish_text("s1", &n.to_string());
    }
    let stats = eventually!(hub.stats(), |stats| {
        stats.number("metrics.eventsDelivered") == 70 && stats.live("connection") == 51
    });
    stats.ledger().assert_adds_up();
    for (path, expected) in [
        ("totalSessions", 5),
        ("totalEvents", 7),
        ("totalSubscribers", 50),
        ("metrics.eventsPublished", 7),
        ("metrics.gaps", 0),
        ("metrics.slowConsumers", 0),
        ("ledger.subscription.live", 50),
        ("ledger.session.live", 5),
        ("ledger.timer.live", 50),
        ("ledger.connection.live", 51),
        ("ledger.request.live", 1),
        ("ledger.source.live", 0),
        ("ledger.redisSubscription.live", 0),
        ("process.pid", u64::from(hub.pid())),
    ] {
        assert_eq!(stats.number(path), expected, "{path}");
    }
    assert_eq!(stats.json()["budget"]["level"], "normal");
    eventually!(hub.sockets() == 50);
    let memory = stats.json()["memoryUsageMB"].as_f64().unwrap() * 1024.0 * 1024.0;
    let rss = hub.rss() as f64;
    assert!(memory > 0.0 && memory < rss * 1.5, "{memory} of {rss}");
    let owners = stats.json()["budget"]["owners"].as_object().unwrap();
    let sum: u64 = owners.values().map(|bytes| bytes.as_u64().unwrap()).sum();
    assert_eq!(sum, stats.used_bytes(), "what the owners are charged is all there is");
    drop(crowd);
    hub.client().delete("/sessions/s1").expect(204);
    let stats = eventually!(hub.stats(), |stats| stats.live("subscription") == 0);
    assert_eq!(stats.number("budget.owners.frames"), 0);
}

#[test]
fn metrics_never_carry_a_word_that_a_client_chose() {
    let hub = HubProcess::start(WATERTIGHT);
    let series = || {
        let text = hub.get("/metrics").expect(200).text();
        assert!(text.ends_with('\n'), "{text}");
        text
    };
    let count = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    let before = count(&series());
    assert!(before > 5, "{}", series());
    let streams: Vec<_> = (0..20).map(|n| hub.subscribe(&format!("very-secret-{n}"))).collect();
    for n in 0..20 {
        let event = serde_json::json!({"type": format!("hidden-{n}"), "data": "unheard"});
        hub.publish_json(&format!("very-secret-{n}"), &event);
    }
    let text = series();
    assert_eq!(count(&text), before, "{text}");
    for word in ["very-secret", "hidden", "unheard", "127.0.0"] {
        assert!(!text.contains(word), "{word} in {text}");
    }
    drop(streams);
    let off = HubProcess::builder(WATERTIGHT).flag("--enable-metrics", "false").start();
    off.get("/metrics").expect_problem(404, "NOT_FOUND");
}

#[test]
fn sessions_and_connections_come_in_pages_each_once() {
    let hub = HubProcess::start(WATERTIGHT);
    let names: HashSet<String> = (0..230).map(|n| format!("s{n}")).collect();
    let crowd_names: Vec<&String> = names.iter().collect();
    let _crowd = Crowd::open(hub.address(), 230, |n| {
        (ConnectOptions::default(), format!("/sessions/{}/events", crowd_names[n]))
    });
    for path in ["/sessions", "/connections"] {
        let rows_key = path.trim_start_matches('/');
        for limit in [7, 100, 1000] {
            let (mut seen, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = hub.get(&format!("{path}?limit={limit}{cursor}")).expect(200).json();
                assert_eq!(page["total"], 230);
                let rows = page[rows_key].as_array().unwrap();
                assert!(rows.len() <= limit);
                seen.extend(rows.iter().map(|row| row["session"].as_str().unwrap().to_owned()));
                let Some(next) = page["next"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
            assert_eq!(seen.len(), 230, "{path} by {limit}");
            assert_eq!(seen.into_iter().collect::<HashSet<_>>(), names, "{path} by {limit}");
        }
    }
}

#[test]
fn a_session_can_be_looked_at() {
    let hub = HubProcess::start(WATERTIGHT);
    let ids: Vec<String> = (0..3).map(|_| hub.publish_text("a%20b", "hello")).collect();
    let _other = hub.subscribe("a%20b");
    let session = hub.get("/sessions/a%20b").expect(200).json();
    assert_eq!(session["session"], "a b");
    assert_eq!(session["events"], 3);
    assert_eq!(session["newest"], Value::from(ids[2].clone()));
    assert!(session["bytes"].as_u64().unwrap() > 3 * 5);
    assert!(session["idleSeconds"].as_f64().unwrap() < 60.0);
}

#[test]
fn a_hub_is_ready_until_it_stops_and_alive_as_long_as_it_answers() {
    let mut hub = HubProcess::builder(WATERTIGHT).flag("--shutdown-grace", "10").start();
    assert_eq!(hub.get("/health/live").expect(200).json()["status"], "live");
    assert_eq!(hub.get("/health/ready").expect(200).json()["status"], "ready");
    hub.signal(Signal::TERM);
    assert!(hub.wait(Duration::from_secs(5)).success());
}

#[test]
fn the_description_describes_what_there_is() {
    let hub = HubProcess::start(WATERTIGHT);
    let description = hub.get("/openapi.json").expect(200).json();
    assert!(description["openapi"].as_str().unwrap().starts_with("3."));
    let paths = description["paths"].as_object().unwrap();
    for path in [
        "/sessions/{session}/events",
        "/sessions",
        "/sessions/{session}",
        "/connections",
        "/connections/{id}",
        "/stats",
        "/metrics",
        "/health/live",
        "/health/ready",
    ] {
        assert!(paths.contains_key(path), "{path} is not described");
    }
}

#[test]
fn stats_are_quick_however_many_sessions_there_are() {
    let hub = HubProcess::start(WATERTIGHT);
    let line = |session: usize| format!("/sessions/s{session}/events");
    for n in 0..2000 {
        hub.client().post(line(n), "text/plain", "x").expect(202);
    }
    let before = hub.cpu_time();
    (0..100).for_each(|_| drop(hub.stats()));
    let used = hub.cpu_time() - before;
    // A new connection each; far from walking anything. The benchmark measures it properly.
    assert!(used < Duration::from_secs(2), "{used:?} of CPU for a hundred");
}

#[test]
fn each_connection_leaves_one_line_in_the_log_whatever_carried_it() {
    let plain = HubProcess::start(WATERTIGHT);
    let tls = HubProcess::builder(WATERTIGHT).tls().start();
    for hub in [&plain, &tls] {
        let mut stream = hub.subscribe("demo");
        hub.publish_text("demo", "hello");
        stream.next_event();
        drop(stream);
        let lines = || -> Vec<String> {
            let log = hub.log();
            log.lines().filter(|line| line.contains("connection closed")).map(str::to_owned).collect()
        };
        let lines = eventually!(lines(), |lines| !lines.is_empty(), Duration::from_secs(5));
        assert_eq!(lines.len(), 1, "{lines:?}");
        for word in [
            "kind=\"session\"",
            "session=\"demo\"",
            "sent=1",
            "errors=0",
            "validations=0",
            "reason=",
            "duration_ms=",
        ] {
            assert!(lines[0].contains(word), "no {word} in {}", lines[0]);
        }
    }
}

#[test]
fn a_name_with_control_characters_of_a_terminal_never_reaches_the_log() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--log-level", "debug").start();
    for name in ["%1B%5B31mred", "a%0Ab", "%E2%80%AE"] {
        let answer = hub.client().post(format!("/sessions/{name}/events"), "text/plain", "x");
        assert!(matches!(answer.status, 202 | 400), "{answer:?}");
        drop(hub.client().get(format!("/sessions/{name}")));
    }
    let log = hub.log();
    assert!(!log.contains('\x1b'), "{log:?}");
}

#[test]
fn one_part_of_the_hub_is_logged_in_detail_and_another_left_out_by_its_name() {
    // What a hub logs of a stream, and of a peer that leaves in the middle of its head.
    let log_at = |level: &str| {
        let mut hub = HubProcess::builder(WATERTIGHT).flag("--log-level", level).start();
        drop(hub.subscribe("demo"));
        RawConnection::connect(hub.address()).send("GET /sess");
        eventually!(hub.stats(), |stats| stats.live("subscription") == 0 && stats.live("connection") == 1);
        hub.signal(Signal::TERM);
        assert!(hub.wait(PATIENCE).success());
        hub.log()
    };
    let is_there =
        |log: &str| ["connection closed", "DEBUG watertight::serve"].map(|text| log.contains(text));
    for (level, expected) in [
        ("info", [true, false]),
        ("info,watertight::serve=debug", [true, true]),
        ("info,watertight::connection=warn", [false, false]),
    ] {
        let log = log_at(level);
        assert_eq!(is_there(&log), expected, "{level}: {log}");
    }
}

/// The figures of `/metrics`: each series with its labels, and its value.
fn figures(hub: &HubProcess) -> HashMap<String, f64> {
    let text = hub.get("/metrics").expect(200).text();
    let row = |line: &str| {
        let (series, value) = line.rsplit_once(' ')?;
        Some((series.to_owned(), value.parse().ok()?))
    };
    text.lines().filter(|line| !line.starts_with('#')).filter_map(row).collect()
}

/// Everything that is used as a metric's name in `text`.
fn metric_names(text: &str) -> HashSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("watertight_") || word.starts_with("process_")).collect()
}

#[test]
fn every_figure_that_documents_alerts_and_the_dashboard_name_is_there() {
    // With TLS and with tokens, each of which has figures of its own.
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "a secret of more than thirty-two bytes\n").unwrap();
    let hub = HubProcess::builder(WATERTIGHT)
        .tls()
        .flag("--token-secret-file", secret.display())
        .arg("--metrics-public")
        .arg("--stats-public")
        .start();
    let text = hub.get("/metrics").expect(200).text();
    let there = metric_names(&text);
    let dashboard = include_str!("../../../docs/grafana.json");
    let json: Value = serde_json::from_str(dashboard).unwrap();
    assert!(json["panels"].as_array().unwrap().len() > 10);
    for (file, document, least) in [
        ("operations.md", include_str!("../../../docs/operations.md"), 30),
        ("access.md", include_str!("../../../docs/access.md"), 4),
        ("grafana.json", dashboard, 20),
    ] {
        let named = metric_names(document);
        assert!(named.len() >= least, "{file}: {named:?}");
        let missing: Vec<_> = named.difference(&there).collect();
        assert_eq!(missing, Vec::<&&str>::new(), "{file} names what /metrics does not have");
    }
}

#[test]
fn the_figures_of_the_process_agree_with_the_kernel() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--memory-critical-threshold-mb", 90).start();
    let figures = figures(&hub);
    let resident = figures["process_resident_memory_bytes"];
    assert!((0.5..2.0).contains(&(resident / hub.rss() as f64)), "{resident} and {}", hub.rss());
    assert!(figures["process_cpu_seconds_total"] <= hub.cpu_time().as_secs_f64() + 0.02);
    let files = figures["process_open_fds"];
    assert!((files - hub.fds() as f64).abs() <= 2.0, "{files} and {}", hub.fds());
    assert_eq!(figures["process_threads"], hub.threads() as f64);
    // Its log was begun by the test that started it, a moment before.
    let logged = std::fs::metadata(hub.dir().join("log")).unwrap().modified().unwrap();
    let logged = logged.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let before = logged - figures["process_start_time_seconds"];
    assert!((-5.0..60.0).contains(&before), "started {before} s before its last line");
    assert_eq!(figures["watertight_memory_critical_threshold_bytes"], f64::from(90 << 20));
    assert_eq!(figures["watertight_memory_warning_threshold_bytes"], f64::from(60 << 20));
    assert_eq!(figures["watertight_build_info{version=\"0.1.0\"}"], 1.0);
}

/// A wait, and deliveries that were at hand when they were asked for.
#[test]
fn deliveries_are_timed_for_those_who_wait_for_them_and_for_nobody_else() {
    let hub = HubProcess::start(WATERTIGHT);
    let timed = |hub: &HubProcess| figures(hub)["watertight_delivery_duration_seconds_count"];
    assert_eq!(timed(&hub), 0.0);
    let mut reader = hub.subscribe("demo");
    let http2 = Program::start("curl", ["-sN", "--http2-prior-knowledge", &hub.url("/sessions/demo/events")]);
    let poll = |query: &str| {
        let path = format!("/sessions/demo/events?{query}");
        hub.client().request("GET", path).header("Accept", "application/json").send().expect(200)
    };
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| poll("wait=60"));
        eventually!(hub.stats().live("subscription") == 3);
        hub.publish_text("demo", "one");
        waiting.join().unwrap();
    });
    assert_eq!(reader.next_event().data, "one");
    eventually!(timed(&hub) == 3.0);
    // What was published before anybody asked for it.
    let mut late = hub.subscribe_with("demo", "replay=all", &[]);
    assert_eq!(late.next_event().data, "one");
    poll("replay=all&wait=0");
    let stats = eventually!(hub.stats(), |stats| stats.number("metrics.eventsDelivered") == 5);
    assert_eq!(timed(&hub), 3.0, "replays are not timed");
    let latency = stats.json()["latency"]["delivery"].clone();
    let (p50, p99) = (latency["p50Ms"].as_f64().unwrap(), latency["p99Ms"].as_f64().unwrap());
    assert!(0.0 < p50 && p50 <= p99 && p99 <= 30_000.0, "{latency}");
    let sum = figures(&hub)["watertight_delivery_duration_seconds_sum"];
    assert!(sum > 0.0 && sum < 60.0, "{sum}");
    // Both have everything now, and take what comes as it comes: three events that are published at once are one
    // delivery each to sockets, and the first of them to a task.
    hub.publish_json("demo", &serde_json::json!([{"data": 2}, {"data": 3}, {"data": 4}]));
    eventually!(hub.stats().number("metrics.eventsDelivered") == 5 + 9);
    let count = timed(&hub);
    assert!((3.0 + 6.0 + 1.0..=3.0 + 9.0).contains(&count), "{count}");
    drop(http2);
}

#[test]
fn answers_are_counted_by_code_and_publishes_timed() {
    let hub = HubProcess::start(WATERTIGHT);
    for n in 0..5 {
        hub.publish_text("demo", &n.to_string());
    }
    hub.get("/nowhere").expect_problem(404, "NOT_FOUND");
    hub.client().post("/sessions/demo/events", "image/png", "x").expect(415);
    let figures = figures(&hub);
    let answers = |code: &str| figures[&format!("watertight_responses_total{{code=\"{code}\"}}")];
    assert_eq!([answers("202"), answers("404"), answers("415"), answers("other")], [5.0, 1.0, 1.0, 0.0]);
    assert_eq!(figures["watertight_publish_duration_seconds_count"], 5.0, "those that were accepted");
    assert_eq!(figures["watertight_publish_duration_seconds_bucket{le=\"+Inf\"}"], 5.0);
    let sum = figures["watertight_publish_duration_seconds_sum"];
    assert!(sum > 0.0 && sum < 5.0, "{sum}");
}

#[test]
fn gaps_and_ends_are_counted_by_their_reason() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--max-history-per-session", 10).start();
    let first = hub.publish_text("demo", "first");
    for n in 0..30 {
        hub.publish_text("demo", &n.to_string());
    }
    let mut late = hub.resume("demo", &first);
    let mut unknown = hub.resume("demo", "nonsense");
    hub.publish_text("demo", "last");
    for reader in [&mut late, &mut unknown] {
        // The gap, ten events of the history, and the last.
        reader.next_data(12);
    }
    let peer = hub.subscribe("other");
    drop(peer);
    hub.client().delete("/sessions/demo").expect(204);
    late.expect_closing_event("SESSION_ENDED");
    unknown.expect_closing_event("SESSION_ENDED");
    let expected = [
        ("watertight_gaps_total{reason=\"evicted\"}", 1.0),
        ("watertight_gaps_total{reason=\"unknown_id\"}", 1.0),
        ("watertight_gaps_total{reason=\"lagged\"}", 0.0),
        ("watertight_streams_ended_total{reason=\"SESSION_ENDED\"}", 2.0),
        ("watertight_streams_ended_total{reason=\"PEER_CLOSED\"}", 1.0),
        ("watertight_streams_ended_total{reason=\"SLOW_CONSUMER\"}", 0.0),
    ];
    eventually!(figures(&hub), |figures| expected.iter().all(|(name, value)| figures[*name] == *value));
}

#[test]
fn a_reader_that_falls_behind_shows_in_the_slowest_lag() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--send-buffer-bytes", "16KiB").start();
    let lag = || figures(&hub)["watertight_slowest_lag_events"];
    let mut reader = hub.subscribe("demo");
    hub.publish_text("demo", "hello");
    reader.next_event();
    assert_eq!(lag(), 0.0, "who keeps up has none");
    let mut stalled = RawConnection::connect_with(hub.address(), &ConnectOptions::small_window()).unwrap();
    stalled.send_get("/sessions/demo/events", &[]);
    stalled.read_until("\r\n\r\n", PATIENCE);
    let data = "x".repeat(10_000);
    eventually!({
        hub.publish_text("demo", &data);
        lag() > 5.0
    });
}
