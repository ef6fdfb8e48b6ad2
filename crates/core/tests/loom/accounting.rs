//! The ledger and the budget, written by many threads at once.

use std::sync::Arc;

use loom::thread;
use watertight_core::{Budget, Kind, Ladder, Ledger, Owner, Rung};

use crate::world::check;

#[test]
fn live_is_never_negative_at_any_instant() {
    check(4, || {
        let ledger = Ledger::new();
        let inherited = ledger.open(Kind::Task);
        let workers: Vec<_> = [Some(inherited), None]
            .into_iter()
            .map(|inherited| {
                let ledger = Arc::clone(&ledger);
                thread::spawn(move || {
                    drop(inherited);
                    drop(ledger.open(Kind::Task));
                })
            })
            .collect();
        let counts = ledger.counts(Kind::Task);
        assert!(counts.opened >= counts.closed, "{counts:?}");
        assert!(counts.live() <= 2, "{counts:?}");
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        let counts = ledger.counts(Kind::Task);
        assert_eq!((counts.opened, counts.closed, counts.live()), (3, 3, 0));
    });
}

#[test]
fn no_two_charges_together_exceed_the_critical_threshold() {
    check(4, || {
        let budget = Budget::new(10, 15);
        let chargers: Vec<_> = [Owner::Frames, Owner::Requests]
            .into_iter()
            .map(|owner| {
                let budget = Arc::clone(&budget);
                thread::spawn(move || {
                    let permit = budget.try_charge(owner, 10);
                    assert!(budget.used() <= 15);
                    permit.is_ok()
                })
            })
            .collect();
        let granted: Vec<bool> = chargers.into_iter().map(|charger| charger.join().unwrap()).collect();
        assert!(granted.contains(&true), "there was room for one");
        assert_eq!(
            (budget.used(), budget.used_by(Owner::Frames), budget.used_by(Owner::Requests)),
            (0, 0, 0)
        );
    });
}

#[test]
fn a_refusal_is_seen_by_the_ladder_once_however_it_falls_between_its_steps() {
    check(4, || {
        let budget = Budget::new(10, 15);
        let mut ladder = Ladder::new(Arc::clone(&budget));
        let charger = thread::spawn({
            let budget = Arc::clone(&budget);
            move || assert!(budget.try_charge(Owner::Frames, 16).is_err())
        });
        let first = ladder.step().1;
        charger.join().unwrap();
        let second = ladder.step().1;
        assert!(matches!(
            (first, second),
            (Rung::ShedHistory, Rung::Warning) | (Rung::Normal, Rung::ShedHistory)
        ));
    });
}
