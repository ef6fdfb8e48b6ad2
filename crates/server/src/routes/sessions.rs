//! `/sessions`: list a page, inspect one, end one, forget one.

mod search;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use watertight::{EndOptions, PublishError, Session};
use watertight_core::registry::ScanPoint;

use super::connections::source_summary;
use super::events::{Format, expect_not_own};
use super::listing::unusable;
use super::query::{NoQuery, PathText, Query, invalid};
use crate::problem::Problem;
use crate::publishing::body::{self, BodyLimits};
use crate::publishing::events::PostedEnd;
use crate::state::App;

/// Items of a page, unless the request says otherwise, and at most.
pub(crate) const PAGE_DEFAULT: usize = 100;
pub(crate) const PAGE_MAX: usize = 1000;
/// What a listing may be asked for.
pub(crate) const PAGE_PARAMETERS: [&str; 2] = ["cursor", "limit"];

/// The size of a page.
pub(crate) fn page_size(query: &Query) -> Result<usize, Problem> {
    match query.parse("limit", "a number from 1 to 1000")? {
        None => Ok(PAGE_DEFAULT),
        Some(0) => Err(invalid("limit", "a number from 1 to 1000")),
        Some(limit) => Ok(usize::min(limit, PAGE_MAX)),
    }
}

/// A cursor of two numbers, as [`page_cursor`] wrote it.
pub(crate) fn parse_cursor(query: &Query) -> Result<(usize, usize), Problem> {
    let Some(text) = query.text("cursor")? else { return Ok((0, 0)) };
    let parsed = text.split_once('.').and_then(|(one, two)| Some((one.parse().ok()?, two.parse().ok()?)));
    parsed.ok_or_else(|| unusable(text))
}

/// Where the next page begins.
pub(crate) fn page_cursor(one: usize, two: usize) -> String {
    format!("{one}.{two}")
}

/// `GET /sessions?cursor=&limit=`: a page, in no particular order; searched and sorted, if the request says how.
pub(crate) async fn list(State(app): State<App>, query: Query) -> Result<Json<Value>, Problem> {
    if search::SEARCH_PARAMETERS.iter().any(|name| query.bytes(name).is_some()) {
        return search::search(&app, &query).await.map(Json);
    }
    query.expect_known(&PAGE_PARAMETERS, &search::SEARCH_PARAMETERS)?;
    let (stripe, key) = parse_cursor(&query)?;
    let (page, next) = app.hub.sessions(ScanPoint { stripe, key }, page_size(&query)?);
    let sessions: Vec<Value> = page.iter().map(|session| summary(&app, session)).collect();
    let next = next.map(|next| page_cursor(next.stripe, next.key));
    Ok(Json(
        json!({ "sessions": sessions, "total": app.hub.stats().sessions, "matched": null, "next": next }),
    ))
}

/// `GET /sessions/{session}`.
pub(crate) async fn inspect(
    State(app): State<App>,
    PathText(name): PathText,
    _: NoQuery,
) -> Result<Json<Value>, Problem> {
    let session = app.hub.session(&name).ok_or_else(|| no_session(&name))?;
    Ok(Json(summary(&app, &session)))
}

/// `DELETE /sessions/{session}`: its subscribers read to its end and are told `SESSION_ENDED`; nothing of it is kept.
pub(crate) async fn forget(
    State(app): State<App>,
    PathText(name): PathText,
    _: NoQuery,
) -> Result<StatusCode, Problem> {
    expect_not_own(&name)?;
    if app.hub.forget_session(&name) { Ok(StatusCode::NO_CONTENT) } else { Err(no_session(&name)) }
}

/// `POST /sessions/{session}/end`: the same, but that its history is kept, and nothing more is published to it.
pub(crate) async fn end(
    State(app): State<App>,
    PathText(session): PathText,
    query: Query,
    headers: HeaderMap,
    request_body: Body,
) -> Result<Json<Value>, Problem> {
    app.hub.name(&session).map_err(PublishError::from)?;
    expect_not_own(&session)?;
    query.expect_only(&["keep"])?;
    let in_query = query.parse("keep", "a number of seconds")?;
    let limits = BodyLimits {
        max_bytes: app.config.max_body_bytes,
        code: "BODY_TOO_LARGE",
        timeout: app.config.body_timeout,
    };
    let read = body::read(&headers, request_body, limits, &app.hub).await?;
    let posted = if read.bytes.is_empty() {
        PostedEnd::default()
    } else if Format::of(&headers).is_ok_and(|format| format == Format::Json) {
        PostedEnd::charged(&app.hub, &read.bytes)?
    } else {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED_MEDIA_TYPE",
            "set Content-Type to application/json, or send no body",
        ));
    };
    drop(read);
    let keep = match (in_query, posted.keep) {
        (Some(_), Some(_)) => {
            return Err(Problem::bad_request("INVALID_PARAMETER", "keep is in the query and in the body"));
        }
        (in_query, in_body) => in_query.or(in_body).map(keep).transpose()?,
    };
    let options = EndOptions { event: posted.event, keep };
    let ended = app.hub.end_session(&session, &options)?;
    Ok(Json(json!({
        "session": session,
        "last": ended.last.to_string(),
        "endedAt": seconds(ended.end.ended_at),
        "keep": ended.end.keep.as_secs_f64(),
    })))
}

/// For how long history is kept after an end; as long as `session_ttl` may be.
fn keep(seconds: f64) -> Result<Duration, Problem> {
    const SECONDS_MAX: f64 = 30.0 * 86_400.0;
    if seconds > 0.0 && seconds <= SECONDS_MAX {
        return Ok(Duration::from_secs_f64(seconds));
    }
    Err(Problem::bad_request("INVALID_KEEP", "keep is a number of seconds above zero, 30 days at most"))
}

/// Wall time in seconds, to the millisecond.
fn seconds(since_epoch: Duration) -> f64 {
    Duration::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)).as_secs_f64()
}

fn no_session(name: &str) -> Problem {
    Problem::not_found("SESSION_NOT_FOUND", format!("there is no session {name:?}"))
}

fn summary(app: &App, session: &Arc<Session>) -> Value {
    let now = app.hub.clock().now();
    let idle = now.since(session.last_activity());
    let (bytes, newest, (events, before), end) = session.with_log(|log| {
        let end = log.session_end().copied();
        (log.bytes(), log.position(log.next() - 1), log.replayable(now), end)
    });
    json!({
        "session": session.name().as_str(),
        "state": if end.is_some() { "ended" } else { "open" },
        "endedAt": end.map(|end| seconds(end.ended_at)),
        "keptForSeconds": end.map(|end| end.over_at().since(now).as_secs_f64()),
        "subscribers": session.subscribers(),
        "events": events,
        "bytes": bytes,
        "before": before.to_string(),
        "newest": newest.to_string(),
        "lag": session.head().saturating_sub(session.oldest_needed()),
        "idleSeconds": idle.as_secs_f64(),
        "source": session.attached().map(|attached| source_summary(&attached.state().info(), now)),
    })
}
