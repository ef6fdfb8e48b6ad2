//! A place of work: a state that one thread at a time works on, and the queue of what is to be done there.
//!
//! It has an owner, a pump, which waits for its turn ([`Workplace::own`]), and visitors, publishers, which work only if
//! nobody else does ([`Workplace::visit`]). A visitor that finds somebody at work leaves its item in the queue and wakes
//! nobody ([`Workplace::leave`]): **whoever has worked looks at the queue before going away**. The owner does so before
//! it sleeps. A visitor does so after its turn; it does a few small items itself and wakes the owner for the rest.
//!
//! No item is forgotten: the item comes first and the look at the lock after, as the end of a turn comes first and the
//! look at the queue after, and both looks go through the queue's lock. A visitor never waits. While the owner waits for
//! its turn, no visitor begins one: the owner waits for one visitor's turn at most.

use crate::dirty::DirtyQueue;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};

/// Items of others that a visitor does before it leaves the rest to the owner.
const OF_OTHERS_MAX: usize = 4;

/// What a visitor's turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// The visitor's item needs nobody else.
    pub is_done: bool,
    /// The owner has something to do now, or a timer sooner than it knew.
    pub owner_is_needed: bool,
}

/// A state, its queue, and the rule by which threads take turns.
#[derive(Debug)]
pub struct Workplace<S, T> {
    state: Mutex<S>,
    owner_waits: AtomicBool,
    queue: DirtyQueue<T>,
}

impl<S, T> Workplace<S, T> {
    /// Nobody is at work, and nothing waits.
    #[must_use]
    pub fn new(state: S) -> Self {
        Self { state: Mutex::new(state), owner_waits: AtomicBool::new(false), queue: DirtyQueue::new() }
    }

    /// What is to be done here.
    pub fn queue(&self) -> &DirtyQueue<T> {
        &self.queue
    }

    /// The owner's turn: waits until whoever is at work has done.
    pub fn own<R>(&self, work: impl FnOnce(&mut S) -> R) -> R {
        self.owner_waits.store(true, Ordering::SeqCst);
        let mut state = self.state.lock();
        self.owner_waits.store(false, Ordering::SeqCst);
        work(&mut state)
    }

    /// Whether the owner waits for its turn: then no visitor begins one.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.owner_waits.load(Ordering::SeqCst)
    }

    /// One wait of the owner. `plan` looks at the state and says whether there is work in it, and how long the owner may
    /// sleep; `wait` gets `None` where it may not.
    pub fn wait<P, R>(&self, plan: impl FnOnce(&mut S) -> Option<P>, wait: impl FnOnce(Option<P>) -> R) -> R {
        let mut planned = None;
        // The queue last: a visitor that is turned away by this look at the state is seen by that one.
        let is_busy = || {
            planned = self.own(plan);
            planned.is_none()
        };
        let may_sleep = self.queue.park_unless(is_busy);
        let waited = wait(planned.filter(|_| may_sleep));
        self.queue.unpark();
        waited
    }

    /// A visitor's turn, if nobody is at work: `work`, then small items of others, one per call of `next`, which returns
    /// `None` where none is left that a visitor may do. `false`: the item is still to be done.
    pub fn visit(
        &self,
        work: impl FnOnce(&mut S) -> Visit,
        next: impl Fn(&mut S, &DirtyQueue<T>) -> Option<Visit>,
        wake: impl Fn(),
    ) -> bool {
        let Some(visit) = self.try_work(work) else { return false };
        if visit.owner_is_needed && self.queue.rouse() {
            wake();
        }
        self.look_after(next, wake);
        visit.is_done
    }

    /// Leaves an item to whoever is at work; where nobody is, to the owner.
    pub fn leave(&self, item: T, next: impl Fn(&mut S, &DirtyQueue<T>) -> Option<Visit>, wake: impl Fn()) {
        self.queue.add(item);
        self.look_after(next, wake);
    }

    fn try_work<R>(&self, work: impl FnOnce(&mut S) -> R) -> Option<R> {
        if self.is_awaited() {
            return None;
        }
        self.state.try_lock().map(|mut state| work(&mut state))
    }

    /// What whoever has worked owes.
    fn look_after(&self, next: impl Fn(&mut S, &DirtyQueue<T>) -> Option<Visit>, wake: impl Fn()) {
        for _ in 0..OF_OTHERS_MAX {
            if self.queue.is_empty() {
                return;
            }
            // Somebody is at work, and owes the same.
            let Some(visit) = self.try_work(|state| next(state, &self.queue)) else { return };
            let Some(visit) = visit else { break };
            if visit.owner_is_needed && self.queue.rouse() {
                wake();
            }
        }
        if !self.queue.is_empty() && self.queue.rouse() {
            wake();
        }
    }
}
