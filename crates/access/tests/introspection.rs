//! Opaque tokens: what the issuer says counts, and what it cannot say is an outage.

use std::sync::Arc;
use std::time::Duration;

use crate::common::issuer::{Issuer, Reply};
use crate::common::logs::Logs;
use crate::common::{NOW, Time, at, claims, secret, secret_key, settings, with};
use serde_json::{Value, json};
use watertight_access::{
    Action, Algorithm, Endpoint, IntrospectionSettings, Outage, Refused, Rules, Settings, StaticKeys,
    Verifier, Why, Zeroizing,
};
use watertight_core::{Budget, Owner};

const SECOND: Duration = Duration::from_secs(1);
const TOKEN: &str = "2YotnFZFEjr1zCsicMWpAA";

/// Active, with the claims of a good token.
fn active() -> Value {
    with("active", true.into())
}

fn introspection(issuer: &Issuer) -> IntrospectionSettings {
    IntrospectionSettings {
        url: Endpoint::new(&issuer.url()).unwrap(),
        client: "hub 1".to_owned(),
        secret: Zeroizing::new("p:a%ss".to_owned()),
        cache: 5 * SECOND,
    }
}

fn verifier(time: &Time, issuer: &Issuer) -> Verifier {
    Verifier::new(Settings { introspection: Some(introspection(issuer)), ..settings(time) }).unwrap()
}

fn unavailable(refused: Result<watertight_access::Verified, Refused>) -> Outage {
    match refused {
        Err(Refused::Unavailable { why, retry_after }) if !retry_after.is_zero() => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_active_token_is_what_its_issuer_says() {
    let issuer = Issuer::start(Reply::Json(active())).await;
    let verifier = verifier(&Time::default(), &issuer);
    assert!(verifier.try_verify_now(TOKEN).is_none(), "somebody has to be asked");
    let verified = verifier.verify(TOKEN).await.unwrap();
    assert!(verified.is_opaque() && verified.key().is_none());
    assert_eq!(verified.subject.as_deref(), Some("ada"));
    assert_eq!(verified.expires, at(NOW + 3600));
    assert!(verified.grants.allows(Action::Subscribe, "sessions/demo"));
}

#[tokio::test]
async fn the_question_is_a_form_with_the_hubs_name_and_password() {
    let issuer = Issuer::start(Reply::Json(active())).await;
    let verifier = verifier(&Time::default(), &issuer);
    assert!(verifier.verify("a+b/c=").await.is_ok());
    let (head, body) = issuer.last_question();
    // RFC 6749, section 2.3.1: each encoded as in a form, then both in base64.
    assert_eq!(head["authorization"], "Basic aHViJTIwMTpwJTNBYSUyNXNz");
    assert_eq!(head["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(body, "token=a%2Bb%2Fc%3D&token_type_hint=access_token");
}

#[tokio::test]
async fn what_the_issuer_does_not_call_active_is_not_valid() {
    for (reply, expected) in [
        (json!({ "active": false }), Why::Inactive),
        (with("active", false.into()), Why::Inactive),
        (json!({ "active": false, "exp": "nonsense" }), Why::Inactive),
        (json!({ "active": true, "exp": NOW - 5 }), Why::Expired),
        (json!({ "active": true, "exp": "1700003600" }), Why::WrongType("exp", "number")),
        (json!({ "active": true, "nbf": NOW + 60 }), Why::NotYet),
        (json!({ "active": true, "sub": "a\nb" }), Why::Text("sub")),
    ] {
        let issuer = Issuer::start(Reply::Json(reply.clone())).await;
        let verifier = verifier(&Time::default(), &issuer);
        assert_eq!(verifier.verify(TOKEN).await, Err(Refused::Invalid(expected)), "{reply}");
    }
}

#[tokio::test]
async fn a_token_without_an_end_is_good_until_its_issuer_says_otherwise() {
    let issuer = Issuer::start(Reply::Json(json!({ "active": true, "sub": "ada" }))).await;
    let verifier = verifier(&Time::default(), &issuer);
    let verified = verifier.verify(TOKEN).await.unwrap();
    assert_eq!(verified.expires, at(253_402_300_799));
    assert!(verified.grants.is_empty());
    issuer.reply(Reply::Json(json!({ "active": false })));
    assert_eq!(verifier.recheck(&verified, Some(TOKEN)).await, Err(Refused::Invalid(Why::Inactive)));
}

#[tokio::test]
async fn issuer_and_audience_are_expected_of_opaque_tokens_too() {
    let issuer = Issuer::start(Reply::Json(active())).await;
    let rules = Rules {
        issuer: Some("https://login.example".into()),
        audience: vec!["hub".to_owned()],
        leeway: SECOND,
    };
    let verifier = Verifier::new(Settings {
        rules,
        introspection: Some(introspection(&issuer)),
        ..settings(&Time::default())
    });
    let verifier = verifier.unwrap();
    assert_eq!(verifier.verify(TOKEN).await, Err(Refused::Invalid(Why::Missing("iss"))));
    let mut fine = with("iss", "https://login.example".into());
    fine["aud"] = "hub".into();
    fine["active"] = true.into();
    issuer.reply(Reply::Json(fine));
    assert!(verifier.verify("another-token").await.is_ok());
}

#[tokio::test]
async fn threat_22_an_issuer_that_errs_is_an_outage_and_no_answer() {
    let elsewhere = Issuer::start(Reply::Json(active())).await;
    for reply in [
        Reply::Text(500, "no".to_owned()),
        Reply::Text(401, r#"{"error":"invalid_client"}"#.to_owned()),
        Reply::Text(403, r#"{"active":true}"#.to_owned()),
        Reply::Text(201, r#"{"active":true}"#.to_owned()),
        Reply::Redirect(elsewhere.url()),
        Reply::Padded(active(), 64 * 1024 + 1),
        Reply::Padded(active(), 10 * 1024 * 1024),
        Reply::Text(200, "true".to_owned()),
        Reply::Text(200, "{}".to_owned()),
        Reply::Text(200, r#"{"active":"true"}"#.to_owned()),
        Reply::Text(200, r#"{"active":true,"active":false}"#.to_owned()),
        Reply::Text(200, r#"{"active":true"#.to_owned()),
        Reply::Silence,
    ] {
        let issuer = Issuer::start(reply.clone()).await;
        let verifier = verifier(&Time::default(), &issuer);
        let start = tokio::time::Instant::now();
        assert_eq!(unavailable(verifier.verify(TOKEN).await), Outage::Introspection, "{reply:?}");
        assert!(start.elapsed() < 10 * SECOND, "{reply:?}");
        issuer.reply(Reply::Json(active()));
        assert!(verifier.verify(TOKEN).await.is_ok(), "{reply:?}: an error is not remembered");
    }
    assert_eq!(elsewhere.questions(), 0, "a redirect is not followed");
}

#[tokio::test]
async fn an_answer_is_used_again_for_a_moment_and_a_recheck_asks_anew() {
    let issuer = Issuer::start(Reply::Json(active())).await;
    let time = Time::default();
    let verifier = verifier(&time, &issuer);
    let verified = verifier.verify(TOKEN).await.unwrap();
    for _ in 0..50 {
        assert!(verifier.verify(TOKEN).await.is_ok());
    }
    assert_eq!(issuer.questions(), 1);
    issuer.reply(Reply::Json(with("active", true.into())));
    assert!(verifier.recheck(&verified, Some(TOKEN)).await.is_ok());
    assert_eq!(issuer.questions(), 2);
    time.pass(5 * SECOND);
    assert!(verifier.verify(TOKEN).await.is_ok());
    assert_eq!(issuer.questions(), 3);
    issuer.reply(Reply::Json(json!({ "active": false })));
    assert!(verifier.recheck(&verified, Some(TOKEN)).await.is_err());
    assert!(verifier.verify(TOKEN).await.is_err(), "what a recheck learns counts for the next stream");
    assert_eq!(issuer.questions(), 4);
}

#[tokio::test]
async fn an_answer_that_is_used_again_still_expires() {
    let issuer = Issuer::start(Reply::Json(json!({ "active": true, "exp": NOW + 1 }))).await;
    let time = Time::default();
    let rules = Rules::default();
    let verifier =
        Verifier::new(Settings { rules, introspection: Some(introspection(&issuer)), ..settings(&time) })
            .unwrap();
    assert!(verifier.verify(TOKEN).await.is_ok());
    time.pass(SECOND);
    assert_eq!(verifier.verify(TOKEN).await, Err(Refused::Invalid(Why::Expired)));
    assert_eq!(issuer.questions(), 1);
}

#[tokio::test]
async fn a_recheck_needs_the_text_and_the_same_user() {
    let issuer = Issuer::start(Reply::Json(active())).await;
    let verifier = verifier(&Time::default(), &issuer);
    let verified = verifier.verify(TOKEN).await.unwrap();
    assert_eq!(verifier.recheck(&verified, None).await, Err(Refused::Invalid(Why::Changed)));
    let mut other = active();
    other["sub"] = "eve".into();
    issuer.reply(Reply::Json(other));
    assert_eq!(verifier.recheck(&verified, Some(TOKEN)).await, Err(Refused::Invalid(Why::Changed)));
    let mut less = active();
    less["watertight"] = json!({ "subscribe": [] });
    issuer.reply(Reply::Json(less));
    let now = verifier.recheck(&verified, Some(TOKEN)).await.unwrap();
    assert!(now.grants.is_empty(), "what it grants now, not what it granted");
}

#[tokio::test]
async fn many_streams_of_a_token_ask_once() {
    let issuer = Issuer::start(Reply::Held(active())).await;
    let verifier = verifier(&Time::default(), &issuer);
    let all = futures_util::future::join_all((0..100).map(|_| verifier.verify(TOKEN)));
    let release = async {
        while issuer.questions() == 0 {
            tokio::task::yield_now().await;
        }
        issuer.release();
    };
    let (results, ()) = tokio::join!(all, release);
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(issuer.questions(), 1);
}

#[tokio::test]
async fn questions_at_once_are_bounded_and_come_back_with_those_who_leave() {
    let issuer = Issuer::start(Reply::Silence).await;
    let verifier = verifier(&Time::default(), &issuer);
    let tokens: Vec<String> = (0..64).map(|number| format!("token-{number}")).collect();
    {
        let asking = futures_util::future::join_all(tokens.iter().map(|token| verifier.verify(token)));
        let one_more = async {
            while issuer.questions() < 64 {
                tokio::task::yield_now().await;
            }
            verifier.verify("one-more").await
        };
        let refused = tokio::select! {
            _ = asking => panic!("nobody answers"),
            refused = one_more => refused,
        };
        assert_eq!(unavailable(refused), Outage::Busy);
    }
    issuer.reply(Reply::Json(active()));
    assert!(
        verifier.verify("one-more").await.is_ok(),
        "all who asked have left, and so have their questions"
    );
}

#[tokio::test]
async fn what_is_remembered_is_bounded_charged_and_given_back() {
    let issuer = Issuer::start(Reply::Json(active())).await;
    let time = Time::default();
    let settings = Settings { introspection: Some(introspection(&issuer)), ..settings(&time) };
    let budget = Arc::clone(&settings.budget);
    let verifier = Verifier::new(settings).unwrap();
    for number in 0..4200 {
        assert!(verifier.verify(&format!("token-{number}")).await.is_ok());
        if number == 9 {
            assert!(budget.used_by(Owner::Caches) > 10 * 384, "{}", budget.used_by(Owner::Caches));
        }
    }
    let used = budget.used_by(Owner::Caches);
    assert!((4096 * 384..4096 * 600).contains(&used), "{used} bytes");
    time.pass(6 * SECOND);
    let verifier_runs = verifier.clone();
    tokio::select! {
        never = verifier_runs.run() => match never {},
        () = crate::common::sets::until(|| budget.used_by(Owner::Caches) == 0) => {}
    }
    assert!(verifier.verify("token-1").await.is_ok());
    drop((verifier, verifier_runs));
    assert_eq!(budget.used_by(Owner::Caches), 0);
}

#[tokio::test]
async fn without_memory_an_answer_counts_and_is_not_remembered() {
    let issuer = Issuer::start(Reply::Json(active())).await;
    let budget = Budget::new(16 * 1024, 16 * 1024);
    let _rest = budget.charge(Owner::Frames, 200);
    let settings =
        Settings { introspection: Some(introspection(&issuer)), budget, ..settings(&Time::default()) };
    let verifier = Verifier::new(settings).unwrap();
    assert_eq!(unavailable(verifier.verify(TOKEN).await), Outage::Introspection, "not even the answer fits");
    drop(_rest);
    assert!(verifier.verify(TOKEN).await.is_ok());
}

#[tokio::test]
async fn three_parts_are_a_jwt_where_there_is_a_key_and_opaque_where_there_is_none() {
    let issuer = Issuer::start(Reply::Json(active())).await;
    let jwt = secret_key(Algorithm::HS256).sign(&claims()).unwrap();
    let without_keys = verifier(&Time::default(), &issuer);
    assert!(without_keys.verify(&jwt).await.unwrap().is_opaque());
    let keys = StaticKeys::load(&[secret()], &[], false).unwrap();
    let both = Settings { keys, introspection: Some(introspection(&issuer)), ..settings(&Time::default()) };
    let both = Verifier::new(both).unwrap();
    assert!(!both.verify(&jwt).await.unwrap().is_opaque());
    assert!(both.verify(TOKEN).await.unwrap().is_opaque());
    let asked = issuer.questions();
    assert!(
        both.verify(&format!("{jwt}A")).await.is_err(),
        "a JWT that its key did not sign is nothing else"
    );
    assert_eq!(issuer.questions(), asked);
}

#[tokio::test]
async fn what_cannot_be_a_token_is_not_asked_about() {
    let issuer = Issuer::start(Reply::Json(active())).await;
    let verifier = verifier(&Time::default(), &issuer);
    for token in ["", "with space", "with\r\nbreak", "näh", &"x".repeat(8193)] {
        assert!(verifier.try_verify_now(token).is_some_and(|result| result.is_err()), "{token:?}");
    }
    assert_eq!(issuer.questions(), 0);
}

#[tokio::test]
async fn threat_20_neither_token_nor_password_is_logged_or_shown() {
    let logs = Logs::default();
    let _guard = logs.capture();
    let issuer = Issuer::start(Reply::Text(500, TOKEN.to_owned())).await;
    let verifier = verifier(&Time::default(), &issuer);
    let mut said = format!("{verifier:?} {:?}", introspection(&issuer));
    for reply in [
        Reply::Text(500, TOKEN.to_owned()),
        Reply::Text(200, TOKEN.to_owned()),
        Reply::Json(active()),
        Reply::Json(json!({ "active": false })),
    ] {
        issuer.reply(reply);
        let result = verifier.verify(&format!("{TOKEN}{}", issuer.questions())).await;
        said += &format!("{result:?}");
        if let Err(refused) = result {
            said += &format!("{refused} {}", refused.inward());
        }
    }
    said += &logs.text();
    assert!(said.contains("cannot introspect"), "{said}");
    for part in [TOKEN, "p:a%ss", "p%3Aa%25ss", "aHViJTIwMTpwJTNBYSUyNXNz", "hub 1"] {
        assert!(!said.contains(part), "{part:?} was shown:\n{said}");
    }
}
