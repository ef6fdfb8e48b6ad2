//! A hub on a manual clock, and the assertion that everything came back.
#![allow(dead_code, reason = "each test file uses its part")]

#[cfg(feature = "axum")]
pub mod served;

use std::time::{Duration, Instant};

use watertight::{Clock, Hub, HubConfig};
use watertight_core::Kind;

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
        let held = self.hub.stats().owners.into_iter().collect::<std::collections::HashMap<_, _>>();
        assert_eq!(held["subscribers"], 0, "subscribers' bytes came back");
        assert_eq!(held["requests"], 0, "requests' bytes came back");
    }
}

/// Waits until `holds`; fails by name after ten seconds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
