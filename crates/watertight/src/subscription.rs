//! A subscription: the guard that holds a cursor. Dropping it gives everything back.
//!
//! It can be read in two ways: as a Rust `Stream` (a task, woken by the pump), or handed to a pump together
//! with a socket. There is no queue in either: what has not been read stays in the log.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use watertight_core::log::ReadLimit;
use watertight_core::{
    CloseReason, Cursor, Entry, Gap, Permit, Piece, Policy, Position, Session, TaskSubscriber, Tick,
};

use crate::event::{Message, Received};
use crate::hub::{Hub, HubState};
use crate::shard::ConnectionId;

/// Membership in a session: counted in when made, counted out when dropped.
#[derive(Debug)]
pub(crate) struct Membership {
    session: Arc<Session>,
    inner: Arc<HubState>,
    /// Set once the newcomer is admitted; given back with the membership.
    _admission: Option<(Entry, Permit)>,
}

impl Membership {
    /// Takes over the count that `Registry::get_or_create(join)` made.
    pub(crate) fn new(inner: &Arc<HubState>, joined: Arc<Session>) -> Membership {
        Membership { session: joined, inner: Arc::clone(inner), _admission: None }
    }

    pub(crate) fn admitted(mut self, entry: Entry, permit: Permit) -> Membership {
        self._admission = Some((entry, permit));
        self
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.session.leave(self.inner.clock.now());
    }
}

/// What a subscription lives under.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(crate) kind: &'static str,
    pub(crate) user: Option<Arc<str>>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) token_expiry: Tick,
}

/// A subscriber that is a task, as listings see it and operators close it.
#[derive(Debug)]
pub(crate) struct TaskRecord {
    subscriber: Arc<TaskSubscriber>,
    session: Arc<Session>,
    pub(crate) terms: Terms,
    pub(crate) started: Tick,
    pub(crate) generation: u64,
    pub(crate) sent: std::sync::atomic::AtomicU64,
}

impl TaskRecord {
    /// Closes it; `true` if it was open.
    pub(crate) fn close(&self, reason: CloseReason) -> bool {
        let index = CloseReason::ALL.iter().position(|known| *known == reason).unwrap_or(0);
        self.subscriber.close(u32::try_from(index).unwrap_or(0))
    }

    pub(crate) fn closed(&self) -> Option<CloseReason> {
        let index = usize::try_from(self.subscriber.closed()?).ok()?;
        CloseReason::ALL.get(index).copied()
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    pub(crate) fn position(&self) -> u64 {
        self.subscriber.position()
    }

    /// Whether there has been something to read for `deadline` and it was not read. On a silent session that is
    /// the opening, or a heartbeat.
    pub(crate) fn is_stalled(&self, now: Tick, deadline: std::time::Duration) -> bool {
        let waits = self.session.head() > self.position() || self.closed().is_some();
        let since = now.since(self.last_progress());
        since > if waits { deadline } else { self.terms.policy.heartbeat + deadline }
    }

    pub(crate) fn last_progress(&self) -> Tick {
        self.subscriber.last_progress()
    }
}

/// Registers a task subscriber with its session and with the hub's listing; dropping it takes both back.
#[derive(Debug)]
struct TaskGuard {
    inner: Arc<HubState>,
    record: Arc<TaskRecord>,
    session_key: usize,
    listing_key: usize,
}

impl TaskGuard {
    fn id(&self) -> ConnectionId {
        let slot = u32::try_from(self.listing_key).unwrap_or(u32::MAX);
        ConnectionId { shard: None, slot, generation: self.record.generation }
    }

    fn register(inner: &Arc<HubState>, session: &Arc<Session>, cursor: Cursor, terms: &Terms) -> TaskGuard {
        let now = inner.clock.now();
        let subscriber = TaskSubscriber::new(cursor.next, now);
        let session_key = session.add_task(Arc::clone(&subscriber));
        let record = Arc::new(TaskRecord {
            subscriber,
            session: Arc::clone(session),
            terms: terms.clone(),
            started: now,
            generation: inner.next_generation(),
            sent: std::sync::atomic::AtomicU64::new(0),
        });
        let listing_key = inner.tasks.lock().insert(Arc::clone(&record));
        TaskGuard { inner: Arc::clone(inner), record, session_key, listing_key }
    }
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        let record = &self.record;
        tracing::info!(
            target: "watertight::connection",
            connection = %self.id(),
            kind = record.terms.kind,
            user = record.terms.user.as_deref().unwrap_or("-"),
            session = record.session.name().as_str(),
            duration_ms = self.inner.clock.now().since(record.started).as_millis() as u64,
            sent = record.sent.load(Ordering::Relaxed),
            errors = 0,
            validations = 0,
            reason = record.closed().map_or("PEER_CLOSED", CloseReason::code),
            "connection closed"
        );
        self.record.session.remove_task(self.session_key);
        let mut tasks = self.inner.tasks.lock();
        tasks.try_remove(self.listing_key);
        if tasks.is_empty() {
            tasks.shrink_to_fit();
        }
    }
}

/// A cursor in a session's log, and the right to read on.
///
/// As a [`Stream`] it yields [`Message`]s and ends after [`Message::Closed`]. Dropping it at any point gives
/// the cursor, its counts and its bytes back. One that is not polled costs nothing but its place; what it
/// misses meanwhile becomes a gap.
#[derive(Debug)]
pub struct Subscription {
    /// Before the membership: a task is taken out before the subscriber is counted out.
    task: Option<TaskGuard>,
    membership: Membership,
    cursor: Cursor,
    start: Position,
    /// What was missed before the first event; told first.
    gap: Option<Gap>,
    /// An event that a gap came before.
    held: Option<Piece>,
    terms: Terms,
    ended: bool,
    hub: Hub,
}

/// What a subscription consists of when a pump takes it over.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) membership: Membership,
    pub(crate) cursor: Cursor,
    pub(crate) start: Position,
    pub(crate) gap: Option<Gap>,
    pub(crate) terms: Terms,
}

impl Subscription {
    pub(crate) fn new(
        hub: Hub,
        membership: Membership,
        cursor: Cursor,
        start: Position,
        gap: Option<Gap>,
        terms: Terms,
    ) -> Subscription {
        Subscription { task: None, membership, cursor, start, gap, held: None, terms, ended: false, hub }
    }

    /// The session that is read.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        self.membership.session()
    }

    /// The position at which reading began; resuming from it repeats everything.
    #[must_use]
    pub fn start(&self) -> Position {
        self.start
    }

    /// What was missed before the first event, if it has not been read yet.
    #[must_use]
    pub fn gap(&self) -> Option<&Gap> {
        self.gap.as_ref()
    }

    /// The position after what was read last; resuming from it repeats nothing.
    #[must_use]
    pub fn position(&self) -> Position {
        let read = match self.held {
            Some(Piece::Event(sequence, _)) => sequence - 1,
            _ => self.cursor.next - 1,
        };
        Position { epoch: self.start.epoch, sequence: read }
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    pub(crate) fn policy(&self) -> &Arc<Policy> {
        &self.terms.policy
    }

    pub(crate) fn token_expiry(&self) -> Tick {
        self.terms.token_expiry
    }

    /// Takes it apart for a pump. Only before it was read as a task.
    pub(crate) fn into_parts(self) -> Parts {
        debug_assert!(self.task.is_none(), "a subscription is read in one way only");
        Parts {
            membership: self.membership,
            cursor: self.cursor,
            start: self.start,
            gap: self.gap,
            terms: self.terms,
        }
    }

    /// Its record as a task: registered with the session and in the listing from here on.
    pub(crate) fn record(&mut self) -> &Arc<TaskRecord> {
        let (inner, session) = (&self.hub.inner, self.membership.session());
        let register = || TaskGuard::register(inner, session, self.cursor, &self.terms);
        &self.task.get_or_insert_with(register).record
    }

    /// What comes next, without decoding it. `None` after the end. Never waits longer than for the next
    /// event; dropping the caller's future loses nothing.
    ///
    /// # Errors
    /// Why the hub ends the subscription.
    pub fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Piece, CloseReason>> {
        if let Some(gap) = self.gap.take() {
            return Poll::Ready(Ok(Piece::Gap(gap)));
        }
        self.record();
        let Some(task) = &self.task else { return Poll::Pending };
        let inner = &self.hub.inner;
        let session = self.membership.session();
        // Register before looking: news that comes in between wakes us.
        task.record.subscriber.waker().register(context.waker());
        let stopping = inner.is_stopping().then_some(CloseReason::ShuttingDown);
        if let Some(reason) = task.record.closed().or(stopping) {
            return Poll::Ready(Err(reason));
        }
        let now = inner.clock.now();
        let mut piece = self.held.take();
        if piece.is_none() {
            let (held, cursor) = (&mut self.held, &mut self.cursor);
            let one = ReadLimit { events: 1, bytes: usize::MAX };
            let ended = session.with_log(|log| {
                log.read(cursor, now, one, |read| {
                    if piece.is_none() { piece = Some(read) } else { *held = Some(read) }
                });
                log.ended()
            });
            if piece.is_none() && ended {
                return Poll::Ready(Err(CloseReason::SessionEnded));
            }
        }
        task.record.subscriber.progress(self.cursor.next, now);
        match piece {
            Some(piece) => {
                let is_event = matches!(piece, Piece::Event(..));
                task.record.sent.fetch_add(u64::from(is_event), Ordering::Relaxed);
                inner.counters.note_delivered(&piece);
                Poll::Ready(Ok(piece))
            }
            None => Poll::Pending,
        }
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
