//! Appending: charge, encode once, append, tell the pumps. Nothing here waits.
//!
//! Text is encoded before the log's lock is taken. Of a single event, the id is written in front under the lock
//! and the frame copied to its exact size. Of a batch, whole frames are made for the positions that it will have
//! if nobody is faster; under one hold of the lock they are appended, all of them, or made again.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use watertight_core::limits::{FRAME_OVERHEAD_BYTES, ID_TEXT_BYTES_MAX};
use watertight_core::{
    Epoch, Expiry, Frame, Log, LogState, Owner, Permit, Position, Session, SessionEnd, SessionName, Tick,
    frame_charge,
};
use watertight_wire::{Draft, Encoder, encoded_len};

use super::pace::has_room;
use super::publish::id_of;
use super::{HubState, Positions};
use crate::clock::{Moment, wall_clock};
use crate::error::{BatchError, PublishError};
use crate::event::Event;

/// How often a batch is encoded again because other publishers appended first, before it is encoded under the
/// log's lock.
const ENCODED_AHEAD_MAX: usize = 4;

thread_local! {
    /// Scratch space of this thread's publishing; the encoder bounds what it keeps.
    static ENCODER: RefCell<Encoder> = RefCell::new(Encoder::new());
}

/// What became of an attempt to append a batch.
#[derive(Debug)]
pub(super) enum Attempt {
    /// All of it is in the log.
    Appended(Positions),
    /// The log takes no events; nothing is in it.
    Closed(LogState),
    /// Readers need what it would push out; nothing is in the log.
    NoRoom,
}

/// How large a batch is.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchSize {
    pub(super) events: usize,
    /// What they count for in their session's history, bytes.
    pub(super) bytes: usize,
    /// What they are charged, bytes.
    charge: usize,
}

/// How an event is appended.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct How {
    /// A session that has ended begins anew.
    pub(super) reopen: bool,
    /// Only into this life of the log.
    pub(super) epoch: Option<Epoch>,
    /// It is the session's last event; the history is kept for so long after it.
    pub(super) end: Option<Duration>,
}

impl How {
    pub(super) fn of(options: super::PublishOptions) -> How {
        How { reopen: options.reopen, epoch: options.epoch, end: None }
    }

    fn expect(self, found: Epoch) -> Result<(), PublishError> {
        match self.epoch {
            Some(epoch) if epoch != found => Err(PublishError::EpochChanged { current: Some(found) }),
            _ => Ok(()),
        }
    }
}

/// An encoded event that was not appended.
struct Refused<'a> {
    draft: Draft<'a>,
    permit: Permit,
    /// Open: others appended first, and its id is longer than it was charged for.
    found: LogState,
    /// The life of the log that took none.
    epoch: Epoch,
}

impl HubState {
    /// Appends a checked event, whose time begins `at` that moment. Tries again if the session is forgotten meanwhile (the
    /// next look-up makes a new one), or if its id became longer.
    pub(super) fn append_one(
        &self,
        name: &SessionName,
        event: &Event,
        how: How,
        at: Moment,
    ) -> Result<(Position, Arc<Session>), PublishError> {
        let _pass = self.publish_gate.enter().ok_or(PublishError::ShuttingDown)?;
        let mut now = at.tick();
        let mut session = self.session_with_room(name, now, false)?;
        session.prefetch();
        let mut id_bytes = id_bytes(&session);
        let mut permit = self.charge(Owner::Frames, event_charge(event, id_bytes), Some(&session))?;
        let (expires, created_at) = (self.expiry(event, at), wall_clock());
        let (position, session) = ENCODER.with_borrow_mut(|encoder| {
            let mut draft = encoder.event(&event.event_type, &event.data);
            loop {
                let end = how.end.map(|keep| self.session_end(keep));
                let charged = (draft, permit, id_bytes);
                let expected = (how.epoch, end);
                match append_draft(&session, charged, (expires, created_at), (now, expected)) {
                    Ok(position) => return Ok::<_, PublishError>((position, session)),
                    Err(refused) => {
                        how.expect(refused.epoch)?;
                        (draft, permit) = (refused.draft, refused.permit);
                        self.make_way(&session, refused.found, how.reopen)?;
                    }
                }
                now = self.clock.now();
                session = self.session_with_room(name, now, false)?;
                if id_bytes != self::id_bytes(&session) {
                    drop(permit);
                    id_bytes = self::id_bytes(&session);
                    permit = self.charge(Owner::Frames, event_charge(event, id_bytes), Some(&session))?;
                }
            }
        })?;
        self.counters.events_published.fetch_add(1, Ordering::Relaxed);
        self.announce(&session);
        Ok((position, session))
    }

    /// Appends a checked event to this very session; `Err` inside: how its log is, which takes none.
    pub(super) fn append_to(
        &self,
        session: &Session,
        event: &Event,
        how: How,
    ) -> Result<Result<Position, LogState>, PublishError> {
        let _pass = self.publish_gate.enter().ok_or(PublishError::ShuttingDown)?;
        let (expires, created_at) = (self.expiry(event, self.clock.moment()), wall_clock());
        loop {
            let id_bytes = id_bytes(session);
            let permit = self.charge(Owner::Frames, event_charge(event, id_bytes), Some(session))?;
            let end = how.end.map(|keep| self.session_end(keep));
            let appended = ENCODER.with_borrow_mut(|encoder| {
                let draft = encoder.event(&event.event_type, &event.data);
                let charged = (draft, permit, id_bytes);
                append_draft(session, charged, (expires, created_at), (self.clock.now(), (None, end)))
                    .map_err(|refused| refused.found)
            });
            // Open: others appended first, and its id is longer than it was charged for.
            if appended != Err(LogState::Open) {
                return Ok(appended);
            }
        }
    }

    /// How large a checked batch of more than one event is, if its session can hold it. (A single event is held whatever
    /// its size.)
    pub(super) fn batch_size(&self, events: &[Event]) -> Result<BatchSize, BatchError> {
        let mut size = BatchSize { events: events.len(), bytes: 0, charge: 0 };
        for chunk_bytes in events.iter().map(|event| chunk_bytes(event, ID_TEXT_BYTES_MAX)) {
            size.bytes += chunk_bytes + FRAME_OVERHEAD_BYTES;
            size.charge += frame_charge(chunk_bytes);
        }
        let bytes = size.bytes;
        let (max_events, max_bytes) = (self.config.max_queue_size, self.config.max_history_bytes_per_session);
        if events.len() > max_events || bytes > max_bytes {
            let events = events.len();
            return Err(PublishError::BatchTooLarge { events, max_events, bytes, max_bytes }.into());
        }
        Ok(size)
    }

    /// Appends a checked batch of that size under one hold of the log's lock, if it takes nothing from a reader
    /// who keeps reading, or the publisher has waited long enough.
    pub(super) fn append_whole(
        &self,
        session: &Arc<Session>,
        events: &[Event],
        size: BatchSize,
        (how, begun): (How, Tick),
    ) -> Result<Attempt, BatchError> {
        let _pass = self.publish_gate.enter().ok_or(PublishError::ShuttingDown)?;
        let mut permit =
            self.charge(Owner::Frames, size.charge, Some(session)).map_err(PublishError::from)?;
        let (now, created_at) = (self.clock.now(), wall_clock());
        let is_patience_over = self.is_patience_over(begun);
        let mut tried = 0;
        let attempt = loop {
            let under_the_lock = tried == ENCODED_AHEAD_MAX;
            let expected = session.with_log(|log| log.position(log.next()));
            let ahead = if under_the_lock { Vec::new() } else { encode(events, expected, created_at) };
            let attempt = session.with_log(|log| {
                how.expect(expected.epoch)?;
                let found = log.state(now);
                if found != LogState::Open {
                    return Ok(Some(Attempt::Closed(found)));
                }
                if !is_patience_over && !has_room(session, log, now, (size.events, size.bytes)) {
                    return Ok(Some(Attempt::NoRoom));
                }
                let first = log.position(log.next());
                let frames = match first == expected {
                    _ if under_the_lock => encode(events, first, created_at),
                    true => ahead,
                    false => return Ok(None),
                };
                self.append_frames(log, frames, events, &mut permit);
                Ok::<_, PublishError>(Some(Attempt::Appended(Positions::new(first, events.len()))))
            })?;
            match attempt {
                Some(attempt) => break attempt,
                None => tried += 1,
            }
        };
        if let Attempt::Appended(_) = attempt {
            self.counters.events_published.fetch_add(events.len() as u64, Ordering::Relaxed);
            self.announce(session);
        }
        Ok(attempt)
    }

    /// Appends the frames of `events`, each charged with its part of `permit`.
    fn append_frames(&self, log: &mut Log, frames: Vec<Frame>, events: &[Event], permit: &mut Permit) {
        let at = self.clock.moment();
        log.append_all(frames.into_iter().zip(events).map(|(mut frame, event)| {
            frame.charge(permit.split(frame_charge(frame.chunk().len())));
            (frame, self.expiry(event, at))
        }));
    }

    fn expiry(&self, event: &Event, at: Moment) -> Expiry {
        event.ttl.map_or_else(|| self.default_expiry(at), |ttl| Expiry::own(at.after(ttl)))
    }

    /// When what says nothing of its own expires, if its time begins `at` that moment.
    pub(super) fn default_expiry(&self, at: Moment) -> Expiry {
        Expiry::default_at(self.config.event_ttl.map_or(Tick::NEVER, |ttl| at.after(ttl)))
    }
}

/// How long the frame of an event is, bytes.
fn chunk_bytes(event: &Event, id_bytes: usize) -> usize {
    encoded_len(&event.event_type, &event.data, id_bytes)
}

/// What it is charged, bytes.
fn event_charge(event: &Event, id_bytes: usize) -> usize {
    frame_charge(chunk_bytes(event, id_bytes))
}

/// How long the next id of a session is, if no other publisher appends first.
fn id_bytes(session: &Session) -> usize {
    Position::text_len(session.head())
}

/// Appends an encoded event, and ends the log with it if that is wanted; gives it back if the log takes none, or if
/// others appended first and its id is longer than it was charged for.
fn append_draft<'a>(
    session: &Session,
    (draft, permit, id_bytes): (Draft<'a>, Permit, usize),
    (expires, created_at): (Expiry, Duration),
    (now, (epoch, end)): (Tick, (Option<Epoch>, Option<SessionEnd>)),
) -> Result<Position, Refused<'a>> {
    session.with_log(|log| {
        log.prefetch_next();
        let position = log.position(log.next());
        let text = position.text();
        let found = log.state(now);
        let is_its = epoch.is_none_or(|epoch| epoch == position.epoch);
        if found != LogState::Open || !is_its || text.as_bytes().len() != id_bytes {
            return Err(Refused { draft, permit, found, epoch: position.epoch });
        }
        log.append(Frame::published(draft.finish(id_of(&text)), Some(permit), created_at), expires);
        if let Some(end) = end {
            log.end(end);
        }
        Ok(position)
    })
}

/// The frames of events that stand side by side from `first` on; not charged yet.
fn encode(events: &[Event], first: Position, created_at: Duration) -> Vec<Frame> {
    let positions = Positions::new(first, events.len());
    ENCODER.with_borrow_mut(|encoder| {
        let frames = events.iter().zip(positions.iter()).map(|(event, position)| {
            let text = position.text();
            let chunk = encoder.event(&event.event_type, &event.data).finish(id_of(&text));
            Frame::published(chunk, None, created_at)
        });
        frames.collect()
    })
}
