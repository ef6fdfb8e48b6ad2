//! What publishers and subscribers are promised, on the wire of the real binary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::json;
use watertight_testkit::{
    HubProcess, PATIENCE, Program, RawConnection, SseItem, SseReader, StreamDecoder, eventually,
};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

#[test]
fn what_the_readme_says_works_with_curl() {
    let hub = HubProcess::start(WATERTIGHT);
    let url = hub.url("/sessions/demo/events");
    let watching = Program::start("curl", ["-sN", &url]);
    eventually!(watching.text().starts_with(": watertight"));

    let mut publishing =
        Program::start("curl", ["-sS", "-d", "hello", "-H", "content-type: text/plain", &url]);
    let answer: serde_json::Value = serde_json::from_slice(&publishing.finish(PATIENCE)).unwrap();
    let id = answer["id"].as_str().unwrap();

    let event = format!("\n\nid: {id}\ndata: hello\n\n");
    eventually!(watching.text(), |text| text.ends_with(&event));
}

#[test]
fn curl_without_a_content_type_is_told_what_would_do() {
    let hub = HubProcess::start(WATERTIGHT);
    let url = hub.url("/sessions/demo/events");
    let answer = Program::start("curl", ["-sS", "-d", "hello", &url]).finish(PATIENCE);
    let problem: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(problem["code"], "UNSUPPORTED_MEDIA_TYPE");
    assert!(problem["detail"].as_str().unwrap().contains("text/plain"), "{problem}");
}

#[test]
fn a_stream_opens_at_once_with_a_comment_a_jittered_retry_and_its_position() {
    let hub = HubProcess::start(WATERTIGHT);
    let mut retries = std::collections::HashSet::new();
    for _ in 0..8 {
        let mut connection = RawConnection::connect(hub.address());
        connection.send("GET /sessions/demo/events HTTP/1.1\r\nHost: hub\r\n\r\n");
        let head = connection.read_until("\r\n\r\n", PATIENCE);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        for line in [
            "content-type: text/event-stream",
            "cache-control: no-store, no-transform",
            "x-accel-buffering: no",
            "x-content-type-options: nosniff",
            "heartbeat-interval: 15",
            "transfer-encoding: chunked",
        ] {
            assert!(head.contains(&format!("\r\n{line}\r\n")), "no {line} in {head}");
        }
        let chunk = connection.read_until("\n\n\r\n", PATIENCE);
        let (size, opening) = chunk.split_once("\r\n").unwrap();
        assert_eq!(usize::from_str_radix(size, 16).unwrap(), opening.len() - 2);
        let lines: Vec<&str> = opening.lines().collect();
        let [": watertight", retry, id, "", ""] = lines[..] else { panic!("{opening:?}") };
        let retry: u64 = retry.strip_prefix("retry: ").unwrap().parse().unwrap();
        assert!((1000..=3000).contains(&retry), "2 s, give or take half: {retry}");
        assert!(id.starts_with("id: ") && id.ends_with("-0"), "{id}");
        retries.insert(retry);
    }
    assert!(retries.len() > 1, "a crowd is not sent back at one instant: {retries:?}");
}

#[test]
fn an_event_is_exactly_these_bytes() {
    let hub = HubProcess::start(WATERTIGHT);
    let mut connection = RawConnection::connect(hub.address());
    connection.send_get("/sessions/demo/events", &[]);
    connection.read_until("\n\n\r\n", PATIENCE);
    for (event, lines) in [
        (json!({"data": "text"}), "data: \"text\"\n"),
        (json!({"type": "message", "data": 1}), "data: 1\n"),
        (json!({"type": "", "data": null}), "data: null\n"),
        (json!({"type": "tick", "data": {"a": [1, 2]}}), "event: tick\ndata: {\"a\":[1,2]}\n"),
        (
            json!({"type": "ü 🚰 \u{2028}", "data": "ß\u{2028}"}),
            "event: ü 🚰 \u{2028}\ndata: \"ß\u{2028}\"\n",
        ),
    ] {
        let id = hub.publish_json("demo", &event).remove(0);
        let block = format!("id: {id}\n{lines}\n");
        let chunk = format!("{:x}\r\n{block}\r\n", block.len());
        assert_eq!(connection.read_until("\n\n\r\n", PATIENCE), chunk);
    }
}

#[test]
fn every_kind_of_line_break_in_data_ends_one_line_and_nothing_else() {
    let hub = HubProcess::start(WATERTIGHT);
    let mut stream = hub.subscribe("demo");
    for (sent, arrives) in [
        ("one\ntwo\rthree\r\nfour", "one\ntwo\nthree\nfour"),
        ("\n", "\n"),
        ("a\n\nb", "a\n\nb"),
        ("ends\r\n", "ends\n"),
        ("\r\r", "\n\n"),
        ("event: forged\nid: 7\n\ndata: x", "event: forged\nid: 7\n\ndata: x"),
        (" leading space", " leading space"),
        ("\u{feff}bom", "\u{feff}bom"),
        ("", ""),
    ] {
        let id = hub.publish_text("demo", sent);
        let event = stream.next_event();
        assert_eq!((event.data.as_str(), event.event_type.as_str()), (arrives, "message"), "{sent:?}");
        assert_eq!(event.id, id);
    }
}

#[test]
fn one_event_an_array_ndjson_and_text_are_all_published_in_order() {
    let hub = HubProcess::start(WATERTIGHT);
    let mut stream = hub.subscribe("demo");
    let post = |content_type: &str, query: &str, body: &str| {
        let path = format!("/sessions/demo/events{query}");
        hub.client().post(path, content_type, body).expect(202).json()
    };
    let mut ids = Vec::new();
    let one = post("application/json", "", r#" {"type":"a","data":{"x": 1}} "#);
    ids.push(one["id"].clone());
    for many in [
        post("application/json; charset=utf-8", "", r#"[{"data":1},{"type":"b","data":"two","ttl":60}]"#),
        post("application/x-ndjson", "", "{\"data\":3}\n\n  {\"type\":\"c\",\"data\":[4]}  \r\n"),
    ] {
        ids.extend(many["ids"].as_array().unwrap().iter().cloned());
    }
    ids.push(post("text/plain", "?type=d&ttl=1.5", "five")["id"].clone());
    let array_of_one = post("application/json", "", r#"[{"data":6}]"#);
    assert_eq!(array_of_one["ids"].as_array().unwrap().len(), 1);

    let expected = [
        ("a", "{\"x\": 1}"),
        ("message", "1"),
        ("b", "\"two\""),
        ("message", "3"),
        ("c", "[4]"),
        ("d", "five"),
        ("message", "6"),
    ];
    for (index, (event_type, data)) in expected.iter().enumerate() {
        let event = stream.next_event();
        assert_eq!((event.event_type.as_str(), event.data.as_str()), (*event_type, *data));
        if let Some(id) = ids.get(index) {
            assert_eq!(*id, event.id);
        }
    }
}

#[test]
fn an_empty_batch_is_taken_and_publishes_nothing() {
    let hub = HubProcess::start(WATERTIGHT);
    let mut stream = hub.subscribe("demo");
    for (content_type, body) in [("application/json", "[]"), ("application/x-ndjson", "\n\n")] {
        let answer = hub.client().post("/sessions/demo/events", content_type, body).expect(202).json();
        assert_eq!(answer, json!({"ids": []}));
    }
    hub.publish_text("demo", "first");
    assert_eq!(stream.next_event().data, "first");
}

#[test]
fn a_session_never_receives_events_of_another() {
    let hub = HubProcess::start(WATERTIGHT);
    // Names that would meet if a separator were dropped, decoded twice or joined with something.
    let names = ["a", "b", "a%2Fb", "a%252Fb", "A", "a%20", "%E2%98%83", "sessions", "..%2Fa", "a.b", "a:b"];
    let mut streams: Vec<_> = names.iter().map(|name| hub.subscribe(name)).collect();
    for round in 0..3 {
        for name in names {
            hub.publish_text(name, &format!("{name} {round}"));
        }
    }
    for (name, stream) in names.iter().zip(&mut streams) {
        let expected: Vec<String> = (0..3).map(|round| format!("{name} {round}")).collect();
        assert_eq!(stream.next_data(3), expected);
    }
    assert_eq!(hub.stats().number("totalSessions"), names.len() as u64);
}

#[test]
fn every_subscriber_sees_every_event_once_in_one_order_whoever_publishes() {
    const PUBLISHERS: usize = 4;
    const EACH: usize = 250;
    let hub = HubProcess::start(WATERTIGHT);
    let mut streams: Vec<SseReader> = (0..10).map(|_| hub.subscribe("demo")).collect();
    let mut seen: Vec<Vec<(String, String)>> = std::thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let hub = &hub;
            scope.spawn(move || {
                (0..EACH).for_each(|n| drop(hub.publish_text("demo", &format!("{publisher}:{n}"))))
            });
        }
        let read = |stream: &mut SseReader| {
            let events = (0..PUBLISHERS * EACH).map(|_| stream.next_event());
            events.map(|event| (event.id, event.data)).collect()
        };
        let readers: Vec<_> = streams.iter_mut().map(|stream| scope.spawn(move || read(stream))).collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    let first = seen.pop().unwrap();
    assert!(seen.iter().all(|other| *other == first), "all see the same, in the same order");
    for publisher in 0..PUBLISHERS {
        let own: Vec<&str> =
            first.iter().filter_map(|(_, data)| data.strip_prefix(&format!("{publisher}:"))).collect();
        let expected: Vec<String> = (0..EACH).map(|n| n.to_string()).collect();
        assert_eq!(own, expected, "publisher {publisher}");
    }
    assert_eq!(hub.stats().number("metrics.gaps"), 0);
}

#[test]
fn the_largest_event_arrives_whole() {
    let hub = HubProcess::start(WATERTIGHT);
    let mut stream = hub.subscribe("demo");
    let data: String = (0..256 * 1024).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
    hub.publish_text("demo", &data);
    assert!(stream.next_event().data == data, "not the same 256 KiB");
    let mut late = hub.subscribe_with("demo", "replay=all", &[]);
    assert!(late.next_event().data == data, "not the same when replayed");
}

#[test]
fn a_stream_is_what_one_gets_unless_json_is_wanted_more() {
    let hub = HubProcess::start(WATERTIGHT);
    let stream = |accept: &[(&str, &str)]| drop(hub.subscribe_with("demo", "", accept));
    stream(&[]);
    for accept in [
        "*/*",
        "text/event-stream",
        "text/*",
        "TEXT/Event-Stream",
        "text/event-stream;q=0.9, */*;q=0.1",
        "application/json, text/event-stream",
        "application/json;q=0.1, text/event-stream",
        "application/json;q=0, */*",
        "application/json;q=0.5, */*;q=0.8",
    ] {
        stream(&[("Accept", accept)]);
    }
    let ask = |accept: &str| {
        let path = "/sessions/demo/events?wait=0";
        hub.client().request("GET", path).header("Accept", accept).send()
    };
    for accept in [
        "application/json",
        "application/json, text/plain, */*",
        "application/json, text/event-stream;q=0.9",
        "text/event-stream;q=0, */*",
        "application/*",
        "image/png, application/json",
    ] {
        let answer = ask(accept).expect(200);
        assert_eq!(answer.header("content-type"), Some("application/json"), "{accept}");
        assert_eq!(answer.header("vary"), Some("Accept, Origin"), "{accept}");
    }
    for accept in ["image/png", "text/event-stream;q=0", "application/json;q=0, text/plain"] {
        ask(accept).expect_problem(406, "NOT_ACCEPTABLE");
    }
}

#[test]
fn a_request_behind_the_first_one_is_answered_on_the_same_connection() {
    let hub = HubProcess::start(WATERTIGHT);
    let mut connection = RawConnection::connect(hub.address());
    let publish = "POST /sessions/demo/events HTTP/1.1\r\nHost: hub\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\n";
    // Two publishes and a subscription in one write: the answers come in order, then the stream.
    let subscribe = "GET /sessions/demo/events?replay=all HTTP/1.1\r\nHost: hub\r\n\r\n";
    connection.send(format!("{publish}one{publish}two{subscribe}"));
    let ids: Vec<_> =
        (0..2).map(|_| connection.read_response("POST").expect(202).json()["id"].clone()).collect();
    let mut stream = SseReader::over(connection).unwrap();
    for (id, data) in ids.iter().zip(["one", "two"]) {
        let event = stream.next_event();
        assert_eq!((event.id.as_str(), event.data.as_str()), (id.as_str().unwrap(), data));
    }
}

#[test]
fn what_a_subscriber_pipelines_is_thrown_away_and_the_stream_goes_on() {
    let hub = HubProcess::start(WATERTIGHT);
    let mut connection = RawConnection::connect(hub.address());
    connection.send(
        "GET /sessions/demo/events HTTP/1.1\r\nHost: hub\r\n\r\nGET /stats HTTP/1.1\r\nHost: hub\r\n\r\njunk",
    );
    let mut stream = SseReader::over(connection).unwrap();
    stream.connection().send("more junk");
    hub.publish_text("demo", "hello");
    assert_eq!(stream.next_event().data, "hello");
    let (connections, total) = connections(&hub);
    assert_eq!((connections.len(), total), (1, 1));
}

#[test]
fn heads_may_come_in_any_pieces() {
    let hub = HubProcess::start(WATERTIGHT);
    let head = "GET /sessions/demo/events?replay=all HTTP/1.1\r\nHost: hub\r\n\r\n";
    hub.publish_text("demo", "hello");
    let mut connection = RawConnection::connect(hub.address());
    for byte in head.as_bytes() {
        connection.send([*byte]);
    }
    let mut stream = SseReader::over(connection).unwrap();
    assert_eq!(stream.next_event().data, "hello");
}

#[test]
fn a_stream_cut_anywhere_in_its_bytes_parses_the_same() {
    let hub = HubProcess::start(WATERTIGHT);
    for n in 0..20 {
        hub.publish_text("demo", &format!("event {n}\nsecond line"));
    }
    let mut connection = RawConnection::connect(hub.address());
    connection.send_get("/sessions/demo/events?replay=all", &[]);
    let bytes = connection.read_until("event 19\ndata: second line\n\n\r\n", PATIENCE);
    let parse = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let (mut decoder, mut items) = (StreamDecoder::default(), Vec::new());
        for piece in pieces {
            decoder.feed(piece, &mut |item| items.push(format!("{item:?}")));
        }
        items
    };
    let whole = parse(&mut std::iter::once(bytes.as_bytes()));
    assert_eq!(whole.len(), 22, "a comment, a retry, twenty events");
    assert_eq!(parse(&mut bytes.as_bytes().chunks(1)), whole);
    assert_eq!(parse(&mut bytes.as_bytes().chunks(7)), whole);
}

#[test]
fn connections_are_listed_with_their_state() {
    let hub = HubProcess::start(WATERTIGHT);
    let mut stream = hub.subscribe("demo");
    let _other = hub.subscribe("other");
    hub.publish_text("demo", "one");
    stream.next_event();
    stream.connection().send("12345");
    let find = || {
        let (listed, total) = connections(&hub);
        assert_eq!(total, 2);
        listed.into_iter().find(|connection| connection["session"] == "demo").unwrap()
    };
    let demo = eventually!(find(), |demo| demo["received"] == 5 && demo["sent"] == 1);
    assert_eq!(demo["kind"], "session");
    assert_eq!(demo["user"], json!(null));
    for key in ["lag", "errors", "validations"] {
        assert_eq!(demo[key], 0, "{key} in {demo}");
    }
    eventually!(find()["ageSeconds"].as_f64().unwrap() > 0.0);
    assert!(matches!(stream.try_next(std::time::Duration::ZERO), None | Some(SseItem::Comment(_))));
}

fn connections(hub: &HubProcess) -> (Vec<serde_json::Value>, u64) {
    let page = hub.get("/connections").expect(200).json();
    (page["connections"].as_array().unwrap().clone(), page["total"].as_u64().unwrap())
}
