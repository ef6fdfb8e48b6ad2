//! Rows 13, 14, 15 and 41: text of strangers on its way into a stream, a header, a cursor or a script.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use watertight_testkit::{HubProcess, PATIENCE, RawConnection, SseReader, eventually, seeded};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

const EVENTS: &str = "/sessions/demo/events";

fn percent(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("%{byte:02X}")).collect()
}

/// Every way to publish an event of a type and data.
fn publish_each_way(hub: &HubProcess, event_type: &str, data: &str) -> Vec<watertight_testkit::Response> {
    let event = json!({ "type": event_type, "data": data });
    let path = format!("{EVENTS}?type={}", percent(event_type));
    vec![
        hub.client().post(EVENTS, "application/json", event.to_string()),
        hub.client().post(EVENTS, "application/json", json!([event]).to_string()),
        hub.client().post(EVENTS, "application/x-ndjson", event.to_string()),
        hub.client().post(path, "text/plain", data),
    ]
}

#[test]
fn threat_13_a_type_that_would_end_its_line_is_refused_however_it_comes() {
    let hub = HubProcess::start(WATERTIGHT);
    let mut stream = hub.subscribe("demo");
    for hostile in
        ["a\nb", "a\rb", "a\r\nb", "\n", "a\0", "\0", "tick\n\ndata: forged", "a\x1b[31m", "\x7f", "a\tb"]
    {
        for answer in publish_each_way(&hub, hostile, "data") {
            answer.expect_problem(400, "INVALID_EVENT_TYPE");
        }
    }
    let long = "x".repeat(257);
    for answer in publish_each_way(&hub, &long, "data") {
        answer.expect_problem(400, "INVALID_EVENT_TYPE");
    }
    for reserved in ["gap", "error"] {
        for answer in publish_each_way(&hub, reserved, "data") {
            answer.expect_problem(403, "RESERVED_EVENT_TYPE");
        }
    }
    // Nothing of it was published, not even the events beside a refused one.
    let batch = json!([{ "data": 1 }, { "type": "a\nb", "data": 2 }]);
    hub.client()
        .post(EVENTS, "application/json", batch.to_string())
        .expect_problem(400, "INVALID_EVENT_TYPE");
    hub.publish_text("demo", "first");
    assert_eq!(stream.next_event().data, "first");
    assert_eq!(hub.stats().number("metrics.eventsPublished"), 1);
}

#[test]
fn threat_13_what_only_looks_like_a_line_break_stays_in_its_field() {
    let hub = HubProcess::start(WATERTIGHT);
    let mut stream = hub.subscribe("demo");
    for harmless in
        ["a\u{2028}b", "a\u{2029}b", "a\u{85}b", "a\u{9b}31m", "a: b", ": a", "id: 7", "é🚰", "\u{feff}a"]
    {
        for answer in publish_each_way(&hub, harmless, harmless) {
            let answer = answer.expect(202).json();
            let id = answer["id"].as_str().or(answer["ids"][0].as_str()).unwrap().to_owned();
            let event = stream.next_event();
            let data =
                if event.data.starts_with('"') { json!(harmless).to_string() } else { harmless.into() };
            assert_eq!((event.event_type.as_str(), &event.id, event.data), (harmless, &id, data));
        }
    }
}

#[test]
fn threat_13_data_cannot_write_a_field_or_an_event_of_its_own() {
    let hub = HubProcess::start(WATERTIGHT);
    let mut raw = RawConnection::connect(hub.address());
    raw.send_get(EVENTS, &[]);
    raw.read_until("\n\n\r\n", PATIENCE);
    let mut stream = hub.subscribe("demo");
    let forgeries = [
        "x\n\nid: 666\nevent: gap\ndata: {}\n\n",
        "x\r\rid: 666\rretry: 1\r\r",
        "x\r\n\r\nevent: error\r\ndata: {}\r\n\r\n",
        "x\n\u{feff}id: 666\n",
        "\nretry: 1",
        "x\0\nid: 666",
        "0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ];
    for data in forgeries {
        let id = hub.publish_text("demo", data);
        let event = stream.next_event();
        assert_eq!((event.event_type.as_str(), &event.id), ("message", &id), "{data:?}");
        assert_eq!(event.data, data.replace("\r\n", "\n").replace('\r', "\n"), "{data:?}");
        // On the wire: one id, then nothing but lines of data.
        let block = raw.read_until("\n\n\r\n", PATIENCE).replace("\r\n", "\n");
        let lines: Vec<&str> = block.trim_end_matches('\n').lines().skip(1).collect();
        assert_eq!(lines[0], format!("id: {id}"));
        assert!(lines[1..].iter().all(|line| line.starts_with("data")), "{data:?}: {block:?}");
        assert!(!block.contains('\r'), "{data:?}: {block:?}");
    }
}

#[test]
fn threat_13_a_session_cannot_be_named_with_control_characters() {
    let hub = HubProcess::start(WATERTIGHT);
    for hostile in ["a\nb", "a\r\nX: y", "\0", "a\x7f", "\u{85}", "a\x1b[2J"] {
        let path = format!("/sessions/{}/events", percent(hostile));
        hub.client().post(&*path, "text/plain", "x").expect_problem(400, "INVALID_SESSION_NAME");
        hub.get(&path).expect_problem(400, "INVALID_SESSION_NAME");
    }
    assert_eq!(hub.stats().number("totalSessions"), 0);
}

/// Headers that the hub may send.
const HEADERS: [&str; 21] = [
    "content-type",
    "content-length",
    "transfer-encoding",
    "connection",
    "date",
    "cache-control",
    "vary",
    "allow",
    "retry-after",
    "x-accel-buffering",
    "x-content-type-options",
    "referrer-policy",
    "heartbeat-interval",
    "content-security-policy",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-allow-credentials",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-max-age",
    "keep-alive",
];

#[test]
fn threat_14_nothing_a_client_says_becomes_a_header() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--cors-origins", "https://app.example").start();
    let mut random = seeded("threat 14");
    let injections = [
        "a\r\nX-Injected: yes",
        "a\nX-Injected: yes",
        "a\rX-Injected: yes",
        "a\u{10a}\u{10d}X-Injected: b",
        "a\0",
    ];
    for turn in 0..400 {
        // One of the known tricks, or any bytes at all.
        let bytes: Vec<u8> = match injections.get(turn % (2 * injections.len())) {
            Some(text) => text.as_bytes().to_vec(),
            None => (0..random.usize(1..40)).map(|_| random.u8(..)).collect(),
        };
        let text = percent(&bytes);
        let (method, path) = match turn % 8 {
            0 => ("POST", format!("/sessions/{text}/events")),
            1 => ("POST", format!("{EVENTS}?type={text}")),
            2 => ("HEAD", format!("{EVENTS}?last_event_id={text}")),
            3 => ("GET", format!("{EVENTS}?replay={text}")),
            4 => ("DELETE", format!("/connections/{text}")),
            5 => ("GET", format!("/sessions?cursor={text}")),
            6 => ("OPTIONS", format!("/sessions/{text}/events")),
            _ => ("GET", format!("/{text}")),
        };
        // Bytes that a header can carry: everything but line breaks and NUL.
        let value: Vec<u8> = bytes.iter().copied().filter(|byte| !b"\r\n\0".contains(byte)).collect();
        let request = hub
            .client()
            .request(method, &*path)
            .header("Origin", [b"https://app.example".as_slice(), &value].concat())
            .header("Idempotency-Key", &value)
            .header("Access-Control-Request-Method", &value)
            .header("Access-Control-Request-Headers", &value)
            .header("Content-Type", "text/plain");
        let mut connection = RawConnection::connect(hub.address());
        connection.send(request.bytes());
        let head = connection.read_until("\r\n\r\n", PATIENCE);
        for line in head.trim_end().split("\r\n").skip(1) {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{method} {path}: {head:?}"));
            assert!(HEADERS.contains(&name.to_ascii_lowercase().as_str()), "{method} {path}: {head:?}");
            assert!(!value.chars().any(char::is_control), "{method} {path}: {head:?}");
            let is_echo = name.eq_ignore_ascii_case("access-control-allow-origin");
            assert!(!is_echo || value == "https://app.example", "{method} {path}: {head:?}");
        }
        assert!(!head.contains("\r\n\r\n\r\n") && !head.trim_end().contains('\0'), "{head:?}");
    }
}

/// Ids that are none of this session's, and the reason that its reader is told.
fn hostile_ids(other: &str, epoch: &str) -> Vec<(Vec<u8>, &'static str)> {
    let cases: [(&[u8], &str); 14] = [
        (other.as_bytes(), "epoch"),
        (b"nonsense", "unknown_id"),
        (b"-1", "unknown_id"),
        (b"0", "unknown_id"),
        (b"18446744073709551616", "unknown_id"),
        (b"*", "unknown_id"),
        (b"../../secret", "unknown_id"),
        (b"\xff\xfe\x80", "unknown_id"),
        (b"\xc3\x28", "unknown_id"),
        ("ключ".as_bytes(), "unknown_id"),
        (b"a\tb", "unknown_id"),
        (b"'; DROP TABLE events; --", "unknown_id"),
        (&[b'9'; 129], "unknown_id"),
        (&[b'x'; 8000], "unknown_id"),
    ];
    let own = [
        "-1000",
        "--1",
        "-9007199254740991",
        "-9007199254740992",
        "-18446744073709551615",
        "-1e3",
        "-0x1",
        "-٣",
    ];
    let own = own.iter().map(|sequence| (format!("{epoch}{sequence}").into_bytes(), "unknown_id"));
    cases.iter().map(|(id, reason)| (id.to_vec(), *reason)).chain(own).collect()
}

#[test]
fn threat_15_an_id_that_is_none_of_this_session_is_a_gap_and_never_somebody_elses_events() {
    let hub = HubProcess::start(WATERTIGHT);
    let secret: Vec<String> = (0..5).map(|n| hub.publish_text("secret", &format!("secret {n}"))).collect();
    let ids: Vec<String> = (0..5).map(|n| hub.publish_text("demo", &n.to_string())).collect();
    let (epoch, _) = ids[0].split_once('-').unwrap();
    for (id, reason) in hostile_ids(&secret[1], epoch) {
        let what = String::from_utf8_lossy(&id).into_owned();
        let mut connection = RawConnection::connect(hub.address());
        let request = hub.client().request("GET", EVENTS).header("Last-Event-ID", &id);
        connection.send(request.bytes());
        let mut stream = SseReader::over(connection).unwrap();
        let gap = stream.expect_gap();
        assert_eq!((gap.reason.as_str(), gap.missed), (reason, None), "{what}");
        assert_eq!(stream.next_data(5), ["0", "1", "2", "3", "4"], "{what}");
        // The long-poll has the same cursor.
        let path = format!("{EVENTS}?wait=0&after={}", percent(&id));
        if path.len() < 8000 && str::from_utf8(&id).is_ok() {
            let request = hub.client().request("GET", path).header("Accept", "application/json");
            let answer = request.send().expect(200).json();
            assert_eq!(answer["gap"]["reason"], reason, "{what}");
            assert!(!answer.to_string().contains("secret"), "{what}: {answer}");
        }
    }
}

#[test]
fn threat_15_an_id_that_is_refused_is_refused_before_anybody_looks_for_it() {
    let hub = HubProcess::start(WATERTIGHT);
    hub.publish_text("demo", "x");
    let huge = "9".repeat(64 * 1024);
    let mut connection = RawConnection::connect(hub.address());
    let _ =
        connection.try_send(format!("GET {EVENTS} HTTP/1.1\r\nHost: hub\r\nLast-Event-ID: {huge}\r\n\r\n"));
    let said = connection.expect_closed(PATIENCE);
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 431 "), "{said}");
    let too_long = hub.client().request("GET", format!("{EVENTS}?last_event_id={}", &huge[..9000])).send();
    too_long.expect_problem(414, "URI_TOO_LONG");
    // What is no text is no id, as in the header.
    let mut no_text = hub.subscribe_with("demo", "last_event_id=%FF%FE", &[]);
    assert_eq!(no_text.expect_gap().reason, "unknown_id");
    drop(no_text);
    eventually!(hub.stats().live("subscription") == 0);
}

#[test]
fn threat_15_an_ancient_id_costs_no_more_than_a_young_one() {
    // Resume is O(1): the oldest id of a long log is found no more slowly than the newest, and one that the
    // log has let go of is told so.
    const LOG: usize = 50_000;
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--max-history-per-session", LOG)
        .flag("--max-history-bytes-per-session", "64MiB")
        .start();
    let events: Vec<Value> = (0..1000).map(|n| json!({ "data": n })).collect();
    let first = hub.publish_json("demo", &json!(events));
    for _ in 0..LOG / 1000 {
        hub.publish_json("demo", &json!(events));
    }
    let (epoch, _) = first[0].split_once('-').unwrap();
    let poll = |sequence: usize| {
        let path = format!("{EVENTS}?wait=0&limit=1&after={epoch}-{sequence}");
        hub.client().request("GET", path).header("Accept", "application/json").send().expect(200).json()
    };
    assert_eq!(poll(1)["gap"]["reason"], "evicted");
    let cost = |sequence: usize| {
        let before = hub.cpu_time();
        (0..300).for_each(|_| drop(poll(sequence)));
        hub.cpu_time() - before
    };
    let (old, young) = (cost(1002), cost(LOG + 990));
    println!("300 resumes from the oldest id took {old:?} of CPU, from the newest {young:?}");
    assert!(old < 4 * young.max(std::time::Duration::from_millis(50)), "{old:?} against {young:?}");
}

/// Asserts that everything in `value` that could be an id is a string of the known form.
fn assert_ids_are_strings(value: &Value, keys: &[&str]) -> usize {
    match value {
        Value::Array(values) => values.iter().map(|value| assert_ids_are_strings(value, keys)).sum(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| {
                if keys.contains(&key.as_str()) && !value.is_null() && !value.is_array() {
                    let id = value.as_str().unwrap_or_else(|| panic!("{key} is no string: {value}"));
                    let (epoch, sequence) = id.split_once('-').unwrap_or_else(|| panic!("{key} = {id}"));
                    assert!(epoch.len() == 12 && sequence.parse::<u64>().unwrap() < 1 << 53, "{key} = {id}");
                    return 1;
                }
                assert_ids_are_strings(value, keys)
            })
            .sum(),
        _ => 0,
    }
}

#[test]
fn threat_41_ids_are_strings_in_all_json_and_below_what_javascript_counts() {
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--max-history-per-session", 2)
        .flag("--max-queue-size", 2)
        .start();
    let keys = ["id", "next", "from", "to", "before", "newest"];
    let id = hub.client().post(EVENTS, "text/plain", "x").expect(202).json();
    assert_eq!(assert_ids_are_strings(&id, &keys), 1);
    for _ in 0..3 {
        let batch = json!([{ "data": 1 }, { "data": 2 }]);
        let ids = hub.client().post(EVENTS, "application/json", batch.to_string()).expect(202).json();
        assert!(ids["ids"].as_array().unwrap().iter().all(Value::is_string), "{ids}");
    }
    let after = id["id"].as_str().unwrap();
    let path = format!("{EVENTS}?wait=0&after={after}");
    let polled = hub.client().request("GET", path).header("Accept", "application/json").send().json();
    assert!(polled["gap"].is_object(), "{polled}");
    // Two events, the cursor, and both ends of the gap.
    assert_eq!(assert_ids_are_strings(&polled, &keys), 5, "{polled}");
    assert_eq!(assert_ids_are_strings(&hub.get("/sessions/demo").json(), &keys), 2);
    assert_eq!(assert_ids_are_strings(&hub.get("/sessions").json(), &["before", "newest"]), 2);

    let mut stream = hub.resume("demo", after);
    let gap = stream.next_event();
    let data: Value = serde_json::from_str(&gap.data).unwrap();
    assert_eq!(assert_ids_are_strings(&data, &keys), 2, "{data}");
    let connections = eventually!(hub.get("/connections").json(), |it| it["connections"][0].is_object());
    assert!(connections["connections"][0]["id"].is_string(), "{connections}");
    // What the hub counts in JSON numbers stays exact in JavaScript too.
    assert!(hub.stats().number("metrics.eventsPublished") < 1 << 53);
}
