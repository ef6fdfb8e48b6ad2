//! A configuration that cannot work: exit code 64, the key, the value, what would do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use watertight_testkit::{HubProcess, PATIENCE, Program};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

#[test]
fn wrong_flags_are_refused_with_the_key_the_value_and_what_would_do() {
    for (flag, value, key, would_do) in [
        ("--max-queue-size", "0", "max_queue_size", "1 to 1000000"),
        ("--max-queue-size", "many", "max_queue_size", "whole number"),
        ("--session-ttl", "0", "session_ttl", "100ms"),
        ("--session-ttl", "-5", "session_ttl", "100ms"),
        ("--heartbeat-interval", "1 fortnight", "heartbeat_interval", "\"30s\""),
        ("--max-event-bytes", "1ZB", "max_event_bytes", "KiB"),
        ("--write-deadline", "5", "heartbeat_interval", "change"),
        // The default of the critical threshold is 75 % of the machine's memory.
        ("--memory-warning-threshold-mb", "1048576", "memory_critical_threshold_mb", "lower"),
        ("--listen", "0.0.0.0:0", "insecure_open", "loopback"),
        ("--listen", "localhost", "listen", "ADDRESS:PORT"),
        ("--cors-origins", "*,https://a.example", "cors_origins", "alone"),
        ("--tls-cert", "/nowhere.pem", "tls_key", "both"),
    ] {
        let (status, said) = HubProcess::builder(WATERTIGHT).flag(flag, value).run_to_end();
        assert_eq!(status.code(), Some(64), "{flag}={value}: {said}");
        for word in [key, value, would_do] {
            assert!(said.contains(word), "{flag}={value}: no {word:?} in {said:?}");
        }
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn unknown_flags_and_commands_are_refused_with_64() {
    for arguments in [&["serve", "--max-queue-sise=7"][..], &["swim"], &["tail"], &["publish"], &[]] {
        let status = Program::start(WATERTIGHT, arguments).wait(PATIENCE);
        assert_eq!(status.code(), Some(64), "{arguments:?}");
    }
    for arguments in [["--help"], ["--version"]] {
        assert!(Program::start(WATERTIGHT, arguments).wait(PATIENCE).success());
    }
}

#[test]
fn file_environment_and_flags_rise_in_that_order_and_each_mistake_names_its_source() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("watertight.toml");
    std::fs::write(&file, "max_history_per_session = 3\nmax_sessions = 7\n").unwrap();
    let path = file.to_str().unwrap();
    let history = |hub: &HubProcess| {
        (0..10).for_each(|n| drop(hub.publish_text("demo", &n.to_string())));
        10 - usize::try_from(hub.subscribe_with("demo", "replay=all", &[]).expect_gap().missed.unwrap())
            .unwrap()
    };
    let with_file = || HubProcess::builder(WATERTIGHT).flag("--config", path);
    assert_eq!(history(&with_file().start()), 3);
    let environment = "WATERTIGHT_MAX_HISTORY_PER_SESSION";
    assert_eq!(history(&with_file().env(environment, "4").start()), 4);
    let flag = with_file().env(environment, "4").flag("--max-history-per-session", 5);
    assert_eq!(history(&flag.start()), 5);

    let (status, said) = with_file().env(environment, "none").run_to_end();
    assert_eq!(status.code(), Some(64), "{said}");
    assert!(said.contains(environment), "{said}");
    std::fs::write(&file, "max_sessions = 7\n\nmax_histroy_per_session = 3\n").unwrap();
    let (status, said) = with_file().run_to_end();
    assert_eq!(status.code(), Some(64), "{said}");
    for word in ["max_histroy_per_session", "max_history_per_session", path, "3"] {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
    let (status, said) = HubProcess::builder(WATERTIGHT).flag("--config", "/nowhere.toml").run_to_end();
    assert_eq!(status.code(), Some(64), "{said}");
    assert!(said.contains("/nowhere.toml"), "{said}");
}

#[test]
fn check_says_what_holds_and_refuses_what_serve_would_refuse() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("watertight.toml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, "max_queue_size = 42\n").unwrap();
    let mut check = Program::start(WATERTIGHT, ["check", path]);
    let said = String::from_utf8(check.finish(PATIENCE)).unwrap();
    assert!(said.contains("max_queue_size") && said.contains("42"), "{said}");
    std::fs::write(&file, "max_queue_size = 0\n").unwrap();
    let mut check = Program::start(WATERTIGHT, ["check", path]);
    assert_eq!(check.wait(PATIENCE).code(), Some(64));
    assert!(check.errors().contains("max_queue_size"), "{}", check.errors());
}

#[test]
fn the_thresholds_in_force_are_said_at_start_and_are_half_and_three_quarters_of_the_memory() {
    let hub = HubProcess::start(WATERTIGHT);
    let stats = hub.stats();
    let [warning, critical] = ["budget.warningBytes", "budget.criticalBytes"].map(|path| stats.number(path));
    assert!((critical * 2 / 3).abs_diff(warning) < 2, "{warning} and {critical}");
    let log = hub.log();
    let line = log.lines().find(|line| line.contains("memory thresholds")).expect("a line about them");
    for part in [format!("warning_mb={}", warning >> 20), format!("critical_mb={}", critical >> 20)] {
        assert!(line.contains(&part), "{part}: {line}");
    }
    let given = HubProcess::builder(WATERTIGHT).flag("--memory-critical-threshold-mb", 90).start();
    assert_eq!(given.stats().number("budget.criticalBytes"), 90 << 20);
    assert_eq!(given.stats().number("budget.warningBytes"), 60 << 20, "in the same proportion");
}

#[test]
fn an_address_that_is_taken_is_named_and_ends_it() {
    let hub = HubProcess::start(WATERTIGHT);
    let builder = HubProcess::builder(WATERTIGHT).arg(format!("--listen={}", hub.address()));
    let (status, said) = builder.run_to_end();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains(&hub.address().to_string()) && said.contains("--listen"), "{said}");
}

#[test]
fn a_pod_beside_a_service_called_watertight_starts() {
    let hub = HubProcess::builder(WATERTIGHT)
        .env("WATERTIGHT_SERVICE_HOST", "10.0.0.1")
        .env("WATERTIGHT_SERVICE_PORT_HTTP", "8080")
        .env("WATERTIGHT_PORT", "tcp://10.0.0.1:8080")
        .env("WATERTIGHT_PORT_8080_TCP_ADDR", "10.0.0.1")
        .start();
    hub.get("/health/ready").expect(200);
}
