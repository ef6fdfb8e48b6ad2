//! Publishing while the hub stops: whatever was let in is there before the last look.

use std::sync::Arc;
use std::task::Poll;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use watertight_core::PublishGate;

use crate::world::{Bell, append, check, session};

#[test]
fn what_was_let_in_is_in_its_log_before_the_last_look_and_nothing_comes_after_it() {
    check(4, || {
        let (_accounting, session) = session(4);
        let gate = Arc::new(PublishGate::default());
        let taken = Arc::new(AtomicUsize::new(0));
        let publishers: Vec<_> = (0..2)
            .map(|_| {
                let (gate, session, taken) = (Arc::clone(&gate), Arc::clone(&session), Arc::clone(&taken));
                thread::spawn(move || {
                    if let Some(_pass) = gate.enter() {
                        session.with_log(append);
                        taken.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        gate.close();
        let bell = Bell::new();
        while gate.poll_left(&bell.waker()) == Poll::Pending {
            bell.sleep();
        }
        let last_look = session.head() - 1;
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        assert_eq!(last_look, taken.load(Ordering::SeqCst) as u64, "seen and taken");
        assert!(gate.enter().is_none() && gate.is_closed());
    });
}

#[test]
fn whoever_waits_for_the_last_to_leave_is_woken_although_others_wait_too() {
    check(3, || {
        let gate = Arc::new(PublishGate::default());
        let pass_is_held = thread::spawn({
            let gate = Arc::clone(&gate);
            move || drop(gate.enter())
        });
        let waits = |gate: Arc<PublishGate>| {
            move || {
                gate.close();
                let bell = Bell::new();
                while gate.poll_left(&bell.waker()) == Poll::Pending {
                    bell.sleep();
                }
            }
        };
        let other = thread::spawn(waits(Arc::clone(&gate)));
        waits(gate)();
        other.join().unwrap();
        pass_is_held.join().unwrap();
    });
}
