//! The two promises of the budget: every byte charged is given back, and pressure is answered in order.

mod support;

use proptest::prelude::*;
use watertight_core::{Budget, Exhausted, Frame, Ladder, Owner, Permit, Rung};

use crate::support::cases;

#[derive(Debug, Clone)]
enum Step {
    Charge(Owner, usize),
    TryCharge(Owner, usize),
    /// A permit that travels in a frame, and a second reader of that frame.
    Share(usize),
    GiveBack(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let owner = || prop::sample::select(&Owner::ALL[..]);
    prop_oneof![
        1 => (owner(), 0usize..300).prop_map(|(owner, bytes)| Step::Charge(owner, bytes)),
        4 => (owner(), 0usize..300).prop_map(|(owner, bytes)| Step::TryCharge(owner, bytes)),
        1 => any::<usize>().prop_map(Step::Share),
        4 => any::<usize>().prop_map(Step::GiveBack),
    ]
}

/// Whatever holds charged bytes.
enum Holder {
    Permit(Permit),
    Frame(Frame),
}

/// A holder and what must be charged for it, until its last reader lets go.
struct Held {
    holder: Holder,
    owner: Owner,
    bytes: usize,
    readers: usize,
}

fn sum(held: &[Held], owner: Owner) -> usize {
    held.iter().filter(|held| held.owner == owner).map(|held| held.bytes).sum()
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn what_the_owners_hold_is_what_is_used_and_nothing_after_a_drain(
        steps in prop::collection::vec(step(), 1..100),
    ) {
        let critical = 2000;
        let budget = Budget::new(1000, critical);
        let mut held: Vec<Held> = Vec::new();
        for step in steps {
            let used = budget.used();
            match step {
                Step::Charge(owner, bytes) => {
                    let holder = Holder::Permit(budget.charge(owner, bytes));
                    held.push(Held { holder, owner, bytes, readers: 1 });
                }
                Step::TryCharge(owner, bytes) => match budget.try_charge(owner, bytes) {
                    Ok(permit) => {
                        prop_assert!(used + bytes <= critical, "charged beyond the critical threshold");
                        prop_assert_eq!(permit.bytes(), bytes);
                        held.push(Held { holder: Holder::Permit(permit), owner, bytes, readers: 1 });
                    }
                    Err(refused) => {
                        prop_assert!(used + bytes > critical, "refused what would have fitted");
                        prop_assert_eq!(refused, Exhausted { critical_bytes: critical });
                    }
                },
                Step::Share(which) if !held.is_empty() => {
                    let which = which % held.len();
                    let Held { holder, owner, bytes, readers } = held.swap_remove(which);
                    let frame = match holder {
                        Holder::Permit(permit) => Frame::new(b"0\r\n\r\n", Some(permit)),
                        Holder::Frame(frame) => frame,
                    };
                    held.push(Held { holder: Holder::Frame(frame.clone()), owner, bytes, readers: readers + 1 });
                    drop(frame);
                }
                Step::GiveBack(which) if !held.is_empty() => drop(held.swap_remove(which % held.len())),
                Step::Share(_) | Step::GiveBack(_) => {}
            }
            for owner in Owner::ALL {
                prop_assert_eq!(budget.used_by(owner), sum(&held, owner), "{}", owner.name());
            }
            let owners: usize = Owner::ALL.iter().map(|owner| budget.used_by(*owner)).sum();
            prop_assert_eq!(budget.used(), owners);
        }
        held.clear();
        prop_assert_eq!(budget.used(), 0);
        prop_assert!(Owner::ALL.iter().all(|owner| budget.used_by(*owner) == 0));
    }

    #[test]
    fn threat_34_the_ladder_moves_by_one_rung_and_only_for_a_reason(
        pressures in prop::collection::vec((0usize..1500, prop::bool::weighted(0.1)), 1..200),
    ) {
        let budget = Budget::new(500, 1000);
        let mut ladder = Ladder::new(budget.clone());
        let mut stood_on = Rung::Normal;
        for (pressure, refused) in pressures {
            budget.observe(pressure);
            if refused {
                prop_assert!(budget.try_charge(Owner::Frames, 1001).is_err());
            }
            let (before, now) = ladder.step();
            prop_assert_eq!((before, now), (stood_on, budget.rung()));
            let critical = pressure >= 1000 || refused;
            if critical {
                prop_assert!(now.is_critical());
                prop_assert!(now > before || before == Rung::CloseLaggards, "the rung rises while pressure stays critical");
                prop_assert!(now as u8 <= before as u8 + 1 || now == Rung::ShedHistory, "a rung left out");
            } else if before.is_critical() {
                let expected = if pressure < 900 { before as u8 - 1 } else { before as u8 };
                prop_assert_eq!(now as u8, expected, "one rung down, below the threshold by a tenth");
            } else {
                let warned = pressure >= 500 || (before == Rung::Warning && pressure >= 450);
                prop_assert_eq!(now, if warned { Rung::Warning } else { Rung::Normal });
            }
            stood_on = now;
        }
    }
}

#[test]
fn threat_34_memory_pressure_is_answered_in_order_with_hysteresis_and_left_again() {
    use Rung::{CloseLaggards, NoNewcomers, NoReplay, Normal, ShedHistory, Warning};
    let mb = 1 << 20;
    let budget = Budget::new(500 * mb, 1000 * mb);
    let mut ladder = Ladder::new(budget.clone());
    let script = [
        (499, Normal),
        (500, Warning),
        (460, Warning),
        (449, Normal),
        (700, Warning),
        (1000, ShedHistory),
        (1000, NoReplay),
        (1000, NoNewcomers),
        (1000, CloseLaggards),
        (5000, CloseLaggards),
        (950, CloseLaggards),
        (901, CloseLaggards),
        (899, NoNewcomers),
        (899, NoReplay),
        (999, NoReplay),
        (1000, NoNewcomers),
        (100, NoReplay),
        (100, ShedHistory),
        (100, Warning),
        (100, Normal),
        (100, Normal),
    ];
    for (turn, (pressure_mb, rung)) in script.into_iter().enumerate() {
        budget.observe(pressure_mb * mb);
        assert_eq!(ladder.step().1, rung, "step {turn}, {pressure_mb} MB");
    }
}

#[test]
fn threat_34_what_is_charged_counts_as_pressure_without_an_allocator_that_reports() {
    let budget = Budget::new(500, 1000);
    let mut ladder = Ladder::new(budget.clone());
    let permit = budget.charge(Owner::Frames, 1200);
    assert_eq!(budget.pressure(), 1200);
    assert_eq!(ladder.step(), (Rung::Normal, Rung::ShedHistory));
    drop(permit);
    assert_eq!(budget.pressure(), 0);
    assert_eq!(ladder.step().1, Rung::Warning);
    assert_eq!(ladder.step().1, Rung::Normal);
}

#[test]
fn threat_34_a_refused_charge_is_pressure_at_the_next_step_and_only_there() {
    let budget = Budget::new(500, 1000);
    let mut ladder = Ladder::new(budget.clone());
    let _most = budget.charge(Owner::Frames, 400);
    assert_eq!(budget.try_charge(Owner::Frames, 601).map(|permit| permit.bytes()), Err(refused()));
    assert_eq!(ladder.step().1, Rung::ShedHistory);
    assert_eq!(ladder.step().1, Rung::Warning);
    assert_eq!(ladder.step().1, Rung::Normal);
}

#[test]
fn threat_34_refused_newcomers_do_not_raise_the_rung() {
    let budget = Budget::new(500, 1000);
    let mut ladder = Ladder::new(budget.clone());
    for owner in [Owner::Subscribers, Owner::Sessions, Owner::Requests, Owner::Caches] {
        assert!(budget.try_charge(owner, 1001).is_err());
        assert_eq!(ladder.step(), (Rung::Normal, Rung::Normal), "{owner:?}");
    }
}

fn refused() -> Exhausted {
    Exhausted { critical_bytes: 1000 }
}

#[test]
fn a_charge_that_is_too_large_to_count_is_given_back_as_it_was_taken() {
    let budget = Budget::new(usize::MAX, usize::MAX);
    let four_gib = u32::MAX as usize;
    drop(budget.charge(Owner::Caches, four_gib + 1));
    assert_eq!((budget.used(), budget.used_by(Owner::Caches)), (0, 0));
    assert!(budget.try_charge(Owner::Caches, four_gib + 1).is_err());
    assert!(budget.try_charge(Owner::Caches, usize::MAX).is_err());
    assert_eq!((budget.used(), budget.used_by(Owner::Caches)), (0, 0));
    assert_eq!(budget.try_charge(Owner::Caches, four_gib).map(|permit| permit.bytes()), Ok(four_gib));
}

#[test]
fn leak_class_a_many_threads_never_charge_beyond_the_critical_threshold_together() {
    let budget = Budget::new(500, 1000);
    let granted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=4)
            .map(|size| {
                let budget = &budget;
                scope.spawn(move || {
                    let mut granted = 0;
                    for turn in 0..5000 {
                        let charged = budget.try_charge(Owner::ALL[turn % 5], 200 + size * 100);
                        assert!(budget.used() <= 1000);
                        granted += usize::from(charged.is_ok());
                    }
                    granted
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum()
    });
    assert!(granted > 0, "who comes first gets in");
    assert_eq!(budget.used(), 0);
    assert!(Owner::ALL.iter().all(|owner| budget.used_by(*owner) == 0));
}

#[test]
fn names_in_json_are_stable() {
    let owners = Owner::ALL.map(Owner::name);
    assert_eq!(owners, ["frames", "subscribers", "sessions", "requests", "caches", "access", "sources"]);
    let rungs = [
        (Rung::Normal, "normal"),
        (Rung::Warning, "warning"),
        (Rung::ShedHistory, "shed_history"),
        (Rung::NoReplay, "no_replay"),
        (Rung::NoNewcomers, "no_newcomers"),
        (Rung::CloseLaggards, "close_laggards"),
    ];
    assert!(rungs.iter().all(|(rung, name)| rung.name() == *name));
    assert!(rungs.is_sorted_by_key(|(rung, _)| *rung), "each rung includes those below it");
}

#[test]
fn a_permit_that_is_split_gives_the_same_back_in_parts() {
    let budget = Budget::new(1000, 1000);
    let mut whole = budget.charge(Owner::Frames, 100);
    let part = whole.split(30);
    assert_eq!((whole.bytes(), part.bytes(), budget.used()), (70, 30, 100));
    drop(part);
    assert_eq!((budget.used(), budget.used_by(Owner::Frames)), (70, 70));
    let rest = whole.split(usize::MAX);
    assert_eq!((whole.bytes(), rest.bytes()), (0, 70), "no more than there is");
    drop((whole, rest));
    assert_eq!((budget.used(), budget.used_by(Owner::Frames)), (0, 0));
}
