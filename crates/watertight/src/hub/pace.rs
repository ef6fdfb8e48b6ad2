//! Pacing: a publisher that outruns delivery is slowed, so that readers who keep reading never get a gap from
//! speed alone.
//!
//! A publisher waits until every subscriber that still reads is within half of `max_queue_size` of the head (or
//! of what the log holds, if its bytes are the closer limit).
//! A subscriber that takes nothing for a while no longer counts (one second for a socket that has never
//! read on after it was full, five for one that has), one that is slower than others who are level holds them
//! back for two seconds in all until it is level again, and no publisher waits longer than [`WAIT_MAX`]: that is
//! the most a stalled or trickling reader costs it. The pumps wake who waits.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use atomic_waker::AtomicWaker;
use watertight_core::Session;

use super::HubState;

/// How long one publish is held back at most.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Takes the publisher's waker out of the session again, whatever happens to the future.
struct PacedGuard<'a> {
    session: &'a Session,
    key: usize,
}

impl Drop for PacedGuard<'_> {
    fn drop(&mut self) {
        self.session.remove_paced(self.key);
    }
}

impl HubState {
    /// How far behind readers may be: by half of `max_queue_size`, or of what the log holds, where large events
    /// fill its bytes long before its slots.
    pub(crate) fn near(&self, session: &Session) -> u64 {
        let full = self.config.max_history_bytes_per_session / 2;
        let held = session.with_log(|log| if log.bytes() > full { log.events() } else { usize::MAX });
        u64::try_from(held.min(self.config.max_queue_size) / 2).unwrap_or(u64::MAX).max(1)
    }

    /// Waits until the pumps are close enough behind. Dropping the future stops the waiting.
    pub(crate) async fn pace(&self, session: &Arc<Session>) {
        let begun = self.clock.now();
        let backlog = session.backlog(begun);
        if backlog <= 1 {
            return;
        }
        let near = self.near(session);
        if backlog <= near {
            return;
        }
        let waker = Arc::new(AtomicWaker::new());
        let _guard = PacedGuard { session, key: session.add_paced(Arc::clone(&waker)) };
        // The pumps look after those who wait: they wake them from time to time, so that a reader who stalls
        // is noticed, and whenever readers have come closer.
        self.announce_paced(session);
        poll_fn(|context| {
            waker.register(context.waker());
            let now = self.clock.now();
            let enough = session.backlog(now) <= near || now >= begun.after(WAIT_MAX) || self.is_stopping();
            if enough { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}
