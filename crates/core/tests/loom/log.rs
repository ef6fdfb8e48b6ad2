//! A log that is published to, read and trimmed at once.

use std::sync::Arc;

use loom::thread;
use watertight_core::{Cursor, Epoch, EventCount, Frame, Log, LogLimits, Owner, Resume, Tick};

use crate::world::{Reader, append, check, session};

#[test]
fn no_event_is_lost_or_doubled_between_replay_and_live() {
    for resume in [Resume::Live, Resume::All, Resume::Last(1)] {
        check(4, move || {
            let (_accounting, session) = session(4);
            session.with_log(append);
            let publisher = thread::spawn({
                let session = Arc::clone(&session);
                move || (0..2).for_each(|_| session.with_log(append))
            });
            let ((cursor, gaps), next) =
                session.with_log(|log| (log.locate(resume, true, Tick::ZERO), log.next()));
            let asked_for = match resume {
                Resume::All => 1,
                Resume::Last(count) => next - count,
                _ => next,
            };
            assert_eq!((cursor.next, gaps.len()), (asked_for, 0), "nothing is lost at the start");
            let mut reader = Reader::at(cursor);
            session.with_log(|log| reader.read(log));
            publisher.join().unwrap();
            session.with_log(|log| reader.read(log));
            assert_eq!((reader.events, reader.missed), (4 - asked_for, 0));
        });
    }
}

#[test]
fn the_head_seen_without_the_lock_is_never_ahead_of_the_log() {
    check(4, || {
        let (_accounting, session) = session(4);
        let publishers: Vec<_> = (0..2)
            .map(|_| {
                let session = Arc::clone(&session);
                thread::spawn(move || session.with_log(append))
            })
            .collect();
        let seen = session.head();
        assert!(session.with_log(|log| log.next()) >= seen);
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        assert_eq!(session.head(), 3, "and catches up with it");
    });
}

#[test]
fn what_is_evicted_while_a_reader_reads_becomes_a_gap_and_nothing_else() {
    check(4, || {
        let (_accounting, session) = session(2);
        let publisher = thread::spawn({
            let session = Arc::clone(&session);
            move || (0..3).for_each(|_| session.with_log(append))
        });
        let trimmer = thread::spawn({
            let session = Arc::clone(&session);
            move || session.with_log(|log| log.shed_before(2)).events
        });
        let mut reader = Reader::new();
        session.with_log(|log| reader.read(log));
        publisher.join().unwrap();
        trimmer.join().unwrap();
        session.with_log(|log| reader.read(log));
        assert_eq!(reader.events + reader.missed, 3, "each of three, given or named");
    });
}

#[test]
fn history_that_a_reader_still_needs_is_not_shed() {
    check(4, || {
        let (_accounting, session) = session(4);
        session.view(0).joined(1, false);
        let publisher = thread::spawn({
            let session = Arc::clone(&session);
            move || (0..2).for_each(|_| session.with_log(append))
        });
        let trimmer = thread::spawn({
            let session = Arc::clone(&session);
            move || {
                let needed = session.oldest_needed();
                session.with_log(|log| log.shed_before(needed));
            }
        });
        let mut reader = Reader::new();
        session.with_log(|log| reader.read(log));
        session.view(0).set_oldest(reader.cursor.next);
        publisher.join().unwrap();
        trimmer.join().unwrap();
        session.with_log(|log| reader.read(log));
        assert_eq!((reader.events, reader.missed), (2, 0));
    });
}

#[test]
fn leak_class_a_a_frame_is_charged_until_the_last_of_log_and_readers_lets_go() {
    check(4, || {
        let (accounting, session) = session(1);
        let publish = |log: &mut watertight_core::Log, permit| {
            log.append(Frame::new(b"0\r\n\r\n", Some(permit)), Tick::NEVER)
        };
        let permit = accounting.budget.charge(Owner::Frames, 10);
        session.with_log(|log| publish(log, permit));
        let publisher = thread::spawn({
            let (budget, session) = (Arc::clone(&accounting.budget), Arc::clone(&session));
            move || {
                let permit = budget.charge(Owner::Frames, 100);
                session.with_log(|log| publish(log, permit));
            }
        });
        let mut pinned = Vec::new();
        session.with_log(|log| {
            let limit = watertight_core::log::ReadLimit { events: 1, bytes: 1 };
            let mut cursor = Cursor { next: log.first(), live: false };
            log.read(&mut cursor, Tick::ZERO, limit, |piece| pinned.push(piece));
        });
        publisher.join().unwrap();
        let used = accounting.budget.used_by(Owner::Frames);
        assert!(used == 110 || used == 100, "what is pinned and what is kept: {used}");
        drop(session);
        assert!(accounting.budget.used_by(Owner::Frames) > 0);
        drop(pinned);
        accounting.assert_balanced();
    });
}

#[test]
fn the_events_of_all_logs_are_counted_right_at_every_instant() {
    check(4, || {
        let count = Arc::new(EventCount::default());
        let log = || {
            let limits = LogLimits { max_queue_size: 1, max_history: 1, max_bytes: usize::MAX };
            Log::new(Epoch::from_bits(1), limits).counted_in(Arc::clone(&count))
        };
        // A full log that recycles, and one that is given up.
        let (mut full, mut other) = (log(), log());
        append(&mut full);
        append(&mut other);
        let recycler = thread::spawn(move || {
            append(&mut full);
            full
        });
        let ender = thread::spawn(move || drop(other));
        let seen = count.get();
        assert!((1..=2).contains(&seen), "{seen}");
        let full = recycler.join().unwrap();
        ender.join().unwrap();
        assert_eq!(count.get(), 1);
        drop(full);
        assert_eq!(count.get(), 0);
    });
}
