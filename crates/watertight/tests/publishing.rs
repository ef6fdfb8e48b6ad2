//! Publishing: all of a batch or none of it, room made in the right order, and nothing behind the last look.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::TestHub;
use futures_util::{FutureExt, StreamExt};
use watertight::{Clock, Event, Hub, HubConfig, Message, PublishError, Resume, Subscription};
use watertight_core::Owner;
use watertight_core::log::{Piece, ReadLimit};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// So many events of so many bytes (at least), each with the batch's name first.
fn batch(name: &str, events: usize, bytes: usize) -> Vec<Event> {
    (0..events).map(|number| Event::new(format!("{name} {number:>bytes$}"))).collect()
}

async fn next(subscription: &mut Subscription) -> Message {
    let next = tokio::time::timeout(Duration::from_secs(10), subscription.next()).await;
    next.expect("something to read").expect("not ended")
}

/// Everything that is there now, as data; panics at a gap.
fn read_all(subscription: &mut Subscription) -> Vec<String> {
    let mut data = Vec::new();
    while let Some(message) = subscription.next().now_or_never() {
        match message {
            Some(Message::Event(event)) => data.push(event.data),
            other => panic!("expected an event, got {other:?}"),
        }
    }
    data
}

#[tokio::test]
async fn a_batch_whose_publisher_leaves_is_there_whole_or_not_at_all() {
    let hub =
        TestHub::new(HubConfig { max_queue_size: 100, max_history_per_session: 100, ..HubConfig::default() });
    let mut reader = hub.subscribe("s", Resume::Live).unwrap();
    assert!(reader.next().now_or_never().is_none(), "it reads");
    let (one, two) = (batch("one", 60, 10), batch("two", 60, 10));
    // Appended, and waiting for the reader: it leaves, all of it stays.
    assert!(hub.publish_batch("s", &one).now_or_never().is_none());
    assert_eq!(hub.stats().events, 60);
    // Waiting for room: it leaves, nothing of it is there.
    assert!(hub.publish_batch("s", &two).now_or_never().is_none());
    assert_eq!(hub.stats().events, 60, "no part of it");
    assert_eq!(read_all(&mut reader).len(), 60);
    let publisher = hub.hub.clone();
    let published = tokio::spawn(async move { publisher.publish_batch("s", &two).await.unwrap() });
    for number in 0..60 {
        let Message::Event(event) = next(&mut reader).await else { panic!("a gap at {number}") };
        assert!(event.data.starts_with("two"));
    }
    assert_eq!(published.await.unwrap().len(), 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_batches_in_a_row_give_no_reader_a_gap_from_speed_alone() {
    // As many as may lag; then few, but large ones that fill the bytes.
    for (events, bytes, max_bytes) in [(1_000, 20, 8 * MIB), (60, 16 * KIB, MIB)] {
        let config = HubConfig {
            max_queue_size: 1_000,
            max_history_per_session: 10,
            max_history_bytes_per_session: max_bytes,
            ..HubConfig::default()
        };
        let hub = TestHub::with_clock(config, Clock::monotonic());
        let mut readers: Vec<_> = (0..3).map(|_| hub.subscribe("s", Resume::Live).unwrap()).collect();
        for reader in &mut readers {
            assert!(reader.next().now_or_never().is_none());
        }
        // Two publishers at once: one must not take the room that the other has waited for.
        let publishers = ["a", "b"].map(|name| {
            let hub = hub.hub.clone();
            tokio::spawn(async move {
                for round in 0..4 {
                    let events = batch(&format!("{name}{round}"), events, bytes);
                    hub.publish_batch("s", &events).await.unwrap();
                }
            })
        });
        let readers = readers.into_iter().map(|mut reader| {
            tokio::spawn(async move {
                let mut runs: Vec<(String, usize)> = Vec::new();
                for number in 0..8 * events {
                    let Message::Event(event) = next(&mut reader).await else { panic!("a gap at {number}") };
                    let name = event.data.split(' ').next().unwrap().to_owned();
                    match runs.last_mut() {
                        Some((last, count)) if *last == name => *count += 1,
                        _ => runs.push((name, 1)),
                    }
                    if number % 64 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                runs
            })
        });
        for reader in readers.collect::<Vec<_>>() {
            let runs = reader.await.unwrap();
            assert_eq!(runs.len(), 8, "each batch is side by side: {runs:?}");
            assert!(runs.iter().all(|(_, count)| *count == events), "{runs:?}");
        }
        for publisher in publishers {
            publisher.await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_never_split_over_two_epochs_by_a_session_that_is_ended_meanwhile() {
    let hub = TestHub::with_clock(HubConfig::default(), Clock::monotonic());
    let go_on = std::sync::Arc::new(AtomicBool::new(true));
    let ender = std::thread::spawn({
        let (hub, go_on) = (hub.hub.clone(), std::sync::Arc::clone(&go_on));
        move || {
            let mut ended = 0;
            while go_on.load(Ordering::SeqCst) {
                ended += usize::from(hub.forget_session("s"));
                std::thread::yield_now();
            }
            ended
        }
    });
    let single = std::thread::spawn({
        let (hub, go_on) = (hub.hub.clone(), std::sync::Arc::clone(&go_on));
        move || {
            while go_on.load(Ordering::SeqCst) {
                hub.publish_now("s", &Event::new("single")).unwrap();
            }
        }
    });
    let mut epochs = std::collections::HashSet::new();
    let mut round = 0;
    while round < 500 || (epochs.len() < 50 && round < 200_000) {
        round += 1;
        let positions = hub.publish_batch("s", &batch(&round.to_string(), 50, 10)).await.unwrap();
        assert_eq!(positions.len(), 50);
        let (first, last) = (positions.first().unwrap(), positions.last().unwrap());
        assert_eq!((first.epoch, last.sequence), (last.epoch, first.sequence + 49));
        epochs.insert(first.epoch);
    }
    go_on.store(false, Ordering::SeqCst);
    single.join().unwrap();
    assert!(ender.join().unwrap() >= 49 && epochs.len() >= 50, "it was ended meanwhile");
}

#[tokio::test]
async fn a_batch_that_could_never_be_held_whole_is_refused_and_nothing_of_it_is_there() {
    let config = HubConfig {
        max_queue_size: 10,
        max_history_per_session: 100,
        max_history_bytes_per_session: 64 * KIB,
        max_event_bytes: 32 * KIB,
        ..HubConfig::default()
    };
    let hub = TestHub::new(config);
    for events in [batch("many", 11, 10), batch("large", 3, 30 * KIB)] {
        let refused = hub.publish_batch("s", &events).await.unwrap_err();
        assert!(matches!(refused.error, PublishError::BatchTooLarge { .. }), "{refused:?}");
        assert_eq!(refused.index, None);
    }
    assert_eq!((hub.stats().events, hub.stats().sessions), (0, 0));
    hub.publish_batch("s", &batch("just", 10, 10)).await.unwrap();
    hub.publish_batch("s", &batch("just", 2, 30 * KIB)).await.unwrap();
    // Line ends make an event longer than the log's bytes: it is held alone.
    hub.publish_batch("s", &[Event::new("\n".repeat(30 * KIB))]).await.unwrap();
    assert_eq!(hub.stats().events, 1);
}

/// What the events that a session holds are charged, each by itself.
fn charges(hub: &Hub, session: &str) -> usize {
    let (now, mut sum) = (hub.clock().now(), 0);
    hub.session(session).unwrap().with_log(|log| {
        let (mut cursor, _) = log.locate(Resume::All, true, now);
        let all = ReadLimit { events: usize::MAX, bytes: usize::MAX };
        log.read(&mut cursor, now, all, |piece| match piece {
            Piece::Event(_, frame) => sum += frame.charged(),
            Piece::Gap(gap) => panic!("{gap:?}"),
        });
    });
    sum
}

#[tokio::test]
async fn events_are_charged_to_the_byte_while_they_are_held_and_no_longer() {
    let hub = TestHub::new(HubConfig { max_history_per_session: 10_000, ..HubConfig::default() });
    let frames = || hub.budget().used_by(Owner::Frames);
    hub.publish_batch("s", &batch("b", 100, 200)).await.unwrap();
    assert_eq!(frames(), charges(&hub, "s"), "a batch is charged what it is");
    // Across an id that is a digit longer.
    for _ in 0..1_000 {
        hub.publish("s", Event::new("one")).await.unwrap();
    }
    assert_eq!(frames(), charges(&hub, "s"), "and so is a single event");
    hub.forget_session("s");
    assert_eq!(frames(), 0);
}

/// A hub with a budget of two MiB.
fn tight() -> HubConfig {
    HubConfig {
        memory_warning_bytes: MIB,
        memory_critical_bytes: 2 * MIB,
        max_history_bytes_per_session: MIB,
        max_event_bytes: 64 * KIB,
        max_queue_size: 10_000,
        max_history_per_session: 10_000,
        ..HubConfig::default()
    }
}

/// Charges what is left of the budget.
fn fill(hub: &Hub) -> watertight_core::Permit {
    hub.budget().charge(Owner::Requests, hub.budget().critical_bytes() - hub.budget().used())
}

fn events(hub: &Hub, session: &str) -> usize {
    hub.session(session).unwrap().with_log(|log| log.events())
}

#[tokio::test]
async fn a_refused_publish_has_shed_nothing_that_a_reader_needs() {
    let hub = TestHub::new(tight());
    let mut reader = hub.subscribe("read", Resume::Live).unwrap();
    assert!(reader.next().now_or_never().is_none(), "it reads");
    let large = Event::new("x".repeat(20 * KIB));
    for _ in 0..10 {
        hub.publish_now("read", &large).unwrap();
    }
    let full = fill(&hub);
    for session in ["read", "new"] {
        let refused = hub.publish_now(session, &large).unwrap_err();
        assert!(matches!(refused, PublishError::Memory(_)), "{refused:?}");
        let refused = hub.publish_batch(session, &[large.clone(), large.clone()]).now_or_never().unwrap();
        assert!(matches!(refused.unwrap_err().error, PublishError::Memory(_)));
    }
    assert_eq!(events(&hub, "read"), 10);
    drop(full);
    assert_eq!(read_all(&mut reader).len(), 10, "every event, and no gap");
}

#[tokio::test]
async fn room_is_made_of_history_that_nobody_needs_the_own_first_then_others_in_turn() {
    let hub = TestHub::new(tight());
    let mut reader = hub.subscribe("needed", Resume::Live).unwrap();
    let mut behind = hub.subscribe("new", Resume::Live).unwrap();
    assert!(reader.next().now_or_never().is_none() && behind.next().now_or_never().is_none());
    let large = Event::new("x".repeat(20 * KIB));
    for session in ["own", "a", "b", "needed"] {
        (0..5).for_each(|_| {
            hub.publish_now(session, &large).unwrap();
        });
    }
    // It sheds, too, and more.
    let keeper = hub.hold_keeper();
    let full = fill(&hub);
    hub.publish_now("own", &large).unwrap();
    assert_eq!(
        ["own", "a", "b"].map(|session| events(&hub, session)),
        [5, 5, 5],
        "the own first, and no more"
    );
    assert_eq!(hub.session("own").unwrap().with_log(|log| log.first()), 2);
    let mut taken = 0;
    while hub.publish_now("new", &large).is_ok() {
        taken += 1;
    }
    assert_eq!(["own", "a", "b"].map(|session| events(&hub, session)), [0, 0, 0], "then others");
    assert!(taken >= 14, "{taken} fitted where 15 were let go");
    // In turn: nobody lost everything while others had lost nothing.
    drop((full, keeper));
    assert_eq!((read_all(&mut reader).len(), read_all(&mut behind).len()), (5, taken));
}

#[tokio::test]
async fn memory_pressure_takes_as_much_history_as_is_needed_to_come_down_and_no_more() {
    let hub = TestHub::new(tight());
    let frames = || hub.budget().used_by(Owner::Frames);
    for session in ["a", "b", "c"] {
        hub.publish_batch(session, &batch(session, 600, 800)).await.unwrap();
    }
    let (held, critical) = (frames(), hub.budget().critical_bytes());
    let _beside = hub.budget().charge(Owner::Requests, critical - hub.budget().used());
    crate::support::eventually("history is shed", || frames() < held);
    crate::support::eventually("the ladder comes down", || hub.stats().rung <= watertight::Rung::Warning);
    let (left, tenth) = (frames(), critical / 10);
    assert!(left <= held - tenth && left > held - tenth - 4 * KIB, "{held} held, {left} left");
}

#[tokio::test]
async fn newcomers_and_new_sessions_find_room_where_history_is_in_their_way() {
    let hub = TestHub::new(tight());
    let large = Event::new("x".repeat(20 * KIB));
    (0..5).for_each(|_| {
        hub.publish_now("old", &large).unwrap();
    });
    let full = fill(&hub);
    hub.publish_now("new", &Event::new("x")).unwrap();
    let more = fill(&hub);
    let newcomer = hub.subscribe("newer", Resume::Live).unwrap();
    assert!(events(&hub, "old") < 5);
    drop((full, more, newcomer));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_held_is_right_at_every_instant_that_another_thread_can_see() {
    // One session is always full: it recycles. Others come and go, and are shed.
    let config = HubConfig { max_queue_size: 5, max_history_per_session: 5, ..HubConfig::default() };
    let hub = TestHub::with_clock(config, Clock::monotonic());
    (0..5).for_each(|_| {
        hub.publish_now("full", &Event::new("x")).unwrap();
    });
    let go_on = std::sync::Arc::new(AtomicBool::new(true));
    let workers = [0, 1, 2].map(|worker| {
        let (hub, go_on) = (hub.hub.clone(), std::sync::Arc::clone(&go_on));
        std::thread::spawn(move || {
            while go_on.load(Ordering::SeqCst) {
                match worker {
                    0 => drop(hub.publish_now("full", &Event::new("x")).unwrap()),
                    1 => drop(hub.publish_now("ended", &Event::new("x")).unwrap()),
                    _ => drop(hub.forget_session("ended")),
                }
            }
        })
    });
    for _ in 0..200_000 {
        let seen = hub.stats().events;
        assert!((5..=10).contains(&seen), "{seen}");
    }
    go_on.store(false, Ordering::SeqCst);
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    hub.forget_session("ended");
    assert_eq!(hub.stats().events, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_while_the_hub_stops_is_in_its_log_before_the_last_look() {
    let hub = TestHub::with_clock(HubConfig::default(), Clock::monotonic());
    let publishers: Vec<_> = (0..3)
        .map(|number| {
            let hub = hub.hub.clone();
            std::thread::spawn(move || {
                let session = format!("s{number}");
                let mut taken = 0;
                loop {
                    match hub.publish_now(&session, &Event::new("x")) {
                        Ok(position) => taken = position.sequence,
                        Err(refused) => {
                            assert_eq!(refused, PublishError::ShuttingDown);
                            return (session, taken);
                        }
                    }
                }
            })
        })
        .collect();
    while hub.stats().sessions < 3 {
        tokio::task::yield_now().await;
    }
    // Twice at once: neither is left waiting.
    tokio::join!(hub.shutdown(Duration::from_secs(5)), hub.shutdown(Duration::from_secs(5)));
    let heads: HashMap<_, _> = (0..3)
        .map(|number| format!("s{number}"))
        .map(|name| (name.clone(), hub.session(&name).unwrap().head()))
        .collect();
    for publisher in publishers {
        let (session, taken) = publisher.join().unwrap();
        assert_eq!(heads[&session], taken + 1, "what was taken was there when shutdown had looked");
    }
    let refused = hub.publish_batch("s0", &batch("late", 2, 10)).await.unwrap_err();
    assert_eq!(refused.error, PublishError::ShuttingDown);
}
