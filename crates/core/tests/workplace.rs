//! Who works at a place, and who looks after what is left: one thread at a time. What threads share in every order is in
//! `loom/workplace.rs`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

use watertight_core::{DirtyQueue, Visit, Workplace};

/// The numbers that were done, in order.
type Done = Vec<u32>;

const DONE: Visit = Visit { is_done: true, owner_is_needed: false };

/// Does the item that came in last, if it is small.
fn next(done: &mut Done, queue: &DirtyQueue<u32>) -> Option<Visit> {
    done.push(queue.take_last_if(|item| *item < 100)?);
    Some(DONE)
}

/// A visit that does `item`, at a place whose owner is woken by `woken`.
fn visit(place: &Workplace<Done, u32>, item: u32, woken: &Cell<u32>) -> bool {
    let work = |done: &mut Done| {
        done.push(item);
        DONE
    };
    place.visit(work, next, || woken.set(woken.get() + 1))
}

#[test]
fn a_visitor_does_small_items_of_others_too_and_wakes_a_sleeping_owner_for_the_rest() {
    let (place, woken) = (Workplace::new(Done::new()), Cell::new(0));
    let slept = place.wait(
        |_| Some("plan"),
        |plan| {
            assert_eq!(plan, Some("plan"));
            assert!(visit(&place, 1, &woken));
            assert_eq!(woken.get(), 0, "nothing is left for the owner");
            place.queue().add(100);
            [2, 3].into_iter().for_each(|item| place.queue().add(item));
            assert!(visit(&place, 4, &woken));
            woken.get()
        },
    );
    assert_eq!(slept, 1);
    assert_eq!(place.own(|done| done.clone()), [1, 4, 3, 2]);
    assert_eq!(place.queue().take_last_if(|_| true), Some(100));
}

#[test]
fn a_visitor_does_few_items_of_others_however_many_there_are() {
    let (place, woken) = (Workplace::new(Done::new()), Cell::new(0));
    (1..50).for_each(|item| place.queue().add(item));
    assert!(visit(&place, 0, &woken));
    let done = place.own(|done| done.len());
    assert!((2..10).contains(&done), "{done} were done by one visitor");
}

#[test]
fn an_item_left_where_nobody_is_at_work_is_done_or_wakes_the_owner() {
    let (place, woken) = (Workplace::new(Done::new()), Cell::new(0));
    place.wait(
        |_| Some(()),
        |_| {
            place.leave(7, next, || woken.set(woken.get() + 1));
            assert_eq!(woken.get(), 0);
            place.leave(700, next, || woken.set(woken.get() + 1));
            place.leave(701, next, || woken.set(woken.get() + 1));
            assert_eq!(woken.get(), 1, "once for one sleep");
        },
    );
    assert_eq!(place.own(|done| done.clone()), [7]);
}

#[test]
fn an_owner_with_work_of_its_own_does_not_sleep_and_one_that_is_needed_is_woken() {
    let (place, woken) = (Workplace::new(Done::new()), Cell::new(0));
    assert!(!place.wait(|_| None::<()>, |plan| plan.is_some()), "it is busy");
    let needed = Visit { is_done: true, owner_is_needed: true };
    place.wait(|_| Some(()), |_| place.visit(|_| needed, next, || woken.set(woken.get() + 1)));
    assert_eq!(woken.get(), 1);
    place.visit(|_| needed, next, || woken.set(woken.get() + 1));
    assert_eq!(woken.get(), 1, "it is awake, and looks before it sleeps");
}

#[test]
fn who_finds_somebody_at_work_leaves_the_item_and_whoever_works_does_it_after() {
    let (place, woken) = (Workplace::new(Done::new()), Cell::new(0));
    let work = |done: &mut Done| {
        done.push(1);
        assert!(!visit(&place, 2, &woken), "somebody is at work");
        place.leave(2, next, || woken.set(woken.get() + 1));
        DONE
    };
    assert!(place.visit(work, next, || woken.set(woken.get() + 1)));
    assert_eq!(place.own(|done| done.clone()), [1, 2]);
    assert_eq!(woken.get(), 0);
}

#[test]
fn while_the_owner_waits_for_its_turn_no_visitor_begins_one() {
    let place = Workplace::<Done, u32>::new(Done::new());
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let (begun, begins) = sync_channel(1);
        let (end, ends) = sync_channel::<()>(1);
        scope.spawn(|| {
            let work = move |done: &mut Done| {
                begun.send(()).unwrap();
                ends.recv().unwrap();
                done.push(1);
                DONE
            };
            assert!(place.visit(work, next, || {}));
        });
        begins.recv().unwrap();
        let owner = scope.spawn(|| place.own(|done| done.push(100)));
        while !place.is_awaited() {
            thread::yield_now();
        }
        // A storm of publishers.
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    place.visit(|done| (done.push(2), DONE).1, next, || {});
                }
            });
        }
        end.send(()).unwrap();
        owner.join().unwrap();
        is_over.store(true, Ordering::SeqCst);
    });
    assert_eq!(place.own(|done| done[..2].to_vec()), [1, 100]);
}
