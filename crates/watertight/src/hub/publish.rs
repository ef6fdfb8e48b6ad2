//! Publishing: what a publisher calls. Appending to the log is in `append.rs`, waiting for readers in
//! `pace.rs`, room in the budget in `room.rs`.

use std::sync::Arc;

use watertight_core::id::PositionText;
use watertight_core::{Epoch, Position, Session, SessionName, Tick};
use watertight_wire::EventId;

use super::append::{Attempt, How};
use super::{Hub, HubState, Positions, PublishOptions};
use crate::error::{BatchError, PublishError};
use crate::event::Event;

/// Event types that are the hub's own: a publisher must not forge them.
const RESERVED_TYPES: [&str; 2] = ["gap", "error"];

/// Events that are in their log, whose publisher has not yet waited for readers.
#[derive(Debug)]
#[must_use = "a publisher that does not wait for readers outruns them"]
pub struct Appended {
    hub: Hub,
    /// `None` if there was nothing to append.
    session: Option<Arc<Session>>,
    positions: Positions,
    /// When the publish began: its waiting before and after the append is limited together.
    begun: Tick,
}

impl Appended {
    /// Where they stand.
    #[must_use]
    pub fn positions(&self) -> Positions {
        self.positions
    }

    /// Whether readers are within half of `max_queue_size` already, so that nothing is waited for.
    #[must_use]
    pub fn is_paced(&self) -> bool {
        self.session.as_ref().is_none_or(|session| self.hub.state.is_paced(session, self.begun))
    }

    /// Waits until readers are within half of `max_queue_size`. Dropping the future gives up the waiting, not
    /// the events.
    pub async fn paced(self) -> Positions {
        if let Some(session) = &self.session {
            self.hub.state.pace(session, self.begun).await;
        }
        self.positions
    }
}

impl Hub {
    /// Publishes an event and returns its position once it is in the log and the pumps are within half of
    /// `max_queue_size` of it. Dropping the future before that gives up the waiting, not the event, if it was
    /// polled at all.
    ///
    /// # Errors
    /// When the event is refused; then it is not in the log.
    pub async fn publish(&self, session: &str, event: Event) -> Result<Position, PublishError> {
        let begun = self.state.clock.now();
        let (position, session) = self.append(session, &event)?;
        drop(event);
        self.state.pace(&session, begun).await;
        Ok(position)
    }

    /// Publishes events in order, all or none, side by side and in one epoch: as [`Hub::append_batch`], then waits
    /// for readers as [`Hub::publish`] does.
    ///
    /// # Errors
    /// When an event is refused, or the batch as a whole; then none of it is in the log.
    pub async fn publish_batch(&self, session: &str, events: &[Event]) -> Result<Positions, BatchError> {
        let appended = self.append_batch(session, events).await?;
        Ok(appended.paced().await)
    }

    /// Appends events in order, all or none. More than one wait before that until the whole batch fits behind what readers
    /// have not read yet; nothing of it is in the log meanwhile, and dropping the future leaves nothing behind.
    /// When it returns, all of it is there.
    ///
    /// # Errors
    /// When an event is refused, or the batch as a whole; then none of it is in the log.
    pub async fn append_batch(&self, session: &str, events: &[Event]) -> Result<Appended, BatchError> {
        self.append_batch_with(session, events, PublishOptions::default()).await
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`Hub::append_batch`].
    pub async fn append_batch_with(
        &self,
        session: &str,
        events: &[Event],
        options: PublishOptions,
    ) -> Result<Appended, BatchError> {
        let how = How::of(options);
        let state = &self.state;
        let begun = state.clock.now();
        let name = self.name(session).map_err(PublishError::from)?;
        for (index, event) in events.iter().enumerate() {
            state.check(event).map_err(|error| BatchError { index: Some(index), error })?;
        }
        match events {
            [] => {
                let positions = Positions::none(Epoch::from_bits(0));
                return Ok(Appended { hub: self.clone(), session: None, positions, begun });
            }
            [event] => return Ok(self.append_at(&name, event, how)?),
            _ => {}
        }
        let size = state.batch_size(events)?;
        loop {
            let session =
                state.session_with_room(&name, state.clock.now(), false).map_err(PublishError::from)?;
            state.wait_for_room(&session, begun, (size.events, size.bytes)).await;
            match state.append_whole(&session, events, size, (how, begun))? {
                Attempt::Appended(positions) => {
                    return Ok(Appended { hub: self.clone(), session: Some(session), positions, begun });
                }
                Attempt::Closed(found) => state.make_way(&session, found, how.reopen)?,
                // Others were faster, and readers need more time again.
                Attempt::NoRoom => {}
            }
        }
    }

    /// Appends an event, without waiting for anything. The publisher then waits by [`Appended::paced`].
    ///
    /// # Errors
    /// When the event is refused; then it is not in the log.
    pub fn append_one(
        &self,
        session: &SessionName,
        event: &Event,
        options: PublishOptions,
    ) -> Result<Appended, PublishError> {
        self.state.check(event)?;
        self.append_at(session, event, How::of(options))
    }

    fn append_at(&self, name: &SessionName, event: &Event, how: How) -> Result<Appended, PublishError> {
        let at = self.state.clock.moment();
        let (position, session) = self.state.append_one(name, event, how, at)?;
        let positions = Positions::new(position, 1);
        Ok(Appended { hub: self.clone(), session: Some(session), positions, begun: at.tick() })
    }

    /// Publishes an event without waiting for the pumps. Readers may get a gap if this outruns them.
    ///
    /// # Errors
    /// When the event is refused; then it is not in the log.
    pub fn publish_now(&self, session: &str, event: &Event) -> Result<Position, PublishError> {
        self.append(session, event).map(|(position, _)| position)
    }

    fn append(&self, session: &str, event: &Event) -> Result<(Position, Arc<Session>), PublishError> {
        let name = self.name(session)?;
        self.state.check(event)?;
        self.state.append_one(&name, event, How::default(), self.state.clock.moment())
    }

    /// Checks an event without publishing it.
    ///
    /// # Errors
    /// As [`Hub::publish`] would.
    pub fn check(&self, event: &Event) -> Result<(), PublishError> {
        self.state.check(event)
    }
}

impl HubState {
    pub(super) fn check(&self, event: &Event) -> Result<(), PublishError> {
        if self.is_stopping() {
            return Err(PublishError::ShuttingDown);
        }
        let (bytes, max_bytes) = (event.data.len(), self.config.max_event_bytes);
        if bytes > max_bytes {
            return Err(PublishError::TooLarge { bytes, max_bytes });
        }
        match event.event_type.as_str() {
            reserved if RESERVED_TYPES.contains(&reserved) => {
                Err(PublishError::Reserved(reserved.to_owned()))
            }
            _ => Ok(()),
        }
    }
}

#[expect(clippy::expect_used, reason = "a position's text is made of letters, digits and a dash")]
pub(crate) fn id_of(text: &PositionText) -> EventId<'_> {
    EventId::new(text.as_str()).expect("a position is a valid id")
}
