//! Key sets whose issuer is down, slow, or answers something else.

use crate::common::issuer::{Issuer, Reply};
use crate::common::sets::{SECOND, invalid, outage, rsa, token, until, verifier};
use crate::common::{Time, jwk, key_set, settings, with};
use serde_json::json;
use watertight_access::{Outage, Settings, Verifier, Why};

#[tokio::test]
async fn keys_stay_good_while_the_issuer_is_down_for_a_stated_time() {
    let issuer = Issuer::with_keys(&[jwk("rsa.pub.pem", Some("a"))]).await;
    let time = Time::default();
    let verifier = verifier(&time, &issuer);
    let token = token(&rsa("a"));
    let verified = verifier.verify(&token).await.unwrap();
    issuer.reply(Reply::Text(503, "down".to_owned()));
    for _ in 0..59 {
        time.pass(60 * SECOND);
        let again = rsa("a").sign(&with("exp", (crate::common::NOW + 100_000).into())).unwrap();
        assert!(verifier.verify(&again).await.is_ok());
    }
    assert!(verifier.recheck(&verified, None).await.is_ok());
    time.pass(61 * SECOND);
    let again = rsa("a").sign(&with("exp", (crate::common::NOW + 100_000).into())).unwrap();
    let refused = verifier.verify(&again).await.unwrap_err();
    assert_eq!(outage(&refused).0, Outage::KeySet);
    let lasting = {
        // The first token has expired by now; its key would not count either.
        issuer.keys(&[jwk("rsa.pub.pem", Some("a"))]);
        time.pass(30 * SECOND);
        verifier.verify(&again).await
    };
    assert!(lasting.is_ok(), "it recovers by itself: {lasting:?}");
}

#[tokio::test]
async fn a_recheck_cannot_tell_once_the_keys_are_too_old() {
    let issuer = Issuer::with_keys(&[jwk("rsa.pub.pem", Some("a"))]).await;
    let time = Time::default();
    let verifier = verifier(&time, &issuer);
    let lasting = rsa("a").sign(&with("exp", (crate::common::NOW + 100_000).into())).unwrap();
    let verified = verifier.verify(&lasting).await.unwrap();
    time.pass(3600 * SECOND);
    assert!(verifier.recheck(&verified, None).await.is_ok());
    time.pass(SECOND);
    assert_eq!(outage(&verifier.recheck(&verified, None).await.unwrap_err()).0, Outage::KeySet);
}

#[tokio::test]
async fn threat_22_an_issuer_that_errs_is_asked_with_back_off_and_says_503() {
    let elsewhere = Issuer::with_keys(&[jwk("rsa.pub.pem", Some("a"))]).await;
    let good = json!({ "keys": [jwk("rsa.pub.pem", Some("a"))] });
    for reply in [
        Reply::Redirect(elsewhere.url()),
        Reply::Padded(good.clone(), 256 * 1024 + 1),
        Reply::Padded(good.clone(), 20 * 1024 * 1024),
        Reply::Text(200, "<html>".to_owned()),
        Reply::Text(200, "[]".to_owned()),
        Reply::Text(200, r#"{"keys":{}}"#.to_owned()),
        Reply::Text(200, r#"{"keys":[],"keys":[]}"#.to_owned()),
        Reply::Text(204, String::new()),
        Reply::Text(403, "no".to_owned()),
        Reply::Text(500, "no".to_owned()),
    ] {
        let issuer = Issuer::start(reply.clone()).await;
        let time = Time::default();
        let verifier = verifier(&time, &issuer);
        let token = token(&rsa("a"));
        let mut questions = 0;
        for _ in 0..600 {
            let refused = verifier.verify(&token).await.unwrap_err();
            let (why, wait) = outage(&refused);
            assert!(
                why == Outage::KeySet && wait <= 30 * SECOND && !wait.is_zero(),
                "{reply:?}: {refused:?}"
            );
            questions = issuer.questions();
            time.pass(SECOND / 10);
        }
        // The wait doubles from 0.2 s up to 30 s, each drawn at random: 8 on average in a minute, and never one each time.
        assert!((3..=60).contains(&questions), "{reply:?}: {questions} questions in a minute");
        issuer.keys(&[jwk("rsa.pub.pem", Some("a"))]);
        time.pass(30 * SECOND);
        assert!(verifier.verify(&token).await.is_ok(), "{reply:?}: recovers");
    }
    assert_eq!(elsewhere.questions(), 0, "a redirect is not followed");
}

#[tokio::test]
async fn threat_22_nobody_listens_and_nothing_answers() {
    let gone = Issuer::with_keys(&[]).await;
    let url = gone.url();
    drop(gone);
    let verifier =
        Verifier::new(Settings { key_sets: vec![key_set(&url, None)], ..settings(&Time::default()) })
            .unwrap();
    assert_eq!(outage(&verifier.verify(&token(&rsa("a"))).await.unwrap_err()).0, Outage::KeySet);

    let silent = Issuer::start(Reply::Silence).await;
    let verifier = crate::common::sets::verifier(&Time::default(), &silent);
    let start = tokio::time::Instant::now();
    assert_eq!(outage(&verifier.verify(&token(&rsa("a"))).await.unwrap_err()).0, Outage::KeySet);
    assert!(start.elapsed() < 10 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test]
async fn an_answer_of_the_longest_length_counts() {
    let good = json!({ "keys": [jwk("rsa.pub.pem", Some("a"))] });
    let issuer = Issuer::start(Reply::Padded(good, 256 * 1024)).await;
    assert!(verifier(&Time::default(), &issuer).verify(&token(&rsa("a"))).await.is_ok());
}

#[tokio::test]
async fn keys_that_are_too_old_do_not_count_while_the_keeper_waits() {
    let issuer = Issuer::with_keys(&[jwk("rsa.pub.pem", Some("a"))]).await;
    let time = Time::default();
    let verifier = verifier(&time, &issuer);
    let lasting = rsa("a").sign(&with("exp", (crate::common::NOW + 100_000).into())).unwrap();
    let kept = verifier.clone();
    let scene = async {
        until(|| verifier.try_verify_now(&lasting).is_some_and(|result| result.is_ok())).await;
        issuer.reply(Reply::Text(500, "down".to_owned()));
        time.pass(3600 * SECOND);
        assert!(verifier.try_verify_now(&lasting).is_some_and(|result| result.is_ok()), "just not too old");
        time.pass(SECOND);
        assert!(verifier.try_verify_now(&lasting).is_none(), "it has to be asked about");
        assert_eq!(outage(&verifier.verify(&lasting).await.unwrap_err()).0, Outage::KeySet);
    };
    tokio::select! {
        never = kept.run() => match never {},
        () = scene => {}
    }
}

#[tokio::test]
async fn an_empty_set_refuses_and_is_no_outage() {
    let issuer = Issuer::with_keys(&[]).await;
    let verifier = verifier(&Time::default(), &issuer);
    assert_eq!(verifier.verify(&token(&rsa("a"))).await, invalid(Why::UnknownKey));
}

#[tokio::test]
async fn without_memory_for_its_answer_the_issuer_cannot_be_asked() {
    let issuer = Issuer::with_keys(&[jwk("rsa.pub.pem", Some("a"))]).await;
    let settings = Settings {
        key_sets: vec![key_set(&issuer.url(), None)],
        budget: watertight_core::Budget::new(100, 100),
        ..settings(&Time::default())
    };
    let verifier = Verifier::new(settings).unwrap();
    assert_eq!(outage(&verifier.verify(&token(&rsa("a"))).await.unwrap_err()).0, Outage::KeySet);
}
