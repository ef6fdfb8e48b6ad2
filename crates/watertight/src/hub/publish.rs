//! Publishing: encode once, append, tell the pumps.
//!
//! The text is encoded before the log's lock is taken; under it the id is written in front and the frame is
//! copied to its exact size. Nothing here waits; pacing is beside (`pace.rs`).

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use watertight_core::id::PositionText;
use watertight_core::limits::{FRAME_OVERHEAD_BYTES, ID_TEXT_BYTES_MAX};
use watertight_core::log::Freed;
use watertight_core::{Frame, Owner, Permit, Position, Session, SessionName, Tick};
use watertight_wire::{Draft, Encoder, EventId};

use super::{Hub, HubState};
use crate::error::PublishError;
use crate::event::Event;

/// Event types that are the hub's own: a publisher must not forge them.
const RESERVED_TYPES: [&str; 2] = ["gap", "error"];

/// Events appended between two looks at the pumps, as a share of `max_queue_size` and of a session's bytes: a
/// batch larger than the queue is fed in portions, so that it does not outrun readers by itself.
const PORTIONS_PER_QUEUE: usize = 4;

thread_local! {
    /// Scratch space of this thread's publishing; the encoder bounds what it keeps.
    static ENCODER: RefCell<Encoder> = RefCell::new(Encoder::new());
}

impl Hub {
    /// Publishes an event and returns its position once it is in the log and the pumps are within half of
    /// `max_queue_size` of it. Dropping the future before that gives up the waiting, not the event, if it was
    /// polled at all.
    ///
    /// # Errors
    /// When the event is refused; then it is not in the log.
    pub async fn publish(&self, session: &str, event: Event) -> Result<Position, PublishError> {
        let (position, session) = self.append(session, &event)?;
        self.inner.pace(&session).await;
        Ok(position)
    }

    /// Publishes events in order, all or none: they are checked, and room is made for all of them, before the
    /// first is appended.
    ///
    /// # Errors
    /// When an event is refused, with its index in the batch.
    pub async fn publish_batch(
        &self,
        session: &str,
        events: &[Event],
    ) -> Result<Vec<Position>, (usize, PublishError)> {
        let name = self.name(session).map_err(|error| (0, error.into()))?;
        for (index, event) in events.iter().enumerate() {
            self.inner.check(event).map_err(|error| (index, error))?;
        }
        let permits = self.inner.charge_all(&name, events)?;
        let config = &self.inner.config;
        let portion_events = (config.max_queue_size / PORTIONS_PER_QUEUE).max(1);
        let portion_bytes = config.max_history_bytes_per_session / PORTIONS_PER_QUEUE;
        let mut positions = Vec::with_capacity(events.len());
        let (mut portion, mut bytes) = (0, 0);
        for (index, (event, permit)) in events.iter().zip(permits).enumerate() {
            portion += 1;
            bytes += permit.bytes();
            let (position, session) =
                self.inner.append(&name, event, permit).map_err(|error| (index, error))?;
            positions.push(position);
            if portion >= portion_events || bytes >= portion_bytes || positions.len() == events.len() {
                self.inner.announce(&session);
                self.inner.pace(&session).await;
                (portion, bytes) = (0, 0);
            }
        }
        Ok(positions)
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
        self.inner.check(event)?;
        let permit = self.inner.charge_one(&name, event)?;
        let (position, session) = self.inner.append(&name, event, permit)?;
        self.inner.announce(&session);
        Ok((position, session))
    }

    /// Checks an event without publishing it.
    ///
    /// # Errors
    /// As [`Hub::publish`] would.
    pub fn check(&self, event: &Event) -> Result<(), PublishError> {
        self.inner.check(event)
    }
}

impl HubState {
    fn check(&self, event: &Event) -> Result<(), PublishError> {
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

    /// Appends a checked event. Tries again if the session is ended under its hands: then the next look-up
    /// makes a new one.
    fn append(
        &self,
        name: &SessionName,
        event: &Event,
        mut permit: Permit,
    ) -> Result<(Position, Arc<Session>), PublishError> {
        ENCODER.with_borrow_mut(|encoder| {
            let mut draft = encoder.event(&event.event_type, &event.data);
            loop {
                let session = self.session(name, false)?;
                let expires = self.expiry(event);
                match self.append_draft(&session, draft, permit, expires) {
                    Ok(position) => return Ok((position, session)),
                    Err(again) => (draft, permit) = again,
                }
            }
        })
    }

    fn append_draft<'a>(
        &self,
        session: &Session,
        draft: Draft<'a>,
        permit: Permit,
        expires: Tick,
    ) -> Result<Position, (Draft<'a>, Permit)> {
        let (position, freed) = session.with_log(|log| {
            if log.ended() {
                return Err((draft, permit));
            }
            let position = log.position(log.next());
            let text = position.text();
            let id = id_of(&text);
            let frame = Frame::new(draft.finish(id), Some(permit));
            Ok((position, log.append(frame, expires)))
        })?;
        self.counters.events_published.fetch_add(1, Ordering::Relaxed);
        self.counters.note_appended(freed);
        Ok(position)
    }

    /// Charges the frames of a batch, all or none.
    fn charge_all(&self, name: &SessionName, events: &[Event]) -> Result<Vec<Permit>, (usize, PublishError)> {
        let charged = events.iter().map(|event| self.charge_one(name, event)).enumerate();
        charged.map(|(index, permit)| permit.map_err(|error| (index, error))).collect()
    }

    /// Charges the frame that an event will be.
    fn charge_one(&self, name: &SessionName, event: &Event) -> Result<Permit, PublishError> {
        let bytes = ENCODER.with_borrow_mut(|encoder| {
            encoder.event(&event.event_type, &event.data).encoded_len(ID_TEXT_BYTES_MAX)
        });
        let session = self.session(name, false)?;
        self.charge_frame(&session, bytes + FRAME_OVERHEAD_BYTES)
    }

    /// Charges a frame; if there is no room, lets history go: the session's own first, then others', in turn.
    fn charge_frame(&self, session: &Session, bytes: usize) -> Result<Permit, PublishError> {
        if let Ok(permit) = self.budget.try_charge(Owner::Frames, bytes) {
            return Ok(permit);
        }
        let freed = session.with_log(|log| log.shed_bytes(bytes));
        self.counters.note_shed(freed);
        if let Ok(permit) = self.budget.try_charge(Owner::Frames, bytes) {
            return Ok(permit);
        }
        self.shed_some();
        Ok(self.budget.try_charge(Owner::Frames, bytes)?)
    }

    /// Lets go of history that no live cursor needs, in the next slice of sessions.
    pub(crate) fn shed_some(&self) -> Freed {
        let mut place = self.shed_place.lock();
        let mut freed = Freed::default();
        let never = |_: &Session| false;
        let swept = self.registry.slice(*place, never, |session| {
            let needed = session.oldest_needed();
            freed += session.with_log(|log| log.shed_before(needed));
        });
        *place = swept.next.unwrap_or_default();
        drop(place);
        self.counters.note_shed(freed);
        freed
    }

    fn expiry(&self, event: &Event) -> Tick {
        event.ttl.or(self.config.event_ttl).map_or(Tick::NEVER, |ttl| self.clock.now().after(ttl))
    }
}

#[expect(clippy::expect_used, reason = "a position's text is made of letters, digits and a dash")]
pub(crate) fn id_of(text: &PositionText) -> EventId<'_> {
    EventId::new(text.as_str()).expect("a position is a valid id")
}
