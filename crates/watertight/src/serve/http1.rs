//! HTTP/1.1 by hyper, until a stream leaves it.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{HeaderValue, Request, Response, Version, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;
use tracing::debug;
use watertight_core::{Entry, Kind};

use super::activity::{ActiveRequest, Activity};
use super::io::{HeadClock, HttpIo};
use super::lean::{self, Decision, Handover};
use super::watch::StreamWatch;
use super::{ServeLimits, Shared};
use crate::body::StreamHandle;
use crate::guarded::GuardedStream;

/// Calls the router for one connection.
pub(super) struct RouterService {
    shared: Arc<Shared>,
    peer: SocketAddr,
    clock: HeadClock,
    /// Where streams leave HTTP; `None` where they cannot.
    handover: Option<Handover>,
    watch: StreamWatch,
    activity: Activity,
}

impl Service<Request<Incoming>> for RouterService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.clock.head_ended();
        let entry = self.shared.hub.ledger().open(Kind::Request);
        let mut router = self.shared.router.clone();
        let (clock, watch) = (self.clock.clone(), self.watch.clone());
        let handover = self.handover.clone();
        let (peer, shared) = (self.peer, Arc::clone(&self.shared));
        let active = self.activity.begin();
        Box::pin(async move {
            let version = request.version();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            let Ok(mut response) = router.call(request).await;
            let is_stream = response.extensions().get::<StreamHandle>().is_some();
            if !is_stream {
                clock.answered();
            } else if version != Version::HTTP_2 {
                // While a stream goes on, what the peer sends is no next head, and behind it there is none.
                clock.streams();
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            if let Some(handover) = handover
                && clock.is_flushed()
                && handover.take_from(&response, version)
            {
                drop((response, entry, active));
                // The connection's task takes the socket now and drops this future.
                return pending().await;
            }
            watch.note(&response);
            if version == Version::HTTP_11 && shared.is_crowded() {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| counted(body, (entry, active))))
        })
    }
}

/// The body, with the request counted as open until it is sent or dropped.
fn counted(body: Body, open: (Entry, ActiveRequest)) -> Body {
    Body::new(body.map_frame(move |frame| {
        // Moved into the closure: dropped with the body.
        let _ = &open;
        frame
    }))
}

/// One service for one connection.
pub(super) fn service(
    shared: &Arc<Shared>,
    peer: SocketAddr,
    clock: HeadClock,
    handover: Option<Handover>,
    watch: StreamWatch,
    activity: Activity,
) -> RouterService {
    RouterService { shared: Arc::clone(shared), peer, clock, handover, watch, activity }
}

fn builder(limits: &ServeLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // The silence between requests; the head itself has the head clock.
        .header_read_timeout(limits.keep_alive_timeout)
        .max_buf_size(limits.max_head_bytes.max(8192))
        .max_headers(limits.max_headers)
        .half_close(false);
    builder
}

/// Waits for the deadline of the head that is being read, if one is.
struct HeadDeadline {
    clock: HeadClock,
    timer: Option<Pin<Box<Sleep>>>,
}

impl HeadDeadline {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.clock.deadline() else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(context)
    }
}

/// Serves a plain connection; a stream leaves to a pump.
pub(super) async fn serve_lean(
    shared: &Arc<Shared>,
    io: HttpIo<GuardedStream<TcpStream>>,
    peer: SocketAddr,
    stop: &CancellationToken,
) {
    let handover = Handover::default();
    if let Some((decision, io)) = drive(shared, io, peer, Some(handover), stop).await {
        let (stream, guard) = io.into_inner().into_parts();
        if let Some(guard) = guard {
            lean::adopt(decision, stream, guard, peer);
        }
    }
}

/// Serves a connection whose streams stay bodies.
pub(super) async fn serve_bodies<S>(
    shared: &Arc<Shared>,
    io: HttpIo<S>,
    peer: SocketAddr,
    stop: &CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    drive(shared, io, peer, None, stop).await;
}

/// Drives hyper until the connection is over, or until a stream is to leave HTTP: then the decision and the
/// stream it was read from.
async fn drive<S>(
    shared: &Arc<Shared>,
    io: HttpIo<S>,
    peer: SocketAddr,
    handover: Option<Handover>,
    stop: &CancellationToken,
) -> Option<(Decision, HttpIo<S>)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let io = io.by_heads();
    let mut head = HeadDeadline { clock: io.clock(), timer: None };
    let watch = StreamWatch::of_http1(&shared.hub);
    let service = service(shared, peer, io.clock(), handover.clone(), watch.clone(), Activity::default());
    let mut connection = builder(&shared.limits).serve_connection(TokioIo::new(io), service);
    let mut stopped = pin!(stop.cancelled());
    let mut stopping = false;
    let mut stalled = pin!(watch.stalled());
    let decision = poll_fn(|context| {
        if !stopping && stopped.as_mut().poll(context).is_ready() {
            stopping = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        let polled = Pin::new(&mut connection).poll(context);
        if let Some(decision) = handover.as_ref().and_then(Handover::decision) {
            return Poll::Ready(Some(decision));
        }
        if let Poll::Ready(result) = polled {
            if let Err(error) = result {
                watch.note_failure(&error);
                debug!(%error, %peer, "connection ended with an error");
            }
            return Poll::Ready(None);
        }
        if head.poll(context).is_ready() {
            debug!(%peer, reason = "head_timeout", "the head took too long");
            return Poll::Ready(None);
        }
        if stalled.as_mut().poll(context).is_ready() {
            debug!(%peer, "a stream's reader stalls");
            return Poll::Ready(None);
        }
        Poll::Pending
    })
    .await;
    // What hyper read behind the request is thrown away, as the pump does with what comes later.
    Some((decision?, connection.into_parts().io.into_inner()))
}
