//! Tombstones: who is told, for how long, and that they are bounded.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod support;

use std::time::Duration;

use watertight_core::limits::{TOMBSTONE_BYTES, TOMBSTONES_MAX};
use watertight_core::{Budget, Epoch, Owner, Position, Tick, Tombstones};

use crate::support::Accounting;

const TTL: Duration = Duration::from_millis(1000);

fn position(epoch: u64, sequence: u64) -> Position {
    Position { epoch: Epoch::from_bits(epoch), sequence }
}

fn add(tombstones: &mut Tombstones, accounting: &Accounting, name: &str, last: Position, now: u64) {
    let charge = |bytes| accounting.budget.try_charge(Owner::Caches, bytes);
    tombstones.add(name, last, Tick(now), charge).unwrap();
}

#[test]
fn an_id_of_a_forgotten_session_is_known_for_its_time_and_under_its_name_only() {
    let accounting = Accounting::new();
    let mut tombstones = Tombstones::new(TTL);
    add(&mut tombstones, &accounting, "a", position(1, 7), 500);
    let find = |name, epoch, now| tombstones.find(name, Epoch::from_bits(epoch), Tick(now));
    assert_eq!(find("a", 1, 1499), Some(position(1, 7)));
    assert_eq!(find("a", 1, 1500), None, "its time is over");
    assert_eq!((find("b", 1, 600), find("a", 2, 600)), (None, None));
}

#[test]
fn leak_class_e_tombstones_are_charged_and_go_when_their_time_is_over() {
    let accounting = Accounting::new();
    let mut tombstones = Tombstones::new(TTL);
    for number in 0..1000 {
        add(&mut tombstones, &accounting, "a", position(number, 1), number);
        add(&mut tombstones, &accounting, "a", position(number, 1), number);
    }
    assert_eq!((tombstones.len(), accounting.budget.used()), (1000, 1000 * TOMBSTONE_BYTES));
    tombstones.sweep(Tick(1000 + 899));
    assert_eq!((tombstones.len(), accounting.budget.used()), (100, 100 * TOMBSTONE_BYTES));
    tombstones.sweep(Tick(5000));
    assert!(tombstones.is_empty());
    accounting.assert_balanced();
}

#[test]
fn leak_class_e_there_are_never_more_tombstones_than_their_limit_and_the_oldest_go_first() {
    let accounting = Accounting::new();
    let mut tombstones = Tombstones::new(TTL);
    for number in 0..TOMBSTONES_MAX as u64 + 10 {
        add(&mut tombstones, &accounting, "a", position(number, 1), 0);
        assert!(tombstones.len() <= TOMBSTONES_MAX);
    }
    let is_known = |number| tombstones.find("a", Epoch::from_bits(number), Tick::ZERO).is_some();
    assert_eq!((is_known(9), is_known(10), is_known(TOMBSTONES_MAX as u64 + 9)), (false, true, true));
}

#[test]
fn without_room_the_oldest_goes_and_without_one_to_go_nothing_is_noted() {
    let budget = Budget::new(TOMBSTONE_BYTES, 2 * TOMBSTONE_BYTES);
    let charge = |bytes| budget.try_charge(Owner::Caches, bytes);
    let mut tombstones = Tombstones::new(TTL);
    for number in 0..5 {
        tombstones.add("a", position(number, 1), Tick(number), charge).unwrap();
    }
    assert_eq!((tombstones.len(), budget.used()), (2, 2 * TOMBSTONE_BYTES));
    drop(tombstones);
    let _full = budget.charge(Owner::Requests, 2 * TOMBSTONE_BYTES);
    let mut tombstones = Tombstones::new(TTL);
    assert!(tombstones.add("a", position(1, 1), Tick::ZERO, charge).is_err());
    assert_eq!((tombstones.len(), tombstones.find("a", Epoch::from_bits(1), Tick::ZERO)), (0, None));
}
