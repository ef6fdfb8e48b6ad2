//! A server that says exactly the bytes a test wants said, one connection at a time.

pub(crate) mod hub;
pub(crate) mod memory;

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// The head of a stream, as the hub sends it, but ended by the connection's end.
pub(crate) const STREAM: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nheartbeat-interval: 15\r\n\r\nretry: 100\n\n";

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Script {
    listener: TcpListener,
}

impl Script {
    pub(crate) async fn listen() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.listener.local_addr().unwrap())
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> Peer {
        let (socket, _) = timeout(PATIENCE, self.listener.accept()).await.expect("a connection").unwrap();
        Peer { socket, read: Vec::new() }
    }
}

pub(crate) struct Peer {
    socket: TcpStream,
    read: Vec<u8>,
}

impl Peer {
    /// The next request: its head in lower case, and its body as it came.
    pub(crate) async fn request(&mut self) -> (String, String) {
        loop {
            if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.read[..end + 2]).to_lowercase();
                let length = value(&head, "content-length").map_or(0, |length| length.parse().unwrap());
                if self.read.len() >= end + 4 + length {
                    let body = String::from_utf8_lossy(&self.read[end + 4..end + 4 + length]).into_owned();
                    self.read.drain(..end + 4 + length);
                    return (head, body);
                }
            }
            let count =
                timeout(PATIENCE, self.socket.read_buf(&mut self.read)).await.expect("a request").unwrap();
            assert_ne!(count, 0, "the client closed in the middle of a request");
        }
    }

    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).await.unwrap();
    }

    /// An answer with a body of known length.
    pub(crate) async fn answer(&mut self, status: &str, headers: &str, body: &str) {
        let length = body.len();
        self.say(format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}")).await;
    }

    /// Says that it says no more, and goes on listening.
    pub(crate) async fn end(&mut self) {
        self.socket.shutdown().await.unwrap();
    }

    /// Waits until the client has closed its end.
    pub(crate) async fn closed(&mut self) {
        let mut scratch = [0; 64];
        while timeout(PATIENCE, self.socket.read(&mut scratch)).await.expect("the client closes").unwrap_or(0)
            > 0
        {}
    }
}

/// A header's value in a head in lower case.
pub(crate) fn value<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// Waits until it is so, while other tasks run.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("it comes to be so");
}
