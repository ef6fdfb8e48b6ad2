//! Accepting, refusing and the phases before HTTP.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tracing::debug;
use watertight_core::{Kind, Owner};

use super::io::HttpIo;
use super::sniff::{Protocol, sniff};
use super::{Shared, http1, http2};
use crate::gate::{ConnectionGuard, Refused};
use crate::guarded::{GuardedStream, accept, watch_peer};

/// What a TLS connection holds: session, record buffers, hyper's buffers. Measured: 37 to 44 KB.
const TLS_CONNECTION_BYTES: usize = 48 * 1024;
/// What an HTTP/2 connection holds beside its streams.
const HTTP2_CONNECTION_BYTES: usize = 32 * 1024;
/// How long a refused peer is given to take its answer.
const REFUSAL_LINGER: Duration = Duration::from_secs(1);

/// Accepts until told to stop.
pub(super) async fn run(shared: &Arc<Shared>, listener: &TcpListener, stop: impl Future<Output = ()>) {
    let mut stop = pin!(stop);
    loop {
        let (stream, peer) = tokio::select! {
            biased;
            () = &mut stop => return,
            accepted = accept(listener) => accepted,
        };
        match shared.gate.admit(peer.ip()) {
            Ok(guard) => {
                let shared = Arc::clone(shared);
                let entry = shared.hub.ledger().open(Kind::Task);
                shared.tasks.clone().spawn(async move {
                    let _entry = entry;
                    let (stop, abort) = (shared.stop.clone(), shared.abort.clone());
                    tokio::select! {
                        () = abort.cancelled() => {}
                        () = connection(&shared, stream, peer, guard, stop) => {}
                    }
                });
            }
            Err(why) => refuse(shared, stream, why),
        }
    }
}

/// One connection, from its first byte to its last (or until a pump takes it over).
async fn connection(
    shared: &Arc<Shared>,
    stream: TcpStream,
    peer: SocketAddr,
    guard: ConnectionGuard,
    stop: tokio_util::sync::CancellationToken,
) {
    if let Err(error) = watch_peer(&stream, shared.hub.config()) {
        debug!(%error, %peer, "the peer was gone before it was heard");
        return;
    }
    let config = shared.hub.config();
    let stream = GuardedStream::new(stream, config.write_deadline, config.half_open_timeout).holding(guard);
    let Some(tls) = &shared.tls else {
        return plain(shared, stream, peer, stop).await;
    };
    let handshake = timeout(shared.limits.tls_handshake_timeout, tls.accept(stream));
    let mut stream = tokio::select! {
        () = stop.cancelled() => return,
        done = handshake => match done {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return debug!(%error, %peer, "TLS handshake failed"),
            Err(_) => return debug!(%peer, "TLS handshake timed out"),
        },
    };
    stream.get_mut().1.set_buffer_limit(Some(16 * 1024));
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    // A handshake is not a request: hyper waits for ever for a preface, and long for a first head.
    let Some((_, read_ahead)) = first_bytes(shared, &mut stream, peer, &stop).await else { return };
    // What a connection holds that no pump takes over is charged instead of counted: it may live for long.
    let Ok(_charge) = shared.hub.budget().try_charge(Owner::Requests, TLS_CONNECTION_BYTES) else {
        return debug!(%peer, "no memory for another TLS connection");
    };
    let io = HttpIo::new(stream, read_ahead, shared.limits.head_timeout);
    if is_http2 {
        http2::serve(shared, io, peer, &stop).await;
    } else {
        http1::serve_bodies(shared, io, peer, &stop).await;
    }
}

async fn plain(
    shared: &Arc<Shared>,
    mut stream: GuardedStream<TcpStream>,
    peer: SocketAddr,
    stop: tokio_util::sync::CancellationToken,
) {
    // Costs next to nothing until the first byte: hyper's buffers come after.
    let Some((protocol, read_ahead)) = first_bytes(shared, &mut stream, peer, &stop).await else { return };
    if protocol == Protocol::Http2 {
        let Ok(_charge) = shared.hub.budget().try_charge(Owner::Requests, HTTP2_CONNECTION_BYTES) else {
            return debug!(%peer, "no memory for another HTTP/2 connection");
        };
        let io = HttpIo::new(stream, read_ahead, shared.limits.head_timeout);
        return http2::serve(shared, io, peer, &stop).await;
    }
    let Some(place) = place(shared).await else {
        let answer = super::head::refusal("OVERLOADED", "the hub works on as many requests as it may");
        // A peer that does not take its answer is simply closed.
        let _ = timeout(REFUSAL_LINGER, stream.write_all(&answer)).await;
        return;
    };
    let io = HttpIo::new(stream, read_ahead, shared.limits.head_timeout);
    http1::serve_lean(shared, io, peer, &stop).await;
    drop(place);
}

/// The first bytes of a peer and what they say it speaks. `None`: it said nothing in time, or the server stops.
async fn first_bytes(
    shared: &Shared,
    stream: &mut (impl AsyncRead + Unpin),
    peer: SocketAddr,
    stop: &tokio_util::sync::CancellationToken,
) -> Option<(Protocol, Vec<u8>)> {
    let sniffed = tokio::select! {
        () = stop.cancelled() => return None,
        sniffed = timeout(shared.limits.first_byte_timeout, sniff(stream)) => sniffed,
    };
    match sniffed {
        Ok(Ok(sniffed)) => return Some(sniffed),
        Ok(Err(error)) => debug!(%error, %peer, "the peer left before it asked"),
        Err(_) => debug!(%peer, reason = "head_timeout", "the peer asked nothing"),
    }
    None
}

/// A place among the requests in flight. `None`: none came free in time, or the server stops.
async fn place(shared: &Shared) -> Option<tokio::sync::SemaphorePermit<'_>> {
    match timeout(shared.limits.head_timeout, shared.requests.acquire()).await {
        Ok(Ok(permit)) => Some(permit),
        Ok(Err(_)) | Err(_) => None,
    }
}

/// Tells a refused peer why, if that can be done without waiting for it; a crowd is just closed.
fn refuse(shared: &Arc<Shared>, mut stream: TcpStream, why: Refused) {
    debug!(reason = %why, "connection refused");
    let shared = Arc::clone(shared);
    if shared.tls.is_some() || shared.refusals.available_permits() == 0 {
        return;
    }
    let entry = shared.hub.ledger().open(Kind::Task);
    shared.tasks.clone().spawn(async move {
        let _entry = entry;
        let Ok(_place) = shared.refusals.try_acquire() else { return };
        let answer = super::head::refusal("TOO_MANY_CONNECTIONS", &why.to_string());
        let polite = async {
            stream.write_all(&answer).await?;
            stream.shutdown().await?;
            // Read what was sent, a little of it: closing on unread bytes would reset the connection and
            // take the answer with it.
            let mut scratch = [0; 4096];
            for _ in 0..4 {
                if stream.read(&mut scratch).await? == 0 {
                    break;
                }
            }
            std::io::Result::Ok(())
        };
        // A peer that does not take its answer is simply closed.
        let _ = timeout(REFUSAL_LINGER, polite).await;
    });
}
