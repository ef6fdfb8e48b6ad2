//! Room in the budget: charged if there is some, made if there is history that nobody needs, refused otherwise.
//!
//! Events that a live reader still needs are never removed for a newcomer or a publish; only the memory ladder
//! removes them, under lasting pressure (`keeper.rs`).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use watertight_core::limits::REGISTRY_STRIPES;
use watertight_core::log::Freed;
use watertight_core::{Exhausted, Owner, Permit, Session, SessionName, Tick};

use super::{Hub, HubState};
use crate::error::SessionError;

/// How much of other sessions' history is removed at least, bytes, so that not every publish has to search for
/// room.
const SHED_AT_ONCE: usize = 64 * 1024;

/// How long no search for room is made after one that found none, because refusing must be cheap.
const REST_AFTER_NOTHING: Duration = Duration::from_millis(250);

impl Hub {
    /// Charges bytes that are about to be taken. If there is no room, history that no live reader needs is let
    /// go for it.
    ///
    /// # Errors
    /// When there is no room even so.
    pub fn charge(&self, owner: Owner, bytes: usize) -> Result<Permit, Exhausted> {
        self.state.charge(owner, bytes, None)
    }
}

impl HubState {
    /// Charges bytes; if there is no room, lets unneeded history go: the publisher's own session first, then
    /// others' in turn.
    pub(crate) fn charge(
        &self,
        owner: Owner,
        bytes: usize,
        own: Option<&Session>,
    ) -> Result<Permit, Exhausted> {
        let first = match self.budget.try_charge(owner, bytes) {
            Ok(permit) => return Ok(permit),
            Err(exhausted) => exhausted,
        };
        if bytes > self.budget.critical_bytes() {
            return Err(first);
        }
        if let Some(session) = own
            && self.shed(session, bytes).events > 0
            && let Ok(permit) = self.budget.try_charge(owner, bytes)
        {
            return Ok(permit);
        }
        let now = self.clock.now();
        if now.0 < self.nothing_to_shed_until.load(Ordering::Relaxed) {
            return Err(first);
        }
        let mut freed = Freed::default();
        for _ in 0..REGISTRY_STRIPES {
            let slice = self.shed_slice(bytes.max(SHED_AT_ONCE));
            freed += slice;
            if slice.events > 0
                && let Ok(permit) = self.budget.try_charge(owner, bytes)
            {
                return Ok(permit);
            }
        }
        if freed.events == 0 {
            self.nothing_to_shed_until.store(now.after(REST_AFTER_NOTHING).0, Ordering::Relaxed);
        }
        Err(first)
    }

    /// The session of that name, made if there is none: room is made for it, too.
    pub(crate) fn session_with_room(
        &self,
        name: &SessionName,
        now: Tick,
        join: bool,
    ) -> Result<Arc<Session>, SessionError> {
        match self.session(name, now, join) {
            Err(SessionError::Memory(_)) => {
                // Not under the registry's lock, which shedding takes itself; so it may be gone by then.
                let bytes = Session::cost(name, self.shards.len());
                drop(self.charge(Owner::Sessions, bytes, None).map_err(SessionError::Memory)?);
                self.session(name, now, join)
            }
            other => other,
        }
    }

    /// Lets go of history that no live reader needs, in the next slice of sessions, until `bytes` are free.
    pub(crate) fn shed_slice(&self, bytes: usize) -> Freed {
        let mut scan = self.next_shed.lock();
        let mut freed = Freed::default();
        let never = |_: &Session| false;
        let swept = self.registry.slice(*scan, never, |session| {
            if freed.bytes < bytes {
                freed += self.shed(session, bytes - freed.bytes);
            }
        });
        *scan = swept.next.unwrap_or_default();
        freed
    }

    /// Lets go of history of one session, up to `bytes` of it. What readers need is read under the log's lock,
    /// so no reader moves or joins meanwhile.
    fn shed(&self, session: &Session, bytes: usize) -> Freed {
        let freed = session.with_log(|log| {
            if log.events() == 0 { Freed::default() } else { log.shed(bytes, session.oldest_needed()) }
        });
        self.counters.note_shed(freed);
        freed
    }
}
