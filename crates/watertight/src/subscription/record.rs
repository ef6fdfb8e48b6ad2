//! The record of a stream that no pump has: its life, what it holds, and the one way out.
//!
//! It is shared by the task that reads, the keeper that fires its timer, listings, and operators. Whichever of
//! them ends it gives everything back at once, even while its reader does not poll.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use watertight_core::{CloseReason, Delivery, Due, End, Finish, Life, Session, TaskSubscriber, Tick};

use super::{Holdings, report_end};
use crate::hub::HubState;
use crate::shard::{ConnectionId, ConnectionInfo};

/// One stream without a socket of its own.
#[derive(Debug)]
pub(crate) struct TaskRecord {
    hub: Arc<HubState>,
    session: Arc<Session>,
    pub(crate) subscriber: Arc<TaskSubscriber>,
    /// Tells it from every other connection of this hub.
    number: u64,
    /// Its number in the hub's table of tasks; written under the table's lock only.
    pub(crate) key: AtomicU32,
    /// The instant that its timer is armed to, at the latest; so it is moved only where it must fire earlier.
    armed_at: AtomicU64,
    /// `None` once it has ended or a pump has taken it over: everything was given back or handed over.
    open: Mutex<Option<Open>>,
    /// How it ended.
    outcome: OnceLock<End>,
    /// Told when it has ended.
    over: Notify,
}

#[derive(Debug)]
struct Open {
    life: Life,
    holdings: Holdings,
    /// A heartbeat is due and not yet taken.
    beat: bool,
    /// Whether publishers and pumps see it as a reader of the session.
    is_reading: bool,
    /// Its deadline was prolonged since it last came to read.
    is_prolonged: bool,
}

/// What a reader is to do next.
#[derive(Debug)]
pub(crate) enum Turn {
    /// Read the log, then say what came of it.
    Read,
    /// It is over: tell the reader why.
    Closed(CloseReason),
}

impl TaskRecord {
    /// Opens the record and puts it into the hub's table.
    pub(crate) fn open(
        hub: &Arc<HubState>,
        session: &Arc<Session>,
        next: u64,
        life: Life,
        holdings: Holdings,
    ) -> Arc<TaskRecord> {
        let at = look_at(&life, hub.clock.now());
        let record = Arc::new(TaskRecord {
            hub: Arc::clone(hub),
            session: Arc::clone(session),
            subscriber: TaskSubscriber::new(next, hub.clock.now()),
            number: hub.next_number(),
            key: AtomicU32::new(u32::MAX),
            armed_at: AtomicU64::new(at.0),
            open: Mutex::new(Some(Open {
                life,
                holdings,
                beat: false,
                is_reading: false,
                is_prolonged: false,
            })),
            outcome: OnceLock::new(),
            over: Notify::new(),
        });
        hub.tasks.insert(&record, at);
        record
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn id(&self) -> ConnectionId {
        ConnectionId { shard: None, number: self.number }
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Completes when it has ended, with how.
    pub(crate) async fn ended(&self) -> End {
        loop {
            let mut over = std::pin::pin!(self.over.notified());
            // Listens before it looks: an end in between is not missed.
            over.as_mut().enable();
            if let Some(end) = self.outcome.get() {
                return *end;
            }
            over.await;
        }
    }

    /// Another delivery takes it over.
    pub(crate) fn deliver_by(&self, delivery: Delivery) {
        self.with_life(|life| life.deliver_by(delivery));
        self.rearm();
    }

    /// The life, brought up to date with what pumps noted; `None` once it is over here.
    pub(crate) fn with_life<R>(&self, with: impl FnOnce(&mut Life) -> R) -> Option<R> {
        let mut open = self.open.lock();
        let open = open.as_mut()?;
        open.hear(&self.subscriber);
        Some(with(&mut open.life))
    }

    /// Publishers and pumps see it as a reader of the session from here on, although it has not looked yet.
    pub(crate) fn start_reading(&self) {
        if let Some(open) = self.open.lock().as_mut() {
            open.start_reading(self);
        }
    }

    /// Begins a look at the log.
    pub(crate) fn begin_read(&self) -> Turn {
        let now = self.hub.clock.now();
        let due = {
            let mut open = self.open.lock();
            let Some(open) = open.as_mut() else { return Turn::Closed(self.reason_of_end()) };
            open.start_reading(self);
            open.hear(&self.subscriber);
            // The reader has come to read, so nothing counts as offered any more; what it does not take is
            // offered anew.
            self.subscriber.takes();
            open.life.has_room();
            open.is_prolonged = false;
            match open.life.due(now) {
                Due::Heartbeat => {
                    open.beat = true;
                    Due::Wait(open.life.next())
                }
                due => due,
            }
        };
        self.act(due);
        match self.with_life(|life| life.closing()) {
            Some(None) => Turn::Read,
            Some(Some(reason)) => {
                self.with_life(Life::told);
                self.end(End::Closed(reason));
                Turn::Closed(reason)
            }
            None => Turn::Closed(self.reason_of_end()),
        }
    }

    /// The reader took so many events, and perhaps gaps, and stands at `next`; `more`: there is more to read.
    pub(crate) fn took(&self, next: u64, more: bool, events: u64) {
        let now = self.hub.clock.now();
        self.subscriber.progress(next, more, now);
        if let Some(open) = self.open.lock().as_mut() {
            open.life.wrote(now, more);
            open.life.sent(events);
            open.beat = false;
        }
    }

    /// The reader has read what there is. `Some`: that was all there will ever be.
    pub(crate) fn caught_up(&self, next: u64, session_ended: bool) -> Option<CloseReason> {
        let now = self.hub.clock.now();
        self.subscriber.progress(next, false, now);
        let closing = self.with_life(|life| {
            if session_ended {
                life.finish(Finish::after_log(CloseReason::SessionEnded));
            }
            life.caught_up(now).then(|| life.closing()).flatten()
        });
        let reason = closing.unwrap_or_else(|| Some(self.reason_of_end()))?;
        self.with_life(Life::told);
        self.end(End::Closed(reason));
        Some(reason)
    }

    /// Takes the heartbeat that is due, if one is.
    pub(crate) fn take_heartbeat(&self) -> bool {
        let now = self.hub.clock.now();
        let mut open = self.open.lock();
        let Some(open) = open.as_mut() else { return false };
        let beat = std::mem::take(&mut open.beat);
        if beat {
            open.life.wrote(now, false);
        }
        beat
    }

    /// Closes it; `true` if this reason stands.
    pub(crate) fn close(&self, reason: CloseReason) -> bool {
        let now = self.hub.clock.now();
        let stands = self.with_life(|life| life.close(now, reason)).unwrap_or(false);
        if stands {
            self.after_close();
        }
        stands
    }

    /// Its reader could not take what waits through no fault of its own: its deadline does not pass for so long, once until
    /// it comes to read again.
    pub(crate) fn prolong(&self, by: Duration) {
        let until = self.hub.clock.now().after(by);
        let mut open = self.open.lock();
        let Some(open) = open.as_mut() else { return };
        open.hear(&self.subscriber);
        // Whoever waits for nothing keeps it for when it does.
        if open.life.is_stalled() && !open.is_prolonged {
            open.is_prolonged = true;
            self.subscriber.offered_no_earlier(open.life.prolong(until));
        }
    }

    /// Closes it once it has read what there is.
    pub(crate) fn finish(&self, finish: Finish) {
        self.with_life(|life| life.finish(finish));
        self.rearm();
        self.subscriber.offer(self.hub.clock.now());
    }

    /// Fires its timer.
    pub(crate) fn fire(&self) {
        self.armed_at.store(u64::MAX, Ordering::SeqCst);
        let now = self.hub.clock.now();
        let Some(due) = self.with_life(|life| life.due(now)) else { return };
        self.act(due);
    }

    /// Looks whether its right still stands, if it has one.
    pub(crate) fn look_at_access(&self) {
        let now = self.hub.clock.now();
        let due = self.with_life(|life| life.access().is_some().then(|| life.due(now)));
        if let Some(due) = due.flatten() {
            self.act(due);
        }
    }

    fn act(&self, due: Due) {
        let now = self.hub.clock.now();
        match due {
            Due::Wait(_) => self.rearm(),
            Due::Heartbeat => {
                if let Some(open) = self.open.lock().as_mut() {
                    open.beat = true;
                }
                self.subscriber.offer(now);
                self.rearm();
            }
            Due::TryWrite => {
                self.subscriber.waker().wake();
                self.rearm();
            }
            Due::Close(_) => self.after_close(),
            Due::End(end) => self.end(end),
        }
    }

    /// It is closing: nothing is kept for it any more, and its reader is to take the closing event.
    fn after_close(&self) {
        self.subscriber.needs_nothing();
        match self.with_life(|life| life.ended()).flatten() {
            Some(end) => self.end(end),
            None => self.rearm(),
        }
        self.subscriber.offer(self.hub.clock.now());
    }

    /// Makes sure that the timer fires when something is due; it may fire earlier.
    fn rearm(&self) {
        let now = self.hub.clock.now();
        let Some(at) = self.with_life(|life| look_at(life, now)) else { return };
        if at.0 < self.armed_at.fetch_min(at.0, Ordering::SeqCst) {
            self.hub.tasks.arm(self, at);
        }
    }

    /// Why it is over here. The reader that dropped it, or handed it to a pump, does not ask.
    fn reason_of_end(&self) -> CloseReason {
        self.outcome.get().and_then(|end| end.reason()).unwrap_or(CloseReason::Disconnected)
    }

    /// Hands everything to a pump. `None`: it has ended meanwhile.
    pub(crate) fn take_over(&self) -> Option<(Life, Holdings)> {
        let mut open = self.open.lock().take()?;
        open.hear(&self.subscriber);
        self.hub.tasks.remove(self);
        if open.is_reading {
            self.session.remove_task(&self.subscriber);
        }
        Some((open.life, open.holdings))
    }

    /// The way out, taken once: out of the session, out of the table, into the log, and everything given back.
    pub(crate) fn end(&self, end: End) {
        let (open, end) = {
            let mut held = self.open.lock();
            let Some(mut open) = held.take() else { return };
            open.hear(&self.subscriber);
            open.life.end(end);
            let end = open.life.ended().unwrap_or(end);
            // Under the lock: whoever finds it over finds out how. Set once, by the one who took `open` out.
            let _ = self.outcome.set(end);
            (open, end)
        };
        self.hub.tasks.remove(self);
        if open.is_reading {
            self.session.remove_task(&self.subscriber);
        }
        self.hub.counters.note_end(end);
        report_end(self.id(), &self.session, &open.life, end, self.hub.clock.now());
        drop(open);
        self.over.notify_waiters();
        self.subscriber.waker().wake();
    }

    /// What operators see; `None` once it is over here.
    pub(crate) fn info(&self, now: Tick) -> Option<ConnectionInfo> {
        let lag = self.session.head().saturating_sub(self.subscriber.position());
        self.with_life(|life| ConnectionInfo::of(self.id(), &self.session, life, lag, now))
    }
}

/// When the timer is to fire: when something is due, and at the latest when the reader's deadline may have
/// passed, because pumps only note that something waits.
fn look_at(life: &Life, now: Tick) -> Tick {
    life.next().min(now.after(life.policy().patience(life.delivery())))
}

impl Open {
    fn start_reading(&mut self, record: &TaskRecord) {
        if !std::mem::replace(&mut self.is_reading, true) {
            record.session.add_task(Arc::clone(&record.subscriber));
            // Events published before this were not announced to it.
            if record.session.head() > record.subscriber.position() {
                record.subscriber.offer(record.hub.clock.now());
            }
        }
    }

    /// Tells the life what the pumps noted.
    fn hear(&mut self, subscriber: &TaskSubscriber) {
        let since = subscriber.offered_since();
        if since.is_set() {
            self.life.stalled(since);
        }
    }
}
