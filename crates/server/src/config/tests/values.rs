//! How values are written: times, sizes, lists, words.

use std::path::Path;
use std::time::Duration;

use super::super::quantity::{Misread, Unit};
use super::super::{AllowedOrigins, Auto, Config, LogFormat};
use super::*;

#[test]
fn amounts_are_read_exactly() {
    let ms = Unit::Time;
    let bytes = Unit::Bytes;
    for (unit, text, amount) in [
        (ms, "300", Ok(300_000)),
        (ms, "0.5", Ok(500)),
        (ms, ".5", Ok(500)),
        (ms, "5.", Ok(5_000)),
        (ms, "250ms", Ok(250)),
        (ms, "30s", Ok(30_000)),
        (ms, " 5 m ", Ok(300_000)),
        (ms, "1H", Ok(3_600_000)),
        (ms, "1.5d", Ok(129_600_000)),
        (ms, "+2s", Ok(2_000)),
        (ms, "-0", Ok(0)),
        (ms, "0.0010", Ok(1)),
        (ms, "0.0001", Err(Misread::TooFine)),
        (ms, "1.5ms", Err(Misread::TooFine)),
        (ms, "-1s", Err(Misread::Negative)),
        (ms, "1h30m", Err(Misread::Form)),
        (ms, "1 fortnight", Err(Misread::Form)),
        (ms, "1e3", Err(Misread::Form)),
        (ms, "", Err(Misread::Form)),
        (ms, "-", Err(Misread::Form)),
        (ms, ".", Err(Misread::Form)),
        (ms, "_", Err(Misread::Form)),
        (ms, "1.2.3", Err(Misread::Form)),
        (ms, "nan", Err(Misread::Form)),
        (ms, "18446744073709551615", Err(Misread::TooLarge)),
        (ms, "99999999999999999999999999999999999999999999", Err(Misread::TooLarge)),
        (ms, "0.99999999999999999999999999999999999999999999", Err(Misread::TooFine)),
        (bytes, "262144", Ok(262_144)),
        (bytes, "1_000", Ok(1_000)),
        (bytes, "256 KiB", Ok(262_144)),
        (bytes, "8MiB", Ok(8_388_608)),
        (bytes, "8mib", Ok(8_388_608)),
        (bytes, "1GB", Ok(1_000_000_000)),
        (bytes, "1.5 KiB", Ok(1_536)),
        (bytes, "12 B", Ok(12)),
        (bytes, "0.0001 KiB", Err(Misread::TooFine)),
        (bytes, "5s", Err(Misread::Form)),
        (bytes, "1 K", Err(Misread::Form)),
        (bytes, "8 МiB", Err(Misread::Form)),
        (Unit::Count, "1000", Ok(1_000)),
        (Unit::Count, "1.0", Ok(1)),
        (Unit::Count, "1.5", Err(Misread::TooFine)),
        (Unit::Count, "5k", Err(Misread::Form)),
        (Unit::Mebibytes, "500", Ok(500)),
        (Unit::Mebibytes, "500 MiB", Err(Misread::Form)),
        (Unit::Fraction, "0.2", Ok(200_000)),
        (Unit::Fraction, "0.2000001", Err(Misread::TooFine)),
        (Unit::Fraction, "20%", Err(Misread::Form)),
    ] {
        assert_eq!(unit.read(text), amount, "{unit:?} {text:?}");
    }
}

#[test]
fn amounts_are_shown_in_the_longest_unit_that_is_exact_and_read_back() {
    for (unit, amount, text) in [
        (Unit::Time, 0, "0"),
        (Unit::Time, 250, "250ms"),
        (Unit::Time, 1_500, "1500ms"),
        (Unit::Time, 15_000, "15s"),
        (Unit::Time, 90_000, "90s"),
        (Unit::Time, 300_000, "5m"),
        (Unit::Time, 86_400_000, "1d"),
        (Unit::Bytes, 0, "0"),
        (Unit::Bytes, 1_000, "1000"),
        (Unit::Bytes, 262_144, "256 KiB"),
        (Unit::Bytes, 1 << 30, "1 GiB"),
        (Unit::Count, 1_000, "1000"),
        (Unit::Mebibytes, 500, "500"),
        (Unit::Fraction, 0, "0"),
        (Unit::Fraction, 200_000, "0.2"),
        (Unit::Fraction, 1_000_001, "1.000001"),
    ] {
        assert_eq!(unit.show(amount), text);
        assert_eq!(unit.read(text), Ok(amount), "{text}");
    }
    // A number of every length, in every unit.
    for unit in [Unit::Count, Unit::Bytes, Unit::Mebibytes, Unit::Time, Unit::Fraction] {
        for power in 0..64 {
            for amount in [1_u64 << power, (1 << power) - 1, u64::MAX >> power] {
                assert_eq!(unit.read(&unit.show(amount)), Ok(amount), "{unit:?} {amount}");
            }
        }
    }
}

#[test]
fn a_number_in_the_file_may_be_an_integer_a_float_or_a_string() {
    for (line, seconds) in [
        ("session_ttl = 300", 300.0),
        ("session_ttl = 300.5", 300.5),
        ("session_ttl = 3e2", 300.0),
        ("session_ttl = 1_800", 1800.0),
        ("session_ttl = 0x10", 16.0),
        ("session_ttl = +60", 60.0),
        ("session_ttl = \"300\"", 300.0),
        ("session_ttl = \"5m\"", 300.0),
        ("session_ttl = '1.5h'", 5400.0),
    ] {
        let config = load_file(line).unwrap().config;
        assert_eq!(config.session_ttl, Duration::from_secs_f64(seconds), "{line}");
    }
}

#[test]
fn words_stand_for_no_number_only_where_they_are_said_to() {
    let config = |variable, value| load_env(&[(variable, value)]).map(|loaded| loaded.config);
    assert_eq!(config("WATERTIGHT_EVENT_TTL", "0").unwrap().event_ttl, None);
    assert_eq!(config("WATERTIGHT_EVENT_TTL", "0s").unwrap().event_ttl, None);
    assert_eq!(config("WATERTIGHT_EVENT_TTL", "none").unwrap().event_ttl, None);
    assert_eq!(config("WATERTIGHT_MAX_AGE", "None").unwrap().max_age, None);
    assert_eq!(config("WATERTIGHT_MAX_AGE", "1h").unwrap().max_age, Some(Duration::from_secs(3600)));
    assert_eq!(config("WATERTIGHT_SHARDS", "auto").unwrap().shards, Auto::Auto);
    assert_eq!(config("WATERTIGHT_SHARDS", "4").unwrap().shards, Auto::Given(4));
    assert_eq!(config("WATERTIGHT_SEND_BUFFER_BYTES", "system").unwrap().send_buffer_bytes, None);
    assert!(config("WATERTIGHT_MAX_AGE", "0").is_err());
    assert!(config("WATERTIGHT_SESSION_TTL", "none").is_err());
    assert!(config("WATERTIGHT_MAX_SESSIONS", "auto").is_err());
}

#[test]
fn switches_are_true_or_false_and_the_usual_words_for_them() {
    for (text, on) in [
        ("true", true),
        ("TRUE", true),
        ("1", true),
        ("on", true),
        ("yes", true),
        ("false", false),
        ("0", false),
        ("off", false),
        ("no", false),
    ] {
        let config = load_env(&[("WATERTIGHT_ENABLE_METRICS", text)]).unwrap().config;
        assert_eq!(config.enable_metrics, on, "{text}");
    }
}

#[test]
fn paths_formats_and_filters_are_taken_as_they_stand() {
    let config = load_file(
        "tls_cert = \"certs/a b.pem\"\ntls_key = \"./none\"\nlog_format = \"json\"\n\
         log_level = \"warn,watertight=debug,hyper::proto=off,[span{a=1,b}]=trace\"\n",
    )
    .unwrap()
    .config;
    assert_eq!(config.tls_cert.as_deref(), Some(Path::new("certs/a b.pem")));
    assert_eq!(config.tls_key.as_deref(), Some(Path::new("./none")));
    assert_eq!(config.log_format, LogFormat::Json);
    assert_eq!(config.log_level, "warn,watertight=debug,hyper::proto=off,[span{a=1,b}]=trace");
    for bad in ["inof", "hyper", "a=loud", "=info", "info,", "", "info\n"] {
        let literal = toml::Value::from(bad).to_string();
        let result = load_file(&format!("log_level = {literal}"));
        assert_eq!(result.is_err(), bad != "info\n", "{bad:?}: blanks around are no matter");
    }
}

fn origins(value: &str) -> Result<AllowedOrigins, String> {
    let loaded = load_file(&format!("cors_origins = {value}"));
    loaded.map(|loaded| loaded.config.cors_origins).map_err(|error| error.problems()[0].wrong.clone())
}

#[test]
fn origins_are_kept_as_a_browser_sends_them() {
    let listed = |items: &[&str]| Ok(AllowedOrigins::Listed(items.iter().map(|s| s.to_string()).collect()));
    assert_eq!(origins("[]"), listed(&[]));
    assert_eq!(origins("\"*\""), Ok(AllowedOrigins::Any));
    assert_eq!(origins("[\"*\"]"), Ok(AllowedOrigins::Any));
    assert_eq!(
        origins("[\"HTTPS://App.Example.com:443/\", \"http://localhost:5173\", \"http://localhost:5173\"]"),
        listed(&["https://app.example.com", "http://localhost:5173"])
    );
    assert_eq!(origins("\"http://a, http://b:80\""), listed(&["http://a", "http://b"]));
    assert_eq!(origins("[\"http://[::1]:3000\"]"), listed(&["http://[::1]:3000"]));
    assert_eq!(origins("[\"capacitor://localhost\"]"), listed(&["capacitor://localhost"]));
}

#[test]
fn what_is_no_exact_origin_is_refused() {
    for (value, wrong) in [
        ("[\"*\", \"http://a\"]", "\"*\" stands alone: with it no other origin means anything"),
        ("[\"null\"]", "\"null\" is what every sandboxed page sends: whoever allows it allows all"),
        ("[\"app.example.com\"]", "\"app.example.com\" has no scheme://"),
        (
            "[\"https://*.example.com\"]",
            "\"https://*.example.com\" has a wildcard: list each origin by itself",
        ),
        ("[\"https://a/path\"]", "\"https://a/path\" has more than scheme, host and port"),
        ("[\"https://u:p@a\"]", "\"https://u:p@a\" has more than scheme, host and port"),
        ("[\"https://\"]", "\"https://\" has no valid host (names outside ASCII in their xn-- form)"),
        ("[\"https://a b\"]", "\"https://a b\" has no valid host (names outside ASCII in their xn-- form)"),
        ("[\"https://ä\"]", "\"https://ä\" has no valid host (names outside ASCII in their xn-- form)"),
        ("[\"https://a:0\"]", "\"https://a:0\" has no valid port"),
        ("[\"https://a:+80\"]", "\"https://a:+80\" has no valid port"),
        ("[\"https://a:99999\"]", "\"https://a:99999\" has no valid port"),
        (
            "[\"https://[::g]\"]",
            "\"https://[::g]\" has no valid host (names outside ASCII in their xn-- form)",
        ),
        ("[\"1://a\"]", "\"1://a\" has no valid scheme"),
        (
            "[\"https://a\\r\\nX: y\"]",
            "\"https://a\\r\\nX: y\" has no valid host (names outside ASCII in their xn-- form)",
        ),
        ("[\"http://a\", \"\"]", "\"\" has no scheme://"),
        ("[1]", "not a list of origins"),
        ("true", "not a list of origins"),
    ] {
        assert_eq!(origins(value), Err(wrong.to_owned()), "{value}");
    }
}

#[test]
fn an_origin_is_allowed_only_byte_by_byte() {
    let some = origins("[\"https://app.example.com\"]").unwrap();
    assert!(some.allows(b"https://app.example.com"));
    for other in ["https://app.example.com.evil.com", "http://app.example.com", "null", "", "*"] {
        assert!(!some.allows(other.as_bytes()), "{other}");
    }
    assert!(AllowedOrigins::Any.allows(b"http://anything"));
    assert!(Config::default().cors_origins.is_empty() && !some.is_empty() && !AllowedOrigins::Any.is_empty());
}
