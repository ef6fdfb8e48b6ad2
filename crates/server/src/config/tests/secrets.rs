//! No message, report, help or `Debug` shows a secret, whichever source it comes from.

use std::fs;

use super::super::limits::SETTINGS;
use super::super::setting::NAMES;
use super::super::{Config, Secret, ServerUrl, reference_markdown};
use super::*;

/// Stands for a secret: nothing else contains it.
const WORD: &str = "hunter2";

/// Settings that hold only beside others.
const NEEDS_OTHERS: [&str; 3] = ["webhook_url", "introspection_url", "introspection_secret"];

/// For each confidential setting a value that holds with [`WORD`] in it, and some that are refused.
const CONFIDENTIAL: &[(&str, &str, &[&str])] = &[
    (
        "webhook_url",
        "https://hunter2:hunter2@app.example.com:8443/owns?key=hunter2",
        &[
            "hunter2",
            "ftp://hunter2@a",
            "https://hunter2:hunter2",
            "https://u:hunter2@",
            "https://a/#hunter2",
        ],
    ),
    ("webhook_secret", "hunter2", &[]),
    ("token_secret", "hunter2", &[]),
    ("introspection_secret", "hunter2", &[]),
    ("introspection_url", "https://hunter2:hunter2@a/?hunter2", &["hunter2", "ftp://hunter2@a"]),
    ("jwks_url", "https://hunter2:hunter2@a/?hunter2", &["hunter2", "ftp://hunter2@a"]),
    (
        "redis_url",
        "rediss://hunter2:hunter2@redis.example.com:6380/3",
        &[
            "hunter2",
            "redis://:hunter2",
            "redis://:hunter2@",
            "redis://:hunter2/x@a",
            "redis://a,redis://:hunter2@:1",
            "redis://:hunter2@a,rediss://:hunter2@a",
            "redis://:hunter2@a?protocol=resp3",
            "http://:hunter2@a",
        ],
    ),
];

/// All that is ever shown of a result.
fn shown(result: &Result<Loaded, ConfigError>) -> String {
    match result {
        Ok(loaded) => {
            let json = serde_json::to_string(loaded).unwrap();
            format!("{loaded:?}\n{}\n{json}\n{:?}", loaded.report(), loaded.entries().collect::<Vec<_>>())
        }
        Err(error) => format!("{error}\n{error:?}\n{}", serde_json::to_string(error).unwrap()),
    }
}

/// The same setting from each of the three sources.
fn from_each_source(key: &str, value: &str) -> [Result<Loaded, ConfigError>; 3] {
    let names = &NAMES[SETTINGS.iter().position(|setting| setting.key == key).unwrap()];
    let flags = args(&[&format!("--{}", names.flag), value]).unwrap();
    assert!(!format!("{flags:?}").contains(WORD), "{flags:?}");
    [
        load_file(&format!("{key} = {}", toml::Value::from(value))),
        load_env(&[(&names.variable, value)]),
        load(&flags, env(&[])),
    ]
}

#[test]
fn a_secret_that_holds_is_shown_nowhere() {
    for (key, value, _) in CONFIDENTIAL.iter().filter(|(key, ..)| !NEEDS_OTHERS.contains(key)) {
        for result in from_each_source(key, value) {
            let shown = shown(&result);
            assert!(result.is_ok(), "{shown}");
            assert!(!shown.contains(WORD) && shown.contains("(secret)"), "{key}: {shown}");
        }
    }
}

#[test]
fn the_query_of_a_webhook_is_shown_nowhere() {
    let file =
        "directory = 'webhook'\nwebhook_secret = 'hunter2'\nwebhook_url = 'https://a/owns?key=hunter2'";
    let result = load_file(file);
    let shown = shown(&result);
    assert!(result.is_ok(), "{shown}");
    assert!(!shown.contains(WORD) && shown.contains("https://a/owns?(secret)"), "{shown}");
}

#[test]
fn a_secret_that_is_refused_is_not_repeated_whichever_source_it_came_from() {
    for (key, _, refused) in CONFIDENTIAL {
        for value in *refused {
            for result in from_each_source(key, value) {
                let shown = shown(&result);
                assert!(result.is_err(), "{key} = {value}");
                assert!(!shown.contains(WORD) && shown.contains(key), "{shown}");
            }
        }
        for literal in ["hunter2", "{ hunter2 = 'hunter2' }", "[['hunter2']]", "'hunter2", "\"hunter2\\q\""] {
            let said = shown(&load_file(&format!("{key} = {literal}")));
            assert!(!said.contains(WORD) && said.contains("hub.toml:1:"), "{key} = {literal}: {said}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_secret_that_is_not_utf_8_is_not_repeated_either() {
    use std::os::unix::ffi::OsStringExt;

    let value = OsString::from_vec(b"hunter2\xff".to_vec());
    let error = load(&ConfigArgs::default(), [("WATERTIGHT_WEBHOOK_SECRET".into(), value)].into_iter());
    assert!(!shown(&error).contains(WORD) && shown(&error).contains("not UTF-8"), "{error:?}");
}

#[test]
fn a_rule_between_settings_does_not_show_a_secret() {
    for relation in super::super::relations::RELATIONS {
        let config = Config {
            webhook_secret: Some(Secret::new(WORD.as_bytes()).unwrap()),
            webhook_url: Some(ServerUrl::new("https://u:hunter2@a", &["https"]).unwrap()),
            token_secret: Some(Secret::new(WORD.as_bytes()).unwrap()),
            introspection_secret: Some(Secret::new(WORD.as_bytes()).unwrap()),
            redis_url: vec![ServerUrl::new("redis://u:hunter2@a", &["redis"]).unwrap()],
            ..Config::default()
        };
        let origins = vec![super::super::Origin::Default; SETTINGS.len()];
        let said = relation.broken(&config, &origins).to_string();
        assert!(!said.contains(WORD), "{said}");
    }
}

#[test]
fn a_report_that_is_used_as_a_file_is_refused_at_its_secrets() {
    for (key, value, _) in CONFIDENTIAL {
        let rest = match *key {
            "webhook_url" => "directory = \"webhook\"\nwebhook_secret_file = \"k\"",
            "introspection_url" => "introspection_client = \"c\"\nintrospection_secret_file = \"k\"",
            "introspection_secret" => "introspection_client = \"c\"\nintrospection_url = \"https://a\"",
            _ => "",
        };
        let value = value.replace("hunter2:hunter2@app", "app");
        let report = load_file(&format!("{key} = \"{value}\"\n{rest}")).unwrap().report();
        let problems = load_file(&report).unwrap_err().problems().to_vec();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].key.as_deref(), Some(*key));
        assert!(problems[0].wrong.contains("`watertight check` prints in place of a secret"), "{problems:?}");
    }
}

#[test]
fn every_setting_that_is_named_like_a_secret_is_confidential_or_a_file() {
    for setting in SETTINGS {
        let words = ["secret", "password", "_url"];
        let looks_so = words.iter().any(|word| setting.key.contains(word));
        if looks_so && !setting.key.ends_with("_file") {
            assert!(setting.is_confidential, "{}", setting.key);
            assert!(CONFIDENTIAL.iter().any(|(key, ..)| *key == setting.key), "{} is tested", setting.key);
        }
    }
    assert!(!reference_markdown().contains(WORD));
}

#[test]
fn secrets_are_equal_only_byte_by_byte() {
    let secret = |text: &str| Secret::new(text.as_bytes()).unwrap();
    assert_eq!(secret("abc"), secret("abc"));
    for other in ["abd", "Abc", "ab", "abcd"] {
        assert_ne!(secret("abc"), secret(other));
    }
    assert!(Secret::new(&[0; 16 << 10]).is_ok() && Secret::new(&[0; (16 << 10) + 1]).is_err());
}

#[test]
fn a_secret_in_a_file_ends_before_its_last_line_break() {
    let read = |bytes: &[u8]| {
        let folder = Folder::with(bytes);
        Secret::read(&folder.file()).map(|secret| secret.expose().to_vec()).map_err(|it| it.to_string())
    };
    for (bytes, secret) in [
        (&b"abc"[..], &b"abc"[..]),
        (b"abc\n", b"abc"),
        (b"abc\r\n", b"abc"),
        (b"abc\n\n", b"abc\n"),
        (b" a\xffc \n", b" a\xffc "),
    ] {
        assert_eq!(read(bytes).as_deref(), Ok(secret));
    }
    for empty in [&b""[..], b"\n", b"\r\n"] {
        assert!(read(empty).unwrap_err().ends_with("hub.toml: it is empty"));
    }
    let long = read(&[b'x'; 100_000]).unwrap_err();
    assert!(long.ends_with("it is longer than any key or password"), "{long}");
    let mut full = vec![b'x'; 16 << 10];
    full.extend(b"\r\n");
    assert_eq!(read(&full).unwrap().len(), 16 << 10);
    let folder = Folder::with("");
    let missing = Secret::read(&folder.0.join("no\n.key")).unwrap_err().to_string();
    assert!(missing.contains("no\\n.key: No such file"), "{missing}");
    fs::remove_file(folder.file()).unwrap();
}

#[test]
fn urls_of_servers_are_read_and_shown_without_what_signs_in() {
    let web = |text: &str| ServerUrl::new(text, &["http", "https"]).map(|url| url.to_string());
    for (text, shown) in [
        ("https://app.example.com/owns", "https://app.example.com/owns"),
        ("HTTP://App.Example.com:8080", "http://app.example.com:8080/"),
        ("http://[::1]:3000/a%20b", "http://[::1]:3000/a%20b"),
        ("http://127.0.0.1", "http://127.0.0.1/"),
        ("https://ada@app/", "https://(secret)@app/"),
        ("https://:x@app/?a=b", "https://(secret)@app/?(secret)"),
    ] {
        assert_eq!(web(text).as_deref(), Ok(shown), "{text}");
    }
    for (text, wrong) in [
        ("app.example.com", "has no scheme://"),
        ("https:app.example.com", "has no scheme://"),
        ("file:///etc/passwd", "has another scheme"),
        ("https://", "is no URL"),
        ("https://a:0/", "has no valid port"),
        ("https://a:99999/", "is no URL"),
        ("https://a b/", "has a blank or a control character"),
        ("https://a/\r\nX: y", "has a blank or a control character"),
        ("https://a/#b", "has a fragment (#)"),
    ] {
        assert_eq!(web(text), Err(wrong), "{text}");
    }
    assert!(web(&format!("https://a/{}", "x".repeat(3_000))).is_err());
}

#[test]
fn urls_of_redis_are_a_list_of_one_scheme() {
    let urls = |value: &str| {
        let loaded = load_env(&[("WATERTIGHT_REDIS_URL", value)]);
        let shown = |urls: Vec<ServerUrl>| urls.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        loaded.map(|it| shown(it.config.redis_url)).map_err(|error| error.problems()[0].wrong.clone())
    };
    for (value, shown) in [
        ("", ""),
        ("redis://localhost", "redis://localhost"),
        ("redis://a:1,redis://b:2, redis://a:1", "redis://a:1,redis://b:2"),
        (
            "redis+sentinel://a:26379/main,redis+sentinel://b/main",
            "redis+sentinel://a:26379/main,redis+sentinel://b/main",
        ),
        ("rediss://u:p%40w@[::1]:6380/2", "rediss://(secret)@[::1]:6380/2"),
    ] {
        assert_eq!(urls(value).as_deref(), Ok(shown), "{value}");
    }
    for (value, wrong) in [
        ("localhost:6379", "URL 1 of the list has no scheme://"),
        ("redis://a,unix:///run/redis.sock", "URL 2 of the list has another scheme"),
        ("redis://a,rediss://b", "URL 2 of the list has another scheme than the first"),
        ("redis://a,", "URL 2 of the list has no scheme://"),
        ("redis://", "URL 1 of the list has no host"),
        ("redis://a?protocol=resp2", "URL 1 of the list has a query (?)"),
        ("rediss://a/#insecure", "URL 1 of the list has a fragment (#)"),
    ] {
        assert_eq!(urls(value), Err(wrong.to_owned()), "{value}");
    }
    let many: Vec<_> = (0..65).map(|n| format!("redis://a{n}")).collect();
    assert_eq!(urls(&many.join(",")), Err("65 URLs, of which 64 are enough".to_owned()));
}
