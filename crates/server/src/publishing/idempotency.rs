//! Idempotency keys: a retry of a publish is answered with the ids of the first try.
//!
//! Bounded in number, in time and by the budget; the oldest go first. Keys are structured (session and key),
//! never joined strings. While the first try is under way, a second waits for it.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use watertight::{Hub, Position, SessionName, Tick};
use watertight_core::{Owner, Permit};

/// Longest key, bytes.
pub(crate) const KEY_BYTES_MAX: usize = 255;
/// What an entry costs beside its words and ids.
const ENTRY_BYTES: usize = 160;

/// A publisher's key, within its session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    session: SessionName,
    key: Box<str>,
}

#[derive(Debug)]
enum State {
    /// The first try is under way.
    UnderWay,
    /// It was published as these.
    Done(Arc<[Position]>),
}

#[derive(Debug)]
struct Slot {
    /// Tells a retry from another request with the same key.
    fingerprint: u64,
    /// Tells this try from a later one that has the key again.
    generation: u64,
    state: State,
    _permit: Option<Permit>,
}

#[derive(Debug, Default)]
struct Table {
    slots: HashMap<Arc<Key>, Slot>,
    /// Keys in the order in which they came, with their generation and when they may be forgotten.
    order: VecDeque<(Arc<Key>, u64, Tick)>,
    next_generation: u64,
}

#[derive(Debug)]
struct KeyTable {
    hub: Hub,
    max_keys: usize,
    ttl: Duration,
    hasher: RandomState,
    table: Mutex<Table>,
    settled: Notify,
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
    Known(Arc<[Position]>),
    /// The key was used for another request.
    Reused,
}

/// The right and duty to settle a key. Dropped unsettled, the key is free again: nothing was published.
#[derive(Debug)]
pub(crate) struct ClaimGuard {
    keys: IdempotencyKeys,
    key: Arc<Key>,
    generation: u64,
    settled: bool,
}

impl IdempotencyKeys {
    pub(crate) fn new(hub: &Hub, max_keys: usize, ttl: Duration) -> IdempotencyKeys {
        IdempotencyKeys(Arc::new(KeyTable {
            hub: hub.clone(),
            max_keys,
            ttl,
            hasher: RandomState::new(),
            table: Mutex::default(),
            settled: Notify::new(),
        }))
    }

    /// Claims `key` for a request whose method, parameters and body hash to a fingerprint. Waits while the
    /// first try is under way; dropping the future gives the waiting up.
    pub(crate) async fn claim(
        &self,
        session: &SessionName,
        key: &str,
        request: &impl std::hash::Hash,
    ) -> Claim {
        let fingerprint = self.0.hasher.hash_one(request);
        let key = Arc::new(Key { session: session.clone(), key: key.into() });
        loop {
            let mut settled = std::pin::pin!(self.0.settled.notified());
            // Listens before it looks: a try that is settled in between is not missed.
            settled.as_mut().enable();
            if let Some(claim) = self.look(&key, fingerprint) {
                return claim;
            }
            settled.await;
        }
    }

    /// `None`: the first try is under way.
    fn look(&self, key: &Arc<Key>, fingerprint: u64) -> Option<Claim> {
        let mut table = self.0.table.lock();
        table.forget_old(self.0.hub.clock().now());
        if let Some(slot) = table.slots.get(key) {
            if slot.fingerprint != fingerprint {
                return Some(Claim::Reused);
            }
            return match &slot.state {
                State::UnderWay => None,
                State::Done(positions) => Some(Claim::Known(Arc::clone(positions))),
            };
        }
        if table.slots.len() >= self.0.max_keys {
            table.forget_oldest();
        }
        let generation = table.next_generation;
        table.next_generation += 1;
        table.order.push_back((Arc::clone(key), generation, self.0.hub.clock().now().after(self.0.ttl)));
        let slot = Slot { fingerprint, generation, state: State::UnderWay, _permit: None };
        table.slots.insert(Arc::clone(key), slot);
        let guard = ClaimGuard { keys: self.clone(), key: Arc::clone(key), generation, settled: false };
        Some(Claim::First(guard))
    }

    /// Forgets what may be forgotten; called regularly, so that keys go although no new ones come.
    pub(crate) fn sweep(&self) {
        let mut table = self.0.table.lock();
        table.forget_old(self.0.hub.clock().now());
        if table.slots.is_empty() {
            *table = Table { next_generation: table.next_generation, ..Table::default() };
        }
    }
}

impl Table {
    fn forget_old(&mut self, now: Tick) {
        // One turn at most: tries that are under way go to the end, however old.
        for _ in 0..self.order.len() {
            if self.order.front().is_none_or(|(_, _, until)| *until > now) {
                return;
            }
            self.forget_oldest();
        }
    }

    /// Forgets the oldest that is settled; a try that is under way is kept, whatever its age.
    fn forget_oldest(&mut self) {
        for _ in 0..self.order.len() {
            let Some((key, generation, until)) = self.order.pop_front() else { return };
            match self.slots.get(&key).filter(|slot| slot.generation == generation) {
                Some(Slot { state: State::UnderWay, .. }) => {
                    self.order.push_back((key, generation, until));
                }
                Some(_) => {
                    self.slots.remove(&key);
                    return;
                }
                None => return,
            }
        }
    }
}

impl ClaimGuard {
    /// Remembers what was published under the key. Without memory for it the key is not remembered.
    pub(crate) fn settle(mut self, positions: Vec<Position>) {
        let bytes = ENTRY_BYTES + self.key.key.len() + 2 * size_of::<Position>() * positions.len();
        let permit = self.keys.0.hub.budget().try_charge(Owner::Caches, bytes);
        let mut table = self.keys.0.table.lock();
        if let Some(slot) = table.slots.get_mut(&self.key).filter(|slot| slot.generation == self.generation)
            && let Ok(permit) = permit
        {
            slot.state = State::Done(positions.into());
            slot._permit = Some(permit);
            self.settled = true;
        }
    }
}

impl Drop for ClaimGuard {
    fn drop(&mut self) {
        if !self.settled {
            let mut table = self.keys.0.table.lock();
            if table.slots.get(&self.key).is_some_and(|slot| slot.generation == self.generation) {
                table.slots.remove(&self.key);
            }
        }
        self.keys.0.settled.notify_waiters();
    }
}
