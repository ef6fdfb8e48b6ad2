//! The gate: how many connections there may be, in all and per address.
//!
//! At capacity newcomers are refused; existing connections are never dropped to make room.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use watertight_core::{Entry, Kind, Ledger};

/// Why a connection was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There are as many connections as there may be.
    #[error("the hub has as many connections as it may have")]
    Full,
    /// This address has as many connections as it may have.
    #[error("this address has as many connections as it may have")]
    Address,
}

/// Counts connections in and out.
#[derive(Debug, Clone)]
pub struct Gate(Arc<GateState>);

#[derive(Debug)]
struct GateState {
    ledger: Arc<Ledger>,
    max_connections: usize,
    max_per_address: usize,
    live: AtomicUsize,
    refused: AtomicU64,
    /// Addresses with connections; an address without any is taken out, so the map holds no more entries than
    /// there are connected addresses.
    addresses: Mutex<HashMap<IpAddr, usize>>,
}

impl Gate {
    /// A gate for so many connections.
    #[must_use]
    pub fn new(ledger: Arc<Ledger>, max_connections: usize, max_per_address: usize) -> Gate {
        Gate(Arc::new(GateState {
            ledger,
            max_connections,
            max_per_address,
            live: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            addresses: Mutex::new(HashMap::new()),
        }))
    }

    /// Lets a connection from `address` in, until its guard is dropped; counts a refusal.
    ///
    /// # Errors
    /// When there is no room.
    pub fn admit(&self, address: IpAddr) -> Result<ConnectionGuard, Refused> {
        self.try_admit(Some(address)).inspect_err(|_| self.count_refusal())
    }

    /// Counts a connection that was refused.
    pub(crate) fn count_refusal(&self) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Lets a connection in; a refusal is counted by the caller. One without an address, over a Unix socket, counts
    /// among all connections only.
    pub(crate) fn try_admit(&self, address: Option<IpAddr>) -> Result<ConnectionGuard, Refused> {
        let room = |live: usize| (live < self.0.max_connections).then_some(live + 1);
        let counted = self.0.live.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room);
        if counted.is_err() {
            return Err(Refused::Full);
        }
        if address.is_some_and(|address| !self.0.count_address(address)) {
            self.0.live.fetch_sub(1, Ordering::Relaxed);
            return Err(Refused::Address);
        }
        let entry = self.0.ledger.open(Kind::Connection);
        Ok(ConnectionGuard { gate: Arc::clone(&self.0), address, _entry: entry })
    }

    /// Connections there are.
    #[must_use]
    pub fn live(&self) -> usize {
        self.0.live.load(Ordering::Relaxed)
    }

    /// Connections refused so far.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// How many there may be.
    #[must_use]
    pub fn max_connections(&self) -> usize {
        self.0.max_connections
    }
}

impl GateState {
    /// Counts one more connection of an address, unless it has as many as it may have.
    fn count_address(&self, address: IpAddr) -> bool {
        let mut addresses = self.addresses.lock();
        let of_address = addresses.entry(address).or_insert(0);
        let has_room = *of_address < self.max_per_address;
        *of_address += usize::from(has_room);
        has_room
    }

    /// Counts one less.
    fn forget_address(&self, address: IpAddr) {
        let mut addresses = self.addresses.lock();
        let Some(of_address) = addresses.get_mut(&address) else { return };
        *of_address -= 1;
        if *of_address == 0 {
            addresses.remove(&address);
            if addresses.is_empty() {
                addresses.shrink_to_fit();
            }
        }
    }
}

/// One admitted connection; dropping it makes room for another.
#[derive(Debug)]
#[must_use = "dropping the guard makes room for another connection at once"]
pub struct ConnectionGuard {
    gate: Arc<GateState>,
    address: Option<IpAddr>,
    _entry: Entry,
}

impl ConnectionGuard {
    /// Where its peer is; `None` if it has no address.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.address
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        if let Some(address) = self.address {
            self.gate.forget_address(address);
        }
        self.gate.live.fetch_sub(1, Ordering::Relaxed);
    }
}
