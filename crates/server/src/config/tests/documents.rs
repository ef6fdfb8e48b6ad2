//! What is made from the table for people: the report and the reference.

use std::fs;
use std::path::Path;

use super::super::limits::SETTINGS;
use super::super::{Config, reference_markdown};
use super::*;

/// Set `BLESS=1` to write the file anew.
#[test]
fn configuration_md_is_made_from_the_table() {
    if std::env::var_os("BLESS").is_some() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        return fs::write(root.join("docs/configuration.md"), reference_markdown()).unwrap();
    }
    let committed = include_str!("../../../../../docs/configuration.md");
    assert!(committed == reference_markdown(), "docs/configuration.md is stale: run this test with BLESS=1");
}

#[test]
fn the_reference_names_every_key_once_in_its_tables() {
    let text = reference_markdown();
    for setting in SETTINGS {
        assert_eq!(text.matches(&format!("\n| `{}` | ", setting.key)).count(), 1, "{}", setting.key);
    }
    let columns = |line: &str| line.replace("\\|", "").matches('|').count();
    let ragged =
        text.lines().filter(|line| line.starts_with("| `")).find(|line| ![3, 4, 5].contains(&columns(line)));
    assert_eq!(ragged, None);
}

#[test]
fn the_report_says_each_value_and_where_it_came_from() {
    let folder = Folder::with("event_ttl = 300.5\n");
    let mut args = args(&["--cors-origins", "http://a,http://b"]).unwrap();
    args.config = Some(folder.file());
    let report = load(&args, env(&[("WATERTIGHT_MAX_EVENT_BYTES", "1 MiB")])).unwrap().report();
    let report = folder.relative(&report);
    for line in [
        "listen                        = [\"127.0.0.1:8080\"]        # built-in default",
        "event_ttl                     = \"300500ms\"                # hub.toml:1:13",
        "max_event_bytes               = \"1 MiB\"                   # WATERTIGHT_MAX_EVENT_BYTES",
        "cors_origins                  = [\"http://a\", \"http://b\"]  # --cors-origins",
        "max_age_jitter                = 0.2                       # built-in default",
    ] {
        assert!(report.lines().any(|found| found == line), "{line}\n\n{report}");
    }
    assert_eq!(report.lines().count(), SETTINGS.len());
}

#[test]
fn the_report_is_a_file_that_gives_the_same_configuration() {
    let odd = "\
listen = \"[::1]:0\"\nmax_age = \"90s\"\nevent_ttl = 0\nshards = 3\nsend_buffer_bytes = \"system\"\n\
tls_cert = \"a \\\"b\\\".pem\"\ntls_key = 'c\\d.pem'\ncors_origins = [\"http://a:1\"]\nmax_age_jitter = 0.123456\n\
max_connections = 10\nlog_format = \"json\"\nretry = 0.05\nmax_event_bytes = 1001\ncors_credentials = true\n";
    for file in ["", odd] {
        let once = load_file(file).unwrap();
        let twice = load_file(&once.report()).unwrap();
        assert_eq!(once.config, twice.config);
    }
}

#[test]
fn the_report_as_json_has_the_same_values() {
    let loaded = load_flags(&["--retry", "1.5", "--cors-origins", "*"]).unwrap();
    let json = serde_json::to_value(&loaded).unwrap();
    let settings = json["settings"].as_array().unwrap();
    assert_eq!(settings.len(), SETTINGS.len());
    let of = |key: &str| settings.iter().find(|entry| entry["key"] == key).unwrap().clone();
    assert_eq!(
        of("retry"),
        serde_json::json!({
            "key": "retry", "value": "1500ms", "default": "2s",
            "origin": {"kind": "flag", "flag": "--retry"},
        })
    );
    assert_eq!(of("max_queue_size")["value"], 1000);
    assert_eq!(of("max_age_jitter")["value"], 0.2);
    assert_eq!(of("cors_origins")["value"], serde_json::json!(["*"]));
    assert_eq!(of("enable_metrics")["value"], true);
    assert_eq!(of("listen")["origin"], serde_json::json!({"kind": "default"}));

    // Every value is one that its own flag takes.
    let mut args = ConfigArgs::default();
    for entry in loaded.entries() {
        args.set(entry.key, entry.value.text());
    }
    assert_eq!(load(&args, env(&[])).unwrap().config, Config { ..loaded.config });
}
