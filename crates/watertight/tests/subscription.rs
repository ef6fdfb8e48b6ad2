//! The library's own face: publish, subscribe as a stream, resume, expire, end.

use std::collections::HashSet;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::support::TestHub;
use futures_util::{FutureExt, StreamExt};
use watertight::{
    CloseReason, EndOptions, Event, GapReason, HubConfig, Message, ReadLimit, Resume, Subscription,
};
use watertight_core::{Kind, Piece};

fn small() -> HubConfig {
    HubConfig { max_queue_size: 20, max_history_per_session: 10, ..HubConfig::default() }
}

async fn next(subscription: &mut Subscription) -> Message {
    let next = tokio::time::timeout(Duration::from_secs(10), subscription.next()).await;
    next.expect("something to read").expect("not ended")
}

async fn next_data(subscription: &mut Subscription) -> String {
    match next(subscription).await {
        Message::Event(event) => event.data,
        other => panic!("expected an event, got {other:?}"),
    }
}

#[test]
fn the_defaults_of_a_hub_are_the_documented_ones() {
    let config = HubConfig::default();
    assert_eq!((config.max_queue_size, config.max_history_per_session), (1000, 500));
    assert_eq!(config.event_ttl, Some(Duration::from_secs(5 * 60)));
    assert_eq!(config.session_ttl, Duration::from_secs(30 * 60));
    assert_eq!(config.cleanup_interval, Duration::from_secs(60));
    assert_eq!(config.max_subscriber_idle_time, Duration::from_secs(10 * 60));
    assert_eq!((config.memory_warning_bytes, config.memory_critical_bytes), (500 << 20, 1000 << 20));
}

#[tokio::test]
async fn a_subscriber_gets_what_is_published_after_it_came() {
    let hub = TestHub::new(HubConfig::default());
    hub.publish("s", Event::new("before")).await.unwrap();
    let mut live = hub.subscribe("s", Resume::Live).unwrap();
    hub.publish("s", Event::new("after")).await.unwrap();
    assert_eq!(next_data(&mut live).await, "after");
    assert!(live.next().now_or_never().is_none(), "nothing more is there");
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_between_replay_and_live_under_a_concurrent_publisher() {
    let hub = TestHub::new(HubConfig {
        max_history_per_session: 2_000,
        max_queue_size: 2_000,
        ..HubConfig::default()
    });
    let publisher = {
        let hub = hub.hub.clone();
        tokio::spawn(async move {
            for number in 0..2000 {
                hub.publish("s", Event::new(number.to_string())).await.unwrap();
                if number % 50 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        })
    };
    // From before the first event: what the reader misses at the start it misses for good.
    let mut resume = Resume::After(hub.subscribe("s", Resume::Live).unwrap().position());
    let mut seen = Vec::new();
    while seen.last() != Some(&1999) {
        // Leaves after a few events, in the middle of the publishing, and comes back where it was.
        let mut subscription = hub.subscribe("s", resume).unwrap();
        for _ in 0..37 {
            if seen.last() == Some(&1999) {
                break;
            }
            seen.push(next_data(&mut subscription).await.parse::<u32>().unwrap());
        }
        resume = Resume::After(subscription.position());
    }
    publisher.await.unwrap();
    assert_eq!(seen, (0..2000).collect::<Vec<_>>(), "every event once, in order, from the first on");
}

#[tokio::test]
async fn a_history_too_short_gives_a_gap_that_names_how_many_were_missed() {
    let hub = TestHub::new(small());
    let first = hub.publish("s", Event::new("0")).await.unwrap();
    for number in 1..=15 {
        hub.publish_now("s", &Event::new(number.to_string())).unwrap();
    }
    let mut back = hub.subscribe("s", Resume::After(first)).unwrap();
    let Message::Gap(gap) = next(&mut back).await else { panic!("expected a gap") };
    assert_eq!((gap.missed, gap.reason), (Some(5), GapReason::Evicted));
    for number in 6..=15 {
        assert_eq!(next_data(&mut back).await, number.to_string());
    }
}

#[tokio::test]
async fn a_live_subscriber_that_lags_too_far_gets_a_gap_and_then_the_rest() {
    let hub = TestHub::new(small());
    let mut slow = hub.subscribe("s", Resume::Live).unwrap();
    for number in 0..50 {
        hub.publish_now("s", &Event::new(number.to_string())).unwrap();
    }
    let Message::Gap(gap) = next(&mut slow).await else { panic!("expected a gap") };
    assert_eq!((gap.missed, gap.reason), (Some(30), GapReason::Lagged));
    for number in 30..50 {
        assert_eq!(next_data(&mut slow).await, number.to_string());
    }
}

#[tokio::test]
async fn expiry_is_for_history_and_whoever_is_there_gets_every_event() {
    let hub = TestHub::new(HubConfig::default());
    let before = hub.publish("s", Event::new("before")).await.unwrap();
    let mut slow = hub.subscribe("s", Resume::Live).unwrap();
    assert!(slow.next().now_or_never().is_none(), "it reads, and has caught up");
    hub.publish("s", Event::new("short").with_ttl(Duration::from_millis(1))).await.unwrap();
    hub.publish("s", Event::new("long")).await.unwrap();
    hub.advance(Duration::from_secs(2));
    hub.clean_up();
    assert_eq!(next_data(&mut slow).await, "short", "cleanup leaves it to who still needs it");
    assert_eq!(next_data(&mut slow).await, "long");
    let mut back = hub.subscribe("s", Resume::After(before)).unwrap();
    let Message::Gap(gap) = next(&mut back).await else { panic!("expected a gap") };
    assert_eq!((gap.missed, gap.reason), (Some(1), GapReason::Expired));
    assert_eq!(next_data(&mut back).await, "long");
    assert!(slow.next().now_or_never().is_none());
    hub.clean_up();
    assert_eq!(hub.stats().events, 2, "nobody needs it any more");
}

#[tokio::test]
async fn an_event_says_when_it_was_published() {
    let hub = TestHub::new(HubConfig::default());
    let before = watertight::clock::wall_clock();
    hub.publish("s", Event::new("one")).await.unwrap();
    hub.publish_batch("s", &[Event::new("two"), Event::new("three")]).await.unwrap();
    let after = watertight::clock::wall_clock();
    let mut reader = hub.subscribe("s", Resume::All).unwrap();
    for data in ["one", "two", "three"] {
        let Message::Event(event) = next(&mut reader).await else { panic!("expected an event") };
        assert_eq!(event.data, data);
        let microsecond = Duration::from_micros(1);
        assert!(before < event.created_at + microsecond && event.created_at <= after, "{event:?}");
        assert_eq!(event.created_at.subsec_nanos() % 1000, 0, "whole microseconds");
    }
}

#[tokio::test]
async fn two_reasons_are_two_gaps_and_a_position_between_them_resumes_at_the_second() {
    let hub =
        TestHub::new(HubConfig { max_queue_size: 3, max_history_per_session: 3, ..HubConfig::default() });
    let start = hub.publish("s", Event::new("0")).await.unwrap();
    for number in 1..=3 {
        hub.publish("s", Event::new(number.to_string())).await.unwrap();
    }
    hub.publish("s", Event::new("short").with_ttl(Duration::from_millis(1))).await.unwrap();
    hub.publish("s", Event::new("5")).await.unwrap();
    hub.publish("s", Event::new("6")).await.unwrap();
    hub.advance(Duration::from_secs(1));
    let mut back = hub.subscribe("s", Resume::After(start)).unwrap();
    let gaps: Vec<_> = back.gaps().map(|gap| (gap.missed, gap.reason)).collect();
    let (evicted, expired) = ((Some(3), GapReason::Evicted), (Some(1), GapReason::Expired));
    assert_eq!(gaps, [evicted, expired]);
    assert_eq!(back.position(), start, "nothing was told yet");
    let Message::Gap(gap) = next(&mut back).await else { panic!("expected a gap") };
    assert_eq!((gap.missed, gap.reason), evicted);
    let mut between = hub.subscribe("s", Resume::After(back.position())).unwrap();
    for reader in [&mut back, &mut between] {
        let Message::Gap(gap) = next(reader).await else { panic!("expected a gap") };
        assert_eq!((gap.missed, gap.reason), expired);
        assert_eq!(next_data(reader).await, "5");
        assert_eq!(next_data(reader).await, "6");
    }
}

#[tokio::test]
async fn leak_class_f_history_is_gone_after_its_time_and_sessions_after_theirs() {
    let hub = TestHub::new(HubConfig::default());
    for number in 0..5_000 {
        hub.publish(&format!("s{number}"), Event::new("once and never again")).await.unwrap();
    }
    assert_eq!(hub.stats().events, 5_000);
    hub.advance(Duration::from_secs(301));
    hub.clean_up();
    assert_eq!((hub.stats().events, hub.stats().sessions), (0, 5_000));
    hub.advance(Duration::from_secs(1800));
    hub.clean_up();
    assert_eq!(hub.stats().sessions, 0);
    assert_eq!(hub.live(Kind::Session), 0);
    assert_eq!(hub.budget().used(), 0, "every byte came back");
}

#[tokio::test]
async fn without_a_time_to_live_history_stays_and_an_events_own_still_counts() {
    let hub = TestHub::new(HubConfig { event_ttl: None, ..HubConfig::default() });
    let mut subscription = hub.subscribe("s", Resume::Live).unwrap();
    hub.publish("s", Event::new("lasting")).await.unwrap();
    hub.publish("s", Event::new("short").with_ttl(Duration::from_secs(1))).await.unwrap();
    assert_eq!(next_data(&mut subscription).await, "lasting");
    assert_eq!(next_data(&mut subscription).await, "short");
    assert!(subscription.next().now_or_never().is_none());
    hub.advance(Duration::from_secs(365 * 24 * 3600));
    hub.clean_up();
    assert_eq!(hub.stats().events, 1);
    assert_eq!(next_data(&mut hub.subscribe("s", Resume::All).unwrap()).await, "lasting");
}

#[tokio::test]
async fn a_subscriber_that_reads_nothing_for_max_subscriber_idle_time_is_let_go_and_told() {
    let hub = TestHub::new(HubConfig::default());
    let mut idle = hub.subscribe("s", Resume::Live).unwrap();
    let mut caught_up = hub.subscribe("other", Resume::Live).unwrap();
    for reader in [&mut idle, &mut caught_up] {
        assert!(reader.next().now_or_never().is_none());
    }
    hub.publish("s", Event::new("unread")).await.unwrap();
    // The keeper has looked at the time of the first step before it begins its turn at the second.
    for seconds in [598, 1] {
        hub.advance_in_step(Duration::from_secs(seconds));
        assert_eq!(hub.live(Kind::Subscription), 2, "not before its time");
    }
    crate::support::eventually("it is let go", || {
        hub.advance_in_step(Duration::from_millis(100));
        hub.live(Kind::Subscription) == 1
    });
    let at = Duration::from_millis(hub.clock().now().0);
    assert!(at >= Duration::from_secs(600), "not before its time: {at:?}");
    assert_eq!(hub.counters().slow_consumers.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert_eq!(next(&mut idle).await, Message::Closed(CloseReason::SlowConsumer));
    assert!(caught_up.next().now_or_never().is_none(), "whom nothing waits for stays");
}

#[tokio::test]
async fn a_session_with_a_subscriber_outlives_its_time() {
    let hub = TestHub::new(HubConfig::default());
    let subscription = hub.subscribe("s", Resume::Live).unwrap();
    hub.advance(Duration::from_secs(10_000));
    hub.clean_up();
    assert_eq!(hub.stats().sessions, 1);
    drop(subscription);
    hub.clean_up();
    assert_eq!(hub.stats().sessions, 1, "its time begins when the last subscriber leaves");
    hub.advance(Duration::from_secs(1801));
    hub.clean_up();
    assert_eq!(hub.stats().sessions, 0);
}

#[tokio::test]
async fn a_forgotten_session_is_read_to_its_end_and_a_new_one_has_another_epoch() {
    let hub = TestHub::new(HubConfig::default());
    let old = hub.publish("s", Event::new("one")).await.unwrap();
    let mut reader = hub.subscribe("s", Resume::All).unwrap();
    assert!(hub.forget_session("s"));
    assert_eq!(next_data(&mut reader).await, "one");
    assert_eq!(next(&mut reader).await, Message::Closed(CloseReason::SessionEnded));
    let new = hub.publish("s", Event::new("two")).await.unwrap();
    assert_ne!(old.epoch, new.epoch);
    let mut back = hub.subscribe("s", Resume::After(old)).unwrap();
    assert_eq!(next(&mut back).await, Message::Closed(CloseReason::SessionEnded));
    assert_eq!(next_data(&mut hub.subscribe("s", Resume::All).unwrap()).await, "two");
}

#[tokio::test]
async fn leak_class_d_subscriptions_dropped_at_any_point_leave_nothing() {
    let hub = TestHub::new(small());
    let start = hub.budget().used();
    for round in 0..1_000u32 {
        let mut subscription = hub.subscribe("s", Resume::All).unwrap();
        match round % 4 {
            0 => {}
            1 => drop(subscription.next().now_or_never()),
            2 => {
                hub.publish_now("s", &Event::new("x")).unwrap();
                drop(subscription.next().now_or_never());
            }
            _ => {
                // Polled by a task that is aborted in the middle of waiting.
                let task = tokio::spawn(async move { subscription.collect::<Vec<_>>().await });
                tokio::task::yield_now().await;
                task.abort();
                assert!(task.await.unwrap_err().is_cancelled());
            }
        }
    }
    assert_eq!(hub.live(Kind::Subscription), 0);
    assert!(hub.forget_session("s"));
    hub.forget_tombstones();
    crate::support::eventually("every byte came back", || hub.budget().used() <= start);
}

#[tokio::test]
async fn leak_class_h_closing_wakes_every_waiter() {
    let hub = TestHub::new(HubConfig::default());
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let subscription = hub.subscribe("s", Resume::Live).unwrap();
        readers.spawn(async move { subscription.collect::<Vec<_>>().await });
    }
    tokio::task::yield_now().await;
    hub.shutdown(Duration::from_secs(5)).await;
    while let Some(read) = readers.join_next().await {
        assert_eq!(read.unwrap(), [Message::Closed(CloseReason::ShuttingDown)]);
    }
}

#[tokio::test]
async fn a_publisher_that_outruns_a_reading_reader_is_slowed() {
    let hub = TestHub::new(HubConfig { max_queue_size: 100, ..HubConfig::default() });
    let mut reader = hub.subscribe("s", Resume::Live).unwrap();
    assert!(reader.next().now_or_never().is_none());
    let mut held = std::pin::pin!(async {
        for number in 0..1_000 {
            hub.publish("s", Event::new(number.to_string())).await.unwrap();
        }
    });
    assert!(held.as_mut().now_or_never().is_none(), "held back by the reader");
    assert!(hub.session("s").unwrap().head() <= 60, "at half of the queue");
    let mut seen = HashSet::new();
    let read = async {
        for _ in 0..1_000 {
            seen.insert(next_data(&mut reader).await);
        }
    };
    tokio::join!(held, read);
    assert_eq!(seen.len(), 1_000, "a reader that keeps reading never gets a gap from speed alone");
}

#[tokio::test]
async fn a_reader_that_stalls_holds_nobody_back_for_long() {
    let hub = TestHub::new(HubConfig { max_queue_size: 10, ..HubConfig::default() });
    let mut stalled = hub.subscribe("s", Resume::Live).unwrap();
    assert!(stalled.next().now_or_never().is_none());
    let publish = async {
        for number in 0..100 {
            hub.publish("s", Event::new(number.to_string())).await.unwrap();
        }
    };
    let time = async {
        loop {
            tokio::task::yield_now().await;
            hub.advance(Duration::from_millis(100));
        }
    };
    tokio::select! {
        () = publish => {}
        () = time => {}
    }
    assert!(hub.clock().now().0 < 7_000, "patience is five seconds, once");
    drop(stalled);
}

#[tokio::test]
async fn threat_34_memory_pressure_sheds_in_order_and_recovers() {
    let mib = 1024 * 1024;
    let hub = TestHub::new(HubConfig {
        memory_warning_bytes: 4 * mib,
        memory_critical_bytes: 8 * mib,
        max_history_bytes_per_session: 2 * mib,
        ..HubConfig::default()
    });
    let data = "x".repeat(100_000);
    for number in 0..300 {
        hub.publish(&format!("s{}", number % 30), Event::new(data.as_str())).await.unwrap();
        assert!(hub.budget().used() <= 8 * mib, "never above the critical threshold");
    }
    crate::support::eventually("the ladder comes down", || hub.stats().rung <= watertight::Rung::Warning);
    assert!(hub.subscribe("s0", Resume::Live).is_ok());
    // The allocator says there is more than we know of: rung by rung, newcomers are refused in the end.
    hub.budget().observe(9 * mib);
    crate::support::eventually("newcomers are refused", || hub.subscribe("s0", Resume::Live).is_err());
    assert!(hub.stats().rung >= watertight::Rung::NoNewcomers);
    hub.budget().observe(0);
    crate::support::eventually("it recovers", || hub.stats().rung == watertight::Rung::Normal);
    assert!(hub.subscribe("s0", Resume::Live).is_ok());
}

#[tokio::test]
async fn an_event_type_of_the_hubs_own_cannot_be_forged() {
    let hub = TestHub::new(HubConfig::default());
    for forged in ["gap", "error"] {
        let event = Event::of_type(forged.parse().unwrap(), "x");
        assert!(hub.publish("s", event).await.is_err());
    }
    assert!(hub.session("s").is_none(), "a refused event makes no session");
}

#[tokio::test]
async fn many_pieces_are_taken_at_once_in_order_up_to_the_limit_gaps_first_and_the_end_last() {
    let hub = TestHub::new(small());
    for number in 0..30 {
        hub.publish_now("s", &Event::new(number.to_string())).unwrap();
    }
    let mut subscription = hub.subscribe("s", Resume::All).unwrap();
    let mut taken = Vec::new();
    let limit = ReadLimit { events: 4, bytes: usize::MAX };
    let mut context = Context::from_waker(Waker::noop());
    let mut poll = |taken: &mut Vec<Piece>| {
        let before = taken.len();
        let polled = subscription.poll_pieces(&mut context, limit, taken);
        (polled, taken.len() - before)
    };
    assert_eq!(poll(&mut taken), (Poll::Ready(Ok(())), 1), "the gap before the first event");
    assert_eq!(poll(&mut taken), (Poll::Ready(Ok(())), 4));
    assert_eq!(poll(&mut taken), (Poll::Ready(Ok(())), 4));
    assert_eq!(poll(&mut taken), (Poll::Ready(Ok(())), 2));
    assert_eq!(poll(&mut taken), (Poll::Pending, 0));
    hub.end_session("s", &EndOptions { event: Some(Event::new("last")), keep: None }).unwrap();
    assert_eq!(poll(&mut taken), (Poll::Ready(Ok(())), 1));
    assert_eq!(poll(&mut taken), (Poll::Ready(Err(CloseReason::SessionEnded)), 0));
    assert_eq!(poll(&mut taken), (Poll::Ready(Err(CloseReason::SessionEnded)), 0), "again");
    let Some(Piece::Gap(gap)) = taken.first() else { panic!("expected a gap, got {taken:?}") };
    assert_eq!((gap.missed, gap.reason), (Some(20), GapReason::Evicted));
    let sequences: Vec<u64> = taken
        .iter()
        .filter_map(|piece| match piece {
            Piece::Event(sequence, _) => Some(*sequence),
            Piece::Gap(_) => None,
        })
        .collect();
    assert_eq!(sequences, (21..=31).collect::<Vec<u64>>());
    assert_eq!(hub.stats().subscribers, 0);
}
