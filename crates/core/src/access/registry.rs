//! All rights that are held: found by key, so that the streams of one token share one; asked about in time; counted by
//! user. Striped; no lock is held over more than a stripe, and none while anything is asked.

use std::collections::HashMap;
use std::sync::Weak;

use super::{Access, AccessPolicy, Question};
use crate::budget::{Budget, Exhausted, Owner};
use crate::ledger::{Kind, Ledger};
use crate::life::CloseReason;
use crate::limits::{ACCESS_BYTES, ACCESS_STRIPES};
use crate::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};
use crate::sync::{Arc, Mutex, RandomState};
use crate::time::Tick;

/// What rights are shared by: a digest of everything that tells one from the other (token, resource), so that what is
/// equal is found without keeping the token. Of 128 bits that nobody outside can choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccessKey([u8; 16]);

impl AccessKey {
    /// A key with these bits.
    #[must_use]
    pub fn new(digest: [u8; 16]) -> AccessKey {
        AccessKey(digest)
    }

    fn stripe(&self) -> usize {
        usize::from(self.0[15]) % ACCESS_STRIPES
    }
}

/// Why a right, or a stream under it, cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// It was withdrawn.
    #[error("access was withdrawn: {}", .0.code())]
    Withdrawn(CloseReason),
    /// Its user has as many streams as a user may have.
    #[error("this user has {0} streams open, and no user may have more")]
    TooManyStreams(u32),
    /// There is no room for it.
    #[error(transparent)]
    Memory(#[from] Exhausted),
}

/// A right that is to be given.
#[derive(Debug)]
pub struct Grant {
    /// What it is shared by.
    pub key: AccessKey,
    /// Whose it is.
    pub user: Option<Arc<str>>,
    /// When it expires; [`Tick::NEVER`] if it does not.
    pub expires: Tick,
    /// How one finds out whether it still stands.
    pub question: Option<Box<dyn Question>>,
    /// When that is asked first.
    pub ask_at: Tick,
}

#[derive(Debug)]
struct Held {
    access: Weak<Access>,
    ask_at: Tick,
}

type Stripe = HashMap<AccessKey, Held, RandomState>;

/// All rights that are held. Each is charged to the budget; there are never more than holders.
#[derive(Debug)]
pub struct AccessRegistry {
    budget: Arc<Budget>,
    ledger: Arc<Ledger>,
    stripes: Box<[Mutex<Stripe>]>,
    /// Streams of each user, if there is a limit. Bounded by the streams.
    users: Option<Users>,
}

#[derive(Debug)]
struct Users {
    max_streams: u32,
    streams: Mutex<HashMap<Arc<str>, u32, RandomState>>,
}

impl AccessRegistry {
    /// A registry whose users may have so many streams each.
    #[must_use]
    pub fn new(
        budget: Arc<Budget>,
        ledger: Arc<Ledger>,
        max_streams_per_user: Option<u32>,
    ) -> Arc<AccessRegistry> {
        let users = max_streams_per_user
            .map(|max_streams| Users { max_streams, streams: Mutex::new(HashMap::default()) });
        let stripes = (0..ACCESS_STRIPES).map(|_| Mutex::new(Stripe::default())).collect();
        Arc::new(AccessRegistry { budget, ledger, stripes, users })
    }

    /// The right of this key, if somebody holds it and it was not withdrawn.
    #[must_use]
    pub fn get(&self, key: &AccessKey) -> Option<Arc<Access>> {
        // Taken out of the lock: the last reference may go here, and goes back into the registry.
        let access = self.stripes[key.stripe()].lock().get(key).and_then(|held| held.access.upgrade());
        access.filter(|access| access.withdrawn().is_none())
    }

    /// Gives a right. If somebody else gave one of the same key meanwhile, both are good; the later is found.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn grant(self: &Arc<Self>, grant: Grant) -> Result<Arc<Access>, AccessError> {
        let permit = self.budget.try_charge(Owner::Access, ACCESS_BYTES)?;
        let access = Arc::new(Access {
            user: grant.user,
            expires: AtomicU64::new(grant.expires.0),
            withdrawn: AtomicU8::new(0),
            errors_in_a_row: AtomicU8::new(0),
            validations: AtomicU32::new(0),
            errors: AtomicU32::new(0),
            streams: AtomicU32::new(0),
            question: grant.question,
            key: grant.key,
            registry: Arc::clone(self),
            _permit: permit,
            _entry: self.ledger.open(Kind::Access),
        });
        let held = Held { access: Arc::downgrade(&access), ask_at: grant.ask_at };
        self.stripes[grant.key.stripe()].lock().insert(grant.key, held);
        Ok(access)
    }

    /// The rights that are to be asked about at `now`, up to `limit`; each is put off until it is asked about next.
    pub fn due(
        &self,
        now: Tick,
        limit: usize,
        policy: &AccessPolicy,
        mut draw: impl FnMut() -> u64,
    ) -> Vec<Arc<Access>> {
        let mut due = Vec::new();
        for stripe in &self.stripes {
            let mut stripe = stripe.lock();
            for held in stripe.values_mut().filter(|held| held.ask_at <= now) {
                if due.len() == limit {
                    return due;
                }
                held.ask_at = policy.next_question(now, draw());
                due.extend(held.access.upgrade());
            }
        }
        due
    }

    /// Withdraws every right for which `reason` says why. Returns how many there were, and their streams.
    pub fn withdraw(&self, mut reason: impl FnMut(&Access) -> Option<CloseReason>) -> Withdrawn {
        let mut withdrawn = Withdrawn::default();
        for stripe in &self.stripes {
            let held: Vec<Arc<Access>> = {
                let stripe = stripe.lock();
                stripe.values().filter_map(|held| held.access.upgrade()).collect()
            };
            for access in held {
                if let Some(reason) = reason(&access)
                    && access.withdraw(reason)
                {
                    withdrawn.rights += 1;
                    withdrawn.streams += access.streams() as usize;
                }
            }
        }
        withdrawn
    }

    /// Rights that are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stripes.iter().map(|stripe| stripe.lock().len()).sum()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Nobody is to find it any more.
    pub(super) fn forget(&self, access: &Access) {
        let mut stripe = self.stripes[access.key.stripe()].lock();
        // Another of the same key may stand there by now.
        if stripe.get(&access.key).is_some_and(|held| std::ptr::eq(held.access.as_ptr(), access)) {
            stripe.remove(&access.key);
            give_back(&mut stripe);
        }
    }

    pub(super) fn open_stream(&self, user: &Arc<str>) -> Result<(), AccessError> {
        let Some(Users { max_streams, streams }) = &self.users else { return Ok(()) };
        let mut streams = streams.lock();
        match streams.get_mut(user) {
            Some(open) if *open >= *max_streams => Err(AccessError::TooManyStreams(*open)),
            Some(open) => {
                *open += 1;
                Ok(())
            }
            None => {
                streams.insert(Arc::clone(user), 1);
                Ok(())
            }
        }
    }

    pub(super) fn close_stream(&self, user: &Arc<str>) {
        let Some(Users { streams, .. }) = &self.users else { return };
        let mut streams = streams.lock();
        if let Some(open) = streams.get_mut(user) {
            *open -= 1;
            if *open == 0 {
                streams.remove(user);
                give_back(&mut streams);
            }
        }
    }
}

/// What was withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Withdrawn {
    /// Rights.
    pub rights: usize,
    /// Streams that were open under them.
    pub streams: usize,
}

/// A map's memory follows how many entries there are.
fn give_back<K: Eq + std::hash::Hash, V>(map: &mut HashMap<K, V, RandomState>) {
    const SPARE: usize = 64;
    if map.capacity() > SPARE.max(4 * map.len()) {
        map.shrink_to(2 * map.len());
    }
}
