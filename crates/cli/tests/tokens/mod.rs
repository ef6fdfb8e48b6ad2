//! Tokens for tests, and hubs that ask for them.
#![allow(dead_code, reason = "each test file uses its part")]

use std::time::{Duration, SystemTime};

use watertight_access::mint::{Content, SigningKey};
use watertight_testkit::{HubBuilder, HubProcess, Response};

pub(crate) const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

/// What tokens of tests are signed with.
pub(crate) const SECRET: &str = "a secret of the tests, which nobody else has";

/// A hub that asks for tokens. Its figures are public, so that the test kit can balance its ledger.
pub(crate) fn protected() -> HubBuilder {
    HubProcess::builder(WATERTIGHT).env("WATERTIGHT_TOKEN_SECRET", SECRET).flag("--stats-public", true)
}

/// A token of this user for everything but the operator's calls, for an hour.
pub(crate) fn of(user: &str) -> Token {
    Token(Content {
        subject: Some(user.to_owned()),
        subscribe: vec!["**".to_owned()],
        publish: vec!["**".to_owned()],
        expires: Some(SystemTime::now() + Duration::from_secs(3600)),
        ..Content::default()
    })
}

/// A token for the operator's calls.
pub(crate) fn admin() -> String {
    let Token(content) = of("operator");
    Token(Content { admin: true, ..content }).text()
}

/// A token that is to be made.
#[derive(Clone)]
pub(crate) struct Token(pub(crate) Content);

impl Token {
    pub(crate) fn lasting(mut self, time: Duration) -> Token {
        self.0.expires = Some(SystemTime::now() + time);
        self
    }

    pub(crate) fn subscribe(mut self, patterns: &[&str]) -> Token {
        self.0.subscribe = patterns.iter().map(ToString::to_string).collect();
        self
    }

    pub(crate) fn publish(mut self, patterns: &[&str]) -> Token {
        self.0.publish = patterns.iter().map(ToString::to_string).collect();
        self
    }

    pub(crate) fn id(mut self, id: &str) -> Token {
        self.0.id = Some(id.to_owned());
        self
    }

    pub(crate) fn issued_at(mut self, time: SystemTime) -> Token {
        self.0.issued_at = Some(time);
        self
    }

    pub(crate) fn text(&self) -> String {
        SigningKey::from_secret(SECRET.as_bytes(), None).unwrap().mint(&self.0).unwrap()
    }
}

/// The header with a token.
pub(crate) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Asks with a token.
pub(crate) fn ask(hub: &HubProcess, method: &str, path: &str, token: &str) -> Response {
    hub.client().request(method, path).header("Authorization", bearer(token)).send()
}

/// Posts JSON with a token.
pub(crate) fn post(hub: &HubProcess, path: &str, token: &str, body: &serde_json::Value) -> Response {
    let request = hub.client().request("POST", path).header("Authorization", bearer(token));
    request.header("Content-Type", "application/json").body(body.to_string()).send()
}

/// Publishes a text with a token.
pub(crate) fn publish(hub: &HubProcess, path: &str, token: &str, text: &str) -> Response {
    let request = hub.client().request("POST", path).header("Authorization", bearer(token));
    request.header("Content-Type", "text/plain").body(text).send()
}
