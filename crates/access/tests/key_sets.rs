//! Key sets by URL: rotation, floods of unknown keys, broken keys, keys of several issuers.

use std::future::Future as _;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::common::issuer::{Issuer, Reply};
use crate::common::logs::Logs;
use crate::common::sets::{SECOND, invalid, outage, p256, rsa, token, until, verifier};
use crate::common::{Time, claims, jwk, key_set, settings, signing_key, with};
use serde_json::{Value, json};
use watertight_access::mint::SigningKey;
use watertight_access::{Algorithm, Outage, Refused, Settings, Verifier, Why};
use watertight_core::Owner;

#[tokio::test]
async fn every_kind_of_key_of_a_set_verifies() {
    let keys = [
        jwk("rsa.pub.pem", Some("r")),
        jwk("P256.pub.pem", Some("e")),
        jwk("P384.pub.pem", Some("f")),
        jwk("ed25519.pub.pem", Some("d")),
    ];
    let issuer = Issuer::with_keys(&keys).await;
    let verifier = verifier(&Time::default(), &issuer);
    for key in [
        rsa("r"),
        signing_key("rsa.pem", Algorithm::PS384).named("r"),
        p256("e"),
        signing_key("P384.pem", Algorithm::ES384).named("f"),
        signing_key("ed25519.pem", Algorithm::EdDSA).named("d"),
    ] {
        let verified = verifier.verify(&token(&key)).await.unwrap();
        assert_eq!(verified.subject.as_deref(), Some("ada"), "{key:?}");
        assert!(verifier.try_verify_now(&token(&key)).unwrap().is_ok(), "known now: settled without asking");
    }
    assert_eq!(issuer.questions(), 1);
    assert_eq!(verifier.verify(&token(&p256("r"))).await, invalid(Why::NoKeyForAlgorithm(Algorithm::ES256)));
    assert_eq!(verifier.verify(&token(&rsa("e"))).await, invalid(Why::NoKeyForAlgorithm(Algorithm::RS256)));
    let header = r#"{"alg":"PS256","kid":"r"}"#;
    let forged = rsa("r").sign_raw(header, &claims().to_string()).unwrap();
    assert_eq!(verifier.verify(&forged).await, invalid(Why::Signature));
    assert_eq!(issuer.questions(), 1, "none of this is worth a question");
}

#[tokio::test]
async fn one_odd_key_does_not_spoil_the_others_and_each_is_said_once() {
    let mut encrypting = jwk("P384.pub.pem", Some("encrypts"));
    encrypting["use"] = "enc".into();
    let mut without_n = jwk("rsa.pub.pem", Some("no-n"));
    without_n.as_object_mut().unwrap().remove("n");
    let mut off_curve = jwk("P256.pub.pem", Some("off"));
    off_curve["y"] = off_curve["x"].clone();
    let mut oaep = jwk("rsa.pub.pem", Some("oaep"));
    oaep["alg"] = "RSA-OAEP".into();
    let mut short = jwk("rsa1024.pub.pem", Some("short"));
    short["e"] = "AQAB".into();
    let mut signs_only = jwk("ed25519.pub.pem", Some("ops"));
    signs_only["key_ops"] = json!(["sign"]);
    let odd = [
        encrypting,
        json!({ "kty": "AKP", "kid": "akp", "alg": "ML-DSA-44", "pub": "AAAA" }),
        json!({ "kty": "OKP", "kid": "x", "crv": "X25519", "x": "AAAA" }),
        json!({ "kty": "EC", "kid": "k", "crv": "secp256k1", "x": "AAAA", "y": "AAAA" }),
        without_n,
        json!({ "kty": 42, "kid": "kind" }),
        json!({ "kty": "oct", "kid": "secret", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0" }),
        json!("no object"),
        json!(null),
        json!({ "kty": "OKP", "kid": { "a": 1 }, "crv": "Ed25519", "x": jwk("ed25519.pub.pem", None)["x"] }),
        off_curve,
        oaep,
        short,
        signs_only,
    ];
    let mut keys = odd.to_vec();
    keys.insert(7, jwk("rsa.pub.pem", Some("good")));
    let issuer = Issuer::with_keys(&keys).await;
    let (time, logs) = (Time::default(), Logs::default());
    let guard = logs.capture();
    let verifier = verifier(&time, &issuer);
    assert!(verifier.verify(&token(&rsa("good"))).await.is_ok());
    for _ in 0..3 {
        time.pass(31 * SECOND);
        assert!(verifier.verify(&token(&rsa("unknown"))).await.is_err());
    }
    assert_eq!(issuer.questions(), 4);
    drop(guard);
    let said: Vec<String> =
        logs.text().lines().filter(|line| line.contains("passed over")).map(str::to_owned).collect();
    assert_eq!(said.len(), odd.len(), "{said:#?}");
    assert!(!logs.text().contains("c2VjcmV0"), "a secret was logged");
}

#[tokio::test]
async fn a_flood_of_unknown_keys_asks_once_per_cool_down_and_a_rotation_gets_through_within_it() {
    let issuer = Issuer::with_keys(&[jwk("rsa.pub.pem", Some("old"))]).await;
    let time = Time::default();
    let verifier = verifier(&time, &issuer);
    assert!(verifier.verify(&token(&rsa("old"))).await.is_ok());
    time.pass(30 * SECOND);
    let before = issuer.questions();
    let mut rotated_at = None;
    for number in 0..6000_u32 {
        time.pass(SECOND / 100);
        if number == 500 {
            issuer.keys(&[jwk("rsa.pub.pem", Some("old")), jwk("P256.pub.pem", Some("new"))]);
        }
        let forged = token_with_garbage(&format!("random-{number}"));
        assert!(verifier.verify(&forged).await.is_err());
        if number % 100 == 0 {
            assert!(verifier.verify(&token(&rsa("old"))).await.is_ok(), "those who were good stay good");
        }
        if number >= 500 && number % 100 == 0 && rotated_at.is_none() {
            match verifier.verify(&token(&p256("new"))).await {
                Ok(_) => rotated_at = Some(number),
                // Not a word that would make a client give up.
                Err(refused) => {
                    let (why, wait) = outage(&refused);
                    assert!(why == Outage::CoolDown && wait <= 30 * SECOND, "{refused:?}");
                }
            }
        }
    }
    let asked = issuer.questions() - before;
    assert!((2..=3).contains(&asked), "{asked} questions in 60 s");
    let waited = rotated_at.expect("the rotated token is accepted") - 500;
    assert!(waited <= 3000, "after {} s", waited / 100);
}

/// A token whose signature nobody looks at, since its key is not there.
fn token_with_garbage(name: &str) -> String {
    use base64::Engine as _;
    let encode = |text: String| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    format!(
        "{}.{}.AAAA",
        encode(json!({ "alg": "RS256", "kid": name }).to_string()),
        encode(claims().to_string())
    )
}

#[tokio::test]
async fn an_unknown_key_is_refused_for_good_only_if_the_set_was_read_since_it_was_named() {
    let issuer = Issuer::with_keys(&[jwk("rsa.pub.pem", Some("a"))]).await;
    let time = Time::default();
    let verifier = verifier(&time, &issuer);
    assert_eq!(verifier.verify(&token(&p256("b"))).await, invalid(Why::UnknownKey), "read for it");
    assert_eq!(
        verifier.verify(&token(&p256("b"))).await,
        invalid(Why::UnknownKey),
        "and known not to be there"
    );
    time.pass(SECOND);
    let refused = verifier.verify(&token(&p256("c"))).await.unwrap_err();
    assert_eq!(outage(&refused), (Outage::CoolDown, 29 * SECOND));
    time.pass(29 * SECOND);
    assert_eq!(verifier.verify(&token(&p256("c"))).await, invalid(Why::UnknownKey));
    assert_eq!(issuer.questions(), 2);
}

#[tokio::test]
async fn a_key_that_leaves_the_set_is_withdrawn() {
    let issuer = Issuer::with_keys(&[jwk("rsa.pub.pem", Some("a")), jwk("P256.pub.pem", Some("b"))]).await;
    let time = Time::default();
    let verifier = verifier(&time, &issuer);
    let (stays, goes) = (token(&rsa("a")), token(&p256("b")));
    let verified = (verifier.verify(&stays).await.unwrap(), verifier.verify(&goes).await.unwrap());
    issuer.keys(&[jwk("rsa.pub.pem", Some("a"))]);
    time.pass(299 * SECOND);
    assert!(verifier.recheck(&verified.1, None).await.is_ok(), "not read again yet");
    time.pass(2 * SECOND);
    // Nobody keeps the set here, so the first token that finds it old has it read.
    assert!(verifier.verify(&stays).await.is_ok());
    assert_eq!(verifier.recheck(&verified.0, None).await, Ok(verified.0.clone()));
    assert_eq!(verifier.recheck(&verified.1, None).await, invalid(Why::KeyWithdrawn));
    assert_eq!(
        verifier.verify(&goes).await,
        invalid(Why::UnknownKey),
        "at once, although the cool-down has begun"
    );
    assert_eq!(issuer.questions(), 2);
}

#[tokio::test]
async fn another_key_under_a_known_name_withdraws_the_first() {
    let issuer = Issuer::with_keys(&[jwk("rsa.pub.pem", Some("a"))]).await;
    let time = Time::default();
    let verifier = verifier(&time, &issuer);
    let verified = verifier.verify(&token(&rsa("a"))).await.unwrap();
    issuer.keys(&[jwk("P256.pub.pem", Some("a"))]);
    time.pass(301 * SECOND);
    assert!(verifier.verify(&token(&p256("a"))).await.is_ok());
    assert_eq!(verifier.recheck(&verified, None).await, invalid(Why::KeyWithdrawn));
}

#[tokio::test]
async fn tokens_that_name_no_key_are_tried_with_a_few() {
    let issuer = Issuer::with_keys(&[
        jwk("P256.pub.pem", None),
        jwk("rsa.pub.pem", Some("a")),
        jwk("ed25519.pub.pem", None),
    ])
    .await;
    let verifier = verifier(&Time::default(), &issuer);
    for key in [
        signing_key("rsa.pem", Algorithm::RS256),
        signing_key("ed25519.pem", Algorithm::EdDSA),
        signing_key("P256.pem", Algorithm::ES256),
    ] {
        assert!(verifier.verify(&token(&key)).await.is_ok(), "{key:?}");
    }
    let stranger = signing_key("P384.pem", Algorithm::ES384);
    let first = verifier.verify(&token(&stranger)).await.unwrap_err();
    assert_eq!(outage(&first).0, Outage::CoolDown, "its key may be new");
    assert_eq!(issuer.questions(), 1);
}

#[tokio::test]
async fn localhost_is_this_machine_whatever_the_resolver_says() {
    let issuer = Issuer::with_keys(&[jwk("rsa.pub.pem", Some("a"))]).await;
    let url = issuer.url().replace("127.0.0.1", "localhost");
    let verifier =
        Verifier::new(Settings { key_sets: vec![key_set(&url, None)], ..settings(&Time::default()) });
    assert!(verifier.unwrap().verify(&token(&rsa("a"))).await.is_ok());
}

#[tokio::test]
async fn many_tokens_at_once_ask_once() {
    let issuer = Issuer::start(Reply::Held(json!({ "keys": [jwk("rsa.pub.pem", Some("a"))] }))).await;
    let verifier = verifier(&Time::default(), &issuer);
    let token = token(&rsa("a"));
    let all = futures_util::future::join_all((0..100).map(|_| verifier.verify(&token)));
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
async fn a_question_goes_on_when_the_one_who_caused_it_has_left() {
    let issuer = Issuer::start(Reply::Held(json!({ "keys": [jwk("rsa.pub.pem", Some("a"))] }))).await;
    let verifier = verifier(&Time::default(), &issuer);
    let token = token(&rsa("a"));
    {
        let mut leaving = std::pin::pin!(verifier.verify(&token));
        while issuer.questions() == 0 {
            let poll = std::future::poll_fn(|context| Poll::Ready(leaving.as_mut().poll(context)));
            assert!(poll.await.is_pending());
            tokio::task::yield_now().await;
        }
    }
    issuer.release();
    assert!(verifier.verify(&token).await.is_ok(), "the next one takes the same question over");
    assert_eq!(issuer.questions(), 1);
}

#[tokio::test]
async fn the_keeper_reads_the_set_before_anybody_asks_and_again_before_it_is_old() {
    let issuer = Issuer::with_keys(&[jwk("rsa.pub.pem", Some("a"))]).await;
    let set = watertight_access::KeySetSettings {
        cache: Duration::from_millis(60),
        cooldown: Duration::from_millis(20),
        ..key_set(&issuer.url(), None)
    };
    let clock = watertight_access::Clock::system();
    let clock =
        watertight_access::Clock::new(|| crate::common::at(crate::common::NOW), move || clock.elapsed());
    let verifier =
        Verifier::new(Settings { key_sets: vec![set], clock, ..settings(&Time::default()) }).unwrap();
    let (kept, token) = (verifier.clone(), token(&p256("b")));
    let runs = kept.run();
    let scene = async {
        until(|| issuer.questions() >= 3).await;
        issuer.keys(&[jwk("P256.pub.pem", Some("b"))]);
        until(|| verifier.try_verify_now(&token).is_some_and(|result| result.is_ok())).await;
    };
    tokio::select! {
        never = runs => match never {},
        () = scene => {}
    }
    let asked = issuer.questions();
    drop(kept);
    assert!(verifier.try_verify_now(&token).is_some_and(|result| result.is_ok()));
    assert_eq!(issuer.questions(), asked, "nothing goes on once the keeper is dropped");
}

#[tokio::test]
async fn threat_21_a_key_of_one_issuer_signs_for_no_other_under_whatever_name() {
    // Two issuers whose keys have the same name. CVE-2026-49998: a cache by name alone mixes them up.
    let one = Issuer::with_keys(&[jwk("rsa.pub.pem", Some("1"))]).await;
    let two = Issuer::with_keys(&[jwk("P256.pub.pem", Some("1")), jwk("rsa.pub.pem", Some("2"))]).await;
    let key_sets = vec![
        key_set(&one.url(), Some("https://one.example")),
        key_set(&two.url(), Some("https://two.example")),
    ];
    let verifier = Verifier::new(Settings { key_sets, ..settings(&Time::default()) }).unwrap();
    let as_of = |key: &SigningKey, issuer: &str| key.sign(&with("iss", issuer.into())).unwrap();
    for _ in 0..2 {
        assert!(verifier.verify(&as_of(&rsa("1"), "https://one.example")).await.is_ok());
        assert!(verifier.verify(&as_of(&p256("1"), "https://two.example")).await.is_ok());
        assert!(verifier.verify(&as_of(&p256("1"), "https://one.example")).await.is_err());
        assert!(verifier.verify(&as_of(&rsa("1"), "https://two.example")).await.is_err());
        assert!(verifier.verify(&as_of(&rsa("2"), "https://one.example")).await.is_err());
    }
    assert_eq!(
        verifier.verify(&as_of(&rsa("1"), "https://three.example")).await,
        invalid(Why::UnknownIssuer)
    );
    assert_eq!(verifier.verify(&token(&rsa("1"))).await, invalid(Why::UnknownIssuer));
    // The same material is another key where it is another issuer's.
    let ones = verifier.verify(&as_of(&rsa("1"), "https://one.example")).await.unwrap();
    let twos = verifier.verify(&as_of(&rsa("2"), "https://two.example")).await.unwrap();
    assert_ne!(ones.key(), twos.key());
}

#[tokio::test]
async fn threat_23_no_address_ever_comes_from_a_token() {
    let evil = Issuer::with_keys(&[jwk("rsa.pub.pem", Some("a"))]).await;
    let good = Issuer::with_keys(&[]).await;
    let verifier = verifier(&Time::default(), &good);
    let header = json!({ "alg": "RS256", "kid": "a", "jku": evil.url(), "x5u": evil.url() }).to_string();
    for (header, claims) in [
        (header.clone(), claims()),
        (header, with("iss", evil.url().into())),
        (json!({ "alg": "RS256", "kid": evil.url() }).to_string(), with("jwks_uri", evil.url().into())),
        (
            json!({ "alg": "RS256", "kid": "../../evil" }).to_string(),
            with("iss", "http://169.254.169.254/".into()),
        ),
    ] {
        let token = signing_key("rsa.pem", Algorithm::RS256).sign_raw(&header, &claims.to_string()).unwrap();
        assert!(verifier.verify(&token).await.is_err());
    }
    assert_eq!(evil.questions(), 0);
    let (head, body) = good.last_question();
    assert!(body.is_empty() && !format!("{head:?}").contains("evil"), "{head:?}");
}

#[tokio::test]
async fn a_token_that_is_refused_anyway_causes_no_question() {
    let issuer = Issuer::with_keys(&[]).await;
    let verifier = verifier(&Time::default(), &issuer);
    for claims in [
        with("exp", 1.into()),
        with("exp", Value::Null),
        with("sub", "".into()),
        with("nbf", 9_999_999_999_u64.into()),
    ] {
        assert!(matches!(verifier.verify(&rsa("a").sign(&claims).unwrap()).await, Err(Refused::Invalid(_))));
    }
    assert_eq!(issuer.questions(), 0);
}

#[tokio::test]
async fn algorithms_may_be_narrowed_for_key_sets_too() {
    let issuer = Issuer::with_keys(&[jwk("rsa.pub.pem", Some("a"))]).await;
    let key_sets = vec![key_set(&issuer.url(), None)];
    let algorithms = vec![Algorithm::PS256];
    let verifier = Verifier::new(Settings { key_sets, algorithms, ..settings(&Time::default()) }).unwrap();
    assert_eq!(verifier.verify(&token(&rsa("a"))).await, invalid(Why::NoKeyForAlgorithm(Algorithm::RS256)));
    assert!(verifier.verify(&token(&signing_key("rsa.pem", Algorithm::PS256).named("a"))).await.is_ok());
}

#[tokio::test]
async fn a_set_takes_what_was_charged_for_it_and_gives_it_back() {
    let issuer = Issuer::with_keys(&vec![jwk("rsa.pub.pem", Some("a")); 200]).await;
    let settings = Settings { key_sets: vec![key_set(&issuer.url(), None)], ..settings(&Time::default()) };
    let budget = Arc::clone(&settings.budget);
    let verifier = Verifier::new(settings).unwrap();
    let charged = budget.used_by(Owner::Caches);
    assert!(charged > 0);
    assert!(verifier.verify(&token(&rsa("a"))).await.is_ok());
    assert_eq!(budget.used_by(Owner::Caches), charged, "the answer's bytes came back");
    drop(verifier);
    assert_eq!(budget.used_by(Owner::Caches), 0);
}

#[test]
fn an_address_is_encrypted_or_on_this_machine() {
    use watertight_access::{Endpoint, InvalidEndpoint};
    for fine in [
        "https://login.example/keys",
        "https://10.0.0.1:8443/keys?tenant=a",
        "http://127.0.0.1:8080/keys",
        "http://127.8.8.8/",
        "http://[::1]:1/",
        "http://localhost:9/keys",
    ] {
        assert!(Endpoint::new(fine).is_ok(), "{fine}");
    }
    for (wrong, why) in [
        ("http://login.example/keys", InvalidEndpoint::NotEncrypted),
        ("http://localhost.example/", InvalidEndpoint::NotEncrypted),
        ("http://127.0.0.1.example/", InvalidEndpoint::NotEncrypted),
        ("http://10.0.0.1/", InvalidEndpoint::NotEncrypted),
        ("ftp://login.example/", InvalidEndpoint::NotEncrypted),
        ("file:///etc/passwd", InvalidEndpoint::NoUrl),
        ("login.example/keys", InvalidEndpoint::NoUrl),
        ("", InvalidEndpoint::NoUrl),
        ("https://ada:secret@login.example/", InvalidEndpoint::Extras),
        ("https://login.example/keys#1", InvalidEndpoint::Extras),
    ] {
        assert_eq!(Endpoint::new(wrong), Err(why), "{wrong}");
    }
    let shown = format!("{:?}", Endpoint::new("https://login.example/keys?secret=x").unwrap());
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn time_limits_of_a_set_do_not_contradict_each_other() {
    for (cache, cooldown, stale) in [(300, 0, 3600), (10, 30, 3600), (300, 30, 200)] {
        let set = watertight_access::KeySetSettings {
            cache: cache * SECOND,
            cooldown: cooldown * SECOND,
            stale: stale * SECOND,
            ..key_set("https://login.example/", None)
        };
        let refused = Verifier::new(Settings { key_sets: vec![set], ..settings(&Time::default()) });
        assert_eq!(
            refused.err(),
            Some(watertight_access::InvalidSettings::Times),
            "{cache} {cooldown} {stale}"
        );
    }
}
