//! `GET /sessions?contains=&sort=&order=`: sessions searched and sorted.

use std::sync::Arc;

use serde_json::{Value, json};
use watertight::Session;

use super::{PAGE_PARAMETERS, page_size, summary};
use crate::problem::Problem;
use crate::routes::listing::{Direction, List, Top, contains, has, walk_sessions};
use crate::routes::query::{Query, invalid};
use crate::state::App;

/// What makes a list a searched one.
pub(super) const SEARCH_PARAMETERS: [&str; 3] = ["contains", "sort", "order"];
/// What a row takes beside its session's name, bytes, from when it is found until it is text.
const ROW_BYTES: usize = 2048;
/// How often a row has the name in it, counting what a character of it may become in JSON.
const NAMES_IN_ROW: usize = 8;

/// What sessions are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Name,
    Subscribers,
    Events,
    Bytes,
    Activity,
}

impl Sort {
    fn of(query: &Query) -> Result<Sort, Problem> {
        match query.text("sort")? {
            None | Some("name") => Ok(Sort::Name),
            Some("subscribers") => Ok(Sort::Subscribers),
            Some("events") => Ok(Sort::Events),
            Some("bytes") => Ok(Sort::Bytes),
            Some("activity") => Ok(Sort::Activity),
            Some(_) => Err(invalid("sort", "name, subscribers, events, bytes or activity")),
        }
    }

    /// Names from A on; figures from the greatest on, because that is what one looks for.
    fn default_direction(self) -> Direction {
        if self == Sort::Name { Direction::Ascending } else { Direction::Descending }
    }

    fn rank(self, session: &Session) -> u64 {
        match self {
            Sort::Name => 0,
            Sort::Subscribers => u64::from(session.subscribers()),
            Sort::Events => session.with_log(|log| log.events()) as u64,
            Sort::Bytes => session.with_log(|log| log.bytes()) as u64,
            Sort::Activity => session.last_activity().0,
        }
    }
}

/// A page of the list, sorted.
pub(super) async fn search(app: &App, query: &Query) -> Result<Value, Problem> {
    query.expect_known(&PAGE_PARAMETERS, &SEARCH_PARAMETERS)?;
    let sort = Sort::of(query)?;
    let direction = Direction::of(query, sort.default_direction())?;
    let finder = contains(query)?;
    let rows = page_size(query)?;
    let list = List::of(&app.searches, "sessions", query, &SEARCH_PARAMETERS);
    let after = list.after(query)?;
    let row_bytes = ROW_BYTES + NAMES_IN_ROW * app.config.max_session_name_bytes;
    let _searching = app.searches.begin(&app.hub, rows, row_bytes)?;
    let mut top = Top::new(direction, after, rows);
    walk_sessions(&app.hub, |session| {
        let name = session.name().as_str();
        if has(finder.as_ref(), name) {
            top.see(sort.rank(session), name, || Arc::clone(session));
        }
    })
    .await;
    let (found, next, matched) = top.finish();
    let sessions: Vec<Value> = found.iter().map(|session| summary(app, session)).collect();
    let total = app.hub.stats().sessions;
    let next = next.map(|key| list.cursor(&key));
    Ok(json!({ "sessions": sessions, "total": total, "matched": matched, "next": next }))
}
