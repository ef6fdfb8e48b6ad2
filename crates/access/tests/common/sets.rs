//! A verifier with a key set, tokens for it, and what it answers.

use std::time::Duration;

use watertight_access::mint::SigningKey;
use watertight_access::{Algorithm, Outage, Refused, Settings, Verifier, Why};

use super::issuer::Issuer;
use super::{Time, claims, key_set, settings, signing_key};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn rsa(name: &str) -> SigningKey {
    signing_key("rsa.pem", Algorithm::RS256).named(name)
}

pub(crate) fn p256(name: &str) -> SigningKey {
    signing_key("P256.pem", Algorithm::ES256).named(name)
}

pub(crate) fn token(key: &SigningKey) -> String {
    key.sign(&claims()).unwrap()
}

pub(crate) fn verifier(time: &Time, issuer: &Issuer) -> Verifier {
    Verifier::new(Settings { key_sets: vec![key_set(&issuer.url(), None)], ..settings(time) }).unwrap()
}

pub(crate) fn invalid<T>(why: Why) -> Result<T, Refused> {
    Err(Refused::Invalid(why))
}

pub(crate) fn outage(refused: &Refused) -> (Outage, Duration) {
    match refused {
        Refused::Unavailable { why, retry_after } => (*why, *retry_after),
        Refused::Invalid(why) => panic!("refused for good: {why}"),
    }
}

/// Lets others run until the condition holds.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + watertight_testkit::PATIENCE;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "it did not happen");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
