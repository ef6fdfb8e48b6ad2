//! Bad configuration is refused whole, in words that help (threat 39).

use super::super::error::{Mistake, Origin};
use super::*;

#[test]
fn threat_39_bad_configuration_is_refused_whole_naming_file_line_and_column() {
    let file = "\
# The hub of the shop
listen = \"localhost:9000\"
max_queue_size = 0
event_ttl = \"soon\"
  max_queue_sise = 5
max_event_bytes = 4.5
session_ttl = -60
";
    let variables = [("WATERTIGHT_HEARTBEAT_INTERVAL", "2 weeks"), ("WATERTIGHT_RETRY_", "1")];
    let flags = ["--shards", "100000", "--retry", "-1", "--enable-metrics=maybe"];
    assert_eq!(
        refusal(file, &variables, &flags),
        "\
the configuration is refused, 11 problems:
hub.toml:2:10: listen = \"localhost:9000\": not an IP address and a port
    use \"127.0.0.1:9000\" (this machine only) or another ADDRESS:PORT
hub.toml:3:18: max_queue_size = 0: too small, a reader must be able to lag by the event that is on its way
    use a whole number, from 1 to 1000000
hub.toml:4:13: event_ttl = \"soon\": not a length of time
    use seconds (300, 0.5) or a number with a unit (\"250ms\", \"30s\", \"5m\", \"1h\", \"1d\"), from 10ms to 30d, or 0 or \"none\" for no limit
hub.toml:5:3: max_queue_sise: no such setting
    did you mean max_queue_size?
hub.toml:6:19: max_event_bytes = 4.5: not a whole number of bytes
    use bytes (262144) or a number with a unit (\"256 KiB\", \"8MiB\", \"1GB\"), from 64 B to 16 MiB
hub.toml:7:15: session_ttl = -60: too small, a session would be gone before its subscriber is back
    use seconds (300, 0.5) or a number with a unit (\"250ms\", \"30s\", \"5m\", \"1h\", \"1d\"), from 100ms to 30d
WATERTIGHT_HEARTBEAT_INTERVAL: heartbeat_interval = \"2 weeks\": not a length of time
    use seconds (300, 0.5) or a number with a unit (\"250ms\", \"30s\", \"5m\", \"1h\", \"1d\"), from 100ms to 1h
WATERTIGHT_RETRY_: no such setting
    did you mean WATERTIGHT_RETRY?
--retry: retry = \"-1\": too small, clients would come back all at once, without a pause
    use seconds (300, 0.5) or a number with a unit (\"250ms\", \"30s\", \"5m\", \"1h\", \"1d\"), from 10ms to 10m
--shards: shards = \"100000\": too large, more threads than cores only take turns
    use a whole number, from 1 to 256, or \"auto\"
--enable-metrics: enable_metrics = \"maybe\": not true or false
    use true or false"
    );
}

#[test]
fn threat_39_a_value_that_is_refused_stays_refused_when_a_later_source_overrides_it() {
    let error = load_all("max_headers = 0", &[("WATERTIGHT_MAX_HEADERS", "64")], &["--max-headers", "64"]);
    let error = error.unwrap_err();
    assert_eq!(error.problems().len(), 1, "{error}");
    assert!(matches!(error.problems()[0].origin, Origin::File { line: 1, column: 15, .. }));
}

#[test]
fn threat_39_what_is_not_toml_is_refused_with_its_line() {
    assert_eq!(
        refusal("max_headers = 20\nlisten = 127.0.0.1:8080\n", &[], &["--max-headers", "1"]),
        "\
the configuration is refused, 2 problems:
hub.toml:2:15: not TOML, invalid float
    write one `key = value` a line, texts in double quotes
--max-headers: max_headers = \"1\": too small, a browser behind a proxy sends as many
    use a whole number, from 16 to 1024"
    );
    assert_eq!(
        refusal("retry = 1\n\nretry = 2\n", &[], &[]),
        "\
the configuration is refused, 1 problem:
hub.toml:3:1: not TOML, duplicate key
    write one `key = value` a line, texts in double quotes"
    );
    let unfinished = load_file("listen = \"").unwrap_err();
    assert_eq!(unfinished.problems()[0].mistake, Mistake::Syntax);
}

#[test]
fn threat_39_a_setting_inside_a_table_is_refused_and_told_where_it_belongs() {
    assert_eq!(
        refusal("retry = 1\n\n[server]\nlisten = \"127.0.0.1:1\"\n\n[limits]\nqueue = 5\n", &[], &[]),
        "\
the configuration is refused, 2 problems:
hub.toml:3:2: server: no such setting
    settings stand at the top level: write `listen` before any [table]
hub.toml:6:2: limits: no such setting
    `watertight serve --help` lists every setting"
    );
}

#[test]
fn threat_39_a_file_that_cannot_be_read_is_refused_naming_who_named_it() {
    let missing = "/nonexistent/hub.toml";
    let error = load_flags(&["--config", missing, "--max-headers", "64"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\
the configuration is refused, 1 problem:
--config: cannot read /nonexistent/hub.toml: No such file or directory (os error 2)
    name a TOML file that this user may read"
    );
    let error = load_env(&[("WATERTIGHT_CONFIG", missing)]).unwrap_err();
    assert!(
        error.to_string().contains("\nWATERTIGHT_CONFIG: cannot read /nonexistent/hub.toml: "),
        "{error}"
    );
    let folder = Folder::with("");
    let error = load(&ConfigArgs::file(&folder.0), env(&[])).unwrap_err();
    assert_eq!(error.problems()[0].mistake, Mistake::Unreadable, "a directory is no file");
}

#[test]
fn threat_39_a_file_that_is_not_utf_8_or_endless_is_refused() {
    assert_eq!(
        refusal(b"retry = 1\nlog_level = \"\xff\"\n", &[], &[]),
        "\
the configuration is refused, 1 problem:
hub.toml:2:14: not UTF-8
    save the file as UTF-8"
    );
    let error = load(&ConfigArgs::file("/dev/zero"), env(&[])).unwrap_err();
    assert!(error.to_string().contains("cannot read /dev/zero: more than 1048576 bytes"), "{error}");
}

#[test]
fn threat_39_no_file_however_odd_makes_the_reader_panic() {
    let deep = format!("a = {}", "[".repeat(100_000));
    let dotted = format!("a{} = 1", ".a".repeat(10_000));
    let many = "x = 1\n".repeat(10_000);
    for file in
        [&deep, &dotted, &many, "\0", "= 1", "é = \"é", "[", "[[a]]", "\"\\ud800\" = 1", "a.listen = 1"]
    {
        let error = load_file(file).unwrap_err();
        assert!(error.to_string().lines().count() < 200, "{error}");
    }
}

#[test]
fn the_wording_of_the_parser_points_at_characters_not_bytes() {
    let text = refusal("\"ключ\" = 1\nlog_format = \"é\"\n\"é\" = 1 \n", &[], &[]);
    assert_eq!(
        text,
        "\
the configuration is refused, 3 problems:
hub.toml:1:1: ключ: no such setting
    `watertight serve --help` lists every setting
hub.toml:2:14: log_format = \"é\": not a log format
    use \"text\" or \"json\"
hub.toml:3:1: é: no such setting
    `watertight serve --help` lists every setting"
    );
}

#[test]
fn a_value_cannot_forge_a_line_or_flood_the_screen() {
    let hostile = format!("\u{1b}[2J\nall is well\r\u{202e}{}", "x".repeat(5_000));
    let error = load_env(&[("WATERTIGHT_LOG_FORMAT", &hostile)]).unwrap_err();
    let text = error.to_string();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.len() < 400 && text.contains("\"\\u{1b}[2J\\nall is well\\r\\u{202e}xxx"), "{text}");
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
}

#[test]
fn a_file_full_of_mistakes_is_not_printed_whole() {
    let file: String = (0..500).map(|n| format!("nonsense{n} = 1\n")).collect();
    let error = load_file(&file).unwrap_err();
    assert_eq!(error.problems().len(), 500);
    let text = error.to_string();
    assert!(text.starts_with("the configuration is refused, 500 problems:\n"));
    assert!(text.ends_with("\n... and 450 more"), "{text}");
}

#[test]
fn a_refusal_is_machine_readable_too() {
    let error = load_env(&[("WATERTIGHT_RETRY", "0")]).unwrap_err();
    assert_eq!(
        serde_json::to_value(&error).unwrap(),
        serde_json::json!({"problems": [{
            "origin": {"kind": "environment", "variable": "WATERTIGHT_RETRY"},
            "mistake": "TOO_SMALL",
            "key": "retry",
            "value": "\"0\"",
            "wrong": "too small, clients would come back all at once, without a pause",
            "advice": "use seconds (300, 0.5) or a number with a unit (\"250ms\", \"30s\", \"5m\", \"1h\", \"1d\"), \
                       from 10ms to 10m",
        }]})
    );
    assert_eq!(ConfigError::EXIT_CODE, 64);
}
