//! Pacing: a publisher that outruns delivery is slowed, so that readers who keep reading never get a gap from
//! speed alone.
//!
//! After its append a publisher waits until every subscriber that still reads is within half of
//! `max_queue_size` of the head (or of what the log holds, if its bytes are the closer limit). Before its
//! append a batch waits until the whole of it fits behind what they have not read. The waiting never splits a
//! batch. A subscriber that takes nothing for a while no longer counts (one second for a socket that has never
//! read on after it was full, five for one that has), one that is slower than others that have caught up may
//! slow publishers down for two seconds in all until it catches up itself, and no publisher waits longer than
//! [`WAIT_MAX`]: that is the longest a stalled or very slow reader can delay it. The pumps wake waiting
//! publishers.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use atomic_waker::AtomicWaker;
use watertight_core::{Log, Session, Tick};

use super::HubState;

/// How long one publish is held back at most, before and after its append together.
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
    /// fill its bytes long before its count of events.
    pub(crate) fn near(&self, session: &Session) -> u64 {
        let full = self.config.max_history_bytes_per_session / 2;
        let held = session.with_log(|log| if log.bytes() > full { log.events() } else { usize::MAX });
        u64::try_from(held.min(self.config.max_queue_size) / 2).unwrap_or(u64::MAX).max(1)
    }

    /// Waits until the pumps are close enough behind, or the patience of a publish that began at `begun` is
    /// over. Dropping the future stops the waiting.
    pub(crate) async fn pace(&self, session: &Arc<Session>, begun: Tick) {
        if !self.is_paced(session, begun) {
            let near = self.near(session);
            self.wait_for_readers(session, begun, near, |now| session.backlog(now) <= near).await;
        }
    }

    /// Whether the pumps are close enough behind, for a publish that began at `begun`.
    pub(crate) fn is_paced(&self, session: &Session, begun: Tick) -> bool {
        // Whoever read then may have stalled since, but not the other way round: what is little then is little now.
        if session.backlog(begun) <= 1 {
            return true;
        }
        session.backlog(self.clock.now()) <= self.near(session)
    }

    /// Waits until `events` of `bytes` fit behind what readers have not read, or the patience is over. Dropping
    /// the future stops the waiting.
    pub(crate) async fn wait_for_room(
        &self,
        session: &Arc<Session>,
        begun: Tick,
        (events, bytes): (usize, usize),
    ) {
        let fits = |now| session.with_log(|log| log.ended() || has_room(session, log, now, (events, bytes)));
        if !fits(self.clock.now()) {
            // By count. If bytes are the closer limit, it is not known in advance how many unread events may
            // stay.
            let by_count = self.config.max_queue_size.saturating_sub(events) as u64;
            let near = if bytes > self.config.max_history_bytes_per_session / 2 { 0 } else { by_count };
            self.wait_for_readers(session, begun, near, fits).await;
        }
    }

    /// Whether a publish that began at `begun` waits no longer.
    pub(crate) fn is_patience_over(&self, begun: Tick) -> bool {
        self.clock.now() >= begun.after(WAIT_MAX) || self.is_stopping()
    }

    /// Waits until it is `enough`; readers further behind than `near` count as those it waits for.
    async fn wait_for_readers(
        &self,
        session: &Arc<Session>,
        begun: Tick,
        near: u64,
        enough: impl Fn(Tick) -> bool,
    ) {
        let waker = Arc::new(AtomicWaker::new());
        let _guard = PacedGuard { session, key: session.add_paced(Arc::clone(&waker), near) };
        // The pumps wake waiting publishers whenever readers have come closer, and from time to time, so that a
        // stalled reader is noticed.
        self.announce_paced(session);
        poll_fn(|context| {
            waker.register(context.waker());
            let is_over = self.is_patience_over(begun) || enough(self.clock.now());
            if is_over { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Whether so many events of so many bytes can be appended to `log`, `session`'s own, without taking anything
/// from a reader who keeps reading.
pub(super) fn has_room(session: &Session, log: &Log, now: Tick, (events, bytes): (usize, usize)) -> bool {
    let unread = session.backlog(now);
    log.has_room_behind(log.next().saturating_sub(unread), events, bytes)
}
