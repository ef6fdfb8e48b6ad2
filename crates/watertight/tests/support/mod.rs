//! A hub on a manual clock, and the assertion that everything came back.

#[cfg(feature = "axum")]
pub mod served;

use std::time::{Duration, Instant};

use watertight::{Clock, Hub, HubConfig};
use watertight_core::Kind;
use watertight_core::registry::ScanPoint;

/// A hub whose time stands still until the test moves it. Dropping it asserts that everything came back.
pub struct TestHub {
    pub hub: Hub,
    tasks: u64,
}

impl TestHub {
    pub fn new(config: HubConfig) -> TestHub {
        TestHub::with_clock(config, Clock::manual())
    }

    pub fn with_clock(config: HubConfig, clock: Clock) -> TestHub {
        let config = HubConfig { shards: Some(2), ..config };
        let hub = Hub::with_clock(config, clock).expect("the configuration is sound");
        let tasks = hub.ledger().live(Kind::Task);
        TestHub { hub, tasks }
    }

    /// One of the hub's threads is gone for good, as the test wanted.
    pub fn lost_a_thread(&mut self) {
        self.tasks -= 1;
    }

    pub fn live(&self, kind: Kind) -> u64 {
        self.hub.ledger().live(kind)
    }

    fn charged(&self, owner: &str) -> usize {
        let owners = self.hub.stats().owners;
        owners.iter().find(|(name, _)| *name == owner).expect("an owner of bytes").1
    }
}

impl std::ops::Deref for TestHub {
    type Target = Hub;

    fn deref(&self) -> &Hub {
        &self.hub
    }
}

impl Drop for TestHub {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for kind in [Kind::Connection, Kind::Subscription, Kind::Timer, Kind::Request, Kind::Source] {
            eventually(&format!("no {} is left", kind.name()), || self.live(kind) == 0);
        }
        eventually("the tasks are those of the start", || self.live(Kind::Task) == self.tasks);
        // Sessions stay for their time by design: ended, they and all that they hold must be back at once.
        self.hub.clean_up();
        loop {
            let (sessions, _) = self.hub.sessions(ScanPoint::default(), 100);
            if sessions.is_empty() {
                break;
            }
            for session in sessions {
                self.hub.forget_session(session.name().as_str());
            }
        }
        self.hub.forget_tombstones();
        eventually("no session is left", || self.live(Kind::Session) == 0 && self.hub.stats().sessions == 0);
        for (owner, _) in self.hub.stats().owners {
            eventually(&format!("what is charged to {owner} came back"), || self.charged(owner) == 0);
        }
        assert_eq!((self.hub.budget().used(), self.hub.stats().events), (0, 0), "bytes charged, events held");
        for (kind, counts) in self.hub.stats().ledger {
            assert!(counts.adds_up(), "{kind}: {counts:?}");
        }
    }
}

/// Waits until `holds`; fails by name after ten seconds.
pub fn eventually(what: &str, holds: impl FnMut() -> bool) {
    eventually_within(Duration::from_secs(10), what, holds);
}

/// The same with another patience, for what takes many steps.
pub fn eventually_within(patience: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The same for tests whose hub works on the test's own runtime.
pub async fn eventually_async(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
