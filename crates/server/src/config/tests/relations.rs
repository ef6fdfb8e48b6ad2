//! What settings owe each other.

use super::super::error::Mistake;
use super::super::limits::Config;
use super::super::relations::{RELATIONS, Rule};
use super::super::setting::row_of;
use super::*;

/// For each rule, in its order, a file that breaks it and no other, and what is said first.
const BROKEN: &[(&str, &str)] = &[
    (
        "listen = \"0.0.0.0:8080\"",
        "hub.toml:1:10: listen = [\"0.0.0.0:8080\"]: must be a loopback address with insecure_open = false \
         (built-in default): an open hub lets whoever reaches it read, publish and end every session",
    ),
    (
        "admin_listen = \"0.0.0.0:9090\"",
        "hub.toml:1:16: admin_listen = \"0.0.0.0:9090\": must be a loopback address with insecure_open = false \
         (built-in default): whoever reaches it sees every reader and may close and end what they like",
    ),
    (
        "admin_listen = \"127.0.0.1:8080\"",
        "hub.toml:1:16: admin_listen = \"127.0.0.1:8080\": must be another address than \
         listen = [\"127.0.0.1:8080\"] (built-in default): \
         what is for operators alone needs a listener of its own",
    ),
    (
        "tls_cert = \"a.pem\"",
        "hub.toml:1:12: tls_cert = \"a.pem\": does not go with tls_key = \"none\" (built-in default): \
         TLS takes a certificate and its key",
    ),
    (
        "tls_key = \"a.pem\"",
        "hub.toml:1:11: tls_key = \"a.pem\": does not go with tls_cert = \"none\" (built-in default): \
         TLS takes a certificate and its key",
    ),
    (
        "cors_credentials = true\ncors_origins = [\"*\"]",
        "hub.toml:1:20: cors_credentials = true: does not go with cors_origins = [\"*\"] (hub.toml:2:16): \
         every page on the web could use a visitor's cookie",
    ),
    (
        "token_secret_file = \"a.key\"\ntoken_secret = \"s\"",
        "hub.toml:1:21: token_secret_file = \"a.key\": does not go with token_secret = \"(secret)\" \
         (hub.toml:2:16): there is one secret",
    ),
    (
        "introspection_url = \"https://a\"\nintrospection_client = \"c\"\nintrospection_secret_file = \"a.key\"\n\
         introspection_secret = \"s\"",
        "hub.toml:3:29: introspection_secret_file = \"a.key\": does not go with \
         introspection_secret = \"(secret)\" (hub.toml:4:24): there is one password",
    ),
    (
        "introspection_url = \"https://a\"\nintrospection_secret = \"s\"",
        "hub.toml:1:21: introspection_url = \"https://a/\": does not go with introspection_client = \"none\" \
         (built-in default): the issuer answers only those it knows",
    ),
    (
        "introspection_url = \"https://a\"\nintrospection_client = \"c\"",
        "hub.toml:1:21: introspection_url = \"https://a/\": does not go with introspection_secret = \"none\" \
         (built-in default): the issuer answers only those it knows",
    ),
    (
        "insecure_open = true\ntoken_secret = \"s\"",
        "hub.toml:1:17: insecure_open = true: does not go with tokens, such as by token_secret = \"(secret)\" \
         (hub.toml:2:16): a hub is open, or asks for tokens",
    ),
    (
        "jwks_cache = 29",
        "hub.toml:1:14: jwks_cache = \"29s\": must be at least jwks_cooldown = \"30s\" (built-in default): \
         the keys are to be read again when they are old",
    ),
    (
        "jwks_stale = 299",
        "hub.toml:1:14: jwks_stale = \"299s\": must be at least jwks_cache = \"5m\" (built-in default): \
         keys that are still fresh have to count",
    ),
    (
        "directory = \"webhook\"\nwebhook_secret = \"s\"",
        "hub.toml:1:13: directory = \"webhook\": does not go with webhook_url = \"none\" (built-in default): \
         a webhook is asked at its URL, and no other directory is",
    ),
    (
        "directory = \"webhook\"\nwebhook_url = \"http://a\"",
        "hub.toml:1:13: directory = \"webhook\": does not go with webhook_secret = \"none\" (built-in default): \
         the application could not tell the hub's questions from anybody's",
    ),
    (
        "webhook_secret_file = \"a.key\"\nwebhook_secret = \"s\"",
        "hub.toml:1:23: webhook_secret_file = \"a.key\": does not go with webhook_secret = \"(secret)\" \
         (hub.toml:2:18): there is one secret",
    ),
    (
        "directory = \"webhook\"\nwebhook_secret = \"s\"\nwebhook_url = \"http://u@a\"",
        "hub.toml:3:15: webhook_url = \"http://(secret)@a/\": has a user or a password beside \
         webhook_secret = \"(secret)\" (hub.toml:2:18): questions are signed with the secret",
    ),
    (
        "directory = \"redis\"",
        "hub.toml:1:13: directory = \"redis\": does not go with redis_url = [] (built-in default): \
         Redis has to be found",
    ),
    (
        "logs_source = \"redis_stream\"",
        "hub.toml:1:15: logs_source = \"redis_stream\": does not go with redis_url = [] (built-in default): \
         Redis has to be found",
    ),
    (
        "memory_warning_threshold_mb = 1000\nmemory_critical_threshold_mb = 1000",
        "hub.toml:1:31: memory_warning_threshold_mb = 1000: must be below \
         memory_critical_threshold_mb = 1000 (hub.toml:2:32): \
         the hub warns before it sheds, and stops shedding between the two",
    ),
    (
        "max_history_bytes_per_session = \"255 KiB\"",
        "hub.toml:1:33: max_history_bytes_per_session = \"255 KiB\": must be at least \
         max_event_bytes = \"256 KiB\" (built-in default): an event has to fit its session's history",
    ),
    (
        "max_body_bytes = 262143",
        "hub.toml:1:18: max_body_bytes = 262143: must be at least max_event_bytes = \"256 KiB\" \
         (built-in default): an event has to fit the request that publishes it",
    ),
    (
        "max_history_bytes_per_session = \"1000 MiB\"\nmemory_critical_threshold_mb = 1000",
        "hub.toml:1:33: max_history_bytes_per_session = \"1000 MiB\": must be below \
         memory_critical_threshold_mb = 1000 (hub.toml:2:32): one session must not make the hub shed",
    ),
    (
        "max_body_bytes = \"1000 MiB\"\nmemory_critical_threshold_mb = 1000",
        "hub.toml:1:18: max_body_bytes = \"1000 MiB\": must be below \
         memory_critical_threshold_mb = 1000 (hub.toml:2:32): one request must not make the hub shed",
    ),
    (
        "max_connections = 10\nmax_connections_per_address = 11",
        "hub.toml:2:31: max_connections_per_address = 11: must be at most max_connections = 10 \
         (hub.toml:1:19): it could never be reached",
    ),
    (
        "max_uri_bytes = 256",
        "hub.toml:1:17: max_uri_bytes = 256: must be above max_session_name_bytes = 256 \
         (built-in default): a session's name stands in the path",
    ),
    (
        "max_uri_bytes = \"16 KiB\"",
        "hub.toml:1:17: max_uri_bytes = \"16 KiB\": must be below max_head_bytes = \"16 KiB\" \
         (built-in default): the target is a part of the head",
    ),
    (
        "write_deadline = 15",
        "hub.toml:1:18: write_deadline = \"15s\": must be above heartbeat_interval = \"15s\" \
         (built-in default): a reader that stalls in silence is noticed only by a heartbeat it does not take",
    ),
    (
        "max_subscriber_idle_time = 15",
        "hub.toml:1:28: max_subscriber_idle_time = \"15s\": must be above heartbeat_interval = \"15s\" \
         (built-in default): on a quiet stream the heartbeat is the only sign of life",
    ),
    (
        "long_poll_max_wait = 24.999",
        "hub.toml:1:22: long_poll_max_wait = \"24999ms\": must be at least \
         long_poll_default_wait = \"25s\" (built-in default): the default has to be allowed",
    ),
    (
        "long_poll_max_events = 99",
        "hub.toml:1:24: long_poll_max_events = 99: must be at least long_poll_default_events = 100 \
         (built-in default): the default has to be allowed",
    ),
];

#[test]
fn every_rule_is_kept_by_the_defaults_and_names_two_settings() {
    for relation in RELATIONS {
        assert!(relation.keys.iter().all(|key| row_of(key).is_some()), "{:?}", relation.keys);
        assert!(relation.holds(&Config::default()), "{:?}", relation.keys);
    }
}

#[test]
fn every_broken_rule_is_refused_naming_both_settings_and_the_reason() {
    assert_eq!(BROKEN.len(), RELATIONS.len(), "a file for every rule");
    for ((file, says), relation) in BROKEN.iter().zip(RELATIONS) {
        let text = refusal(file, &[], &[]);
        let start = format!("the configuration is refused, 1 problem:\n{says}\n    ");
        assert!(text.starts_with(&start), "{text}\n\ninstead of\n\n{start}");
        assert_eq!(load_file(file).unwrap_err().problems()[0].mistake, Mistake::Conflict);
        assert!(says.contains(relation.why), "the files stand in the order of the rules: {file}");
    }
}

#[test]
fn at_most_allows_the_same_and_below_does_not() {
    for relation in RELATIONS {
        let (strict, [lesser, greater]) = match relation.rule {
            Rule::Below => (true, relation.keys),
            Rule::AtMost => (false, relation.keys),
            Rule::Other { .. } => continue,
        };
        // Both keys of a rule in MiB, or both in the unit they share.
        let same = match (lesser, greater) {
            (lesser, greater) if greater.ends_with("_mb") && !lesser.ends_with("_mb") => ("1000 MiB", "1000"),
            (lesser, _) if lesser.contains("bytes") => ("16 KiB", "16 KiB"),
            (lesser, _) if lesser.ends_with("_mb") => ("600", "600"),
            _ => ("20", "20"),
        };
        let mut args = ConfigArgs::default();
        assert!(args.set(lesser, same.0) && args.set(greater, same.1));
        let broken = load(&args, env(&[])).err().map(|error| error.to_string()).unwrap_or_default();
        let both = broken.contains(lesser) && broken.contains(&format!("{greater} = "));
        // A session's name of 16 KiB is out of its own bounds: the rule has its file above.
        if lesser != "max_session_name_bytes" {
            assert_eq!(both, strict, "{lesser} and {greater}: {broken}");
        }
    }
}

#[test]
fn an_open_hub_starts_on_every_loopback_address_and_elsewhere_only_when_told() {
    for address in ["127.0.0.1:0", "127.8.8.8:80", "[::1]:8080", "[::ffff:127.0.0.1]:80"] {
        assert!(load_flags(&["--listen", address]).is_ok(), "{address}");
    }
    for address in ["0.0.0.0:8080", "[::]:8080", "192.168.1.1:80", "[::ffff:10.0.0.1]:80"] {
        assert!(load_flags(&["--listen", address]).is_err(), "{address}");
        let config = load_flags(&["--listen", address, "--insecure-open"]).unwrap().config;
        assert_eq!(config.listen[0].to_string(), address);
    }
}

#[test]
fn a_broken_rule_is_laid_at_whoever_said_it_last() {
    let text = refusal(
        "memory_warning_threshold_mb = 600\n",
        &[("WATERTIGHT_MEMORY_CRITICAL_THRESHOLD_MB", "550")],
        &[],
    );
    assert_eq!(
        text,
        "\
the configuration is refused, 1 problem:
WATERTIGHT_MEMORY_CRITICAL_THRESHOLD_MB: memory_critical_threshold_mb = 550: must be above \
memory_warning_threshold_mb = 600 (hub.toml:1:31): the hub warns before it sheds, and stops shedding between the two
    change memory_critical_threshold_mb or memory_warning_threshold_mb"
    );
}

#[test]
fn a_rule_says_nothing_about_a_value_that_is_refused_anyway() {
    let error = load_file("max_body_bytes = 262143\nmax_event_bytes = 0\n").unwrap_err();
    assert_eq!(error.problems().len(), 1, "{error}");
    assert_eq!(error.problems()[0].key.as_deref(), Some("max_event_bytes"));
}
