//! Tombstones: that a session was forgotten after its end. For a while whoever comes back with one of its ids is
//! told so, instead of waiting in a new session for what never comes.
//!
//! Of a fixed size, charged, bounded in number and in time; the oldest go first. No name is kept: a session's name
//! and epoch are hashed together, so an id tells nothing about a session of another name.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::time::Duration;

use crate::budget::{Exhausted, Permit};
use crate::id::{Epoch, Position};
use crate::limits::{TOMBSTONE_BYTES, TOMBSTONES_MAX};
use crate::sync::RandomState;
use crate::time::Tick;

/// One forgotten session.
#[derive(Debug)]
struct Tombstone {
    until: Tick,
    /// Number of its last event.
    last: u64,
    /// Given back when the tombstone goes.
    _permit: Permit,
}

/// Those that there are.
#[derive(Debug)]
pub struct Tombstones {
    hasher: RandomState,
    by_key: HashMap<u64, Tombstone>,
    /// In the order in which they go.
    order: VecDeque<u64>,
    ttl: Duration,
}

impl Tombstones {
    /// None yet; each stays for `ttl`.
    #[must_use]
    pub fn new(ttl: Duration) -> Tombstones {
        Tombstones { hasher: RandomState::default(), by_key: HashMap::new(), order: VecDeque::new(), ttl }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Notes that session `name` is forgotten, whose last position is `last`. `charge` is asked for the bytes; if
    /// there are none, the oldest goes for it.
    ///
    /// # Errors
    /// When there is no room, and none to make: nothing is noted.
    pub fn add(
        &mut self,
        name: &str,
        last: Position,
        now: Tick,
        mut charge: impl FnMut(usize) -> Result<Permit, Exhausted>,
    ) -> Result<(), Exhausted> {
        self.sweep(now);
        let key = self.key(name, last.epoch);
        if self.by_key.contains_key(&key) {
            return Ok(());
        }
        while self.by_key.len() >= TOMBSTONES_MAX && self.drop_oldest() {}
        let permit = charge(TOMBSTONE_BYTES)
            .or_else(|full| if self.drop_oldest() { charge(TOMBSTONE_BYTES) } else { Err(full) })?;
        self.by_key
            .insert(key, Tombstone { until: now.after(self.ttl), last: last.sequence, _permit: permit });
        self.order.push_back(key);
        Ok(())
    }

    /// The last position of the forgotten session `name` with that epoch.
    #[must_use]
    pub fn find(&self, name: &str, epoch: Epoch, now: Tick) -> Option<Position> {
        let tombstone = self.by_key.get(&self.key(name, epoch)).filter(|found| now < found.until)?;
        Some(Position { epoch, sequence: tombstone.last })
    }

    /// Lets go of those whose time is over, and of memory that the rest does not need.
    pub fn sweep(&mut self, now: Tick) {
        let is_over = |tombstones: &Tombstones| {
            let oldest = tombstones.order.front().and_then(|key| tombstones.by_key.get(key));
            oldest.is_some_and(|oldest| oldest.until <= now)
        };
        while is_over(self) {
            self.drop_oldest();
        }
        const SPARE: usize = 32;
        if self.order.capacity() > 4 * self.order.len().max(SPARE) || self.order.is_empty() {
            self.order.shrink_to_fit();
            self.by_key.shrink_to_fit();
        }
    }

    fn drop_oldest(&mut self) -> bool {
        self.order.pop_front().and_then(|key| self.by_key.remove(&key)).is_some()
    }

    fn key(&self, name: &str, epoch: Epoch) -> u64 {
        self.hasher.hash_one((name, epoch))
    }
}

/// What one costs: its entry in the map, which may be up to sixteen sevenths of what is in it, and its place in the
/// order, which doubles.
const ENTRY_BYTES: usize = (size_of::<(u64, Tombstone)>() + 1) * 16 / 7 + 2 * size_of::<u64>();
const _: () = assert!(ENTRY_BYTES <= TOMBSTONE_BYTES);
