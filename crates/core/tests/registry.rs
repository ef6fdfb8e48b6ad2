//! All sessions: bounded in number, found by name, gone when nobody needs them.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use proptest::prelude::*;
use watertight_core::limits::{CLEANUP_SLICE, REGISTRY_STRIPES};
use watertight_core::registry::{Registry, ScanPoint};
use watertight_core::{Kind, Log, RegistryError, Tick};

use crate::support::{Accounting, append, cases, named, sweep};

fn pages(registry: &Registry, limit: usize) -> Vec<String> {
    let (mut names, mut from) = (Vec::new(), Some(ScanPoint::default()));
    while let Some(at) = from {
        let (page, next) = registry.page(at, limit);
        assert!(page.len() <= limit);
        assert!(next.is_none() || page.len() == limit, "a page that is not the last is full");
        names.extend(page.iter().map(|session| session.name().as_str().to_owned()));
        from = next;
    }
    names
}

#[test]
fn a_session_is_made_once_and_found_by_its_name() {
    let accounting = Accounting::new();
    let registry = Registry::new(10);
    let made = accounting.join(&registry, "demo", false).unwrap();
    assert!(Arc::ptr_eq(&made, &accounting.join(&registry, "demo", false).unwrap()));
    assert!(Arc::ptr_eq(&made, &registry.get("demo").unwrap()));
    assert!(registry.get("demo ").is_none() && registry.get("").is_none());
    assert_eq!((registry.len(), registry.is_empty()), (1, false));
}

#[test]
fn a_session_too_many_is_refused_and_room_is_found_again() {
    let accounting = Accounting::new();
    let registry = Registry::new(2);
    let first = accounting.join(&registry, "a", false).unwrap();
    drop(accounting.join(&registry, "b", false).unwrap());
    let full = RegistryError::Full { max_sessions: 2 };
    assert_eq!(accounting.join(&registry, "c", false).unwrap_err(), full);
    assert!(accounting.join(&registry, "a", false).is_ok(), "those there are stay open");
    assert_eq!(registry.remove(&first), Some(0));
    assert!(accounting.join(&registry, "c", false).is_ok());
}

#[test]
fn a_session_that_cannot_be_made_does_not_count() {
    let registry = Registry::new(1);
    let fails = || Err(RegistryError::Full { max_sessions: 0 });
    assert!(registry.get_or_create(&named("a"), Tick::ZERO, true, fails).is_err());
    assert!(registry.is_empty());
    let panics = catch_unwind(AssertUnwindSafe(|| {
        let make = || std::panic::resume_unwind(Box::new("no memory"));
        registry.get_or_create::<RegistryError>(&named("a"), Tick::ZERO, true, make)
    }));
    assert!(panics.is_err() && registry.is_empty());
    let accounting = Accounting::new();
    assert!(accounting.join(&registry, "a", false).is_ok(), "the only session allowed is free");
    assert_eq!(sweep(&registry, |_| true), 1);
}

#[test]
fn a_session_is_removed_once_ended_and_never_while_somebody_else_took_its_name() {
    let accounting = Accounting::new();
    let registry = Registry::new(10);
    let old = accounting.join(&registry, "a", true).unwrap();
    old.with_log(append);
    assert_eq!(registry.remove(&old), Some(1), "whoever reads it");
    assert!(old.with_log(|log| log.ended()));
    let new = accounting.join(&registry, "a", false).unwrap();
    assert!(!Arc::ptr_eq(&old, &new));
    assert_eq!(registry.remove(&old), None, "it was out already");
    assert!(Arc::ptr_eq(&new, &registry.get("a").unwrap()));
    assert!(!new.with_log(|log| log.ended()));
    old.leave(Tick::ZERO);
    assert_eq!(accounting.ledger.live(Kind::Session), 2, "counted until the last reference goes");
    drop(old);
    assert_eq!(accounting.ledger.live(Kind::Session), 1);
}

#[test]
fn cleanup_takes_what_is_idle_and_unread_and_shows_the_rest() {
    let accounting = Accounting::new();
    let registry = Registry::new(10);
    let read = accounting.join(&registry, "read", true).unwrap();
    let busy = accounting.join(&registry, "busy", false).unwrap();
    busy.touch(Tick(500));
    let idle = accounting.join(&registry, "idle", false).unwrap();
    idle.with_log(append);
    let (mut next, mut seen, mut events) = (Some(ScanPoint::default()), BTreeSet::new(), 0);
    while let Some(at) = next {
        let swept = registry.slice(
            at,
            |session| session.last_activity() < Tick(500),
            |session| {
                seen.insert(session.name().as_str().to_owned());
            },
        );
        events += swept.events;
        next = swept.next;
    }
    assert_eq!(seen, ["busy", "read"].map(String::from).into());
    assert_eq!((events, registry.len()), (1, 2));
    assert!(idle.with_log(|log| log.ended()), "nothing is published into it afterwards");
    read.leave(Tick(100));
    assert_eq!(sweep(&registry, |session| session.last_activity() < Tick(500)), 1);
}

#[test]
fn a_slice_looks_at_no_more_than_it_says() {
    let accounting = Accounting::new();
    let registry = Registry::new(usize::MAX);
    for number in 0..REGISTRY_STRIPES * CLEANUP_SLICE * 2 {
        drop(accounting.join(&registry, &number.to_string(), false).unwrap());
    }
    let (mut next, mut seen) = (Some(ScanPoint::default()), 0);
    while let Some(at) = next {
        let mut looked_at = 0;
        let swept = registry.slice(at, |_| false, |_| looked_at += 1);
        assert!(looked_at <= CLEANUP_SLICE);
        assert_ne!(swept.next, Some(at), "it goes on");
        seen += looked_at;
        next = swept.next;
    }
    assert_eq!(seen, registry.len());
}

#[test]
fn a_scan_point_beyond_the_registry_is_the_end() {
    let registry = Registry::new(10);
    for at in [
        ScanPoint { stripe: usize::MAX, key: 0 },
        ScanPoint { stripe: REGISTRY_STRIPES, key: 0 },
        ScanPoint { stripe: REGISTRY_STRIPES - 1, key: usize::MAX },
    ] {
        assert_eq!(registry.page(at, 10).1, None);
        assert_eq!(registry.slice(at, |_| true, |_| {}).next, None);
    }
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn paging_shows_each_session_exactly_once_when_nothing_changes(
        made in 0usize..400,
        removed in prop::collection::vec(any::<prop::sample::Index>(), 0..200),
        limit in 1usize..50,
    ) {
        let accounting = Accounting::new();
        let registry = Registry::new(1000);
        let mut names = BTreeMap::new();
        for number in 0..made {
            let name = format!("session {number}");
            names.insert(name.clone(), accounting.join(&registry, &name, false).unwrap());
        }
        for index in removed {
            if !names.is_empty() {
                let name = index.get(&names.keys().cloned().collect::<Vec<_>>()).clone();
                let session = names.remove(&name);
                prop_assert!(registry.remove(&session.unwrap()).is_some());
            }
        }
        let mut shown = pages(&registry, limit);
        shown.sort();
        prop_assert_eq!(shown, names.into_keys().collect::<Vec<_>>());
    }
}

#[test]
fn the_number_of_sessions_never_exceeds_its_limit_whoever_comes_at_once() {
    let accounting = Accounting::new();
    let (max, names) = (7, 40);
    let registry = Registry::new(max);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (registry, accounting) = (&registry, &accounting);
            scope.spawn(move || {
                for turn in 0..4000 {
                    let name = format!("{}", (turn * 7 + thread * 13) % names);
                    match accounting.join(registry, &name, false) {
                        Ok(session) if turn % 3 == 0 => drop(registry.remove(&session)),
                        Ok(_) => {}
                        Err(RegistryError::Full { max_sessions }) => assert_eq!(max_sessions, max),
                    }
                    assert!(registry.len() <= max);
                }
            });
        }
        for _ in 0..200 {
            sweep(&registry, |_| true);
            assert!(registry.len() <= max);
        }
    });
    assert_eq!(pages(&registry, 3).len(), registry.len(), "the count is the number there is");
    sweep(&registry, |_| true);
    assert!(registry.is_empty());
}

#[test]
fn no_subscriber_ever_sits_in_a_removed_session() {
    let accounting = Accounting::new();
    let registry = Registry::new(100);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (registry, accounting) = (&registry, &accounting);
            scope.spawn(move || {
                for turn in 0..3000 {
                    let name = format!("{}", (turn + thread) % 3);
                    let session = accounting.join(registry, &name, true).unwrap();
                    assert!(!session.with_log(|log| log.ended()));
                    session.with_log(append);
                    assert!(Arc::ptr_eq(&session, &registry.get(&name).unwrap()));
                    session.leave(Tick::ZERO);
                }
            });
        }
        for _ in 0..300 {
            sweep(&registry, |_| true);
        }
    });
    sweep(&registry, |_| true);
    assert!(registry.is_empty());
}

#[test]
fn events_held_are_those_appended_less_those_removed_whoever_ends_a_session() {
    let accounting = Accounting::new();
    let registry = Registry::new(100);
    let (appended, removed) = std::thread::scope(|scope| {
        let (registry, accounting) = (&registry, &accounting);
        let publish = move || {
            let mut appended = 0;
            for _ in 0..4000 {
                let session = accounting.join(registry, "a", false).unwrap();
                let freed = session.with_log(|log: &mut Log| {
                    (!log.ended()).then(|| {
                        let before = log.events();
                        append(log);
                        log.events() - before
                    })
                });
                appended += freed.unwrap_or(0);
            }
            appended
        };
        let publishers: Vec<_> = (0..2).map(|_| scope.spawn(publish)).collect();
        let mut removed = 0;
        for _ in 0..2000 {
            if let Some(session) = registry.get("a") {
                removed += registry.remove(&session).unwrap_or(0);
            }
        }
        (publishers.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>(), removed)
    });
    let left = registry.get("a").map_or(0, |session| session.with_log(|log| log.events()));
    assert_eq!(appended, removed + left);
}

#[test]
fn leak_class_e_names_of_many_sessions_come_and_go_and_leave_nothing() {
    let accounting = Accounting::new();
    let registry = Registry::new(100_000);
    for number in 0..100_000 {
        let session = accounting.join(&registry, &format!("session of user {number}"), false).unwrap();
        session.with_log(append);
    }
    assert_eq!((registry.len(), accounting.ledger.live(Kind::Session)), (100_000, 100_000));
    assert!(accounting.join(&registry, "one too many", false).is_err());
    assert_eq!(sweep(&registry, |_| true), 100_000);
    assert_eq!(registry.len(), 0);
    accounting.assert_balanced();
}
