//! What Watertight's tests are built on: the real binary, real sockets, and a ledger that is checked on drop.
//!
//! Synchronous and plain on purpose: a test reads from top to bottom, and every wait has a deadline after which
//! it fails with what it saw last. Nothing here knows the hub's insides: it speaks HTTP and reads `/proc`.
//!
//! ```no_run
//! # const WATERTIGHT: &str = "target/debug/watertight";
//! use watertight_testkit::HubProcess;
//!
//! // in a test of the binary's crate: HubProcess::start(env!("CARGO_BIN_EXE_watertight"))
//! let hub = HubProcess::builder(WATERTIGHT).flag("--heartbeat-interval", "0.2").start();
//! let mut stream = hub.subscribe("demo");
//! hub.publish_text("demo", "hello");
//! assert_eq!(stream.next_event().data, "hello");
//! // `hub` is dropped last: it asserts that the ledger, the descriptors and /proc are back at the start
//! ```
//!
//! # Layout
//!
//! | module | what it holds |
//! |---|---|
//! | [`hub`] | [`HubProcess`]: starts the binary, stops it gracefully, asserts that everything came back |
//! | [`stats`] | [`Stats`], [`Ledger`]: what `GET /stats` said, compared and asserted |
//! | [`process`] | [`Process`]: memory, CPU time, descriptors, threads and sockets from `/proc` |
//! | [`raw`] | [`RawConnection`]: literal bytes over a socket with options, half close, reset |
//! | [`http`] | [`Client`], [`Response`]: one request, one answer |
//! | [`http2`] | [`Http2`]: literal HTTP/2 frames |
//! | [`pipeline`] | [`Pipeline`]: many requests over one connection |
//! | [`sse`] | [`SseReader`]: the events of a stream, one by one |
//! | [`decode`] | [`StreamDecoder`]: head, chunks and events from bytes cut anywhere |
//! | [`crowd`] | [`Crowd`]: thousands of streams in one thread |
//! | [`proxy`] | [`FaultProxy`]: a network that fails on command |
//! | [`http_proxy`] | [`HttpProxy`]: a proxy with `CONNECT`, absolute form, a user and a password |
//! | [`network`] | [`Network`]: two hosts whose link can be cut |
//! | [`ports`] | [`free_address`]: a port for a server that must be told its own |
//! | [`program`] | [`Program`]: another program, its output, its end |
//! | [`token_server`] | [`TokenServer`]: a server that accepts tokens which are valid at the moment |
//! | [`redis`] | [`Redis`]: a `redis-server`, killed, paused and started again; [`Sentinel`], [`RedisCluster`] |
//! | [`webhook`] | [`WebhookServer`]: an application that is asked, with answers down to the byte |
//! | [`transport`] | [`Transport`]: plain or TLS, said of the hub; [`both_transports!`]: a test for each |
//! | [`tls`] | certificates for a hub that speaks TLS, and a client that trusts any |
//! | [`soak`] | the model checker: random load, compared with a model |
//! | [`random`] | random numbers that can be repeated from a seed |
//! | [`eventually`](mod@eventually) | [`eventually!`]: wait for a condition, never sleep |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, and measure real time"
)]

pub mod crowd;
pub mod decode;
pub mod eventually;
pub mod http;
pub mod http2;
pub mod http_proxy;
pub mod hub;
pub mod network;
pub mod pipeline;
pub mod ports;
pub mod process;
pub mod program;
pub mod proxy;
pub mod random;
pub mod raw;
pub mod redis;
pub mod soak;
pub mod sse;
pub mod stats;
pub mod tls;
pub mod token_server;
pub mod transport;
pub mod webhook;

mod acceptor;
mod balance;
mod ending;
mod files;

pub use crowd::{Crowd, Seen};
pub use decode::{Head, StreamDecoder};
pub use eventually::timed;
pub use files::raise_open_files;
pub use http::{Client, Response};
pub use http_proxy::HttpProxy;
pub use http2::Http2;
pub use hub::{HubBuilder, HubProcess};
pub use network::Network;
pub use pipeline::Pipeline;
pub use ports::free_address;
pub use process::Process;
pub use program::Program;
pub use proxy::{Cut, FaultProxy, Mode};
pub use random::seeded;
pub use raw::{ConnectOptions, RawConnection};
pub use redis::{Redis, RedisCluster, Sentinel};
pub use rustix::process::Signal;
pub use sse::{ClosingEvent, End, Gap, SseEvent, SseItem, SseReader};
pub use stats::{Counts, Ledger, Stats};
pub use tls::Certificate;
pub use token_server::TokenServer;
pub use transport::{Endpoint, Transport};
pub use webhook::{Asked, Reply, WebhookServer};

use std::time::Duration;

/// How long anything that should happen at once may take on a busy machine before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);
