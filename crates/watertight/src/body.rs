//! A subscription as an HTTP body, for HTTP/2, TLS, HTTP/1.0 and other people's servers.
//!
//! It is the same cursor as on a plain socket; the body holds one frame at most. Its timer is that of any
//! connection. Because a body is not polled while its reader stalls, the connection beside it watches
//! (`serve/watch.rs`, `guarded.rs`).

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::{Body, Frame as BodyFrame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Sleep;
use watertight_core::{CloseReason, Due, Entry, Frame, Kind, Lifecycle, Piece};
use watertight_wire::{Encoder, HEARTBEAT, unchunk};

use crate::subscription::Subscription;

/// A subscription on its way to whoever delivers it: the body, or the pump that takes the socket over. Stands
/// in the response's extensions until one of them takes it.
#[derive(Debug, Clone)]
pub struct StreamHandle(Arc<Mutex<Option<Subscription>>>);

impl StreamHandle {
    /// Takes the subscription; the other side finds nothing.
    #[must_use]
    pub fn take(&self) -> Option<Subscription> {
        self.0.lock().take()
    }

    /// Runs `with` while it has not been taken.
    pub(crate) fn peek<R>(&self, with: impl FnOnce(&mut Subscription) -> R) -> Option<R> {
        self.0.lock().as_mut().map(with)
    }
}

/// The body. Ends with the hub's goodbye.
#[derive(Debug)]
pub struct SseBody {
    handle: StreamHandle,
    state: Option<Box<State>>,
    done: bool,
}

#[derive(Debug)]
struct State {
    subscription: Subscription,
    life: Lifecycle,
    timer: Pin<Box<Sleep>>,
    _timer: Entry,
    encoder: Encoder,
}

/// A frame's event bytes, shared.
struct EventBytes(Frame);

impl AsRef<[u8]> for EventBytes {
    fn as_ref(&self) -> &[u8] {
        self.0.event()
    }
}

/// The head of a stream: its type, what keeps proxies from buffering it, and what silence means.
#[must_use]
pub fn stream_headers(heartbeat: Duration) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert("heartbeat-interval", HeaderValue::from(heartbeat.as_secs().max(1)));
    headers
}

impl Subscription {
    /// The subscription as an HTTP response: `200`, `text/event-stream`, and what keeps proxies from
    /// buffering it.
    #[must_use]
    pub fn into_http_response(self) -> Response<SseBody> {
        let heartbeat = self.policy().heartbeat;
        let handle = StreamHandle(Arc::new(Mutex::new(Some(self))));
        let mut response = Response::new(SseBody { handle: handle.clone(), state: None, done: false });
        *response.headers_mut() = stream_headers(heartbeat);
        response.extensions_mut().insert(handle);
        response
    }
}

impl State {
    fn begin(subscription: Subscription) -> State {
        let now = subscription.hub().clock().now();
        let life =
            Lifecycle::begin(now, subscription.policy(), subscription.token_expiry(), fastrand::u64(..));
        let timer = Box::pin(tokio::time::sleep(life.next(subscription.policy()).since(now)));
        let entry = subscription.hub().ledger().open(Kind::Timer);
        State { subscription, life, timer, _timer: entry, encoder: Encoder::new() }
    }

    fn opening(&mut self) -> Bytes {
        let retry = self.subscription.hub().inner.retry_hint();
        let (start, gap) = (self.subscription.start(), self.subscription.gaps().first());
        let opening = crate::wire::opening(&mut self.encoder, retry, start, gap);
        Bytes::copy_from_slice(unchunk(&opening))
    }

    fn goodbye(&mut self, reason: CloseReason) -> Bytes {
        let retry = self.subscription.hub().inner.retry_hint();
        Bytes::copy_from_slice(unchunk(crate::wire::goodbye(&mut self.encoder, reason, retry)))
    }

    fn bytes_of(&mut self, piece: Piece) -> Bytes {
        match piece {
            Piece::Event(_, frame) => Bytes::from_owner(EventBytes(frame)),
            Piece::Gap(gap) => {
                Bytes::copy_from_slice(unchunk(crate::wire::gap_block(&mut self.encoder, &gap)))
            }
        }
    }

    /// What the timer asks for; `Ready(Err)` to end.
    fn poll_timer(&mut self, context: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        loop {
            let now = self.subscription.hub().clock().now();
            let policy = Arc::clone(self.subscription.policy());
            match self.life.due(now, &policy) {
                Due::Close(reason) => return Poll::Ready(Err(reason)),
                Due::Heartbeat => {
                    self.life.wrote(now, false);
                    return Poll::Ready(Ok(()));
                }
                Due::Revalidate => {
                    self.life.revalidate_at =
                        policy.revalidate.map_or(watertight_core::Tick::NEVER, |every| now.after(every));
                }
                Due::Wait(next) => {
                    let wait = next.since(now).max(Duration::from_millis(1));
                    self.timer.as_mut().reset(tokio::time::Instant::now() + wait);
                    match self.timer.as_mut().poll(context) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(()) => {}
                    }
                }
            }
        }
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, CloseReason>> {
        let now = self.subscription.hub().clock().now();
        // An end that is due comes before more events: a reader that is never level must not outlive it.
        if let Due::Close(reason) = self.life.due(now, self.subscription.policy()) {
            return Poll::Ready(Err(reason));
        }
        match self.subscription.poll_piece(context) {
            Poll::Ready(Ok(piece)) => {
                self.life.wrote(now, false);
                Poll::Ready(Ok(self.bytes_of(piece)))
            }
            Poll::Ready(Err(reason)) => Poll::Ready(Err(reason)),
            Poll::Pending => match self.poll_timer(context) {
                Poll::Ready(Ok(())) => Poll::Ready(Ok(Bytes::from_static(HEARTBEAT))),
                Poll::Ready(Err(reason)) => Poll::Ready(Err(reason)),
                Poll::Pending => Poll::Pending,
            },
        }
    }
}

impl Body for SseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Infallible>>> {
        if self.done {
            return Poll::Ready(None);
        }
        let Some(state) = &mut self.state else {
            let Some(subscription) = self.handle.take() else {
                // A pump took it: this body is never sent.
                self.done = true;
                return Poll::Ready(None);
            };
            let state = self.state.insert(Box::new(State::begin(subscription)));
            return Poll::Ready(Some(Ok(BodyFrame::data(state.opening()))));
        };
        let bytes = match state.poll_next(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(bytes)) => bytes,
            Poll::Ready(Err(reason)) => {
                let goodbye = state.goodbye(reason);
                state.subscription.record().close(reason);
                // Gives cursor and counts back now, not when the connection gets round to it.
                self.state = None;
                self.done = true;
                goodbye
            }
        };
        Poll::Ready(Some(Ok(BodyFrame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.done
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::new()
    }
}

#[cfg(feature = "axum")]
impl axum::response::IntoResponse for Subscription {
    fn into_response(self) -> axum::response::Response {
        self.into_http_response().map(axum::body::Body::new)
    }
}
