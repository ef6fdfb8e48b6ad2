//! All rights that are held: found by key, so that the streams of one token share one; asked about in time; counted by
//! user. Striped; no lock is held over more than a stripe, and none while anything is asked.

use std::collections::HashMap;
use std::sync::Weak;

use super::{Access, AccessPolicy, Question};
use crate::budget::{Budget, Exhausted, Owner};
use crate::ledger::{Kind, Ledger};
use crate::life::CloseReason;
use crate::limits::{ACCESS_BYTES, ACCESS_STRIPES};
use crate::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
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
    /// What it holds beside what every right does, bytes: long names, the text of a token.
    pub bytes: usize,
}

#[derive(Debug)]
struct Held {
    access: Weak<Access>,
    /// When it is asked about; [`Tick::NEVER`] while it is.
    ask_at: Tick,
}

type Stripe = HashMap<AccessKey, Held, RandomState>;

/// All rights that are held. Each is charged to the budget; there are never more than holders.
#[derive(Debug)]
pub struct AccessRegistry {
    budget: Arc<Budget>,
    ledger: Arc<Ledger>,
    stripes: Box<[Mutex<Stripe>]>,
    /// The stripe at which the next search for what is due begins, so that all have their turn.
    next_stripe: AtomicUsize,
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
        Arc::new(AccessRegistry { budget, ledger, stripes, next_stripe: AtomicUsize::new(0), users })
    }

    /// The right of this key, if somebody holds it and it was not withdrawn.
    #[must_use]
    pub fn get(&self, key: &AccessKey) -> Option<Arc<Access>> {
        // Taken out of the lock: the last reference may go here, and goes back into the registry.
        let access = self.stripes[key.stripe()].lock().get(key).and_then(|held| held.access.upgrade());
        access.filter(|access| access.withdrawn().is_none())
    }

    /// Gives a right, or returns the one of this key that stands: there are never two of one key, because a revocation
    /// would find only one.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn grant(self: &Arc<Self>, grant: Grant) -> Result<Arc<Access>, AccessError> {
        let permit = self.budget.try_charge(Owner::Access, ACCESS_BYTES + grant.bytes)?;
        let access = Arc::new(Access {
            user: grant.user,
            expires: AtomicU64::new(grant.expires.0),
            withdrawn: AtomicU8::new(0),
            errors_in_a_row: AtomicU8::new(0),
            not_asked_in_a_row: AtomicU8::new(0),
            validations: AtomicU32::new(0),
            errors: AtomicU32::new(0),
            streams: AtomicU32::new(0),
            question: grant.question,
            key: grant.key,
            registry: Arc::clone(self),
            _permit: permit,
            _entry: self.ledger.open(Kind::Access),
        });
        // Neither is let go of under the lock: the last reference goes back into this stripe.
        let standing = {
            let mut stripe = self.stripes[grant.key.stripe()].lock();
            let standing = stripe.get(&grant.key).and_then(|held| held.access.upgrade());
            if standing.as_ref().is_none_or(|standing| standing.withdrawn().is_some()) {
                let held = Held { access: Arc::downgrade(&access), ask_at: grant.ask_at };
                stripe.insert(grant.key, held);
            }
            standing
        };
        Ok(standing.filter(|standing| standing.withdrawn().is_none()).unwrap_or(access))
    }

    /// The rights in use that are to be asked about at `now`, up to `limit`. Each of them is not asked about again until
    /// [`AccessRegistry::ask_at`] says when. If there are more, those who have waited longest come first, and the next
    /// search begins behind the stripe where this one stopped: each has its turn, however little room there is.
    pub fn due(
        &self,
        now: Tick,
        limit: usize,
        policy: &AccessPolicy,
        mut draw: impl FnMut() -> u64,
    ) -> Vec<Arc<Access>> {
        let (mut due, mut unused) = (Vec::new(), Vec::new());
        let first = self.next_stripe.load(Ordering::Relaxed);
        for at in (0..ACCESS_STRIPES).map(|step| (first + step) % ACCESS_STRIPES) {
            let mut stripe = self.stripes[at].lock();
            let mut waiting: Vec<&mut Held> = stripe.values_mut().filter(|held| held.ask_at <= now).collect();
            if waiting.len() > limit - due.len() {
                waiting.sort_unstable_by_key(|held| held.ask_at);
            }
            for held in waiting {
                if due.len() == limit {
                    self.next_stripe.store((at + 1) % ACCESS_STRIPES, Ordering::Relaxed);
                    return due;
                }
                let Some(access) = held.access.upgrade() else { continue };
                if access.streams() == 0 {
                    // Nobody asks about a right that no stream uses. Let go of outside of the lock.
                    held.ask_at = policy.next_question(now, draw());
                    unused.push(access);
                } else {
                    held.ask_at = Tick::NEVER;
                    due.push(access);
                }
            }
        }
        due
    }

    /// When a right is asked about next.
    pub fn ask_at(&self, access: &Access, at: Tick) {
        let mut stripe = self.stripes[access.key.stripe()].lock();
        if let Some(held) = stripe.get_mut(&access.key).filter(|held| is_of(held, access)) {
            held.ask_at = at;
        }
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
                if let Some(reason) = reason(&access) {
                    access.withdraw(reason);
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
        if stripe.get(&access.key).is_some_and(|held| is_of(held, access)) {
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

fn is_of(held: &Held, access: &Access) -> bool {
    std::ptr::eq(held.access.as_ptr(), access)
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
