//! Row 42: the long-poll as a way to use up limits, read another session's events, or be cached.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::time::Duration;

use watertight_testkit::{HubProcess, RawConnection, Response, eventually, timed};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

const SOON: Duration = Duration::from_secs(5);

fn poll(hub: &HubProcess, query: &str) -> Response {
    let path = format!("/sessions/demo/events?{query}");
    hub.client().request("GET", path).header("Accept", "application/json").send()
}

/// A poller that waits.
fn waiting(hub: &HubProcess, wait: &str) -> RawConnection {
    let mut connection = RawConnection::connect(hub.address());
    let path = format!("/sessions/demo/events?wait={wait}");
    connection.send_get(&path, &[("Accept", "application/json")]);
    connection
}

#[test]
fn threat_42_a_cursor_of_somebody_else_is_a_gap_and_shows_nothing_of_theirs() {
    let hub = HubProcess::start(WATERTIGHT);
    let secret = hub.publish_text("secret", "not yours");
    let own = hub.publish_text("demo", "yours");
    let (epoch, _) = own.split_once('-').unwrap();
    let future = format!("{epoch}-77");
    for (cursor, reason) in [
        (&*secret, "epoch"),
        ("zzzzzzzzzzzz-1", "epoch"),
        (&*future, "unknown_id"),
        ("x", "unknown_id"),
        ("%2e%2e", "unknown_id"),
    ] {
        let answer = poll(&hub, &format!("wait=0&after={cursor}")).expect(200).json();
        assert_eq!(answer["gap"]["reason"], reason, "{cursor}: {answer}");
        assert_eq!(answer["next"], own.as_str(), "{cursor}: {answer}");
        assert_eq!(answer["events"].as_array().unwrap().len(), 1, "{cursor}: {answer}");
        assert!(!answer.to_string().contains("not yours"), "{cursor}: {answer}");
    }
}

#[test]
fn threat_42_nobody_waits_longer_than_the_maximum() {
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--long-poll-max-wait", "600ms")
        .flag("--long-poll-default-wait", "500ms")
        .start();
    for wait in ["100000", "1e300", "18446744073709551615", "99999999999999999999999999"] {
        let (answer, took) = timed(|| poll(&hub, &format!("wait={wait}")));
        let _ = answer.expect(200);
        assert!((Duration::from_millis(500)..SOON).contains(&took), "wait={wait}: {took:?}");
    }
    for wait in ["-1", "-0.001", "NaN", "nan", "inf", "-inf", "infinity", "x", "0x10", "1e999", "1s", "1,5"] {
        let (answer, took) = timed(|| poll(&hub, &format!("wait={wait}")));
        answer.expect_problem(400, "INVALID_PARAMETER");
        assert!(took < SOON, "wait={wait}: {took:?}");
    }
    let too_many = poll(&hub, "wait=0&limit=18446744073709551616");
    too_many.expect_problem(400, "INVALID_PARAMETER");
    let _ = poll(&hub, "wait=0&limit=18446744073709551615").expect(200);
}

#[test]
fn threat_42_pollers_that_wait_keep_nobody_out_and_streams_do_not_either() {
    const PERMITS: usize = 8;
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--max-requests-in-flight", PERMITS)
        .flag("--long-poll-max-wait", "10m")
        .start();
    let mut streams: Vec<_> = (0..2 * PERMITS).map(|_| hub.subscribe("demo")).collect();
    let mut pollers: Vec<_> = (0..5 * PERMITS).map(|_| waiting(&hub, "600")).collect();
    let waiters = (7 * PERMITS) as u64;
    let (_, took) = timed(|| eventually!(hub.stats().live("subscription"), |live| *live == waiters));
    assert!(took < SOON, "they waited for permits: {took:?}");
    hub.publish_text("demo", "for all");
    for stream in &mut streams {
        assert_eq!(stream.next_event().data, "for all");
    }
    // Each takes a permit again to answer; those that find none free wait for their turn.
    for poller in &mut pollers {
        let answer = poller.read_response("GET").expect(200).json();
        assert_eq!(answer["events"][0]["data"], "for all");
    }
}

#[test]
fn threat_42_connections_that_only_might_ask_keep_nobody_out() {
    const PERMITS: usize = 8;
    let hub = HubProcess::builder(WATERTIGHT).flag("--max-requests-in-flight", PERMITS).start();
    // Many more than there are permits ask once and stay.
    let mut kept = Vec::new();
    for _ in 0..5 * PERMITS {
        let mut connection = RawConnection::connect(hub.address());
        connection.send_get("/stats", &[]);
        let answer = connection.read_response("GET").expect(200);
        assert_eq!(answer.header("connection"), None);
        kept.push(connection);
    }
    let (_, took) = timed(|| hub.get("/stats").expect(200));
    assert!(took < SOON, "{took:?}");
    for connection in &mut kept {
        connection.send_get("/stats", &[]);
        let _ = connection.read_response("GET").expect(200);
    }
}

#[test]
fn threat_42_a_crowd_of_pollers_leaves_nothing_however_it_leaves() {
    let hub = HubProcess::start(WATERTIGHT);
    let before = hub.process().anon();
    let asking = hub.asking_bytes();
    for round in 0..4 {
        let mut pollers: Vec<_> = (0..200).map(|_| waiting(&hub, "25")).collect();
        eventually!(hub.stats().live("subscription"), |live| *live == 200);
        match round % 4 {
            0 => drop(pollers),
            1 => pollers.into_iter().for_each(RawConnection::reset),
            2 => {
                hub.publish_text("demo", "for all");
                for poller in &mut pollers {
                    let answer = poller.read_response("GET").expect(200);
                    assert_eq!(answer.json()["events"][0]["data"], "for all");
                }
                drop(pollers);
            }
            _ => {
                hub.client().delete("/sessions/demo").expect(204);
                for poller in &mut pollers {
                    let answer = poller.read_response("GET").expect(200).json();
                    assert_eq!(answer["end"]["code"], "SESSION_ENDED", "{answer}");
                }
                drop(pollers);
            }
        }
        let stats = eventually!(hub.stats(), |stats| stats.live("subscription") == 0);
        assert_eq!(stats.number("budget.owners.subscribers"), 0);
        eventually!(hub.stats().request_bytes(), |bytes| *bytes == asking);
    }
    let grown = hub.process().anon().saturating_sub(before);
    assert!(grown < 32 << 20, "800 polls left {grown} bytes");
}

#[test]
fn threat_42_no_answer_is_ever_stored_or_revalidated() {
    let hub = HubProcess::start(WATERTIGHT);
    hub.publish_text("demo", "one");
    for query in ["wait=0", "wait=0&replay=all", "wait=0&after=x", "wait=x"] {
        let path = format!("/sessions/demo/events?{query}");
        let conditional = hub.client().request("GET", path).header("Accept", "application/json");
        let answer = conditional
            .header("If-None-Match", "*")
            .header("If-Modified-Since", "Sat, 21 Nov 2099 00:00:00 GMT")
            .send();
        assert_ne!(answer.status, 304, "{query}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{query}: {answer:?}");
        assert_eq!(
            (answer.header("etag"), answer.header("last-modified")),
            (None, None),
            "{query}: {answer:?}"
        );
    }
}
