//! Static keys: which tokens they accept, and why others are refused.

use std::time::{Duration, Instant};

use crate::common::{
    NOW, SECRET, Time, at, claims, hs256, jwk, now, public, secret, secret_key, settings, signing_key,
    verifier, why, with,
};
use serde_json::json;
use watertight_access::mint::SigningKey;
use watertight_access::{
    Action, Algorithm, KeySource, Refused, Settings, StaticKeys, Verified, Verifier, Why, Zeroizing,
};

/// Every algorithm with the key that signs and the one that verifies.
fn all() -> Vec<(Algorithm, SigningKey, KeySource)> {
    let mut all = Vec::new();
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        all.push((algorithm, secret_key(algorithm), secret()));
    }
    for algorithm in [
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
    ] {
        all.push((algorithm, signing_key("rsa.pem", algorithm), public("rsa.pub.pem")));
    }
    all.push((Algorithm::ES256, signing_key("P256.pem", Algorithm::ES256), public("P256.pub.pem")));
    all.push((Algorithm::ES384, signing_key("P384.pem", Algorithm::ES384), public("P384.pub.pem")));
    all.push((Algorithm::EdDSA, signing_key("ed25519.pem", Algorithm::EdDSA), public("ed25519.pub.pem")));
    all
}

#[test]
fn a_token_of_every_algorithm_is_accepted_by_its_key_alone() {
    let all = all();
    assert_eq!(all.len(), watertight_access::algorithm::ALL.len());
    for (algorithm, signing, _) in &all {
        let token = signing.sign(&claims()).unwrap();
        for (other, _, source) in &all {
            let keys = StaticKeys::load(std::slice::from_ref(source), &[*other], false).unwrap();
            let verifier = Verifier::new(Settings { keys, ..settings(&Time::default()) }).unwrap();
            let result = now(&verifier, &token);
            assert_eq!(
                result.is_ok(),
                algorithm == other,
                "{algorithm:?} with a key for {other:?}: {result:?}"
            );
        }
    }
}

#[test]
fn what_was_verified_is_what_the_token_says() {
    let token = hs256(&claims());
    let verified = now(&verifier(&[secret()]), &token).unwrap();
    assert_eq!(verified.subject.as_deref(), Some("ada"));
    assert_eq!(verified.id.as_deref(), Some("t-1"));
    assert_eq!(verified.issued_at, Some(at(NOW)));
    assert_eq!(verified.expires, at(NOW + 3600));
    assert!(verified.grants.allows(Action::Subscribe, "sessions/demo"));
    assert!(!verified.grants.allows(Action::Publish, "sessions/demo"));
    assert!(verified.grants.allows(Action::Publish, "sessions/ada-1"));
    assert!(!verified.grants.is_admin());
    assert!(!verified.is_opaque());
}

#[test]
fn threat_21_the_algorithm_is_the_keys_and_never_the_headers() {
    let rsa = verifier(&[public("rsa.pub.pem")]);
    // The public key as a secret: the classic.
    let text = crate::common::key_text("rsa.pub.pem");
    let forged = watertight_access::mint::SigningKey::from_secret(text.as_bytes(), None);
    assert!(forged.is_err(), "a PEM is no secret, not even for whoever forges");
    let header = r#"{"alg":"HS256"}"#;
    let forged = secret_key(Algorithm::HS256).sign_raw(header, &claims().to_string()).unwrap();
    assert_eq!(why(&rsa, &forged), Why::NoKeyForAlgorithm(Algorithm::HS256));

    let hmac = verifier(&[secret()]);
    for (header, expected) in [
        (r#"{"alg":"none"}"#, Why::NotSigned),
        (r#"{"alg":"NonE"}"#, Why::NotSigned),
        (r#"{"alg":""}"#, Why::UnknownAlgorithm),
        (r#"{"alg":"ES512"}"#, Why::UnknownAlgorithm),
        (r#"{"alg":"hs256"}"#, Why::UnknownAlgorithm),
        (r#"{"alg":"RS256"}"#, Why::NoKeyForAlgorithm(Algorithm::RS256)),
        (r#"{"alg":null}"#, Why::NoAlgorithm),
        (r#"{"alg":["HS256"]}"#, Why::NoAlgorithm),
        (r"{}", Why::NoAlgorithm),
        (r#"{"alg":"HS256","alg":"none"}"#, Why::Json("header")),
        (r#"["HS256"]"#, Why::Json("header")),
        (r#"{"alg":"HS256","crit":["exp"],"exp":1}"#, Why::Unsupported("crit")),
        (r#"{"alg":"HS256","crit":null}"#, Why::Unsupported("crit")),
        (r#"{"alg":"HS256","b64":false}"#, Why::Unsupported("b64")),
        (r#"{"alg":"HS256","zip":"DEF"}"#, Why::Unsupported("zip")),
        (r#"{"alg":"HS256","kid":7}"#, Why::KeyName),
        (r#"{"alg":"HS256","kid":""}"#, Why::KeyName),
        (r#"{"alg":"HS256","kid":null}"#, Why::KeyName),
    ] {
        let token = secret_key(Algorithm::HS256).sign_raw(header, &claims().to_string()).unwrap();
        assert_eq!(why(&hmac, &token), expected, "{header}");
        let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
        assert!(now(&hmac, &unsigned).is_err(), "{header} without a signature");
    }
}

#[test]
fn threat_21_addresses_and_keys_in_a_header_are_not_looked_at() {
    let header = json!({
        "alg": "HS256", "jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/", "jwk": jwk("P256.pub.pem", None),
    });
    let token = secret_key(Algorithm::HS256).sign_raw(&header.to_string(), &claims().to_string()).unwrap();
    assert!(now(&verifier(&[secret()]), &token).is_ok());
    let forged = signing_key("P256.pem", Algorithm::ES256)
        .sign_raw(&header.to_string().replace("HS256", "ES256"), &claims().to_string());
    assert_eq!(why(&verifier(&[secret()]), &forged.unwrap()), Why::NoKeyForAlgorithm(Algorithm::ES256));
}

#[test]
fn threat_21_what_is_no_token_is_refused_whatever_it_is() {
    let verifier = verifier(&[secret()]);
    let good = hs256(&claims());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let long = "a".repeat(100_000);
    for (token, expected) in [
        (String::new(), Why::Empty),
        (".".to_owned(), Why::Parts),
        ("..".to_owned(), Why::Json("header")),
        ("a.b.c.d".to_owned(), Why::Parts),
        ("opaque".to_owned(), Why::Parts),
        (format!("{good}\r"), Why::Characters),
        (format!("{good}\0"), Why::Characters),
        (format!(" {good}"), Why::Characters),
        (format!("Bearer {good}"), Why::Characters),
        (format!("{good}ä"), Why::Characters),
        (long.clone(), Why::TooLong),
        (format!("{long}.{long}.{long}"), Why::TooLong),
        (format!("{good}="), Why::Signature),
        (format!("{signed}."), Why::Signature),
        (format!("{signed}.{}", &signature[1..]), Why::Signature),
        (format!("{signed}.{signature}AAAA"), Why::Signature),
        (good.replacen('.', "=.", 1), Why::Base64("header")),
        (format!("{}.e30.{signature}", "A".repeat(3000)), Why::HeaderTooLong),
    ] {
        assert_eq!(why(&verifier, &token), expected, "{:.60}", token);
    }
    // Each character counts: nothing of a token can be changed.
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        assert!(now(&verifier, &String::from_utf8(bytes).unwrap()).is_err(), "changed at {at}");
    }
}

#[tokio::test]
async fn threat_21_a_reload_refuses_tokens_of_keys_that_are_gone_and_fails_their_recheck() {
    let verifier = verifier(&[secret()]);
    let old = hs256(&claims());
    let new = signing_key("ed25519.pem", Algorithm::EdDSA).sign(&claims()).unwrap();
    let verified = now(&verifier, &old).unwrap();
    assert_eq!(verifier.recheck(&verified, None).await, Ok(verified.clone()));

    let broken = StaticKeys::load(&[public("ed25519.pub.pem"), public("x25519.pub.pem")], &[], false);
    assert_eq!(broken.unwrap_err().len(), 1);
    assert!(now(&verifier, &old).is_ok(), "one bad key, and the old ones stay");

    verifier.reload(StaticKeys::load(&[public("ed25519.pub.pem"), secret()], &[], false).unwrap());
    assert!(now(&verifier, &old).is_ok() && now(&verifier, &new).is_ok(), "both, during a rotation");
    assert!(verifier.recheck(&verified, None).await.is_ok());

    verifier.reload(StaticKeys::load(&[public("ed25519.pub.pem")], &[], false).unwrap());
    assert!(now(&verifier, &new).is_ok());
    assert_eq!(why(&verifier, &old), Why::NoKeyForAlgorithm(Algorithm::HS256));
    assert_eq!(verifier.recheck(&verified, None).await, Err(Refused::Invalid(Why::KeyWithdrawn)));
}

#[tokio::test]
async fn a_recheck_refuses_what_has_expired() {
    let time = Time::default();
    let keys = StaticKeys::load(&[secret()], &[], false).unwrap();
    let verifier = Verifier::new(Settings { keys, ..settings(&time) }).unwrap();
    let verified = now(&verifier, &hs256(&claims())).unwrap();
    time.pass(Duration::from_secs(3604));
    assert!(verifier.recheck(&verified, None).await.is_ok());
    time.pass(Duration::from_secs(1));
    assert_eq!(verifier.recheck(&verified, None).await, Err(Refused::Invalid(Why::Expired)));
}

#[test]
fn with_nothing_configured_nothing_is_accepted() {
    let verifier = Verifier::new(settings(&Time::default())).unwrap();
    assert!(!verifier.is_configured());
    assert_eq!(why(&verifier, &hs256(&claims())), Why::NothingConfigured);
}

#[test]
fn threat_27_every_refusal_has_one_outward_text() {
    let verifier = verifier(&[secret()]);
    let other = SigningKey::from_secret(&[b'x'; 64], None).unwrap();
    for token in [
        hs256(&with("exp", 1.into())),
        hs256(&with("sub", "".into())),
        other.sign(&claims()).unwrap(),
        "opaque".to_owned(),
        "a.b.c".to_owned(),
    ] {
        let refused = now(&verifier, &token).unwrap_err();
        assert_eq!(refused.to_string(), "the token is not valid");
        assert_ne!(refused.inward(), refused.to_string());
    }
}

#[test]
fn threat_20_neither_token_nor_key_is_in_any_error_or_debug_text() {
    let logs = crate::common::logs::Logs::default();
    let _guard = logs.capture();
    let verifier = verifier(&[secret(), public("rsa.pub.pem")]);
    let signing = secret_key(Algorithm::HS256).named("the-name-of-the-key");
    let mut said = format!("{verifier:?} {:?} {signing:?} {:?}", verifier.keys(), secret());
    let good = signing.sign(&claims()).unwrap();
    let bad = [
        good.clone() + "A",
        good.replace('.', ""),
        signing.sign(&with("sub", "ada\n".into())).unwrap(),
        signing.sign(&with("watertight", json!({ "publish": ["ada/../secret-pattern"] }))).unwrap(),
    ];
    for token in std::iter::once(&good).chain(&bad) {
        let result = now(&verifier, token);
        said += &format!("{result:?} {:?}", watertight_access::head::split(token));
        if let Err(refused) = result {
            said += &format!("{refused} {} ", refused.inward());
        }
    }
    for source in [
        SECRET.replace(' ', ""),
        format!("base64:{SECRET}"),
        SECRET[..20].to_owned(),
        crate::common::key_text("rsa.pem"),
    ] {
        let source = KeySource::Secret(Zeroizing::new(source));
        match StaticKeys::load(&[source.clone(), KeySource::PublicKey(SECRET.to_owned())], &[], false) {
            Ok(keys) => said += &format!("{keys:?}"),
            Err(refused) => {
                refused.iter().for_each(|refused| said += &format!("{refused:?} {refused} {source:?}"))
            }
        }
    }
    said += &logs.text();
    let rsa = crate::common::key_text("rsa.pem");
    let forbidden = good.split('.').chain(SECRET.split(' ').filter(|word| word.len() > 5));
    for part in
        forbidden.chain(rsa.lines().skip(1).take(5)).chain(["ada", "secret-pattern", "the-name-of-the-key"])
    {
        assert!(!said.contains(part), "{part:?} was shown:\n{said}");
    }
    assert!(said.contains("base64") && said.len() > 1000, "it shows nothing at all: {said}");
}

#[test]
fn a_verified_token_is_small() {
    let verified = now(&verifier(&[secret()]), &hs256(&claims())).unwrap();
    let bytes = size_of::<Verified>() + verified.heap_bytes();
    assert!(bytes <= 300, "{bytes} bytes");
}

#[test]
fn verifying_is_quick_with_every_algorithm() {
    // A debug build on a busy machine: the quickest of many, and an order of magnitude, so that something quadratic or
    // a key parsed anew from text is seen. `watertight bench tokens` has the figures.
    for (algorithm, signing, source) in all() {
        let verifier = verifier(&[source]);
        let token = signing.sign(&claims()).unwrap();
        let times = (0..50).map(|_| {
            let start = Instant::now();
            assert!(now(&verifier, &token).is_ok());
            start.elapsed()
        });
        let quickest = times.min().unwrap();
        println!("{algorithm:?}: {quickest:?}");
        assert!(quickest < Duration::from_millis(20), "{algorithm:?} takes {quickest:?}");
    }
}

#[test]
fn a_fresh_key_signs_for_its_algorithm_alone() {
    for algorithm in watertight_access::algorithm::ALL {
        let (signing, keys) = watertight_access::mint::fresh_key(algorithm).unwrap();
        let (_, others) = watertight_access::mint::fresh_key(algorithm).unwrap();
        assert_eq!(signing.algorithm(), algorithm);
        let token = signing.sign(&claims()).unwrap();
        let verifier = |keys| Verifier::new(Settings { keys, ..settings(&Time::default()) }).unwrap();
        assert!(now(&verifier(keys), &token).is_ok(), "{algorithm:?}");
        assert_eq!(why(&verifier(others), &token), Why::Signature, "{algorithm:?}");
    }
}
