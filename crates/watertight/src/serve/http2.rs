//! HTTP/2 by hyper: with bounded streams, buffers and waiting times. Each stream is an ordinary body, and each
//! is watched by itself: what its peer does not take within the write deadline is reset, and the others go on.
//!
//! hyper polls no body while the peer's window is closed, so the watch stands around hyper's own future of the
//! stream: dropping that resets the stream (RST_STREAM). A task-local ties the answer to it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tracing::debug;
use watertight_core::{CloseReason, End, Kind};

use super::Shared;
use super::activity::Activity;
use super::answer::Taken;
use super::charge::Charge;
use super::http1::Deadline;
use super::io::HttpIo;
use super::service::{Caller, RequestGuards, RouterService};
use super::watch::{StreamWatch, must_go};
use crate::peer::Peer;
use crate::stall::Stall;
use crate::subscription::TaskRecord;

/// Bytes in flight per stream and per connection, and per frame. Small: events are.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// What unread bodies of one connection may fill; charged while a request waits for its permit.
pub(super) const CONNECTION_WINDOW_BYTES: usize = 128 * 1024;
const FRAME_BYTES: u32 = 16 * 1024;
/// What h2 may hold for a stream whose peer does not read: an answer gives it no more than that anyway.
const SEND_BUFFER_BYTES: usize = 32 * 1024;
/// Streams reset before they were accepted, and resets we caused ourselves, before the connection is closed
/// (CVE-2023-44487, CVE-2025-8671).
const RESETS_MAX: usize = 32;

/// How much longer the other streams of a connection may wait, at most, when one of them was reset: a few round trips of a
/// bad line.
const PROLONGED_BY: Duration = Duration::from_millis(1500);

fn prolonged_by(deadline: Duration) -> Duration {
    (deadline / 2).min(PROLONGED_BY)
}

/// How long a connection may stay open after it was told to close.
const GOAWAY_GRACE: Duration = Duration::from_secs(5);

/// The answer of one stream, once there is one.
type AnswerCell = Arc<Mutex<Option<Arc<Taken<RequestGuards>>>>>;

tokio::task_local! {
    /// The stream whose service is running.
    static ANSWER: AnswerCell;
}

/// Lets the stream that is being answered be watched until `taken` says that all was taken.
pub(super) fn watch(taken: &Arc<Taken<RequestGuards>>) {
    // Outside of a stream's task there is nothing to be watched.
    let _ = ANSWER.try_with(|cell| *cell.lock() = Some(Arc::clone(taken)));
}

/// Keeps the head of a stream out of the connection's table of fields (RFC 7541, section 7.1.3): streams last, so that
/// there is little to be gained by it, and each connection would hold over a kilobyte for as long as it lasts.
pub(super) fn forget_head(headers: &mut HeaderMap) {
    if let Ok(date) = HeaderValue::try_from(super::date::now().as_str()) {
        headers.entry(header::DATE).or_insert(date);
    }
    headers.values_mut().for_each(|value| value.set_sensitive(true));
}

/// Spawns a connection's streams so that the server owns them, the ledger counts them, and a write deadline holds.
#[derive(Clone)]
struct OwnedStreams {
    shared: Arc<Shared>,
    /// Streams of this connection that were reset because their peer took nothing.
    resets: Arc<AtomicUsize>,
    /// All of them.
    streams: StreamWatch,
}

impl<F> Executor<F> for OwnedStreams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, future: F) {
        let entry = self.shared.hub.ledger().open(Kind::Task);
        let config = self.shared.hub.config();
        let (deadline, closing_grace) = (config.write_deadline, config.closing_grace);
        let (resets, streams) = (Arc::clone(&self.resets), self.streams.clone());
        let cell = AnswerCell::default();
        let mut untaken =
            Untaken { cell: Arc::clone(&cell), deadline, closing_grace, resets, watch: None, life: None };
        // Made here: a task keeps room for whatever is moved into it, also when it has moved on.
        let mut stream = Box::pin(ANSWER.scope(cell, future));
        self.shared.tasks.spawn(async move {
            let _entry = entry;
            let is_stalled = poll_fn(|context| match stream.as_mut().poll(context) {
                Poll::Ready(_) => Poll::Ready(false),
                Poll::Pending => untaken.poll_stalled(context).map(|()| true),
            })
            .await;
            if is_stalled {
                untaken.end();
                streams.prolong(prolonged_by(deadline));
            }
        });
    }
}

/// The watch over what one stream's peer does not take.
struct Untaken {
    cell: AnswerCell,
    deadline: Duration,
    closing_grace: Duration,
    /// How many of the connection's streams were reset so far.
    resets: Arc<AtomicUsize>,
    /// Runs while something waits.
    watch: Option<Watch>,
    /// Ready when the life of the subscriber behind it asks for the end of the stream.
    life: Option<Pin<Box<dyn Future<Output = bool> + Send>>>,
}

/// A write deadline that runs.
struct Watch {
    /// How much was taken when it began.
    taken: u64,
    /// How many streams of the connection had been reset when it began.
    resets: usize,
    /// It was prolonged once already.
    is_prolonged: bool,
    stall: Stall,
}

impl Untaken {
    /// Ready when the stream is to be reset: bytes wait and none was taken for the whole write deadline, or the life
    /// of the subscriber behind it has ended and its peer does not take the closing event.
    fn poll_stalled(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.life.is_none()
            && let Some(subscriber) = self.subscriber()
        {
            self.life = Some(Box::pin(must_go(subscriber, Some(self.closing_grace))));
        }
        // Once it is over by itself there is nothing to wait for; the body ends and the stream with it.
        if let Some(life) = &mut self.life
            && let Poll::Ready(must_go) = life.as_mut().poll(context)
        {
            if must_go {
                self.resets.fetch_add(1, Ordering::Relaxed);
                return Poll::Ready(());
            }
            self.life = Some(Box::pin(std::future::pending()));
        }
        let waits = |taken: &Arc<Taken<RequestGuards>>| Some((taken.waiting_since()?, taken.waits_for()));
        let Some((taken, waited)) = self.cell.lock().as_ref().and_then(waits) else {
            self.watch = None;
            return Poll::Pending;
        };
        // Nobody polls this when something is taken: the time of that counts, not of this look.
        let left = self.deadline.saturating_sub(waited);
        let resets = self.resets.load(Ordering::Relaxed);
        let begin = || {
            let mut stall = Stall::begin(self.deadline);
            stall.restart(left);
            Watch { taken, resets, is_prolonged: false, stall }
        };
        let watch = self.watch.get_or_insert_with(begin);
        if watch.taken != taken {
            (watch.taken, watch.resets, watch.is_prolonged) = (taken, resets, false);
            watch.stall.restart(left);
        }
        loop {
            ready!(watch.stall.poll_over(context));
            // What one stream's peer does not read may have used up the room of the whole connection: when that stream
            // is reset, the others have a while to go on.
            let next = watch.resets + 1;
            let (now, relaxed) = (watch.resets, Ordering::Relaxed);
            if watch.is_prolonged || self.resets.compare_exchange(now, next, relaxed, relaxed).is_ok() {
                return Poll::Ready(());
            }
            watch.is_prolonged = true;
            watch.stall.restart(prolonged_by(self.deadline));
        }
    }

    fn subscriber(&self) -> Option<Arc<TaskRecord>> {
        self.cell.lock().as_ref().and_then(|taken| taken.guards().subscriber())
    }

    fn end(&self) {
        debug!("a stream of HTTP/2 is reset: its peer takes nothing");
        if let Some(subscriber) = self.subscriber() {
            subscriber.end(End::CutOff(CloseReason::SlowConsumer));
        }
    }
}

/// A connection as hyper drives it.
type Driven<S> = http2::Connection<TokioIo<HttpIo<S>>, RouterService, OwnedStreams>;

/// Has hyper take a connection. No part of [`serve`]: what only begins a connection would be kept room for as long as it
/// lasts.
fn begin<S>(
    shared: &Arc<Shared>,
    io: HttpIo<S>,
    caller: Caller,
    watch: &StreamWatch,
    activity: &Activity,
) -> Pin<Box<Driven<S>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &shared.limits;
    let head_bytes = u32::try_from(limits.max_head_bytes).unwrap_or(u32::MAX);
    let mut builder = http2::Builder::new(OwnedStreams {
        shared: Arc::clone(shared),
        resets: Arc::default(),
        streams: watch.clone(),
    });
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_http2_streams)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(u32::try_from(CONNECTION_WINDOW_BYTES).unwrap_or(u32::MAX))
        .max_frame_size(FRAME_BYTES)
        .max_header_list_size(head_bytes)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(Some(RESETS_MAX))
        .keep_alive_interval(Some(shared.hub.config().heartbeat_interval))
        .keep_alive_timeout(shared.hub.config().half_open_timeout);
    let service = RouterService {
        shared: Arc::clone(shared),
        caller,
        clock: io.clock(),
        handover: None,
        watch: watch.clone(),
        activity: activity.clone(),
    };
    Box::pin(builder.serve_connection(TokioIo::new(io), service))
}

pin_project! {
    /// An HTTP/2 connection that is served. Written out, because an `async fn` keeps room for what it was given beside what it
    /// has made of that, and there may be many connections.
    pub(super) struct Serving<S>
    where
        S: AsyncRead,
        S: AsyncWrite,
        S: Unpin,
        S: Send,
        S: 'static,
    {
        connection: Pin<Box<Driven<S>>>,
        #[pin]
        stopped: WaitForCancellationFutureOwned,
        idle: Deadline,
        // How long it may be idle: until it is told to close, or cut off once it was told.
        patience: Duration,
        was_idle: bool,
        is_stopping: bool,
        watch: StreamWatch,
        activity: Activity,
        peer: Peer,
        // Last: nothing of it is held any more.
        charge: Charge,
    }
}

/// Serves an HTTP/2 connection.
pub(super) fn serve<S>(shared: &Arc<Shared>, io: HttpIo<S>, caller: Caller, charge: Charge) -> Serving<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (watch, activity, peer) = (StreamWatch::of_http2(), Activity::default(), caller.peer);
    Serving {
        connection: begin(shared, io, caller, &watch, &activity),
        stopped: shared.stop.clone().cancelled_owned(),
        idle: Deadline::default(),
        patience: shared.limits.keep_alive_timeout,
        was_idle: false,
        is_stopping: false,
        watch,
        activity,
        peer,
        charge,
    }
}

impl<S> Future for Serving<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let mut is_to_close = !*this.is_stopping && this.stopped.poll(context).is_ready();
        // Told to close (GOAWAY) after a while without requests; a connection that stays open is cut off.
        while this.idle.poll(Some(this.activity.idle_until(*this.patience)), context).is_ready() {
            if *this.was_idle {
                return Poll::Ready(());
            }
            (*this.was_idle, is_to_close) = (true, is_to_close || !*this.is_stopping);
            *this.patience += GOAWAY_GRACE;
        }
        if is_to_close {
            *this.is_stopping = true;
            this.connection.as_mut().graceful_shutdown();
        }
        this.connection.as_mut().poll(context).map(|result| {
            if let Err(error) = result {
                this.watch.note_failure(&error);
                debug!(%error, peer = %this.peer, "connection ended with an error");
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::forget_head;

    #[test]
    fn no_field_of_a_streams_head_goes_into_the_connections_table_not_even_its_date() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.append(header::VARY, HeaderValue::from_static("Accept"));
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        forget_head(&mut headers);
        assert_eq!(headers.len(), 4);
        assert!(headers.contains_key(header::DATE) && headers.values().all(HeaderValue::is_sensitive));
    }
}
