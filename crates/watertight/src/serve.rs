//! The accept loop: every connection counted, every phase of a request under a time limit.
//!
//! On plain HTTP/1.1 a stream leaves HTTP behind: hyper parses the request, the router decides head and
//! status, and then a pump takes the socket over (`lean.rs`). With TLS, HTTP/2 or HTTP/1.0 the same
//! subscription feeds an ordinary body. Knows the router only as a service; knows no paths.
//!
//! | file | phase |
//! |---|---|
//! | `accept.rs` | accepting, refusing, stopping |
//! | `sniff.rs` | the first bytes: HTTP/1.1 or HTTP/2? |
//! | `io.rs` | what hyper reads from: bytes read ahead, the head's clock |
//! | `http1.rs`, `lean.rs` | HTTP/1.1, and how a socket leaves it |
//! | `http2.rs` | HTTP/2 |
//! | `watch.rs`, `activity.rs` | streams whose reader stalls, connections without requests |

mod accept;
mod activity;
mod head;
mod http1;
mod http2;
mod io;
mod lean;
mod sniff;
mod watch;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::gate::Gate;
use crate::hub::Hub;

/// A time limit for each phase of a request, and a size for each thing that is held meanwhile.
#[derive(Debug, Clone)]
pub struct ServeLimits {
    /// From the connection to its first byte.
    pub first_byte_timeout: Duration,
    /// From a head's first byte to its last.
    pub head_timeout: Duration,
    /// The TLS handshake.
    pub tls_handshake_timeout: Duration,
    /// Between two requests of a connection.
    pub keep_alive_timeout: Duration,
    /// Largest head, bytes; hyper needs 8 KiB at least.
    pub max_head_bytes: usize,
    /// Headers of a request.
    pub max_headers: usize,
    /// Connections that may be in a request at once; a stream that a pump took over is not.
    pub max_requests_in_flight: usize,
    /// Streams of one HTTP/2 connection.
    pub max_http2_streams: u32,
    /// How long stopping may take.
    pub shutdown_grace: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        ServeLimits {
            first_byte_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            tls_handshake_timeout: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(60),
            max_head_bytes: 16 * 1024,
            max_headers: 64,
            max_requests_in_flight: 1024,
            max_http2_streams: 128,
            shutdown_grace: Duration::from_secs(10),
        }
    }
}

/// A server: a hub, a router that hands out subscriptions, and limits.
pub struct Server {
    hub: Hub,
    router: Router,
    gate: Gate,
    limits: ServeLimits,
    tls: Option<TlsAcceptor>,
}

/// What the connections of a server share.
struct Shared {
    hub: Hub,
    router: Router,
    gate: Gate,
    limits: ServeLimits,
    tls: Option<TlsAcceptor>,
    /// Places in the phase that holds hyper's buffers.
    requests: Semaphore,
    /// Connections that are being refused politely; beyond these they are just closed.
    refusals: Semaphore,
    /// Cancelled when the server stops: connections end as soon as they may.
    stop: CancellationToken,
    /// Cancelled when the grace is over, or when serving is given up: connections end at once.
    abort: CancellationToken,
    /// Every connection's task, and every HTTP/2 stream's.
    tasks: TaskTracker,
}

impl Shared {
    /// Whether places among the requests in flight are scarce: then nobody keeps one between two requests.
    fn is_crowded(&self) -> bool {
        self.requests.available_permits() < self.limits.max_requests_in_flight / 4
    }
}

impl Server {
    /// A server for `router` that admits connections through `gate`.
    #[must_use]
    pub fn new(hub: Hub, router: Router, gate: Gate) -> Server {
        Server { hub, router, gate, limits: ServeLimits::default(), tls: None }
    }

    /// Other limits.
    #[must_use]
    pub fn limits(mut self, limits: ServeLimits) -> Server {
        self.limits = limits;
        self
    }

    /// Speaks TLS. Offer `h2` and `http/1.1` by ALPN in the configuration.
    #[must_use]
    pub fn tls(mut self, config: Arc<rustls::ServerConfig>) -> Server {
        self.tls = Some(TlsAcceptor::from(config));
        self
    }

    /// Serves until `stop` completes; then accepts nothing more, tells every subscriber, and returns when all
    /// connections are gone, after the grace at the latest. Dropping the future ends its connections at once;
    /// streams that a pump has taken over belong to the hub and end with [`Hub::shutdown`].
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) {
        let shared = Arc::new(Shared {
            requests: Semaphore::new(self.limits.max_requests_in_flight),
            refusals: Semaphore::new(64),
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
            tasks: TaskTracker::new(),
            hub: self.hub,
            router: self.router,
            gate: self.gate,
            limits: self.limits,
            tls: self.tls,
        });
        // Dropping this future drops the guard, and the connections' tasks end.
        let _ends_all = shared.abort.clone().drop_guard();
        accept::run(&shared, &listener, stop).await;
        drop(listener);
        shared.stop.cancel();
        shared.tasks.close();
        let grace = shared.limits.shutdown_grace;
        let gone = async {
            tokio::join!(shared.hub.shutdown(grace), shared.tasks.wait());
        };
        if tokio::time::timeout(grace, gone).await.is_err() {
            tracing::warn!(connections = shared.gate.live(), "grace is over, connections are cut off");
        }
    }
}
