//! The wheel against a map: the same timers, kept in the obvious way.

mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use watertight_core::limits::{WHEEL_BUCKET_MS, WHEEL_BUCKETS};
use watertight_core::{Tick, Wheel};

use crate::support::cases;

/// Beyond this a timer waits for more than one turn of the wheel.
const TURN_MS: u64 = WHEEL_BUCKETS as u64 * WHEEL_BUCKET_MS;

#[derive(Debug, Clone)]
enum Step {
    Arm { key: u32, in_ms: u64 },
    ArmInThePast { key: u32, ago_ms: u64 },
    ArmForEver { key: u32 },
    Disarm { key: u32 },
    Advance { ms: u64 },
    SleepUntilNext,
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0u32..24;
    let span = || {
        prop_oneof![
            4 => 0..4 * WHEEL_BUCKET_MS,
            4 => 0..TURN_MS,
            1 => TURN_MS - 200..TURN_MS + 200,
            2 => TURN_MS..5 * TURN_MS,
            1 => 0u64..1 << 45,
        ]
    };
    prop_oneof![
        6 => (key(), span()).prop_map(|(key, in_ms)| Step::Arm { key, in_ms }),
        1 => (key(), span()).prop_map(|(key, ago_ms)| Step::ArmInThePast { key, ago_ms }),
        1 => key().prop_map(|key| Step::ArmForEver { key }),
        2 => key().prop_map(|key| Step::Disarm { key }),
        4 => span().prop_map(|ms| Step::Advance { ms }),
        3 => Just(Step::SleepUntilNext),
    ]
}

/// A timer: when it was wanted, and when it must have fired at the latest.
#[derive(Debug, Clone, Copy)]
struct Timer {
    at: Tick,
    latest: Tick,
}

struct Pair {
    wheel: Wheel,
    timers: BTreeMap<u32, Timer>,
    now: Tick,
}

impl Pair {
    fn arm(&mut self, key: u32, at: Tick) {
        self.wheel.arm(key, at);
        let latest = Tick(at.max(self.now).0.saturating_add(WHEEL_BUCKET_MS));
        self.timers.insert(key, Timer { at, latest });
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Arm { key, in_ms } => self.arm(key, Tick(self.now.0 + in_ms)),
            Step::ArmInThePast { key, ago_ms } => self.arm(key, Tick(self.now.0.saturating_sub(ago_ms))),
            Step::ArmForEver { key } => self.arm(key, Tick::NEVER),
            Step::Disarm { key } => {
                self.wheel.disarm(key);
                self.timers.remove(&key);
            }
            Step::Advance { ms } => self.advance(Tick(self.now.0 + ms)),
            Step::SleepUntilNext => {
                if let Some(next) = self.wheel.next() {
                    self.advance(next.max(self.now));
                }
            }
        }
        self.compare();
    }

    fn advance(&mut self, now: Tick) {
        let mut fired = Vec::new();
        self.wheel.advance(now, |key| fired.push(key));
        self.now = now;
        for key in fired {
            let timer = self.timers.remove(&key);
            assert!(timer.is_some_and(|timer| timer.at <= now), "{key} fired early or twice: {timer:?}");
        }
        let late = self.timers.iter().find(|(_, timer)| timer.latest <= now);
        assert!(late.is_none(), "late by more than a bucket at {now:?}: {late:?}");
        assert!(self.wheel.next().is_none_or(|next| next > now), "whoever sleeps now would not sleep");
    }

    fn compare(&self) {
        assert_eq!((self.wheel.len(), self.wheel.is_empty()), (self.timers.len(), self.timers.is_empty()));
        let first = self.timers.values().map(|timer| timer.latest).min();
        match (self.wheel.next(), first) {
            (Some(next), Some(first)) => assert!(next <= first, "sleeps until {next:?} past {first:?}"),
            (next, first) => assert_eq!(next, first),
        }
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn a_timer_never_fires_early_and_one_bucket_late_at_most(
        start in prop_oneof![Just(0u64), 0u64..1 << 40],
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let now = Tick(start);
        let mut pair = Pair { wheel: Wheel::new(now), timers: BTreeMap::new(), now };
        for step in &steps {
            pair.take(step);
        }
    }
}

#[test]
fn whoever_sleeps_until_next_meets_every_timer_in_time() {
    let now = Tick(12_345);
    let mut pair = Pair { wheel: Wheel::new(now), timers: BTreeMap::new(), now };
    for key in 0..200u32 {
        pair.arm(key, Tick(now.0 + u64::from(key) * u64::from(key) * 7));
    }
    for _ in 0..400 {
        pair.take(&Step::SleepUntilNext);
    }
    assert!(pair.wheel.is_empty());
    assert_eq!(pair.wheel.next(), None);
}

#[test]
fn threat_31_a_long_jump_of_the_clock_fires_everything_once_and_costs_one_turn() {
    // As long as the clock can jump: were it swept bucket by bucket, this would not end.
    let far = Tick(u64::MAX - 1);
    let now = Tick(0);
    let mut pair = Pair { wheel: Wheel::new(now), timers: BTreeMap::new(), now };
    for key in 0..2000u32 {
        pair.arm(key, Tick(u64::from(key) * 1_000_003));
    }
    pair.arm(2000, Tick::NEVER);
    pair.advance(far);
    assert_eq!(pair.wheel.len(), 1, "only what never comes is left");
    pair.compare();
    pair.wheel.disarm(2000);
    assert!(pair.wheel.is_empty());
}

#[test]
fn threat_31_a_jump_over_a_whole_turn_and_more_does_not_fire_what_is_not_due() {
    for turns in [1, 2, 3, 1000] {
        for offset in [0, 1, WHEEL_BUCKET_MS, TURN_MS / 2, TURN_MS - 1] {
            let now = Tick(777);
            let mut pair = Pair { wheel: Wheel::new(now), timers: BTreeMap::new(), now };
            let landing = Tick(now.0 + turns * TURN_MS + offset);
            for (key, ms) in (0u32..).zip((0..3 * TURN_MS).step_by(4999)) {
                pair.arm(key, Tick(landing.0 + 1 + ms));
            }
            let armed = pair.wheel.len();
            pair.advance(landing);
            assert_eq!(pair.wheel.len(), armed);
            pair.compare();
            pair.advance(Tick(landing.0 + 4 * TURN_MS));
            assert!(pair.wheel.is_empty());
        }
    }
}

#[test]
fn a_clock_that_stands_still_or_goes_back_fires_nothing() {
    let mut wheel = Wheel::new(Tick(10_000));
    wheel.arm(0, Tick(10_100));
    for now in [10_000, 9_000, 0] {
        wheel.advance(Tick(now), |key| assert_eq!(key, u32::MAX, "nothing is due"));
    }
    let mut fired = 0;
    wheel.advance(Tick(10_200), |_| fired += 1);
    assert_eq!(fired, 1);
}

#[test]
fn a_timer_moved_fires_once_at_its_new_time() {
    let mut wheel = Wheel::new(Tick::ZERO);
    for at in [100, 5000, 300, 900_000, 700] {
        wheel.arm(3, Tick(at));
    }
    assert_eq!(wheel.len(), 1);
    let mut fired = Vec::new();
    wheel.advance(Tick(699), |key| fired.push(key));
    assert_eq!(fired, []);
    wheel.advance(Tick(1_000_000), |key| fired.push(key));
    assert_eq!(fired, [3]);
    wheel.disarm(3);
    wheel.disarm(77);
    assert!(wheel.is_empty());
}
