//! Whose turn it is: one request at a time to each session, in the order in which they were asked for, and so many in
//! all. Knows no request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as Queue, OwnedMutexGuard, Semaphore, SemaphorePermit};

/// The queues of a publisher. Holds nothing for a session that nobody waits for or sends to.
#[derive(Debug)]
pub(super) struct Turns {
    lanes: Mutex<HashMap<String, Lane>>,
    requests: Semaphore,
}

/// Those who want to send to one session.
#[derive(Debug, Default)]
struct Lane {
    /// First come, first served.
    queue: Arc<Queue<()>>,
    /// Who sends, and who waits; the lane goes with the last.
    users: usize,
}

/// The right to send one request. Given back when it is dropped.
#[derive(Debug)]
pub(super) struct TurnGuard<'t> {
    // In the order in which they are to be dropped: nobody may come to a new lane while this one is held.
    _request: Option<SemaphorePermit<'t>>,
    _queue: OwnedMutexGuard<()>,
    _entry: LaneEntry<'t>,
}

/// One user of a lane.
#[derive(Debug)]
struct LaneEntry<'t> {
    turns: &'t Turns,
    name: String,
}

impl Turns {
    pub(super) fn new(requests_max: usize) -> Self {
        Self { lanes: Mutex::default(), requests: Semaphore::new(requests_max) }
    }

    /// Waits for the turn in a lane, and then for one of the requests that may be under way. A lane whose first waits for
    /// the latter waits with it. Dropping the future leaves the queue.
    pub(super) async fn wait(&self, lane: &str) -> TurnGuard<'_> {
        let (queue, entry) = self.enter(lane);
        let queue = queue.lock_owned().await;
        // It is never closed.
        let request = self.requests.acquire().await.ok();
        TurnGuard { _request: request, _queue: queue, _entry: entry }
    }

    fn enter(&self, name: &str) -> (Arc<Queue<()>>, LaneEntry<'_>) {
        let mut lanes = self.lanes();
        let lane = lanes.entry(name.to_owned()).or_default();
        lane.users += 1;
        (Arc::clone(&lane.queue), LaneEntry { turns: self, name: name.to_owned() })
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<String, Lane>> {
        // Nothing panics while it is held.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LaneEntry<'_> {
    fn drop(&mut self) {
        let mut lanes = self.turns.lanes();
        if let Some(lane) = lanes.get_mut(&self.name) {
            lane.users -= 1;
            if lane.users == 0 {
                lanes.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn turns_of_a_session_come_in_order_and_sessions_do_not_wait_for_each_other() {
        let turns = Turns::new(2);
        let mut first = pin!(turns.wait("a"));
        let Poll::Ready(first) = poll(first.as_mut()) else { panic!("nobody is before it") };
        let (mut second, mut third) = (pin!(turns.wait("a")), pin!(turns.wait("a")));
        assert!(poll(second.as_mut()).is_pending() && poll(third.as_mut()).is_pending());
        let mut other = pin!(turns.wait("b"));
        let Poll::Ready(other) = poll(other.as_mut()) else { panic!("another session") };
        drop(first);
        assert!(poll(third.as_mut()).is_pending(), "the second was before it");
        let Poll::Ready(second) = poll(second.as_mut()) else { panic!("its turn") };
        drop(second);
        assert!(poll(third.as_mut()).is_ready());
        drop(other);
    }

    #[test]
    fn no_more_than_so_many_are_under_way() {
        let turns = Turns::new(1);
        let mut first = pin!(turns.wait("a"));
        let Poll::Ready(first) = poll(first.as_mut()) else { panic!("nobody is before it") };
        let mut second = pin!(turns.wait("b"));
        assert!(poll(second.as_mut()).is_pending());
        drop(first);
        assert!(poll(second.as_mut()).is_ready());
    }

    #[test]
    fn whoever_leaves_the_queue_leaves_nothing_behind() {
        let turns = Turns::new(1);
        {
            let mut first = pin!(turns.wait("a"));
            let Poll::Ready(_first) = poll(first.as_mut()) else { panic!("nobody is before it") };
            let (mut waits, mut permit) = (Box::pin(turns.wait("a")), Box::pin(turns.wait("b")));
            assert!(poll(waits.as_mut()).is_pending() && poll(permit.as_mut()).is_pending());
            assert_eq!(turns.lanes().len(), 2);
            drop((waits, permit));
            assert_eq!(turns.lanes().len(), 1);
        }
        assert!(turns.lanes().is_empty());
        assert_eq!(turns.requests.available_permits(), 1);
    }
}
