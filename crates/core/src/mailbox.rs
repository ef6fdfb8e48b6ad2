//! What a publisher and a pump do at their shared edge: the order of a few steps on which it depends that no
//! news is slept over. The hub's threads and the model checker call these very functions.
//!
//! A publisher appends first, then marks the session, pushes it, and wakes a reader that sleeps ([`announce`],
//! [`DirtyQueue::send`]). A pump announces that it sleeps, looks once more ([`DirtyQueue::wait`]), takes what is
//! there, and makes each session clean before it reads its log ([`read_news`]). Knows no thread and no poll:
//! waking and sleeping are arguments.

use std::sync::Arc as StdArc;

use atomic_waker::AtomicWaker;

use crate::dirty::DirtyQueue;
use crate::session::{Session, TaskSubscriber};

impl<T> DirtyQueue<T> {
    /// Hands an item over, and wakes the reader if it sleeps.
    pub fn send(&self, item: T, wake: impl FnOnce()) {
        if self.push(item) {
            wake();
        }
    }

    /// One wait of the reader. `wait` is told whether it may sleep: not while the reader has work of its own
    /// (`is_busy`), nor when something has come in meanwhile. Drain the queue after it, not before.
    pub fn wait<R>(&self, is_busy: bool, wait: impl FnOnce(bool) -> R) -> R {
        let may_sleep = !is_busy && self.park();
        let waited = wait(may_sleep);
        self.unpark();
        waited
    }
}

/// Tells each shard that reads `session` that it has news: `send` gets the indices of those that do not know
/// yet. Call after the event is in the log.
pub fn announce(session: &Session, mut send: impl FnMut(usize)) {
    for (shard, slot) in session.slots().iter().enumerate() {
        let is_wanted = slot.group().is_some() || (shard == session.home() && session.has_tasks());
        if is_wanted && slot.mark() {
            send(shard);
        }
    }
}

/// Runs `read` on a session that was queued for `shard`. It is clean before it is read: whatever is published
/// from then on queues it again.
pub fn read_news<R>(session: &Session, shard: usize, read: impl FnOnce(&Session) -> R) -> R {
    session.slot(shard).clear();
    read(session)
}

/// Wakes the subscribers that are tasks. `scratch` is kept between calls and left empty.
pub fn wake_tasks(session: &Session, scratch: &mut Vec<StdArc<TaskSubscriber>>) {
    if session.has_tasks() {
        session.tasks(scratch);
        scratch.drain(..).for_each(|task| task.waker().wake());
    }
}

/// Wakes the publishers that wait for the readers. `scratch` is kept between calls and left empty.
pub fn wake_paced(session: &Session, scratch: &mut Vec<StdArc<AtomicWaker>>) {
    if session.has_paced() {
        session.paced(scratch);
        scratch.drain(..).for_each(|waker| waker.wake());
    }
}
