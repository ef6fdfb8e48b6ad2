//! What a publisher does at a shard itself, while the shard's pump does not work.
//!
//! Waking a pump costs more than writing to a few sockets. So a publisher that finds nobody at work
//! (`watertight_core::Workplace`) runs the slice of a pass that the pump would have run, if that is little: a small
//! group, few bytes, a bounded time. It writes to sockets that have nothing of their own in the way, and nothing else:
//! blocked sockets, replays, closings, timers and sockets that fail are the pump's, which is woken where there is
//! something for it to do. Order and wholeness of frames follow from the rule that one thread at a time works on a shard.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tracing::error;
use watertight_core::log::ReadLimit;
use watertight_core::{DirtyQueue, Session, Visit, mailbox};

use super::pass::{Share, Slice};
use super::run::Shard;
use super::{ShardHandle, Work};

/// Sockets of a group up to which a publisher delivers.
const INLINE_MEMBERS: usize = 16;
/// Bytes that a publisher writes in all. Copying more into sockets takes longer than waking a pump.
const INLINE_BYTES: usize = 64 * 1024;
/// Events that a publisher reads from the log.
const INLINE_EVENTS: usize = 64;
/// How long a publisher writes before it leaves the rest of the group to the pump.
const INLINE_TIME: Duration = Duration::from_micros(200);

const NOT_DONE: Visit = Visit { is_done: false, owner_is_needed: false };

type State = Option<Box<Shard>>;

impl ShardHandle {
    /// Delivers what is new in `session` to its sockets here, if nobody is at work and it is little. `false`: somebody
    /// must be told of it.
    pub(crate) fn deliver_now(&self, session: &Arc<Session>) -> bool {
        self.work.visit(
            |state| self.visit(state, session),
            |state, queue| self.take_news(state, queue),
            || self.wake(),
        )
    }

    /// Tells whoever is at work, or the pump, of news in `session`, which is marked.
    pub(crate) fn leave_news(&self, session: &Arc<Session>) {
        let news = Work::Dirty(Arc::clone(session));
        self.work.leave(news, |state, queue| self.take_news(state, queue), || self.wake());
        if self.is_lost() {
            self.let_go_of_work();
        }
    }

    /// The news of another publisher that came last, if it is that.
    fn take_news(&self, state: &mut State, queue: &DirtyQueue<Work>) -> Option<Visit> {
        // Without a state there is nobody to do it.
        state.as_ref().filter(|shard| shard.takes_visitors())?;
        let Work::Dirty(session) = queue.take_last_if(|work| matches!(work, Work::Dirty(_)))? else {
            return None;
        };
        // It is clean before it is looked at: whoever comes later marks it again. Tasks are woken by their home.
        let visit = mailbox::read_news(&session, self.index, |session| match session.has_tasks() {
            true => NOT_DONE,
            false => self.visit(state, session),
        });
        if visit.is_done {
            return Some(visit);
        }
        // Marked meanwhile, it is in the queue, or comes into it.
        if session.view(self.index).mark() {
            queue.add(Work::Dirty(session));
        }
        None
    }

    fn visit(&self, state: &mut State, session: &Session) -> Visit {
        let Some(shard) = state.as_mut().filter(|shard| shard.takes_visitors()) else { return NOT_DONE };
        let visited = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(feature = "testing")]
            self.injected.may_panic();
            shard.deliver_small(session, self.patience())
        }));
        visited.unwrap_or_else(|_| {
            error!(shard = self.index, "a publisher panicked while it delivered");
            shard.is_broken = true;
            Visit { is_done: false, owner_is_needed: true }
        })
    }

    /// How long a publisher writes.
    fn patience(&self) -> Duration {
        #[cfg(feature = "testing")]
        if self.injected.is_in_a_hurry() {
            return Duration::ZERO;
        }
        INLINE_TIME
    }
}

impl Shard {
    /// Whether publishers may work here now.
    fn takes_visitors(&self) -> bool {
        !self.is_broken && self.failed.is_empty()
    }

    fn deliver_small(&mut self, session: &Session, patience: Duration) -> Visit {
        let Some(key) = session.view(self.index()).group() else {
            return Visit { is_done: true, owner_is_needed: false };
        };
        self.groups.prefetch(key);
        let Some(group) = self.groups.get_mut(key) else { return NOT_DONE };
        if group.members.len() > INLINE_MEMBERS || group.at > 0 {
            return NOT_DONE;
        }
        group.members.iter().for_each(|slot| self.sockets.prefetch(*slot));
        // One socket is written to whatever it takes.
        let has_several = group.members.len() > 1;
        self.now = self.hub.clock.now();
        let share = Share {
            sockets: INLINE_MEMBERS,
            batch: ReadLimit { events: INLINE_EVENTS, bytes: INLINE_BYTES },
            bytes: INLINE_BYTES,
            until: has_several.then(|| self.hub.clock.elapsed() + patience),
        };
        match self.run_slice(key, share) {
            Slice::TooMuch => NOT_DONE,
            Slice::LookedAt(_) => Visit { is_done: true, owner_is_needed: self.needs_its_pump() },
        }
    }
}
