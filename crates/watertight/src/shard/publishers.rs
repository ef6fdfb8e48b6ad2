//! Publishers that wait for a session's readers: woken when those have come near, and from time to time, so that
//! a reader who stalls for good is noticed.

use std::sync::Arc;
use std::time::Duration;

use atomic_waker::AtomicWaker;
use watertight_core::{Session, Tick, mailbox};

use super::look::LOOK_EVERY;
use super::run::Shard;

/// How often a waiting publisher is woken although no reader has come nearer: it may have waited long enough.
const WAKE_EVERY: Duration = Duration::from_millis(250);

/// Sessions whose publishers wait. Bounded by the requests in flight.
#[derive(Debug, Default)]
pub(super) struct Publishers {
    sessions: Vec<Arc<Session>>,
    /// The session that is looked after next.
    at: usize,
    next: Tick,
    /// When all were last woken.
    woken: Tick,
    /// Scratch space.
    wakers: Vec<Arc<AtomicWaker>>,
}

impl Publishers {
    /// When somebody is to be looked after next.
    pub(super) fn next(&self) -> Option<Tick> {
        (!self.sessions.is_empty()).then_some(self.next)
    }

    /// Wakes those that wait for a session.
    fn wake(&mut self, session: &Session) {
        mailbox::wake_paced(session, &mut self.wakers);
    }
}

impl Shard {
    /// A publisher began to wait for this session's readers.
    pub(super) fn publisher_waits(&mut self, session: Arc<Session>) {
        if let Some(key) = session.view(self.index()).group() {
            self.want_look(key, 0);
        }
        self.readers_came_nearer(&session);
        if self.publishers.sessions.is_empty() {
            self.publishers.next = self.now.after(LOOK_EVERY);
        }
        self.publishers.sessions.push(session);
    }

    /// Wakes publishers that wait for this session's readers, if those are near enough by now.
    pub(super) fn readers_came_nearer(&mut self, session: &Session) {
        if session.has_paced() && session.is_near_enough(session.backlog(self.now)) {
            self.publishers.wake(session);
        }
    }

    /// Looks after up to `budget` sessions whose publishers wait.
    pub(super) fn look_after_publishers(&mut self, budget: usize) {
        if self.publishers.sessions.is_empty() || (self.hub.clock.runs() && self.now < self.publishers.next) {
            return;
        }
        // Since they were last looked after; not since long ago, when nobody waited.
        let every_ms = u64::try_from(LOOK_EVERY.as_millis()).unwrap_or(1);
        let late_ms = self.now.0.saturating_sub(self.publishers.next.0);
        let waited_ms = every_ms + late_ms.min(10 * every_ms);
        let wake_all = !self.hub.clock.runs() || self.now >= self.publishers.woken.after(WAKE_EVERY);
        for _ in 0..budget {
            let Some(session) = self.publishers.sessions.get(self.publishers.at).map(Arc::clone) else {
                break;
            };
            if let Some(key) = session.view(self.index()).group() {
                self.want_look(key, u32::try_from(waited_ms).unwrap_or(u32::MAX));
            }
            if wake_all {
                self.publishers.wake(&session);
            } else {
                self.readers_came_nearer(&session);
            }
            self.keep_or_let_go(&session);
        }
        if self.publishers.at >= self.publishers.sessions.len() {
            self.publishers.at = 0;
            self.publishers.next = self.now.after(LOOK_EVERY);
            if wake_all {
                self.publishers.woken = self.now;
            }
        }
    }

    /// Goes on to the next session; one whose publishers have gone is let go.
    fn keep_or_let_go(&mut self, session: &Arc<Session>) {
        if session.has_paced() {
            self.publishers.at += 1;
            return;
        }
        let view = session.view(self.index());
        view.end_paced();
        self.publishers.sessions.swap_remove(self.publishers.at);
        // One that came in between found the mark still set and sent nothing.
        if session.has_paced() && view.begin_paced() {
            self.publishers.sessions.push(Arc::clone(session));
        }
        if self.publishers.sessions.is_empty() {
            self.publishers.sessions.shrink_to(64);
        }
    }
}
