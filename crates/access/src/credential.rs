//! What a hub keeps of a JWT while streams are open under it: enough to ask again whether it counts, and nothing of its
//! text, its user or its grants.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, UNIX_EPOCH};

use crate::grants::Grants;
use crate::refused::Refused;
use crate::verified::{Proof, Verified};
use crate::verifier::Verifier;

/// No grants: one for all credentials.
static NO_GRANTS: LazyLock<Arc<Grants>> = LazyLock::new(Arc::default);

/// What is kept of a JWT that was accepted.
#[derive(Clone, Copy)]
pub struct Credential {
    /// Milliseconds since 1970: a hub keeps one for each of ten thousand streams, and this is half as long as the time
    /// itself.
    expires_ms: u64,
    proof: Proof,
}

impl Verified {
    /// What is to be kept of it; `None` for an opaque token, whose text is needed.
    #[must_use]
    pub fn credential(&self) -> Option<Credential> {
        let since = self.expires.duration_since(UNIX_EPOCH).unwrap_or_default();
        let expires_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        (!self.is_opaque()).then_some(Credential { expires_ms, proof: self.proof })
    }
}

impl Credential {
    /// Whether the token is still accepted: not expired, its key not withdrawn.
    ///
    /// # Errors
    /// As [`Verifier::recheck`].
    pub async fn recheck(&self, verifier: &Verifier) -> Result<(), Refused> {
        let Credential { expires_ms, proof } = *self;
        let expires = UNIX_EPOCH + Duration::from_millis(expires_ms);
        let grants = Arc::clone(&NO_GRANTS);
        let verified =
            Verified { subject: None, id: None, issuer: None, issued_at: None, expires, grants, proof };
        verifier.recheck(&verified, None).await.map(drop)
    }
}
