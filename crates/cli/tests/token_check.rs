//! `POST /tokens/check`: what a token allows, or why it would be refused, without a trace of it anywhere.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tokens have wall times")]

mod tokens;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokens::{Token, admin, ask, bearer, of, post, protected};
use watertight_access::mint::SigningKey;
use watertight_testkit::HubProcess;

const CHECK: &str = "/tokens/check";

fn check(hub: &HubProcess, token: &str) -> Value {
    post(hub, CHECK, &admin(), &json!({ "token": token })).expect(200).json().clone()
}

/// Which answer a request with this token gets.
fn is_let_in(hub: &HubProcess, token: &str) -> bool {
    let answer = ask(hub, "HEAD", "/sessions/a/events", token);
    assert!([200, 401].contains(&answer.status), "{}", answer.status);
    answer.status == 200
}

#[test]
fn a_good_token_shows_whose_it_is_and_what_it_allows() {
    let hub = protected().start();
    let token = of("ada \u{202e}<b>").id("t-1").subscribe(&["sessions/a", "sessions/b-*"]).publish(&[]);
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let checked = check(&hub, &token.text());
    let exp = checked["exp"].as_u64().unwrap();
    assert!((before + 3500..before + 3700).contains(&exp), "{exp}");
    let expected = json!({
        "valid": true, "reason": null, "code": null, "sub": "ada \u{202e}<b>", "exp": exp, "nbf": null, "jti": "t-1",
        "may": { "publish": [], "watch": ["sessions/a", "sessions/b-*"], "admin": false },
    });
    assert_eq!(checked, expected);
    assert_eq!(check(&hub, &admin())["may"]["admin"], true);
}

#[test]
fn a_token_that_is_refused_says_why_and_allows_nothing() {
    let hub = protected().start();
    let minted_by =
        |secret: &[u8], token: &Token| SigningKey::from_secret(secret, None).unwrap().mint(&token.0).unwrap();
    let revoked = of("eve").id("t-2").text();
    let _ = post(&hub, "/tokens/revoke", &admin(), &json!({ "jti": "t-2" })).expect(200);
    let mut early = of("ada");
    early.0.not_before = Some(SystemTime::now() + Duration::from_secs(600));
    let mut late = of("ada");
    late.0.expires = Some(SystemTime::now() - Duration::from_secs(600));
    let foreign = minted_by(b"another secret, of somebody else's hub", &of("ada"));
    for (token, reason, sub) in [
        (revoked, "it was revoked", json!("eve")),
        (early.text(), "not valid yet", json!("ada")),
        (late.text(), "expired", json!("ada")),
        (foreign, "signature", json!("ada")),
        ("no token at all".to_owned(), "characters", Value::Null),
        ("a.b.c".to_owned(), "base64url", Value::Null),
        (String::new(), "empty", Value::Null),
        ("x".repeat(9000), "longer than", Value::Null),
    ] {
        let checked = check(&hub, &token);
        assert_eq!(
            (&checked["valid"], &checked["code"]),
            (&json!(false), &json!("INVALID_TOKEN")),
            "{reason}"
        );
        assert!(checked["reason"].as_str().unwrap().contains(reason), "{reason}: {checked}");
        assert_eq!(checked["sub"], sub, "{reason}");
        assert_eq!(checked["may"], json!({ "publish": [], "watch": [], "admin": false }), "{reason}");
        let part = token.split('.').next_back().unwrap_or_default();
        assert!(
            part.len() < 3 || !checked.to_string().contains(part),
            "the token is in the answer: {checked}"
        );
    }
    assert!(!hub.log().contains("eyJ"), "a token stands in the log");
}

#[test]
fn the_answer_is_that_of_the_verifier_that_lets_requests_in() {
    let hub = protected().start();
    let (good, revoked) = (of("ada").text(), of("eve").id("gone").text());
    let _ = post(&hub, "/tokens/revoke", &admin(), &json!({ "jti": "gone" })).expect(200);
    for token in [good, revoked, "eyJhbGciOiJub25lIn0.e30.".to_owned()] {
        assert_eq!(check(&hub, &token)["valid"], is_let_in(&hub, &token), "{token}");
    }
}

#[test]
fn only_operators_ask_and_only_with_one_token_in_json() {
    let hub = protected().start();
    post(&hub, CHECK, &of("ada").text(), &json!({ "token": "x" })).expect_problem(403, "FORBIDDEN");
    hub.client().post(CHECK, "application/json", "{}").expect_problem(401, "UNAUTHORIZED");
    let send = |content_type: &str, body: &str| {
        let request = hub.client().request("POST", CHECK).header("Authorization", bearer(&admin()));
        request.header("Content-Type", content_type).body(body).send()
    };
    for (body, code) in [
        ("", "MALFORMED_JSON"),
        ("{", "MALFORMED_JSON"),
        ("{}", "MALFORMED_BODY"),
        ("[\"x\"]", "MALFORMED_BODY"),
        ("{\"token\":1}", "MALFORMED_BODY"),
        ("{\"token\":\"x\",\"secret-of-mine\":1}", "MALFORMED_BODY"),
    ] {
        let problem = send("application/json", body).expect_problem(400, code);
        assert!(!problem.to_string().contains("secret-of-mine"), "{problem}");
    }
    send("text/plain", "x").expect_problem(415, "UNSUPPORTED_MEDIA_TYPE");
    let long = format!("{{\"token\":\"{}\"}}", "x".repeat(40_000));
    send("application/json", &long).expect_problem(413, "BODY_TOO_LARGE");
    let open = HubProcess::start(tokens::WATERTIGHT);
    open.client().post(CHECK, "application/json", "{}").expect_problem(409, "NO_TOKENS");
}
