//! What a publisher delivers itself while a pump sleeps, what it leaves to the pump, and that nothing is lost between
//! the two.

use std::io::Read;
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use crate::support::eventually;
use crate::support::served::Served;
use watertight::{Event, HubConfig};
use watertight_core::Kind;

fn publish(served: &Served, data: &str) {
    served.hub.publish_now("s", &Event::new(data)).unwrap();
}

/// Both pumps sleep on, whatever wakes them.
fn asleep(served: &Served) -> [SyncSender<()>; 2] {
    [0, 1].map(|shard| served.hub.keep_pump_asleep(shard))
}

/// What comes until `end`, which is the last that was published.
fn text_until(mut reader: &TcpStream, end: &str) -> String {
    let (mut seen, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    while !seen.ends_with(end.as_bytes()) {
        let read = reader.read(&mut buffer).expect("more comes");
        assert_ne!(read, 0, "ended before {end:?}");
        seen.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8(seen).expect("text")
}

fn readers(served: &Served, count: usize) -> Vec<TcpStream> {
    let readers: Vec<_> = (0..count).map(|_| served.open("s")).collect();
    // Each has caught up by itself, so that a pass may write to it.
    publish(served, "first");
    readers.iter().for_each(|reader| drop(text_until(reader, "data: first\n\n\r\n")));
    readers
}

fn has_nothing(reader: &TcpStream) -> bool {
    reader.set_nonblocking(true).unwrap();
    let nothing = reader.peek(&mut [0; 1]).is_err();
    reader.set_nonblocking(false).unwrap();
    nothing
}

/// The `n` of each `data: nN.` in the order in which they came.
fn numbers(text: &str) -> Vec<usize> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: n"));
    data.filter_map(|text| text.split('.').next()?.parse().ok()).collect()
}

#[test]
fn a_small_group_gets_its_events_while_its_pumps_sleep() {
    let served = Served::new(HubConfig::default());
    let readers = readers(&served, 6);
    let keeps = asleep(&served);
    (0..50).for_each(|n| publish(&served, &format!("n{n}.")));
    for reader in &readers {
        let text = text_until(reader, "data: n49.\n\n\r\n");
        assert_eq!(numbers(&text), (0..50).collect::<Vec<_>>());
    }
    assert_eq!(served.hub.stats().subscribers, 6);
    drop(keeps);
}

#[test]
fn a_large_group_and_a_large_event_are_the_pumps() {
    let served = Served::new(HubConfig::default());
    let few = readers(&served, 2);
    let keeps = asleep(&served);
    let large = "x".repeat(100_000);
    publish(&served, &large);
    assert!(few.iter().all(has_nothing), "copying it takes longer than waking a pump");
    publish(&served, "n1.");
    assert!(few.iter().all(has_nothing), "and nothing overtakes it");
    drop(keeps);
    few.iter().for_each(|reader| drop(text_until(reader, "data: n1.\n\n\r\n")));

    let many = readers(&served, 40);
    let keeps = asleep(&served);
    publish(&served, "n2.");
    assert!(many.iter().all(has_nothing));
    drop(keeps);
    many.iter().for_each(|reader| drop(text_until(reader, "data: n2.\n\n\r\n")));
}

#[test]
fn a_publisher_writes_for_a_bounded_time_and_the_pump_goes_on_where_it_stopped() {
    let served = Served::new(HubConfig::default());
    let readers = readers(&served, 12);
    (0..2).for_each(|shard| served.hub.hurry_publishers(shard));
    let keeps = asleep(&served);
    publish(&served, "n1.");
    let served_now = readers.iter().filter(|reader| !has_nothing(reader)).count();
    assert_eq!(served_now, 2, "one at each pump");
    drop(keeps);
    // Each gets the next one whole, after the first, which some had begun to read.
    publish(&served, "n2.");
    for reader in &readers {
        let text = text_until(reader, "data: n2.\n\n\r\n");
        assert_eq!(text.matches("data: n1.").count(), 1, "{text}");
    }
}

#[test]
fn a_socket_that_was_full_for_a_publisher_gets_the_rest_from_its_pump() {
    let served = Served::new(HubConfig { max_history_bytes_per_session: 64 << 20, ..HubConfig::default() });
    let readers = readers(&served, 2);
    let mut sent = 0;
    let block = "y".repeat(20_000);
    // Until kernel and peer hold no more: publishers write until a socket is full, and go on at the other.
    while sent < 600 {
        publish(&served, &format!("n{sent}.{block}"));
        sent += 1;
    }
    for reader in &readers {
        let text = text_until(reader, &format!("data: n{}.{block}\n\n\r\n", sent - 1));
        assert_eq!(numbers(&text), (0..sent).collect::<Vec<_>>(), "none is lost, torn or doubled");
    }
}

#[test]
fn a_publisher_that_panics_publishes_and_its_shard_begins_anew() {
    let served = Served::new(HubConfig::default());
    let before = readers(&served, 4);
    (0..2).for_each(|shard| served.hub.inject_publisher_panic(shard));
    // A pump that is at work delivers itself.
    let keeps = asleep(&served);
    publish(&served, "n1.");
    drop(keeps);
    eventually("the guards ran", || served.hub.live(Kind::Connection) == 0);
    let restarts = || served.hub.counters().pump_restarts.load(Ordering::Relaxed);
    eventually("both pumps begin anew", || restarts() == 2);
    drop(before);
    let after = readers(&served, 4);
    publish(&served, "n2.");
    after.iter().for_each(|reader| drop(text_until(reader, "data: n2.\n\n\r\n")));
    assert_eq!(restarts(), 2, "and no more");
}

#[test]
fn a_reader_that_has_gone_when_a_publisher_writes_is_ended_by_its_pump() {
    let served = Served::new(HubConfig::default());
    let mut readers = readers(&served, 4);
    let keeps = asleep(&served);
    readers.drain(..2).for_each(|reader| {
        socket2::SockRef::from(&reader).set_linger(Some(Duration::ZERO)).unwrap();
    });
    // Some of these meet a connection that was reset.
    (0..5).for_each(|n| publish(&served, &format!("n{n}.")));
    drop(keeps);
    for reader in &readers {
        let text = text_until(reader, "data: n4.\n\n\r\n");
        assert_eq!(numbers(&text), [0, 1, 2, 3, 4]);
    }
    eventually("those are gone", || served.hub.live(Kind::Connection) == 2);
}

#[test]
fn many_publishers_of_one_session_and_of_many_lose_and_double_nothing() {
    const PUBLISHERS: usize = 4;
    const EVENTS: usize = 2_000;
    let served = Served::new(HubConfig { max_queue_size: 100_000, ..HubConfig::default() });
    let shared = readers(&served, 3);
    let own: Vec<_> = (0..PUBLISHERS).map(|number| served.open(&format!("own-{number}"))).collect();
    std::thread::scope(|scope| {
        for number in 0..PUBLISHERS {
            let hub = &served.hub;
            scope.spawn(move || {
                for n in 0..EVENTS {
                    hub.publish_now("s", &Event::new(format!("n{}.", number * EVENTS + n))).unwrap();
                    hub.publish_now(&format!("own-{number}"), &Event::new(format!("n{n}."))).unwrap();
                }
            });
        }
        for reader in &own {
            scope.spawn(move || {
                let text = text_until(reader, &format!("data: n{}.\n\n\r\n", EVENTS - 1));
                assert_eq!(numbers(&text), (0..EVENTS).collect::<Vec<_>>());
            });
        }
    });
    publish(&served, "last");
    for reader in &shared {
        let seen = numbers(&text_until(reader, "data: last\n\n\r\n"));
        for number in 0..PUBLISHERS {
            let of_one = seen.iter().filter(|n| **n / EVENTS == number).copied();
            assert!(of_one.eq(number * EVENTS..(number + 1) * EVENTS), "the order of each publisher");
        }
    }
}
