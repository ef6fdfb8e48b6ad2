//! Key files and secrets: what is a key, and that everything else is refused by name before a hub starts.

use std::fs;

use crate::common::{
    SECRET, Time, claims, key_path, key_text, public, secret, secret_key, settings, signing_key,
};
use watertight_access::mint::SigningKey;
use watertight_access::{
    Algorithm, Algorithms, KeyError, KeySource, RefusedKey, Settings, StaticKeys, Verifier, Zeroizing,
};

fn load(source: KeySource) -> Result<StaticKeys, Vec<RefusedKey>> {
    StaticKeys::load(&[source], &[], false)
}

fn refusal(source: KeySource) -> RefusedKey {
    let mut refused = load(source).unwrap_err();
    assert_eq!(refused.len(), 1, "{refused:?}");
    refused.remove(0)
}

fn text(text: impl Into<String>) -> KeySource {
    KeySource::Secret(Zeroizing::new(text.into()))
}

fn accepts(keys: StaticKeys, signing: &SigningKey) -> bool {
    let verifier = Verifier::new(Settings { keys, ..settings(&Time::default()) }).unwrap();
    verifier.try_verify_now(&signing.sign(&claims()).unwrap()).unwrap().is_ok()
}

#[test]
fn a_public_key_is_read_from_every_form_it_comes_in() {
    for (file, signing) in [
        ("rsa.pub.pem", signing_key("rsa.pem", Algorithm::RS256)),
        ("rsa.pkcs1.pub.pem", signing_key("rsa.pkcs1.pem", Algorithm::PS512)),
        ("P256.pub.pem", signing_key("P256.pem", Algorithm::ES256)),
        ("P256.cert.pem", signing_key("P256.pem", Algorithm::ES256)),
        ("P384.pub.pem", signing_key("P384.pem", Algorithm::ES384)),
        ("ed25519.pub.pem", signing_key("ed25519.pem", Algorithm::EdDSA)),
    ] {
        assert!(accepts(load(public(file)).unwrap(), &signing), "{file}");
        let crlf = key_text(file).replace('\n', "\r\n");
        let crlf = KeySource::PublicKey(format!("A comment of the issuer\r\n\r\n{crlf}\r\n\r\n"));
        assert!(accepts(load(crlf).unwrap(), &signing), "{file} with CRLF and text around");
    }
}

#[test]
fn a_file_may_hold_the_keys_of_a_rotation() {
    let both = key_text("P256.pub.pem") + &key_text("ed25519.pub.pem");
    for signing in [signing_key("P256.pem", Algorithm::ES256), signing_key("ed25519.pem", Algorithm::EdDSA)] {
        assert!(accepts(load(KeySource::PublicKey(both.clone())).unwrap(), &signing));
    }
    let many = key_text("P256.pub.pem").repeat(9);
    assert_eq!(refusal(KeySource::PublicKey(many)).error, KeyError::TooManyKeys);
}

#[test]
fn what_is_no_public_key_is_refused_by_its_name_and_with_what_would_do() {
    for (file, words) in [
        ("rsa.pem", &["private key", "openssl pkey", "-pubout"][..]),
        ("rsa.pkcs1.pem", &["private key", "-pubout"]),
        ("P256.sec1.pem", &["private key", "-pubout"]),
        ("P256.encrypted.pem", &["private key", "-pubout"]),
        ("openssh", &["OpenSSH", "ssh-keygen -e -m PKCS8"]),
        ("openssh.pub", &["OpenSSH public key", "ssh-keygen -e -m PKCS8"]),
        ("openssh.rfc4716.pub", &["PEM"]),
        ("x25519.pub.pem", &["X25519", "Ed25519"]),
        ("secp256k1.pub.pem", &["secp256k1", "P-256"]),
        ("P521.pub.pem", &["P-521", "P-256"]),
        ("rsa1024.pub.pem", &["1024 bits", "2048"]),
        ("nothing-there.pem", &["cannot be read"]),
    ] {
        let refused = refusal(public(file));
        let said = refused.to_string();
        assert_eq!(refused.path, Some(key_path(file)));
        assert!(said.starts_with(&key_path(file).display().to_string()), "{said}");
        for word in words {
            assert!(said.contains(word), "{file}: no {word:?} in {said:?}");
        }
    }
    for (text, word) in [
        (String::new(), "nothing"),
        (SECRET.to_owned(), "token_secret_file"),
        (r#"{"keys":[]}"#.to_owned(), "jwks_url"),
        ("-----BEGIN PUBLIC KEY-----\nMIIB".to_owned(), "damaged"),
        (key_text("P256.pub.pem").replace("MFkw", "M*kw"), "damaged"),
        (key_text("P256.pub.pem").replace("MFkw", "MFkx"), "cannot be read"),
        (key_text("P256.pub.pem").replace("PUBLIC KEY", "DH PARAMETERS"), "no public key"),
    ] {
        let said = refusal(KeySource::PublicKey(text.clone())).to_string();
        assert!(said.contains(word), "{text:?}: no {word:?} in {said:?}");
    }
}

#[test]
fn a_key_that_is_no_point_of_its_curve_is_refused() {
    let good = key_text("P256.pub.pem");
    let body: String = good.lines().filter(|line| !line.starts_with('-')).collect();
    let mut der = base64(&body);
    let last = der.len() - 1;
    der[last] ^= 1;
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", to_base64(&der));
    assert_eq!(refusal(KeySource::PublicKey(pem)).error, KeyError::Unreadable("EC public key"));
}

#[test]
fn a_secret_is_raw_or_base64_and_long_enough() {
    let long = "x".repeat(32);
    for fine in [
        long.clone(),
        format!("base64:{}", to_base64(&[7; 32])),
        format!("base64:{}", to_base64(&[0xFF; 32]).replace('/', "_").replace('=', "")),
    ] {
        assert!(load(text(&*fine)).is_ok(), "{fine}");
    }
    assert_eq!(refusal(text("x".repeat(31))).error, KeyError::SecretTooShort { bytes: 31 });
    assert_eq!(
        refusal(text(format!("base64:{}", to_base64(&[7; 31])))).error,
        KeyError::SecretTooShort { bytes: 31 }
    );
    assert_eq!(refusal(text("")).error, KeyError::SecretTooShort { bytes: 0 });
    assert_eq!(refusal(text(format!("base64:{}", "*".repeat(64)))).error, KeyError::NoBase64);
    assert!(refusal(text("x")).to_string().contains("has 1 bytes, and HS256 needs 32"));
}

#[test]
fn a_secret_in_base64_is_its_bytes() {
    let encoded = format!("base64:{}", to_base64(SECRET.as_bytes()));
    assert!(accepts(load(text(encoded)).unwrap(), &secret_key(Algorithm::HS256)));
}

#[test]
fn a_secret_is_for_the_algorithms_that_it_is_long_enough_for() {
    for (bytes, fits) in [
        (32, &[Algorithm::HS256][..]),
        (47, &[Algorithm::HS256]),
        (48, &[Algorithm::HS256, Algorithm::HS384]),
        (64, &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512]),
    ] {
        let keys = load(text("x".repeat(bytes))).unwrap();
        let key = keys.iter().next().unwrap();
        assert_eq!(key.algorithms(), Algorithms::of(fits), "{bytes} bytes");
    }
    let refused = StaticKeys::load(&[text("x".repeat(40))], &[Algorithm::HS512], false).unwrap_err();
    assert!(refused[0].to_string().contains("token_algorithms"), "{}", refused[0]);
}

#[test]
fn one_line_break_at_the_end_of_a_file_is_not_the_secrets() {
    let dir = tempfile::tempdir().unwrap();
    for (name, content, is_same) in [
        ("plain", SECRET.to_owned(), true),
        ("lf", format!("{SECRET}\n"), true),
        ("crlf", format!("{SECRET}\r\n"), true),
        ("two", format!("{SECRET}\n\n"), false),
        ("space", format!("{SECRET} \n"), false),
    ] {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        let keys = load(KeySource::SecretFile(path)).unwrap();
        assert_eq!(accepts(keys, &secret_key(Algorithm::HS256)), is_same, "{name}");
    }
    let path = dir.path().join("long");
    fs::write(&path, "x".repeat(64 * 1024 + 1)).unwrap();
    assert_eq!(refusal(KeySource::SecretFile(path)).error, KeyError::FileTooLong);
}

#[test]
fn a_key_of_another_kind_is_no_secret() {
    for (file, word) in
        [("rsa.pub.pem", "PEM"), ("rsa.pem", "PEM"), ("P256.cert.pem", "PEM"), ("openssh.pub", "OpenSSH")]
    {
        for source in [KeySource::SecretFile(key_path(file)), text(key_text(file))] {
            let said = refusal(source).to_string();
            assert!(said.contains(word) && said.contains("token_public_key"), "{file}: {said}");
        }
    }
    let jwk = crate::common::jwk("rsa.pub.pem", None).to_string();
    assert!(refusal(text(jwk)).to_string().contains("JSON Web Key"));
}

#[test]
fn an_algorithm_that_no_key_is_for_is_refused_before_the_start() {
    for (source, algorithm, words) in [
        (secret(), Algorithm::RS256, &["RS256", "token_algorithms"][..]),
        (public("rsa.pub.pem"), Algorithm::HS256, &["HS256", "token_algorithms"]),
        (public("P256.pub.pem"), Algorithm::ES384, &["ES384", "token_algorithms"]),
    ] {
        let refused = StaticKeys::load(&[source], &[algorithm], false).unwrap_err();
        for word in words {
            assert!(refused[0].to_string().contains(word), "{}", refused[0]);
        }
    }
    let refused = StaticKeys::load(&[secret()], &[Algorithm::HS256, Algorithm::RS256], false).unwrap_err();
    let said = refused[0].to_string();
    assert!(said.contains("RS256") && said.contains("token_public_key"), "{said}");
    assert!(
        StaticKeys::load(&[secret()], &[Algorithm::HS256, Algorithm::RS256], true).is_ok(),
        "a key set may have it"
    );
}

#[test]
fn algorithms_may_be_narrowed() {
    let keys = StaticKeys::load(&[public("rsa.pub.pem")], &[Algorithm::PS256], false).unwrap();
    assert!(accepts(keys.clone(), &signing_key("rsa.pem", Algorithm::PS256)));
    assert!(!accepts(keys, &signing_key("rsa.pem", Algorithm::RS256)));
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let sources = [text("short"), public("x25519.pub.pem"), public("nothing-there.pem")];
    let refused = StaticKeys::load(&sources, &[], false).unwrap_err();
    assert_eq!(
        refused.iter().map(|refused| refused.source_number).collect::<Vec<_>>(),
        [Some(0), Some(1), Some(2)]
    );
}

#[test]
fn a_private_key_signs_in_every_form_it_comes_in_or_the_form_is_named() {
    for (file, algorithm) in [
        ("rsa.pem", Algorithm::RS256),
        ("rsa.pkcs1.pem", Algorithm::RS256),
        ("P256.pem", Algorithm::ES256),
        ("P384.pem", Algorithm::ES384),
        ("ed25519.pem", Algorithm::EdDSA),
    ] {
        let key = SigningKey::from_pem(key_text(file).as_bytes(), None).unwrap();
        assert_eq!(key.algorithm(), algorithm, "{file}");
        assert!(key.sign(&claims()).is_ok(), "{file}");
    }
    for (file, word) in [
        ("P256.sec1.pem", "openssl pkcs8 -topk8"),
        ("P256.encrypted.pem", "encrypted"),
        ("openssh", "OpenSSH"),
        ("rsa.pub.pem", "no private key"),
        ("openssh.pub", "PEM"),
    ] {
        let said = SigningKey::from_pem(key_text(file).as_bytes(), None).unwrap_err().to_string();
        assert!(said.contains(word), "{file}: {said}");
    }
    let said = SigningKey::from_pem(key_text("P256.pem").as_bytes(), Some(Algorithm::RS256))
        .unwrap_err()
        .to_string();
    assert!(said.contains("ES256") && said.contains("RS256"), "{said}");
}

fn base64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

fn to_base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn a_key_verifies_nothing_that_it_is_not_for() {
    let keys = StaticKeys::load(&[public("rsa.pub.pem")], &[Algorithm::PS256], false).unwrap();
    let key = keys.iter().next().unwrap();
    for (algorithm, expected) in [(Algorithm::PS256, true), (Algorithm::RS256, false)] {
        let token = signing_key("rsa.pem", algorithm).sign(&claims()).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        assert_eq!(key.verifies(algorithm, signed, signature), expected, "{algorithm:?}");
    }
}
