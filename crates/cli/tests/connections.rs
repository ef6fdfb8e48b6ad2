//! `GET /connections`: what is shown of a stream is true, however the stream is delivered.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::Value;
use watertight_testkit::{ConnectOptions, HubProcess, RawConnection, SseReader, eventually};

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

#[test]
fn a_reader_is_found_by_its_address_and_by_how_far_it_is_behind() {
    let hub = HubProcess::start(WATERTIGHT);
    let small = ConnectOptions::small_window();
    let stalled = SseReader::open_with(hub.address(), EVENTS, &[], &small).unwrap();
    let reader = hub.subscribe("other");
    let found = |asked: &str| {
        let page = hub.get(&format!("/connections?{asked}")).expect(200).json().clone();
        assert_eq!(page["matched"].as_u64(), page["connections"].as_array().map(|rows| rows.len() as u64));
        page["connections"].as_array().unwrap().clone()
    };
    assert_eq!(eventually!(found("address=127.0.0.1"), |rows| rows.len() == 2)[0]["address"], "127.0.0.1");
    assert_eq!(found("address=127.0.0.2").len(), 0);
    assert_eq!(found("min_lag=1").len(), 0);
    for _ in 0..40 {
        hub.publish_text("demo", &"x".repeat(64 * 1024));
    }
    let behind = eventually!(found("min_lag=1"), |rows| rows.len() == 1);
    assert_eq!((&behind[0]["session"], &behind[0]["stalled"]), (&"demo".into(), &true.into()));
    let by_lag = found("sort=lag&contains=127.0");
    assert_eq!((by_lag.len(), &by_lag[0]["session"]), (2, &"demo".into()));
    let summary = hub.get("/sessions/demo").expect(200).json().clone();
    assert!(summary["lag"].as_u64().unwrap() > 0, "of its slowest reader: {summary}");
    drop((stalled, reader));
    eventually!(found("kind=session").is_empty());
}
