//! Tokens that were revoked: by id, or all that a user had up to some time. Remembered until they have expired, where that
//! is known; no revocation is forgotten to make room for another.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::RwLock;
use watertight::Hub;
use watertight_access::Verified;
use watertight_core::{Budget, Owner, Permit};

use super::caller::sha256;

/// What a revocation costs beside its text, bytes: entries of a map that doubles.
const ENTRY_BYTES: usize = 128;

/// Which tokens are revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Which {
    /// That of this id (`jti`).
    Id(IdDigest),
    /// Those of this user that were issued up to then. One that does not say when it was issued is one of them.
    User(Arc<str>, SystemTime),
}

impl Which {
    /// The claim that it goes by.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Which::Id(_) => "jti",
            Which::User(..) => "sub",
        }
    }
}

/// Why a revocation is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "as many revocations are remembered as max_revocations allows; name when their tokens expire (exp), so that they can be forgotten then"
)]
pub(crate) struct Full;

/// By what the id of a token is known here: half of its digest. Nobody finds another text with the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct IdDigest([u8; 16]);

impl IdDigest {
    pub(crate) fn of(id: &str) -> IdDigest {
        let [digest @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = sha256(id.as_bytes());
        IdDigest(digest)
    }

    /// As other hubs are told.
    pub(crate) fn to_hex(self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.0))
    }

    pub(crate) fn from_hex(text: &str) -> Option<IdDigest> {
        let is_hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = is_hex.then(|| u128::from_str_radix(text, 16).ok())??;
        Some(IdDigest(number.to_be_bytes()))
    }
}

#[derive(Debug)]
struct Entry {
    /// Tokens issued up to then; of an id: whatever it says.
    before: Option<SystemTime>,
    /// When the last of its tokens has expired; `None`: nobody said.
    until: Option<SystemTime>,
    _permit: Permit,
}

#[derive(Debug, Default)]
struct Entries {
    ids: HashMap<IdDigest, Entry>,
    users: HashMap<Arc<str>, Entry>,
}

/// The revocations.
#[derive(Debug)]
pub(crate) struct Revocations {
    budget: Arc<Budget>,
    max: usize,
    entries: RwLock<Entries>,
}

impl Revocations {
    pub(super) fn new(hub: &Hub, max: usize) -> Revocations {
        Revocations { budget: Arc::clone(hub.budget()), max, entries: RwLock::default() }
    }

    /// Refuses these tokens from now on, until `until` if that is known.
    ///
    /// # Errors
    /// When there is no room for it; nothing was revoked then.
    pub(crate) fn add(&self, which: &Which, until: Option<SystemTime>) -> Result<(), Full> {
        let text_bytes = match which {
            Which::Id(_) => 0,
            Which::User(user, _) => user.len(),
        };
        let permit = self.budget.try_charge(Owner::Caches, ENTRY_BYTES + text_bytes).map_err(|_| Full)?;
        let mut entries = self.entries.write();
        let is_full = entries.ids.len() + entries.users.len() >= self.max;
        let (known, new) = match which {
            Which::Id(id) => {
                let id = *id;
                let new = Entry { before: None, until, _permit: permit };
                (entries.ids.get_mut(&id).map(|known| known.widen(&new)), (Some(id), None, new))
            }
            Which::User(user, before) => {
                let new = Entry { before: Some(*before), until, _permit: permit };
                (entries.users.get_mut(user).map(|known| known.widen(&new)), (None, Some(user), new))
            }
        };
        match (known, new) {
            (Some(()), _) => {}
            _ if is_full => return Err(Full),
            (None, (Some(id), _, new)) => drop(entries.ids.insert(id, new)),
            (None, (None, Some(user), new)) => drop(entries.users.insert(Arc::clone(user), new)),
            (None, (None, None, _)) => {}
        }
        Ok(())
    }

    /// Whether a token is revoked.
    pub(crate) fn covers(&self, token: &Verified, now: SystemTime) -> bool {
        let id = || token.id.as_deref().map(IdDigest::of);
        self.covers_one(id, token.subject.as_deref(), token.issued_at, now)
    }

    /// The same for one of which only this is known.
    pub(crate) fn covers_one(
        &self,
        id: impl FnOnce() -> Option<IdDigest>,
        user: Option<&str>,
        issued_at: Option<SystemTime>,
        now: SystemTime,
    ) -> bool {
        let entries = self.entries.read();
        let holds = |entry: &Entry| entry.until.is_none_or(|until| now <= until);
        let by_id = || id().and_then(|id| entries.ids.get(&id)).is_some_and(holds);
        let by_user = || {
            let entry = user.and_then(|user| entries.users.get(user)).filter(|entry| holds(entry));
            entry.is_some_and(|entry| is_before(issued_at, entry.before))
        };
        (!entries.ids.is_empty() && by_id()) || (!entries.users.is_empty() && by_user())
    }

    /// Lets go of those whose tokens have expired.
    pub(super) fn sweep(&self, now: SystemTime) {
        let is_over = |entry: &Entry| entry.until.is_some_and(|until| until < now);
        {
            let entries = self.entries.read();
            if !entries.ids.values().any(is_over) && !entries.users.values().any(is_over) {
                return;
            }
        }
        let mut entries = self.entries.write();
        entries.ids.retain(|_, entry| !is_over(entry));
        entries.users.retain(|_, entry| !is_over(entry));
        let (ids, users) = (entries.ids.len(), entries.users.len());
        entries.ids.shrink_to(2 * ids);
        entries.users.shrink_to(2 * users);
    }

    /// Revocations that are remembered.
    pub(crate) fn len(&self) -> usize {
        let entries = self.entries.read();
        entries.ids.len() + entries.users.len()
    }
}

/// Whether a token of this time is one of those up to `before`. Times of tokens are whole seconds: one of the same second
/// is.
pub(super) fn is_before(issued_at: Option<SystemTime>, before: Option<SystemTime>) -> bool {
    match (issued_at, before) {
        (_, None) | (None, _) => true,
        (Some(issued_at), Some(before)) => whole_seconds(issued_at) <= whole_seconds(before),
    }
}

fn whole_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl Entry {
    /// What two revocations cover together.
    fn widen(&mut self, other: &Entry) {
        self.before = self.before.max(other.before);
        self.until = match (self.until, other.until) {
            (Some(one), Some(other)) => Some(one.max(other)),
            _ => None,
        };
    }
}
