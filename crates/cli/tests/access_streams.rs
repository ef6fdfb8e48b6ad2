//! What ends a stream whose right ends: its token's expiry, a revocation, an operator; in every delivery, read or not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(
    clippy::disallowed_methods,
    reason = "tokens have wall times, and the test measures how long streams last"
)]

mod tokens;

use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use tokens::{admin, ask, bearer, of, post, protected, publish};
use watertight_testkit::http2::{Frame, Http2};
use watertight_testkit::{
    ConnectOptions, HubBuilder, HubProcess, PATIENCE, RawConnection, SseReader, eventually,
};

/// What is promised (docs/access.md). The best of several tries keeps it: in any one of them the machine may stand still.
const PROMISED: Duration = Duration::from_secs(1);

/// What every try keeps: far below the next time that rights are asked for, and the write deadline (30 s each).
const AT_MOST: Duration = Duration::from_secs(8);

/// An open stream of some delivery.
enum Open {
    Stream(Box<SseReader>),
    Http2(Box<Http2>),
    Poll(std::thread::JoinHandle<Value>),
}

const DELIVERIES: [&str; 4] = ["HTTP/1.1", "TLS", "HTTP/2", "long-poll"];

fn hub_for(delivery: &str, builder: HubBuilder) -> HubProcess {
    if delivery == "TLS" { builder.tls().start() } else { builder.start() }
}

fn open(hub: &HubProcess, delivery: &str, token: &str) -> Open {
    let path = "/sessions/a/events";
    let authorization = bearer(token);
    match delivery {
        "HTTP/2" => {
            let mut connection = Http2::connect(hub.address(), &[]);
            connection.send(&[Frame::get_with(1, path, &[("authorization", &authorization)])]).unwrap();
            let mut is_open = false;
            connection.read_until(PATIENCE, |frame| {
                is_open |= frame.status() == Some(200);
                if is_open { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
            });
            assert!(is_open);
            Open::Http2(Box::new(connection))
        }
        "long-poll" => {
            let client = hub.client().clone();
            Open::Poll(std::thread::spawn(move || {
                let request = client.request("GET", "/sessions/a/events?wait=60");
                let request =
                    request.header("Accept", "application/json").header("Authorization", authorization);
                request.send().expect(200).json()
            }))
        }
        _ => Open::Stream(Box::new(hub.subscribe_with("a", "", &[("Authorization", &authorization)]))),
    }
}

impl Open {
    /// Reads on until it is told why it ends.
    fn expect_end(self, code: &str) {
        match self {
            Open::Stream(mut stream) => {
                stream.expect_closing_event(code);
            }
            Open::Http2(mut connection) => {
                let mut text = Vec::new();
                connection.read_until(PATIENCE, |frame| {
                    if frame.kind == 0 {
                        text.extend_from_slice(&frame.payload);
                    }
                    if frame.ends_stream() {
                        std::ops::ControlFlow::Break(())
                    } else {
                        std::ops::ControlFlow::Continue(())
                    }
                });
                let text = String::from_utf8(text).unwrap();
                assert!(text.contains(&format!("\"code\":\"{code}\"")), "{text}");
            }
            Open::Poll(waiting) => {
                let answer = waiting.join().unwrap();
                assert_eq!(answer["end"]["code"], code, "{answer}");
            }
        }
    }
}

#[test]
fn threat_21_a_stream_ends_when_its_token_expires_in_every_delivery() {
    let mut best = AT_MOST;
    for delivery in DELIVERIES {
        let hub = hub_for(delivery, protected());
        // Times of tokens are whole seconds.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs() + 4);
        let mut token = of("ada");
        token.0.expires = Some(expires);
        open(&hub, delivery, &token.text()).expect_end("TOKEN_EXPIRED");
        let late = SystemTime::now().duration_since(expires).expect("never too early");
        assert!(late < AT_MOST, "{delivery}: {late:?} late");
        best = best.min(late);
    }
    assert!(best < PROMISED, "{best:?} late at best");
}

#[test]
fn threat_21_a_stalled_reader_is_gone_when_its_token_has_expired() {
    let hub = protected().start();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs() + 6);
    let mut token = of("ada");
    token.0.expires = Some(expires);
    let token = token.text();
    let options = ConnectOptions::small_window();
    let mut stalled = RawConnection::connect_with(hub.address(), &options).unwrap();
    stalled.send_get("/sessions/a/events", &[("Authorization", &bearer(&token))]);
    stalled.read_until("\n\n", PATIENCE);
    let publisher = of("eve").text();
    for _ in 0..40 {
        publish(&hub, "/sessions/a/events", &publisher, &"x".repeat(64 * 1024)).expect(202);
    }
    // The closing event cannot be written either: nobody waits long for a reader that has lost its right.
    eventually!(hub.log().contains("TOKEN_EXPIRED"));
    let late = SystemTime::now().duration_since(expires).expect("never too early");
    assert!(late < AT_MOST, "{late:?} late");
    eventually!(hub.stats().live("subscription") == 0);
}

#[test]
fn threat_21_a_revoked_token_closes_its_streams_within_a_second_and_opens_no_more() {
    let mut best = AT_MOST;
    for delivery in DELIVERIES {
        let hub = hub_for(delivery, protected());
        let (revoked, kept) = (of("ada").id("r").text(), of("ada").id("k").text());
        let stream = open(&hub, delivery, &revoked);
        let mut other = hub.subscribe_with("a", "", &[("Authorization", &bearer(&kept))]);
        eventually!(hub.stats().live("subscription") == 2);
        let begun = Instant::now();
        let answer = post(&hub, "/tokens/revoke", &admin(), &json!({"jti": "r"})).expect(200).json();
        assert_eq!(answer["closed"], 1, "{delivery}");
        stream.expect_end("TOKEN_REVOKED");
        let took = begun.elapsed();
        assert!(took < AT_MOST, "{delivery}: {took:?}");
        best = best.min(took);
        ask(&hub, "GET", "/sessions/a/events", &revoked).expect_problem(401, "INVALID_TOKEN");
        publish(&hub, "/sessions/a/events", &kept, "still here").expect(202);
        assert_eq!(other.next_data(1), ["still here"]);
    }
    assert!(best < PROMISED, "{best:?} at best");
}

#[test]
fn threat_21_all_tokens_of_a_user_up_to_a_time_are_revoked_and_later_ones_are_good() {
    let hub = protected().start();
    let now = SystemTime::now();
    let ago = |seconds| now - Duration::from_secs(seconds);
    let early = of("ada").issued_at(ago(600)).text();
    let later = of("ada").issued_at(ago(60)).text();
    let silent = of("ada").text();
    let mut streams: Vec<SseReader> = [&early, &later, &silent, &of("eve").text()]
        .map(|token| hub.subscribe_with("a", "", &[("Authorization", &bearer(token))]))
        .into();
    let before = ago(300).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let body = json!({"sub": "ada", "before": before});
    assert_eq!(post(&hub, "/tokens/revoke", &admin(), &body).expect(200).json()["closed"], 2);
    streams[0].expect_closing_event("TOKEN_REVOKED");
    streams[2].expect_closing_event("TOKEN_REVOKED");
    ask(&hub, "HEAD", "/sessions/a/events", &early).expect(401);
    ask(&hub, "HEAD", "/sessions/a/events", &later).expect(200);
    // Without a time: all up to now.
    assert_eq!(
        post(&hub, "/tokens/revoke", &admin(), &json!({"sub": "ada"})).expect(200).json()["closed"],
        1
    );
    streams[1].expect_closing_event("TOKEN_REVOKED");
    let anew = of("ada").issued_at(now + Duration::from_secs(2)).text();
    ask(&hub, "HEAD", "/sessions/a/events", &anew).expect(200);
    for wrong in [
        json!({}),
        json!({"jti": "a", "sub": "b"}),
        json!({"jti": "a", "before": 1}),
        json!({"sub": ""}),
        json!({"sub": "a", "before": -1}),
        json!({"sub": "a", "before": 1e300}),
        json!({"jti": 1}),
        json!({"jit": "a"}),
        json!([]),
        json!(["r", null, null, null]),
    ] {
        post(&hub, "/tokens/revoke", &admin(), &wrong).expect_problem(400, "INVALID_REVOCATION");
    }
    post(&hub, "/tokens/revoke", &of("ada").text(), &json!({"jti": "x"}))
        .expect_problem(401, "INVALID_TOKEN");
    post(&hub, "/tokens/revoke", &of("eve").text(), &json!({"jti": "x"})).expect_problem(403, "FORBIDDEN");
}

#[test]
fn revocations_are_bounded_and_forgotten_when_their_tokens_have_expired() {
    let hub = protected().flag("--max-revocations", 2).start();
    let soon = SystemTime::now() + Duration::from_secs(2);
    let soon = soon.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    post(&hub, "/tokens/revoke", &admin(), &json!({"jti": "a", "exp": soon})).expect(200);
    post(&hub, "/tokens/revoke", &admin(), &json!({"jti": "b"})).expect(200);
    post(&hub, "/tokens/revoke", &admin(), &json!({"jti": "b"})).expect(200);
    let full = post(&hub, "/tokens/revoke", &admin(), &json!({"jti": "c"}));
    full.expect_problem(503, "TOO_MANY_REVOCATIONS");
    ask(&hub, "HEAD", "/sessions/a/events", &of("ada").id("c").text()).expect(200);
    // A token is good for the leeway's time beyond its end: so is its revocation.
    let token = |id: &str| {
        let mut token = of("ada").id(id);
        token.0.expires = Some(SystemTime::UNIX_EPOCH + Duration::from_secs_f64(soon));
        token.text()
    };
    let mut statuses = std::collections::BTreeSet::new();
    eventually!({
        statuses.insert((ask(&hub, "HEAD", "/sessions/a/events", &token("a")).status, "revoked"));
        statuses.insert((ask(&hub, "HEAD", "/sessions/a/events", &token("free")).status, "free"));
        post(&hub, "/tokens/revoke", &admin(), &json!({"jti": "c"})).status == 200
    });
    assert_eq!(Vec::from_iter(statuses), [(200, "free"), (401, "free"), (401, "revoked")]);
    ask(&hub, "HEAD", "/sessions/a/events", &of("ada").id("b").text()).expect(401);
}

#[test]
fn an_operator_closes_all_streams_of_a_user_who_may_come_back() {
    let hub = protected().start();
    let (ada, eve) = (of("ada").text(), of("eve").text());
    let open = |token: &str| hub.subscribe_with("a", "", &[("Authorization", &bearer(token))]);
    let mut streams = [open(&ada), open(&of("ada").id("other").text()), open(&eve)];
    let answer = ask(&hub, "DELETE", "/connections?user=ada", &admin()).expect(200).json();
    assert_eq!(answer["closed"], 2);
    for stream in &mut streams[..2] {
        assert!(stream.expect_closing_event("DISCONNECTED").retry.is_some());
    }
    drop(open(&ada));
    let page = ask(&hub, "GET", "/connections", &admin()).expect(200).json();
    assert!(page["connections"].as_array().unwrap().iter().any(|one| one["user"] == "eve"));
    ask(&hub, "DELETE", "/connections", &admin()).expect_problem(400, "INVALID_PARAMETER");
    ask(&hub, "DELETE", "/connections?user=eve", &eve).expect_problem(403, "FORBIDDEN");
}

#[test]
fn every_stream_leaves_one_line_in_the_log_whoever_ends_it_and_how_often() {
    let hub = protected().flag("--log-format", "json").start();
    let token = of("ada").id("r").text();
    let mut stream = hub.subscribe_with("a", "", &[("Authorization", &bearer(&token))]);
    publish(&hub, "/sessions/a/events", &of("eve").text(), "x").expect(202);
    assert_eq!(stream.next_data(1), ["x"]);
    for _ in 0..3 {
        post(&hub, "/tokens/revoke", &admin(), &json!({"jti": "r"})).expect(200);
        ask(&hub, "DELETE", "/connections?user=ada", &admin()).expect(200);
    }
    stream.expect_closing_event("TOKEN_REVOKED");
    drop(stream);
    eventually!(hub.stats().live("subscription") == 0);
    let log = eventually!(hub.log(), |log| log.contains("connection closed"));
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let closed: Vec<&Value> = lines.iter().filter(|line| line["message"] == "connection closed").collect();
    assert_eq!(closed.len(), 1, "{log}");
    let fields = closed[0];
    assert_eq!(
        (&fields["user"], &fields["kind"], &fields["reason"]),
        (&json!("ada"), &json!("session"), &json!("TOKEN_REVOKED"))
    );
    assert_eq!((&fields["sent"], &fields["errors"]), (&json!(1), &json!(0)));
    for name in ["session", "duration_ms", "received", "validations", "delivery"] {
        assert!(!fields[name].is_null(), "{name}: {fields}");
    }
    assert!(!log.contains("eyJ"), "no token");
}
