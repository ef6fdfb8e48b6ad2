//! Publishers that deliver themselves where nobody is at work, beside a pump: every event is delivered once, in order,
//! whoever does it, and the pump sleeps only when nothing is left. The steps are those of `workplace.rs` and `mailbox.rs`.

use std::sync::Arc;

use loom::thread;
use watertight_core::mailbox::{announce, read_news};
use watertight_core::{DirtyQueue, Session, Visit, Workplace};

use crate::world::{Bell, Reader, append, check, session};

/// A shard of one session with one socket.
struct Shard {
    reader: Reader,
    /// The socket was full for a visitor: the pump has to write on.
    is_ready: bool,
}

#[derive(Clone)]
struct Place {
    work: Arc<Workplace<Shard, Arc<Session>>>,
    bell: Arc<Bell>,
    /// Visitors leave the writing to the pump after they have read.
    sockets_are_full: bool,
}

impl Place {
    fn new(sockets_are_full: bool) -> Place {
        let shard = Shard { reader: Reader::new(), is_ready: false };
        Place { work: Arc::new(Workplace::new(shard)), bell: Bell::new(), sockets_are_full }
    }

    fn deliver(&self, shard: &mut Shard, session: &Session) -> Visit {
        if self.sockets_are_full {
            shard.is_ready = true;
        } else {
            session.with_log(|log| shard.reader.read(log));
        }
        Visit { is_done: true, owner_is_needed: shard.is_ready }
    }

    fn publish(&self, session: &Arc<Session>) {
        session.with_log(append);
        let next = |shard: &mut Shard, queue: &DirtyQueue<Arc<Session>>| {
            let session = queue.take_last_if(|_| true)?;
            Some(read_news(&session, 0, |session| self.deliver(shard, session)))
        };
        let deliver = |_| self.work.visit(|shard| self.deliver(shard, session), next, || self.bell.ring());
        let send = |_| self.work.leave(Arc::clone(session), next, || self.bell.ring());
        announce(session, || None, deliver, send);
    }

    /// Turns of the pump until everything up to `upto` is delivered, whoever did it.
    fn pump(&self, session: &Session, upto: u64) {
        let mut items = Vec::new();
        loop {
            let plan = |shard: &mut Shard| {
                let is_over = shard.reader.cursor.next >= upto;
                (!shard.is_ready && !is_over).then_some(())
            };
            self.work.wait(plan, |may_sleep| {
                if may_sleep.is_some() {
                    self.bell.sleep();
                }
            });
            let is_over = self.work.own(|shard| {
                self.work.queue().drain(&mut items);
                for session in items.drain(..) {
                    read_news(&session, 0, |session| session.with_log(|log| shard.reader.read(log)));
                }
                if std::mem::take(&mut shard.is_ready) {
                    session.with_log(|log| shard.reader.read(log));
                }
                shard.reader.cursor.next >= upto
            });
            if is_over && self.work.queue().is_empty() {
                return;
            }
        }
    }

    /// As a test's end: the pump is woken when all publishers have gone, and finds everything delivered.
    fn run(self, publishers: usize, events_each: usize) {
        let (accounting, session) = session(8);
        session.view(0).set_group(Some(0));
        let upto = 1 + (publishers * events_each) as u64;
        let threads: Vec<_> = (0..publishers)
            .map(|_| {
                let (place, session) = (self.clone(), Arc::clone(&session));
                thread::spawn(move || (0..events_each).for_each(|_| place.publish(&session)))
            })
            .collect();
        let pump = thread::spawn({
            let (place, session) = (self.clone(), Arc::clone(&session));
            move || place.pump(&session, upto)
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        // The last delivery may have been a visitor's, of which the sleeping pump needs to know nothing. What it does
        // need to know of, it was woken for before this.
        let is_delivered = self.work.own(|shard| shard.reader.cursor.next == upto && !shard.is_ready);
        if is_delivered && self.work.queue().is_empty() {
            self.bell.ring();
        }
        pump.join().unwrap();
        let (events, missed) = self.work.own(|shard| (shard.reader.events, shard.reader.missed));
        assert_eq!((events, missed), (upto - 1, 0));
        assert!(!session.view(0).is_marked(), "nobody takes it any more, and nobody tells of it");
        drop((self, session));
        accounting.assert_balanced();
    }
}

#[test]
fn leak_class_h_two_publishers_and_a_pump_deliver_every_event_once_whoever_is_at_work() {
    check(3, || Place::new(false).run(2, 1));
}

#[test]
fn leak_class_h_one_publisher_after_another_event_beside_a_pump_that_parks() {
    check(3, || Place::new(false).run(1, 2));
}

#[test]
fn leak_class_h_a_pump_is_woken_for_what_a_publisher_could_not_write() {
    check(3, || Place::new(true).run(2, 1));
}
