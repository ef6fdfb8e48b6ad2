//! `/doctor`: what the hub sees of a request, for `watertight doctor`, which compares it with what was sent.
//!
//! Whoever may publish to a session may ask. Of header fields only the names are told, and the values of a few that
//! a probe chooses itself: never a credential, an address, or what a proxy adds.

use std::time::UNIX_EPOCH;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use serde_json::{Value, json};
use watertight::PublishError;
use watertight_access::Action;

use super::events::{expect_public, path_of};
use super::query::{Query, invalid};
use crate::access::{Caller, wall_time};
use crate::problem::Problem;
use crate::publishing::body::{self, BodyLimits};
use crate::state::App;

/// Fields whose values are told: a client writes them, no proxy, and they authorize nobody.
const VALUES: [&str; 5] = ["accept", "accept-encoding", "content-type", "idempotency-key", "last-event-id"];

/// `GET` and `POST`: what came. A body is counted and not kept.
pub(crate) async fn look(
    State(app): State<App>,
    caller: Caller,
    query: Query,
    version: Version,
    headers: HeaderMap,
    request_body: Body,
) -> Result<Response, Problem> {
    query.expect_only(&["session"])?;
    let session = query.text("session")?.ok_or_else(|| invalid("session", "the name of a session"))?;
    expect_public(session)?;
    caller.expect(Action::Publish, path_of(session))?;
    caller.count_publish(&app)?;
    app.hub.name(session).map_err(PublishError::from)?;
    let limits = BodyLimits {
        max_bytes: app.config.max_body_bytes,
        code: "BODY_TOO_LARGE",
        timeout: app.config.body_timeout,
    };
    let body_bytes = body::count(&headers, request_body, limits).await?;
    let seen = json!({
        "time": wall_time().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
        "httpVersion": format!("{version:?}"),
        "headers": seen(&headers),
        "bodyBytes": body_bytes,
        "maxBodyBytes": app.config.max_body_bytes,
        "heartbeatInterval": app.config.heartbeat_interval.as_secs_f64(),
        "subscribers": app.hub.session(session).map_or(0, |session| session.subscribers()),
    });
    Ok(([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(seen)).into_response())
}

/// The names of all fields, with the values of the harmless ones.
fn seen(headers: &HeaderMap) -> Vec<Value> {
    let value = |name: &str| {
        let told = VALUES.contains(&name).then(|| headers.get(name)).flatten()?;
        Some(String::from_utf8_lossy(told.as_bytes()).into_owned())
    };
    let names = headers.keys().map(HeaderName::as_str);
    names.map(|name| json!({ "name": name, "value": value(name) })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_credential_and_nothing_that_a_proxy_adds_is_told() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer secret"),
            ("cookie", "token=secret"),
            ("proxy-authorization", "Basic secret"),
            ("x-forwarded-for", "10.0.0.1"),
            ("via", "1.1 inner.example"),
            ("last-event-id", "\"<b>"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let seen = seen(&headers);
        assert_eq!(seen.len(), 6, "each name: {seen:?}");
        let told: Vec<_> = seen.iter().filter(|field| !field["value"].is_null()).collect();
        assert_eq!(told, [&json!({ "name": "last-event-id", "value": "\"<b>" })]);
    }
}
