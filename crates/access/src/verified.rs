//! A token that was accepted: what of it is kept. Of a JWT no text is; a hub that wants to know a token again keeps its
//! digest. An opaque token's text is needed for as long as its streams live, because its issuer is asked again.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::claims::{Claims, Rules};
use crate::grants::Grants;
use crate::key::KeyIdentity;
use crate::time::later;

/// What was accepted.
#[derive(Clone, PartialEq, Eq)]
pub struct Verified {
    /// The user (`sub`).
    pub subject: Option<Arc<str>>,
    /// The token's id (`jti`), by which it may be revoked.
    pub id: Option<Arc<str>>,
    /// Who issued it (`iss`).
    pub issuer: Option<Arc<str>>,
    /// When it was issued, if it says so; not verified.
    pub issued_at: Option<SystemTime>,
    /// When it expires; with an opaque token whose issuer names no end, the end of the year 9999.
    pub expires: SystemTime,
    /// What it grants.
    pub grants: Arc<Grants>,
    pub(crate) proof: Proof,
}

/// What it was accepted by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// A key, a static one or one of that key set.
    Key { identity: KeyIdentity, set: Option<u8> },
    /// Its issuer said so.
    Introspection,
}

impl Verified {
    pub(crate) fn new(rules: &Rules, claims: Claims, proof: Proof) -> Verified {
        // The issuer that is expected is there once for all tokens.
        let issuer = match (&rules.issuer, claims.issuer) {
            (Some(expected), Some(issuer)) if **expected == *issuer => Some(Arc::clone(expected)),
            (_, issuer) => issuer,
        };
        Verified {
            subject: claims.subject.clone(),
            id: claims.id.clone(),
            issuer,
            issued_at: claims.issued_at,
            expires: claims.expires.unwrap_or_else(crate::time::far),
            grants: Arc::new(claims.grants),
            proof,
        }
    }

    /// Whether its text is needed to ask about it again.
    #[must_use]
    pub fn is_opaque(&self) -> bool {
        self.proof == Proof::Introspection
    }

    /// The key it was signed with; `None` for an opaque token.
    #[must_use]
    pub fn key(&self) -> Option<KeyIdentity> {
        match self.proof {
            Proof::Key { identity, .. } => Some(identity),
            Proof::Introspection => None,
        }
    }

    /// Until when a verifier with that leeway accepts it.
    #[must_use]
    pub fn accepted_until(&self, leeway: Duration) -> SystemTime {
        later(self.expires, leeway)
    }

    /// When a stream that is opened at `now` is to end: when the token expires; with one that has expired already and
    /// was accepted for the leeway's sake, when that is over.
    #[must_use]
    pub fn stream_ends(&self, now: SystemTime, leeway: Duration) -> SystemTime {
        if self.expires > now { self.expires } else { self.accepted_until(leeway) }
    }

    /// Bytes it holds on the heap: what whoever keeps it charges to the budget. The issuer that is expected of every
    /// token is not counted: it is there once.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        /// The two counts of an `Arc`.
        const COUNTS: usize = 16;
        let texts = [&self.subject, &self.id].into_iter().flatten().map(|text| text.len() + COUNTS);
        texts.sum::<usize>() + self.grants.heap_bytes() + size_of::<Grants>() + COUNTS
    }
}

/// Neither user nor id: what is printed by mistake is no secret.
impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").field("expires", &self.expires).finish_non_exhaustive()
    }
}
