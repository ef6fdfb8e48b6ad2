//! Idempotency keys: a retry of a publish is answered with the ids of the first try.
//!
//! Bounded in number, in bytes and in time; the oldest settled ones are forgotten first, and before any history is
//! let go for a new one. A key belongs to an epoch of its session: when that begins anew, the key is free. Each is charged from its claim on. A claim that is given up leaves nothing. While the
//! first try is under way, others with the same key wait for it, and cost nobody else anything.
//!
//! | file | what it does |
//! |---|---|
//! | `table.rs` | the keys that there are, and what they are charged |
//! | `turn.rs` | who waits for a try that is under way, and who is next |

mod table;
#[cfg(test)]
mod tests;
mod turn;

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use watertight::{Hub, Positions, SessionName};
use watertight_core::{Exhausted, Owner};

use self::table::{Found, Key, Table};
use self::turn::Turn;
pub(crate) use self::turn::Waiter;

/// Longest key, bytes.
pub(crate) const KEY_BYTES_MAX: usize = 255;

/// Keys hold one part in so many of the critical threshold at most. They are a convenience for retries; of the
/// default 1000 MiB it leaves them 31, room for the 100,000 keys of the default.
const BUDGET_PARTS: usize = 32;

/// There is no room for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRoom {
    /// All that are remembered belong to requests under way.
    #[error("as many requests with an Idempotency-Key are under way as there may be")]
    UnderWay,
    /// The budget has none.
    #[error(transparent)]
    Memory(#[from] Exhausted),
}

#[derive(Debug)]
struct KeyTable {
    hub: Hub,
    hasher: RandomState,
    table: Mutex<Table>,
}

/// The keys of a hub. Cloning shares them.
#[derive(Debug, Clone)]
pub(crate) struct IdempotencyKeys(Arc<KeyTable>);

/// What becomes of a request with a key.
#[derive(Debug)]
pub(crate) enum Claim {
    /// It is the first: publish, then settle the claim.
    First(ClaimGuard),
    /// It is a retry; this is the answer.
    Known(Positions),
    /// The key was used for another request.
    Reused,
    /// An earlier try is under way: [`Waiter::wait`] for what becomes of it.
    Later(Waiter),
}

/// The right and duty to settle a key. Dropped unsettled, the key is free again: nothing was published.
#[derive(Debug)]
pub(crate) struct ClaimGuard {
    keys: IdempotencyKeys,
    key: Arc<Key>,
    turn: Arc<Turn>,
    settled: bool,
}

impl IdempotencyKeys {
    pub(crate) fn new(hub: &Hub, max_keys: usize, ttl: Duration) -> IdempotencyKeys {
        let max_bytes = hub.budget().critical_bytes() / BUDGET_PARTS;
        IdempotencyKeys(Arc::new(KeyTable {
            hub: hub.clone(),
            hasher: RandomState::new(),
            table: Mutex::new(Table::new(max_keys, max_bytes, ttl)),
        }))
    }

    /// What tells a retry from another request with the same key: a hash of its parameters and its body.
    pub(crate) fn fingerprint(&self, request: &impl Hash) -> u64 {
        self.0.hasher.hash_one(request)
    }

    /// Claims `key` for a request of that fingerprint.
    pub(crate) fn claim(&self, session: &SessionName, key: &str, fingerprint: u64) -> Result<Claim, NoRoom> {
        let key = Arc::new(Key { session: session.clone(), key: key.into() });
        match self.find(&key, fingerprint)? {
            Found::Free(turn) => Ok(Claim::First(self.guard(key, turn))),
            Found::UnderWay(turn) => Ok(Claim::Later(Waiter::new(self.clone(), key, turn))),
            Found::Settled(positions) => Ok(Claim::Known(positions)),
            Found::Reused => Ok(Claim::Reused),
        }
    }

    fn find(&self, key: &Arc<Key>, fingerprint: u64) -> Result<Found, NoRoom> {
        let budget = self.0.hub.budget();
        let now = self.0.hub.clock().now();
        let session = self.0.hub.session(key.session.as_str());
        let epoch = session.map(|session| session.with_log(|log| log.epoch()));
        let at_once = |bytes| budget.try_charge(Owner::Caches, bytes);
        if let Some(found) = self.0.table.lock().claim(key, (fingerprint, epoch), now, at_once)? {
            return Ok(found);
        }
        // No key was left to be forgotten for it: history goes, and not under the table's lock.
        let mut charged = Some(self.0.hub.charge(Owner::Caches, key.claimed_bytes())?);
        let in_hand = |_| charged.take().ok_or(Exhausted { critical_bytes: budget.critical_bytes() });
        self.0.table.lock().claim(key, (fingerprint, epoch), now, in_hand)?.ok_or(NoRoom::UnderWay)
    }

    fn guard(&self, key: Arc<Key>, turn: Arc<Turn>) -> ClaimGuard {
        ClaimGuard { keys: self.clone(), key, turn, settled: false }
    }

    /// Forgets what may be forgotten and gives memory back; called regularly, so that keys go although no new
    /// ones come.
    pub(crate) fn sweep(&self) {
        let now = self.0.hub.clock().now();
        self.0.table.lock().sweep(now);
    }
}

impl ClaimGuard {
    /// Remembers what was published under the key, and tells whoever waits.
    pub(crate) fn settle(mut self, positions: Positions) {
        self.settled = true;
        let now = self.keys.0.hub.clock().now();
        self.keys.0.table.lock().settle(&self.key, positions, now);
        self.turn.settle(positions);
    }
}

impl Drop for ClaimGuard {
    fn drop(&mut self) {
        if !self.settled && self.keys.0.table.lock().give_up(&self.key) {
            self.turn.pass_on();
        }
    }
}
