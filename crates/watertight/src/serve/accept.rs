//! Accepting and refusing.
//!
//! A connection that finds no room is not closed while its bytes are unread, because that would reset it and
//! lose the refusal: a bounded number of them is kept back, goes the same way as any other, and is answered
//! with a refusal, or with what is always answered (health).

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;
use tracing::debug;
use watertight_core::{Entry, Kind, Rung};

use super::Shared;
use super::charge::{Allowance, CONNECTION_BYTES, Charge};
use super::connection::{self, Course, Next, Phase};
use super::permits::FairPermit;
use super::refusal::Refusal;
use super::service::Caller;
use crate::gate::ConnectionGuard;
use crate::guarded::{GuardedStream, accept};
use crate::peer::{Listener, Peer, PeerStream};

/// How long a connection from what is kept back may stay.
const KEPT_BACK_FOR: Duration = Duration::from_secs(5);

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
        let phase = begin(shared, stream, peer, admission, allowance);
        shared.tasks.spawn(Course::new(shared, phase, charge));
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
fn begin(
    shared: &Arc<Shared>,
    stream: PeerStream,
    peer: Peer,
    admission: Admission,
    allowance: Allowance,
) -> Phase {
    let shared = Arc::clone(shared);
    Box::pin(async move {
        let config = shared.hub.config();
        if let Err(error) = stream.watch_peer(config) {
            debug!(%error, %peer, "the peer left before its connection was served");
            return Next::NOTHING;
        }
        let stream = GuardedStream::new(stream, config.write_deadline, config.half_open_timeout);
        match admission {
            Admission::Admitted(guard) => {
                let caller = Caller { peer, refusal: None, allowance };
                Next(Some(connection::begin(shared, stream.holding(guard), caller)))
            }
            Admission::KeptBack(why, permit, entry) => {
                let caller = Caller { peer, refusal: Some(why), allowance };
                let mut phase = connection::begin(shared, stream, caller);
                Next::is(async move {
                    let _held = (permit, entry);
                    let all = poll_fn(|context| connection::poll_all(&mut phase, context));
                    if timeout(KEPT_BACK_FOR, all).await.is_err() {
                        debug!(%peer, "a connection that found no room took too long");
                    }
                    Next::NOTHING
                })
            }
        }
    })
}
