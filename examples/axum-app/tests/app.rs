//! What the example promises: a stream, nothing lost across a reconnect, nothing left afterwards. Once with
//! each way of serving.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;
use watertight::{Hub, HubConfig};
use watertight_example_axum::{serve, serve_plain, tick};

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// An application on a free port.
struct Running {
    hub: Hub,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinSet<()>,
    publishers: JoinSet<()>,
}

impl Running {
    async fn start(is_plain: bool) -> Running {
        let hub = Hub::new(HubConfig::default()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let mut server = JoinSet::new();
        server.spawn({
            let hub = hub.clone();
            async move {
                let stopped = async move { drop(stopped.await) };
                if is_plain {
                    serve_plain(hub, listener, stopped).await.unwrap();
                } else {
                    serve(hub, listener, stopped).await;
                }
            }
        });
        let mut publishers = JoinSet::new();
        publishers.spawn(tick(hub.clone(), Duration::from_millis(5)));
        Running { hub, address, stop, server, publishers }
    }

    fn live(&self, kind: &str) -> u64 {
        let stats = self.hub.stats();
        stats.ledger.iter().find(|(name, _)| *name == kind).expect("a kind of the ledger").1.live()
    }

    /// Waits until nothing of this kind is open.
    async fn none_left(&self, kind: &str) {
        let none = async {
            while self.live(kind) > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let left = || panic!("{} of kind {kind} are left", self.live(kind));
        timeout(PATIENCE, none).await.unwrap_or_else(|_| left());
    }
}

/// A subscriber with a socket of its own. Dropping it closes the socket.
struct Reader(BufReader<TcpStream>);

impl Reader {
    async fn open(address: SocketAddr, last_event_id: Option<&str>) -> Reader {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let id = last_event_id.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let head = format!("GET /clock HTTP/1.1\r\nHost: example\r\n{id}\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        Reader(BufReader::new(socket))
    }

    /// The value of the next line with this field. The lines of the chunked encoding between are passed over.
    async fn field(&mut self, name: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let read = timeout(PATIENCE, self.0.read_line(&mut line)).await.expect("a line in time").unwrap();
            assert!(read > 0, "the stream ended before a line with {name}");
            assert!(!line.starts_with("event: gap"), "events are missing");
            if let Some(value) = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")) {
                return value.trim_end().to_owned();
            }
        }
    }

    /// Id and data of the next tick.
    async fn tick(&mut self) -> (String, u64) {
        let id = self.field("id").await;
        (id, self.field("data").await.parse().unwrap())
    }
}

async fn a_reader_that_comes_back_misses_nothing(is_plain: bool) {
    let mut running = Running::start(is_plain).await;
    let mut reader = Reader::open(running.address, None).await;
    // Where the stream begins, before any event.
    reader.field("id").await;
    let (_, first) = reader.tick().await;
    let (id, second) = reader.tick().await;
    assert_eq!(second, first + 1);
    drop(reader);
    running.none_left("connection").await;
    let published = || running.hub.session("clock").unwrap().head();
    let while_away = published() + 10;
    while published() < while_away {
        tokio::task::yield_now().await;
    }
    let mut reader = Reader::open(running.address, Some(&id)).await;
    assert_eq!(reader.field("id").await, id, "a stream that is resumed begins where it was left");
    for expected in second + 1..second + 20 {
        assert_eq!(reader.tick().await.1, expected);
    }
    drop(reader);
    for kind in ["connection", "subscription", "timer", "request"] {
        running.none_left(kind).await;
    }
    running.publishers.shutdown().await;
}

async fn readers_are_told_when_it_stops(is_plain: bool) {
    let mut running = Running::start(is_plain).await;
    let mut reader = Reader::open(running.address, None).await;
    reader.tick().await;
    running.stop.send(()).unwrap();
    while reader.field("event").await != "error" {}
    let closing_event = reader.field("data").await;
    assert!(closing_event.contains("SHUTTING_DOWN"), "{closing_event}");
    let mut rest = Vec::new();
    timeout(PATIENCE, reader.0.read_to_end(&mut rest)).await.expect("the stream ends").unwrap();
    timeout(PATIENCE, running.server.join_next()).await.expect("the server ends").unwrap().unwrap();
    running.publishers.shutdown().await;
    assert_eq!(running.hub.stats().subscribers, 0);
    assert_eq!(
        ["connection", "timer", "request"].map(|kind| {
            let stats = running.hub.stats();
            stats.ledger.iter().find(|(name, _)| *name == kind).unwrap().1.live()
        }),
        [0, 0, 0]
    );
}

#[tokio::test]
async fn a_reader_that_comes_back_misses_nothing_with_watertights_accept_loop() {
    a_reader_that_comes_back_misses_nothing(false).await;
}

#[tokio::test]
async fn a_reader_that_comes_back_misses_nothing_with_axum_serve() {
    a_reader_that_comes_back_misses_nothing(true).await;
}

#[tokio::test]
async fn readers_are_told_when_it_stops_with_watertights_accept_loop() {
    readers_are_told_when_it_stops(false).await;
}

#[tokio::test]
async fn readers_are_told_when_it_stops_with_axum_serve() {
    readers_are_told_when_it_stops(true).await;
}

/// Sends one request on a connection of its own; returns the answer up to its end, or what came until the text did.
async fn ask(address: SocketAddr, head: &str, until: Option<&str>) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let close = if until.is_none() { "Connection: close\r\n" } else { "" };
    socket
        .write_all(format!("{head} HTTP/1.1\r\nHost: example\r\nx-user: ada\r\n{close}\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = Vec::new();
    let text = |answer: &[u8]| String::from_utf8_lossy(answer).into_owned();
    while until.is_none_or(|until| !text(&answer).contains(until)) {
        if timeout(PATIENCE, socket.read_buf(&mut answer)).await.expect("an answer in time").unwrap() == 0 {
            break;
        }
    }
    text(&answer)
}

async fn a_member_who_leaves_watches_no_longer(is_plain: bool) {
    let running = Running::start(is_plain).await;
    let address = running.address;
    assert!(ask(address, "GET /members", None).await.starts_with("HTTP/1.1 403"));
    assert!(ask(address, "PUT /members/ada", None).await.starts_with("HTTP/1.1 204"));
    let mut watching = JoinSet::new();
    watching.spawn(async move { ask(address, "GET /members", Some("FORBIDDEN")).await });
    while running.live("access") == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(ask(address, "DELETE /members/ada", None).await.ends_with("1 streams closed\n"));
    let told = watching.join_next().await.unwrap().unwrap();
    assert!(told.contains("\"code\":\"FORBIDDEN\""), "{told}");
    assert!(ask(address, "GET /members", None).await.starts_with("HTTP/1.1 403"));
    running.none_left("access").await;
    running.none_left("subscription").await;
}

#[tokio::test]
async fn a_member_who_leaves_watches_no_longer_by_our_accept_loop() {
    a_member_who_leaves_watches_no_longer(false).await;
}

#[tokio::test]
async fn a_member_who_leaves_watches_no_longer_by_axum_serve() {
    a_member_who_leaves_watches_no_longer(true).await;
}
