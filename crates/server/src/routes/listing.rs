//! Lists that are searched and sorted. Everything there is is looked at, a slice at a time, with no lock held in between;
//! what is kept meanwhile is one page, charged before it is held.

mod cursor;
mod top;

use std::sync::Arc;

use memchr::memmem::Finder;
use watertight::{Hub, Session};
use watertight_core::registry::ScanPoint;

pub(super) use self::cursor::{List, unusable};
pub(super) use self::top::{Direction, Top};
use super::query::{Query, invalid};
use crate::problem::Problem;

/// How many items are looked at before others have their turn.
pub(super) const SLICE: usize = 128;
/// How long a text may be that is searched for, bytes: no name is longer by default.
const CONTAINS_BYTES_MAX: usize = 256;

/// What is searched for in names.
pub(super) fn contains(query: &Query) -> Result<Option<Finder<'_>>, Problem> {
    match query.text("contains")? {
        Some(text) if text.len() > CONTAINS_BYTES_MAX => {
            Err(invalid("contains", &format!("a text of at most {CONTAINS_BYTES_MAX} bytes")))
        }
        text => Ok(text.map(Finder::new)),
    }
}

/// Whether a text has in it what is searched for.
pub(super) fn has(finder: Option<&Finder<'_>>, text: &str) -> bool {
    finder.is_none_or(|finder| finder.find(text.as_bytes()).is_some())
}

/// Shows all sessions to `see`, [`SLICE`] at a time.
pub(super) async fn walk_sessions(hub: &Hub, mut see: impl FnMut(&Arc<Session>)) {
    let mut at = Some(ScanPoint::default());
    while let Some(from) = at {
        let (slice, next) = hub.sessions(from, SLICE);
        slice.iter().for_each(&mut see);
        at = next;
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests;
