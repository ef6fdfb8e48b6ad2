//! A subscription as an HTTP body, for HTTP/2 and other people's servers.
//!
//! It is the same cursor and the same life as on a socket; the body holds one frame at most. It has no
//! timer: a body is not polled while its reader stalls, so the keeper fires the timer of its life, and the
//! connection beside it waits for the life's end (`serve/watch.rs`).

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::{Body, Frame as BodyFrame, SizeHint};
use parking_lot::Mutex;
use watertight_core::{Delivery, End, Frame, Piece};
use watertight_wire::{Encoder, HEARTBEAT, SOURCE_BACK, WAITING, unchunk};

use crate::source::SourceNews;
use crate::subscription::{Step, Subscription};

/// A subscription that waits for its delivery: the body, or the pump that takes the socket over. It is in the
/// response's extensions until one of them takes it.
#[derive(Debug, Clone)]
pub struct StreamHandle(Arc<Handed>);

#[derive(Debug)]
struct Handed {
    subscription: Mutex<Option<Subscription>>,
    /// Its body is asked to show itself.
    asked: AtomicBool,
}

/// What a body says of its length if it is asked to show itself. No body can be so long.
const SHOWN: u64 = u64::MAX;

impl StreamHandle {
    /// Takes the subscription; the other side finds nothing.
    #[must_use]
    pub fn take(&self) -> Option<Subscription> {
        self.0.subscription.lock().take()
    }

    /// Runs `with` while it has not been taken.
    pub(crate) fn peek<R>(&self, with: impl FnOnce(&mut Subscription) -> R) -> Option<R> {
        self.0.subscription.lock().as_mut().map(with)
    }

    /// Whether `body` is this stream's own, or one that says the same of its length: middleware that changes the bytes
    /// of a body cannot pass its length on.
    pub(crate) fn is_delivered_by<B: Body>(&self, body: &B) -> bool {
        self.0.asked.store(true, Ordering::Relaxed);
        let shown = body.size_hint().lower();
        self.0.asked.store(false, Ordering::Relaxed);
        shown == SHOWN
    }
}

/// The body. Ends with the hub's closing event.
#[derive(Debug)]
pub struct SseBody {
    handle: StreamHandle,
    reading: Option<Box<Reading>>,
    done: bool,
}

/// Has no encoder of its own: what it says beside events is rare, and the scratch space would be held all the while.
#[derive(Debug)]
struct Reading {
    subscription: Subscription,
}

/// A frame's event bytes, shared.
struct EventBytes(Frame);

impl AsRef<[u8]> for EventBytes {
    fn as_ref(&self) -> &[u8] {
        self.0.event()
    }
}

/// The head of a stream: its type, and the headers that keep caches from storing and proxies from buffering it.
#[must_use]
pub fn stream_headers(heartbeat: Duration) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Origin"));
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
        let subscription = self.delivered_by(Delivery::Body, End::PeerClosed);
        let heartbeat = subscription.record().with_life(|life| life.policy().heartbeat).unwrap_or_default();
        let subscription = Mutex::new(Some(subscription));
        let handle = StreamHandle(Arc::new(Handed { subscription, asked: AtomicBool::new(false) }));
        let mut response = Response::new(SseBody { handle: handle.clone(), reading: None, done: false });
        *response.headers_mut() = stream_headers(heartbeat);
        response.extensions_mut().insert(handle);
        response
    }
}

impl Reading {
    /// What the stream begins with. The gaps that come first are told after it.
    fn opening(&mut self) -> Bytes {
        self.subscription.record().start_reading();
        let retry = self.subscription.hub().state.retry_hint();
        let (start, gap) = (self.subscription.start(), self.subscription.gaps().next());
        let opening = crate::wire::opening(&mut Encoder::new(), retry, start, gap);
        if !self.subscription.source_waits() {
            return Bytes::copy_from_slice(unchunk(&opening));
        }
        [unchunk(&opening), WAITING].concat().into()
    }

    fn bytes_of(&mut self, step: Step) -> Bytes {
        match step {
            Step::Heartbeat if self.subscription.source_waits() => Bytes::from_static(WAITING),
            Step::Heartbeat => Bytes::from_static(HEARTBEAT),
            Step::Source(SourceNews::Back) => Bytes::from_static(SOURCE_BACK),
            // The closing event of a broken one follows.
            Step::Source(SourceNews::Waiting | SourceNews::Broken) => Bytes::from_static(WAITING),
            Step::Piece(Piece::Event(_, frame)) => Bytes::from_owner(EventBytes(frame)),
            Step::Piece(Piece::Gap(gap)) => {
                Bytes::copy_from_slice(unchunk(crate::wire::gap_block(&mut Encoder::new(), &gap)))
            }
            Step::Closed(reason) => {
                let retry = self.subscription.hub().state.retry_hint();
                Bytes::copy_from_slice(unchunk(crate::wire::closing_event(
                    &mut Encoder::new(),
                    reason,
                    retry,
                )))
            }
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
        let Some(reading) = &mut self.reading else {
            let Some(subscription) = self.handle.take() else {
                // A pump took it: this body is never sent.
                self.done = true;
                return Poll::Ready(None);
            };
            let reading = Reading { subscription };
            let opening = self.reading.insert(Box::new(reading)).opening();
            return Poll::Ready(Some(Ok(BodyFrame::data(opening))));
        };
        let step = ready!(reading.subscription.poll_step(context));
        let is_last = matches!(step, Step::Closed(_));
        let bytes = reading.bytes_of(step);
        if is_last {
            self.reading = None;
            self.done = true;
        }
        Poll::Ready(Some(Ok(BodyFrame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.done
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        // Asked and answered in one thread, without anything in between.
        if self.handle.0.asked.load(Ordering::Relaxed) {
            hint.set_lower(SHOWN);
        }
        hint
    }
}

impl Drop for SseBody {
    fn drop(&mut self) {
        // Whoever replaced this body delivers nothing of it. If a pump took the stream there is nothing left here.
        drop(self.handle.take());
    }
}

#[cfg(feature = "axum")]
impl axum::response::IntoResponse for Subscription {
    fn into_response(self) -> axum::response::Response {
        self.into_http_response().map(axum::body::Body::new)
    }
}
