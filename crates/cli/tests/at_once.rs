//! A publish that is answered before hyper is answered as hyper and the router would: the same status, fields and body,
//! the same order, the same limits; and whatever comes before or behind it on its connection goes on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tokens have wall times")]

mod tokens;

use std::time::Duration;

use watertight_testkit::{HubProcess, PATIENCE, RawConnection, Response, Signal, SseReader, eventually};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");
const JSON: &str = "Content-Type: application/json\r\n";

fn post(path: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {length}\r\n\r\n{body}")
}

fn event(text: &str) -> String {
    post("/sessions/s/events", JSON, &format!("{{\"data\":\"{text}\"}}"))
}

fn exchange(hub: &HubProcess, request: &str) -> Response {
    let mut connection = RawConnection::connect(hub.endpoint());
    connection.send(request);
    connection.read_response("POST")
}

/// What is the same of two answers to the same request: all but the date, the id, and how long to wait.
fn shape(response: &Response) -> (u16, Vec<String>, String) {
    let varies = |name: &str| matches!(name, "date" | "retry-after" | "content-length");
    let mut fields: Vec<_> = response.headers.iter().filter(|(name, _)| !varies(name)).collect();
    fields.sort();
    assert!(response.header("date").is_some(), "{response:?}");
    let fields = fields.into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let text = response.text();
    let is_taken = text.starts_with("{\"id\":\"") || text.starts_with("{\"ids\":[\"");
    let body = if is_taken { format!("ids: {}", text.split('-').count()) } else { text };
    (response.status, fields, body)
}

/// Publishes of each kind: what is taken, and what is refused for each reason.
fn requests() -> Vec<String> {
    let events = "/sessions/s/events";
    let large = format!("{{\"data\":\"{}\"}}", "x".repeat(3000));
    let larger = format!("{{\"data\":\"{}\"}}", "x".repeat(9000));
    let text = "Content-Type: text/plain\r\n";
    let mut all = vec![
        event("one"),
        post(events, JSON, "{\"data\": {\"a\": [1, 2]}, \"type\": \"t\", \"ttl\": 5}"),
        post(events, JSON, " [ {\"data\":1}, {\"data\":2} ]"),
        post(events, JSON, "[]"),
        post(events, "content-type: Application/JSON; charset=UTF-8\r\n", "{\"data\":1}"),
        post(events, text, "two\nlines"),
        post(events, "Content-Type: application/x-ndjson\r\n", "{\"data\":1}\n{\"data\":2}\n"),
        post(events, JSON, &large),
        post(events, JSON, &larger),
        post(events, text, &large),
        post(events, JSON, "{\"data\":1}{\"data\":2}"),
        post(events, JSON, "{\"data\":1,\"other\":2}"),
        post(events, JSON, "{}"),
        post(events, JSON, "no json"),
        post(events, text, "\u{feff}marked"),
        post(events, JSON, "{\"data\":1,\"type\":\"gap\"}"),
        post(events, JSON, "{\"data\":1,\"type\":\"a\\nb\"}"),
        post(events, JSON, "{\"data\":1,\"ttl\":-1}"),
        post(events, "Content-Type: image/png\r\n", "png"),
        post(events, "Content-Type: text/plain; charset=latin1\r\n", "text"),
        post(events, "", "text"),
        post(events, &format!("{JSON}{JSON}"), "{\"data\":1}"),
        post(events, &format!("{JSON}Content-Encoding: gzip\r\n"), "{\"data\":1}"),
        post(events, &format!("{JSON}Origin: http://evil.example\r\n"), "{\"data\":1}"),
        post(events, &format!("{JSON}Idempotency-Key: a b\r\n"), "{\"data\":1}"),
        post(events, &format!("{JSON}Idempotency-Key: k\r\n"), "{\"data\":1}"),
        post(events, &format!("{JSON}Idempotency-Key: k\r\n"), "{\"data\":2}"),
        post(events, &format!("{JSON}Idempotency-Key: k\r\nIdempotency-Key: k\r\n"), "{\"data\":1}"),
        post(events, &format!("{JSON}Idempotency-Key: {}\r\n", "k".repeat(300)), "{\"data\":1}"),
        post("/sessions/over/events", JSON, "{\"data\":1}"),
        post("/sessions/deployments%2F1%2Flogs/events", JSON, "{\"data\":1}"),
        post("/sessions/a%20b%2Fc/events", JSON, "{\"data\":1}"),
        post("/sessions/%ff/events", JSON, "{\"data\":1}"),
        post("/sessions/%00/events", JSON, "{\"data\":1}"),
        post("/sessions/%2e%2e/events", JSON, "{\"data\":1}"),
        post(&format!("/sessions/{}/events", "n".repeat(300)), JSON, "{\"data\":1}"),
        post(&format!("/sessions/{}/events", "n".repeat(8200)), JSON, "{\"data\":1}"),
        post("/sessions//events", JSON, "{\"data\":1}"),
        post("/sessions/s/events/", JSON, "{\"data\":1}"),
        post("/sessions/s/events?type=t", JSON, "{\"data\":1}"),
        post("/sessions/s/events?type=t", text, "text"),
        post("/sessions/s/end", JSON, "{}"),
        event("one").replace("localhost", "evil.example"),
    ];
    let put = event("one").replacen("POST", "PUT", 1);
    all.push(put);
    all
}

fn hub_with(flags: &[(&str, &str)]) -> HubProcess {
    let mut builder =
        HubProcess::builder(WATERTIGHT).flag("--max-event-bytes", 2048).flag("--max-body-bytes", 8192);
    for (flag, value) in flags {
        builder = builder.flag(flag, value);
    }
    let hub = builder.start();
    hub.client().post("/sessions/over/end", "application/json", "{}").expect(200);
    hub
}

#[test]
fn an_answer_is_the_same_whichever_way_its_request_goes() {
    for flags in [&[][..], &[("--cors-origins", "*")], &[("--cors-origins", "https://app.example")]] {
        let hub = hub_with(flags);
        for request in requests() {
            let at_once = exchange(&hub, &request);
            // A field that nobody reads here takes the general way.
            let general = exchange(&hub, &request.replacen("Host:", "X-Nobody-Reads: 1\r\nHost:", 1));
            let shown: String = request.chars().take(200).collect();
            assert_eq!(shape(&at_once), shape(&general), "{flags:?} {shown}");
        }
    }
}

#[test]
fn a_token_is_asked_for_the_same_whichever_way_its_request_goes() {
    let hub = tokens::protected().start();
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let good = tokens::of("ada").publish(&["sessions/s"]).text();
    let elsewhere = tokens::of("ada").publish(&["sessions/t"]).text();
    let forged = format!("{}x", &good[..good.len() - 1]);
    let all = [
        String::new(),
        bearer(&good),
        bearer(&elsewhere),
        bearer(&forged),
        bearer(""),
        format!("Authorization: Basic {good}\r\n"),
        format!("{}{}", bearer(&good), bearer(&good)),
        format!("Authorization: bearer   {good}  \r\n"),
        format!("Cookie: a=b\r\n{}", bearer(&good)),
    ];
    for fields in all {
        let request = post("/sessions/s/events", &format!("{JSON}{fields}"), "{\"data\":1}");
        let at_once = exchange(&hub, &request);
        let general = exchange(&hub, &request.replacen("Host:", "X-Nobody-Reads: 1\r\nHost:", 1));
        assert_eq!(shape(&at_once), shape(&general), "{fields}");
    }
}

#[test]
fn a_key_is_one_key_whichever_way_its_request_goes() {
    let hub = HubProcess::start(WATERTIGHT);
    let request = post("/sessions/s/events", &format!("{JSON}Idempotency-Key: k\r\n"), "{\"data\":1}");
    let general = request.replacen("Host:", "X-Nobody-Reads: 1\r\nHost:", 1);
    let first = exchange(&hub, &request).expect(202).text();
    for again in [&general, &request, &general] {
        assert_eq!(exchange(&hub, again).expect(202).text(), first);
    }
    let other = request.replace("Key: k", "Key: l");
    let first = exchange(&hub, &other.replacen("Host:", "X-Nobody-Reads: 1\r\nHost:", 1)).expect(202).text();
    assert_eq!(exchange(&hub, &other).expect(202).text(), first);
    assert_eq!(hub.get("/sessions/s").json()["events"], 2);
}

#[test]
fn requests_on_one_connection_are_answered_in_order_however_their_bytes_arrive() {
    let hub = HubProcess::start(WATERTIGHT);
    let mut reader = hub.subscribe("s");
    let kinds = [
        event("at once"),
        event("general").replacen("Host:", "X-Nobody-Reads: 1\r\nHost:", 1),
        post("/sessions/s/events", "Content-Type: text/plain\r\n", "text"),
        event(&"x".repeat(20_000)),
    ];
    let all: String = kinds.concat().repeat(3);
    let mut expected = Vec::new();
    // Cut everywhere in the first two, and coarsely in the rest.
    let cuts = (1..kinds[0].len() + kinds[1].len()).step_by(7).chain((1..all.len()).step_by(4001));
    for cut in cuts {
        let mut connection = RawConnection::connect(hub.address());
        connection.send(&all[..cut]);
        // Until the hub has read that, or at least has had the time to.
        eventually!(hub.stats().live("request") <= 2);
        connection.send(&all[cut..]);
        for _ in 0..3 {
            for data in ["\"at once\"", "\"general\"", "text", &format!("\"{}\"", "x".repeat(20_000))] {
                let _ = connection.read_response("POST").expect(202);
                expected.push(data.to_owned());
            }
        }
        let seen = reader.next_data(expected.len());
        assert!(seen == expected, "cut at {cut}");
        expected.clear();
    }
}

#[test]
fn a_stream_a_question_and_a_publish_share_a_connection() {
    let hub = HubProcess::start(WATERTIGHT);
    let mut connection = RawConnection::connect(hub.address());
    for round in 0..3 {
        connection.send(event(&round.to_string()));
        let _ = connection.read_response("POST").expect(202);
        connection.send("GET /sessions/s HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let _ = connection.read_response("GET").expect(200);
    }
    connection.send(event("last"));
    let _ = connection.read_response("POST").expect(202);
    connection.send("GET /sessions/s/events?replay=all HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut reader = SseReader::over(connection).unwrap();
    assert_eq!(reader.next_data(4), ["\"0\"", "\"1\"", "\"2\"", "\"last\""]);
    // That which asks.
    eventually!(hub.stats().live("request") == 1);
}

#[test]
fn a_body_that_stays_away_or_ends_early_is_no_publish_and_holds_nothing() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--body-timeout", "500ms").start();
    let request = event("half");
    let half = &request[..request.len() - 4];
    let mut slow = RawConnection::connect(hub.address());
    slow.send(half);
    slow.read_response("POST").expect_problem(408, "BODY_TIMEOUT");
    let mut gone = RawConnection::connect(hub.address());
    gone.send(half);
    gone.half_close();
    let _ = gone.read_to_end(PATIENCE);
    RawConnection::connect(hub.address()).reset();
    // One that closes its side behind its whole request has asked, and is answered.
    let mut whole = RawConnection::connect(hub.address());
    whole.send(&request);
    whole.half_close();
    let _ = whole.read_response("POST").expect(202);
    assert_eq!(hub.get("/sessions/s").json()["events"], 1);
    eventually!(hub.stats().live("request") == 1);
}

#[test]
fn a_connection_that_publishes_rests_when_it_is_silent_and_goes_on() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--keep-alive-timeout", "5s").start();
    let mut connection = RawConnection::connect(hub.address());
    for _ in 0..3 {
        connection.send(event("x"));
        let _ = connection.read_response("POST").expect(202);
        // Longer than buffers are kept, shorter than the connection is.
        std::thread::sleep(Duration::from_millis(400));
    }
    assert_eq!(connection.expect_closed(PATIENCE), "", "nothing was asked for so long");
}

#[test]
fn a_hub_that_stops_ends_idle_publishers_at_once_and_answers_what_was_asked() {
    let mut hub = HubProcess::start(WATERTIGHT);
    let mut idle = RawConnection::connect(hub.address());
    idle.send(event("x"));
    let _ = idle.read_response("POST").expect(202);
    let mut busy = RawConnection::connect(hub.address());
    let request = event("x");
    busy.send(&request[..request.len() - 1]);
    eventually!(hub.stats().live("connection") >= 2);
    hub.signal(Signal::TERM);
    assert_eq!(idle.expect_closed(PATIENCE), "");
    let _ = busy.try_send(&request[request.len() - 1..]);
    let answer = busy.read_to_end(PATIENCE);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 202") || answer.starts_with(b"HTTP/1.1 503"));
    assert!(hub.wait(PATIENCE).success());
}

#[test]
fn requests_that_are_answered_at_once_are_counted_like_all_others() {
    let hub = HubProcess::start(WATERTIGHT);
    let counted = |code: &str| {
        let text = hub.get("/metrics").expect(200).text();
        let line = text.lines().find(|line| line.contains("_responses_total{") && line.contains(code));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    let before = (counted("\"202\""), counted("\"400\""));
    let opened = || hub.stats().number("ledger.request.opened");
    let opened_before = opened();
    let mut connection = RawConnection::connect(hub.address());
    for _ in 0..5 {
        connection.send(event("x"));
        let _ = connection.read_response("POST").expect(202);
        connection.send(post("/sessions/s/events", JSON, "no json"));
        connection.read_response("POST").expect_problem(400, "MALFORMED_JSON");
        // Looked at, and left to the general way: one request all the same.
        connection.send(event("x").replacen("Host:", "X-Nobody-Reads: 1\r\nHost:", 1));
        let _ = connection.read_response("POST").expect(202);
    }
    // And that which asks.
    assert_eq!(opened(), opened_before + 16);
    let after = (counted("\"202\""), counted("\"400\""));
    assert_eq!(after, (before.0 + 10, before.1 + 5));
    // That which asks.
    eventually!(hub.stats().live("request") == 1);
}
