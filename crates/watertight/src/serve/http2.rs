//! HTTP/2 by hyper: bounded in streams, buffers and patience. Each stream is an ordinary body.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;
use watertight_core::{Kind, Ledger};

use super::Shared;
use super::activity::Activity;
use super::http1::service;
use super::io::HttpIo;
use super::watch::StreamWatch;

/// Bytes in flight per stream and per connection, and per frame. Small: events are.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
const FRAME_BYTES: u32 = 16 * 1024;
/// What hyper may hold for a stream whose peer does not read.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Streams reset before they were accepted, and resets we caused ourselves, before the connection is closed
/// (CVE-2023-44487, CVE-2025-8671).
const RESETS_MAX: usize = 32;

/// How long a connection may stay after it was told to go.
const GOAWAY_GRACE: Duration = Duration::from_secs(5);

/// Spawns a connection's streams so that the server owns them and the ledger counts them.
#[derive(Clone)]
struct OwnedTasks {
    tasks: TaskTracker,
    ledger: Arc<Ledger>,
}

impl<F> Executor<F> for OwnedTasks
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, future: F) {
        let entry = self.ledger.open(Kind::Task);
        self.tasks.spawn(async move {
            let _entry = entry;
            future.await;
        });
    }
}

/// Serves an HTTP/2 connection.
pub(super) async fn serve<S>(shared: &Arc<Shared>, io: HttpIo<S>, peer: SocketAddr, stop: &CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let tasks = OwnedTasks { tasks: shared.tasks.clone(), ledger: Arc::clone(shared.hub.ledger()) };
    let limits = &shared.limits;
    let head_bytes = u32::try_from(limits.max_head_bytes).unwrap_or(u32::MAX);
    let mut builder = http2::Builder::new(tasks);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_http2_streams)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .max_header_list_size(head_bytes)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(Some(RESETS_MAX))
        .keep_alive_interval(Some(shared.hub.config().heartbeat_interval))
        .keep_alive_timeout(shared.hub.config().half_open_timeout);
    let watch = StreamWatch::of_http2();
    let clock = io.clock();
    let activity = Activity::default();
    let service = service(shared, peer, clock, None, watch.clone(), activity.clone());
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    let mut stopped = pin!(stop.cancelled());
    let mut stalled = pin!(watch.stalled());
    let patience = limits.keep_alive_timeout;
    // Told to go after a while without requests; who does not go is cut off.
    let mut idle = pin!(activity.idle_for(patience));
    let mut cut_off = pin!(activity.idle_for(patience + GOAWAY_GRACE));
    let mut stopping = false;
    poll_fn(|context| {
        if !stopping {
            stopping = idle.as_mut().poll(context).is_ready() || stopped.as_mut().poll(context).is_ready();
            if stopping {
                connection.as_mut().graceful_shutdown();
            }
        }
        if cut_off.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        if let Poll::Ready(result) = connection.as_mut().poll(context) {
            if let Err(error) = result {
                watch.note_failure(&error);
                debug!(%error, %peer, "connection ended with an error");
            }
            return Poll::Ready(());
        }
        stalled.as_mut().poll(context)
    })
    .await;
}
