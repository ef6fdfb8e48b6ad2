//! All sessions, by name: striped, bounded in number, each removed once nobody needs it.
//!
//! A stripe's lock is held for one look-up or one slice of cleanup, never over all sessions. Whoever joins a
//! session does so under the stripe's lock, and removal looks at the subscriber count under the same lock: no
//! subscriber ever sits in a session that was removed.

use std::hash::BuildHasher;

use hashbrown::HashTable;

use crate::limits::{CLEANUP_SLICE, REGISTRY_STRIPES};
use crate::name::SessionName;
use crate::prefetch::prefetch;
use crate::session::Session;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex, RandomState};
use crate::table::Table;
use crate::time::Tick;

/// Why there is no session to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// The limit on sessions is reached.
    #[error("there are {max_sessions} sessions already, the most this hub is configured for")]
    Full {
        /// The limit in force.
        max_sessions: usize,
    },
}

#[derive(Debug, Default)]
struct Stripe {
    /// Keys into `sessions`, by the hash of the name. Names stand in the sessions only.
    table: HashTable<u32>,
    sessions: Table<Arc<Session>>,
}

/// A point in the registry's order, for paging and for cleanup that goes on where it stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScanPoint {
    /// The stripe.
    pub stripe: usize,
    /// The first key in it that has not been looked at.
    pub key: usize,
}

/// What a slice of cleanup did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Sessions taken out.
    pub sessions: usize,
    /// Events that they held.
    pub events: usize,
    /// Where to go on; `None` after the last session.
    pub next: Option<ScanPoint>,
}

/// All sessions.
#[derive(Debug)]
pub struct Registry {
    stripes: Box<[Mutex<Stripe>]>,
    hasher: RandomState,
    count: AtomicUsize,
    max_sessions: usize,
}

impl Registry {
    /// An empty registry for at most `max_sessions` sessions.
    #[must_use]
    pub fn new(max_sessions: usize) -> Registry {
        Registry {
            stripes: (0..REGISTRY_STRIPES).map(|_| Mutex::new(Stripe::default())).collect(),
            hasher: RandomState::default(),
            count: AtomicUsize::new(0),
            max_sessions,
        }
    }

    /// Sessions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The session of that name, if there is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Session>> {
        let hash = self.hasher.hash_one(name);
        let stripe = self.stripe(hash).lock();
        stripe.find(hash, name).map(Arc::clone)
    }

    /// The session of that name, made by `make` if there is none, touched at `now`; with `join`, the caller is
    /// counted in as a subscriber and owes a [`Session::leave`].
    ///
    /// # Errors
    /// When the session would be one too many, or when `make` fails.
    pub fn get_or_create<E: From<RegistryError>>(
        &self,
        name: &SessionName,
        now: Tick,
        join: bool,
        make: impl FnOnce() -> Result<Arc<Session>, E>,
    ) -> Result<Arc<Session>, E> {
        let hash = self.hasher.hash_one(name.as_str());
        let mut stripe = self.stripe(hash).lock();
        let session = match stripe.find(hash, name.as_str()) {
            Some(session) => Arc::clone(session),
            None => {
                let counted = self.take_one()?;
                let session = make()?;
                stripe.insert(&self.hasher, hash, Arc::clone(&session));
                counted.keep();
                session
            }
        };
        session.touch(now);
        if join {
            session.join();
        }
        Ok(session)
    }

    /// Takes `session` out, whoever reads it; it is retired under its log's lock first, so that nothing is
    /// published into it afterwards. Returns how many events it held; `None`: it was out already.
    pub fn remove(&self, session: &Arc<Session>) -> Option<usize> {
        let hash = self.hasher.hash_one(session.name().as_str());
        let mut stripe = self.stripe(hash).lock();
        if !stripe.holds(hash, session) {
            return None;
        }
        let events = session.with_log(crate::log::Log::retire);
        stripe.take(hash, session);
        self.count.fetch_sub(1, Ordering::Relaxed);
        Some(events)
    }

    /// Looks at up to [`CLEANUP_SLICE`] sessions from `at` on. `idle` says whether a session that has no
    /// subscribers may go; those are retired and taken out. `visit` sees each that stays.
    pub fn slice(
        &self,
        at: ScanPoint,
        idle: impl Fn(&Session) -> bool,
        mut visit: impl FnMut(&Arc<Session>),
    ) -> Swept {
        let mut swept = Swept::default();
        let Some(stripe) = self.stripes.get(at.stripe) else { return swept };
        let (mut staying, mut gone) = (Vec::with_capacity(CLEANUP_SLICE), Vec::new());
        let next = {
            let mut stripe = stripe.lock();
            let last = stripe.sessions.end();
            let end = last.min(at.key.saturating_add(CLEANUP_SLICE));
            for key in at.key..end {
                let Some(session) = stripe.session(key).map(Arc::clone) else { continue };
                if session.subscribers() == 0 && idle(&session) {
                    swept.events += session.with_log(crate::log::Log::retire);
                    let hash = self.hasher.hash_one(session.name().as_str());
                    stripe.take(hash, &session);
                    gone.push(session);
                } else {
                    staying.push(session);
                }
            }
            if end >= last {
                stripe.shrink(&self.hasher);
            }
            (end < last).then_some(ScanPoint { stripe: at.stripe, key: end })
        };
        self.count.fetch_sub(gone.len(), Ordering::Relaxed);
        for session in &staying {
            visit(session);
        }
        swept.sessions = gone.len();
        swept.next = next.or_else(|| {
            let stripe = at.stripe + 1;
            (stripe < self.stripes.len()).then_some(ScanPoint { stripe, key: 0 })
        });
        swept
    }

    /// Up to `limit` sessions from `at` on, and where the next page begins. Sessions that come, go or are moved
    /// together between two pages may be missed.
    #[must_use]
    pub fn page(&self, mut at: ScanPoint, limit: usize) -> (Vec<Arc<Session>>, Option<ScanPoint>) {
        let mut page = Vec::new();
        while let Some(stripe) = self.stripes.get(at.stripe) {
            let stripe = stripe.lock();
            while at.key < stripe.sessions.end() {
                if page.len() == limit {
                    return (page, Some(at));
                }
                page.extend(stripe.session(at.key).map(Arc::clone));
                at.key += 1;
            }
            at = ScanPoint { stripe: at.stripe + 1, key: 0 };
        }
        (page, None)
    }

    fn stripe(&self, hash: u64) -> &Mutex<Stripe> {
        // The low bits choose the bucket inside the table; the stripe takes others.
        let index = usize::try_from(hash >> 32).unwrap_or(0) & (REGISTRY_STRIPES - 1);
        &self.stripes[index]
    }

    fn take_one(&self) -> Result<CountGuard<'_>, RegistryError> {
        let fits = |count: usize| (count < self.max_sessions).then_some(count + 1);
        match self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(_) => Ok(CountGuard { count: Some(&self.count) }),
            Err(_) => Err(RegistryError::Full { max_sessions: self.max_sessions }),
        }
    }
}

/// One of the `max_sessions`; given back unless a session takes it, panics included.
struct CountGuard<'a> {
    /// The registry's count; `None` once a session's removal will give it back.
    count: Option<&'a AtomicUsize>,
}

impl CountGuard<'_> {
    fn keep(mut self) {
        self.count = None;
    }
}

impl Drop for CountGuard<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.count {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Stripe {
    fn find(&self, hash: u64, name: &str) -> Option<&Arc<Session>> {
        let key = self.table.find(hash, |key| {
            self.sessions.get(*key).is_some_and(|session| {
                // It is the one, as good as always: what comes next touches all of it.
                prefetch(&**session);
                session.name().as_str() == name
            })
        })?;
        self.sessions.get(*key)
    }

    fn session(&self, key: usize) -> Option<&Arc<Session>> {
        self.sessions.get(u32::try_from(key).ok()?)
    }

    fn holds(&self, hash: u64, session: &Arc<Session>) -> bool {
        self.find(hash, session.name().as_str()).is_some_and(|found| Arc::ptr_eq(found, session))
    }

    fn insert(&mut self, hasher: &RandomState, hash: u64, session: Arc<Session>) {
        let key = self.sessions.insert(session);
        let sessions = &self.sessions;
        self.table.insert_unique(hash, key, |key| hash_of(hasher, sessions, *key));
    }

    fn take(&mut self, hash: u64, session: &Arc<Session>) {
        let sessions = &self.sessions;
        let same = |key: &u32| sessions.get(*key).is_some_and(|found| Arc::ptr_eq(found, session));
        if let Ok(entry) = self.table.find_entry(hash, same) {
            let (key, _) = entry.remove();
            self.sessions.remove(key);
        }
    }

    /// Gives memory back after many sessions went: those that stay move together. Called behind a walk over the
    /// stripe, so that the walk misses none of them.
    fn shrink(&mut self, hasher: &RandomState) {
        while let Some((from, to)) = self.sessions.compact_one() {
            let Some(moved) = self.sessions.get(to) else { return };
            let hash = hasher.hash_one(moved.name().as_str());
            if let Some(key) = self.table.find_mut(hash, |key| *key == from) {
                *key = to;
            }
        }
        if self.table.capacity() > 64 && self.table.len() < self.table.capacity() / 2 {
            let sessions = &self.sessions;
            self.table.shrink_to_fit(|key| hash_of(hasher, sessions, *key));
        }
    }
}

fn hash_of(hasher: &RandomState, sessions: &Table<Arc<Session>>, key: u32) -> u64 {
    sessions.get(key).map_or(0, |session| hasher.hash_one(session.name().as_str()))
}

#[cfg(test)]
mod tests;
