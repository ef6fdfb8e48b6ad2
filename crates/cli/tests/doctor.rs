//! `watertight doctor` against the hub itself, and what it leaves behind: nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tokens have wall times")]

mod doctor_run;
mod tokens;

use std::io::{Read, Write};
use std::net::TcpListener;

use doctor_run::{WATERTIGHT, doctor, hub};
use tokens::{admin, ask, of, protected};
use watertight_testkit::{HubProcess, PATIENCE, Program, Signal, eventually};

#[test]
fn a_hub_over_tls_without_a_proxy_is_good_in_every_respect() {
    let hub = HubProcess::builder(WATERTIGHT).tls().flag("--heartbeat-interval", "1s");
    let hub = hub.flag("--cors-origins", "https://app.example").start();
    let ca = hub.dir().join("cert.pem");
    let flags = ["--ca", ca.to_str().unwrap(), "--origin", "https://app.example", "--patience", "4"];
    let diagnosis = doctor(&hub.url(""), &flags);
    assert_eq!(diagnosis.json["checks"].as_array().unwrap().len(), 19, "{diagnosis}");
    diagnosis.is_good_but_for(&[]);
    assert_eq!(diagnosis.of("not tested"), Vec::<&str>::new(), "{diagnosis}");
    diagnosis.left_nothing(&hub);
}

#[test]
fn in_clear_only_the_six_connections_of_a_browser_are_slow() {
    let hub = hub();
    let diagnosis = doctor(&hub.url(""), &["--patience", "4"]);
    diagnosis.is("six-connections", "slow", "a browser opens six");
    diagnosis.is("certificate", "not tested", "in clear");
    diagnosis.is("cors", "not tested", "--origin");
    diagnosis.is_good_but_for(&["six-connections", "certificate", "cors"]);
    diagnosis.left_nothing(&hub);
}

#[test]
fn an_origin_that_the_hub_does_not_know_is_told() {
    let hub = hub();
    let diagnosis = doctor(&hub.url(""), &["--origin", "https://app.example"]);
    diagnosis.is("cors", "wrong", "405");
    assert_eq!(diagnosis.code, Some(1));
}

#[test]
fn a_certificate_that_nobody_vouches_for_ends_the_examination() {
    let hub = HubProcess::builder(WATERTIGHT).tls().start();
    let other = tempfile::tempdir().unwrap();
    let ca = watertight_testkit::Certificate::write_into(other.path()).certificate;
    let diagnosis = doctor(&hub.url(""), &["--ca", ca.to_str().unwrap(), "--token", "secret"]);
    diagnosis.is("certificate", "wrong", "not trusted");
    assert_eq!((diagnosis.code, diagnosis.names()), (Some(1), vec!["certificate".to_owned()]));
}

#[test]
fn a_hub_with_tokens_is_examined_with_one_that_may_publish() {
    let hub = protected().flag("--heartbeat-interval", "1s").start();
    let refused = doctor(&hub.url(""), &[]);
    refused.is("connection", "wrong", "asks for a token");
    assert_eq!((refused.code, refused.names().len()), (Some(1), 3), "{refused}");
    let forged = doctor(&hub.url(""), &["--token", "x.y.z"]);
    forged.is("connection", "wrong", "does not accept this token");

    let own = ["sessions/probe-*"];
    let token = of("ada").subscribe(&own).publish(&own).text();
    let elsewhere = doctor(&hub.url(""), &["--token", &token]);
    elsewhere.is("connection", "wrong", "--session PREFIX");
    let diagnosis = doctor(&hub.url(""), &["--token", &token, "--session", "probe-", "--patience", "4"]);
    assert_eq!(diagnosis.code, Some(0), "{diagnosis}");
    diagnosis.is("authorization", "good", "passed on");
    diagnosis.is_good_or_slow("leaving", "noticed");
    diagnosis.is("encoded-slash", "not tested", "does not grant");
    assert!(diagnosis.json["left"].as_str().unwrap().contains("session_ttl"), "{diagnosis}");
    for session in ask(&hub, "GET", "/sessions", &admin()).json()["sessions"].as_array().unwrap() {
        let path = format!("/sessions/{}", session["session"].as_str().unwrap());
        ask(&hub, "DELETE", &path, &admin()).expect(204);
    }
    let all = format!("{diagnosis}{elsewhere}{forged}");
    assert!(!all.contains(&token) && !all.contains("x.y.z"), "the token is told nobody: {all}");
}

#[test]
fn an_interrupt_leaves_no_session_and_no_connection() {
    let hub = hub();
    let mut program = Program::start(WATERTIGHT, ["doctor", &hub.url(""), "--patience", "600"]);
    // All that is left to do by then is to watch.
    eventually!(hub.stats().live("subscription") == 1 && hub.get("/sessions").text().contains("buffering"));
    program.signal(Signal::INT);
    assert_eq!(program.wait(PATIENCE).code(), Some(130), "{}", program.errors());
    assert!(program.errors().contains("interrupted"), "{}", program.errors());
    assert_eq!(hub.get("/sessions").json()["sessions"], serde_json::json!([]));
    eventually!(hub.stats().live("subscription") == 0);
}

/// Whoever connects to this URL is answered with these bytes.
fn answering(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // Ends with the test's process: it waits for the next connection.
    std::thread::spawn(move || {
        for mut peer in listener.incoming().flatten() {
            let mut head = [0; 4096];
            let _ = peer.read(&mut head);
            let _ = peer.write_all(bytes);
        }
    });
    url
}

#[test]
fn what_is_no_hub_is_told_from_one() {
    let gone = watertight_testkit::free_address();
    for (url, text) in [
        (answering(b"220 mail.example ESMTP\r\n"), "no HTTP"),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"), "no hub"),
        (answering(b""), "ends without an answer"),
        (format!("http://{gone}"), "refused"),
    ] {
        let diagnosis = doctor(&url, &[]);
        diagnosis.is("connection", "wrong", text);
        assert_eq!(diagnosis.code, Some(1), "{diagnosis}");
    }
}

#[test]
fn options_that_cannot_work_are_told_before_anything_is_opened() {
    for arguments in [
        &["ftp://127.0.0.1"][..],
        &["http://joe:secret@127.0.0.1"],
        &["http://127.0.0.1/?x=y"],
        &["nonsense"],
        &[],
        &["http://127.0.0.1", "--patience", "0"],
        &["http://127.0.0.1", "--token", "two words"],
        &["http://127.0.0.1", "--ca", "/nowhere"],
    ] {
        let mut program = Program::start(WATERTIGHT, ["doctor"].iter().chain(arguments));
        assert_eq!(program.wait(PATIENCE).code(), Some(64), "{arguments:?}: {}", program.errors());
        assert!(!program.errors().contains("secret"), "{}", program.errors());
    }
}

#[test]
fn the_report_is_read_by_people_too() {
    let hub = hub();
    let mut program = Program::start(WATERTIGHT, ["doctor", &hub.url(""), "--patience", "4"]);
    assert_eq!(program.wait(PATIENCE).code(), Some(0), "{}", program.text());
    let text = program.text();
    assert!(text.contains("no proxy shows itself"), "{text}");
    assert!(text.contains("good        last-event-id"), "{text}");
    assert!(
        text.contains("nginx: listen 443 ssl; http2 on;"),
        "all are told where none shows itself: {text}"
    );
    assert_eq!(program.errors(), "", "progress is for terminals");
}
