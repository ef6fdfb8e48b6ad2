//! Joining, publishing, leaving and removing, all at once: nobody is left in a session that is no more.

use std::sync::Arc;

use loom::thread;
use watertight_core::limits::REGISTRY_STRIPES;
use watertight_core::registry::{Registry, ScanPoint};
use watertight_core::{RegistryError, Session, Tick};

use crate::world::{Accounting, Reader, append, check, named};

/// What a hub keeps about its sessions.
#[derive(Clone)]
struct Hub {
    accounting: Accounting,
    registry: Arc<Registry>,
}

impl Hub {
    fn new(max_sessions: usize) -> Hub {
        Hub { accounting: Accounting::new(), registry: Arc::new(Registry::new(max_sessions)) }
    }

    fn session(&self, name: &str, join: bool) -> Result<Arc<Session>, RegistryError> {
        let name = named(name);
        let make = || Ok(self.accounting.session(&name, 1, 8));
        self.registry.get_or_create(&name, Tick::ZERO, join, make)
    }

    /// Publishes; into a new session if the one found is ended meanwhile.
    fn publish(&self) {
        loop {
            let session = self.session("a", false).unwrap();
            let appended = session.with_log(|log| {
                let open = !log.ended();
                if open {
                    append(log);
                }
                open
            });
            if appended {
                return;
            }
        }
    }

    /// One pass of cleanup that takes whatever nobody reads. Returns sessions and events.
    fn sweep(&self) -> (usize, usize) {
        let (mut next, mut swept) = (Some(ScanPoint::default()), (0, 0));
        while let Some(at) = next {
            let slice = self.registry.slice(at, |_| true, |_| {});
            swept = (swept.0 + slice.sessions, swept.1 + slice.events);
            next = slice.next;
        }
        swept
    }

    fn finish(self) {
        self.sweep();
        assert!(self.registry.is_empty());
        drop(self.registry);
        self.accounting.assert_balanced();
    }
}

#[test]
fn leak_class_h_no_subscriber_sits_in_a_session_that_cleanup_removed() {
    check(4, || {
        let hub = Hub::new(4);
        let cleanup = thread::spawn({
            let hub = hub.clone();
            move || hub.sweep().0 + hub.sweep().0
        });
        let session = hub.session("a", true).unwrap();
        assert!(!session.with_log(|log| log.ended()));
        assert!(Arc::ptr_eq(&session, &hub.registry.get("a").unwrap()), "publishers find it, too");
        session.leave(Tick::ZERO);
        drop(session);
        assert!(cleanup.join().unwrap() <= 1);
        hub.finish();
    });
}

#[test]
fn the_last_two_subscribers_leave_while_cleanup_comes_by_and_it_is_removed_once() {
    check(3, || {
        let hub = Hub::new(4);
        let (one, two) = (hub.session("a", true).unwrap(), hub.session("a", true).unwrap());
        let leavers: Vec<_> =
            [one, two].into_iter().map(|session| thread::spawn(move || session.leave(Tick::ZERO))).collect();
        let swept = hub.sweep().0;
        leavers.into_iter().for_each(|leaver| leaver.join().unwrap());
        assert_eq!(swept + hub.sweep().0, 1);
        hub.finish();
    });
}

#[test]
fn an_event_published_while_its_session_is_ended_is_in_one_of_the_two() {
    check(4, || {
        let hub = Hub::new(4);
        let old = hub.session("a", true).unwrap();
        let publisher = thread::spawn({
            let hub = hub.clone();
            move || hub.publish()
        });
        let ender = thread::spawn({
            let (hub, old) = (hub.clone(), Arc::clone(&old));
            move || hub.registry.remove(&old).unwrap()
        });
        publisher.join().unwrap();
        let ended_with = ender.join().unwrap();
        let mut reader = Reader::new();
        old.with_log(|log| {
            assert!(log.ended());
            reader.read(log);
        });
        assert_eq!(reader.events, ended_with as u64, "who read it reads all that it held");
        let new = hub.registry.get("a").map_or(0, |session| session.with_log(|log| log.events()));
        assert_eq!(ended_with + new, 1);
        old.leave(Tick::ZERO);
        drop(old);
        hub.finish();
    });
}

#[test]
fn a_session_is_removed_once_by_whoever_comes_first() {
    check(4, || {
        let hub = Hub::new(4);
        hub.publish();
        let session = hub.registry.get("a").unwrap();
        let ender = thread::spawn({
            let hub = hub.clone();
            move || hub.registry.remove(&session)
        });
        let (sessions, events) = hub.sweep();
        let removed = ender.join().unwrap();
        assert_eq!((sessions + removed.iter().count(), events + removed.unwrap_or(0)), (1, 1));
        hub.finish();
    });
}

#[test]
fn two_who_ask_for_one_name_get_one_session() {
    check(4, || {
        let hub = Hub::new(4);
        let other = thread::spawn({
            let hub = hub.clone();
            move || hub.session("a", true).unwrap()
        });
        let session = hub.session("a", true).unwrap();
        let other = other.join().unwrap();
        assert!(Arc::ptr_eq(&session, &other) && session.subscribers() == 2 && hub.registry.len() == 1);
        session.leave(Tick::ZERO);
        other.leave(Tick::ZERO);
        drop((session, other));
        hub.finish();
    });
}

#[test]
fn the_last_session_allowed_is_given_once_and_found_again_across_stripes() {
    check(4, || {
        let hub = Hub::new(1);
        let (mine, theirs) = names_in_two_stripes(&hub);
        let other = thread::spawn({
            let hub = hub.clone();
            move || hub.session(theirs, false).is_ok()
        });
        let mine = hub.session(mine, false).is_ok();
        assert!(hub.registry.len() <= 1);
        assert!(mine != other.join().unwrap(), "one of the two");
        hub.sweep();
        assert!(hub.session("c", false).is_ok());
        hub.finish();
    });
}

/// Two names that no lock keeps apart.
fn names_in_two_stripes(hub: &Hub) -> (&'static str, &'static str) {
    let stripe_of = |name: &'static str| {
        drop(hub.session(name, false).unwrap());
        let second = hub.registry.page(ScanPoint { stripe: 1, key: 0 }, 1).0;
        hub.sweep();
        second.len()
    };
    let other =
        ["b", "c", "d", "e", "f", "g", "h"].into_iter().find(|name| stripe_of(name) != stripe_of("a"));
    ("a", other.unwrap())
}

#[test]
fn leak_class_h_publishing_cleanup_and_trimming_take_their_locks_in_one_order() {
    check(3, || {
        let hub = Hub::new(4);
        let subscribed = hub.session("a", true).unwrap();
        let publisher = thread::spawn({
            let hub = hub.clone();
            move || hub.publish()
        });
        let trimmer = thread::spawn({
            let hub = hub.clone();
            move || {
                let trim = |session: &Arc<Session>| {
                    let needed = session.oldest_needed();
                    session.with_log(|log| log.shed_before(needed));
                };
                for stripe in 0..REGISTRY_STRIPES {
                    hub.registry.slice(ScanPoint { stripe, key: 0 }, |_| false, trim);
                }
            }
        });
        hub.sweep();
        assert_eq!(hub.registry.page(ScanPoint::default(), 8).0.len(), 1);
        publisher.join().unwrap();
        trimmer.join().unwrap();
        subscribed.leave(Tick::ZERO);
        drop(subscribed);
        hub.finish();
    });
}
