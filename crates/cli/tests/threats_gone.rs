//! Rows 5 and 6: peers that are gone, with something in the way of noticing it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use watertight_testkit::http2::{Frame, kind};
use watertight_testkit::{
    ConnectOptions, Endpoint, Http2, HubProcess, Network, PATIENCE, RawConnection, SseReader, Transport,
    both_transports, eventually, timed,
};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

both_transports!(
    threat_05_junk_behind_the_request_does_not_hide_that_the_peer_left,
    threat_06_a_peer_whose_link_was_cut_is_noticed_within_the_configured_time,
);

const GET: &str = "GET /sessions/demo/events HTTP/1.1\r\nHost: hub\r\n\r\n";

/// What a peer may send behind its request before it leaves.
fn junk() -> [Vec<u8>; 4] {
    [b"x".to_vec(), GET.as_bytes().to_vec(), GET.repeat(50).into_bytes(), vec![0; 60_000]]
}

/// How a peer may leave.
const WAYS: [fn(RawConnection); 3] = [drop, RawConnection::reset, |mut connection| {
    connection.half_close();
    let _ = connection.expect_closed(PATIENCE);
}];

fn threat_05_junk_behind_the_request_does_not_hide_that_the_peer_left(over: Transport) {
    // The heartbeat (15 s) has no part in it.
    let hub = HubProcess::builder(WATERTIGHT).over(over).start();
    for junk in junk() {
        for leave in WAYS {
            // With the request, so that hyper reads it too, or once the pump has the socket.
            for at_once in [true, false] {
                let mut connection = RawConnection::connect(&hub);
                let first = if at_once { [GET.as_bytes(), &junk].concat() } else { GET.into() };
                connection.send(first);
                connection.read_until("\n\n\r\n", PATIENCE);
                if !at_once {
                    connection.send(&junk);
                }
                leave(connection);
                let (_, took) = timed(|| eventually!(hub.stats().live("subscription") == 0));
                assert!(took < Duration::from_secs(5), "noticed after {took:?}");
            }
        }
    }
}

#[test]
fn threat_05_inside_tls_it_is_noticed_within_two_heartbeats() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--heartbeat-interval", "300ms").tls().start();
    for junk in junk() {
        // One that only says it will send nothing more, and reads on, is still there.
        for leave in &WAYS[..2] {
            let mut connection = RawConnection::connect(&hub);
            connection.send([GET.as_bytes(), &junk].concat());
            connection.read_until("\n\n\r\n", PATIENCE);
            leave(connection);
            let (_, took) = timed(|| eventually!(hub.stats().live("subscription") == 0));
            assert!(took < Duration::from_secs(5), "{} bytes of junk: noticed after {took:?}", junk.len());
        }
    }
}

/// Peers of every sort on the far host: level, in the middle of a replay, on HTTP/2, without a request.
struct FarPeers {
    streams: Vec<SseReader>,
    http2: Http2,
    silent: Vec<RawConnection>,
}

impl FarPeers {
    fn connect(to: &Endpoint) -> FarPeers {
        let path = "/sessions/demo/events?replay=all";
        let options = ConnectOptions::small_window();
        let streams = (0..20)
            .map(|_| SseReader::open(to, "/sessions/demo/events", &[]))
            .chain((0..5).map(|_| SseReader::open_with(to, path, &[], &options).unwrap()))
            .collect();
        let mut http2 = Http2::connect(to, &[]);
        http2.send(&[Frame::get(1, "/sessions/demo/events")]).unwrap();
        let is_data = |frame: &Frame| frame.kind == kind::DATA;
        assert!(http2.read_until(PATIENCE, |frame| match is_data(frame) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }));
        let mut idle = RawConnection::connect(to);
        idle.send("GET /stats HTTP/1.1\r\nHost: hub\r\n\r\n");
        let _ = idle.read_response("GET").expect(200);
        FarPeers { streams, http2, silent: vec![idle] }
    }
}

fn threat_06_a_peer_whose_link_was_cut_is_noticed_within_the_configured_time(over: Transport) {
    let test = "threat_06_a_peer_whose_link_was_cut_is_noticed_within_the_configured_time";
    Network::with(&over.name_of(test), |network| {
        let hub = HubProcess::builder(WATERTIGHT)
            .over(over)
            .flag("--listen", "0.0.0.0:0")
            .arg("--insecure-open")
            .flag("--heartbeat-interval", "500ms")
            .flag("--half-open-timeout", "3s")
            .flag("--write-deadline", "4s")
            .flag("--keep-alive-timeout", "4s")
            .start();
        for _ in 0..100 {
            hub.publish_text("demo", &"x".repeat(10_000));
        }
        let near = SocketAddr::from((Network::NEAR, hub.address().port()));
        let to = hub.endpoint().at(near);
        let peers = network.far(|| FarPeers::connect(&to));
        let mut near = hub.subscribe("demo");
        // All that ever were: those in the middle of a replay stall from then on, and do not last.
        assert_eq!(hub.stats().ledger().counts("subscription").opened, 27);
        network.pull();
        // Heartbeat and user time-out, or stall and write deadline, and a busy machine. Without the settings, 15 s and more.
        let (_, took) = timed(|| eventually!(hub.stats().live("connection") == 2));
        assert!(took < Duration::from_secs(4 + 8), "noticed after {took:?}");
        assert_eq!(hub.stats().live("subscription"), 1);
        hub.publish_text("demo", "still here");
        assert_eq!(near.next_event().data, "still here");
        // And the far host's side, back on the line, learns that its connections are no more.
        network.plug();
        let FarPeers { mut streams, http2, silent } = peers;
        for stream in &mut streams {
            let _ = stream.connection().try_send("x");
            stream.rest();
        }
        drop((http2, silent));
    });
}

#[test]
fn threat_06_by_default_no_peer_is_gone_unnoticed_for_more_than_30_seconds() {
    let output = Command::new(WATERTIGHT).args(["check", "--json"]).env_clear().output().unwrap();
    let checked: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = checked.to_string();
    let seconds = |key: &str| {
        let setting = find(&checked, key).unwrap_or_else(|| panic!("no {key} in {text}"));
        let value = setting.as_str().unwrap_or_else(|| panic!("{key} is {setting}"));
        value.strip_suffix('s').unwrap_or_else(|| panic!("{key} = {value}")).parse::<u64>().unwrap()
    };
    // Silence until the heartbeat, then its acknowledgement, which does not come.
    assert!(seconds("heartbeat_interval") + seconds("half_open_timeout") <= 30);
    // A reader that stalls, although its kernel answers.
    assert!(seconds("write_deadline") <= 30);
}

/// The value of a setting in a report of `check`.
fn find<'v>(report: &'v Value, key: &str) -> Option<&'v Value> {
    match report {
        Value::Object(map) if map.get("key").is_some_and(|known| known == key) => map.get("value"),
        Value::Object(map) => map
            .get(key)
            .filter(|found| found.is_string())
            .or_else(|| map.values().find_map(|value| find(value, key))),
        Value::Array(values) => values.iter().find_map(|value| find(value, key)),
        _ => None,
    }
}
