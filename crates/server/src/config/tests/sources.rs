//! Where values come from, and which of them holds.

use super::super::{ConfigArgs, Mistake, Origin};
use super::*;

#[test]
fn a_flag_is_above_a_variable_above_the_file_above_the_default() {
    let file = "max_queue_size = 2\nmax_headers = 20\nretry = 3\n";
    let variables = [("WATERTIGHT_MAX_QUEUE_SIZE", "3"), ("WATERTIGHT_MAX_HEADERS", "30")];
    let loaded = load_all(file, &variables, &["--max-queue-size", "4"]).unwrap();
    assert_eq!(loaded.config.max_queue_size, 4);
    assert_eq!(loaded.config.max_headers, 30);
    assert_eq!(loaded.config.retry.as_secs(), 3);
    assert_eq!(loaded.config.max_sessions, 200_000);

    let origin = |key| loaded.origins.of(key).unwrap();
    assert_eq!(origin("max_queue_size").to_string(), "--max-queue-size");
    assert_eq!(origin("max_headers").to_string(), "WATERTIGHT_MAX_HEADERS");
    assert!(origin("retry").to_string().ends_with("/hub.toml:3:9"));
    assert_eq!(origin("max_sessions"), &Origin::Default);
    assert_eq!(loaded.origins.of("no_such_key"), None);
}

#[test]
fn the_file_may_be_named_by_a_variable_and_the_flag_is_above_it() {
    let (one, two) = (Folder::with("max_headers = 21"), Folder::with("max_headers = 22"));
    let variables = [("WATERTIGHT_CONFIG", one.file().display().to_string())];
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(load_env(&variables).unwrap().config.max_headers, 21);
    let args = args(&["--config", two.file().to_str().unwrap()]).unwrap();
    assert_eq!(args, ConfigArgs::file(two.file()));
    assert_eq!(load(&args, env(&variables)).unwrap().config.max_headers, 22);
}

#[test]
fn an_empty_file_changes_nothing() {
    for file in ["", "\n", "# nothing\n", "\u{feff}# with a byte order mark\r\n"] {
        assert_eq!(load_file(file).unwrap().config, super::super::Config::default(), "{file:?}");
    }
}

#[test]
fn other_peoples_variables_are_none_of_our_business() {
    let variables =
        [("PATH", "/bin"), ("WATERTIGHT", "1"), ("watertight_listen", "x"), ("WATERTIGHT_LOG", "debug")];
    assert!(load_env(&variables).is_ok());
}

#[test]
fn variables_that_kubernetes_sets_for_a_service_called_like_the_hub_are_ignored() {
    let variables = [
        ("WATERTIGHT_SERVICE_HOST", "10.0.0.1"),
        ("WATERTIGHT_SERVICE_PORT", "8080"),
        ("WATERTIGHT_SERVICE_PORT_HTTP_ADMIN", "9090"),
        ("WATERTIGHT_PORT", "tcp://10.0.0.1:8080"),
        ("WATERTIGHT_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("WATERTIGHT_PORT_8080_TCP_PROTO", "tcp"),
        ("WATERTIGHT_PORT_8080_TCP_PORT", "8080"),
        ("WATERTIGHT_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("WATERTIGHT_PORT_53_UDP", "udp://10.0.0.1:53"),
        ("WATERTIGHT_ADMIN_SERVICE_HOST", "10.0.0.2"),
        ("WATERTIGHT_ADMIN_PORT", "tcp://10.0.0.2:9090"),
        ("WATERTIGHT_ADMIN_PORT_9090_TCP_ADDR", "10.0.0.2"),
    ];
    assert_eq!(load_env(&variables).unwrap().config, super::super::Config::default());
    let error = load_env(&[("WATERTIGHT_PORT", "8080")]).unwrap_err();
    assert_eq!(error.problems()[0].mistake, Mistake::UnknownKey, "a port that somebody wrote: {error}");
}

#[test]
fn a_variable_with_our_prefix_that_is_no_setting_is_refused() {
    let error = load_env(&[("WATERTIGHT_LISTN", "s3cret"), ("WATERTIGHT_", "1")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\
the configuration is refused, 2 problems:
WATERTIGHT_: no such setting
    unset it; `watertight serve --help` lists every setting
WATERTIGHT_LISTN: no such setting
    did you mean WATERTIGHT_LISTEN?"
    );
}

#[test]
fn a_variable_set_to_nothing_is_refused_where_nothing_means_nothing() {
    let error = load_env(&[("WATERTIGHT_LISTEN", ""), ("WATERTIGHT_CORS_ORIGINS", "")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\
the configuration is refused, 1 problem:
WATERTIGHT_LISTEN: listen = \"\": not an IP address and a port
    use ADDRESS:PORT such as \"127.0.0.1:8080\" or \"[::1]:8080\", or unix:/PATH"
    );
}

#[cfg(unix)]
#[test]
fn what_is_not_utf_8_is_refused_and_does_not_panic() {
    use std::os::unix::ffi::OsStringExt;

    let broken = || OsString::from_vec(b"12\xff3".to_vec());
    let name = OsString::from_vec(b"WATERTIGHT_\xff".to_vec());
    let variables = [("WATERTIGHT_MAX_HEADERS".into(), broken()), (name, "1".into()), (broken(), broken())];
    let mut args = ConfigArgs::default();
    assert!(args.set("retry", broken()));
    let error = load(&args, variables.into_iter()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\
the configuration is refused, 3 problems:
WATERTIGHT_MAX_HEADERS: max_headers = \"12\u{fffd}3\": not UTF-8
    write it in UTF-8
WATERTIGHT_\u{fffd}: no such setting
    unset it; `watertight serve --help` lists every setting
--retry: retry = \"12\u{fffd}3\": not UTF-8
    write it in UTF-8"
    );
    let codes: Vec<_> = error.problems().iter().map(|problem| problem.mistake).collect();
    assert_eq!(codes, [Mistake::NotUtf8, Mistake::UnknownKey, Mistake::NotUtf8]);
}

#[test]
fn switches_may_stand_alone_and_lists_may_be_repeated() {
    let loaded = load_flags(&[
        "--enable-metrics=false",
        "--insecure-open",
        "--cors-origins",
        "http://a,http://b",
        "--cors-origins=http://c",
    ])
    .unwrap();
    assert!(!loaded.config.enable_metrics && loaded.config.insecure_open);
    for origin in ["http://a", "http://b", "http://c"] {
        assert!(loaded.config.cors_origins.allows(origin.as_bytes()), "{origin}");
    }
}

#[test]
fn flags_set_by_a_program_are_like_those_of_a_command_line() {
    let mut set = ConfigArgs::default();
    assert!(set.set("retry", "5s") && set.set("listen", "[::1]:1") && set.set("listen", "[::1]:2"));
    assert!(!set.set("no_such_key", "1"));
    assert_eq!(set, args(&["--retry", "5s", "--listen", "[::1]:2"]).unwrap());
}

#[test]
fn the_command_line_is_sound_and_its_help_tells_defaults_and_variables() {
    let mut command = ConfigArgs::augment_args(Command::new("serve"));
    command.clone().debug_assert();
    let short = command.render_help().to_string();
    let short = short.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "History and sessions: --max-queue-size <N> How many events a live subscriber may lag before it gets a \
         gap. [default: 1000]",
        "--insecure-open[=<BOOL>]",
        "--log-format <text|json> How log lines are written. [default: text]",
        "--max-age <TIME>",
        "[default: 5m]",
        "--config <FILE> The TOML file with settings [env: WATERTIGHT_CONFIG]",
    ] {
        assert!(short.contains(part), "{part}\n\n{short}");
    }
    let long = command.render_long_help().to_string();
    let long = long.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        long.contains("Takes a whole number, from 1 to 1000000. [env: WATERTIGHT_MAX_QUEUE_SIZE]"),
        "{long}"
    );
}
