//! Streams over TLS: a pump takes them over together with their TLS, and what holds on plain sockets holds here.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use crate::support::served::Served;
use crate::support::{TestHub, eventually};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use rustls::ClientConnection;
use tokio::sync::Notify;
use watertight::{ConnectionScanPoint, Event, Hub, HubConfig, Resume};
use watertight_core::Kind;
use watertight_testkit::raw::ConnectOptions;
use watertight_testkit::tls::{server_config, trusting_client};

/// Until then `/unread` reads nothing of its requests' bodies.
static GO_ON: Notify = Notify::const_new();

async fn subscribe(State(hub): State<Hub>, Path(session): Path<String>) -> Response {
    hub.subscribe(&session, Resume::Live).expect("a subscription").into_response()
}

fn serve_with(config: HubConfig, tls: Arc<rustls::ServerConfig>) -> Served {
    let hub = TestHub::new(config);
    let router = Router::new()
        .route("/stream/{session}", get(subscribe))
        .route("/echo", post(|body: Bytes| async { body }))
        .route("/unread", post(|_: axum::extract::Request| GO_ON.notified()))
        .with_state(hub.hub.clone());
    Served::over_tls(hub, router, tls)
}

fn serve(config: HubConfig) -> Served {
    serve_with(config, server_config(rustls::ALL_VERSIONS, &[b"h2", b"http/1.1"]))
}

/// A reader whose socket is soon full, on a hub that keeps everything for it.
fn serve_slowly() -> Served {
    let limits =
        HubConfig { max_queue_size: 100_000, max_history_per_session: 100_000, ..HubConfig::default() };
    serve(HubConfig { send_buffer_bytes: Some(4096), max_history_bytes_per_session: 64 << 20, ..limits })
}

/// A client of rustls's own that sees both the plain bytes and the records.
struct Client {
    socket: TcpStream,
    tls: ClientConnection,
    /// Read and not asked for yet.
    plain: Vec<u8>,
    /// Lengths of the records that came, and what is left of the bytes.
    records: Vec<usize>,
    raw: Vec<u8>,
}

/// How a connection ended.
#[derive(Debug, PartialEq)]
enum Ended {
    /// With `close_notify`.
    Clean,
    /// Without.
    Cut,
}

impl Client {
    fn connect(served: &Served, small: bool) -> Client {
        let options = if small { ConnectOptions::small_window() } else { ConnectOptions::default() };
        let socket = options.connect_tcp(served.address).expect("a connection");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a deadline");
        let tls = ClientConnection::new(trusting_client(&[b"http/1.1"]), served.address.ip().into());
        let tls = tls.expect("a client");
        Client { socket, tls, plain: Vec::new(), records: Vec::new(), raw: Vec::new() }
    }

    fn open(served: &Served, session: &str, small: bool) -> Client {
        let mut client = Client::connect(served, small);
        client.ask(&format!("GET /stream/{session} HTTP/1.1\r\nHost: hub\r\n\r\n"));
        client.until("\r\n\r\n");
        client.until("\n\n");
        client
    }

    fn ask(&mut self, request: &str) {
        while self.tls.is_handshaking() {
            self.tls.complete_io(&mut self.socket).expect("a handshake");
        }
        self.tls.writer().write_all(request.as_bytes()).expect("room");
        self.flush().expect("a peer that reads");
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.socket)?;
        }
        Ok(())
    }

    /// Reads once. `Some`: it has ended.
    fn read(&mut self) -> Option<Ended> {
        let mut bytes = [0; 16 * 1024];
        let read = match self.socket.read(&mut bytes) {
            Ok(0) | Err(_) => return Some(Ended::Cut),
            Ok(read) => read,
        };
        self.raw.extend_from_slice(&bytes[..read]);
        while self.raw.len() >= 5 {
            let length = 5 + usize::from(u16::from_be_bytes([self.raw[3], self.raw[4]]));
            if self.raw.len() < length {
                break;
            }
            self.records.push(length);
            self.raw.drain(..length);
        }
        let mut rest = &bytes[..read];
        while !rest.is_empty() {
            self.tls.read_tls(&mut rest).expect("room");
            let state = self.tls.process_new_packets().expect("TLS");
            let mut some = vec![0; state.plaintext_bytes_to_read()];
            self.tls.reader().read_exact(&mut some).expect("bytes");
            self.plain.extend_from_slice(&some);
            if state.peer_has_closed() {
                return Some(Ended::Clean);
            }
        }
        None
    }

    /// Reads until the text has come; returns everything up to it.
    fn until(&mut self, text: &str) -> String {
        loop {
            let found = self.plain.windows(text.len()).position(|window| window == text.as_bytes());
            if let Some(at) = found {
                let seen = self.plain.drain(..at + text.len()).collect();
                return String::from_utf8(seen).expect("text");
            }
            let ended = self.read();
            let came = String::from_utf8_lossy(&self.plain);
            assert!(ended.is_none() || came.contains(text), "{ended:?} before {text:?}: {came:?}");
        }
    }

    /// Reads to the end.
    fn end(&mut self) -> (String, Ended) {
        loop {
            if let Some(ended) = self.read() {
                return (String::from_utf8_lossy(&std::mem::take(&mut self.plain)).into_owned(), ended);
            }
        }
    }
}

fn publish(served: &Served, data: &str) {
    served.hub.hub.publish_now("s", &Event::new(data)).expect("published");
}

/// Publishes numbered events of this size.
fn publish_numbered(served: &Served, count: usize, bytes: usize) {
    for number in 0..count {
        publish(served, &format!("{number:06} {}", "x".repeat(bytes)));
    }
}

/// Reads the numbered events, each once and in order.
fn read_numbered(client: &mut Client, count: usize) {
    for number in 0..count {
        let event = client.until("\n\n");
        assert!(event.contains(&format!("data: {number:06} x")), "{number}: {event:.200}");
        assert_eq!(event.matches("data: ").count(), 1, "{event:.200}");
    }
}

fn connections(served: &Served) -> Vec<watertight::ConnectionInfo> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (mut all, mut point) = (Vec::new(), Some(ConnectionScanPoint { shard: 0, slot: 0 }));
    while let Some(from) = point {
        let (page, next) = runtime.block_on(served.hub.hub.connections(from, 10));
        all.extend(page);
        point = next;
    }
    all
}

fn charged(served: &Served) -> usize {
    let owners = served.hub.stats().owners;
    owners.iter().find(|(name, _)| *name == "subscribers").expect("an owner").1
}

fn ends(served: &Served, name: &str) -> bool {
    served.hub.hub.counters().ends().any(|(end, count)| end == name && count == 1)
}

#[test]
fn a_stream_over_tls_is_taken_over_in_either_version_and_either_framing() {
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        for http in ["1.1", "1.0"] {
            let served = serve_with(HubConfig::default(), server_config(&[version], &[b"http/1.1"]));
            let mut client = Client::connect(&served, false);
            client.ask(&format!("GET /stream/s HTTP/{http}\r\nHost: hub\r\n\r\n"));
            let head = client.until(": watertight\n");
            assert!(head.starts_with(&format!("HTTP/{http} 200")), "{head}");
            publish(&served, "hello");
            client.until("data: hello\n\n");
            let listed = connections(&served);
            assert_eq!(listed.len(), 1);
            assert_eq!(listed[0].delivery, "socket");
        }
    }
}

#[test]
fn what_is_written_and_read_over_tls_beside_streams_comes_whole() {
    let served = serve(HubConfig::default());
    let mut client = Client::connect(&served, false);
    let body: String = (0..20_000u32).map(|at| format!("{at:05}\n")).collect();
    for _ in 0..2 {
        client.ask(&format!("POST /echo HTTP/1.1\r\nHost: hub\r\nContent-Length: {}\r\n\r\n", body.len()));
        let (sent, mut at) = (body.as_bytes(), 0);
        while at < sent.len() {
            at += client.tls.writer().write(&sent[at..]).expect("room");
            client.flush().expect("a peer that reads");
        }
        client.until("\r\n\r\n");
        assert_eq!(client.until("19999\n"), body);
    }
}

#[test]
fn a_reader_that_stalls_gets_every_event_once_when_it_reads_again() {
    let served = serve_slowly();
    let mut client = Client::open(&served, "s", true);
    let before = charged(&served);
    publish_numbered(&served, 3000, 400);
    eventually("the socket is full", || charged(&served) > before);
    assert!(charged(&served) <= before + 17 * 1024, "one record is kept at most");
    read_numbered(&mut client, 3000);
    eventually("what was kept is given back", || charged(&served) == before);
    publish(&served, "after");
    client.until("data: after\n\n");
}

#[test]
fn events_that_wait_share_records() {
    let served = serve_slowly();
    let mut client = Client::open(&served, "s", true);
    let before = charged(&served);
    publish_numbered(&served, 200, 400);
    eventually("the socket is full", || charged(&served) > before);
    publish_numbered(&served, 3000, 100);
    read_numbered(&mut client, 200);
    let first = client.records.len();
    read_numbered(&mut client, 3000);
    let records = &client.records[first..];
    assert!(records.len() <= 3000 / 20, "{} records for 3000 events", records.len());
    assert!(records.iter().all(|bytes| *bytes <= 5 + 16 * 1024 + 256));
}

#[test]
fn a_large_event_comes_whole_through_a_small_window() {
    let served = serve_slowly();
    let mut client = Client::open(&served, "s", true);
    for round in 0..3 {
        publish(&served, &format!("{round} {}", "Y".repeat(200_000)));
    }
    for round in 0..3 {
        let event = client.until("\n\n");
        assert!(event.contains(&format!("data: {round} Y")), "{event:.100}");
        assert_eq!(event.matches('Y').count(), 200_000);
    }
}

#[test]
fn a_key_update_in_the_middle_of_a_stream_is_answered_and_the_stream_goes_on() {
    let served = serve_slowly();
    let mut client = Client::open(&served, "s", true);
    for round in 0..5 {
        // Asked for while records wait, and while none does.
        publish_numbered(&served, 300, 400);
        client.tls.refresh_traffic_keys().expect("TLS 1.3");
        client.flush().expect("a peer that reads");
        read_numbered(&mut client, 300);
        publish(&served, &format!("round {round}"));
        client.until(&format!("data: round {round}\n\n"));
    }
    assert_eq!(connections(&served).len(), 1);
}

#[test]
fn a_peer_that_leaves_with_or_without_close_notify_or_by_a_reset_gives_everything_back() {
    for how in ["close_notify", "fin", "reset"] {
        let served = serve(HubConfig::default());
        let mut client = Client::open(&served, "s", false);
        match how {
            "close_notify" => {
                client.tls.send_close_notify();
                client.flush().expect("a peer that reads");
                // Its own side stays open: the answer can be read.
                assert_eq!(client.end().1, Ended::Clean);
            }
            "fin" => client.socket.shutdown(Shutdown::Both).expect("a connection"),
            _ => {
                let linger = Some(Duration::ZERO);
                socket2::SockRef::from(&client.socket).set_linger(linger).expect("an option");
                drop(client);
            }
        }
        let end = if how == "reset" { "PEER_RESET" } else { "PEER_CLOSED" };
        eventually(how, || ends(&served, end));
        eventually("nobody subscribes", || served.hub.live(Kind::Subscription) == 0);
    }
}

#[test]
fn a_peer_that_says_close_notify_right_behind_its_request_is_not_kept() {
    let served = serve(HubConfig::default());
    let mut client = Client::connect(&served, false);
    while client.tls.is_handshaking() {
        client.tls.complete_io(&mut client.socket).expect("a handshake");
    }
    client.tls.writer().write_all(b"GET /stream/s HTTP/1.1\r\nHost: hub\r\n\r\n").expect("room");
    client.tls.send_close_notify();
    let mut both = Vec::new();
    while client.tls.wants_write() {
        client.tls.write_tls(&mut both).expect("bytes");
    }
    client.socket.write_all(&both).expect("a peer that reads");
    // Its TCP connection stays open: nothing else tells the hub.
    assert_eq!(client.end().1, Ended::Clean);
    eventually("it has ended", || served.hub.live(Kind::Subscription) == 0);
    assert!(ends(&served, "PEER_CLOSED"));
}

#[test]
fn what_a_subscriber_sends_is_thrown_away_and_bounded() {
    let served = serve(HubConfig::default());
    let mut client = Client::connect(&served, false);
    client.ask(
        "GET /stream/s HTTP/1.1\r\nHost: hub\r\n\r\nGET /stream/pipelined HTTP/1.1\r\nHost: hub\r\n\r\n",
    );
    client.until(": watertight\n");
    for _ in 0..6 {
        client.ask(&"x".repeat(10_000));
    }
    publish(&served, "still here");
    client.until("data: still here\n\n");
    for _ in 0..6 {
        if client.tls.writer().write_all(&[b'x'; 10_000]).and_then(|()| client.flush()).is_err() {
            break;
        }
    }
    eventually("it is cut off", || ends(&served, "UNEXPECTED_INPUT"));
    assert_eq!(client.end().1, Ended::Cut);
}

#[test]
fn a_record_that_trickles_in_is_charged_and_ends_with_its_peer() {
    let served = serve(HubConfig::default());
    let mut client = Client::open(&served, "s", false);
    let before = charged(&served);
    // A record of 16 KB is announced, and comes byte by byte.
    let begun = [&[23, 3, 3, 64, 0][..], &[0; 300]].concat();
    for byte in begun {
        client.socket.write_all(&[byte]).expect("a peer that reads");
    }
    eventually("what waits is charged", || charged(&served) >= before + 305);
    publish(&served, "meanwhile");
    client.until("data: meanwhile\n\n");
    drop(client);
    eventually("nobody subscribes", || served.hub.live(Kind::Subscription) == 0);
}

#[test]
fn a_peer_that_breaks_tls_is_told_by_an_alert_and_ends() {
    let served = serve(HubConfig::default());
    let mut client = Client::open(&served, "s", false);
    let forged = [&[23, 3, 3, 0, 40][..], &[7; 40]].concat();
    client.socket.write_all(&forged).expect("a peer that reads");
    eventually("it ends", || ends(&served, "SOCKET_ERROR"));
    let mut rest = Vec::new();
    client.socket.read_to_end(&mut rest).expect("an end without a reset");
    client.tls.read_tls(&mut rest.as_slice()).expect("room");
    let told = client.tls.process_new_packets();
    assert!(matches!(told, Err(rustls::Error::AlertReceived(_))), "{told:?}");
}

#[test]
fn a_hub_that_stops_says_so_and_closes_tls_cleanly() {
    let mut served = serve(HubConfig::default());
    let mut client = Client::open(&served, "s", false);
    let reader = std::thread::spawn(move || client.end());
    served.stop();
    let (seen, ended) = reader.join().expect("a reader");
    assert!(seen.contains("SHUTTING_DOWN"), "{seen}");
    assert!(seen.ends_with("0\r\n\r\n"), "{seen}");
    assert_eq!(ended, Ended::Clean);
}

#[test]
fn a_heartbeat_over_tls_is_a_heartbeat() {
    let served = serve(HubConfig::default());
    let mut client = Client::open(&served, "s", false);
    served.hub.advance(HubConfig::default().heartbeat_interval + Duration::from_secs(1));
    client.until(":\n");
}

#[test]
fn what_came_in_one_record_with_a_head_and_is_not_read_is_charged() {
    let served = serve(HubConfig::default());
    let requests = || {
        let owners = served.hub.stats().owners;
        owners.iter().find(|(owner, _)| *owner == "requests").expect("an owner of bytes").1
    };
    let head = "POST /unread HTTP/1.1\r\nHost: hub\r\nContent-Length: 100000\r\n\r\n";
    let ask = |request: &str, requests_in_flight: u64| {
        let mut client = Client::connect(&served, false);
        client.ask(request);
        eventually("it is asked", || served.hub.live(Kind::Request) == requests_in_flight);
        client
    };
    let few = ask(head, 1);
    let of_few = requests();
    let many = ask(&format!("{head}{}", "x".repeat(15_000)), 2);
    eventually("what waits is charged", || requests() >= 2 * of_few + 12_000);
    GO_ON.notify_waiters();
    drop((few, many));
    eventually("it is given back", || requests() == 0);
}

#[test]
fn a_reader_for_whom_a_record_is_half_sent_is_a_laggard_although_its_cursor_is_not_behind() {
    let config =
        HubConfig { memory_warning_bytes: 1 << 20, memory_critical_bytes: 2 << 20, ..HubConfig::default() };
    let served = serve(HubConfig { send_buffer_bytes: Some(4096), ..config });
    let _client = Client::open(&served, "s", true);
    // As much as one record takes: the cursor is behind it at once.
    let shown = || served.hub.session("s").map(|session| session.head());
    let before = shown();
    publish(&served, &"x".repeat(16_000));
    assert!(shown() > before);
    eventually("it stalls", || charged(&served) > 8_000);
    let begun = served.hub.clock().now();
    let held = served.hub.budget().charge(watertight_core::Owner::Requests, 4 << 20);
    eventually("it is closed", || {
        served.hub.advance_in_step(Duration::from_millis(50));
        served.hub.live(Kind::Connection) == 0
    });
    let took = served.hub.clock().now().since(begun);
    assert!(took < Duration::from_secs(25), "by the ladder, before its write deadline: {took:?}");
    drop(held);
}
