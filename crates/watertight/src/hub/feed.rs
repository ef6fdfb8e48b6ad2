//! What a source publishes: into the very session it feeds, never into one that has taken its name since.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use watertight_core::{Frame, LogState, Owner, Session, Tick, frame_charge};

use super::append::{Attempt, How};
use super::{EndedSession, HubState, Positions};
use crate::error::{BatchError, PublishError};
use crate::event::Event;
use crate::source::FeedError;

impl HubState {
    /// Appends events, all or none, once they fit behind what readers have not read. Returns in the very moment in which
    /// they are in the log, with when it began.
    pub(crate) async fn feed(
        &self,
        session: &Arc<Session>,
        events: &[Event],
    ) -> Result<(Positions, Tick), FeedError> {
        let refused = |error: BatchError| FeedError::Refused(error.error);
        let begun = self.clock.now();
        for event in events {
            self.check(event)?;
        }
        let size = self.batch_size(events).map_err(refused)?;
        loop {
            self.wait_for_room(session, begun, (size.events, size.bytes)).await;
            match self.append_whole(session, events, size, (How::default(), begun)).map_err(refused)? {
                Attempt::Appended(positions) => {
                    session.touch(self.clock.now());
                    return Ok((positions, begun));
                }
                Attempt::Closed(_) => return Err(FeedError::Ended),
                // Others were faster, and readers need more time again.
                Attempt::NoRoom => {}
            }
        }
    }

    /// Appends a mark: events are missing here.
    pub(crate) fn feed_gap(&self, session: &Arc<Session>, missed: Option<u64>) -> Result<(), FeedError> {
        let _pass = self.publish_gate.enter().ok_or(PublishError::ShuttingDown)?;
        let permit =
            self.charge(Owner::Frames, frame_charge(0), Some(session)).map_err(PublishError::from)?;
        let at = self.clock.moment();
        let (now, expires) = (at.tick(), self.default_expiry(at));
        let appended = session.with_log(|log| {
            if log.state(now) != LogState::Open {
                return Err(FeedError::Ended);
            }
            // Behind a mark of which nobody knows how many events are missing, a second says no more.
            let says_more = missed.is_some() || log.last_missed() != Some(None);
            if says_more {
                log.append(Frame::gap(missed, Some(permit)), expires);
            }
            Ok(says_more)
        })?;
        if appended {
            self.announce(session);
        }
        Ok(())
    }

    /// Ends the session, after a last event if one is given.
    pub(crate) fn end_fed(
        &self,
        session: &Arc<Session>,
        last: Option<&Event>,
    ) -> Result<EndedSession, FeedError> {
        let keep = self.config.session_ttl;
        match last {
            Some(event) => {
                self.check(event)?;
                let ended = self.append_to(session, event, How { end: Some(keep), ..How::default() })?;
                // Of one that has ended, the first end stands.
                if ended.is_ok() {
                    self.counters.events_published.fetch_add(1, Ordering::Relaxed);
                    self.announce(session);
                }
            }
            None => {
                let _pass = self.publish_gate.enter().ok_or(PublishError::ShuttingDown)?;
                let end = self.session_end(keep);
                let is_first = session.with_log(|log| log.state(end.at) == LogState::Open && log.end(end));
                if is_first {
                    self.announce(session);
                }
            }
        }
        EndedSession::of(session).ok_or(FeedError::Ended)
    }
}
