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
    /// Seconds since 1970, up to the year 2106: a hub keeps one for each of ten thousand streams.
    expires: u32,
    proof: Proof,
}

impl Verified {
    /// What is to be kept of it. Of an opaque token the text is needed, too: this alone is never accepted again.
    #[must_use]
    pub fn credential(&self) -> Credential {
        let since = self.expires.duration_since(UNIX_EPOCH).unwrap_or_default();
        // A part of a second counts as a whole one: the stream's own timer ends it to the millisecond.
        let seconds = since.as_secs() + u64::from(since.subsec_nanos() > 0);
        let expires = u32::try_from(seconds).unwrap_or(u32::MAX);
        Credential { expires, proof: self.proof }
    }
}

impl Credential {
    /// Whether the token is still accepted: not expired, its key not withdrawn.
    ///
    /// # Errors
    /// As [`Verifier::recheck`].
    pub async fn recheck(&self, verifier: &Verifier) -> Result<(), Refused> {
        let proof = self.proof;
        let expires = UNIX_EPOCH + Duration::from_secs(u64::from(self.expires));
        let grants = Arc::clone(&NO_GRANTS);
        let verified =
            Verified { subject: None, id: None, issuer: None, issued_at: None, expires, grants, proof };
        verifier.recheck(&verified, None).await.map(drop)
    }
}
