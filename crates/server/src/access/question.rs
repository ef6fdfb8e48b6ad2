//! How it is asked again, while streams are open, whether their right still stands: was the token revoked, does its issuer
//! still answer for it, does the resource still belong to its user. What is kept for that is small: a hub may have a
//! right for each of ten thousand streams.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use watertight::{Answer, CloseReason, NoAnswer, PendingAnswer, Question};
use watertight_access::{Action, Credential, Outage, Refused, Verified, Why, Zeroizing};

use super::revoked::{IdDigest, Which, is_before};
use super::rights::Needs;
use super::{Authorization, wall_time};
use crate::directory::{self, DirectoryError};
use crate::resource::Resource;

/// How old an answer of the directory may be that an open stream goes by: those who ask at the same moment share one.
const ANSWER_AGE_MAX: Duration = Duration::from_millis(500);

/// What is asked again about one token, or one token and resource.
pub(super) struct TokenQuestion {
    /// Holds no hub alive: streams may outlive the service that let them in.
    pub(super) access: Weak<Authorization>,
    /// All that is kept of a JWT: nothing of its text.
    pub(super) credential: Credential,
    /// That of its id; of nothing, if it has none.
    pub(super) id: IdDigest,
    pub(super) issued_at: IssuedAt,
    pub(super) more: Option<Box<More>>,
}

/// What few questions need.
pub(super) struct More {
    /// An opaque token with its text, and what it must grant.
    pub(super) opaque: Option<Opaque>,
    /// What must belong to the user, all of it.
    pub(super) owned: Box<[Resource]>,
}

/// When a token was issued, to the second; kept in half of what the time itself takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct IssuedAt(Option<NonZeroU64>);

impl IssuedAt {
    pub(super) fn of(token: &Verified) -> IssuedAt {
        let since = token.issued_at.map(|time| time.duration_since(UNIX_EPOCH).unwrap_or_default());
        // One of 1970 is as old as any.
        IssuedAt(since.map(|since| NonZeroU64::new(since.as_secs()).unwrap_or(NonZeroU64::MIN)))
    }

    fn time(self) -> Option<SystemTime> {
        self.0.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds.get()))
    }
}

/// What is kept of an opaque token.
pub(super) struct Opaque {
    pub(super) verified: Verified,
    pub(super) text: Arc<Zeroizing<String>>,
    pub(super) needs: Needs,
}

impl fmt::Debug for TokenQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenQuestion")
    }
}

impl Question for TokenQuestion {
    fn ask(&self, user: Option<&Arc<str>>) -> PendingAnswer {
        let Some(access) = self.access.upgrade() else { return settled(Answer::Granted) };
        let Some(tokens) = &access.tokens else { return settled(Answer::Granted) };
        let (issued_at, name) = (self.issued_at.time(), user.map(|user| &**user));
        if tokens.revoked.covers_one(|| Some(self.id), name, issued_at, wall_time()) {
            return settled(Answer::Denied(CloseReason::TokenRevoked));
        }
        let verifier = tokens.verifier.clone();
        let owned = self.more.as_ref().map(|more| more.owned.clone()).unwrap_or_default();
        let owned = user.cloned().map(|user| (user, owned));
        let Some(opaque) = self.more.as_ref().and_then(|more| more.opaque.as_ref()) else {
            let credential = self.credential;
            return Box::pin(async move {
                match credential.recheck(&verifier).await {
                    Ok(()) => ownership(&access, owned).await,
                    Err(refused) => answer_of(refused),
                }
            });
        };
        let (verified, text, needs) =
            (opaque.verified.clone(), Arc::clone(&opaque.text), opaque.needs.clone());
        Box::pin(async move {
            let again = match verifier.recheck(&verified, Some(&text)).await {
                Ok(again) => again,
                Err(refused) => return answer_of(refused),
            };
            if !needs.are_met_by(&again.grants) {
                return Ok(Answer::Denied(CloseReason::Forbidden));
            }
            let until = access.expiry_of(&again);
            match ownership(&access, owned).await? {
                Answer::Granted => Ok(Answer::GrantedUntil(until)),
                other => Ok(other),
            }
        })
    }
}

fn settled(answer: Answer) -> PendingAnswer {
    Box::pin(std::future::ready(Ok(answer)))
}

impl TokenQuestion {
    /// Whether a revocation is of this token. `user`: whose the right is.
    pub(crate) fn is_revoked_by(&self, which: &Which, user: Option<&str>) -> bool {
        match which {
            Which::Id(id) => self.id == *id,
            Which::User(revoked, before) => {
                user == Some(&**revoked) && is_before(self.issued_at.time(), Some(*before))
            }
        }
    }
}

/// Whether what the stream is of still belongs to the user, all of it.
async fn ownership(
    access: &Authorization,
    owned: Option<(Arc<str>, Box<[Resource]>)>,
) -> Result<Answer, NoAnswer> {
    let Some((user, resources)) = owned else { return Ok(Answer::Granted) };
    let ask = |resource| access.directory.ask_again(&user, resource, Action::Subscribe, ANSWER_AGE_MAX);
    for answer in join_all(resources.iter().map(ask)).await {
        match answer {
            Ok(directory::Answer::Allowed) => {}
            Ok(directory::Answer::Denied | directory::Answer::Unknown) => {
                return Ok(Answer::Denied(CloseReason::Forbidden));
            }
            Err(DirectoryError::Overloaded | DirectoryError::NoMemory) => {
                let why = "the directory has too many questions of this hub";
                return Err(NoAnswer::NotAsked(why.to_owned()));
            }
            Err(error) => return Err(NoAnswer::Failed(error.to_string())),
        }
    }
    Ok(Answer::Granted)
}

fn answer_of(refused: Refused) -> Result<Answer, NoAnswer> {
    match refused {
        Refused::Unavailable { why: Outage::Busy, .. } => Err(NoAnswer::NotAsked(refused.inward())),
        Refused::Unavailable { .. } => Err(NoAnswer::Failed(refused.inward())),
        Refused::Invalid(Why::Expired) => Ok(Answer::Denied(CloseReason::TokenExpired)),
        Refused::Invalid(_) => Ok(Answer::Denied(CloseReason::TokenRevoked)),
    }
}

/// Wall time that has not come yet, as a time from now.
pub(super) fn from_now(end: SystemTime) -> Duration {
    end.duration_since(wall_time()).unwrap_or_default()
}

// A size class of the allocator: one byte more costs 16 for each stream under a token of its own.
const _: () = assert!(size_of::<TokenQuestion>() <= 64);
