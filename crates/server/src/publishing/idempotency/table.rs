//! The keys that are claimed or remembered. Every one is charged, and nothing is kept of those that are not.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use watertight::{Positions, SessionName, Tick};
use watertight_core::{Epoch, Exhausted, Permit};

use super::NoRoom;
use super::turn::Turn;

/// What an allocation costs beside its bytes.
const ALLOCATION_BYTES: usize = 16;
/// What a key costs beside its text and its session's name: itself, its count, three allocations.
const KEY_BYTES: usize = size_of::<Key>() + 2 * size_of::<usize>() + 3 * ALLOCATION_BYTES;
/// What it costs in the table, which is up to sixteen sevenths of what is in it (it doubles when seven eighths are
/// full), each with a byte of its hash.
const TABLE_BYTES: usize = (size_of::<(Arc<Key>, Remembered)>() + 1) * 16 / 7;
/// What it costs in the order of settling, which doubles when it is full.
const ORDER_BYTES: usize = 2 * size_of::<(Arc<Key>, Tick)>();
/// What a try under way costs beside that.
const TURN_BYTES: usize = size_of::<Turn>() + 2 * size_of::<usize>() + ALLOCATION_BYTES;
/// Tables for so few keys are kept as they are.
const SPARE_KEYS: usize = 32;

/// A publisher's key, within its session: structured, never joined strings.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) session: SessionName,
    pub(super) key: Box<str>,
}

impl Key {
    /// What it is charged once it is settled, bytes.
    pub(super) fn settled_bytes(&self) -> usize {
        KEY_BYTES + TABLE_BYTES + ORDER_BYTES + self.session.as_str().len() + self.key.len()
    }

    /// What it is charged while its try is under way, bytes.
    pub(super) fn claimed_bytes(&self) -> usize {
        self.settled_bytes() + TURN_BYTES
    }
}

#[derive(Debug)]
enum State {
    /// A try is under way, or about to be taken over by one of those who wait.
    UnderWay { turn: Arc<Turn>, waiting: usize, taken: bool },
    /// It was published as these, and is remembered until then.
    Settled(Positions, Tick),
}

#[derive(Debug)]
struct Remembered {
    fingerprint: u64,
    state: State,
    permit: Permit,
}

/// What was found under a key.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing; now it is claimed.
    Free(Arc<Turn>),
    /// A try under way; whoever asked is counted among those who wait.
    UnderWay(Arc<Turn>),
    /// It was published.
    Settled(Positions),
    /// Another request.
    Reused,
}

#[derive(Debug)]
pub(super) struct Table {
    keys: HashMap<Arc<Key>, Remembered>,
    /// Settled keys in the order of settling, and when they are forgotten.
    settled: VecDeque<(Arc<Key>, Tick)>,
    /// What all of them are charged.
    bytes: usize,
    max_keys: usize,
    max_bytes: usize,
    ttl: Duration,
}

impl Table {
    pub(super) fn new(max_keys: usize, max_bytes: usize, ttl: Duration) -> Table {
        let (keys, settled) = (HashMap::new(), VecDeque::new());
        Table { keys, settled, bytes: 0, max_keys, max_bytes, ttl }
    }

    /// Looks `key` up, and claims it if it is free; it is, too, if its session has another epoch by now (or is no
    /// more), because nothing was published in that one. `charge` is asked for the bytes of a new one; if it has none
    /// even after the oldest settled keys were forgotten for it, the answer is `None` and nothing is claimed.
    pub(super) fn claim(
        &mut self,
        key: &Arc<Key>,
        (fingerprint, epoch): (u64, Option<Epoch>),
        now: Tick,
        mut charge: impl FnMut(usize) -> Result<Permit, Exhausted>,
    ) -> Result<Option<Found>, NoRoom> {
        self.forget_old(now);
        self.forget_if_of_another(key, epoch);
        if let Some(known) = self.keys.get_mut(key) {
            return Ok(Some(match &mut known.state {
                _ if known.fingerprint != fingerprint => Found::Reused,
                State::Settled(positions, _) => Found::Settled(*positions),
                State::UnderWay { turn, waiting, .. } => {
                    *waiting += 1;
                    Found::UnderWay(Arc::clone(turn))
                }
            }));
        }
        let bytes = key.claimed_bytes();
        while self.keys.len() >= self.max_keys || self.bytes + bytes > self.max_bytes {
            self.forget_oldest().ok_or(NoRoom::UnderWay)?;
        }
        let permit = match charge(bytes) {
            Ok(permit) => permit,
            Err(_) => {
                let mut freed = 0;
                while freed < bytes {
                    let Some(more) = self.forget_oldest() else { return Ok(None) };
                    freed += more;
                }
                let Ok(permit) = charge(bytes) else { return Ok(None) };
                permit
            }
        };
        let turn = Turn::taken();
        let state = State::UnderWay { turn: Arc::clone(&turn), waiting: 0, taken: true };
        self.bytes += permit.bytes();
        self.keys.insert(Arc::clone(key), Remembered { fingerprint, state, permit });
        Ok(Some(Found::Free(turn)))
    }

    /// The try was published.
    pub(super) fn settle(&mut self, key: &Arc<Key>, positions: Positions, now: Tick) {
        if let Some(known) = self.keys.get_mut(key) {
            let until = now.after(self.ttl);
            known.state = State::Settled(positions, until);
            self.bytes -= known.permit.split(TURN_BYTES).bytes();
            self.settled.push_back((Arc::clone(key), until));
        }
    }

    /// The try was not published. `true`: somebody waits, whose turn it is now. Otherwise nothing is left.
    pub(super) fn give_up(&mut self, key: &Key) -> bool {
        if let Some(State::UnderWay { taken, .. }) = self.keys.get_mut(key).map(|known| &mut known.state) {
            *taken = false;
        }
        !self.remove_if_unwanted(key)
    }

    /// One of those who wait has the turn.
    pub(super) fn take_over(&mut self, key: &Key) {
        if let Some(State::UnderWay { waiting, taken, .. }) =
            self.keys.get_mut(key).map(|known| &mut known.state)
        {
            *waiting -= 1;
            *taken = true;
        }
    }

    /// One of those who wait for `turn` left.
    pub(super) fn leave(&mut self, key: &Key, left: &Arc<Turn>) {
        if let Some(State::UnderWay { turn, waiting, .. }) =
            self.keys.get_mut(key).map(|known| &mut known.state)
            && Arc::ptr_eq(turn, left)
        {
            *waiting -= 1;
            self.remove_if_unwanted(key);
        }
    }

    /// Removes a key without a publisher and without waiters.
    fn remove_if_unwanted(&mut self, key: &Key) -> bool {
        let unwanted = self
            .keys
            .get(key)
            .is_some_and(|known| matches!(known.state, State::UnderWay { waiting: 0, taken: false, .. }));
        if unwanted {
            self.remove(key);
        }
        unwanted
    }

    fn remove(&mut self, key: &Key) -> usize {
        let bytes = self.keys.remove(key).map_or(0, |known| known.permit.bytes());
        self.bytes -= bytes;
        bytes
    }

    /// Forgets a settled key whose events are of another epoch than its session has now. An answer without events is
    /// of any.
    fn forget_if_of_another(&mut self, key: &Key, epoch: Option<Epoch>) {
        let Some(State::Settled(positions, until)) = self.keys.get(key).map(|known| &known.state) else {
            return;
        };
        if positions.first().is_none_or(|first| Some(first.epoch) == epoch) {
            return;
        }
        // They stand in the order of their time: few have the same.
        let until = *until;
        let from = self.settled.partition_point(|(_, other)| *other < until);
        let same = self.settled.range(from..).take_while(|(_, other)| *other == until);
        if let Some(behind) = same.map(|(other, _)| other).position(|other| **other == *key) {
            self.settled.remove(from + behind);
        }
        self.remove(key);
    }

    /// Forgets the key that was settled first; a try under way is kept, whatever its age. Returns the bytes that
    /// this gave back; `None`: none is settled.
    fn forget_oldest(&mut self) -> Option<usize> {
        let (key, _) = self.settled.pop_front()?;
        Some(self.remove(&key))
    }

    fn forget_old(&mut self, now: Tick) {
        while self.settled.front().is_some_and(|(_, until)| *until <= now) {
            self.forget_oldest();
        }
    }

    /// Forgets what is over, and gives the tables' memory back above twice what is needed.
    pub(super) fn sweep(&mut self, now: Tick) {
        self.forget_old(now);
        if self.keys.capacity() > 2 * self.keys.len().max(SPARE_KEYS) {
            self.keys.shrink_to_fit();
        }
        if self.settled.capacity() > 2 * self.settled.len().max(SPARE_KEYS) {
            self.settled.shrink_to_fit();
        }
        if self.keys.is_empty() {
            self.keys.shrink_to_fit();
            self.settled.shrink_to_fit();
        }
    }

    #[cfg(test)]
    pub(super) fn is_waited_for(&self, key: &Key, by: usize) -> bool {
        let state = self.keys.get(key).map(|known| &known.state);
        matches!(state, Some(State::UnderWay { waiting, .. }) if *waiting == by)
    }

    #[cfg(test)]
    pub(super) fn figures(&self) -> Figures {
        Figures {
            keys: self.keys.len(),
            settled: self.settled.len(),
            bytes: self.bytes,
            room: self.keys.capacity().max(self.settled.capacity()),
        }
    }
}

/// What tests see of a table.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) keys: usize,
    pub(super) settled: usize,
    pub(super) bytes: usize,
    pub(super) room: usize,
}
