//! The hub that a source is checked on: on a manual clock, with a runtime of its own, so that a source that holds up its
//! thread is seen, and does not hold up the check.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use watertight_core::registry::ScanPoint;
use watertight_core::{Kind, Ledger};

use crate::clock::Clock;
use crate::config::HubConfig;
use crate::error::StartError;
use crate::hub::Hub;

/// How long a source goes on after its last subscriber, on the hub's clock.
pub(super) const LINGER: Duration = Duration::from_secs(1);
/// How often a condition is looked at.
const STEP: Duration = Duration::from_millis(2);
/// How much of the patience one look takes at most. Where the machine stood still between two looks, so did the source.
const LOOK_MAX: Duration = Duration::from_millis(8);

/// A hub and what its sources run on. Dropping it ends both, and waits for no source.
pub(super) struct CheckHub {
    pub(super) hub: Hub,
    /// `None` once it is being dropped.
    runtime: Option<Runtime>,
    /// The hub's own threads, as the ledger counts them.
    threads: u64,
    /// Nobody waits for the outcome any more.
    given_up: Arc<AtomicBool>,
    patience: Duration,
    /// Real time, unlike the hub's.
    clock: Clock,
}

impl CheckHub {
    pub(super) fn new(patience: Duration, given_up: Arc<AtomicBool>) -> Result<CheckHub, StartError> {
        let config = HubConfig {
            shards: Some(1),
            source_linger: LINGER,
            // The clock is moved a lot: nothing else is to end by it.
            event_ttl: None,
            session_ttl: Duration::from_secs(1 << 30),
            max_subscriber_idle_time: Duration::from_secs(1 << 30),
            ..HubConfig::default()
        };
        let hub = Hub::with_clock(config, Clock::manual())?;
        let runtime: io::Result<_> = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let threads = hub.ledger().live(Kind::Task);
        Ok(CheckHub { hub, runtime: Some(runtime?), threads, given_up, patience, clock: Clock::monotonic() })
    }

    /// Calls `work` where a source may be made and started: on the runtime.
    pub(super) fn on_runtime<T>(&self, work: impl FnOnce() -> T) -> T {
        let _entered = self.runtime.as_ref().map(Runtime::enter);
        work()
    }

    /// Tasks on the runtime: those of sources, and what they have spawned.
    pub(super) fn tasks(&self) -> usize {
        self.runtime.as_ref().map_or(0, |runtime| runtime.metrics().num_alive_tasks())
    }

    /// Waits until `holds`; `false`: it never did.
    pub(super) fn eventually(&self, holds: impl FnMut() -> bool) -> bool {
        self.within(self.patience, holds)
    }

    /// The same within this time.
    pub(super) fn within(&self, time: Duration, mut holds: impl FnMut() -> bool) -> bool {
        let (mut left, mut last) = (time, self.clock.elapsed());
        loop {
            if holds() {
                return true;
            }
            if left.is_zero() || self.given_up.load(Ordering::SeqCst) {
                return false;
            }
            std::thread::sleep(STEP);
            let now = self.clock.elapsed();
            left = left.saturating_sub((now - last).min(LOOK_MAX));
            last = now;
        }
    }

    /// The longest wait for one thing.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// Forgets all sessions; says what has not come back.
    pub(super) fn left(&self) -> Option<String> {
        let (hub, ledger): (_, &Arc<Ledger>) = (&self.hub, self.hub.ledger());
        loop {
            let (sessions, _) = hub.sessions(ScanPoint::default(), 100);
            if sessions.is_empty() {
                break;
            }
            for session in sessions {
                hub.forget_session(session.name().as_str());
            }
        }
        hub.forget_tombstones();
        let expected = |kind| if kind == Kind::Task { self.threads } else { 0 };
        for kind in Kind::ALL {
            if !self.eventually(|| ledger.live(kind) == expected(kind)) {
                return Some(format!("the ledger counts {} of kind {}", ledger.live(kind), kind.name()));
            }
            if !ledger.counts(kind).adds_up() {
                return Some(format!("the ledger does not add up: {}", kind.name()));
            }
        }
        let used = || hub.budget().used();
        (!self.eventually(|| used() == 0)).then(|| format!("{} bytes are still charged", used()))
    }
}

impl Drop for CheckHub {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A source that holds up its thread would be waited for without end.
            runtime.shutdown_background();
        }
    }
}
