//! A server around a test hub, and what reads from it byte by byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use watertight::{Gate, Hub, HubConfig, Resume, Server, SubscribeOptions, Subscription};

use super::TestHub;

/// A server around a test hub, ended and waited for on drop.
pub struct Served {
    pub hub: TestHub,
    pub address: SocketAddr,
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Served {
    pub fn new(config: HubConfig) -> Served {
        Served::with_options(TestHub::new(config), SubscribeOptions::default())
    }

    /// Streams are opened with these options.
    pub fn with_options(hub: TestHub, options: SubscribeOptions) -> Served {
        let router = Router::new().route("/{session}", get(subscribe)).with_state((hub.hub.clone(), options));
        Served::with_router(hub, router)
    }

    /// Somebody's own application.
    pub fn with_router(hub: TestHub, router: Router) -> Served {
        Served::with(hub, router, |server| server)
    }

    /// The same over TLS.
    pub fn over_tls(hub: TestHub, router: Router, tls: Arc<rustls::ServerConfig>) -> Served {
        Served::with(hub, router, |server| server.tls(tls))
    }

    fn with(hub: TestHub, router: Router, set: impl FnOnce(Server) -> Server) -> Served {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a listener for the runtime");
        let address = listener.local_addr().expect("an address");
        let gate = Gate::new(hub.ledger().clone(), 1000, 1000);
        let stop = CancellationToken::new();
        let server = set(Server::new(hub.hub.clone(), router, gate));
        let stopped = stop.clone();
        // On a thread of its own, so that tests may be tasks of another runtime.
        let thread = std::thread::spawn(move || {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            let runtime = builder.worker_threads(1).enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("a listener");
                server.serve(listener, stopped.cancelled_owned()).await;
            });
        });
        Served { hub, address, stop, thread: Some(thread) }
    }

    pub fn open(&self, session: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a deadline");
        write!(stream, "GET /{session} HTTP/1.1\r\nHost: hub\r\n\r\n").expect("a request");
        read_until(&mut stream, "\n\n\r\n");
        stream
    }

    pub fn stop(&mut self) {
        self.stop.cancel();
        // The closing events are written by the pumps, whose time the test moves: in step, so that none cuts off a reader
        // before it had a turn to tell it.
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            self.hub.advance_in_step(Duration::from_millis(250));
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

async fn subscribe(
    State((hub, options)): State<(Hub, SubscribeOptions)>,
    Path(session): Path<String>,
) -> Result<Subscription, StatusCode> {
    hub.subscribe_with(&session, Resume::Live, options).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}

/// Reads until the text has come; returns everything read.
pub fn read_until(stream: &mut TcpStream, text: &str) -> String {
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
