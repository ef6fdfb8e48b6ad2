//! Starts a pump's loop again when it panics or fails. Its sockets are dropped, their guards run, and the loop
//! begins anew, each time a little later. A pump that cannot work any more leaves the rotation.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mio::{Poll, Registry, Waker};
use tracing::error;
use watertight_core::Entry;
use watertight_core::registry::ScanPoint;

use super::run::{self, Shard};
use super::{ShardHandle, WAKE, Work};
use crate::hub::HubState;

/// The first pause before a restart, doubled with each up to the largest.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// A pump that has worked for so long counts as recovered.
const WELL_AFTER: Duration = Duration::from_secs(5);
/// So many failures in quick succession end a pump for good: about five seconds of trying.
const FAILURES_MAX: u32 = 12;
/// A pump, and the keeper, that has made no turn for so long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(10);

/// Runs a shard until it is told to stop.
pub(super) fn supervise(
    first: (Poll, Registry),
    handle: &Arc<ShardHandle>,
    hub: &Arc<HubState>,
    _entry: Entry,
) {
    let mut first = Some(first);
    let (mut failures, mut pause) = (0, PAUSE_MIN);
    while !handle.is_stopped() {
        let begun = hub.clock.now();
        let run = AssertUnwindSafe(|| {
            let (mut poll, registry) = match first.take() {
                Some(first) => first,
                None => handle.new_poll()?,
            };
            #[cfg(feature = "testing")]
            handle.injected.failure()?;
            handle.begin(Shard::new(handle.index(), hub, registry));
            run::run(handle, &mut poll)
        });
        let ended = catch_unwind(run);
        // Its sockets close and give everything back.
        let given_back = catch_unwind(AssertUnwindSafe(|| handle.end()));
        match ended.and_then(|ended| given_back.map(|()| ended)) {
            Ok(Ok(())) => break,
            Ok(Err(error)) => error!(%error, shard = handle.index(), "a pump failed and is started again"),
            Err(_) => error!(shard = handle.index(), "a pump panicked and is started again"),
        }
        hub.counters.pump_restarts.fetch_add(1, Ordering::Relaxed);
        if hub.clock.now().since(begun) >= WELL_AFTER {
            (failures, pause) = (0, PAUSE_MIN);
        }
        failures += 1;
        if failures >= FAILURES_MAX {
            error!(shard = handle.index(), failures, "a pump does not come back and leaves the rotation");
            handle.lost.store(true, Ordering::SeqCst);
            announce_all(handle, hub);
            break;
        }
        announce_all(handle, hub);
        // The pause before a restart; the hub's stop ends it early.
        if failures > 1 && !handle.is_stopped() {
            std::thread::park_timeout(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
    handle.let_go_of_work();
}

impl ShardHandle {
    /// A poller in place of one that failed, with the mailbox's waker on it.
    fn new_poll(&self) -> std::io::Result<(Poll, Registry)> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        *self.waker.write() = Waker::new(poll.registry(), WAKE)?;
        Ok((poll, registry))
    }
}

/// After a restart: work that the old loop had taken and not done is requested again.
fn announce_all(handle: &ShardHandle, hub: &HubState) {
    let mut point = Some(ScanPoint::default());
    while let Some(at) = point {
        let swept = hub.registry.slice(
            at,
            |_| false,
            |session| {
                let view = session.view(handle.index());
                view.clear();
                view.end_paced();
                hub.announce(session);
                if session.has_paced() {
                    hub.announce_paced(session);
                }
            },
        );
        point = swept.next;
    }
}

impl HubState {
    /// Asks the pumps of a session's readers, and its home, to wake waiting publishers in time.
    pub(crate) fn announce_paced(&self, session: &Arc<watertight_core::Session>) {
        let home = self.home_of(session).map(|shard| shard.index());
        for (view, shard) in session.views().iter().zip(&self.shards) {
            if (view.group().is_some() || home == Some(shard.index())) && view.begin_paced() {
                shard.send(Work::Paced(Arc::clone(session)));
            }
        }
    }

    /// Which thread has made no turn for too long.
    pub(crate) fn stuck(&self) -> Option<String> {
        let now = self.clock.now();
        let is_late = |turn: u64| now.since(watertight_core::Tick(turn)) > STUCK_AFTER;
        let pump = self.shards.iter().find(|shard| shard.is_lost() || is_late(shard.last_turn()));
        if let Some(pump) = pump {
            let what = if pump.is_lost() { "cannot be started again" } else { "makes no turns" };
            return Some(format!("pump {} {what}", pump.index()));
        }
        let keeper = self.keeper_turn.load(Ordering::Relaxed);
        is_late(keeper).then(|| "the keeper makes no turns".into())
    }
}
