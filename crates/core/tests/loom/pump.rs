//! From a publisher to whoever reads: no notification is lost, none comes twice. The steps on both sides are
//! those of `mailbox.rs`, which the hub's threads call too; only the bell and the loop around them are a model's.

use std::sync::Arc;

use loom::thread;
use watertight_core::mailbox::{announce, read_news, wake_paced, wake_tasks};
use watertight_core::{DirtyQueue, Session, TaskSubscriber, Tick};

use crate::world::{Bell, Reader, append, check, session};

/// A shard's mailbox, as publishers see it.
#[derive(Clone)]
struct Mailbox {
    queue: Arc<DirtyQueue<Arc<Session>>>,
    bell: Arc<Bell>,
}

impl Mailbox {
    fn new() -> Mailbox {
        Mailbox { queue: Arc::new(DirtyQueue::new()), bell: Bell::new() }
    }

    fn publish(&self, session: &Arc<Session>) {
        session.with_log(append);
        let send = |_| self.queue.send(Arc::clone(session), || self.bell.ring());
        announce(session, || Some(0), |_| false, send);
    }

    /// Turns of a shard, until `reader` has come to event `upto`.
    fn pump(&self, reader: &mut Reader, upto: u64) {
        let mut work = Vec::new();
        while reader.cursor.next < upto {
            self.queue.wait(
                || false,
                |may_sleep| {
                    if may_sleep {
                        self.bell.sleep();
                    }
                },
            );
            self.queue.drain(&mut work);
            for session in work.drain(..) {
                read_news(&session, 0, |session| session.with_log(|log| reader.read(log)));
            }
        }
    }
}

#[test]
fn leak_class_h_no_notification_is_lost_in_any_order_of_publishers_and_pump() {
    check(4, || {
        let (accounting, session) = session(4);
        let mailbox = Mailbox::new();
        session.view(0).set_group(Some(0));
        let publishers: Vec<_> = (0..2)
            .map(|_| {
                let (mailbox, session) = (mailbox.clone(), Arc::clone(&session));
                thread::spawn(move || mailbox.publish(&session))
            })
            .collect();
        let mut reader = Reader::new();
        mailbox.pump(&mut reader, 3);
        assert_eq!((reader.events, reader.missed), (2, 0));
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        drop((session, mailbox));
        accounting.assert_balanced();
    });
}

#[test]
fn every_event_published_while_the_pump_reads_is_delivered() {
    check(4, || {
        let (_accounting, session) = session(4);
        let mailbox = Mailbox::new();
        session.view(0).set_group(Some(0));
        let publisher = thread::spawn({
            let (mailbox, session) = (mailbox.clone(), Arc::clone(&session));
            move || (0..3).for_each(|_| mailbox.publish(&session))
        });
        let mut reader = Reader::new();
        mailbox.pump(&mut reader, 4);
        assert_eq!((reader.events, reader.missed), (3, 0));
        publisher.join().unwrap();
    });
}

#[test]
fn no_event_falls_between_a_group_s_announcement_and_its_first_read() {
    check(4, || {
        let (_accounting, session) = session(4);
        let mailbox = Mailbox::new();
        let publisher = thread::spawn({
            let (mailbox, session) = (mailbox.clone(), Arc::clone(&session));
            move || (0..2).for_each(|_| mailbox.publish(&session))
        });
        // Adoption: the group is announced first, then the newcomer catches up by itself.
        let mut reader = Reader::new();
        session.view(0).set_group(Some(0));
        session.with_log(|log| reader.read(log));
        mailbox.pump(&mut reader, 3);
        assert_eq!((reader.events, reader.missed), (2, 0));
        publisher.join().unwrap();
    });
}

#[test]
fn a_pump_is_woken_once_for_each_sleep() {
    check(4, || {
        let queue = Arc::new(DirtyQueue::new());
        assert!(queue.park());
        let pushers: Vec<_> = (0..2)
            .map(|item| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || queue.push(item))
            })
            .collect();
        let woken: Vec<bool> = pushers.into_iter().map(|pusher| pusher.join().unwrap()).collect();
        assert_eq!(woken.iter().filter(|woken| **woken).count(), 1);
        let mut items = Vec::new();
        queue.drain(&mut items);
        items.sort_unstable();
        assert_eq!(items, [0, 1]);
    });
}

#[test]
fn leak_class_h_a_task_that_registers_while_an_event_comes_in_is_woken_or_sees_it() {
    check(4, || {
        let (_accounting, session) = session(4);
        let publisher = thread::spawn({
            let session = Arc::clone(&session);
            move || {
                session.with_log(append);
                wake_tasks(&session, Tick::ZERO, &mut Vec::new());
            }
        });
        let (bell, mut reader) = (Bell::new(), Reader::new());
        let task = TaskSubscriber::new(1, Tick::ZERO);
        session.add_task(Arc::clone(&task));
        loop {
            // As a poll does: register, then look.
            task.waker().register(&bell.waker());
            session.with_log(|log| reader.read(log));
            task.progress(reader.cursor.next, false, Tick::ZERO);
            if reader.events == 1 {
                break;
            }
            bell.sleep();
        }
        session.remove_task(&task);
        assert!(!session.has_tasks());
        publisher.join().unwrap();
    });
}

#[test]
fn leak_class_h_a_publisher_that_waits_for_the_pump_is_woken_when_it_has_come_closer() {
    check(4, || {
        let (_accounting, session) = session(4);
        session.view(0).set_group(Some(0));
        session.view(0).set_served(1);
        session.with_log(|log| (0..2).for_each(|_| append(log)));
        let pump = thread::spawn({
            let session = Arc::clone(&session);
            move || {
                session.view(0).set_served(session.head());
                wake_paced(&session, &mut Vec::new());
            }
        });
        let bell = Bell::new();
        let waker = Arc::new(atomic_waker::AtomicWaker::new());
        let key = session.add_paced(Arc::clone(&waker), 1);
        loop {
            waker.register(&bell.waker());
            if session.backlog(Tick::ZERO) <= 1 {
                break;
            }
            bell.sleep();
        }
        session.remove_paced(key);
        assert!(!session.has_paced());
        pump.join().unwrap();
    });
}
