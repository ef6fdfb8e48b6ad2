//! The hub and its directory, from outside: what it says at start and in its figures, and what it never says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use watertight_testkit::{Certificate, HubProcess, PATIENCE, Program, Redis, eventually};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

fn with_redis(url: &str) -> watertight_testkit::HubBuilder {
    HubProcess::builder(WATERTIGHT).flag("--directory", "redis").env("WATERTIGHT_REDIS_URL", url)
}

#[test]
fn a_hub_starts_without_redis_says_so_once_and_connects_when_it_is_there() {
    let mut redis = Redis::start_with(&["--requirepass", "hunter2"]);
    redis.stop();
    let hub = with_redis(&redis.url_for("", "hunter2")).start();
    let missing = "no connection to Redis";
    eventually!(hub.log().contains(missing));
    redis.restart();
    let log = eventually!(hub.log(), |log| log.contains("connected to Redis"));
    assert_eq!(log.matches(missing).count(), 1, "{log}");
    assert!(log.contains("redis://(secret)@127.0.0.1:"), "{log}");
    redis.stop();
    let log = eventually!(hub.log(), |log| log.matches(missing).count() >= 2);
    redis.restart();
    eventually!(hub.log().matches("connected to Redis").count() == 2);
    assert!(!log.contains("hunter2") && !hub.log().contains("hunter2"), "{log}");
    // As at the start: then its descriptors are those of the start as well.
    redis.stop();
    eventually!(hub.log().matches(missing).count() >= 3);
    drop(hub);
}

#[test]
fn a_redis_whose_connections_do_not_last_makes_no_storm_of_lines_or_of_connections() {
    let redis = Redis::start();
    let hub = with_redis(&redis.url()).unbalanced().start();
    let kill = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"];
    let begun = std::time::Instant::now();
    let mut own = 2;
    eventually!({
        own += 1;
        assert!(redis.command(&kill).parse::<u32>().unwrap() <= 1, "one connection at a time");
        begun.elapsed() > std::time::Duration::from_secs(6)
    });
    let log = hub.log();
    // Whether one is killed before or after it has signed in is a matter of chance, and so are the words for it.
    assert!(log.matches(" connected to Redis").count() <= 3, "{log}");
    let said = log.matches("Redis").count();
    assert!((2..=3 * (1 + 4) + 1 + 4).contains(&said), "{said} lines: {log}");
    let stats = redis.command(&["INFO", "stats"]);
    let line = stats.lines().find_map(|line| line.strip_prefix("total_connections_received:")).unwrap();
    let of_hub = line.parse::<u32>().unwrap() - own;
    assert!((4..30).contains(&of_hub), "{of_hub} connections in 6 s");
}

#[test]
fn a_hub_speaks_tls_with_redis_and_trusts_only_whom_the_machine_trusts() {
    let dir = tempfile::tempdir().unwrap();
    let files = Certificate::write_into(dir.path());
    let free = watertight_testkit::free_address().port().to_string();
    let [cert, key] = [&files.certificate, &files.key].map(|path| path.to_str().unwrap());
    let _redis = Redis::start_with(&[
        "--tls-port",
        &free,
        "--tls-cert-file",
        cert,
        "--tls-key-file",
        key,
        "--tls-ca-cert-file",
        cert,
        "--tls-auth-clients",
        "no",
    ]);
    let url = format!("rediss://localhost:{free}");
    // Whether the connection is there when they begin to be counted is a matter of chance.
    let trusting = with_redis(&url).env("SSL_CERT_FILE", cert).unbalanced().start();
    eventually!(trusting.log().contains("connected to Redis"));
    let other = Certificate::write_into(tempfile::tempdir_in(dir.path()).unwrap().keep().as_path());
    let wary = with_redis(&url).env("SSL_CERT_FILE", &other.certificate).unbalanced().start();
    let log = eventually!(wary.log(), |log| log.contains("no connection to Redis"));
    assert!(log.contains("certificate"), "{log}");
    assert!(!wary.log().contains("connected to Redis"), "{}", wary.log());
}

#[test]
fn figures_of_the_directory_are_there_from_the_start_and_name_nobody() {
    let redis = Redis::start();
    let hub = with_redis(&redis.url()).unbalanced().start();
    let text = hub.get("/metrics").expect(200).text();
    for line in [
        "watertight_directory_questions_total 0",
        "watertight_directory_cache_hits_total 0",
        "watertight_directory_shared_total 0",
        "watertight_directory_answers_total{answer=\"allowed\"} 0",
        "watertight_directory_answers_total{answer=\"denied\"} 0",
        "watertight_directory_answers_total{answer=\"unknown\"} 0",
        "watertight_directory_errors_total{reason=\"timeout\"} 0",
        "watertight_directory_errors_total{reason=\"resting\"} 0",
        "watertight_directory_questions_in_flight 0",
        "watertight_directory_entries 0",
    ] {
        assert!(text.lines().any(|found| found == line), "no {line:?} in {text}");
    }
}

#[test]
fn a_directory_that_can_never_work_ends_the_start_with_64_and_what_would_do() {
    let dir = tempfile::tempdir().unwrap();
    let short = dir.path().join("short.key");
    std::fs::write(&short, "hunter2\n").unwrap();
    let webhook = || {
        HubProcess::builder(WATERTIGHT)
            .flag("--directory", "webhook")
            .flag("--webhook-url", "http://127.0.0.1:1/owns")
    };
    for (builder, says) in [
        (with_redis("redis+sentinel://127.0.0.1:26379"), "is the name of the master, such as /mymaster"),
        (with_redis("redis://127.0.0.1:1/2,redis://127.0.0.1:2/2"), "a cluster has no database but 0"),
        (with_redis("redis://:hunter2@127.0.0.1:1,redis://:other@127.0.0.1:2"), "different users, passwords"),
        (with_redis("redis://:hunter2@127.0.0.1:1/x"), "the path is no number of a database"),
        (webhook(), "set webhook_secret_file, or webhook_secret"),
        (webhook().flag("--webhook-secret-file", short.display()), "webhook_secret: shorter than 16 bytes"),
        (webhook().flag("--webhook-secret-file", "/nonexistent.key"), "/nonexistent.key: No such file"),
        (webhook().env("WATERTIGHT_WEBHOOK_SECRET", "hunter2"), "webhook_secret: shorter than 16 bytes"),
    ] {
        let (status, said) = builder.run_to_end();
        assert_eq!(status.code(), Some(64), "{said}");
        assert!(said.contains(says) && !said.contains("hunter2"), "no {says:?} in {said}");
    }
}

#[test]
fn threat_20_no_command_shows_a_secret_of_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hub.toml");
    let good = "directory = \"webhook\"\nwebhook_url = \"https://a/?hunter2\"\nwebhook_secret = \"hunter2\"\n\
                redis_url = \"redis://hunter2:hunter2@a\"\n";
    let bad =
        good.replace("redis://", "redsi://").replace("webhook_secret = \"", "webhook_secret = hunter2 \"");
    for (text, code) in [(good.to_owned(), 0), (bad, 64), (good.replace("https://", "https//"), 64)] {
        std::fs::write(&file, &text).unwrap();
        for arguments in
            [&["check", file.to_str().unwrap()][..], &["check", "--json", file.to_str().unwrap()]]
        {
            let mut check = Program::start(WATERTIGHT, arguments);
            assert_eq!(check.wait(PATIENCE).code(), Some(code), "{}", check.errors());
            let said = check.text() + &check.errors();
            assert!(!said.contains("hunter2") && said.len() > 50, "{said}");
        }
    }
}
