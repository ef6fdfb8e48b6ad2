//! HTTP/1: requests that are answered at once, else by hyper, until a stream leaves it or the connection rests: between
//! two requests hyper's buffers are given back, and the next head is awaited in ours.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::StatusCode;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, Sleep, timeout};
use tracing::debug;

use super::activity::Activity;
use super::at_once::{self, Next};
use super::charge::{HTTP1_TASK_BYTES, http1_bytes};
use super::heads::{HeadBuffer, HeadPatience, Protocol};
use super::io::HttpIo;
use super::lean::{Decision, Handover};
use super::refusal::{Refusal, origin_in};
use super::service::{Caller, RouterService};
use super::watch::StreamWatch;
use super::{ServeLimits, Shared};

/// How long hyper stays without a request: a peer that asks one thing after the other keeps it.
const RESTING_AFTER: Duration = Duration::from_millis(250);
/// How much is still read from a peer after the connection's last answer, for how long in all, and for how long while
/// nothing comes: closing with unread bytes would reset the connection, and the answer would be lost. A client that
/// writes its whole body before it reads is to get its refusal.
const LINGER: Duration = Duration::from_secs(30);
const LINGER_IDLE: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 * 1024 * 1024;
/// Read of that at a time.
const LINGER_PIECE_BYTES: usize = 16 * 1024;

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

/// Waits for a deadline that may move or not be there.
#[derive(Default)]
pub(super) struct Deadline {
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    pub(super) fn poll(&mut self, deadline: Option<Instant>, context: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = deadline else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        // One that fires too early looks again: so it need not be moved with every request.
        while timer.as_mut().poll(context).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
            return timer.as_mut().poll(context);
        }
        Poll::Pending
    }
}

/// How a time with hyper ended.
enum End<S> {
    /// A stream is to leave HTTP with this socket.
    Leaves(Box<Decision>, S),
    /// The connection rests: its stream, and what was read of the next head.
    Rests(S, Vec<u8>),
    /// Its last answer was given.
    Closes(S),
    /// hyper could not read what came; what it did not take of it. The refusal is not written yet.
    Refused(Refusal, S, Vec<u8>),
    /// Nothing is to be done any more.
    Over,
}

/// Serves a connection whose first head is there. With `leaves`, a stream leaves it: then the decision and the
/// stream it was read from.
pub(super) async fn serve<S>(
    shared: Arc<Shared>,
    mut stream: S,
    mut head: HeadBuffer,
    mut caller: Caller,
    leaves: bool,
) -> Option<(Decision, S)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let shared = &shared;
    let own = caller.allowance.charge(shared, HTTP1_TASK_BYTES);
    loop {
        if caller.refusal.is_none() && own.is_some() && at_once::is_for_here(shared, &head) {
            // In memory of its own, which streams do not need.
            let served = Box::pin(at_once::serve(shared, &mut stream, &mut head, &caller, RESTING_AFTER));
            match served.await {
                Next::Hyper => {}
                Next::Over => return None,
                Next::Rests => {
                    head = HeadBuffer::default();
                    next_head(shared, &mut stream, &mut head, &caller).await?;
                    continue;
                }
            }
        }
        let bytes = head.into_bytes();
        let charge = own.as_ref().and_then(|_| caller.allowance.charge(shared, http1_bytes(bytes.len())));
        let mut kept_back = None;
        if charge.is_none() && caller.refusal.is_none() {
            // A refusal needs hyper as well: one of the few connections kept back is used for it.
            kept_back = Some(shared.reserve.try_acquire(caller.peer.ip())?);
            caller.refusal = Some(Refusal::Memory);
        }
        let io = HttpIo::new(stream, bytes, shared.limits.head_timeout);
        let handover = leaves.then(Handover::default);
        match Box::pin(drive(shared, io, &caller, handover)).await {
            End::Leaves(decision, stream) => return Some((*decision, stream)),
            End::Rests(rested, bytes) => {
                drop((charge, kept_back));
                stream = rested;
                head = HeadBuffer::with(bytes);
            }
            End::Closes(stream) => {
                Box::pin(linger(stream)).await;
                return None;
            }
            End::Refused(refusal, mut stream, head) => {
                refuse(shared, refusal, &mut stream, &head).await;
                Box::pin(linger(stream)).await;
                return None;
            }
            End::Over => return None,
        }
        next_head(shared, &mut stream, &mut head, &caller).await?;
    }
}

/// Waits for the next head while the connection rests. `None`: there will be none.
async fn next_head<S>(shared: &Shared, stream: &mut S, head: &mut HeadBuffer, caller: &Caller) -> Option<()>
where
    S: AsyncRead + Unpin,
{
    let keep_alive = shared.limits.keep_alive_timeout.saturating_sub(RESTING_AFTER);
    let patience = HeadPatience { first_byte: keep_alive, head: shared.limits.head_timeout };
    let mut timer = Deadline::default();
    let filled = tokio::select! {
        () = shared.stop.cancelled() => return None,
        filled = head.fill(stream, patience, &mut timer, (&caller.allowance, shared)) => filled,
    };
    match filled {
        Ok(Protocol::Http1) => Some(()),
        Ok(Protocol::Http2) => None,
        Err(error) => {
            debug!(%error, peer = %caller.peer, reason = error.reason(), "a resting connection ends");
            None
        }
    }
}

/// Drives hyper until one of the ends.
async fn drive<S>(shared: &Arc<Shared>, io: HttpIo<S>, caller: &Caller, handover: Option<Handover>) -> End<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let peer = caller.peer;
    let io = io.by_heads();
    let (clock, activity) = (io.clock(), Activity::default());
    let (mut head, mut rest) = (Deadline::default(), Deadline::default());
    let watch = StreamWatch::of_http1(&shared.hub);
    let service = RouterService {
        shared: Arc::clone(shared),
        caller: caller.clone(),
        clock: clock.clone(),
        handover: handover.clone(),
        watch: watch.clone(),
        activity: activity.clone(),
    };
    let mut connection = builder(&shared.limits).serve_connection(TokioIo::new(io), service);
    let mut stopped = pin!(shared.stop.cancelled());
    let mut stopping = false;
    let mut stalled = pin!(watch.stalled());
    let mut decision = None;
    let how = poll_fn(|context| {
        if !stopping && stopped.as_mut().poll(context).is_ready() {
            stopping = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        let polled = Pin::new(&mut connection).poll(context);
        decision = handover.as_ref().and_then(Handover::decision);
        if decision.is_some() {
            return Poll::Ready(How::Leaves);
        }
        if let Poll::Ready(result) = polled {
            let Err(error) = result else { return Poll::Ready(How::Closes) };
            watch.note_failure(&error);
            debug!(%error, %peer, "connection ended with an error");
            return Poll::Ready(match clock.refused() {
                Some(status) if error.is_parse() => How::Refused(status),
                _ => How::Over,
            });
        }
        if head.poll(clock.deadline(), context).is_ready() {
            debug!(%peer, reason = "head_timeout", "the head took too long");
            return Poll::Ready(How::Over);
        }
        if stalled.as_mut().poll(context).is_ready() {
            debug!(%peer, "a stream's reader stalls");
            return Poll::Ready(How::Over);
        }
        let rests = activity.idle_since().filter(|_| clock.is_flushed());
        rest.poll(rests.map(|since| since + RESTING_AFTER), context).map(|()| How::Rests)
    })
    .await;
    if matches!(how, How::Over) {
        return End::Over;
    }
    // What hyper read behind a request for a stream is thrown away, as the pump does with what comes later.
    let parts = connection.into_parts();
    let (stream, ahead) = parts.io.into_inner().into_parts();
    match (how, decision) {
        (How::Leaves, Some(decision)) => End::Leaves(Box::new(decision), stream),
        (How::Refused(status), _) => {
            let head = parts.read_buf.to_vec();
            // A head that was taken whole is not too large: it declares a body that is larger than any can be.
            let status = if head.is_empty() { StatusCode::BAD_REQUEST } else { status };
            End::Refused(Refusal::Head(status), stream, head)
        }
        (How::Rests, _) => End::Rests(stream, [&parts.read_buf[..], &ahead].concat()),
        _ => End::Closes(stream),
    }
}

/// How polling ended.
enum How {
    Leaves,
    Rests,
    Closes,
    Refused(StatusCode),
    Over,
}

/// Answers in hyper's place. A peer that does not take so little at once has left.
async fn refuse<S: AsyncWrite + Unpin>(shared: &Shared, refusal: Refusal, stream: &mut S, head: &[u8]) {
    let bytes = refusal.bytes(|answer| shared.complete_refusal(&origin_in(head), answer));
    let write = async {
        stream.write_all(&bytes).await?;
        stream.shutdown().await
    };
    match timeout(LINGER_IDLE, write).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "the peer does not take its refusal"),
        Err(_) => debug!("the peer does not take its refusal in time"),
    }
}

/// Reads what the peer still sends and throws it away, within bounds, until it has closed its side.
async fn linger<S: AsyncRead + Unpin>(mut stream: S) {
    let read = async {
        let mut scratch = [0; LINGER_PIECE_BYTES];
        let mut left = LINGER_BYTES;
        while left > 0 {
            match timeout(LINGER_IDLE, stream.read(&mut scratch)).await {
                Ok(Ok(read)) if read > 0 => left = left.saturating_sub(read),
                _ => return,
            }
        }
    };
    // A peer that keeps its side open is closed anyway.
    let _ = timeout(LINGER, read).await;
}
