//! `/sessions`: list a page, inspect one, end one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};
use watertight::Session;
use watertight_core::registry::ScanPoint;

use super::query::{NoQuery, PathText, Query, invalid};
use crate::problem::Problem;
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
    parsed.ok_or_else(|| invalid("cursor", "the `next` of an earlier page"))
}

/// Where the next page begins.
pub(crate) fn page_cursor(one: usize, two: usize) -> String {
    format!("{one}.{two}")
}

/// `GET /sessions?cursor=&limit=`: a page, in no particular order.
pub(crate) async fn list(State(app): State<App>, query: Query) -> Result<Json<Value>, Problem> {
    query.expect_only(&PAGE_PARAMETERS)?;
    let (stripe, key) = parse_cursor(&query)?;
    let (page, next) = app.hub.sessions(ScanPoint { stripe, key }, page_size(&query)?);
    let sessions: Vec<Value> = page.iter().map(|session| summary(&app, session)).collect();
    let next = next.map(|next| page_cursor(next.stripe, next.key));
    Ok(Json(json!({ "sessions": sessions, "total": app.hub.stats().sessions, "next": next })))
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

/// `DELETE /sessions/{session}`: its subscribers read to its end and are told `SESSION_ENDED`.
pub(crate) async fn end(
    State(app): State<App>,
    PathText(name): PathText,
    _: NoQuery,
) -> Result<StatusCode, Problem> {
    if app.hub.end_session(&name) { Ok(StatusCode::NO_CONTENT) } else { Err(no_session(&name)) }
}

fn no_session(name: &str) -> Problem {
    Problem::not_found("SESSION_NOT_FOUND", format!("there is no session {name:?}"))
}

fn summary(app: &App, session: &Arc<Session>) -> Value {
    let idle = app.hub.clock().now().since(session.last_activity());
    let (events, bytes, oldest, newest) = session.with_log(|log| {
        (log.events(), log.bytes(), log.position(log.first() - 1), log.position(log.next() - 1))
    });
    json!({
        "session": session.name().as_str(),
        "subscribers": session.subscribers(),
        "events": events,
        "bytes": bytes,
        "before": oldest.to_string(),
        "newest": newest.to_string(),
        "idleSeconds": idle.as_secs_f64(),
    })
}
