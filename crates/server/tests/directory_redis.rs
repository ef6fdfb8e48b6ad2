//! The directory in Redis, against real servers that are killed, paused, locked and started again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

mod support;

use std::time::{Duration, Instant};

use support::{Fixture, eventually};
use watertight_core::Kind;
use watertight_server::directory::{Answer, DirectoryError};
use watertight_testkit::{Cut, FaultProxy, Mode, PATIENCE, Redis};

/// A directory that keeps answers for as short as it may, so that nearly every question reaches Redis.
fn open(url: &str) -> Fixture {
    Fixture::open(&format!("directory = 'redis'\nredis_url = '{url}'\ndirectory_cache = '10ms'\n"))
}

/// Asks until this is the answer.
async fn answers(fixture: &Fixture, user: &str, expected: &Answer) {
    let begun = Instant::now();
    loop {
        let last = fixture.owns(user, "42").await;
        if last.as_ref() == Ok(expected) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{last:?} instead of {expected:?}");
        tokio::task::yield_now().await;
    }
}

/// Asks until there is an error of which this holds.
async fn fails(fixture: &Fixture, holds: impl Fn(&DirectoryError) -> bool) -> DirectoryError {
    let begun = Instant::now();
    loop {
        let last = fixture.owns("ada", "42").await;
        match last {
            Err(error) if holds(&error) => return error,
            last => assert!(begun.elapsed() < PATIENCE, "{last:?}"),
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hash_says_whose_a_deployment_is_and_a_change_is_seen() {
    let redis = Redis::start();
    redis.command(&["HSET", "watertight:owners", "deployments/42", "ada", "services/api", "grace"]);
    let fixture = open(&redis.url());
    answers(&fixture, "ada", &Answer::Allowed).await;
    assert_eq!(fixture.owns("grace", "42").await, Ok(Answer::Denied));
    assert_eq!(fixture.owns("ada", "api").await, Ok(Answer::Unknown), "a service is no deployment");
    redis.command(&["HSET", "watertight:owners", "deployments/42", "grace"]);
    answers(&fixture, "ada", &Answer::Denied).await;
    answers(&fixture, "grace", &Answer::Allowed).await;
    redis.command(&["HDEL", "watertight:owners", "deployments/42"]);
    answers(&fixture, "grace", &Answer::Unknown).await;
    fixture.finish().await;
    let clients = redis.command(&["INFO", "clients"]);
    assert!(clients.contains("connected_clients:1\r\n"), "its connection is closed: {clients}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_has_just_started_waits_for_its_first_connection() {
    let redis = Redis::start();
    redis.command(&["HSET", "watertight:owners", "deployments/42", "ada"]);
    for _ in 0..20 {
        let fixture = open(&redis.url());
        assert_eq!(fixture.owns("ada", "42").await, Ok(Answer::Allowed));
        fixture.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_questions_go_over_one_connection() {
    let redis = Redis::start();
    redis.command(&["HSET", "watertight:owners", "deployments/42", "ada"]);
    let fixture = open(&redis.url());
    answers(&fixture, "ada", &Answer::Allowed).await;
    for n in 0..300 {
        assert_eq!(fixture.owns("ada", &format!("x{n}")).await, Ok(Answer::Unknown));
    }
    let clients = redis.command(&["INFO", "clients"]);
    assert!(clients.contains("connected_clients:2\r\n"), "this test's and one more: {clients}");
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_28_a_hub_starts_without_redis_and_answers_once_it_is_there() {
    let mut redis = Redis::start();
    redis.stop();
    let fixture = open(&redis.url());
    let error = fails(&fixture, |error| matches!(error, DirectoryError::Unreachable(_))).await;
    assert!(!error.to_string().is_empty());
    redis.restart();
    redis.command(&["HSET", "watertight:owners", "deployments/42", "ada"]);
    answers(&fixture, "ada", &Answer::Allowed).await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_28_redis_that_is_killed_and_comes_back_answers_again_each_time() {
    let mut redis = Redis::start();
    let fixture = open(&redis.url());
    let tasks = fixture.hub.ledger().live(Kind::Task);
    for _ in 0..3 {
        redis.command(&["HSET", "watertight:owners", "deployments/42", "ada"]);
        answers(&fixture, "ada", &Answer::Allowed).await;
        redis.stop();
        fails(&fixture, |error| matches!(error, DirectoryError::Unreachable(_))).await;
        redis.restart();
        // It has forgotten everything, and says so.
        answers(&fixture, "ada", &Answer::Unknown).await;
    }
    eventually("no task is left over", || fixture.hub.ledger().live(Kind::Task) <= tasks).await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_28_redis_that_is_a_black_hole_costs_each_question_a_limited_time() {
    let redis = Redis::start();
    redis.command(&["HSET", "watertight:owners", "deployments/42", "ada"]);
    let fixture = open(&redis.url());
    answers(&fixture, "ada", &Answer::Allowed).await;
    redis.pause();
    let mut failures = 0;
    while failures < 3 {
        let begun = Instant::now();
        let answer = fixture.owns("ada", "42").await;
        // An answer of just before may still be kept; the connection may be given up before the question is.
        match answer {
            Ok(Answer::Allowed) => {}
            Err(DirectoryError::TimedOut | DirectoryError::Unreachable(_)) => failures += 1,
            other => panic!("{other:?}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    }
    // Left alone after three: then errors are immediate.
    fails(&fixture, |error| *error == DirectoryError::Resting).await;
    redis.resume();
    answers(&fixture, "ada", &Answer::Allowed).await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_28_a_connection_that_went_silent_is_replaced_although_nobody_asks() {
    let redis = Redis::start();
    let proxy = FaultProxy::start(redis.address());
    let fixture = open(&format!("redis://{}", proxy.address()));
    answers(&fixture, "ada", &Answer::Unknown).await;
    proxy.set(Mode::BlackHole);
    eventually("it is connected to again", || proxy.accepted() >= 2).await;
    proxy.cut(Cut::Rst);
    proxy.set(Mode::Pass);
    answers(&fixture, "ada", &Answer::Unknown).await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_and_a_password_sign_in_and_a_wrong_one_says_so_without_showing_it() {
    let redis = Redis::start_with(&["--requirepass", "p@ss/hunter2"]);
    redis.command_as("p@ss/hunter2", &["HSET", "watertight:owners", "deployments/42", "ada"]);
    let fixture = open(&redis.url_for("", "p%40ss%2Fhunter2"));
    answers(&fixture, "ada", &Answer::Allowed).await;
    fixture.finish().await;
    let acl = ["ACL", "SETUSER", "hub", "on", ">other", "~watertight:owners", "+hget"];
    assert_eq!(redis.command_as("p@ss/hunter2", &acl), "OK");
    let fixture = open(&redis.url_for("hub", "other"));
    answers(&fixture, "ada", &Answer::Allowed).await;
    fixture.finish().await;
    for (url, says) in [
        (redis.url_for("", "hunter3"), "it refuses the user or the password of redis_url"),
        (redis.url_for("nobody", "hunter3"), "it refuses the user or the password of redis_url"),
        (redis.url(), "it wants a password, and redis_url has none"),
    ] {
        let fixture = open(&url);
        let error = fails(&fixture, |error| error.to_string().contains(says)).await;
        let shown = format!("{error} {error:?} {:?}", fixture.directory);
        assert!(!shown.contains("hunter"), "{shown}");
        fixture.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_28_a_right_that_is_missing_is_named_and_once_it_is_given_answers_come() {
    let redis = Redis::start();
    redis.command(&["HSET", "watertight:owners", "deployments/42", "ada"]);
    redis.command(&["ACL", "SETUSER", "hub", "on", ">pw", "-@all", "+ping"]);
    let fixture = open(&redis.url_for("hub", "pw"));
    let error = fails(&fixture, |error| matches!(error, DirectoryError::NoAnswer(_))).await;
    let says = "Redis refuses HGET watertight:owners (NOPERM): give the user of redis_url the right to it: \
                ACL SETUSER NAME +hget ~watertight:owners";
    assert!(error.to_string().contains(says), "{error}");
    redis.command(&["ACL", "SETUSER", "hub", "+hget", "~watertight:owners"]);
    answers(&fixture, "ada", &Answer::Allowed).await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_type_is_named() {
    let redis = Redis::start();
    redis.command(&["SET", "watertight:owners", "ada"]);
    let fixture = open(&redis.url());
    let error = fails(&fixture, |error| matches!(error, DirectoryError::NoAnswer(_))).await;
    assert!(error.to_string().contains("(WRONGTYPE): watertight:owners has to be a hash"), "{error}");
    redis.command(&["DEL", "watertight:owners"]);
    answers(&fixture, "ada", &Answer::Unknown).await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_redis_is_an_error_and_no_harm() {
    let server = watertight_testkit::WebhookServer::start(watertight_testkit::Reply::allowed(true));
    let fixture = open(&format!("redis://{}", server.address()));
    fails(&fixture, |error| matches!(error, DirectoryError::Unreachable(_))).await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_that_can_never_work_are_refused_at_start_and_say_why() {
    for (url, says) in [
        (
            "'redis+sentinel://127.0.0.1:1'",
            "redis_url: the path of redis+sentinel:// is the name of the master",
        ),
        ("['redis://127.0.0.1:1/1', 'redis://127.0.0.1:2/1']", "redis_url: a cluster has no database but 0"),
        ("['redis://:a@127.0.0.1:1', 'redis://:b@127.0.0.1:2']", "redis_url: the URLs have different users"),
    ] {
        let error = Fixture::try_open(&format!("directory = 'redis'\nredis_url = {url}\n")).err();
        let error = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(error.starts_with(says), "{error}");
    }
}
