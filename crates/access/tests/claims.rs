//! What a token says about itself: times, issuer, audience, user, grants; what of it refuses the token.

use std::time::Duration;

use crate::common::{NOW, Time, at, hs256, now, secret, secret_key, settings, verifier, why, with, without};
use serde_json::{Value, json};
use watertight_access::{Action, Algorithm, Refused, Rules, Settings, StaticKeys, Verifier, Why};

#[test]
fn a_token_without_grants_is_valid_and_grants_nothing() {
    let verified = now(&verifier(&[secret()]), &hs256(&without("watertight"))).unwrap();
    assert!(verified.grants.is_empty());
    assert!(!verified.grants.allows(Action::Subscribe, "sessions/demo"));
}

#[test]
fn times_are_numbers_and_nothing_else() {
    let verifier = verifier(&[secret()]);
    let sign = |exp: &str| {
        let text = format!(r#"{{"sub":"ada","exp":{exp}}}"#);
        secret_key(Algorithm::HS256).sign_raw(r#"{"alg":"HS256"}"#, &text).unwrap()
    };
    let far = at(253_402_300_799);
    for (exp, expected) in [
        ("1725365460.408731", Ok(at(1_725_365_460))),
        ("1e10", Ok(at(10_000_000_000))),
        ("1725365460408", Ok(far)),
        ("9223372036854775808", Ok(far)),
        ("18446744073709551615", Ok(far)),
        ("18446744073709551616", Ok(far)),
        ("1e300", Ok(far)),
        ("\"1700000000\"", Err(Why::WrongType("exp", "number"))),
        ("\"1e10\"", Err(Why::WrongType("exp", "number"))),
        ("null", Err(Why::WrongType("exp", "number"))),
        ("true", Err(Why::WrongType("exp", "number"))),
        ("[1800000000]", Err(Why::WrongType("exp", "number"))),
        ("{}", Err(Why::WrongType("exp", "number"))),
        ("-1", Err(Why::Negative("exp"))),
        ("-1e300", Err(Why::Negative("exp"))),
        ("-9223372036854775808", Err(Why::Negative("exp"))),
        ("0", Err(Why::Expired)),
        ("-0.0", Err(Why::Expired)),
        ("NaN", Err(Why::Json("claims"))),
        ("Infinity", Err(Why::Json("claims"))),
        ("1e999", Err(Why::WrongType("exp", "number"))),
        ("1800000000,\"exp\":1900000000", Err(Why::Json("claims"))),
    ] {
        match (now(&verifier, &sign(exp)), expected) {
            (Ok(verified), Ok(expected)) => {
                let apart = verified.expires.duration_since(expected).unwrap();
                assert!(apart < Duration::from_secs(1), "{exp}: {apart:?}");
            }
            (Err(Refused::Invalid(why)), Err(expected)) => assert_eq!(why, expected, "{exp}"),
            (got, expected) => panic!("{exp}: {got:?} instead of {expected:?}"),
        }
    }
    assert_eq!(why(&verifier, &hs256(&without("exp"))), Why::Missing("exp"));
}

#[test]
fn a_token_is_valid_from_nbf_to_exp_with_the_leeway_at_both_ends() {
    let verifier = verifier(&[secret()]);
    for (claims, expected) in [
        (with("exp", (NOW - 4).into()), None),
        (with("exp", json!(NOW as f64 - 4.9)), None),
        (with("exp", (NOW - 5).into()), Some(Why::Expired)),
        (with("nbf", (NOW + 5).into()), None),
        (with("nbf", (NOW + 6).into()), Some(Why::NotYet)),
        (with("nbf", json!(NOW as f64 + 5.2)), Some(Why::NotYet)),
        (with("nbf", "1".into()), Some(Why::WrongType("nbf", "number"))),
        (with("nbf", Value::Null), Some(Why::WrongType("nbf", "number"))),
        (with("nbf", (-1).into()), Some(Why::Negative("nbf"))),
        (with("nbf", json!(1e300)), Some(Why::NotYet)),
    ] {
        let got = now(&verifier, &hs256(&claims)).err();
        assert_eq!(got, expected.map(Refused::Invalid), "{claims}");
    }
}

#[test]
fn the_time_of_issue_refuses_nothing_and_is_kept_if_it_is_one() {
    let verifier = verifier(&[secret()]);
    for (iat, kept) in [
        (json!(NOW + 1_000_000), Some(at(NOW + 1_000_000))),
        (json!(0), Some(at(0))),
        (json!("yesterday"), None),
        (json!(-3), None),
        (Value::Null, None),
        (json!({}), None),
    ] {
        let verified = now(&verifier, &hs256(&with("iat", iat.clone()))).unwrap();
        assert_eq!(verified.issued_at, kept, "{iat}");
    }
}

#[test]
fn a_token_expires_while_the_clock_goes() {
    let time = Time::default();
    let keys = StaticKeys::load(&[secret()], &[], false).unwrap();
    let verifier = Verifier::new(Settings { keys, ..settings(&time) }).unwrap();
    let token = hs256(&with("exp", (NOW + 10).into()));
    let verified = now(&verifier, &token).unwrap();
    assert_eq!(verified.stream_ends(at(NOW), Duration::from_secs(5)), at(NOW + 10));
    time.pass(Duration::from_secs(14));
    let late = now(&verifier, &token).unwrap();
    assert_eq!(
        late.stream_ends(at(NOW + 14), Duration::from_secs(5)),
        at(NOW + 15),
        "accepted in the leeway"
    );
    time.pass(Duration::from_secs(1));
    assert_eq!(why(&verifier, &token), Why::Expired);
}

#[test]
fn issuer_and_audience_are_looked_at_where_they_are_expected() {
    let keys = StaticKeys::load(&[secret()], &[], false).unwrap();
    let rules = Rules {
        issuer: Some("https://login.example".into()),
        audience: vec!["hub".to_owned(), "hub-2".to_owned()],
        leeway: Duration::ZERO,
    };
    let strict = Verifier::new(Settings { rules, keys, ..settings(&Time::default()) }).unwrap();
    let any = verifier(&[secret()]);
    for (issuer, audience, expected) in [
        (json!("https://login.example"), json!("hub"), None),
        (json!("https://login.example"), json!(["other", "hub-2"]), None),
        (json!("https://login.example/"), json!("hub"), Some(Why::Issuer)),
        (json!(["https://login.example"]), json!("hub"), Some(Why::WrongType("iss", "text"))),
        (json!("https://login.example"), json!("Hub"), Some(Why::Audience)),
        (json!("https://login.example"), json!([]), Some(Why::Missing("aud"))),
        (
            json!("https://login.example"),
            json!([7]),
            Some(Why::WrongType("aud", "text or short list of texts")),
        ),
        (
            json!("https://login.example"),
            json!(vec!["hub"; 33]),
            Some(Why::WrongType("aud", "text or short list of texts")),
        ),
    ] {
        let mut claims = with("iss", issuer);
        claims["aud"] = audience;
        let token = hs256(&claims);
        assert_eq!(now(&strict, &token).err(), expected.map(Refused::Invalid), "{claims}");
        let is_form = matches!(expected, Some(Why::WrongType(..)));
        assert_eq!(now(&any, &token).is_ok(), !is_form, "{claims}");
    }
    let mut claims = with("aud", "hub".into());
    assert_eq!(why(&strict, &hs256(&claims)), Why::Missing("iss"));
    claims = with("iss", "https://login.example".into());
    assert_eq!(why(&strict, &hs256(&claims)), Why::Missing("aud"));
}

#[test]
fn the_user_has_a_limited_name_without_control_characters() {
    let verifier = verifier(&[secret()]);
    assert!(now(&verifier, &hs256(&with("sub", "x".repeat(256).into()))).is_ok());
    assert!(now(&verifier, &hs256(&without("sub"))).unwrap().subject.is_none());
    for (sub, expected) in [
        (json!("x".repeat(257)), Why::LongText("sub", 256)),
        (json!(""), Why::Text("sub")),
        (json!("ada\n"), Why::Text("sub")),
        (json!("\u{1b}[31mada"), Why::Text("sub")),
        (json!("ada\u{85}"), Why::Text("sub")),
        (json!("ada\0"), Why::Text("sub")),
        (json!(7), Why::WrongType("sub", "text")),
        (Value::Null, Why::WrongType("sub", "text")),
    ] {
        assert_eq!(why(&verifier, &hs256(&with("sub", sub.clone()))), expected, "{sub}");
    }
}

#[test]
fn grants_out_of_their_bounds_refuse_the_token() {
    let verifier = verifier(&[secret()]);
    for grants in [
        json!([]),
        json!("sessions/*"),
        json!(null),
        json!({ "subscribe": "sessions/*" }),
        json!({ "subscribe": [7] }),
        json!({ "subscribe": null }),
        json!({ "admin": 1 }),
        json!({ "admin": null }),
        json!({ "publish": vec!["sessions/a"; 65] }),
        json!({ "publish": ["sessions/".to_owned() + &"a".repeat(248)] }),
        json!({ "publish": [vec!["a"; 17].join("/")] }),
        json!({ "publish": ["sessions/a**"] }),
        json!({ "publish": ["sessions/../b"] }),
    ] {
        let refused = why(&verifier, &hs256(&with("watertight", grants.clone())));
        assert!(matches!(refused, Why::Grants(_)), "{grants}: {refused:?}");
    }
    let fine = json!({ "publish": vec!["sessions/a"; 64], "later": { "version": 2 }, "admin": true });
    assert!(now(&verifier, &hs256(&with("watertight", fine))).unwrap().grants.is_admin());
}
