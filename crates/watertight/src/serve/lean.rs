//! How a stream leaves HTTP: the router has answered, all middleware has seen the answer, and instead of
//! giving it to hyper the service puts the decision aside and stays pending. The connection's task finds it,
//! takes the socket back from hyper and hands it to a pump.

use std::sync::Arc;

use http::{Response, Version, header};
use http_body::Body;
use parking_lot::Mutex;

use super::head;
use crate::body::StreamHandle;
use crate::gate::ConnectionGuard;
use crate::peer::{Peer, PeerStream};
use crate::shard::{Adoption, Framing, PeerSocket, TlsLink, Work};
use crate::subscription::Subscription;
use crate::tls::TlsSession;

/// An answered stream that waits for its socket.
#[derive(Debug)]
pub(super) struct Decision {
    head: Vec<u8>,
    framing: Framing,
    subscription: Subscription,
}

/// Where the service puts the decision and the connection's task finds it: both run in the same task.
#[derive(Debug, Clone, Default)]
pub(super) struct Handover(Arc<Mutex<Option<Decision>>>);

impl Handover {
    /// Takes the stream out of `response` if a pump may deliver it. `false`: hyper is to deliver the response.
    pub(super) fn take_from<B: Body>(&self, response: &Response<B>, version: Version) -> bool {
        // A body that middleware changed (compressed) is not what a pump would write.
        let is_changed = response.headers().contains_key(header::CONTENT_ENCODING);
        let framing = match version {
            Version::HTTP_11 => Framing::Chunked,
            Version::HTTP_10 => Framing::Plain,
            _ => return false,
        };
        if is_changed {
            return false;
        }
        let Some(handle) = response.extensions().get::<StreamHandle>() else { return false };
        if !handle.is_delivered_by(response.body()) {
            return false;
        }
        let Some(subscription) = handle.take() else { return false };
        let head = head::of_stream(response.status(), response.headers(), framing);
        *self.0.lock() = Some(Decision { head, framing, subscription });
        true
    }

    /// The decision, if one was made.
    pub(super) fn decision(&self) -> Option<Decision> {
        self.0.lock().take()
    }
}

/// Gives the socket to a pump, with its TLS if it has any: the connection, and what is sealed and not sent. Everything
/// that was allocated for HTTP is gone by now.
pub(super) fn adopt(
    decision: Decision,
    stream: PeerStream,
    tls: Option<(TlsSession, Vec<u8>)>,
    guard: ConnectionGuard,
    peer: Peer,
) {
    let socket = match stream {
        PeerStream::Tcp(stream) => {
            stream.into_std().map(|it| PeerSocket::Tcp(mio::net::TcpStream::from_std(it)))
        }
        PeerStream::Unix(stream) => {
            stream.into_std().map(|it| PeerSocket::Unix(mio::net::UnixStream::from_std(it)))
        }
    };
    let socket = match socket {
        Ok(socket) => socket,
        Err(error) => return tracing::debug!(%error, %peer, "the socket was lost on its way to a pump"),
    };
    let hub = Arc::clone(&decision.subscription.hub().state);
    let Decision { head, framing, subscription } = decision;
    let tls = tls.map(|(session, unsent)| Box::new(TlsLink::new(session, unsent, &hub.budget)));
    // One that has ended meanwhile, or finds no pump that works, ends here: the socket closes.
    if let (Some(parts), Some(shard)) = (subscription.into_parts(), hub.next_shard()) {
        shard.send(Work::Adopt(Box::new(Adoption { socket, tls, head, framing, parts, guard })));
    }
}
