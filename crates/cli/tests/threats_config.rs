//! Row 39: a configuration that is wrong is refused whole, in words that help, before anything is started.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::TcpListener;
use std::process::{Command, Output};

use tempfile::TempDir;
use watertight_testkit::HubProcess;

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

/// Runs a command of the binary with a configuration file called `hub.toml`, in its directory.
fn run(command: &[&str], file: &str, variables: &[(&str, &str)]) -> Output {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("hub.toml"), file).unwrap();
    let mut program = Command::new(WATERTIGHT);
    program.args(command).current_dir(dir.path()).env_clear().envs(variables.iter().copied());
    program.output().unwrap()
}

/// Asserts that both `serve` and `check` refuse this file, and returns what `serve` says.
fn refused(file: &str, variables: &[(&str, &str)], flags: &[&str]) -> String {
    let serve = [&["serve", "--config", "hub.toml"], flags].concat();
    let output = run(&serve, file, variables);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{file}: {said}");
    assert!(output.stdout.is_empty(), "{file}: it listens although it is refused");
    if flags.is_empty() {
        let check = run(&["check", "hub.toml"], file, variables);
        assert_eq!(check.status.code(), Some(64), "{file}");
        assert_eq!(String::from_utf8(check.stderr).unwrap(), said, "{file}");
    }
    said
}

#[test]
fn threat_39_a_wrong_value_is_named_with_file_line_key_value_and_what_would_do() {
    // The file's line, then what must stand in the message, in this order.
    let cases: [(&str, &[&str]); 9] = [
        (
            "max_queue_size = 0",
            &["hub.toml:2:18: max_queue_size = 0: ", "use a whole number, from 1 to 1000000"],
        ),
        ("heartbeat_interval = 'fast'", &["hub.toml:2:22: heartbeat_interval = ", "fast", "\"250ms\""]),
        ("session_ttl = -5", &["hub.toml:2:15: session_ttl = -5: ", "from 100ms to 30d"]),
        ("max_event_bytes = '1 YB'", &["hub.toml:2:19: max_event_bytes = ", "1 YB", "\"8MiB\""]),
        ("event_tll = 30", &["hub.toml:2:1: event_tll: no such setting", "did you mean event_ttl?"]),
        ("listen = \"localhost\"", &["hub.toml:2:10: listen = \"localhost\": ", "127.0.0.1"]),
        ("log_format = \"xml\"", &["hub.toml:2:14: log_format = \"xml\": ", "text", "json"]),
        ("[limits]\nmax_sessions = 5", &["hub.toml:2:", "limits"]),
        ("max_sessions = ", &["hub.toml:2:"]),
    ];
    for (line, expected) in cases {
        let said = refused(&format!("# first line\n{line}\n"), &[], &[]);
        let mut rest = said.as_str();
        for part in expected {
            let at = rest.find(part).unwrap_or_else(|| panic!("{line}: no {part:?} in {said}"));
            rest = &rest[at + part.len()..];
        }
        assert!(said.starts_with("watertight: the configuration is refused, 1 problem:"), "{said}");
    }
}

#[test]
fn threat_39_everything_that_is_wrong_is_said_at_once_each_with_its_source() {
    let variables = [("WATERTIGHT_MAX_SESSIONS", "-4"), ("WATERTIGHT_RETRYY", "1")];
    let said = refused("max_queue_size = 0\nmax_headers = 1\n", &variables, &["--shards", "9999"]);
    let expected = [
        "the configuration is refused, 5 problems:",
        "hub.toml:1:18: max_queue_size = 0",
        "hub.toml:2:15: max_headers = 1",
        "WATERTIGHT_MAX_SESSIONS: max_sessions = \"-4\"",
        "WATERTIGHT_RETRYY: no such setting",
        "--shards: shards = \"9999\"",
    ];
    for part in expected {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
}

#[test]
fn threat_39_settings_that_contradict_each_other_are_refused() {
    let cases: [(&str, &[&str]); 5] = [
        ("listen = '0.0.0.0:0'", &["listen", "insecure_open", "127.0.0.1"]),
        ("heartbeat_interval = '40s'", &["heartbeat_interval", "must be below write_deadline = \"30s\""]),
        (
            "memory_warning_threshold_mb = 2000\nmemory_critical_threshold_mb = 1000",
            &["memory_warning_threshold_mb", "memory_critical_threshold_mb"],
        ),
        ("max_event_bytes = '16MiB'", &["max_event_bytes", "max_history_bytes_per_session"]),
        ("tls_cert = 'cert.pem'", &["tls_cert", "set both tls_cert and tls_key, or neither"]),
    ];
    for (line, expected) in cases {
        let said = refused(line, &[], &[]);
        assert!(expected.iter().all(|part| said.contains(part)), "{line}: {said}");
        assert!(said.contains("hub.toml:1:"), "{line}: {said}");
    }
}

#[test]
fn threat_39_files_that_cannot_be_read_are_a_wrong_configuration_too() {
    let missing = Command::new(WATERTIGHT).args(["serve", "--config", "/nonexistent.toml"]).output().unwrap();
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert_eq!(missing.status.code(), Some(64), "{said}");
    assert!(said.contains("--config") && said.contains("/nonexistent.toml"), "{said}");
    for (cert, key) in [("/nonexistent.pem", "/nonexistent.pem"), ("hub.toml", "hub.toml")] {
        let file = format!("listen = '127.0.0.1:0'\ntls_cert = '{cert}'\ntls_key = '{key}'\n");
        let output = run(&["serve", "--config", "hub.toml"], &file, &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(said.contains("tls_cert") && said.contains(cert) && said.contains("PEM"), "{said}");
    }
}

#[test]
fn threat_39_hostile_text_in_a_configuration_cannot_forge_what_is_said() {
    let said = refused("listen = \"a\\n\\u001b[31mok\"\n'x\\u001b' = 1\n", &[], &[]);
    assert!(!said.contains('\u{1b}') && said.lines().count() <= 6, "{said:?}");
    let long = refused(&format!("listen = '{}'", "x".repeat(1_000_000)), &[], &[]);
    assert!(long.len() < 1_000, "{} bytes for one mistake", long.len());
    let many: String = (0..10_000).map(|n| format!("x{n} = 1\n")).collect();
    let said = refused(&many, &[], &[]);
    assert!(said.len() < 20_000 && said.contains("more"), "{} bytes for ten thousand mistakes", said.len());
}

#[test]
fn threat_39_an_address_that_is_taken_is_no_mistake_of_the_configuration() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let builder = HubProcess::builder(WATERTIGHT).flag("--listen", address);
    let (status, said) = builder.run_to_end();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains(&address.to_string()) && said.contains("--listen"), "{said}");
}
