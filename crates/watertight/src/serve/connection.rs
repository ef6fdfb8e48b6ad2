//! What a connection goes through: the handshake, its first head, and then HTTP/1 or HTTP/2.
//!
//! Each phase lives in memory of its own and makes the next one, so that nothing of what has ended is kept: an `async fn` that
//! awaited one after the other would keep room for the largest of them for as long as the connection lasts.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::FutureExt as _;
use pin_project_lite::pin_project;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tracing::debug;
use watertight_core::{Entry, Kind};

use super::charge::{Charge, HTTP2_BYTES, TLS_BYTES};
use super::heads::{HeadBuffer, HeadPatience, Protocol};
use super::http1::Deadline;
use super::io::HttpIo;
use super::lean::{self, Decision};
use super::service::Caller;
use super::tls::TlsStream;
use super::{Shared, http1, http2};
use crate::guarded::GuardedStream;
use crate::peer::{Peer, PeerStream};
use crate::tls::TlsSession;

/// How long the head may take of a connection from what is kept back.
const KEPT_BACK_HEAD: Duration = Duration::from_secs(2);

/// A part of a connection's life.
pub(super) type Phase = Pin<Box<dyn Future<Output = Next> + Send>>;

/// What comes behind a phase, if anything.
pub(super) struct Next(pub(super) Option<Phase>);

impl Next {
    pub(super) const NOTHING: Next = Next(None);

    pub(super) fn is(phase: impl Future<Output = Next> + Send + 'static) -> Next {
        Next(Some(Box::pin(phase)))
    }
}

/// Ready when all of them are over.
pub(super) fn poll_all(phase: &mut Phase, context: &mut Context<'_>) -> Poll<()> {
    while let Some(next) = ready!(phase.as_mut().poll(context)).0 {
        *phase = next;
    }
    Poll::Ready(())
}

pin_project! {
    /// A connection's task: goes through all phases, or drops the one it is in when the server gives up. Written out, so that it
    /// is as small as what it holds.
    pub(super) struct Course {
        #[pin]
        abort: WaitForCancellationFutureOwned,
        phase: Phase,
        // Last: nothing of the connection is held any more.
        entry: Entry,
        charge: Option<Charge>,
    }
}

impl Course {
    pub(super) fn new(shared: &Shared, phase: Phase, charge: Option<Charge>) -> Course {
        let entry = shared.hub.ledger().open(Kind::Task);
        Course { abort: shared.abort.clone().cancelled_owned(), phase, entry, charge }
    }
}

impl Future for Course {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.abort.poll(context).is_ready() { Poll::Ready(()) } else { poll_all(this.phase, context) }
    }
}

/// The first of them.
pub(super) fn begin(shared: Arc<Shared>, stream: GuardedStream<PeerStream>, caller: Caller) -> Phase {
    match shared.tls.clone() {
        Some(tls) => Box::pin(handshake(shared, tls, stream, caller)),
        None => Box::pin(first_head(shared, stream, caller, None)),
    }
}

/// What carries HTTP.
trait Carrier: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// The socket; with TLS the connection, too, and what is sealed and not sent.
    fn into_bare(self) -> (GuardedStream<PeerStream>, Option<(TlsSession, Vec<u8>)>);
}

impl Carrier for GuardedStream<PeerStream> {
    fn into_bare(self) -> (GuardedStream<PeerStream>, Option<(TlsSession, Vec<u8>)>) {
        (self, None)
    }
}

impl Carrier for TlsStream<GuardedStream<PeerStream>> {
    fn into_bare(self) -> (GuardedStream<PeerStream>, Option<(TlsSession, Vec<u8>)>) {
        let (stream, session, unsent) = self.into_parts();
        (stream, Some((session, unsent)))
    }
}

/// The TLS handshake.
async fn handshake(
    shared: Arc<Shared>,
    tls: Arc<ServerConfig>,
    stream: GuardedStream<PeerStream>,
    caller: Caller,
) -> Next {
    let peer = caller.peer;
    let first_byte = patience(&shared, &caller).first_byte;
    // A peer that sends nothing at all holds no TLS state.
    let spoke = tokio::select! {
        () = shared.stop.cancelled() => return Next::NOTHING,
        spoke = timeout(first_byte, stream.get_ref().readable()) => spoke,
    };
    if !matches!(spoke, Ok(Ok(()))) {
        debug!(%peer, reason = "head_timeout", "the peer asked nothing");
        return Next::NOTHING;
    }
    let Some(charge) = caller.allowance.charge(&shared, TLS_BYTES) else {
        debug!(%peer, "no memory for another TLS connection");
        return Next::NOTHING;
    };
    let accepting = TlsStream::accept(stream, tls, &shared, &caller.allowance);
    let handshake = timeout(shared.limits.tls_handshake_timeout, accepting);
    let stream = tokio::select! {
        () = shared.stop.cancelled() => return Next::NOTHING,
        done = handshake => match done {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                debug!(%error, %peer, "TLS handshake failed");
                return Next::NOTHING;
            }
            Err(_) => {
                debug!(%peer, "TLS handshake timed out");
                return Next::NOTHING;
            }
        },
    };
    let settled = match stream.alpn() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    Next::is(first_head(shared, stream, caller, Some((settled, charge))))
}

fn patience(shared: &Shared, caller: &Caller) -> HeadPatience {
    let limits = &shared.limits;
    let patience = HeadPatience { first_byte: limits.first_byte_timeout, head: limits.head_timeout };
    if caller.refusal.is_none() {
        return patience;
    }
    HeadPatience {
        first_byte: patience.first_byte.min(KEPT_BACK_HEAD),
        head: patience.head.min(KEPT_BACK_HEAD),
    }
}

/// Reads the first head. `tls`: the protocol that was settled, and what is charged.
async fn first_head<S: Carrier>(
    shared: Arc<Shared>,
    mut stream: S,
    caller: Caller,
    tls: Option<(Protocol, Charge)>,
) -> Next {
    let peer = caller.peer;
    let (mut head, mut timer) = (HeadBuffer::default(), Deadline::default());
    let patience = patience(&shared, &caller);
    // A handshake is not a request: hyper waits for ever for a preface, and long for a first head.
    let filled = tokio::select! {
        () = shared.stop.cancelled() => return Next::NOTHING,
        filled = head.fill(&mut stream, patience, &mut timer, (&caller.allowance, &shared)) => filled,
    };
    let protocol = match filled {
        Ok(protocol) => protocol,
        Err(error) => {
            debug!(%error, %peer, reason = error.reason(), "the peer did not ask");
            return Next::NOTHING;
        }
    };
    if tls.as_ref().is_some_and(|(settled, _)| *settled != protocol) {
        debug!(%peer, ?protocol, "the peer speaks another protocol than it has settled on");
        return Next::NOTHING;
    }
    match protocol {
        Protocol::Http1 => over_http1(shared, stream, head, caller, tls),
        Protocol::Http2 => {
            let io = HttpIo::new(stream, head.into_bytes(), shared.limits.head_timeout);
            over_http2(&shared, io, caller, tls)
        }
    }
}

fn over_http1<S: Carrier>(
    shared: Arc<Shared>,
    stream: S,
    head: HeadBuffer,
    caller: Caller,
    tls: Option<(Protocol, Charge)>,
) -> Next {
    let (peer, leaves) = (caller.peer, caller.refusal.is_none());
    Next::is(http1::serve(shared, stream, head, caller, leaves).map(move |left| {
        let _charge = tls;
        if let Some((decision, stream)) = left {
            hand_over(decision, stream, peer);
        }
        Next::NOTHING
    }))
}

/// Gives the socket to a pump.
fn hand_over<S: Carrier>(decision: Decision, stream: S, peer: Peer) {
    let (stream, tls) = stream.into_bare();
    let (stream, guard) = stream.into_parts();
    if let Some(guard) = guard {
        lean::adopt(decision, stream, tls, guard, peer);
    }
}

fn over_http2<S: Carrier>(
    shared: &Arc<Shared>,
    io: HttpIo<S>,
    caller: Caller,
    tls: Option<(Protocol, Charge)>,
) -> Next {
    let Some(charge) = caller.allowance.charge(shared, HTTP2_BYTES) else {
        debug!(peer = %caller.peer, "no memory for another HTTP/2 connection");
        return Next::NOTHING;
    };
    Next::is(http2::serve(shared, io, caller, charge).map(move |()| {
        drop(tls);
        Next::NOTHING
    }))
}
