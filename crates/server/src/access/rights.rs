//! The right under which a stream is open: one for all streams of a token, or of a token and a resource.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use http::StatusCode;
use watertight::{Access, AccessError, AccessKey, AccessOptions, CloseReason, Tick, Withdrawn};
use watertight_access::{Action, Grants, Verified, Zeroizing};

use super::caller::{Caller, Holder, sha256};
use super::question::{IssuedAt, More, Opaque, TokenQuestion, from_now};
use super::revoked::{Full, IdDigest, Which};
use super::{Authorization, Tokens, wall_time};
use crate::directory::{self, DirectoryError};
use crate::problem::{Problem, unavailable};
use crate::resource::Resource;

/// What a token must grant to read a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Needs {
    /// `subscribe` on a path: `sessions/NAME` and the like.
    Subscribe(String),
    /// `admin`.
    Admin,
}

impl Needs {
    /// Whether these grants have it.
    pub(super) fn are_met_by(&self, grants: &Grants) -> bool {
        match self {
            Needs::Subscribe(path) => grants.allows(Action::Subscribe, path),
            Needs::Admin => grants.is_admin(),
        }
    }

    /// Tells it from all others: no path has a line end.
    fn text(&self) -> &str {
        match self {
            Needs::Subscribe(path) => path,
            Needs::Admin => "\nadmin",
        }
    }
}

impl Authorization {
    /// The right to read what needs this: that of the caller's token. Of `resources` it is asked whether they belong to
    /// its user, now and while the stream is open. `None`: the hub is open, or what is read is.
    ///
    /// # Errors
    /// When the token does not grant it, a resource is somebody else's, or the user comes too often.
    pub(crate) async fn right_to_read(
        self: &Arc<Self>,
        caller: &Caller,
        needs: &Needs,
        resources: &[Resource],
    ) -> Result<Option<Arc<Access>>, Problem> {
        let (Caller::Holder(holder), Some(tokens)) = (caller, &self.tokens) else { return Ok(None) };
        match needs {
            Needs::Subscribe(path) => caller.expect(Action::Subscribe, path)?,
            Needs::Admin => caller.expect_admin()?,
        }
        if let Some(user) = caller.user() {
            tokens.connects.take(user).map_err(|wait| {
                let detail = "this user has opened as many streams as a user may in a minute";
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", detail).retry_after(wait)
            })?;
        }
        let owned = self.owned(caller, resources, Action::Subscribe).await?;
        let key = key_of(holder, needs, resources);
        let access = match self.hub.access(&key) {
            Some(access) => access,
            None => self.grant(tokens, holder, key, needs, owned)?,
        };
        // Looked at again behind the registration: a revocation in between has not seen it.
        if tokens.revoked.covers(&holder.verified, wall_time()) {
            self.hub.withdraw_one(&access, CloseReason::TokenRevoked);
            return Err(Problem::invalid_token());
        }
        Ok(Some(access))
    }

    /// Asks whether resources belong to the caller. A token without a user is a program's: what it grants is all that
    /// counts. Answers with what is to be asked again.
    pub(crate) async fn owned(
        &self,
        caller: &Caller,
        resources: &[Resource],
        action: Action,
    ) -> Result<Box<[Resource]>, Problem> {
        let Some(user) = caller.user() else { return Ok(Box::default()) };
        let asked = resources.iter().map(|resource| self.directory.owns(user, resource, action));
        for (answer, resource) in join_all(asked).await.into_iter().zip(resources) {
            match answer {
                Ok(directory::Answer::Allowed) => {}
                Ok(directory::Answer::Denied) => {
                    return Err(Problem::forbidden(format!("{resource} is not yours")));
                }
                Ok(directory::Answer::Unknown) => {
                    return Err(Problem::not_found("RESOURCE_NOT_FOUND", format!("there is no {resource}")));
                }
                Err(error) => return Err(no_answer(&error)),
            }
        }
        Ok(resources.into())
    }

    fn grant(
        self: &Arc<Self>,
        tokens: &Tokens,
        holder: &Holder,
        key: AccessKey,
        needs: &Needs,
        owned: Box<[Resource]>,
    ) -> Result<Arc<Access>, Problem> {
        let verified = &holder.verified;
        let opaque = holder.opaque.as_ref().map(|text| Opaque {
            verified: verified.clone(),
            text: Arc::clone(text),
            needs: needs.clone(),
        });
        let has_more = opaque.is_some() || !owned.is_empty();
        let owned_bytes: usize = owned.iter().map(Resource::bytes).sum();
        let question = TokenQuestion {
            access: Arc::downgrade(self),
            credential: verified.credential(),
            // An id is never empty.
            id: IdDigest::of(verified.id.as_deref().unwrap_or_default()),
            issued_at: IssuedAt::of(verified),
            more: has_more.then(|| Box::new(More { opaque, owned })),
        };
        let opaque_bytes =
            |text: &Arc<Zeroizing<String>>| text.len() + needs.text().len() + verified.heap_bytes();
        let bytes = needs.text().len() + owned_bytes + holder.opaque.as_ref().map_or(0, opaque_bytes);
        let end = verified.stream_ends(wall_time(), tokens.verifier.rules().leeway);
        let mut options = AccessOptions::default()
            .key(key)
            .lifetime(from_now(end))
            .question(Box::new(question))
            .holding(bytes);
        if let Some(user) = &verified.subject {
            options = options.user(Arc::clone(user));
        }
        self.hub.grant_access(options).map_err(refused)
    }

    /// When streams of a token end, on the hub's clock.
    pub(super) fn expiry_of(&self, verified: &Verified) -> Tick {
        let leeway = self.tokens.as_ref().map(|tokens| tokens.verifier.rules().leeway).unwrap_or_default();
        self.hub.clock().now().after(from_now(verified.stream_ends(wall_time(), leeway)))
    }

    /// Refuses these tokens from now on and closes their streams.
    ///
    /// # Errors
    /// When there is no room to remember it; nothing was revoked then.
    pub(crate) fn revoke(
        &self,
        tokens: &Tokens,
        which: &Which,
        until: Option<std::time::SystemTime>,
    ) -> Result<Withdrawn, Full> {
        // A token is accepted for the leeway's time beyond its end.
        let until = until.and_then(|until| until.checked_add(tokens.verifier.rules().leeway + ONE_SECOND));
        tokens.revoked.add(which, until)?;
        Ok(self.hub.withdraw_access(|access| {
            let question: &dyn Any = access.question()?;
            let question = question.downcast_ref::<TokenQuestion>()?;
            question
                .is_revoked_by(which, access.user().map(|user| &**user))
                .then_some(CloseReason::TokenRevoked)
        }))
    }

    /// Closes all streams of a user; their tokens stay good.
    pub(crate) fn disconnect_user(&self, user: &str) -> Withdrawn {
        let is_theirs = |access: &Access| access.user().is_some_and(|theirs| **theirs == *user);
        self.hub.withdraw_access(|access| is_theirs(access).then_some(CloseReason::Disconnected))
    }
}

/// By how much a time may have been cut that is said in whole seconds.
const ONE_SECOND: Duration = Duration::from_secs(1);

/// What a right is shared by. Opaque tokens are asked about again with what they must grant, so each path has its own.
fn key_of(holder: &Holder, needs: &Needs, resources: &[Resource]) -> AccessKey {
    let is_of_path = !resources.is_empty() || holder.opaque.is_some();
    // The digest of the token has a fixed length, and no name has a line end: no two are written alike.
    let mut text = holder.digest.to_vec();
    if is_of_path {
        text.extend_from_slice(needs.text().as_bytes());
        for resource in resources {
            text.extend_from_slice(format!("\n{resource}").as_bytes());
        }
    }
    let digest = sha256(&text);
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    AccessKey::new(key)
}

fn refused(error: AccessError) -> Problem {
    Problem::from(watertight::SubscribeError::Access(error))
}

fn no_answer(error: &DirectoryError) -> Problem {
    tracing::debug!(%error, "the directory gives no answer");
    unavailable("DIRECTORY_UNAVAILABLE", "whose this is cannot be told at the moment")
}
