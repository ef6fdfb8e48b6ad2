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

    /// Moves all items to `into`, oldest first, and leaves the capacity of `into` to the queue.
    pub fn drain(&self, into: &mut Vec<T>) {
        into.clear();
        std::mem::swap(&mut *self.items.lock(), into);
    }

    /// Announces sleep. `true`: nothing is waiting, the reader may sleep and will be woken by the next push.
    /// `false`: something came in; do not sleep.
    #[must_use = "the answer says whether it is safe to sleep"]
    pub fn park(&self) -> bool {
        self.parked.store(true, Ordering::SeqCst);
        if self.items.lock().is_empty() {
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
