//! `GET /connections` with filters or an order: connections searched and sorted. The pumps show them a slice at a time, in
//! between what they deliver.

use std::net::IpAddr;

use memchr::memmem::Finder;
use serde_json::{Value, json};
use watertight::{ConnectionInfo, ConnectionScanPoint};
use watertight_access::limits::SUBJECT_BYTES_MAX;

use super::summary;
use crate::problem::Problem;
use crate::routes::listing::{Direction, List, SLICE, Top, contains, has};
use crate::routes::query::{Query, invalid};
use crate::routes::sessions::{PAGE_PARAMETERS, page_size};
use crate::state::App;

/// What makes a list a searched one.
pub(super) const SEARCH_PARAMETERS: [&str; 8] =
    ["contains", "user", "kind", "address", "session", "min_lag", "sort", "order"];
/// What a row takes beside its texts, bytes, from when it is found until it is text.
const ROW_BYTES: usize = 2048;
/// How often a row has its texts in it, counting what a character of them may become in JSON.
const TEXTS_IN_ROW: usize = 8;

/// What connections are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Lag,
    Age,
    Sent,
}

impl Sort {
    fn of(query: &Query) -> Result<Sort, Problem> {
        match query.text("sort")? {
            Some("lag") => Ok(Sort::Lag),
            None | Some("age") => Ok(Sort::Age),
            Some("sent") => Ok(Sort::Sent),
            Some(_) => Err(invalid("sort", "lag, age or sent")),
        }
    }

    fn rank(self, connection: &ConnectionInfo) -> u64 {
        match self {
            Sort::Lag => connection.lag,
            // By when it began, which stays the same from page to page.
            Sort::Age => u64::MAX - connection.started.0,
            Sort::Sent => connection.sent,
        }
    }
}

/// Which connections are looked for; all of it must hold.
struct Wanted<'q> {
    finder: Option<Finder<'q>>,
    user: Option<&'q str>,
    kind: Option<&'q str>,
    address: Option<IpAddr>,
    session: Option<&'q str>,
    min_lag: u64,
}

impl<'q> Wanted<'q> {
    fn of(query: &'q Query) -> Result<Wanted<'q>, Problem> {
        Ok(Wanted {
            finder: contains(query)?,
            user: query.text("user")?,
            kind: query.text("kind")?,
            address: query.parse("address", "an IP address")?,
            session: query.text("session")?,
            min_lag: query.parse("min_lag", "a number of events")?.unwrap_or(0),
        })
    }

    fn is(&self, connection: &ConnectionInfo) -> bool {
        let user = connection.user.as_deref();
        let contains = || {
            let finder = self.finder.as_ref();
            let address = || connection.address.is_some_and(|address| has(finder, &address.to_string()));
            has(finder, &connection.session) || user.is_some_and(|user| has(finder, user)) || address()
        };
        self.user.is_none_or(|wanted| user == Some(wanted))
            && self.kind.is_none_or(|wanted| connection.kind == wanted)
            && self.address.is_none_or(|wanted| connection.address == Some(wanted))
            && self.session.is_none_or(|wanted| connection.session == wanted)
            && connection.lag >= self.min_lag
            && contains()
    }
}

/// A page of the list, sorted.
pub(super) async fn search(app: &App, query: &Query) -> Result<Value, Problem> {
    query.expect_known(&PAGE_PARAMETERS, &SEARCH_PARAMETERS)?;
    let sort = Sort::of(query)?;
    let direction = Direction::of(query, Direction::Descending)?;
    let wanted = Wanted::of(query)?;
    let rows = page_size(query)?;
    let list = List::of(&app.searches, "connections", query, &SEARCH_PARAMETERS);
    let after = list.after(query)?;
    let texts = app.config.max_session_name_bytes + SUBJECT_BYTES_MAX;
    let _searching = app.searches.begin(&app.hub, rows, ROW_BYTES + TEXTS_IN_ROW * texts)?;
    let mut top = Top::new(direction, after, rows);
    let mut at = Some(ConnectionScanPoint::default());
    while let Some(from) = at {
        let (slice, next) = app.hub.connections(from, SLICE).await;
        for connection in slice {
            if wanted.is(&connection) {
                let (rank, id) = (sort.rank(&connection), connection.id.to_string());
                top.see(rank, &id, || connection);
            }
        }
        at = next;
        tokio::task::yield_now().await;
    }
    let (found, next, matched) = top.finish();
    let now = app.hub.clock().now();
    let connections: Vec<Value> = found.iter().map(|connection| summary(connection, now)).collect();
    let total = app.hub.stats().subscribers;
    let next = next.map(|key| list.cursor(&key));
    Ok(json!({ "connections": connections, "total": total, "matched": matched, "next": next }))
}
