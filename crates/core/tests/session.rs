//! A session: what publishers, pumps and readers tell each other through it.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use atomic_waker::AtomicWaker;
use watertight_core::limits::READING_PATIENCE_MS;
use watertight_core::{Kind, Session, TaskSubscriber, Tick};

use crate::support::{Accounting, append, limits};

fn session(accounting: &Accounting, shards: usize) -> Arc<Session> {
    accounting.session("demo", limits(10, 10), shards)
}

fn publish(session: &Session, events: u64) {
    session.with_log(|log| (0..events).for_each(|_| append(log)));
}

#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Bell {
    fn rings(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn the_head_is_the_log_s_without_its_lock() {
    let accounting = Accounting::new();
    let session = session(&accounting, 1);
    assert_eq!(session.head(), 1);
    publish(&session, 3);
    assert_eq!(session.head(), 4);
    session.with_log(|log| log.shed_before(u64::MAX));
    assert_eq!(session.head(), 4);
}

#[test]
fn a_session_is_queued_once_however_often_it_is_marked() {
    let accounting = Accounting::new();
    let session = session(&accounting, 2);
    let view = session.view(0);
    assert_eq!([view.mark(), view.mark(), view.mark()], [true, false, false]);
    assert!(session.view(1).mark(), "each shard for itself");
    view.clear();
    assert!(view.mark());
}

#[test]
fn the_oldest_event_needed_is_that_of_the_furthest_behind_socket_or_task() {
    let accounting = Accounting::new();
    let session = session(&accounting, 2);
    publish(&session, 8);
    assert_eq!(session.oldest_needed(), 9, "nobody needs anything");
    session.view(1).set_oldest(5);
    assert_eq!(session.oldest_needed(), 5);
    session.view(1).joined(7, false);
    assert_eq!(session.oldest_needed(), 5, "who comes later does not hide who was there");
    session.view(0).joined(3, false);
    assert_eq!(session.oldest_needed(), 3);
    let task = TaskSubscriber::new(2, Tick::ZERO);
    session.add_task(Arc::clone(&task));
    assert_eq!(session.oldest_needed(), 2);
    task.progress(9, false, Tick::ZERO);
    assert_eq!(session.oldest_needed(), 3);
    session.remove_task(&task);
    session.view(0).set_group(None);
    session.view(1).set_group(None);
    assert_eq!(session.oldest_needed(), 9, "a group that went needs nothing");
}

#[test]
fn publishers_are_held_back_by_the_slowest_who_still_reads() {
    let accounting = Accounting::new();
    let session = session(&accounting, 2);
    publish(&session, 8);
    assert_eq!(session.backlog(Tick::ZERO), 0, "nobody reads");
    session.view(0).set_group(Some(1));
    session.view(0).set_served(7);
    session.view(1).set_served(4);
    assert_eq!(session.backlog(Tick::ZERO), 5);
    session.view(1).set_served(u64::MAX);
    assert_eq!(session.backlog(Tick::ZERO), 2);
    session.view(0).set_group(None);
    assert_eq!((session.view(0).group(), session.backlog(Tick::ZERO)), (None, 0));
}

#[test]
fn a_socket_that_has_caught_up_slows_publishers_down_from_its_first_moment() {
    let accounting = Accounting::new();
    let session = session(&accounting, 1);
    session.view(0).set_group(Some(1));
    session.view(0).joined(1, true);
    publish(&session, 8);
    assert_eq!(session.backlog(Tick::ZERO), 8, "no pass has met it yet");
    session.view(0).set_group(None);
    session.view(0).joined(1, false);
    assert_eq!(session.backlog(Tick::ZERO), 0, "one that replays holds nobody back");
}

#[test]
fn a_task_that_stalls_holds_nobody_back_after_its_patience() {
    let accounting = Accounting::new();
    let session = session(&accounting, 1);
    publish(&session, 8);
    let task = TaskSubscriber::new(1, Tick(1000));
    session.add_task(Arc::clone(&task));
    assert_eq!(session.backlog(Tick(1000 + READING_PATIENCE_MS - 1)), 8);
    assert_eq!(session.backlog(Tick(1000 + READING_PATIENCE_MS)), 0);
    task.progress(6, false, Tick(5000));
    assert_eq!(session.backlog(Tick(5000)), 3);
    session.remove_task(&task);
    assert_eq!(session.backlog(Tick(5000)), 0);
}

#[test]
fn tasks_come_and_go_in_any_order() {
    let accounting = Accounting::new();
    let session = session(&accounting, 1);
    assert!(!session.has_tasks());
    let tasks: Vec<_> = (0..300).map(|_| TaskSubscriber::new(1, Tick::ZERO)).collect();
    tasks.iter().for_each(|task| session.add_task(Arc::clone(task)));
    let mut seen = Vec::new();
    session.tasks(&mut seen);
    assert_eq!((session.has_tasks(), seen.len()), (true, 300));
    for (gone, task) in tasks.iter().enumerate() {
        session.remove_task(task);
        session.remove_task(task);
        seen.clear();
        session.tasks(&mut seen);
        assert_eq!(seen.len(), 299 - gone, "taken out once, however often it is asked");
        assert!(!seen.iter().any(|other| Arc::ptr_eq(other, task)));
    }
    session.remove_task(&TaskSubscriber::new(1, Tick::ZERO));
    assert!(!session.has_tasks());
}

#[test]
fn waiting_publishers_come_and_go_by_their_keys() {
    let accounting = Accounting::new();
    let session = session(&accounting, 1);
    let (bell, waker) = bell();
    let cell = Arc::new(AtomicWaker::new());
    cell.register(&waker);
    assert_eq!(session.near(), None);
    let key = session.add_paced(cell, 7);
    let stricter = session.add_paced(Arc::new(AtomicWaker::new()), 3);
    assert_eq!(session.near(), Some(3));
    session.remove_paced(stricter);
    assert_eq!(session.near(), Some(7));
    let mut paced = Vec::new();
    session.paced(&mut paced);
    paced.drain(..).for_each(|waker| waker.wake());
    assert_eq!((session.has_paced(), bell.rings()), (true, 1));
    session.remove_paced(key);
    session.remove_paced(key);
    assert!(!session.has_paced());
}

fn bell() -> (Arc<Bell>, Waker) {
    let bell = Arc::new(Bell::default());
    (Arc::clone(&bell), Waker::from(bell))
}

#[test]
fn what_is_offered_to_a_task_wakes_it_and_is_remembered_until_it_is_taken() {
    let task = TaskSubscriber::new(1, Tick::ZERO);
    let (bell, waker) = bell();
    task.waker().register(&waker);
    assert_eq!(task.offered_since(), Tick::NEVER);
    task.offer(Tick(5));
    task.offer(Tick(9));
    assert_eq!((task.offered_since(), bell.rings()), (Tick(5), 1));
    task.takes();
    task.progress(2, true, Tick(12));
    assert_eq!(task.offered_since(), Tick(12), "there is more");
    task.takes();
    task.progress(3, false, Tick(13));
    assert_eq!((task.offered_since(), task.position()), (Tick::NEVER, 3));
}

#[test]
fn activity_only_goes_forward() {
    let accounting = Accounting::new();
    let session = session(&accounting, 1);
    session.touch(Tick(50));
    session.touch(Tick(20));
    assert_eq!(session.last_activity(), Tick(50));
}

#[test]
fn every_session_has_a_home_among_its_shards() {
    let accounting = Accounting::new();
    for shards in 1..5 {
        let homes: std::collections::BTreeSet<_> =
            (0..100).map(|_| accounting.session("demo", limits(1, 1), shards).home()).collect();
        assert_eq!(homes, (0..shards).collect(), "no shard is left idle");
    }
}

#[test]
fn a_session_is_counted_and_charged_until_its_last_reference_goes() {
    let accounting = Accounting::new();
    let session = session(&accounting, 1);
    let reader = Arc::clone(&session);
    drop(session);
    assert_eq!(accounting.ledger.live(Kind::Session), 1);
    assert!(accounting.budget.used() > 0);
    drop(reader);
    accounting.assert_balanced();
}
