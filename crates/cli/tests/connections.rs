//! `GET /connections`: what is shown of a stream is true, however the stream is delivered.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::Value;
use watertight_testkit::{HubProcess, RawConnection, eventually};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

const EVENTS: &str = "/sessions/demo/events";

/// The only connection that reads the session.
fn shown(hub: &HubProcess) -> Option<Value> {
    let list = hub.get("/connections").expect(200).json();
    list["connections"].as_array().unwrap().iter().find(|one| one["session"] == "demo").cloned()
}

/// Asks for a stream, sends five bytes more, and looks at what is shown.
fn shows_five(hub: &HubProcess, request: &str) {
    let mut connection = RawConnection::connect_with(hub.address(), hub.client().options()).unwrap();
    connection.send(request);
    let before = eventually!(shown(hub), |shown| shown.is_some()).unwrap();
    assert_eq!(before["received"], 0, "{request:?}: the request itself does not count: {before}");
    connection.send("hello");
    eventually!(shown(hub), |shown| shown.as_ref().is_some_and(|shown| shown["received"] == 5));
    drop(connection);
    eventually!(shown(hub).is_none());
}

#[test]
fn bytes_behind_a_request_are_shown_of_http_1_1() {
    let hub = HubProcess::start(WATERTIGHT);
    shows_five(&hub, &format!("GET {EVENTS} HTTP/1.1\r\nHost: hub\r\n\r\n"));
}

#[test]
fn bytes_behind_a_request_are_shown_of_http_1_0() {
    let hub = HubProcess::start(WATERTIGHT);
    shows_five(&hub, &format!("GET {EVENTS} HTTP/1.0\r\nHost: hub\r\n\r\n"));
}

#[test]
fn bytes_behind_a_request_are_shown_of_tls() {
    let hub = HubProcess::builder(WATERTIGHT).tls().start();
    shows_five(&hub, &format!("GET {EVENTS} HTTP/1.1\r\nHost: hub\r\n\r\n"));
}
