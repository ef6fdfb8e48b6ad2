//! The ledger: opened minus closed is live, at every instant and on every path.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};

use watertight_core::{Kind, Ledger};

use crate::support::Accounting;

#[test]
fn opened_minus_closed_is_live_and_each_kind_counts_for_itself() {
    let accounting = Accounting::new();
    let ledger = &accounting.ledger;
    let one = ledger.open(Kind::Connection);
    let two = ledger.open(Kind::Connection);
    let task = ledger.open(Kind::Task);
    drop(one);
    let connections = ledger.counts(Kind::Connection);
    assert_eq!((connections.opened, connections.closed, connections.live()), (2, 1, 1));
    assert_eq!((ledger.live(Kind::Task), ledger.live(Kind::Session)), (1, 0));
    assert!(Kind::ALL.iter().all(|kind| ledger.counts(*kind).adds_up()));
    drop((two, task));
    let connections = ledger.counts(Kind::Connection);
    assert_eq!((connections.opened, connections.closed, connections.live()), (2, 2, 0));
    assert_eq!((ledger.live(Kind::Task), ledger.live(Kind::Connection)), (0, 0));
}

#[test]
fn a_panic_closes_what_it_held() {
    let accounting = Accounting::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _entry = accounting.ledger.open(Kind::Request);
        std::panic::resume_unwind(Box::new("the handler's fault"));
    }));
    assert!(panicked.is_err());
    assert_eq!(accounting.ledger.counts(Kind::Request).closed, 1);
}

#[test]
fn live_is_never_negative_while_threads_open_and_close() {
    let accounting = Accounting::new();
    let ledger = &accounting.ledger;
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    drop(ledger.open(Kind::Subscription));
                }
            });
        }
        for _ in 0..20_000 {
            let counts = ledger.counts(Kind::Subscription);
            // Between the two looks others may have opened and closed; never closed what was not opened.
            assert!(counts.opened >= counts.closed, "{counts:?}");
            assert!(ledger.live(Kind::Subscription) <= 3, "as many as there are threads, never below zero");
        }
    });
    let counts = ledger.counts(Kind::Subscription);
    assert_eq!((counts.opened, counts.closed, counts.live()), (60_000, 60_000, 0));
}

#[test]
fn names_in_json_are_stable() {
    let names = Kind::ALL.map(Kind::name);
    let expected = [
        "connection",
        "subscription",
        "session",
        "source",
        "timer",
        "redisSubscription",
        "task",
        "request",
        "access",
    ];
    assert_eq!(names, expected);
    let ledger = Ledger::new();
    for (index, kind) in Kind::ALL.into_iter().enumerate() {
        assert_eq!(kind as usize, index, "they are shown in the order of the ledger");
        assert_eq!(ledger.live(kind), 0);
    }
}

#[test]
fn kinds_that_are_held_together_are_counted_and_closed_each() {
    let ledger = Ledger::new();
    let entry = ledger.open(Kind::Subscription).and(Kind::Timer);
    let live = || [Kind::Subscription, Kind::Timer, Kind::Task].map(|kind| ledger.live(kind));
    assert_eq!(live(), [1, 1, 0]);
    drop(entry);
    assert_eq!(live(), [0, 0, 0]);
    assert_eq!(ledger.counts(Kind::Timer).opened, 1);
}
