//! The accept loop: every connection counted, every phase of a request under a time limit.
//!
//! On HTTP/1.x, plain or over TLS, a stream leaves HTTP behind: hyper parses the request, the router decides head
//! and status, and then a pump takes the socket over, together with its TLS (`lean.rs`). On HTTP/2 the same
//! subscription feeds an ordinary body. Knows the router only as a service; knows no paths.
//!
//! | file | phase |
//! |---|---|
//! | `accept.rs` | accepting, what is kept back |
//! | `connection.rs` | what each connection goes through |
//! | `tls.rs` | TLS, as long as hyper is there |
//! | `heads.rs` | heads before hyper; HTTP/1.1 or HTTP/2? |
//! | `at_once.rs`, `whole.rs` | requests that are answered before hyper: found, asked for, written |
//! | `io.rs`, `phase.rs` | what hyper reads from and writes to; where a connection stands, the head's clock |
//! | `http1.rs`, `lean.rs` | HTTP/1.1, and how a socket leaves it |
//! | `http2.rs` | HTTP/2, and the reset of streams that nobody takes |
//! | `service.rs`, `in_flight.rs` | each request: its permit, its charges, the router |
//! | `awaited.rs` | the body of each request on HTTP/1: says when more of it is waited for |
//! | `answer.rs` | each answer: in pieces, until the last byte was taken |
//! | `permits.rs`, `charge.rs`, `refusal.rs` | permits shared by address, what things hold, refusals before the router |
//! | `watch.rs`, `activity.rs` | streams whose reader stalls, connections without requests |

mod accept;
mod activity;
mod answer;
mod application;
mod at_once;
mod awaited;
mod charge;
mod connection;
mod date;
mod head;
mod heads;
mod http1;
mod http2;
mod in_flight;
mod io;
mod lean;
mod permits;
mod phase;
mod refusal;
mod service;
mod tls;
mod watch;
mod whole;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::answer::MadeInPieces;
pub use self::application::{Answering, Application, Arrival};
use self::charge::SPARE_CONNECTIONS;
pub use self::in_flight::{InFlight, NoPermit};
use self::permits::FairPermits;
pub use self::whole::{AnswerBytes, AtOnce, WholeRequest};
use crate::gate::Gate;
use crate::hub::Hub;
use crate::peer::Listener;

/// Connections kept back for health and for refusals while there is no room for others.
const KEPT_BACK_CONNECTIONS: usize = 128;

/// Says whether a request is answered whatever is full: short work, such as health.
pub type AlwaysAnswered = fn(&Method, &str) -> bool;

/// Completes the headers of a refusal that the router does not see, given those of the request: so that a web page of
/// another origin can read it (CORS).
pub type CompleteRefusal = Arc<dyn Fn(&HeaderMap, &mut HeaderMap) + Send + Sync>;

/// A time limit for each phase of a request, and a size for each thing that is held meanwhile.
#[derive(Debug, Clone)]
pub struct ServeLimits {
    /// From the connection to its first byte.
    pub first_byte_timeout: Duration,
    /// From a head's first byte to its last.
    pub head_timeout: Duration,
    /// The TLS handshake.
    pub tls_handshake_timeout: Duration,
    /// Between two requests of a connection. Longer than any proxy in front keeps an idle connection.
    pub keep_alive_timeout: Duration,
    /// Largest head, bytes; hyper needs 8 KiB at least.
    pub max_head_bytes: usize,
    /// Headers of a request.
    pub max_headers: usize,
    /// Requests that may be in flight at once, over all protocols. A stream is none, nor is a request that
    /// waits as an [`InFlight`] that has paused. An address takes what is free down to the last quarter.
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
            keep_alive_timeout: Duration::from_secs(125),
            max_head_bytes: 16 * 1024,
            max_headers: 64,
            max_requests_in_flight: 1024,
            max_http2_streams: 128,
            shutdown_grace: Duration::from_secs(8),
        }
    }
}

/// A server: a hub, an application that answers with subscriptions, and limits.
pub struct Server {
    hub: Hub,
    application: Arc<dyn Application>,
    gate: Gate,
    limits: ServeLimits,
    tls: Option<Arc<ServerConfig>>,
    always_answered: AlwaysAnswered,
    complete_refusal: Option<CompleteRefusal>,
}

/// What the connections of a server share.
struct Shared {
    hub: Hub,
    application: Arc<dyn Application>,
    gate: Gate,
    limits: ServeLimits,
    tls: Option<Arc<ServerConfig>>,
    always_answered: AlwaysAnswered,
    complete_refusal: Option<CompleteRefusal>,
    /// Requests in flight.
    requests: FairPermits,
    /// Connections kept back beyond the limit, for health and for refusals. Any more are closed at once.
    reserve: FairPermits,
    /// Connections that are served although the budget is full.
    spare: FairPermits,
    /// Cancelled when the server stops: connections end as soon as they may.
    stop: CancellationToken,
    /// Cancelled when the grace is over, or when serving is given up: connections end at once.
    abort: CancellationToken,
    /// Every connection's task, and every HTTP/2 stream's.
    tasks: TaskTracker,
}

impl Shared {
    /// Completes the headers of a refusal that the router does not see.
    fn complete_refusal(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        if let Some(complete) = &self.complete_refusal {
            complete(request, answer);
        }
    }
}

impl Server {
    /// A server for an axum router, or another application, that admits connections through `gate`.
    #[must_use]
    pub fn new(hub: Hub, application: impl Application, gate: Gate) -> Server {
        Server {
            hub,
            application: Arc::new(application),
            gate,
            limits: ServeLimits::default(),
            tls: None,
            always_answered: |_, _| false,
            complete_refusal: None,
        }
    }

    /// Other limits.
    #[must_use]
    pub fn limits(mut self, limits: ServeLimits) -> Server {
        self.limits = limits;
        self
    }

    /// Answers these requests whatever is full: connections, requests or memory.
    #[must_use]
    pub fn always_answer(mut self, requests: AlwaysAnswered) -> Server {
        self.always_answered = requests;
        self
    }

    /// Completes the headers of every refusal that is given before the router is asked.
    #[must_use]
    pub fn complete_refusals(mut self, complete: CompleteRefusal) -> Server {
        self.complete_refusal = Some(complete);
        self
    }

    /// Speaks TLS. Offer `h2` and `http/1.1` by ALPN in the configuration. Early data is not accepted: it can be
    /// replayed.
    #[must_use]
    pub fn tls(mut self, config: Arc<ServerConfig>) -> Server {
        let mut config = config;
        if config.max_early_data_size > 0 {
            Arc::make_mut(&mut config).max_early_data_size = 0;
        }
        self.tls = Some(config);
        self
    }

    /// Serves until `stop` completes; then accepts nothing more, tells every subscriber, and returns when all
    /// connections are gone, after the grace at the latest. Dropping the future ends its connections at once;
    /// streams that a pump has taken over belong to the hub and end with [`Hub::shutdown`].
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) {
        self.serve_all(vec![listener.into()], stop).await;
    }

    /// The same at several listeners, over TCP and Unix sockets: they share every limit.
    pub async fn serve_all(self, listeners: Vec<Listener>, stop: impl Future<Output = ()>) {
        let shared = Arc::new(Shared {
            always_answered: self.always_answered,
            complete_refusal: self.complete_refusal,
            requests: FairPermits::new(self.limits.max_requests_in_flight),
            reserve: FairPermits::new(KEPT_BACK_CONNECTIONS),
            spare: FairPermits::new(SPARE_CONNECTIONS),
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
            tasks: TaskTracker::new(),
            hub: self.hub,
            application: self.application,
            gate: self.gate,
            limits: self.limits,
            tls: self.tls,
        });
        // Dropping this future drops the guard, and the connections' tasks end.
        let _ends_all = shared.abort.clone().drop_guard();
        accept::run(&shared, &listeners, stop).await;
        drop(listeners);
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
