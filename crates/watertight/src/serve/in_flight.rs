//! A request's permit, held by its handler: a handler that waits for long gives it back meanwhile.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::charge::Charge;
use super::permits::{FairPermit, FairPermits};
use super::phase::HeadClock;

/// There are as many requests in flight as there may be, and none ended in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the hub works on as many requests as it may")]
pub struct NoPermit;

/// The right to be one of the requests in flight (`max_requests_in_flight`). Stands in the extensions of each
/// request that took one; a handler that waits for something else than its own work calls [`InFlight::pause`]
/// before and [`InFlight::resume`] after it.
#[derive(Debug, Clone)]
pub struct InFlight(Arc<Held>);

#[derive(Debug)]
struct Held {
    permits: FairPermits,
    address: Option<IpAddr>,
    patience: Duration,
    permit: Mutex<Option<FairPermit>>,
    /// What the head of the request holds.
    head: Mutex<Option<Charge>>,
    /// The connection, on HTTP/1: it is told when a peer that has closed its side has left.
    clock: Option<HeadClock>,
}

impl InFlight {
    pub(super) fn new(
        permits: &FairPermits,
        address: Option<IpAddr>,
        patience: Duration,
        permit: FairPermit,
        head: Option<Charge>,
        clock: Option<HeadClock>,
    ) -> InFlight {
        InFlight(Arc::new(Held {
            permits: permits.clone(),
            address,
            patience,
            permit: Mutex::new(Some(permit)),
            head: Mutex::new(head),
            clock,
        }))
    }

    /// Gives the permit back, and the charge of the request's head: call it when that was dropped. Until it goes on,
    /// a peer that closes its side of the connection has left.
    pub fn pause(&self) {
        self.give_back();
        if let Some(clock) = &self.0.clock {
            clock.waits(true);
        }
    }

    /// The same, for a wait that ends by itself: a peer that closes its side meanwhile still gets its answer.
    pub fn give_back(&self) {
        self.0.permit.lock().take();
        self.0.head.lock().take();
    }

    /// Takes a permit again, waiting for it in bounded time. Dropping the future leaves the request paused.
    ///
    /// # Errors
    /// When none came free in time.
    pub async fn resume(&self) -> Result<(), NoPermit> {
        if self.0.permit.lock().is_some() {
            return Ok(());
        }
        let permit = self.0.permits.acquire(self.0.address, self.0.patience).await.ok_or(NoPermit)?;
        *self.0.permit.lock() = Some(permit);
        if let Some(clock) = &self.0.clock {
            clock.waits(false);
        }
        Ok(())
    }
}
