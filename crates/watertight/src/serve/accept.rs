//! Accepting, refusing and the phases before HTTP.
//!
//! A connection that finds no room is not closed while its bytes are unread, because that would reset it and
//! lose the refusal: a bounded number of them is kept back, goes the same way as any other, and is answered
//! with a refusal, or with what is always answered (health).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use watertight_core::{Entry, Kind, Rung};

use super::charge::{Allowance, CONNECTION_BYTES, Charge, HTTP2_BYTES, TLS_BYTES};
use super::heads::{HeadBuffer, HeadPatience, Protocol};
use super::http1::Deadline;
use super::io::HttpIo;
use super::lean::{self, Decision};
use super::permits::FairPermit;
use super::refusal::Refusal;
use super::service::Caller;
use super::tls::TlsStream;
use super::{Shared, http1, http2};
use crate::gate::ConnectionGuard;
use crate::guarded::{GuardedStream, accept};
use crate::peer::{Listener, Peer, PeerStream};
use crate::tls::TlsSession;

/// How long a connection from what is kept back may stay, and how long its head may take.
const KEPT_BACK_FOR: Duration = Duration::from_secs(5);
const KEPT_BACK_HEAD: Duration = Duration::from_secs(2);

/// How a connection was let in.
enum Admission {
    /// As one of those that there may be.
    Admitted(ConnectionGuard),
    /// As one of the few that are kept back for health and refusals.
    KeptBack(Refusal, FairPermit, Entry),
}

/// Accepts at all listeners until told to stop.
pub(super) async fn run(shared: &Arc<Shared>, listeners: &[Listener], stop: impl Future<Output = ()>) {
    let all = join_all(listeners.iter().map(|listener| at(shared, listener)));
    tokio::select! {
        biased;
        () = stop => {}
        _ = all => {}
    }
}

/// Accepts at one listener, for ever.
async fn at(shared: &Arc<Shared>, listener: &Listener) {
    loop {
        let (stream, peer) = accept(|| listener.accept()).await;
        let Some((admission, allowance, charge)) = admit(shared, peer) else { continue };
        let shared = Arc::clone(shared);
        let entry = shared.hub.ledger().open(Kind::Task);
        shared.tasks.clone().spawn(async move {
            let _held = (entry, charge);
            let (stop, abort) = (shared.stop.clone(), shared.abort.clone());
            tokio::select! {
                () = abort.cancelled() => {}
                () = connection(&shared, stream, peer, admission, allowance, stop) => {}
            }
        });
    }
}

/// Finds room for a newcomer. `None`: there is none at all, it is closed.
fn admit(shared: &Shared, peer: Peer) -> Option<(Admission, Allowance, Option<Charge>)> {
    let address = peer.ip();
    let allowance = Allowance::new(address);
    if shared.tls.is_some() && shared.hub.budget().rung() >= Rung::NoNewcomers {
        // Before the handshake, which costs work and memory.
        shared.gate.count_refusal();
        debug!(%peer, "no newcomers over TLS at this memory pressure");
        return None;
    }
    let why = match shared.gate.try_admit(address) {
        Ok(guard) => match allowance.charge(shared, CONNECTION_BYTES) {
            Some(charge) => return Some((Admission::Admitted(guard), allowance, Some(charge))),
            None => Refusal::Memory,
        },
        Err(why) => Refusal::Connection(why),
    };
    let Some(permit) = shared.reserve.try_acquire(address) else {
        shared.gate.count_refusal();
        debug!(%peer, ?why, "connection closed unanswered");
        return None;
    };
    let entry = shared.hub.ledger().open(Kind::Connection);
    Some((Admission::KeptBack(why, permit, entry), allowance, None))
}

/// One connection, from its first byte to its last (or until a pump takes it over).
async fn connection(
    shared: &Arc<Shared>,
    stream: PeerStream,
    peer: Peer,
    admission: Admission,
    allowance: Allowance,
    stop: CancellationToken,
) {
    if let Err(error) = stream.watch_peer(shared.hub.config()) {
        debug!(%error, %peer, "the peer left before its connection was served");
        return;
    }
    let config = shared.hub.config();
    let stream = GuardedStream::new(stream, config.write_deadline, config.half_open_timeout);
    let mut caller = Caller { peer, refusal: None, allowance };
    match admission {
        Admission::Admitted(guard) => phases(shared, stream.holding(guard), caller, stop).await,
        Admission::KeptBack(why, permit, entry) => {
            let _held = (permit, entry);
            caller.refusal = Some(why);
            if timeout(KEPT_BACK_FOR, phases(shared, stream, caller, stop)).await.is_err() {
                debug!(%peer, "a connection that found no room took too long");
            }
        }
    }
}

async fn phases(
    shared: &Arc<Shared>,
    stream: GuardedStream<PeerStream>,
    caller: Caller,
    stop: CancellationToken,
) {
    let Some(tls) = &shared.tls else {
        let leaves = caller.refusal.is_none();
        // Like that over TLS in memory of its own: a task keeps room for the larger of its branches.
        let served = Box::pin(http(shared, stream, caller.clone(), leaves, None, &stop)).await;
        let next = after(shared, served, caller, stop, |stream| (stream, None));
        if let Some(next) = next {
            next.await;
        }
        return;
    };
    // What the handshake takes is given back before the first request.
    let Some((stream, alpn, charge)) = Box::pin(over_tls(shared, tls, stream, &caller, &stop)).await else {
        return;
    };
    let leaves = caller.refusal.is_none();
    let served = Box::pin(http(shared, stream, caller.clone(), leaves, Some(alpn), &stop)).await;
    let next = after(shared, served, caller, stop, |stream| {
        let (stream, session, unsent) = stream.into_parts();
        (stream, Some((session, unsent)))
    });
    if let Some(next) = next {
        next.await;
    }
    drop(charge);
}

/// How the time up to the end of HTTP/1, or to the first bytes of HTTP/2, has ended.
enum Served<S> {
    /// A stream is to leave HTTP with this socket.
    Leaves(Decision, S),
    /// The peer speaks HTTP/2.
    Http2(HttpIo<S>),
    Over,
}

/// A socket, with its TLS if it has any.
type Bare = (GuardedStream<PeerStream>, Option<(TlsSession, Vec<u8>)>);

/// Gives the socket away, or begins with HTTP/2. No `async fn`, so that nothing of what has ended is kept room for.
fn after<S>(
    shared: &Arc<Shared>,
    served: Served<S>,
    caller: Caller,
    stop: CancellationToken,
    bare: impl FnOnce(S) -> Bare,
) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match served {
        Served::Leaves(decision, stream) => {
            let (stream, tls) = bare(stream);
            hand_over(decision, stream, tls, caller.peer);
            None
        }
        Served::Http2(io) => {
            let Some(charge) = caller.allowance.charge(shared, HTTP2_BYTES) else {
                debug!(peer = %caller.peer, "no memory for another HTTP/2 connection");
                return None;
            };
            Some(Box::pin(http2::serve(shared, io, caller, charge, stop)))
        }
        Served::Over => None,
    }
}

fn hand_over(
    decision: Decision,
    stream: GuardedStream<PeerStream>,
    tls: Option<(TlsSession, Vec<u8>)>,
    peer: Peer,
) {
    let (stream, guard) = stream.into_parts();
    if let Some(guard) = guard {
        lean::adopt(decision, stream, tls, guard, peer);
    }
}

/// The handshake. What was settled by ALPN, and what is charged for TLS.
async fn over_tls(
    shared: &Arc<Shared>,
    tls: &Arc<ServerConfig>,
    stream: GuardedStream<PeerStream>,
    caller: &Caller,
    stop: &CancellationToken,
) -> Option<(TlsStream<GuardedStream<PeerStream>>, Protocol, Charge)> {
    let peer = caller.peer;
    let first_byte = patience(shared, caller).first_byte;
    // A peer that sends nothing at all holds no TLS state.
    let spoke = tokio::select! {
        () = stop.cancelled() => return None,
        spoke = timeout(first_byte, stream.get_ref().readable()) => spoke,
    };
    if !matches!(spoke, Ok(Ok(()))) {
        debug!(%peer, reason = "head_timeout", "the peer asked nothing");
        return None;
    }
    let Some(charge) = caller.allowance.charge(shared, TLS_BYTES) else {
        debug!(%peer, "no memory for another TLS connection");
        return None;
    };
    let accepting = TlsStream::accept(stream, Arc::clone(tls), shared, &caller.allowance);
    let handshake = timeout(shared.limits.tls_handshake_timeout, accepting);
    let stream = tokio::select! {
        () = stop.cancelled() => return None,
        done = handshake => match done {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                debug!(%error, %peer, "TLS handshake failed");
                return None;
            }
            Err(_) => {
                debug!(%peer, "TLS handshake timed out");
                return None;
            }
        },
    };
    let alpn = match stream.alpn() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    Some((stream, alpn, charge))
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

/// Reads the first head and, on HTTP/1, brings hyper in. `alpn`: what TLS has settled.
async fn http<S>(
    shared: &Arc<Shared>,
    mut stream: S,
    caller: Caller,
    leaves: bool,
    alpn: Option<Protocol>,
    stop: &CancellationToken,
) -> Served<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let peer = caller.peer;
    let (mut head, mut timer) = (HeadBuffer::default(), Deadline::default());
    // A handshake is not a request: hyper waits for ever for a preface, and long for a first head.
    let filled = tokio::select! {
        () = stop.cancelled() => return Served::Over,
        filled = head.fill(&mut stream, patience(shared, &caller), &mut timer, (&caller.allowance, shared)) => filled,
    };
    let protocol = match filled {
        Ok(protocol) => protocol,
        Err(error) => {
            debug!(%error, %peer, reason = error.reason(), "the peer did not ask");
            return Served::Over;
        }
    };
    if alpn.is_some_and(|alpn| alpn != protocol) {
        debug!(%peer, ?protocol, "the peer speaks another protocol than it has settled on");
        return Served::Over;
    }
    if protocol == Protocol::Http2 {
        let io = HttpIo::new(stream, head.into_bytes(), shared.limits.head_timeout);
        return Served::Http2(io);
    }
    match Box::pin(http1::serve(shared, stream, head, caller, leaves, stop)).await {
        Some((decision, stream)) => Served::Leaves(decision, stream),
        None => Served::Over,
    }
}
