//! Every limit, straight from the table: no key can be added without being tested here.

use std::collections::{HashMap, HashSet};

use super::super::Auto;
use super::super::error::{Mistake, Problem};
use super::super::kind::Raw;
use super::super::limits::{Config, SETTINGS};
use super::super::quantity::Unit;
use super::super::setting::{NAMES, Setting};
use super::*;

/// A value of each key without bounds that is not of its form.
const WRONG_FORM: &[(&str, &str)] = &[
    ("listen", "somewhere"),
    ("listen_unix_mode", "660 rw"),
    ("insecure_open", "maybe"),
    ("admin_listen", "9090"),
    ("tls_cert", ""),
    ("tls_key", ""),
    ("cors_origins", "example.com"),
    ("cors_credentials", "2"),
    ("cors_headers", "x api"),
    ("allowed_hosts", "http://example.com"),
    ("token_secret", ""),
    ("token_secret_file", ""),
    ("token_public_key", ""),
    ("token_algorithms", "none"),
    ("jwks_url", "keys.example.com"),
    ("introspection_url", "issuer.example.com"),
    ("introspection_client", ""),
    ("introspection_secret", ""),
    ("introspection_secret_file", ""),
    ("token_issuer", ""),
    ("token_audience", "a,,b"),
    ("token_cookie", "a b"),
    ("token_in_query", "perhaps"),
    ("access_fail", "ajar"),
    ("metrics_public", "perhaps"),
    ("stats_public", "perhaps"),
    ("logs_source", "syslog"),
    ("logs_channel", "logs"),
    ("directory", "ldap"),
    ("webhook_url", "app.example.com"),
    ("webhook_secret", ""),
    ("webhook_secret_file", ""),
    ("redis_url", "localhost:6379"),
    ("enable_metrics", "enabled"),
    ("log_format", "xml"),
    ("log_level", "loud"),
];

fn set(setting: &Setting, text: &str) -> Result<Config, Mistake> {
    let mut config = Config::default();
    (setting.set)(&mut config, &Raw::Text(text.to_owned())).map_err(|refusal| refusal.mistake)?;
    Ok(config)
}

/// One below and one above what a setting takes, each as it would be written.
fn just_outside(setting: &Setting, unit: Unit) -> [(String, Mistake); 2] {
    let bounds = setting.bounds.unwrap();
    let below = bounds.min.checked_sub(1).map_or("-1".to_owned(), |amount| unit.show(amount));
    // 0 may be a word ("no limit") of its own; then the least that is a number is what counts.
    [(below, Mistake::TooSmall), (unit.show(bounds.max + 1), Mistake::TooLarge)]
}

/// The settings with bounds.
fn bounded() -> impl Iterator<Item = (usize, &'static Setting, Unit)> {
    let numeric = |(at, setting): (usize, &'static Setting)| Some((at, setting, setting.form.unit?));
    SETTINGS.iter().enumerate().filter_map(numeric)
}

/// The only problem of a refused configuration.
fn sole(result: Result<Loaded, ConfigError>, about: &str) -> Problem {
    let error = result.expect_err(about);
    assert_eq!(error.problems().len(), 1, "{about}: {error}");
    error.problems()[0].clone()
}

#[test]
fn every_number_has_bounds_and_every_other_key_a_wrong_form() {
    let wrong: HashMap<_, _> = WRONG_FORM.iter().copied().collect();
    for setting in SETTINGS {
        let bounds = setting.bounds.is_some();
        assert_eq!(bounds, setting.form.unit.is_some(), "{}: a number has bounds", setting.key);
        assert_eq!(bounds, !wrong.contains_key(setting.key), "{} is tested", setting.key);
    }
}

#[test]
fn every_default_is_within_its_bounds_and_reads_back() {
    for setting in SETTINGS {
        let default = Config::default();
        let shown = (setting.plain)(&default).text();
        let none_given = setting.is_list();
        assert!(none_given || !shown.is_empty(), "{} can be shown", setting.key);
        assert_eq!(set(setting, &shown).as_ref(), Ok(&default), "{} = {shown}", setting.key);
    }
}

#[test]
fn every_bound_is_itself_allowed_and_reads_back() {
    for (_, setting, unit) in bounded() {
        let bounds = setting.bounds.unwrap();
        for amount in [bounds.min, bounds.max] {
            let shown = unit.show(amount);
            let config = set(setting, &shown).unwrap_or_else(|_| panic!("{} = {shown}", setting.key));
            assert_eq!((setting.amount)(&config), Some(amount), "{} = {shown}", setting.key);
        }
    }
}

#[test]
fn every_number_out_of_bounds_is_refused_from_the_file_naming_key_and_value() {
    for (_, setting, unit) in bounded() {
        for (value, mistake) in just_outside(setting, unit) {
            let literal = if value.parse::<f64>().is_ok() { value } else { format!("\"{value}\"") };
            let line = format!("{} = {literal}", setting.key);
            let problem = sole(load_file(&line), &line);
            assert_eq!(problem.mistake, mistake, "{line}");
            assert_eq!(problem.key.as_deref(), Some(setting.key), "{line}");
            assert_eq!(problem.value.as_deref(), Some(literal.as_str()), "{line}");
            let text = problem.to_string();
            assert!(text.contains(&format!("hub.toml:1:{}: {line}: too ", setting.key.len() + 4)), "{text}");
        }
    }
}

#[test]
fn every_number_out_of_bounds_is_refused_from_a_variable_naming_it() {
    for (at, setting, unit) in bounded() {
        for (value, mistake) in just_outside(setting, unit) {
            let variable = NAMES[at].variable.as_str();
            let problem = sole(load_env(&[(variable, &value)]), variable);
            assert_eq!(problem.mistake, mistake, "{variable}={value}");
            let start = format!("{variable}: {} = \"{value}\": too ", setting.key);
            assert!(problem.to_string().starts_with(&start), "{problem}");
        }
    }
}

#[test]
fn every_number_out_of_bounds_is_refused_from_a_flag_naming_it() {
    for (at, setting, unit) in bounded() {
        for (value, mistake) in just_outside(setting, unit) {
            let flag = format!("--{}", NAMES[at].flag);
            let problem = sole(load_flags(&[&flag, &value]), &flag);
            assert_eq!(problem.mistake, mistake, "{flag} {value}");
            let start = format!("{flag}: {} = \"{value}\": too ", setting.key);
            assert!(problem.to_string().starts_with(&start), "{problem}");
        }
    }
}

#[test]
fn every_refusal_of_a_number_gives_the_reason_and_the_range() {
    for (at, setting, unit) in bounded() {
        let bounds = setting.bounds.unwrap();
        let [min, max] = unit.range(bounds.min, bounds.max);
        let range = format!("from {min} to {max}");
        for ((value, _), reason) in just_outside(setting, unit).iter().zip([bounds.below, bounds.above]) {
            let problem = sole(load_env(&[(&NAMES[at].variable, value)]), setting.key);
            assert!(problem.wrong.ends_with(reason), "{problem}");
            assert!(problem.advice.as_ref().unwrap().contains(&range), "{problem}");
        }
    }
}

#[test]
fn zero_is_refused_wherever_it_is_not_said_to_mean_something() {
    for (at, setting, _) in bounded() {
        let zero_has_a_meaning =
            ["event_ttl", "max_age_jitter", "shutdown_delay", "token_leeway", "revalidate_interval"]
                .contains(&setting.key);
        let result = load_env(&[(&NAMES[at].variable, "0")]);
        assert_eq!(result.is_ok(), zero_has_a_meaning, "{} = 0", setting.key);
    }
}

#[test]
fn a_value_of_another_form_is_refused_for_every_key_and_says_what_would_do() {
    let numbers = bounded().map(|(_, setting, _)| (setting.key, "plenty"));
    for (key, value) in WRONG_FORM.iter().copied().chain(numbers) {
        let at = SETTINGS.iter().position(|setting| setting.key == key).unwrap();
        let problem = sole(load_env(&[(&NAMES[at].variable, value)]), key);
        assert_eq!(problem.mistake, Mistake::Malformed, "{problem}");
        assert_eq!(problem.key.as_deref(), Some(key));
        assert!(problem.advice.as_ref().unwrap().starts_with("use "), "{problem}");
    }
}

#[test]
fn a_toml_table_or_date_is_refused_for_every_key() {
    for setting in SETTINGS {
        for value in ["{ a = 1 }", "2026-01-01", "nan", "inf", "[[1]]"] {
            let line = format!("{} = {value}", setting.key);
            assert_eq!(sole(load_file(&line), &line).mistake, Mistake::Malformed, "{line}");
        }
    }
}

#[test]
fn no_key_stands_twice_and_every_key_is_a_plain_word() {
    let keys: HashSet<_> = SETTINGS.iter().map(|setting| setting.key).collect();
    assert_eq!(keys.len(), SETTINGS.len());
    assert!(keys.iter().all(|key| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
}

#[test]
fn a_hub_nobody_has_configured_has_the_documented_defaults() {
    use std::time::Duration;

    let config = load(&ConfigArgs::default(), std::iter::empty()).unwrap().config;
    assert_eq!(config, Config::default());
    assert_eq!(config.listen[0].to_string(), "127.0.0.1:8080");
    assert_eq!(config.max_queue_size, 1_000);
    assert_eq!(config.max_history_per_session, 500);
    assert_eq!(config.event_ttl, Some(Duration::from_secs(300)));
    assert_eq!(config.session_ttl, Duration::from_secs(1_800));
    assert_eq!(config.cleanup_interval, Duration::from_secs(60));
    assert!(config.enable_metrics);
    assert_eq!(config.max_subscriber_idle_time, Duration::from_secs(600));
    assert_eq!(config.memory_warning_threshold_mb, Auto::Auto);
    assert_eq!(config.memory_critical_threshold_mb, Auto::Auto);
    assert_eq!(config.max_event_bytes, 256 << 10);
    assert_eq!(config.max_history_bytes_per_session, 8 << 20);
    assert_eq!(config.send_buffer_bytes, Some(128 << 10));
    assert_eq!(config.max_age, None);
    assert_eq!(config.metrics_max_age, Duration::from_secs(30 * 60));
    assert_eq!(config.logs_max_age, Duration::from_secs(60 * 60));
    assert_eq!(config.revalidate_interval, Some(Duration::from_secs(30)));
    assert_eq!(config.breaker_errors, 3);
}
