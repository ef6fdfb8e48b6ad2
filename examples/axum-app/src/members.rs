//! A stream for members only: who may watch is asked when a stream is opened, and again while it is open.
//!
//! Who is a member stands in a set here; in a real application it is a question to a database, and the user comes from its
//! own session. What the stream needs is the same: a user, and an async closure that says whether they still may.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::{Arc, RwLock};

use axum::Extension;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{delete, get};
use watertight::{Access, AccessOptions, CloseReason, Hub, Resume, SubscribeOptions, Subscription};

use crate::Refused;

/// The stream of the members.
const MEMBERS: &str = "members";

/// Who is a member. Cloning shares it.
#[derive(Clone, Default)]
pub(crate) struct Members(Arc<RwLock<HashSet<String>>>);

impl Members {
    fn with<R>(&self, with: impl FnOnce(&mut HashSet<String>) -> R) -> R {
        // A panic elsewhere leaves a set of names, which is still one.
        with(&mut self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    async fn has(self, user: String) -> Result<bool, Infallible> {
        Ok(self.with(|members| members.contains(&user)))
    }
}

type App = (Hub, Members);

/// The routes: `PUT` and `DELETE /members/{user}`, and `GET /members`, the stream.
pub(crate) fn routes(hub: Hub) -> Router {
    let app = (hub, Members::default());
    let stream = get(watch).layer(from_fn_with_state(app.clone(), members_only));
    Router::new().route("/members", stream).route("/members/{user}", delete(leave).put(join)).with_state(app)
}

/// The door: whoever is a member may watch, for as long as they are one.
async fn members_only(
    State((hub, members)): State<App>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refused> {
    let user = user_of(request.headers())?;
    if !members.with(|members| members.contains(&user)) {
        return Err(Refused(StatusCode::FORBIDDEN, format!("{user} is no member\n")));
    }
    let check = AccessOptions::of_user(&*user).check(move || members.clone().has(user.clone()));
    request.extensions_mut().insert(hub.grant_access(check)?);
    Ok(next.run(request).await)
}

async fn watch(
    State((hub, _)): State<App>,
    Extension(access): Extension<Arc<Access>>,
) -> Result<Subscription, Refused> {
    Ok(hub.subscribe_with(MEMBERS, Resume::Live, SubscribeOptions::under(access))?)
}

/// Who sends a request: here whoever they say they are.
fn user_of(headers: &HeaderMap) -> Result<String, Refused> {
    let user = headers.get("x-user").and_then(|user| user.to_str().ok());
    user.map(str::to_owned).ok_or_else(|| Refused(StatusCode::UNAUTHORIZED, "who are you? (x-user)\n".into()))
}

async fn join(State((_, members)): State<App>, Path(user): Path<String>) -> StatusCode {
    members.with(|members| members.insert(user));
    StatusCode::NO_CONTENT
}

/// Streams of a member who left would end at the next question, half a minute later at most; this does not wait for it.
async fn leave(State((hub, members)): State<App>, Path(user): Path<String>) -> String {
    members.with(|members| members.remove(&user));
    let is_theirs = |access: &Access| access.user().is_some_and(|owner| **owner == *user);
    let closed = hub.withdraw_access(|access| is_theirs(access).then_some(CloseReason::Forbidden));
    format!("{} streams closed\n", closed.streams)
}
