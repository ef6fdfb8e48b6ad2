//! What publisher and pump do to notify each other, one thread at a time; what threads share is in `loom/pump.rs`.

mod support;

use watertight_core::mailbox::{announce, read_news};
use watertight_core::{DirtyQueue, TaskSubscriber, Tick};

use crate::support::{Accounting, append, limits};

/// The shards that are told of news now.
fn told(session: &watertight_core::Session) -> Vec<usize> {
    let mut told = Vec::new();
    announce(session, || Some(session.home()), |_| false, |shard| told.push(shard));
    told
}

#[test]
fn only_shards_that_read_a_session_are_told_and_each_once_until_it_has_read() {
    let accounting = Accounting::new();
    let session = accounting.session("a", limits(4, 4), 3);
    assert_eq!(told(&session), Vec::<usize>::new(), "nobody reads");
    session.view(0).set_group(Some(7));
    session.view(2).set_group(Some(9));
    session.with_log(append);
    assert_eq!(told(&session), [0, 2]);
    assert_eq!(told(&session), Vec::<usize>::new(), "both know already");
    read_news(&session, 2, |_| ());
    assert_eq!(told(&session), [2]);
}

#[test]
fn a_shard_that_was_served_by_the_publisher_is_not_told_and_one_that_knows_is_left_alone() {
    let accounting = Accounting::new();
    let session = accounting.session("a", limits(4, 4), 3);
    (0..3).for_each(|shard| session.view(shard).set_group(Some(0)));
    let _ = session.view(2).mark();
    let (mut asked, mut told) = (Vec::new(), Vec::new());
    let deliver = |shard: usize| {
        asked.push(shard);
        shard == 0
    };
    announce(&session, || None, deliver, |shard| told.push(shard));
    assert_eq!((asked, told), (vec![0, 1], vec![1]));
    assert!(!session.view(0).is_marked() && session.view(1).is_marked());
}

#[test]
fn tasks_are_woken_by_the_home_shard_alone() {
    let accounting = Accounting::new();
    let session = accounting.session("a", limits(4, 4), 3);
    let task = TaskSubscriber::new(1, Tick::ZERO);
    session.add_task(task.clone());
    assert_eq!(told(&session), [session.home()]);
    read_news(&session, session.home(), |_| ());
    session.remove_task(&task);
    assert_eq!(told(&session), Vec::<usize>::new());
}

#[test]
fn what_is_published_while_a_session_is_read_is_told_again() {
    let accounting = Accounting::new();
    let session = accounting.session("a", limits(4, 4), 1);
    session.view(0).set_group(Some(0));
    assert_eq!(told(&session), [0]);
    assert_eq!(read_news(&session, 0, told), [0]);
}

#[test]
fn a_reader_sleeps_only_without_work_and_is_woken_by_what_comes_while_it_does() {
    let queue = DirtyQueue::new();
    let mut woken = 0;
    assert!(!queue.wait(|| true, |may_sleep| may_sleep), "it has work of its own");
    queue.send(1, || woken += 1);
    assert_eq!(woken, 0, "it is awake");
    assert!(!queue.wait(|| false, |may_sleep| may_sleep), "something is there");
    let mut items = Vec::new();
    queue.drain(&mut items);
    let sleeps = queue.wait(
        || false,
        |may_sleep| {
            [2, 3].into_iter().for_each(|item| queue.send(item, || woken += 1));
            may_sleep
        },
    );
    assert!(sleeps);
    assert_eq!(woken, 1, "once for one sleep");
    queue.send(4, || woken += 1);
    assert_eq!(woken, 1, "it is awake again");
}
