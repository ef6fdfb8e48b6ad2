//! What the tests of this crate share: keys, a clock that is moved by hand, tokens, and a small HTTP server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

pub(crate) mod issuer;
pub(crate) mod logs;
pub(crate) mod sets;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use watertight_access::mint::SigningKey;
use watertight_access::{
    Algorithm, Clock, KeySetSettings, KeySource, Refused, Rules, Settings, StaticKeys, Verified, Verifier,
    Why, Zeroizing,
};
use watertight_core::Budget;
use x509_parser::prelude::FromDer as _;

/// When it is in the tests: 14 November 2023.
pub(crate) const NOW: u64 = 1_700_000_000;

/// A secret that is long enough for all three algorithms.
pub(crate) const SECRET: &str = "quartz vellum sphinx judges boxing wizards quickly daft zebra ju";

pub(crate) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A clock that stands still until it is moved.
#[derive(Clone, Default)]
pub(crate) struct Time(Arc<AtomicU64>);

impl Time {
    pub(crate) fn pass(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub(crate) fn clock(&self) -> Clock {
        let (wall, elapsed) = (self.clone(), self.clone());
        Clock::new(move || at(NOW) + wall.since(), move || elapsed.since())
    }

    fn since(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// The file of a key under `tests/keys`. All were made by `openssl` and `ssh-keygen`, for these tests alone.
pub(crate) fn key_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys").join(name)
}

pub(crate) fn key_text(name: &str) -> String {
    std::fs::read_to_string(key_path(name)).unwrap()
}

pub(crate) fn signing_key(file: &str, algorithm: Algorithm) -> SigningKey {
    SigningKey::from_pem(key_text(file).as_bytes(), Some(algorithm)).unwrap()
}

pub(crate) fn secret_key(algorithm: Algorithm) -> SigningKey {
    SigningKey::from_secret(SECRET.as_bytes(), Some(algorithm)).unwrap()
}

pub(crate) fn secret() -> KeySource {
    KeySource::Secret(Zeroizing::new(SECRET.to_owned()))
}

pub(crate) fn public(name: &str) -> KeySource {
    KeySource::PublicKeyFile(key_path(name))
}

/// Claims that are fine for an hour.
pub(crate) fn claims() -> Value {
    json!({
        "sub": "ada", "exp": NOW + 3600, "iat": NOW, "jti": "t-1",
        "watertight": { "subscribe": ["sessions/*"], "publish": ["sessions/ada-*"], "admin": false }
    })
}

/// The claims with one member changed; `null` in JSON must be given as such.
pub(crate) fn with(member: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[member] = value;
    claims
}

pub(crate) fn without(member: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(member);
    claims
}

/// Settings with nothing in them yet.
pub(crate) fn settings(time: &Time) -> Settings {
    Settings {
        rules: Rules { issuer: None, audience: Vec::new(), leeway: Duration::from_secs(5) },
        keys: StaticKeys::default(),
        algorithms: Vec::new(),
        key_sets: Vec::new(),
        introspection: None,
        clock: time.clock(),
        budget: Budget::new(1 << 30, 1 << 30),
    }
}

/// A verifier with static keys.
pub(crate) fn verifier(sources: &[KeySource]) -> Verifier {
    let keys = StaticKeys::load(sources, &[], false).unwrap();
    Verifier::new(Settings { keys, ..settings(&Time::default()) }).unwrap()
}

pub(crate) fn key_set(url: &str, issuer: Option<&str>) -> KeySetSettings {
    KeySetSettings {
        issuer: issuer.map(Into::into),
        url: watertight_access::Endpoint::new(url).unwrap(),
        cache: Duration::from_secs(300),
        cooldown: Duration::from_secs(30),
        stale: Duration::from_secs(3600),
    }
}

/// The public key of a PEM file as a JSON Web Key.
pub(crate) fn jwk(file: &str, name: Option<&str>) -> Value {
    let text = key_text(file);
    let (_, pem) = x509_parser::pem::parse_x509_pem(text.as_bytes()).unwrap();
    let (_, info) = x509_parser::x509::SubjectPublicKeyInfo::from_der(&pem.contents).unwrap();
    let bytes = info.subject_public_key.data.to_vec();
    let text = |bytes: &[u8]| Value::from(URL_SAFE_NO_PAD.encode(bytes));
    let mut key = match bytes.len() {
        32 => json!({ "kty": "OKP", "crv": "Ed25519", "x": text(&bytes) }),
        65 => json!({ "kty": "EC", "crv": "P-256", "x": text(&bytes[1..33]), "y": text(&bytes[33..]) }),
        97 => json!({ "kty": "EC", "crv": "P-384", "x": text(&bytes[1..49]), "y": text(&bytes[49..]) }),
        _ => {
            let (_, rsa) = x509_parser::public_key::RSAPublicKey::from_der(&bytes).unwrap();
            json!({ "kty": "RSA", "n": text(rsa.modulus), "e": text(rsa.exponent) })
        }
    };
    if let Some(name) = name {
        key["kid"] = name.into();
    }
    key
}

/// What a verifier says at once; everything here needs no question.
pub(crate) fn now(verifier: &Verifier, token: &str) -> Result<Verified, Refused> {
    verifier.try_verify_now(token).expect("static keys settle it at once")
}

pub(crate) fn why(verifier: &Verifier, token: &str) -> Why {
    match now(verifier, token) {
        Err(Refused::Invalid(why)) => why,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn hs256(claims: &Value) -> String {
    secret_key(Algorithm::HS256).sign(claims).unwrap()
}
