//! Where keys come from while a hub runs: files that are read again, a key set by URL, an issuer that is asked.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tokens have wall times")]

mod tokens;

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokens::{ask, bearer, of};
use watertight_access::mint::SigningKey;
use watertight_testkit::webhook::{Reply, WebhookServer};
use watertight_testkit::{HubBuilder, HubProcess, eventually};

const PATH: &str = "/sessions/a/events";

fn hub() -> HubBuilder {
    HubProcess::builder(tokens::WATERTIGHT)
        .flag("--stats-public", true)
        .flag("--revalidate-interval", "300ms")
}

fn signed_by(secret: &str) -> String {
    SigningKey::from_secret(secret.as_bytes(), None).unwrap().mint(&of("ada").0).unwrap()
}

/// Replaces a file at once, as tools that renew keys do.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, path).unwrap();
}

#[test]
fn a_key_file_that_changes_is_read_again_and_streams_of_the_old_key_end() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    let (old, new) =
        ("the old secret of thirty-two bytes or more", "the new secret of thirty-two bytes or more");
    std::fs::write(&file, old).unwrap();
    let hub = hub().flag("--token-secret-file", file.display()).start();
    let mut stream = hub.subscribe_with("a", "", &[("Authorization", &bearer(&signed_by(old)))]);
    ask(&hub, "HEAD", PATH, &signed_by(new)).expect(401);
    replace(&file, new);
    stream.expect_closing_event("TOKEN_REVOKED");
    ask(&hub, "HEAD", PATH, &signed_by(new)).expect(200);
    ask(&hub, "HEAD", PATH, &signed_by(old)).expect(401);
    let log = hub.log();
    assert!(log.contains("the set of token keys was read again"), "{log}");
    assert!(!log.contains("secret of thirty-two"), "{log}");
}

#[test]
fn a_reload_with_one_bad_key_is_refused_whole_and_the_old_keys_stay() {
    let dir = tempfile::tempdir().unwrap();
    let (secret, public) = (dir.path().join("secret"), dir.path().join("public.pem"));
    let (old, new) =
        ("the old secret of thirty-two bytes or more", "the new secret of thirty-two bytes or more");
    let pair = KeyPair::generate().unwrap();
    std::fs::write(&secret, old).unwrap();
    std::fs::write(&public, pair.public_key_pem()).unwrap();
    let hub = hub()
        .flag("--token-secret-file", secret.display())
        .flag("--token-public-key", public.display())
        .start();
    let of_pair =
        SigningKey::from_pem(pair.serialize_pem().as_bytes(), None).unwrap().mint(&of("ada").0).unwrap();
    let mut stream = hub.subscribe_with("a", "", &[("Authorization", &bearer(&of_pair))]);
    ask(&hub, "HEAD", PATH, &signed_by(old)).expect(200);
    // One good key, one bad: neither is taken.
    std::fs::write(&public, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n").unwrap();
    replace(&secret, new);
    hub.signal(Signal::HUP);
    eventually!(hub.log().contains("the set of token keys stays as it was"));
    ask(&hub, "HEAD", PATH, &signed_by(new)).expect(401);
    ask(&hub, "HEAD", PATH, &signed_by(old)).expect(200);
    ask(&hub, "HEAD", PATH, &of_pair).expect(200);
    stream.expect_silence(Duration::from_secs(1));
    // Mended, both are.
    replace(&public, &pair.public_key_pem());
    eventually!(ask(&hub, "HEAD", PATH, &signed_by(new)).status == 200);
    ask(&hub, "HEAD", PATH, &of_pair).expect(200);
}

/// A key of a key set, and what signs for it.
fn ec_key(name: &str) -> (Value, SigningKey) {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let point = pair.der_bytes();
    let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..65]));
    let jwk = json!({"kty": "EC", "crv": "P-256", "kid": name, "x": x, "y": y});
    (jwk, SigningKey::from_pem(pair.serialize_pem().as_bytes(), None).unwrap().named(name))
}

#[test]
fn threat_21_keys_that_the_issuer_rotates_are_taken_within_the_cool_down_and_old_ones_end_their_streams() {
    let ((first, first_signs), (second, second_signs)) = (ec_key("1"), ec_key("2"));
    let odd = [json!({"kty": "AKP", "kid": "x"}), json!({"kty": 42}), json!({"kty": "RSA", "e": "AQAB"})];
    let set = |good: &Value| {
        let keys: Vec<&Value> = odd.iter().chain([good]).collect();
        Reply::answer("200 OK", &json!({ "keys": keys }).to_string())
    };
    let issuer = WebhookServer::start(set(&first));
    let hub = hub()
        .flag("--jwks-url", issuer.url())
        .flag("--jwks-cooldown", "1s")
        .flag("--jwks-cache", "2s")
        .unbalanced()
        .start();
    let (old, new) = (first_signs.mint(&of("ada").0).unwrap(), second_signs.mint(&of("ada").0).unwrap());
    let mut stream = hub.subscribe_with("a", "", &[("Authorization", &bearer(&old))]);
    issuer.reply(set(&second));
    eventually!(ask(&hub, "HEAD", PATH, &new).status == 200);
    stream.expect_closing_event("TOKEN_REVOKED");
    ask(&hub, "HEAD", PATH, &old).expect(401);
    let asked = issuer.count();
    assert!(asked <= 12, "{asked} questions, however many tokens came");
}

#[test]
fn a_stream_of_an_opaque_token_ends_when_its_issuer_says_so() {
    let answer = |is_active: bool| {
        let grants = json!({"subscribe": ["sessions/a"]});
        let body = json!({"active": is_active, "sub": "ada", "exp": 4_000_000_000_u64, "watertight": grants});
        Reply::answer("200 OK", &body.to_string())
    };
    let issuer = WebhookServer::start(answer(true));
    let hub = hub()
        .flag("--introspection-url", issuer.url())
        .flag("--introspection-client", "hub")
        .env("WATERTIGHT_INTROSPECTION_SECRET", "the hub's password there")
        .flag("--directory-cache", "50ms")
        .unbalanced()
        .start();
    let token = "an-opaque-token";
    let mut stream = hub.subscribe_with("a", "", &[("Authorization", &bearer(token))]);
    ask(&hub, "HEAD", "/sessions/b/events", token).expect(403);
    stream.expect_silence(Duration::from_secs(1));
    issuer.reply(answer(false));
    stream.expect_closing_event("TOKEN_REVOKED");
    ask(&hub, "HEAD", PATH, token).expect(401);
    issuer.reply(Reply::Close);
    ask(&hub, "GET", PATH, "another").expect_problem(503, "AUTHENTICATION_UNAVAILABLE");
    assert!(!hub.log().contains(token), "{}", hub.log());
}
