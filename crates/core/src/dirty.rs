//! How a publisher tells a pump that there is news: push, and wake only a pump that sleeps.
//!
//! The pump announces that it is about to sleep, looks once more, and only then sleeps; the publisher pushes
//! first and looks at the announcement after. One of the two always sees the other (loom checks it), so no
//! notification is lost, and a busy pump costs the publisher no system call.

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};

/// A queue from many to one sleeping reader. Its length is bounded by what can be dirty: each item guards
/// itself with a flag and stands in it at most once.
#[derive(Debug)]
pub struct DirtyQueue<T> {
    items: Mutex<Vec<T>>,
    parked: AtomicBool,
}

impl<T> Default for DirtyQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> DirtyQueue<T> {
    /// An empty queue whose reader is awake.
    #[must_use]
    pub fn new() -> Self {
        Self { items: Mutex::new(Vec::new()), parked: AtomicBool::new(false) }
    }

    /// Adds an item. `true`: the reader sleeps and the caller must wake it (only one caller is told so).
    #[must_use = "a sleeping reader must be woken"]
    pub fn push(&self, item: T) -> bool {
        self.items.lock().push(item);
        self.parked.swap(false, Ordering::SeqCst)
    }

    /// Adds an item and wakes nobody: for those who look at the queue themselves afterwards.
    pub fn add(&self, item: T) {
        self.items.lock().push(item);
    }

    /// Whether the reader sleeps and the caller must wake it (only one caller is told so).
    #[must_use = "a sleeping reader must be woken"]
    pub fn rouse(&self) -> bool {
        self.parked.swap(false, Ordering::SeqCst)
    }

    /// The item that came in last, if it is of a kind that the caller takes.
    pub fn take_last_if(&self, takes: impl FnOnce(&T) -> bool) -> Option<T> {
        let mut items = self.items.lock();
        items.last().is_some_and(takes).then(|| items.pop()).flatten()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.items.lock().is_empty()
    }

    /// Moves all items to `into`, oldest first, and leaves the capacity of `into` to the queue.
    pub fn drain(&self, into: &mut Vec<T>) {
        into.clear();
        std::mem::swap(&mut *self.items.lock(), into);
    }

    /// Announces sleep. `true`: nothing is waiting, the reader may sleep and will be woken by the next push.
    /// `false`: something came in; do not sleep.
    #[must_use = "the answer says whether it is safe to sleep"]
    pub fn park(&self) -> bool {
        self.park_unless(|| false)
    }

    /// The same for a reader with work of its own, at which it looks between the announcement and the queue: who changes
    /// that work and then finds a sleeper wakes it, as with the queue.
    #[must_use = "the answer says whether it is safe to sleep"]
    pub fn park_unless(&self, is_busy: impl FnOnce() -> bool) -> bool {
        self.parked.store(true, Ordering::SeqCst);
        if !is_busy() && self.is_empty() {
            return true;
        }
        self.parked.store(false, Ordering::SeqCst);
        false
    }

    /// Ends the sleep, however it came about. Call before looking at the queue.
    pub fn unpark(&self) {
        self.parked.store(false, Ordering::SeqCst);
    }
}
