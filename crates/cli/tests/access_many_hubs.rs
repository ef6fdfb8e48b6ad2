//! Several hubs at one Redis: what is revoked or closed at one holds at all of them, also at those that were cut off.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "the test measures how long it takes")]

mod tokens;

use std::time::{Duration, Instant, SystemTime};

use serde_json::json;
use tokens::{admin, ask, bearer, of, post, protected};
use watertight_testkit::{
    Certificate, Cut, FaultProxy, HubProcess, Mode, Redis, SseReader, eventually, free_address,
};

const KEY: &str = "watertight:control";

/// What is promised (docs/access.md). The best of several tries keeps it: in any one of them the machine may stand still.
const PROMISED: Duration = Duration::from_secs(1);

/// What every try keeps: far below the next time that rights are asked for (30 s).
const AT_MOST: Duration = Duration::from_secs(8);

/// A hub at this Redis, once it reads what others tell.
fn hub(url: &str) -> HubProcess {
    let hub = protected().env("WATERTIGHT_REDIS_URL", url).unbalanced().start();
    eventually!(hub.log(), |log| log.contains("connected to Redis") && log.contains("streams"));
    hub
}

fn watch(hub: &HubProcess, token: &str) -> SseReader {
    hub.subscribe_with("a", "", &[("Authorization", &bearer(token))])
}

fn revoke(hub: &HubProcess, what: &serde_json::Value) {
    assert_eq!(post(hub, "/tokens/revoke", &admin(), what).status, 200);
}

fn is_refused(hub: &HubProcess, token: &str) -> bool {
    ask(hub, "GET", "/sessions/a/events?wait=0", token).status == 401
}

#[test]
fn a_revocation_holds_at_every_hub_within_a_second() {
    let redis = Redis::start();
    let (one, other) = (hub(&redis.url()), hub(&redis.url()));
    let now = SystemTime::now();
    let (by_id, by_user) =
        (of("ada").id("t1").issued_at(now).text(), of("eve").id("t2").issued_at(now).text());
    let untouched = watch(&other, &of("grace").id("t3").text());
    let mut best = AT_MOST;
    for (token, what) in [(by_id, json!({ "jti": "t1" })), (by_user, json!({ "sub": "eve" }))] {
        let mut stream = watch(&other, &token);
        let begun = Instant::now();
        revoke(&one, &what);
        stream.expect_closing_event("TOKEN_REVOKED");
        let took = begun.elapsed();
        assert!(took < AT_MOST, "{took:?}");
        best = best.min(took);
        assert!(is_refused(&other, &token) && is_refused(&one, &token));
    }
    assert!(best < PROMISED, "{best:?} at best");
    assert_eq!(redis.command(&["XLEN", KEY]), "2", "it is told once, and not passed on");
    let ttl: i64 = redis.command(&["TTL", KEY]).parse().unwrap();
    assert!(ttl > 0 && ttl <= 7 * 24 * 3600, "{ttl}");
    let said = redis.all(&["XRANGE", KEY, "-", "+"]).join(" ");
    assert!(!said.contains("\"t1\""), "of an id only a digest is told: {said}");
    drop(untouched);
}

#[test]
fn streams_of_a_user_are_closed_at_every_hub_and_may_be_opened_again() {
    let redis = Redis::start();
    let (one, other) = (hub(&redis.url()), hub(&redis.url()));
    let token = of("ada").text();
    let mut best = AT_MOST;
    for _ in 0..3 {
        let mut streams = [watch(&one, &token), watch(&other, &token)];
        let begun = Instant::now();
        assert_eq!(ask(&one, "DELETE", "/connections?user=ada", &admin()).status, 200);
        streams.iter_mut().for_each(|stream| drop(stream.expect_closing_event("DISCONNECTED")));
        let took = begun.elapsed();
        assert!(took < AT_MOST, "{took:?}");
        best = best.min(took);
    }
    assert!(best < PROMISED, "{best:?} at best");
    assert!(!is_refused(&other, &token));
}

#[test]
fn a_hub_that_was_cut_off_learns_of_it_when_it_is_back() {
    let redis = Redis::start();
    let proxy = FaultProxy::start(redis.address());
    let (one, other) = (hub(&redis.url()), hub(&format!("redis://{}", proxy.address())));
    let token = of("ada").id("t1").text();
    let (mut stream, mut closed) = (watch(&other, &token), watch(&other, &of("grace").text()));
    proxy.set(Mode::Refuse);
    proxy.cut(Cut::Rst);
    revoke(&one, &json!({ "jti": "t1" }));
    assert_eq!(ask(&one, "DELETE", "/connections?user=grace", &admin()).status, 200);
    eventually!(redis.command(&["XLEN", KEY]), |length| length == "2");
    assert!(!is_refused(&other, &token), "it cannot know");
    proxy.set(Mode::Pass);
    stream.expect_closing_event("TOKEN_REVOKED");
    closed.expect_closing_event("DISCONNECTED");
    assert!(is_refused(&other, &token));
}

#[test]
fn a_hub_without_redis_tells_the_others_once_it_is_back() {
    let mut redis = Redis::start();
    let proxy = FaultProxy::start(redis.address());
    let (one, other) = (hub(&format!("redis://{}", proxy.address())), hub(&redis.url()));
    let token = of("ada").id("t1").text();
    let mut stream = watch(&other, &token);
    proxy.set(Mode::Refuse);
    proxy.cut(Cut::Rst);
    revoke(&one, &json!({ "jti": "t1" }));
    eventually!(one.log(), |log| log.contains("other hubs are told of a revocation or closing later"));
    assert!(is_refused(&one, &token), "it holds here at once");
    proxy.set(Mode::Pass);
    stream.expect_closing_event("TOKEN_REVOKED");
    // The same with a Redis that is gone for all of them, and comes back with nothing in it.
    let token = of("ada").id("t2").text();
    let mut stream = watch(&other, &token);
    redis.stop();
    revoke(&one, &json!({ "jti": "t2" }));
    redis.restart();
    stream.expect_closing_event("TOKEN_REVOKED");
}

#[test]
fn a_hub_that_starts_later_refuses_what_was_revoked_before_and_closes_nothing() {
    let redis = Redis::start();
    let first = hub(&redis.url());
    let (revoked, closed) = (of("ada").id("t1").text(), of("grace").text());
    revoke(&first, &json!({ "jti": "t1" }));
    // A closing of an hour ago, as another hub told it.
    let old = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() - 3600;
    let told = json!({ "node": "x", "number": 1, "at": old, "disconnect": { "user": "grace" } });
    redis.command(&["XADD", KEY, "*", "message", &told.to_string()]);
    redis.command(&["XADD", KEY, "*", "message", "no JSON"]);
    redis.command(&["XADD", KEY, "*", "other", "field"]);
    // Its stream is open before it reads any of this.
    let proxy = FaultProxy::start(redis.address());
    proxy.set(Mode::Refuse);
    let url = format!("redis://{}", proxy.address());
    let later = protected().env("WATERTIGHT_REDIS_URL", url).unbalanced().start();
    let mut stream = watch(&later, &closed);
    assert!(!is_refused(&later, &revoked));
    proxy.set(Mode::Pass);
    eventually!(is_refused(&later, &revoked));
    eventually!(later.log(), |log| log.contains("an entry of another hub is not understood"));
    // Whatever stands there, what comes after it is carried out.
    revoke(&first, &json!({ "sub": "grace" }));
    stream.expect_closing_event("TOKEN_REVOKED");
}

#[test]
fn hubs_tell_each_other_over_tls_with_a_user_who_has_the_documented_rights() {
    let dir = tempfile::tempdir().unwrap();
    let files = Certificate::write_into(dir.path());
    let [cert, key] = [&files.certificate, &files.key].map(|path| path.to_str().unwrap());
    let free = free_address().port().to_string();
    let tls =
        ["--tls-port", &free, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert];
    let redis = Redis::start_with(&[&tls[..], &["--tls-auth-clients", "no"]].concat());
    let documented = "~watertight:control +xadd +expire +xread +xrevrange +xinfo|stream +multi +exec";
    let rights: Vec<&str> = documented.split(' ').collect();
    redis.command(&[&["ACL", "SETUSER", "hub", "on", ">p@w"], &rights[..]].concat());
    let url = format!("rediss://hub:p%40w@localhost:{free}");
    let hub = || {
        let builder = protected().env("WATERTIGHT_REDIS_URL", &url).env("SSL_CERT_FILE", cert);
        let hub = builder.unbalanced().start();
        eventually!(hub.log(), |log| log.contains("connected to Redis") && log.contains("streams"));
        hub
    };
    let (one, other) = (hub(), hub());
    let token = of("ada").id("t1").text();
    let mut stream = watch(&other, &token);
    revoke(&one, &json!({ "jti": "t1" }));
    stream.expect_closing_event("TOKEN_REVOKED");
    assert!(!one.log().contains("NOPERM") && !other.log().contains("NOPERM"), "{}", other.log());
    let docs = include_str!("../../../docs/access.md");
    assert!(
        docs.contains(
            &documented
                .replace("~watertight:control", "'~watertight:control'")
                .replace("+xinfo|stream", "'+xinfo|stream'")
        )
    );
}

#[test]
fn a_redis_that_forbids_it_says_which_right_is_missing_and_the_hub_goes_on() {
    let redis = Redis::start();
    redis.command(&["ACL", "SETUSER", "hub", "on", ">pw", "+hget", "+ping", "~watertight:owners"]);
    let hub = protected().env("WATERTIGHT_REDIS_URL", redis.url_for("hub", "pw")).unbalanced().start();
    eventually!(hub.log(), |log| log.contains("+xread") && log.contains("~watertight:control"));
    let token = of("ada").id("t1").text();
    let mut stream = watch(&hub, &token);
    revoke(&hub, &json!({ "jti": "t1" }));
    stream.expect_closing_event("TOKEN_REVOKED");
    eventually!(hub.log(), |log| log.contains("+xadd +expire ~watertight:control"));
}
