//! Ending a session, forgetting it, and those that were forgotten.
//!
//! An end is state: the session stays, its history is read to the end, and whoever comes is told that it ended. It
//! is forgotten when its history was kept for long enough, or at once by an operator; a tombstone then tells
//! whoever comes back with one of its ids.

use std::sync::Arc;
use std::time::Duration;

use tracing::debug;
use watertight_core::{
    Epoch, Kind, Log, LogState, Owner, Position, Resume, Session, SessionEnd, SessionName,
};

use super::{Hub, HubState};
use crate::clock::wall_clock;
use crate::error::{PublishError, SubscribeError};
use crate::event::Event;

/// How a session is to end.
#[derive(Debug, Clone, Default)]
pub struct EndOptions {
    /// The last event: nothing comes between it and the end.
    pub event: Option<Event>,
    /// For how long the history is kept after the end; `session_ttl` if not said.
    pub keep: Option<Duration>,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedSession {
    /// Where its last event stands, or where its first would, if it had none.
    pub last: Position,
    /// When it ended, and for how long its history is kept.
    pub end: SessionEnd,
}

/// What a publish does beside appending.
#[derive(Debug, Clone, Copy, Default)]
pub struct PublishOptions {
    /// If the session has ended, it begins anew: what it held is forgotten, and its ids have another epoch.
    pub reopen: bool,
    /// Only into this life of its log. Otherwise [`PublishError::EpochChanged`], and nothing is appended.
    pub epoch: Option<Epoch>,
}

impl Hub {
    /// Ends a session for good, after a last event if one is given; it is made if there is none. Its subscribers get
    /// what they lack and are told `SESSION_ENDED`; so does whoever comes later, as long as the history is kept. A
    /// publish is refused. Of a session that had ended, the first end stands: nothing is published, and that end is
    /// returned.
    ///
    /// # Errors
    /// When the event is refused, or there is no room for the session; then it has not ended.
    pub fn end_session(&self, name: &str, options: &EndOptions) -> Result<EndedSession, PublishError> {
        self.end_session_of(name, None, options)
    }

    /// The same, only for this life of its log.
    ///
    /// # Errors
    /// As [`Hub::end_session`], or [`PublishError::EpochChanged`].
    pub fn end_session_of(
        &self,
        name: &str,
        epoch: Option<Epoch>,
        options: &EndOptions,
    ) -> Result<EndedSession, PublishError> {
        let name = self.name(name)?;
        let keep = options.keep.unwrap_or(self.state.config.session_ttl);
        if let Some(event) = &options.event {
            self.check(event)?;
        }
        loop {
            let ended = match &options.event {
                Some(event) => {
                    let how = super::append::How { reopen: false, epoch, end: Some(keep) };
                    self.state
                        .append_one(&name, event, how, self.state.clock.moment())
                        .map(|(_, session)| session)
                }
                None => self.state.end(&name, epoch, keep),
            };
            let session = match ended {
                Ok(session) => Some(session),
                Err(PublishError::SessionEnded) => self.state.registry.get(name.as_str()),
                Err(error) => return Err(error),
            };
            // It may have been forgotten, or begun anew, meanwhile.
            let ended = session.and_then(|session| EndedSession::of(&session));
            let is_its = |ended: &EndedSession| epoch.is_none_or(|epoch| epoch == ended.last.epoch);
            if let Some(ended) = ended.filter(is_its) {
                return Ok(ended);
            }
        }
    }

    /// Forgets a session at once, ended or not: what is in its log is still delivered to those who are there, then
    /// they are told `SESSION_ENDED`; for `tombstone_ttl` so is whoever comes back with one of its ids. The next
    /// publish or subscribe begins it anew. `false`: there is no such session.
    pub fn forget_session(&self, name: &str) -> bool {
        let Some(session) = self.session(name) else { return false };
        session.with_log(|log| log.end(self.state.session_end(Duration::ZERO)));
        self.state.forget(&session)
    }

    /// How the session of that name ended; `None`: it has not, or there is none.
    #[must_use]
    pub fn session_end(&self, name: &str) -> Option<EndedSession> {
        EndedSession::of(&*self.session(name)?)
    }

    /// Forgets all tombstones.
    #[cfg(feature = "testing")]
    pub fn forget_tombstones(&self) {
        self.state.tombstones.lock().sweep(watertight_core::Tick::NEVER);
    }
}

impl EndedSession {
    pub(super) fn of(session: &Session) -> Option<EndedSession> {
        session.with_log(|log| {
            let end = *log.session_end()?;
            Some(EndedSession { last: last_of(log), end })
        })
    }
}

fn last_of(log: &Log) -> Position {
    log.position(log.next() - 1)
}

impl HubState {
    /// The end of a session that ends now.
    pub(super) fn session_end(&self, keep: Duration) -> SessionEnd {
        SessionEnd { at: self.clock.now(), ended_at: wall_clock(), keep }
    }

    /// Ends a session without a last event.
    fn end(
        &self,
        name: &SessionName,
        epoch: Option<Epoch>,
        keep: Duration,
    ) -> Result<Arc<Session>, PublishError> {
        let _pass = self.publish_gate.enter().ok_or(PublishError::ShuttingDown)?;
        loop {
            let session = self.session_with_room(name, self.clock.now(), false)?;
            let end = self.session_end(keep);
            let found = session.with_log(|log| {
                let found = log.state(end.at);
                let is_its = epoch.is_none_or(|epoch| epoch == log.epoch());
                if !is_its {
                    return Err(PublishError::EpochChanged { current: Some(log.epoch()) });
                }
                if found == LogState::Open {
                    log.end(end);
                }
                Ok(found)
            })?;
            if found == LogState::Open {
                self.announce(&session);
                self.stop_source(&session);
                return Ok(session);
            }
            self.make_way(&session, found, false)?;
        }
    }

    /// A session was found whose log took no event: whether a publisher may look it up again.
    pub(super) fn make_way(
        &self,
        session: &Arc<Session>,
        found: LogState,
        reopen: bool,
    ) -> Result<(), PublishError> {
        match found {
            LogState::Open => {}
            LogState::Ended if reopen => drop(self.registry.remove(session)),
            LogState::Ended => return Err(PublishError::SessionEnded),
            LogState::Over => drop(self.forget(session)),
        }
        Ok(())
    }

    /// Takes a session out. Of one that was ended a tombstone stays. `false`: it was out already.
    pub(super) fn forget(&self, session: &Arc<Session>) -> bool {
        // The tombstone first: whoever does not find the session any more finds that.
        if let Some(EndedSession { last, .. }) = EndedSession::of(session) {
            let charge = |bytes| self.budget.try_charge(Owner::Caches, bytes);
            let now = self.clock.now();
            if let Err(error) = self.tombstones.lock().add(session.name().as_str(), last, now, charge) {
                debug!(%error, session = session.name().as_str(), "no room to remember that it ended");
            }
        }
        let is_removed = self.registry.remove(session).is_some();
        self.announce(session);
        self.stop_source(session);
        is_removed
    }

    /// The session that an id belongs to, if that was forgotten after its end: of it only the end is left, and one
    /// reader, who owes a `leave`.
    pub(super) fn forgotten(
        &self,
        name: &SessionName,
        resume: Resume,
    ) -> Result<Option<Arc<Session>>, SubscribeError> {
        let Resume::After(id) = resume else { return Ok(None) };
        let now = self.clock.now();
        let Some(last) = self.tombstones.lock().find(name.as_str(), id.epoch, now) else { return Ok(None) };
        let permit = self.charge(Owner::Sessions, Session::cost(name, self.shards.len()), None)?;
        let log = Log::past(last, self.config.log_limits());
        let entry = self.ledger.open(Kind::Session);
        let session = Session::new(name.clone(), log, self.shards.len(), now, entry, permit);
        session.join();
        Ok(Some(session))
    }
}
