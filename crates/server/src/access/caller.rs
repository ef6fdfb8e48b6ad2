//! Who sends a request: verified before a handler runs, so that no handler can forget it.

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;
use watertight_access::{Action, Refused, Verified, Zeroizing};

use super::presented::{Presented, bearer, may_be_forged, token_of};
use super::{Tokens, wall_time};
use crate::problem::{Problem, unavailable};
use crate::state::App;

/// Who sends a request.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// Nobody was asked: the hub is open.
    Anybody,
    /// Whoever holds this token.
    Holder(Arc<Holder>),
}

/// A token that was accepted.
pub(crate) struct Holder {
    pub(crate) verified: Verified,
    /// What it is known by here.
    pub(crate) digest: [u8; 32],
    /// Its text, if its issuer is to be asked again.
    pub(crate) opaque: Option<Arc<Zeroizing<String>>>,
}

impl std::fmt::Debug for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Holder").field("verified", &self.verified).finish_non_exhaustive()
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Caller, Problem> {
        let Some(tokens) = &app.access.tokens else { return Ok(Caller::Anybody) };
        let (text, is_cookie) = match token_of(tokens, &parts.headers, &parts.uri) {
            Presented::Nothing => {
                tokens.counts.missing.fetch_add(1, Relaxed);
                return Err(Problem::no_token());
            }
            Presented::Unusable => {
                tokens.counts.refused.fetch_add(1, Relaxed);
                return Err(Problem::invalid_token());
            }
            Presented::Token { text, is_cookie } => (text, is_cookie),
        };
        if is_cookie && may_be_forged(&parts.method, &parts.headers) {
            tokens.counts.refused.fetch_add(1, Relaxed);
            let detail = "a request that a cookie authorizes needs Origin, Sec-Fetch-Site or X-Requested-With: \
                          without them it may come from a page of another origin";
            return Err(Problem::new(StatusCode::FORBIDDEN, "ORIGIN_NOT_ALLOWED", detail));
        }
        let verified = match tokens.verifier.try_verify_now(&text) {
            Some(settled) => settled,
            None => tokens.verifier.verify(&text).await,
        };
        tokens.caller(verified.map_err(|refused| tokens.problem(refused))?, text)
    }
}

impl Tokens {
    /// Whoever presents this token, unless it was revoked.
    fn caller(&self, verified: Verified, text: Cow<'_, str>) -> Result<Caller, Problem> {
        if self.revoked.covers(&verified, wall_time()) {
            self.counts.refused.fetch_add(1, Relaxed);
            return Err(Problem::invalid_token());
        }
        self.counts.accepted.fetch_add(1, Relaxed);
        let digest = sha256(text.as_bytes());
        let opaque = verified.is_opaque().then(|| Arc::new(Zeroizing::new(text.into_owned())));
        Ok(Caller::Holder(Arc::new(Holder { verified, digest, opaque })))
    }

    /// What whoever sent the token is told. Why it is refused stands in the log, without any part of the token.
    fn problem(&self, refused: Refused) -> Problem {
        match refused {
            Refused::Invalid(_) => {
                self.counts.refused.fetch_add(1, Relaxed);
                tracing::debug!(why = refused.inward(), "a token was refused");
                Problem::invalid_token()
            }
            Refused::Unavailable { retry_after, .. } => {
                self.counts.unavailable.fetch_add(1, Relaxed);
                tracing::debug!(why = refused.inward(), "a token could not be verified");
                let detail = "whether the token is valid cannot be told at the moment";
                unavailable("AUTHENTICATION_UNAVAILABLE", detail).retry_after(retry_after)
            }
        }
    }
}

impl Caller {
    /// Who sends a request with this `Authorization` and no other token, if that can be told without asking anybody.
    /// `None`: it cannot, or the token is none; nothing was counted.
    pub(crate) fn at_once(app: &App, authorization: Option<&[u8]>) -> Option<Result<Caller, Problem>> {
        let Some(tokens) = &app.access.tokens else { return Some(Ok(Caller::Anybody)) };
        let text = bearer(authorization?)?;
        let verified = tokens.verifier.try_verify_now(text)?.ok()?;
        Some(tokens.caller(verified, text.into()))
    }

    /// Refuses what the token does not grant. `path`: `sessions/NAME` and the like, decoded as it is used; it is written out
    /// only where there is a token.
    pub(crate) fn expect(&self, action: Action, path: impl Display) -> Result<(), Problem> {
        match self {
            Caller::Anybody => Ok(()),
            Caller::Holder(holder) if holder.verified.grants.allows(action, &path.to_string()) => Ok(()),
            Caller::Holder(_) => {
                Err(Problem::forbidden(format!("the token does not grant to {action} here")))
            }
        }
    }

    /// Refuses a token without `admin`.
    pub(crate) fn expect_admin(&self) -> Result<(), Problem> {
        match self {
            Caller::Anybody => Ok(()),
            Caller::Holder(holder) if holder.verified.grants.is_admin() => Ok(()),
            Caller::Holder(_) => Err(Problem::forbidden("this call is for tokens with admin")),
        }
    }

    /// Looks again whether the token is still good, as far as the hub itself knows: for requests that took their time.
    pub(crate) fn expect_still(&self, app: &App) -> Result<(), Problem> {
        let (Caller::Holder(holder), Some(tokens)) = (self, &app.access.tokens) else { return Ok(()) };
        let now = wall_time();
        let is_over = holder.verified.accepted_until(tokens.verifier.rules().leeway) <= now;
        if is_over || tokens.revoked.covers(&holder.verified, now) {
            return Err(Problem::invalid_token());
        }
        Ok(())
    }

    /// Counts a publishing request of its user.
    pub(crate) fn count_publish(&self, app: &App) -> Result<(), Problem> {
        let (Caller::Holder(holder), Some(tokens)) = (self, &app.access.tokens) else { return Ok(()) };
        let user = holder.verified.subject.as_ref();
        user.map_or(Ok(()), |user| tokens.publishes.take(user)).map_err(|wait| {
            let detail = "this user has sent as many publishing requests as a user may in a minute";
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", detail).retry_after(wait)
        })
    }

    /// Whose the request is.
    pub(crate) fn user(&self) -> Option<&Arc<str>> {
        match self {
            Caller::Anybody => None,
            Caller::Holder(holder) => holder.verified.subject.as_ref(),
        }
    }
}

/// A caller with `admin`. As an extractor it refuses everybody else.
#[derive(Debug)]
pub(crate) struct Admin;

impl FromRequestParts<App> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Admin, Problem> {
        Caller::from_request_parts(parts, app).await?.expect_admin().map(|()| Admin)
    }
}

/// Whoever may see the hub's figures: a caller with `admin`, or anybody where `stats_public` says so.
#[derive(Debug)]
pub(crate) struct Onlooker(pub(crate) Caller);

impl FromRequestParts<App> for Onlooker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Onlooker, Problem> {
        if app.config.stats_public {
            return Ok(Onlooker(Caller::Anybody));
        }
        let caller = Caller::from_request_parts(parts, app).await?;
        caller.expect_admin().map(|()| Onlooker(caller))
    }
}

/// The SHA-256 of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    digest
}
