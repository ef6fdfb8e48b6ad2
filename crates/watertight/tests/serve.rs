//! Sockets in a pump's hands, on a clock that the test moves: heartbeats, deadlines, stalls, panics.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test owns its tasks and its clock, and fails by panicking"
)]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use support::{TestHub, eventually};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use watertight::{Event, Gate, Hub, HubConfig, Resume, Server, Subscription};
use watertight_core::Kind;

/// A server around a test hub, ended and waited for on drop.
struct Served {
    hub: TestHub,
    address: SocketAddr,
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Served {
    fn new(config: HubConfig) -> Served {
        let hub = TestHub::new(config);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let gate = Gate::new(hub.ledger().clone(), 1000, 1000);
        let router = Router::new().route("/{session}", get(subscribe)).with_state(hub.hub.clone());
        let stop = CancellationToken::new();
        let server = Server::new(hub.hub.clone(), router, gate);
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            runtime.block_on(server.serve(listener, stopped.cancelled_owned()));
        });
        Served { hub, address, stop, thread: Some(thread) }
    }

    fn open(&self, session: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a deadline");
        write!(stream, "GET /{session} HTTP/1.1\r\nHost: hub\r\n\r\n").expect("a request");
        read_until(&mut stream, "\n\n\r\n");
        stream
    }

    fn stop(&mut self) {
        self.stop.cancel();
        // The goodbyes are written by the pumps, whose time the test moves.
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            self.hub.advance(Duration::from_secs(1));
            std::thread::sleep(Duration::from_millis(5));
        }
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server ends in peace");
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn subscribe(State(hub): State<Hub>, Path(session): Path<String>) -> Subscription {
    hub.subscribe(&session, Resume::Live).expect("a subscription")
}

/// Reads until the text has come; returns everything read.
fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let (mut seen, mut byte) = (Vec::new(), [0]);
    while !seen.ends_with(text.as_bytes()) {
        let read = stream.read(&mut byte).unwrap_or_else(|error| {
            panic!("waiting for {text:?}: {error}; so far {:?}", String::from_utf8_lossy(&seen))
        });
        assert_ne!(read, 0, "ended before {text:?}: {:?}", String::from_utf8_lossy(&seen));
        seen.push(byte[0]);
    }
    String::from_utf8(seen).expect("text")
}

fn publish(hub: &Hub, session: &str, data: &str) {
    hub.publish_now(session, &Event::new(data)).expect("published");
}

#[test]
fn silence_is_broken_by_a_heartbeat_every_interval() {
    let served = Served::new(HubConfig::default());
    let mut stream = served.open("s");
    for _ in 0..3 {
        served.hub.advance(Duration::from_millis(15_100));
        assert_eq!(read_until(&mut stream, ":\n\n\r\n"), "3\r\n:\n\n\r\n");
    }
    // An event resets the silence.
    served.hub.advance(Duration::from_secs(10));
    publish(&served.hub, "s", "x");
    read_until(&mut stream, "data: x\n\n\r\n");
    served.hub.advance(Duration::from_secs(10));
    publish(&served.hub, "s", "y");
    assert!(!read_until(&mut stream, "data: y\n\n\r\n").contains("3\r\n:\n\n"));
}

#[test]
fn a_connection_of_age_is_told_why_it_ends_and_when_to_come_back() {
    let max_age = Some(Duration::from_secs(60));
    let served = Served::new(HubConfig { max_age, max_age_jitter_percent: 0, ..HubConfig::default() });
    let mut stream = served.open("s");
    served.hub.advance(Duration::from_millis(60_100));
    let goodbye = read_until(&mut stream, "0\r\n\r\n");
    assert!(
        goodbye.contains("event: error\ndata: {\"error\":\"Connection timeout\",\"code\":\"TIMEOUT\"}\n")
    );
    assert!(goodbye.contains("retry: "));
    assert_eq!(stream.read(&mut [0]).expect("an end"), 0);
}

#[test]
fn leak_class_a_a_reader_that_stalls_is_ended_by_the_write_deadline_and_the_others_read_on() {
    let served = Served::new(HubConfig { send_buffer_bytes: Some(8 * 1024), ..HubConfig::default() });
    let stalled = served.open("s");
    let mut reader = served.open("s");
    let data = "x".repeat(16 * 1024);
    for number in 0..100 {
        publish(&served.hub, "s", &format!("{number} {data}"));
        read_until(&mut reader, &format!("{data}\n\n\r\n"));
    }
    assert_eq!(served.hub.live(Kind::Connection), 2);
    served.hub.advance(Duration::from_millis(30_100));
    eventually("the stalled reader is gone", || served.hub.live(Kind::Connection) == 1);
    eventually("and counted", || {
        served.hub.counters().slow_consumers.load(std::sync::atomic::Ordering::Relaxed) == 1
    });
    publish(&served.hub, "s", "still there");
    read_until(&mut reader, "data: still there\n\n\r\n");
    drop(stalled);
}

#[test]
fn leak_class_b_a_peer_that_leaves_is_noticed_at_once_although_nothing_is_written() {
    let served = Served::new(HubConfig::default());
    let streams: Vec<TcpStream> = (0..50).map(|number| served.open(&format!("s{number}"))).collect();
    assert_eq!(served.hub.live(Kind::Connection), 50);
    drop(streams);
    // Time stands still: no heartbeat helps.
    eventually("all are gone", || served.hub.live(Kind::Connection) == 0);
}

#[test]
fn threat_5_pipelined_junk_does_not_hide_that_the_peer_left() {
    let served = Served::new(HubConfig::default());
    for junk in [&b"x"[..], b"GET /s HTTP/1.1\r\nHost: hub\r\n\r\n", &[0; 8000]] {
        let mut stream = TcpStream::connect(served.address).expect("a connection");
        let request = [b"GET /s HTTP/1.1\r\nHost: hub\r\n\r\n", junk].concat();
        stream.write_all(&request).expect("a request");
        read_until(&mut stream, "\n\n\r\n");
        stream.write_all(junk).expect("more junk");
        drop(stream);
    }
    eventually("all are gone", || served.hub.live(Kind::Connection) == 0);
}

#[test]
fn a_peer_that_never_stops_talking_is_cut_off() {
    let served = Served::new(HubConfig::default());
    let mut stream = served.open("s");
    let talked = (0..1000).try_for_each(|_| stream.write_all(&[b'x'; 4096]));
    eventually("it is gone", || served.hub.live(Kind::Connection) == 0);
    drop(talked);
}

#[test]
fn threat_36_a_pump_that_panics_drops_its_sockets_and_starts_anew() {
    let served = Served::new(HubConfig::default());
    let before: Vec<TcpStream> = (0..10).map(|_| served.open("s")).collect();
    for shard in 0..2 {
        served.hub.inject_panic(shard);
    }
    eventually("the guards ran", || served.hub.live(Kind::Connection) == 0);
    assert_eq!(served.hub.live(Kind::Subscription), 0);
    for mut stream in before {
        let mut rest = Vec::new();
        // An end or a reset; never a hang.
        let _ = stream.read_to_end(&mut rest);
    }
    let mut after = served.open("s");
    publish(&served.hub, "s", "alive");
    read_until(&mut after, "data: alive\n\n\r\n");
}

#[test]
fn news_is_written_together_and_each_event_once() {
    let served = Served::new(HubConfig::default());
    let mut streams: Vec<TcpStream> = (0..300).map(|_| served.open("s")).collect();
    for number in 0..400 {
        publish(&served.hub, "s", &format!("n{number}."));
    }
    for stream in &mut streams {
        let seen = read_until(stream, "data: n399.\n\n\r\n");
        let numbers: Vec<&str> = seen.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let expected: Vec<String> = (0..400).map(|number| format!("n{number}.")).collect();
        assert_eq!(numbers, expected);
    }
}

#[test]
fn members_that_leave_in_the_middle_of_a_pass_take_nobody_with_them() {
    let served = Served::new(HubConfig::default());
    let mut staying = Vec::new();
    let mut leaving = Vec::new();
    for number in 0..600 {
        let stream = served.open("s");
        if number % 3 == 0 { staying.push(stream) } else { leaving.push(stream) }
    }
    for number in 0..50 {
        publish(&served.hub, "s", &format!("n{number}."));
        leaving.truncate(leaving.len().saturating_sub(8));
    }
    for stream in &mut staying {
        let seen = read_until(stream, "data: n49.\n\n\r\n");
        assert_eq!(seen.matches("data: n").count(), 50);
    }
}

#[test]
fn stopping_tells_every_reader() {
    let mut served = Served::new(HubConfig::default());
    let mut streams: Vec<TcpStream> = (0..20).map(|_| served.open("s")).collect();
    served.stop();
    for stream in &mut streams {
        let goodbye = read_until(stream, "0\r\n\r\n");
        assert!(goodbye.contains("\"code\":\"SHUTTING_DOWN\""));
    }
}
