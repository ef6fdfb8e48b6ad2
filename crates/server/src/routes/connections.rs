//! `/connections`: the list of subscribers, and closing one of them.

mod search;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};
use watertight::{ConnectionInfo, ConnectionScanPoint, SourceInfo, Tick};

use super::query::{NoQuery, PathText, Query, invalid};
use super::sessions::{PAGE_PARAMETERS, page_cursor, page_size, parse_cursor};
use crate::access::control::Told;
use crate::problem::Problem;
use crate::state::App;

/// `GET /connections?cursor=&limit=`: a page, in no particular order; searched and sorted, if the request says how.
pub(crate) async fn list(State(app): State<App>, query: Query) -> Result<Json<Value>, Problem> {
    if search::SEARCH_PARAMETERS.iter().any(|name| query.bytes(name).is_some()) {
        return search::search(&app, &query).await.map(Json);
    }
    query.expect_known(&PAGE_PARAMETERS, &search::SEARCH_PARAMETERS)?;
    let (shard, slot) = parse_cursor(&query)?;
    let from = ConnectionScanPoint { shard, slot: u32::try_from(slot).unwrap_or(u32::MAX) };
    let (page, next) = app.hub.connections(from, page_size(&query)?).await;
    let now = app.hub.clock().now();
    let connections: Vec<Value> = page.iter().map(|connection| summary(connection, now)).collect();
    let next = next.map(|next| page_cursor(next.shard, next.slot as usize));
    let total = app.hub.stats().subscribers;
    Ok(Json(json!({ "connections": connections, "total": total, "matched": null, "next": next })))
}

/// `DELETE /connections?user=`: all streams of a user are told `DISCONNECTED`. Their tokens stay good.
pub(crate) async fn close_of_user(State(app): State<App>, query: Query) -> Result<Json<Value>, Problem> {
    query.expect_only(&["user"])?;
    let user =
        query.text("user")?.ok_or_else(|| invalid("user", "the user whose streams are to be closed"))?;
    let closed = app.access.disconnect_user(user);
    app.access.tell_others(|| Told::Disconnect { user: user.into() });
    Ok(Json(json!({ "closed": closed.streams })))
}

/// `DELETE /connections/{id}`: its peer is told `DISCONNECTED`.
pub(crate) async fn close(
    State(app): State<App>,
    PathText(id): PathText,
    _: NoQuery,
) -> Result<StatusCode, Problem> {
    let no_connection = || Problem::not_found("CONNECTION_NOT_FOUND", "there is no such connection");
    let id = id.parse().map_err(|_| no_connection())?;
    if app.hub.disconnect(id).await { Ok(StatusCode::NO_CONTENT) } else { Err(no_connection()) }
}

fn summary(connection: &ConnectionInfo, now: Tick) -> Value {
    json!({
        "id": connection.id.to_string(),
        "kind": connection.kind,
        "user": connection.user.as_deref(),
        "session": connection.session,
        "address": connection.address.map(|address| address.to_string()),
        "delivery": connection.delivery,
        "ageSeconds": connection.age.as_secs_f64(),
        "sent": connection.sent,
        "received": connection.received,
        "lag": connection.lag,
        "stalled": connection.stalled,
        "errors": connection.errors,
        "validations": connection.validations,
        "source": connection.source.as_ref().map(|source| source_summary(source, now)),
    })
}

/// How a source is, for operators.
pub(super) fn source_summary(source: &SourceInfo, now: Tick) -> Value {
    json!({
        "state": source.phase.name(),
        "forSeconds": now.since(source.since).as_secs_f64(),
        "errors": source.errors,
        "lastError": source.why.as_deref(),
    })
}
