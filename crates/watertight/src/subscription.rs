//! A subscription: the guard that holds a cursor. Dropping it gives everything back.
//!
//! It can be read in two ways: as a task (a Rust `Stream`, a body, a long-poll; woken by the pump), or handed to
//! a pump together with a socket. There is no queue in either: what has not been read stays in the log. What
//! ends it is decided by its one [`Life`], from the subscribe to the end.

mod record;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use watertight_core::log::ReadLimit;
use watertight_core::{
    CloseReason, Cursor, Delivery, End, Entry, Gap, Life, Permit, Piece, Position, Session, Tick,
};

pub(crate) use self::record::TaskRecord;
use self::record::Turn;
use crate::event::{Message, Received};
use crate::hub::{Hub, HubState};
use crate::shard::ConnectionId;
use crate::source::SourceNews;

/// Membership in a session: counted in when made, counted out when dropped.
#[derive(Debug)]
pub(crate) struct Membership {
    session: Arc<Session>,
    hub: Arc<HubState>,
}

impl Membership {
    /// Takes over the count that `Registry::get_or_create(join)` made.
    pub(crate) fn new(hub: &Arc<HubState>, joined: Arc<Session>) -> Membership {
        Membership { session: joined, hub: Arc::clone(hub) }
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.session.leave(self.hub.clock.now());
    }
}

/// What a stream holds for as long as it lives, whoever delivers it. Given back in this order when it is dropped.
#[derive(Debug)]
pub(crate) struct Holdings {
    pub(crate) _permit: Permit,
    pub(crate) membership: Membership,
    /// Counted as a timer and as a subscription. Last: what the ledger calls closed is charged no more.
    pub(crate) _entry: Entry,
}

/// The one line that tells of a stream's end, whatever delivered it.
pub(crate) fn report_end(id: ConnectionId, session: &Session, life: &Life, end: End, now: Tick) {
    let state = life.state();
    tracing::info!(
        target: "watertight::connection",
        connection = %id,
        kind = life.policy().kind,
        delivery = life.delivery().name(),
        user = life.user().map_or("-", |user| &**user),
        session = session.name().as_str(),
        duration_ms = now.since(state.started).as_millis() as u64,
        sent = state.sent,
        received = state.received,
        errors = life.errors(session.source_errors()),
        validations = life.validations(),
        reason = end.name(),
        "connection closed"
    );
}

/// A cursor in a session's log, and the right to read on.
///
/// As a [`Stream`] it yields [`Message`]s and ends after [`Message::Closed`]. Dropping it at any point gives
/// the cursor, its counts and its bytes back; so does whatever ends it meanwhile (age, token, operator, the
/// hub's stop), read or not. What it misses while it is not read becomes a gap.
#[derive(Debug)]
pub struct Subscription {
    record: Arc<TaskRecord>,
    /// How its end is called if it is dropped before the hub ends it.
    end_if_dropped: End,
    cursor: Cursor,
    start: Position,
    /// What was missed before the first event, and what a gap came before: told first.
    pending: VecDeque<Piece>,
    ended: bool,
    /// It had taken everything when it was read last: what comes next is taken as it comes.
    waits: bool,
    /// The version of what its reader was told of its source.
    told: u64,
    hub: Hub,
}

/// What a subscription consists of when a pump takes it over.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) life: Life,
    pub(crate) holdings: Holdings,
    pub(crate) number: u64,
    pub(crate) cursor: Cursor,
    pub(crate) start: Position,
    pub(crate) gaps: Vec<Gap>,
}

/// One step of reading as a task.
#[derive(Debug)]
pub(crate) enum Step {
    /// An event, or what is missing before the next.
    Piece(Piece),
    /// The line was silent: write a heartbeat.
    Heartbeat,
    /// Something became of its source.
    Source(SourceNews),
    /// The hub ends the stream; nothing follows.
    Closed(CloseReason),
}

impl Subscription {
    pub(crate) fn new(
        hub: Hub,
        life: Life,
        holdings: Holdings,
        (cursor, start): (Cursor, Position),
        gaps: Vec<Gap>,
    ) -> Subscription {
        let session = Arc::clone(holdings.membership.session());
        let record = TaskRecord::open(&hub.state, &session, cursor.next, life, holdings);
        Subscription {
            record,
            end_if_dropped: End::Dropped,
            cursor,
            start,
            pending: gaps.into_iter().map(Piece::Gap).collect(),
            ended: false,
            waits: false,
            told: 0,
            hub,
        }
    }

    /// Looks whether its right still stands.
    pub(crate) fn look_at_access(&self) {
        self.record.look_at_access();
    }

    /// The session that is read.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        self.record.session()
    }

    /// The position at which reading began; resuming from it repeats everything.
    #[must_use]
    pub fn start(&self) -> Position {
        self.start
    }

    /// What is missing before the next event and has not been read yet, oldest first: one gap for each reason.
    pub fn gaps(&self) -> impl Iterator<Item = &Gap> {
        self.pending.iter().filter_map(|piece| match piece {
            Piece::Gap(gap) => Some(gap),
            Piece::Event(..) => None,
        })
    }

    /// The position after what was read last; resuming from it repeats nothing.
    #[must_use]
    pub fn position(&self) -> Position {
        let read = match self.pending.front() {
            Some(Piece::Event(sequence, _)) => sequence - 1,
            // An id of another epoch, or one that is no id, is not a position in this log: that gap is over
            // once it is read.
            Some(Piece::Gap(gap)) => match gap.from.filter(|from| from.epoch == self.start.epoch) {
                Some(from) => from.sequence.saturating_sub(1),
                None => gap.to.sequence,
            },
            None => self.cursor.next - 1,
        };
        Position { epoch: self.start.epoch, sequence: read }
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Whether its source waits; its reader is told that from here on.
    pub(crate) fn source_waits(&mut self) -> bool {
        let attached = self.record.session().attached();
        let view = attached.map(|attached| attached.state().view()).unwrap_or_default();
        self.told = view.version;
        view.is_waiting
    }

    /// Its life as a task.
    pub(crate) fn record(&self) -> &Arc<TaskRecord> {
        &self.record
    }

    /// Says how it is delivered from here on, and how its end is called if it is dropped first.
    pub(crate) fn delivered_by(mut self, delivery: Delivery, end_if_dropped: End) -> Subscription {
        self.record.deliver_by(delivery);
        self.end_if_dropped = end_if_dropped;
        self
    }

    /// The same subscription as a long-poll's: whoever drops it before it is answered has left.
    #[must_use]
    pub fn for_poll(self) -> Subscription {
        self.delivered_by(Delivery::Poll, End::PeerClosed)
    }

    /// Ends a long-poll's subscription: it has its answer.
    pub fn answered(mut self) {
        self.end_if_dropped = End::Answered;
    }

    /// Takes it apart for a pump. `None`: it has ended meanwhile.
    pub(crate) fn into_parts(self) -> Option<Parts> {
        let (life, holdings) = self.record.take_over()?;
        Some(Parts {
            life,
            holdings,
            number: self.record.number(),
            cursor: self.cursor,
            start: self.start,
            gaps: self.gaps().copied().collect(),
        })
    }

    /// What comes next, without decoding it. Never waits longer than for the next event; dropping the caller's
    /// future loses nothing.
    pub(crate) fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<Step> {
        let (piece, more) = match self.look(context, ReadLimit { events: 1, bytes: usize::MAX }) {
            Ok(found) => found,
            Err(polled) => return polled,
        };
        self.note_taken(std::slice::from_ref(&piece), more);
        Poll::Ready(Step::Piece(piece))
    }

    /// Looks for what comes next: the first piece of it, the others up to `limit` in `pending`, and whether there is more
    /// behind that. `Err`: nothing of the log.
    fn look(&mut self, context: &mut Context<'_>, limit: ReadLimit) -> Result<(Piece, bool), Poll<Step>> {
        // Register before looking: what comes in between wakes us.
        self.record.subscriber.waker().register(context.waker());
        if let Turn::Closed(reason) = self.record.begin_read() {
            return Err(Poll::Ready(Step::Closed(reason)));
        }
        let mut session_ended = false;
        let mut more = !self.pending.is_empty();
        if self.pending.is_empty() {
            let (pending, cursor) = (&mut self.pending, &mut self.cursor);
            let now = self.hub.state.clock.now();
            (more, session_ended) = self.record.session().with_log(|log| {
                log.read(cursor, now, limit, |piece| pending.push_back(piece));
                (log.next() > cursor.next, log.ended())
            });
        }
        if let Some(piece) = self.pending.pop_front() {
            return Ok((piece, more));
        }
        if let Some(reason) = self.record.caught_up(self.cursor.next, session_ended) {
            return Err(Poll::Ready(Step::Closed(reason)));
        }
        if let Some(news) = SourceNews::since(self.record.session(), &mut self.told) {
            return Err(Poll::Ready(Step::Source(news)));
        }
        self.waits = true;
        Err(if self.record.take_heartbeat() { Poll::Ready(Step::Heartbeat) } else { Poll::Pending })
    }

    /// Its reader has taken these; `more`: there was more.
    fn note_taken(&mut self, taken: &[Piece], more: bool) {
        let next = self.position().sequence + 1;
        let events = taken.iter().filter(|piece| matches!(piece, Piece::Event(..))).count();
        self.record.took(next, more || !self.pending.is_empty(), events as u64);
        for piece in taken {
            let waited = std::mem::take(&mut self.waits);
            self.hub.state.counters.note_taken(piece, waited);
        }
        if more {
            let lag = self.record.session().head().saturating_sub(next);
            self.hub.state.counters.lag.note(lag, self.hub.state.clock.now());
        }
    }
}

impl Subscription {
    /// What comes next, without decoding it. Never waits longer than for the next event; dropping the caller's
    /// future loses nothing.
    ///
    /// # Errors
    /// Why the hub ends the subscription.
    pub fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Piece, CloseReason>> {
        loop {
            match ready!(self.poll_step(context)) {
                Step::Piece(piece) => return Poll::Ready(Ok(piece)),
                Step::Closed(reason) => return Poll::Ready(Err(reason)),
                // Only deliveries with a peer need heartbeats and comments. A broken source closes.
                Step::Heartbeat | Step::Source(_) => {}
            }
        }
    }

    /// All that comes next, up to `limit`, one at least: put behind what is in `taken`. As [`Subscription::poll_piece`], at a
    /// part of its price for each event: for a reader who takes everything that is there. What was taken counts as read.
    ///
    /// # Errors
    /// Why the hub ends the subscription.
    pub fn poll_pieces(
        &mut self,
        context: &mut Context<'_>,
        limit: ReadLimit,
        taken: &mut Vec<Piece>,
    ) -> Poll<Result<(), CloseReason>> {
        loop {
            match self.look(context, limit) {
                Ok((first, more)) => {
                    let before = taken.len();
                    taken.push(first);
                    // Gaps that came before the first event are in there alone: all of them fit.
                    taken.extend(self.pending.drain(..));
                    self.note_taken(&taken[before..], more);
                    return Poll::Ready(Ok(()));
                }
                Err(polled) => match ready!(polled) {
                    Step::Closed(reason) => return Poll::Ready(Err(reason)),
                    Step::Piece(_) | Step::Heartbeat | Step::Source(_) => {}
                },
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.record.end(self.end_if_dropped);
    }
}

impl Stream for Subscription {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        if self.ended {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(match ready!(self.poll_piece(context)) {
            Ok(Piece::Event(_, frame)) => Message::Event(Received::from_frame(&frame)),
            Ok(Piece::Gap(gap)) => Message::Gap(gap),
            Err(reason) => {
                self.ended = true;
                Message::Closed(reason)
            }
        }))
    }
}
