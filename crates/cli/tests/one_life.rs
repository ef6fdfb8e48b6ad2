//! One life for every stream, seen from outside: closing events with a deadline of their own, the log read to its end
//! before the hub stops, a process that stood still, and HTTP/1.0 on the pumps.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and suspends a process for a time"
)]

use std::time::{Duration, Instant};

use serde_json::json;
use watertight_testkit::{
    ConnectOptions, End, HubBuilder, HubProcess, PATIENCE, RawConnection, Signal, SseItem, SseReader,
    eventually, timed,
};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

fn each_delivery(scenario: impl Fn(HubBuilder)) {
    scenario(HubProcess::builder(WATERTIGHT));
    println!("and over TLS:");
    scenario(HubProcess::builder(WATERTIGHT).tls());
}

/// A reader that takes nothing after its opening block, behind small buffers.
fn stalled_reader(hub: &HubProcess, session: &str) -> SseReader {
    let options =
        ConnectOptions { tls: hub.client().options().tls.clone(), ..ConnectOptions::small_window() };
    SseReader::open_with(hub.address(), &format!("/sessions/{session}/events"), &[], &options)
        .expect("a stream")
}

fn connection_of(hub: &HubProcess, session: &str) -> Option<serde_json::Value> {
    let page = hub.get("/connections").expect(200).json();
    page["connections"].as_array()?.iter().find(|connection| connection["session"] == session).cloned()
}

#[test]
fn a_closing_event_that_its_reader_does_not_take_ends_with_its_own_grace() {
    each_delivery(|builder| {
        // Nothing else would end it before the test's patience does.
        let hub = builder.flag("--write-deadline", "300").flag("--max-subscriber-idle-time", "900").start();
        let stalled = stalled_reader(&hub, "demo");
        for _ in 0..40 {
            hub.publish_text("demo", &"x".repeat(64 * 1024));
        }
        let connection = eventually!(connection_of(&hub, "demo"), |connection| {
            connection.as_ref().is_some_and(|connection| connection["stalled"] == true)
        });
        let id = connection.unwrap()["id"].as_str().unwrap().to_owned();
        let (_, took) = timed(|| {
            hub.client().delete(format!("/connections/{id}")).expect(204);
            eventually!(hub.stats().live("subscription"), |live| *live == 0);
        });
        assert!(took < Duration::from_secs(15), "{took:?}");
        eventually!(hub.log().contains("DISCONNECTED"));
        drop(stalled);
    });
}

#[test]
fn what_was_acknowledged_before_a_stop_is_read_before_the_closing_event() {
    each_delivery(|builder| {
        let mut hub = builder.unbalanced().start();
        let mut stream = stalled_reader(&hub, "demo");
        let events: Vec<_> = (0..450).map(|n| json!({"data": format!("{n} {}", "x".repeat(4096))})).collect();
        let ids = hub.publish_json("demo", &json!(events));
        hub.signal(Signal::TERM);
        let mut got = Vec::new();
        let code = loop {
            match stream.try_next(PATIENCE).expect("it goes on") {
                SseItem::Event(event) if event.event_type == "error" => break event.data,
                SseItem::Event(event) => got.push(event.id),
                SseItem::End(end) => panic!("{end:?} after {} of {} events", got.len(), ids.len()),
                _ => {}
            }
            // About two megabytes a second: slower than the hub could stop.
            if got.len() % 25 == 0 {
                std::thread::sleep(Duration::from_millis(50));
            }
        };
        assert!(code.contains("SHUTTING_DOWN"), "{code}");
        assert!(got == ids, "{} of {} events", got.len(), ids.len());
        assert!(hub.wait(PATIENCE).success());
    });
}

#[test]
fn threat_31_a_process_that_stood_still_ends_no_reader_that_reads() {
    each_delivery(|builder| {
        let hub = builder.flag("--write-deadline", "8s").flag("--heartbeat-interval", "2s").start();
        let mut readers: Vec<SseReader> = (0..60).map(|_| stalled_reader(&hub, "demo")).collect();
        for n in 0..30 {
            hub.publish_text("demo", &format!("{n} {}", "x".repeat(64 * 1024)));
        }
        // All are full: each was given more than its buffers take.
        eventually!(hub.get("/connections?limit=1000").json(), |page| {
            page["connections"].as_array().unwrap().iter().filter(|one| one["stalled"] == true).count() == 60
        });
        hub.signal(Signal::STOP);
        std::thread::scope(|scope| {
            // They drain what the kernel has for them meanwhile, and read on afterwards.
            let read_on = |reader: &mut SseReader| drop(reader.next_data(30));
            let threads: Vec<_> =
                readers.iter_mut().map(|reader| scope.spawn(move || read_on(reader))).collect();
            // Longer than the write deadline and its grace: what the hub sees is a jump of the clock.
            std::thread::sleep(Duration::from_secs(11));
            hub.signal(Signal::CONT);
            threads.into_iter().for_each(|thread| thread.join().expect("each gets everything"));
        });
        assert_eq!(hub.stats().number("metrics.slowConsumers"), 0);
    });
}

#[test]
fn a_stream_over_http_1_0_is_a_pumps_like_any_other_and_has_no_chunks() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--heartbeat-interval", "0.2s").start();
    let before = hub.publish_text("demo", "before");
    let open = || {
        let mut connection = RawConnection::connect(hub.address());
        connection.send("GET /sessions/demo/events?replay=all HTTP/1.0\r\nHost: hub\r\n\r\n");
        let head = connection.read_until("\r\n\r\n", PATIENCE);
        assert!(head.starts_with("HTTP/1.0 200 OK\r\n"), "{head}");
        assert!(head.contains("\r\nconnection: close\r\n") && !head.contains("transfer-encoding"), "{head}");
        connection
    };
    let mut stream = open();
    stream.read_until(&format!("id: {before}\ndata: before\n\n"), PATIENCE);
    stream.read_until(":\n\n", PATIENCE);
    let connection = connection_of(&hub, "demo").expect("it is listed");
    assert_eq!(connection["delivery"], "socket");
    // Several at once, in one write, and a large one that is written in pieces.
    let large = "y".repeat(250 * 1024);
    let ids = hub.publish_json("demo", &json!([{"data": 1}, {"data": 2}, {"data": large}]));
    let text = stream.read_until(&format!("{large}\"\n\n"), PATIENCE);
    let expected: String = [("1", &ids[0]), ("2", &ids[1]), (&format!("\"{large}\""), &ids[2])]
        .map(|(data, id)| format!("id: {id}\ndata: {data}\n\n"))
        .concat();
    assert!(text.replace(":\n\n", "") == expected, "nothing between the events");
    // Many of them cost what streams cost, and hold no request: there is none but that which asks.
    let crowd: Vec<_> = (0..200).map(|_| open()).collect();
    eventually!(hub.stats(), |stats| stats.live("subscription") == 201 && stats.live("request") == 1);
    hub.client().delete("/sessions/demo").expect(204);
    let end = stream.read_to_end(PATIENCE);
    let end = String::from_utf8_lossy(&end);
    assert!(end.ends_with("\"code\":\"SESSION_ENDED\"}\n\n"), "{end:?}");
    drop(crowd);
}

#[test]
fn every_reader_is_cut_off_when_the_grace_is_over_and_not_later() {
    each_delivery(|builder| {
        let mut hub = builder.flag("--shutdown-grace", "6s").unbalanced().start();
        let stalled = stalled_reader(&hub, "demo");
        let mut reader = hub.subscribe("other");
        for _ in 0..40 {
            hub.publish_text("demo", &"x".repeat(64 * 1024));
        }
        hub.signal(Signal::TERM);
        let begun = Instant::now();
        // Who has read everything is told at once.
        reader.expect_closing_event("SHUTTING_DOWN");
        assert!(begun.elapsed() < Duration::from_millis(4500), "{:?}", begun.elapsed());
        assert!(matches!(reader.rest(), (_, End::Complete)));
        assert!(hub.wait(PATIENCE).success());
        // The write deadline is 30 s.
        assert!(begun.elapsed() < Duration::from_secs(14), "{:?}", begun.elapsed());
        drop(stalled);
    });
}
