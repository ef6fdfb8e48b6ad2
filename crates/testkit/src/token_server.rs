//! A server of streams that lets in whoever has a token which is good at the moment, and nobody else.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::acceptor::Acceptor;

/// Longest head it reads, bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

const REFUSAL: &str =
    "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

const STREAM: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\nretry: 100\n\n";

#[derive(Debug, Default)]
struct Shared {
    good: Mutex<HashSet<String>>,
    accepted: AtomicU64,
    refused: AtomicU64,
}

/// The server. It says one event per stream, whose data is the token it came for, and keeps the stream open.
/// Dropping it closes everything and waits for its threads.
#[derive(Debug)]
pub struct TokenServer {
    acceptor: Acceptor,
    shared: Arc<Shared>,
}

impl TokenServer {
    /// Listens on a free port of loopback. No token is good yet.
    ///
    /// # Panics
    /// When there is no port.
    #[must_use]
    pub fn start() -> TokenServer {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        TokenServer { acceptor: Acceptor::start(move |client| serve(&theirs, client)), shared }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.acceptor.address())
    }

    /// Makes a token good, beside those that are.
    pub fn allow(&self, token: &str) {
        self.shared.good.lock().unwrap().insert(token.to_owned());
    }

    /// Makes a token bad. Streams that are open stay so.
    pub fn revoke(&self, token: &str) {
        self.shared.good.lock().unwrap().remove(token);
    }

    /// Ends every stream there is.
    pub fn cut(&self) {
        self.acceptor.cut();
    }

    /// Connections open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.acceptor.open()
    }

    /// Streams ever begun.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Requests ever answered with 401.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }
}

fn serve(shared: &Shared, mut socket: &TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut scratch = [0; 1024];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let count = socket.read(&mut scratch)?;
        if count == 0 || head.len() > HEAD_BYTES_MAX {
            return Ok(());
        }
        head.extend_from_slice(&scratch[..count]);
    }
    let head = String::from_utf8_lossy(&head);
    let token = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("authorization").then(|| value.strip_prefix("Bearer "))?
    });
    let Some(token) = token.filter(|token| shared.good.lock().unwrap().contains(*token)) else {
        shared.refused.fetch_add(1, Ordering::Relaxed);
        return socket.write_all(REFUSAL.as_bytes());
    };
    let number = shared.accepted.fetch_add(1, Ordering::Relaxed);
    socket.write_all(format!("{STREAM}id: {number}\ndata: {token}\n\n").as_bytes())?;
    // Until the client closes, or the stream is cut.
    while socket.read(&mut scratch)? > 0 {}
    Ok(())
}
