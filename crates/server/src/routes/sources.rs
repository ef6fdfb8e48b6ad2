//! `GET /sources`: what feeds sessions by itself at the moment, and what failed to.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use watertight::{Session, SourcePhase, Tick};

use super::listing::{Direction, List, Top, contains, has, walk_sessions};
use super::query::Query;
use super::sessions::{PAGE_PARAMETERS, page_size};
use crate::problem::Problem;
use crate::resource::{FIGURES_SESSION, ResourceKind};
use crate::state::App;

/// What a row takes beside its session's name, bytes, from when it is found until it is text.
const ROW_BYTES: usize = 4096;
/// How often a row has the name in it, counting what a character of it may become in JSON.
const NAMES_IN_ROW: usize = 8;

/// `GET /sources?contains=&cursor=&limit=`: those that failed first, then those that wait, then those that run.
pub(crate) async fn list(State(app): State<App>, query: Query) -> Result<Json<Value>, Problem> {
    query.expect_known(&PAGE_PARAMETERS, &["contains"])?;
    let finder = contains(&query)?;
    let rows = page_size(&query)?;
    let list = List::of(&app.searches, "sources", &query, &["contains"]);
    let after = list.after(&query)?;
    let row_bytes = ROW_BYTES + NAMES_IN_ROW * app.config.max_session_name_bytes;
    let _searching = app.searches.begin(&app.hub, rows, row_bytes)?;
    let mut top = Top::new(Direction::Ascending, after, rows);
    walk_sessions(&app.hub, |session| {
        let name = session.name().as_str();
        let rank = session.attached().and_then(|attached| rank(attached.state().info().phase));
        if let Some(rank) = rank.filter(|_| has(finder.as_ref(), name)) {
            top.see(rank, name, || Arc::clone(session));
        }
    })
    .await;
    let (found, next, matched) = top.finish();
    let now = app.hub.clock().now();
    let sources: Vec<Value> = found.iter().filter_map(|session| summary(session, now)).collect();
    let next = next.map(|key| list.cursor(&key));
    Ok(Json(json!({ "sources": sources, "matched": matched, "next": next })))
}

/// What is looked at first; `None`: nothing to look at, it neither runs nor has failed.
fn rank(phase: SourcePhase) -> Option<u64> {
    match phase {
        SourcePhase::Broken { .. } => Some(0),
        SourcePhase::Waiting => Some(1),
        SourcePhase::Running => Some(2),
        SourcePhase::Stopped | SourcePhase::Finished => None,
    }
}

fn summary(session: &Session, now: Tick) -> Option<Value> {
    let info = session.attached()?.state().info();
    let retry = match info.phase {
        SourcePhase::Broken { until } => Some(until.since(now).as_secs_f64()),
        _ => None,
    };
    Some(json!({
        "name": session.name().as_str(),
        "kind": kind(session.name().as_str()),
        "state": info.phase.name(),
        "breaker": if retry.is_some() { "open" } else { "closed" },
        "retryInSeconds": retry,
        "forSeconds": now.since(info.since).as_secs_f64(),
        "errors": info.errors,
        "lastError": info.why.as_deref(),
        "subscribers": session.subscribers(),
    }))
}

/// What a source brings, as streams of it are called in `/connections`.
fn kind(session: &str) -> &'static str {
    let is_below =
        |kind: ResourceKind| session.strip_prefix(kind.plural()).is_some_and(|it| it.starts_with('/'));
    if session == FIGURES_SESSION {
        "stats"
    } else if is_below(ResourceKind::Deployment) {
        "logs"
    } else if is_below(ResourceKind::Service) {
        "metrics"
    } else {
        "session"
    }
}
