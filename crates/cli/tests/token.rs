//! `watertight token`: what it makes, what it says of a token, and that it shows no secret.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use watertight_access::mint::SigningKey;
use watertight_access::{
    Action, Algorithm, Budget, Clock, KeySource, Rules, Settings, StaticKeys, Verified, Verifier,
};
use watertight_testkit::{PATIENCE, Program};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

/// Long enough for all three algorithms.
const SECRET: &str = "quartz vellum sphinx judges boxing wizards quickly daft zebra ju";

/// What a command did.
struct Ran {
    code: i32,
    out: String,
    errors: String,
}

fn token(arguments: &[&str]) -> Ran {
    with_input(arguments, "")
}

fn with_input(arguments: &[&str], input: &str) -> Ran {
    let mut program = Program::start(WATERTIGHT, [&["token"], arguments].concat());
    program.input(input);
    program.close_input();
    let status = program.wait(PATIENCE);
    let ran = Ran { code: status.code().expect("it exits"), out: program.text(), errors: program.errors() };
    let said = format!("{}{}", ran.out, ran.errors);
    assert!(!said.contains("panicked"), "{said}");
    for word in SECRET.split(' ').filter(|word| word.len() > 3) {
        assert!(!said.contains(word), "the secret was shown: {said}");
    }
    ran
}

/// A key that `openssl` made for the tests of the access crate.
fn key(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../access/tests/keys").join(name);
    path.to_string_lossy().into_owned()
}

fn secret_file() -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    fs::write(&path, format!("{SECRET}\n")).unwrap();
    let path = path.to_string_lossy().into_owned();
    (dir, path)
}

fn verify(source: KeySource, token: &str) -> Verified {
    let settings = Settings {
        rules: Rules::default(),
        keys: StaticKeys::load(&[source], &[], false).unwrap(),
        algorithms: Vec::new(),
        key_sets: Vec::new(),
        introspection: None,
        clock: Clock::system(),
        budget: Budget::new(1 << 20, 1 << 20),
    };
    Verifier::new(settings).unwrap().try_verify_now(token).unwrap().unwrap()
}

/// The token that a command printed, and nothing else.
fn only_a_token(ran: &Ran) -> &str {
    assert_eq!((ran.code, ran.errors.as_str()), (0, ""), "{}", ran.out);
    let token = ran.out.strip_suffix('\n').unwrap();
    assert!(!token.contains(|c: char| c.is_whitespace()) && token.split('.').count() == 3, "{token:?}");
    token
}

#[test]
fn a_token_is_all_that_is_printed_and_the_hub_would_accept_it() {
    let (_dir, secret) = secret_file();
    let ran = token(&[
        "--secret-file",
        &secret,
        "--sub",
        "ada",
        "--subscribe",
        "sessions/*",
        "--subscribe",
        "services/metrics",
        "--publish",
        "sessions/ada-*",
        "--ttl",
        "1h",
    ]);
    let verified = verify(KeySource::SecretFile(secret.into()), only_a_token(&ran));
    assert_eq!(verified.subject.as_deref(), Some("ada"));
    assert!(verified.grants.allows(Action::Subscribe, "services/metrics"));
    assert!(verified.grants.allows(Action::Publish, "sessions/ada-1"));
    assert!(!verified.grants.allows(Action::Publish, "sessions/demo"));
    assert!(!verified.grants.is_admin());
    let lasts = verified.expires.duration_since(verified.issued_at.unwrap()).unwrap();
    assert_eq!(lasts, Duration::from_secs(3600));
    assert!(verified.id.is_some());
}

#[test]
fn every_token_has_an_id_of_its_own() {
    let (_dir, secret) = secret_file();
    let id = || {
        verify(KeySource::SecretFile((&secret).into()), only_a_token(&token(&["--secret-file", &secret]))).id
    };
    assert_ne!(id(), id());
    let named = token(&["--secret-file", &secret, "--jti", "mine"]);
    assert_eq!(
        verify(KeySource::SecretFile((&secret).into()), only_a_token(&named)).id.as_deref(),
        Some("mine")
    );
}

#[test]
fn a_private_key_signs_with_every_algorithm_that_fits_it() {
    for (private, public, algorithms) in [
        ("rsa.pem", "rsa.pub.pem", &["RS256", "PS512"][..]),
        ("rsa.pkcs1.pem", "rsa.pkcs1.pub.pem", &["RS384"]),
        ("P256.pem", "P256.pub.pem", &["ES256"]),
        ("P384.pem", "P384.pub.pem", &["ES384"]),
        ("ed25519.pem", "ed25519.pub.pem", &["EdDSA"]),
    ] {
        for algorithm in algorithms {
            let ran =
                token(&["--key-file", &key(private), "--algorithm", algorithm, "--kid", "k-1", "--admin"]);
            let verified = verify(KeySource::PublicKeyFile(key(public).into()), only_a_token(&ran));
            assert!(verified.grants.is_admin(), "{private} {algorithm}");
            let seen = token(&["inspect", only_a_token(&ran), "--public-key", &key(public)]);
            assert_eq!(seen.code, 0, "{}", seen.out);
            assert!(
                seen.out.contains(&format!("alg: \"{algorithm}\"")) && seen.out.contains("kid: \"k-1\""),
                "{}",
                seen.out
            );
        }
    }
}

#[test]
fn what_the_hub_would_refuse_is_not_made() {
    let (dir, secret) = secret_file();
    let short = dir.path().join("short");
    fs::write(&short, "too short\n").unwrap();
    let short = short.to_string_lossy();
    let many: Vec<&str> =
        ["--secret-file", &secret].into_iter().chain(["--publish", "sessions/a"].repeat(65)).collect();
    for (arguments, words) in [
        (&[][..], &["--secret-file"][..]),
        (&["--secret-file", "/nowhere"], &["/nowhere", "cannot be read"]),
        (&["--secret-file", &short], &["9 bytes", "32", "watertight token secret"]),
        (&["--secret-file", &key("rsa.pub.pem")], &["PEM"]),
        (&["--secret-file", &secret, "--key-file", &key("rsa.pem")], &["--key-file"]),
        (&["--secret-file", &secret, "--algorithm", "RS256"], &["HS256", "RS256"]),
        (&["--secret-file", &secret, "--algorithm", "none"], &["none", "EdDSA"]),
        (&["--key-file", &key("rsa.pub.pem")], &["no private key", "openssl genpkey"]),
        (&["--key-file", &key("P256.sec1.pem")], &["openssl pkcs8 -topk8"]),
        (&["--key-file", &key("openssh")], &["OpenSSH"]),
        (&["--key-file", &key("P256.encrypted.pem")], &["encrypted"]),
        (&["--secret-file", &secret, "--publish", "sessions/a**"], &["publish", "**"]),
        (&["--secret-file", &secret, "--subscribe", "/sessions/a"], &["subscribe", "slash"]),
        (&["--secret-file", &secret, "--sub", ""], &["sub"]),
        (&["--secret-file", &secret, "--ttl", "soon"], &["--ttl", "1h"]),
        (&["--secret-file", &secret, "--ttl", "0"], &["--ttl", "second"]),
        (&["--secret-file", &secret, "--ttl", "1e9d"], &["--ttl"]),
        (&many, &["64"]),
    ] {
        let ran = token(arguments);
        assert_eq!(ran.code, 64, "{arguments:?}: {}", ran.errors);
        assert_eq!(ran.out, "", "{arguments:?}");
        for word in words {
            assert!(ran.errors.contains(word), "{arguments:?}: no {word:?} in {}", ran.errors);
        }
    }
}

#[test]
fn a_token_is_inspected_with_times_grants_and_the_signature() {
    let (_dir, secret) = secret_file();
    let made = token(&[
        "--secret-file",
        &secret,
        "--sub",
        "ada",
        "--subscribe",
        "sessions/*",
        "--admin",
        "--issuer",
        "me",
        "--audience",
        "hub",
        "--audience",
        "other",
    ]);
    let text = only_a_token(&made);
    let arguments = ["inspect", "--secret-file", &secret, "--issuer", "me", "--audience", "hub"];
    let seen = with_input(&arguments, &format!("Bearer {text}\n"));
    assert_eq!(seen.code, 0, "{}{}", seen.out, seen.errors);
    for part in [
        "alg: \"HS256\"",
        "sub: \"ada\"",
        "in 59m",
        "subscribe sessions/*",
        "admin",
        "fits the key",
        "the hub would accept it",
    ] {
        assert!(seen.out.contains(part), "no {part:?} in\n{}", seen.out);
    }
    let signature = text.rsplit('.').next().unwrap();
    assert!(!seen.out.contains(signature) && !seen.out.contains(text), "it shows the signature");
    for name in ["iat", "exp"] {
        let line = seen.out.lines().find(|line| line.contains(&format!("  {name}: "))).unwrap();
        let date = line.split_once('(').unwrap().1.split_once(',').unwrap().0;
        assert!(date.len() == 20 && date.starts_with("20") && date.ends_with('Z'), "{line}");
    }
}

#[test]
fn all_reasons_against_a_token_are_said() {
    let (_dir, secret) = secret_file();
    let key = SigningKey::from_secret(&[b'x'; 32], None).unwrap();
    let claims = serde_json::json!({
        "exp": 1_700_000_000, "nbf": 99_999_999_999_u64, "iss": "eve", "sub": "a\u{1b}[31mb", "aud": 7,
        "watertight": { "subscribe": ["sessions/../x"] },
    });
    let made = key.sign(&claims).unwrap();
    let seen =
        with_input(&["inspect", "--secret-file", &secret, "--issuer", "me", "--audience", "hub"], &made);
    assert_eq!(seen.code, 1);
    for part in [
        "it has expired",
        "it is not valid yet",
        "its issuer",
        "its `sub`",
        "its `aud`",
        "pattern 1 of `subscribe`",
        "its signature does not fit",
        " ago)",
        "5138-11-16T09:46:39Z",
        "2023-11-14T22:13:20Z",
    ] {
        assert!(seen.out.contains(part), "no {part:?} in\n{}", seen.out);
    }
    assert!(!seen.out.contains("it has no `aud`"), "said twice:\n{}", seen.out);
    assert!(!seen.out.contains('\u{1b}'), "a token steers the terminal");
}

#[test]
fn what_is_no_token_is_refused_and_why_is_said() {
    let (_dir, secret) = secret_file();
    let long = "x".repeat(9000);
    for (input, part) in [
        ("", "it is empty"),
        ("opaque", "three parts"),
        ("a.b", "three parts"),
        ("e30.e30.", "no algorithm"),
        ("eyJhbGciOiJub25lIn0.e30.", "not signed"),
        ("näh", "characters"),
        ("a b", "characters"),
        (&long, "longer than 8192"),
    ] {
        let seen = with_input(&["inspect", "--secret-file", &secret], input);
        assert_eq!(seen.code, 1, "{input:.20}: {}", seen.out);
        assert!(seen.out.contains(part), "{input:.20}: no {part:?} in\n{}", seen.out);
    }
}

#[test]
fn without_a_key_the_signature_is_not_checked_and_that_is_said() {
    let (_dir, secret) = secret_file();
    let made = token(&["--secret-file", &secret]);
    let seen = token(&["inspect", only_a_token(&made)]);
    assert_eq!(seen.code, 0, "{}", seen.out);
    assert!(seen.out.contains("not checked") && seen.out.contains("if the signature fits"), "{}", seen.out);
    let other = token(&["inspect", only_a_token(&made), "--public-key", &key("rsa.pub.pem")]);
    assert_eq!(other.code, 1);
    assert!(other.out.contains("no key is for HS256"), "{}", other.out);
    let wrong = token(&["inspect", only_a_token(&made), "--public-key", &key("rsa.pem")]);
    assert_eq!(wrong.code, 64);
    assert!(wrong.errors.contains("private key") && wrong.errors.contains("-pubout"), "{}", wrong.errors);
}

#[test]
fn milliseconds_are_noticed() {
    let key = SigningKey::from_secret(SECRET.as_bytes(), Some(Algorithm::HS256)).unwrap();
    let made = key.sign(&serde_json::json!({ "exp": 1_725_365_460_408_u64 })).unwrap();
    let seen = token(&["inspect", &made]);
    assert!(seen.out.contains("milliseconds?"), "{}", seen.out);
}

#[test]
fn a_fresh_secret_signs_with_every_algorithm_and_is_another_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    let fresh = token(&["secret"]);
    assert_eq!((fresh.code, fresh.errors.as_str()), (0, ""));
    assert_ne!(fresh.out, token(&["secret"]).out);
    fs::write(&path, &fresh.out).unwrap();
    let path = path.to_string_lossy();
    for algorithm in ["HS256", "HS384", "HS512"] {
        let made = token(&["--secret-file", &path, "--algorithm", algorithm]);
        verify(KeySource::SecretFile(path.as_ref().into()), only_a_token(&made));
    }
}

#[test]
fn a_full_pipe_is_no_token() {
    let (_dir, secret) = secret_file();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output =
        Command::new(WATERTIGHT).args(["token", "--secret-file", &secret]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot print"));
}
