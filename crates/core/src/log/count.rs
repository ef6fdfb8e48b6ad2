//! How many events all logs of a hub hold: exact at every instant, because each log counts under its own lock.

use crate::sync::Arc;
use crate::sync::atomic::{AtomicUsize, Ordering};

/// Events held by all logs that count here.
#[derive(Debug, Default)]
pub struct EventCount(AtomicUsize);

impl EventCount {
    /// Events held now.
    #[must_use]
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// One log's part of the count; dropping it takes the part out.
#[derive(Debug, Default)]
pub(super) struct Counted {
    of: Option<Arc<EventCount>>,
    events: usize,
}

impl Counted {
    pub(super) fn among(of: Arc<EventCount>) -> Counted {
        Counted { of: Some(of), events: 0 }
    }

    /// Says how many events the log holds now, in one step: whoever looks never sees half a change.
    pub(super) fn set(&mut self, events: usize) {
        if let Some(of) = &self.of {
            if events >= self.events {
                of.0.fetch_add(events - self.events, Ordering::Relaxed);
            } else {
                of.0.fetch_sub(self.events - events, Ordering::Relaxed);
            }
        }
        self.events = events;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.set(0);
    }
}
