//! What one publish costs the allocator, on a connection that is kept: the whole way from the socket to the answer, with
//! the delivery to a subscriber.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use allocation_counter::measure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use watertight::{Gate, Hub, HubConfig, Server};
use watertight_server::config::Config;
use watertight_server::{App, DroppedLines, application};

const ROUNDS: u64 = 1000;
const PER_PUBLISH_MAX: f64 = 6.0;

#[test]
fn a_publish_of_a_kilobyte_costs_few_allocations() {
    // One thread, whose allocations are counted; the client in it makes none.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut pair, stop, mut serving) = runtime.block_on(async {
        let hub = Hub::new(HubConfig { shards: Some(1), ..HubConfig::default() }).unwrap();
        let gate = Gate::new(Arc::clone(hub.ledger()), 100, 100);
        let app = App::new(hub.clone(), Arc::new(Config::default()), gate.clone(), DroppedLines::default());
        let server = Server::new(hub, application(app), gate);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let mut serving = JoinSet::new();
        serving.spawn(async move { server.serve(listener, stopped).await });
        let mut pair = Pair::open(address).await;
        // Scratch space grows once; the log becomes full.
        pair.publish(1500).await;
        (pair, stop, serving)
    });
    let measured = measure(|| runtime.block_on(pair.publish(ROUNDS)));
    let per_publish = measured.count_total as f64 / ROUNDS as f64;
    println!("{per_publish} allocations for each publish, of {} bytes", measured.bytes_total / ROUNDS);
    // The event's text, its session's name, its frame.
    assert!(per_publish <= PER_PUBLISH_MAX, "{per_publish}");
    drop(pair);
    stop.cancel();
    runtime.block_on(serving.join_next()).unwrap().unwrap();
}

/// A publisher on a connection that is kept, and a subscriber. Neither allocates once it is open.
struct Pair {
    reader: TcpStream,
    publisher: TcpStream,
    request: Vec<u8>,
    scratch: Vec<u8>,
}

impl Pair {
    async fn open(address: std::net::SocketAddr) -> Pair {
        let mut reader = TcpStream::connect(address).await.unwrap();
        reader.write_all(b"GET /sessions/s/events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut scratch = vec![0; 1 << 20];
        assert!(reader.read(&mut scratch).await.unwrap() > 0);
        let body = format!("{{\"data\":\"{}\"}}", "x".repeat(1024));
        let head = "POST /sessions/s/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json";
        let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes();
        let publisher = TcpStream::connect(address).await.unwrap();
        Pair { reader, publisher, request, scratch }
    }

    async fn publish(&mut self, times: u64) {
        for _ in 0..times {
            self.publisher.write_all(&self.request).await.unwrap();
            let read = self.publisher.read(&mut self.scratch).await.unwrap();
            let answer = String::from_utf8_lossy(&self.scratch[..read]);
            assert!(answer.starts_with("HTTP/1.1 202") && answer.ends_with("\"}"), "{answer}");
            let _ = self.reader.try_read(&mut self.scratch);
        }
    }
}
