//! Searches of lists: few at once, each with its page charged before it is held.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use watertight::Hub;
use watertight_core::{Owner, Permit};

use crate::problem::{Problem, unavailable};

/// How many lists are searched at once.
const SEARCHES_MAX: usize = 2;

/// The searches of a hub.
#[derive(Debug)]
pub(crate) struct Searches {
    turns: Arc<Semaphore>,
    /// Marks cursors as of this run of the hub.
    seed: RandomState,
}

impl Default for Searches {
    fn default() -> Searches {
        Searches { turns: Arc::new(Semaphore::new(SEARCHES_MAX)), seed: RandomState::new() }
    }
}

/// A search under way: its turn and the bytes of its page. Dropping it gives both back.
#[derive(Debug)]
#[must_use = "dropping it ends the turn"]
pub(crate) struct Searching {
    _charged: Permit,
    _turn: OwnedSemaphorePermit,
}

impl Searches {
    /// A number for these, the same in this run of the hub.
    pub(crate) fn mark(&self, of: &impl Hash) -> u64 {
        self.seed.hash_one(of)
    }

    /// Begins a search whose page has `rows` rows of up to `row_bytes`.
    pub(crate) fn begin(&self, hub: &Hub, rows: usize, row_bytes: usize) -> Result<Searching, Problem> {
        let turn = Arc::clone(&self.turns).try_acquire_owned().map_err(|_| {
            let detail = format!("{SEARCHES_MAX} lists are being searched, as many as may be at once");
            unavailable("TOO_MANY_SEARCHES", detail)
        })?;
        // Not worth anybody's history.
        let charged = hub.budget().try_charge(Owner::Requests, (rows + 1) * row_bytes);
        let charged = charged.map_err(|error| unavailable("OVERLOADED", error.to_string()))?;
        Ok(Searching { _charged: charged, _turn: turn })
    }
}
