//! Events that were made for Python and that other readers of their session are about to take: an event is made once for
//! all of them, not once for each.
//!
//! An event is kept until as many readers have taken it, passed it over or left as the session had when it was made. Some of
//! them may stall, or have begun behind it: it goes with the next cleanup at the latest. All of them are charged, and bounded
//! together. They make reading cheaper and nothing else, so they never keep a publisher or a newcomer out: none is kept where
//! there is no room, or above the warning threshold.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use pyo3::prelude::*;
use watertight::{Budget, Hub, Session};
use watertight_core::{Owner, Permit, Position, Rung};

/// Events of a session that are kept for its other readers: as far as those are apart where they keep up.
const SESSION_EVENTS_MAX: usize = 1024;

/// Their bytes.
const SESSION_BYTES_MAX: usize = 1024 * 1024;

/// The bytes of all sessions.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// And as a share of the critical threshold: more than this never stands between a hub and its recovery.
const SHARE_OF_CRITICAL: usize = 16;

/// A session in one of its lives.
type Key = (Box<str>, u64);

/// The shared events of all sessions that have readers here.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    sessions: Mutex<HashMap<Key, Arc<Shared>>>,
    bytes: AtomicUsize,
    /// How many cleanups of the hub have been followed.
    cleanups: AtomicU64,
}

/// Those of one session.
#[derive(Debug, Default)]
struct Shared(Mutex<Slots>);

/// Side by side from `first` on.
#[derive(Debug, Default)]
struct Slots {
    first: u64,
    slots: VecDeque<Option<Slot>>,
    bytes: usize,
}

#[derive(Debug)]
struct Slot {
    event: Py<PyAny>,
    /// How many readers have not taken it yet.
    left: usize,
    charged: Charged,
}

/// What a slot takes, in the hub's budget and of the shelf.
#[derive(Debug)]
struct Charged {
    permit: Permit,
    shelf: Arc<Shelf>,
}

impl Drop for Charged {
    fn drop(&mut self) {
        self.shelf.bytes.fetch_sub(self.permit.bytes(), Ordering::Relaxed);
    }
}

/// What leaves the shelf: Python's objects, to be dropped outside of its locks.
type Gone = VecDeque<Option<Slot>>;

impl Shelf {
    /// For a reader of `session` that begins behind `start`.
    pub(crate) fn lease(self: &Arc<Self>, session: &Session, start: Position, budget: &Arc<Budget>) -> Lease {
        let key: Key = (session.name().as_str().into(), start.epoch.bits());
        let shared = Arc::clone(self.sessions.lock().entry(key.clone()).or_default());
        let next = AtomicU64::new(start.sequence.saturating_add(1));
        Lease { shared, next, key, shelf: Arc::clone(self), budget: Arc::clone(budget) }
    }

    /// Clears the shelf after each cleanup of the hub, and while memory is short. For whoever comes by: the hub's own
    /// threads cannot drop what is Python's.
    pub(crate) fn tidy(&self, hub: &Hub) {
        let cleanups = hub.counters().cleanups.load(Ordering::Relaxed);
        let is_followed = self.cleanups.swap(cleanups, Ordering::Relaxed) == cleanups;
        if !is_followed || hub.budget().rung() != Rung::Normal {
            self.clear();
        }
    }

    fn clear(&self) {
        if self.bytes.load(Ordering::Relaxed) == 0 {
            return;
        }
        let sessions: Vec<Arc<Shared>> = self.sessions.lock().values().cloned().collect();
        let gone: Vec<Gone> = sessions.iter().map(|shared| shared.0.lock().clear()).collect();
        drop(gone);
    }

    /// Room for so many bytes. `None`: there is none.
    fn charge(self: &Arc<Self>, budget: &Arc<Budget>, bytes: usize) -> Option<Charged> {
        let most = BYTES_MAX.min(budget.critical_bytes() / SHARE_OF_CRITICAL);
        if bytes > most.min(SESSION_BYTES_MAX) || budget.rung() != Rung::Normal {
            return None;
        }
        if self.bytes.load(Ordering::Relaxed) + bytes > most {
            // Readers that come for nothing have filled it: those who do get theirs made anew.
            self.clear();
        }
        let permit = budget.try_charge(Owner::Caches, bytes).ok()?;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Some(Charged { permit, shelf: Arc::clone(self) })
    }
}

/// A reader's part in its session's shared events; they go with the last.
#[derive(Debug)]
pub(crate) struct Lease {
    shared: Arc<Shared>,
    /// The first event that it has not come for yet.
    next: AtomicU64,
    key: Key,
    shelf: Arc<Shelf>,
    budget: Arc<Budget>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut sessions = self.shelf.sessions.lock();
        // The shelf's own, and this one.
        let last = (Arc::strong_count(&self.shared) <= 2).then(|| sessions.remove(&self.key));
        drop(sessions);
        let gone = self.shared.0.lock().pass_over(self.next.load(Ordering::Relaxed), u64::MAX);
        drop((last, gone));
    }
}

impl Lease {
    /// What the hub's bytes are charged to.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// The event of this sequence number, shared or as `make` makes it, and how many of its bytes its reader has to be charged
    /// for. `make` says how many it has; what is shared costs no look at the frame.
    pub(crate) fn event(
        &self,
        py: Python<'_>,
        sequence: u64,
        make: impl FnOnce() -> PyResult<(Py<PyAny>, usize)>,
    ) -> PyResult<(Py<PyAny>, usize)> {
        let next = self.next.swap(sequence.saturating_add(1), Ordering::Relaxed);
        let (taken, gone) = {
            let mut slots = self.shared.0.lock();
            let gone = if next < sequence { slots.pass_over(next, sequence) } else { Gone::new() };
            (slots.take(py, sequence), gone)
        };
        drop(gone);
        if let Some(taken) = taken {
            return Ok(taken);
        }
        // No lock is held while Python's code runs.
        let (event, bytes) = make()?;
        // Without the shelf's own and this reader's.
        let others = Arc::strong_count(&self.shared).saturating_sub(2);
        if others == 0 {
            return Ok((event, bytes));
        }
        let Some(charged) = self.shelf.charge(&self.budget, bytes) else { return Ok((event, bytes)) };
        let slot = Slot { event: event.clone_ref(py), left: others, charged };
        let gone = self.shared.0.lock().put(sequence, slot);
        drop(gone);
        Ok((event, 0))
    }
}

impl Slots {
    fn index_of(&self, sequence: u64) -> Option<usize> {
        usize::try_from(sequence.checked_sub(self.first)?).ok()
    }

    /// The event. If nobody else is to come for it, it is not kept any more, and who takes it is charged for its bytes.
    fn take(&mut self, py: Python<'_>, sequence: u64) -> Option<(Py<PyAny>, usize)> {
        let index = self.index_of(sequence)?;
        let place = self.slots.get_mut(index)?;
        let slot = place.as_mut()?;
        slot.left = slot.left.saturating_sub(1);
        if slot.left > 0 {
            return Some((slot.event.clone_ref(py), 0));
        }
        let slot = place.take()?;
        let bytes = slot.charged.permit.bytes();
        self.bytes -= bytes;
        self.trim_front();
        Some((slot.event, bytes))
    }

    /// A reader does not come for the events from `from` up to `to`. What goes with that.
    fn pass_over(&mut self, from: u64, to: u64) -> Gone {
        let mut gone = Gone::new();
        let skipped = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let end = usize::try_from(to.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let places = self.slots.iter_mut().take(end).skip(skipped);
        for place in places {
            let Some(slot) = place else { continue };
            slot.left = slot.left.saturating_sub(1);
            if slot.left == 0 {
                self.bytes -= slot.charged.permit.bytes();
                gone.push_back(place.take());
            }
        }
        self.trim_front();
        gone
    }

    fn trim_front(&mut self) {
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.first += 1;
        }
    }

    fn clear(&mut self) -> Gone {
        self.bytes = 0;
        std::mem::take(&mut self.slots)
    }

    /// Keeps an event, if it is not older than those that are kept. What goes instead.
    fn put(&mut self, sequence: u64, slot: Slot) -> Gone {
        let mut gone = Gone::new();
        let end = self.first + self.slots.len() as u64;
        if self.slots.is_empty() || sequence >= end + SESSION_EVENTS_MAX as u64 {
            gone = self.clear();
            self.first = sequence;
        }
        let Some(index) = self.index_of(sequence) else {
            gone.push_back(Some(slot));
            return gone;
        };
        while self.slots.len() <= index {
            self.slots.push_back(None);
        }
        self.bytes += slot.charged.permit.bytes();
        if let Some(place) = self.slots.get_mut(index) {
            let before = place.replace(slot);
            self.bytes -= before.as_ref().map_or(0, |before| before.charged.permit.bytes());
            gone.push_back(before);
        }
        while self.slots.len() > SESSION_EVENTS_MAX || self.bytes > SESSION_BYTES_MAX {
            let Some(oldest) = self.slots.pop_front() else { break };
            self.first += 1;
            self.bytes -= oldest.as_ref().map_or(0, |oldest| oldest.charged.permit.bytes());
            gone.push_back(oldest);
        }
        gone
    }
}
