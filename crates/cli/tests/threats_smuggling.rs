//! Row 4: requests that two parsers may read differently. Each is a literal, with a second request hidden where
//! one of the readings would find it; it must not be found.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use watertight_testkit::{HubProcess, PATIENCE, RawConnection, Response, Transport, both_transports};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

both_transports!(
    threat_04_an_ambiguous_request_is_refused_and_the_connection_closed,
    threat_04_a_length_beside_chunks_hides_nothing_and_ends_the_connection,
    threat_04_chunks_that_do_not_add_up_publish_nothing,
    threat_04_honest_requests_behind_each_other_are_answered_in_order,
);

/// What is hidden: a publish into a session that nobody else touches.
const HIDDEN: &str = "POST /sessions/hidden/events HTTP/1.1\r\nHost: hub\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nhey";

/// The head of an honest publish up to its framing.
const PUBLISH: &str = "POST /sessions/open/events HTTP/1.1\r\nHost: hub\r\nContent-Type: text/plain\r\n";

/// Sends bytes and returns everything that comes back up to the end of the connection, which must come by
/// itself.
fn exchange(hub: &HubProcess, request: &[u8]) -> String {
    let mut connection = RawConnection::connect(hub);
    let _ = connection.try_send(request);
    connection.expect_closed(PATIENCE)
}

fn assert_nothing_hidden_was_done(hub: &HubProcess, what: &str) {
    assert_eq!(hub.get("/sessions/hidden").status, 404, "{what}: the hidden request was carried out");
}

/// Forms that are refused whole: one answer with this status (or a plain close), then the end.
fn threat_04_an_ambiguous_request_is_refused_and_the_connection_closed(over: Transport) {
    let hub = HubProcess::builder(WATERTIGHT).over(over).start();
    let cases: Vec<(&str, String)> = vec![
        ("two lengths", format!("{PUBLISH}Content-Length: 3\r\nContent-Length: 4\r\n\r\nhey{HIDDEN}")),
        ("a list of lengths", format!("{PUBLISH}Content-Length: 3, 4\r\n\r\nhey{HIDDEN}")),
        ("a list of equal lengths", format!("{PUBLISH}Content-Length: 3, 3\r\n\r\nhey{HIDDEN}")),
        ("a length with a sign", format!("{PUBLISH}Content-Length: +3\r\n\r\nhey{HIDDEN}")),
        ("a negative length", format!("{PUBLISH}Content-Length: -3\r\n\r\nhey{HIDDEN}")),
        ("a hexadecimal length", format!("{PUBLISH}Content-Length: 0x3\r\n\r\nhey{HIDDEN}")),
        ("no length at all", format!("{PUBLISH}Content-Length: \r\n\r\n{HIDDEN}")),
        (
            "a length beyond 64 bits",
            format!("{PUBLISH}Content-Length: 99999999999999999999\r\n\r\nhey{HIDDEN}"),
        ),
        ("a length in words", format!("{PUBLISH}Content-Length: three\r\n\r\nhey{HIDDEN}")),
        (
            "chunked, but not last",
            format!("{PUBLISH}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{HIDDEN}"),
        ),
        ("an unknown encoding", format!("{PUBLISH}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{HIDDEN}")),
        ("identity", format!("{PUBLISH}Transfer-Encoding: identity\r\n\r\n{HIDDEN}")),
        (
            "HTTP/1.0 with an encoding",
            format!(
                "POST /sessions/open/events HTTP/1.0\r\nContent-Type: text/plain\r\nTransfer-Encoding: \
                 chunked\r\n\r\n0\r\n\r\n{HIDDEN}"
            ),
        ),
        ("a folded encoding", format!("{PUBLISH}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n{HIDDEN}")),
        ("a folded header", format!("{PUBLISH}X-Fold: a\r\n b\r\nContent-Length: 3\r\n\r\nhey{HIDDEN}")),
        ("a space before the colon", format!("{PUBLISH}Content-Length : 3\r\n\r\nhey{HIDDEN}")),
        ("a tab before the colon", format!("{PUBLISH}Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n{HIDDEN}")),
        (
            "a space before the first header",
            format!(
                "POST /sessions/open/events HTTP/1.1\r\n Host: hub\r\nContent-Length: 3\r\n\r\nhey{HIDDEN}"
            ),
        ),
        (
            "a bare CR in a value",
            format!("{PUBLISH}X: a\rContent-Length: 3\r\nContent-Length: 0\r\n\r\n{HIDDEN}"),
        ),
        (
            "a bare CR after a header",
            format!("{PUBLISH}X: a\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
        ),
        ("a NUL in a value", format!("{PUBLISH}X: a\0b\r\nContent-Length: 3\r\n\r\nhey{HIDDEN}")),
        ("a NUL in the target", format!("GET /\0stats HTTP/1.1\r\nHost: hub\r\n\r\n{HIDDEN}")),
        ("a header without a colon", format!("{PUBLISH}Content-Length\r\n\r\n{HIDDEN}")),
        ("an empty header name", format!("{PUBLISH}: 3\r\n\r\n{HIDDEN}")),
        ("a version of the future", format!("GET /stats HTTP/1.2\r\nHost: hub\r\n\r\n{HIDDEN}")),
        ("no version", format!("GET /stats\r\n\r\n{HIDDEN}")),
        ("two targets", format!("GET /stats /stats HTTP/1.1\r\nHost: hub\r\n\r\n{HIDDEN}")),
        (
            "a body behind a GET",
            format!(
                "GET /sessions/open/events HTTP/1.1\r\nHost: hub\r\nContent-Length: {}\r\n\r\n{HIDDEN}",
                HIDDEN.len()
            ),
        ),
        (
            "a body behind a stream's GET, in chunks",
            format!(
                "GET /sessions/open/events HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"
            ),
        ),
        (
            "a body behind a DELETE",
            format!("DELETE /sessions/open HTTP/1.1\r\nHost: hub\r\nContent-Length: 3\r\n\r\nhey{HIDDEN}"),
        ),
        (
            "a body behind a HEAD",
            format!("HEAD /stats HTTP/1.1\r\nHost: hub\r\nContent-Length: 3\r\n\r\nhey{HIDDEN}"),
        ),
    ];
    for (what, request) in cases {
        let answer = exchange(&hub, request.as_bytes());
        let method = request.split(' ').next().unwrap();
        let statuses = Response::statuses(method, answer.as_bytes());
        assert!(statuses.len() <= 1, "{what}: a second answer: {answer}");
        assert!(statuses.iter().all(|status| (400..=505).contains(status)), "{what}: {answer}");
        assert_nothing_hidden_was_done(&hub, what);
    }
    hub.get("/sessions/open").expect_problem(404, "SESSION_NOT_FOUND");
}

/// Both a length and chunks: RFC 9112, section 6.3, lets a server take the chunks, if it then closes.
fn threat_04_a_length_beside_chunks_hides_nothing_and_ends_the_connection(over: Transport) {
    let hub = HubProcess::builder(WATERTIGHT).over(over).start();
    let chunks = "3\r\nhey\r\n0\r\n\r\n";
    for (what, framing) in [
        ("the length first", format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", chunks.len())),
        ("the length last", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n".to_owned()),
        ("a length far too long", "Content-Length: 9999\r\nTransfer-Encoding: chunked\r\n".to_owned()),
        ("a length of nothing", "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n".to_owned()),
        (
            "the encoding twice",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n".to_owned(),
        ),
    ] {
        let answer = exchange(&hub, format!("{PUBLISH}{framing}\r\n{chunks}{HIDDEN}").as_bytes());
        let statuses = Response::statuses("POST", answer.as_bytes());
        assert!(statuses.len() <= 1, "{what}: a second answer: {answer}");
        assert_nothing_hidden_was_done(&hub, what);
    }
}

fn threat_04_chunks_that_do_not_add_up_publish_nothing(over: Transport) {
    // A chunk that never ends is a slow body.
    let hub = HubProcess::builder(WATERTIGHT).over(over).flag("--body-timeout", "500ms").start();
    let head = format!("{PUBLISH}Transfer-Encoding: chunked\r\n\r\n");
    for (what, chunks) in [
        ("a size beyond 64 bits", format!("1{}3\r\nhey\r\n0\r\n\r\n", "0".repeat(16))),
        ("a size of 2^64 - 1", "ffffffffffffffff\r\nhey\r\n0\r\n\r\n".to_owned()),
        ("a negative size", "-3\r\nhey\r\n0\r\n\r\n".to_owned()),
        ("a size with 0x", "0x3\r\nhey\r\n0\r\n\r\n".to_owned()),
        ("no size", "\r\nhey\r\n0\r\n\r\n".to_owned()),
        ("a size that is no number", "g\r\nhey\r\n0\r\n\r\n".to_owned()),
        ("a size with a bare LF", "3\nhey\r\n0\r\n\r\n".to_owned()),
        ("a chunk longer than it says", "3\r\nheyheyhey\r\n0\r\n\r\n".to_owned()),
        ("a chunk without its end", "3\r\nhey0\r\n\r\n".to_owned()),
        ("an extension with a bare LF", "3;a=\nb\r\nhey\r\n0\r\n\r\n".to_owned()),
        ("an endless extension", format!("3;{}\r\nhey\r\n0\r\n\r\n", "a".repeat(100_000))),
        ("endless trailers", format!("3\r\nhey\r\n0\r\n{}\r\n", "X-Trailer: y\r\n".repeat(10_000))),
    ] {
        let answer = exchange(&hub, format!("{head}{chunks}{HIDDEN}").as_bytes());
        let statuses = Response::statuses("POST", answer.as_bytes());
        assert!(statuses.len() <= 1, "{what}: a second answer: {answer}");
        assert!(statuses.iter().all(|status| (400..=499).contains(status)), "{what}: {answer}");
        assert_nothing_hidden_was_done(&hub, what);
        assert_eq!(hub.get("/sessions/open").status, 404, "{what}: something was published");
    }
}

fn threat_04_honest_requests_behind_each_other_are_answered_in_order(over: Transport) {
    // The negative above means something only if a second request is otherwise answered.
    let hub = HubProcess::builder(WATERTIGHT).over(over).start();
    let chunked = format!("{PUBLISH}Transfer-Encoding: chunked\r\n\r\n3\r\nhey\r\n0\r\n\r\n");
    let mut connection = RawConnection::connect(&hub);
    connection.send(format!("{chunked}{HIDDEN}{PUBLISH}Content-Length: 3\r\n\r\nhey"));
    for _ in 0..3 {
        let _ = connection.read_response("POST").expect(202);
    }
    assert_eq!(hub.get("/sessions/hidden").expect(200).json()["events"], 1);
    assert_eq!(hub.get("/sessions/open").expect(200).json()["events"], 2);
}
