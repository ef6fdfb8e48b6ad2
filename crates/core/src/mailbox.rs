//! How a publisher notifies a pump. No notification is lost only if both do a few steps in the right order; those
//! steps are here, and the hub's threads and the model checker call the same functions.
//!
//! A publisher appends first, then marks the session, pushes it, and wakes a reader that sleeps ([`announce`],
//! [`DirtyQueue::send`]). A pump announces that it sleeps, looks once more ([`DirtyQueue::wait`]), takes what is
//! there, and makes each session clean before it reads its log ([`read_news`]). Where nobody is at work, the publisher
//! may do a pump's work itself (`workplace.rs`). Knows no thread and no poll: waking and sleeping are arguments.

use std::sync::Arc as StdArc;

use atomic_waker::AtomicWaker;

use crate::dirty::DirtyQueue;
use crate::session::{Session, TaskSubscriber};
use crate::time::Tick;

impl<T> DirtyQueue<T> {
    /// Hands an item over, and wakes the reader if it sleeps.
    pub fn send(&self, item: T, wake: impl FnOnce()) {
        if self.push(item) {
            wake();
        }
    }

    /// One wait of the reader. `wait` is told whether it may sleep: not while the reader has work of its own
    /// (`is_busy`, which is asked after the reader has announced its sleep), nor when something has come in meanwhile.
    /// Drain the queue after it, not before.
    pub fn wait<R>(&self, is_busy: impl FnOnce() -> bool, wait: impl FnOnce(bool) -> R) -> R {
        let may_sleep = self.park_unless(is_busy);
        let waited = wait(may_sleep);
        self.unpark();
        waited
    }
}

/// Tells each shard that reads `session` that it has news. `deliver` is asked first, for those that do not know yet:
/// `true` means that the news needs no pump any more. Otherwise `send` gets the shard. `home` says which shard looks
/// after the session's tasks. Call after the event is in the log.
pub fn announce(
    session: &Session,
    home: impl FnOnce() -> Option<usize>,
    mut deliver: impl FnMut(usize) -> bool,
    mut send: impl FnMut(usize),
) {
    let home = if session.has_tasks() { home() } else { None };
    for (shard, view) in session.views().iter().enumerate() {
        let has_sockets = view.group().is_some();
        let is_home = home == Some(shard);
        // Whoever takes a marked session makes it clean first, and reads the log after.
        if !(has_sockets || is_home) || view.is_marked() {
            continue;
        }
        let is_delivered = has_sockets && !is_home && deliver(shard);
        if !is_delivered && view.mark() {
            send(shard);
        }
    }
}

/// Runs `read` on a session that was queued for `shard`. It is clean before it is read: whatever is published
/// from then on queues it again.
pub fn read_news<R>(session: &Session, shard: usize, read: impl FnOnce(&Session) -> R) -> R {
    session.view(shard).clear();
    read(session)
}

/// Wakes the subscribers that are tasks: something waits for them since `now`. `scratch` is kept between calls and
/// left empty.
pub fn wake_tasks(session: &Session, now: Tick, scratch: &mut Vec<StdArc<TaskSubscriber>>) {
    if session.has_tasks() {
        session.tasks(scratch);
        scratch.drain(..).for_each(|task| task.offer(now));
        give_back(scratch);
    }
}

/// Wakes the publishers that wait for the readers. `scratch` is kept between calls and left empty.
pub fn wake_paced(session: &Session, scratch: &mut Vec<StdArc<AtomicWaker>>) {
    if session.has_paced() {
        session.paced(scratch);
        scratch.drain(..).for_each(|waker| waker.wake());
        give_back(scratch);
    }
}

/// Scratch space keeps no more capacity than a few subscribers need.
fn give_back<T>(scratch: &mut Vec<T>) {
    const KEPT: usize = 1024;
    if scratch.capacity() > KEPT {
        scratch.shrink_to(KEPT / 2);
    }
}
