//! The end of a session: as state that readers come to, kept for its time, and remembered after it.

use std::time::Duration;

use crate::support::TestHub;
use futures_util::StreamExt;
use watertight::{
    Clock, CloseReason, EndOptions, Event, GapReason, HubConfig, Message, Position, PublishError,
    PublishOptions, Resume,
};
use watertight_core::limits::TOMBSTONE_BYTES;
use watertight_core::{Kind, Owner};

const ENDED: &str = "SESSION_ENDED";

fn hub() -> TestHub {
    TestHub::new(HubConfig { max_history_per_session: 3, max_queue_size: 3, ..HubConfig::default() })
}

fn end(hub: &TestHub) -> watertight::EndedSession {
    hub.end_session("s", &EndOptions::default()).unwrap()
}

async fn publish(hub: &TestHub, data: &str) -> Position {
    hub.publish("s", Event::new(data)).await.unwrap()
}

/// All that a reader is told until its end, in words.
async fn told(hub: &TestHub, resume: Resume) -> Vec<String> {
    rest(hub.subscribe("s", resume).unwrap()).await
}

async fn rest(subscription: watertight::Subscription) -> Vec<String> {
    let all = tokio::time::timeout(Duration::from_secs(10), subscription.collect::<Vec<_>>());
    let words = all.await.expect("it is told the end").into_iter().map(|message| match message {
        Message::Event(event) => event.data,
        Message::Gap(gap) => format!("{:?} {}", gap.missed, gap.reason.name()),
        Message::Closed(reason) => reason.code().to_owned(),
    });
    words.collect()
}

#[tokio::test]
async fn whoever_is_there_returns_or_comes_late_gets_what_it_lacks_and_then_the_end() {
    let hub = hub();
    let one = publish(&hub, "one").await;
    let here = hub.subscribe("s", Resume::Live).unwrap();
    publish(&hub, "two").await;
    let options = EndOptions { event: Some(Event::new("last")), keep: None };
    let ended = hub.end_session("s", &options).unwrap();
    assert_eq!(ended.last, Position { sequence: 3, ..one });
    assert_eq!(rest(here).await, ["two", "last", ENDED]);
    assert_eq!(told(&hub, Resume::After(one)).await, ["two", "last", ENDED]);
    assert_eq!(told(&hub, Resume::All).await, ["one", "two", "last", ENDED]);
    assert_eq!(told(&hub, Resume::Last(1)).await, ["last", ENDED]);
    assert_eq!(told(&hub, Resume::Live).await, [ENDED]);
    assert_eq!(told(&hub, Resume::After(ended.last)).await, [ENDED]);
    let foreign = Position { epoch: watertight_core::Epoch::from_bits(1), sequence: 1 };
    assert_eq!(told(&hub, Resume::After(foreign)).await, ["None epoch", "one", "two", "last", ENDED]);
}

#[tokio::test]
async fn what_an_ended_session_no_longer_holds_is_a_gap_before_the_end() {
    let hub = hub();
    for number in 0..5 {
        publish(&hub, &number.to_string()).await;
    }
    end(&hub);
    assert_eq!(told(&hub, Resume::All).await, ["Some(2) evicted", "2", "3", "4", ENDED]);
}

#[tokio::test]
async fn an_ended_session_takes_no_event_until_a_publish_reopens_it_and_then_has_another_epoch() {
    let hub = hub();
    let old = publish(&hub, "old").await;
    end(&hub);
    let batch = [Event::new("1"), Event::new("2")];
    for events in [&batch[..1], &batch] {
        let refused = hub.append_batch("s", events).await.unwrap_err();
        assert_eq!((refused.index, refused.error), (None, PublishError::SessionEnded));
        assert_eq!(hub.publish_now("s", &events[0]), Err(PublishError::SessionEnded));
    }
    let reopen = PublishOptions { reopen: true, ..PublishOptions::default() };
    for events in [&batch[..1], &batch] {
        let before = hub.session("s").unwrap().with_log(|log| log.epoch());
        let reader = hub.subscribe("s", Resume::All).unwrap();
        let new = hub.append_batch_with("s", events, reopen).await.unwrap().paced().await.first().unwrap();
        assert!(new.epoch != before && new.sequence == 1);
        assert_eq!(rest(reader).await.last().map(String::as_str), Some(ENDED), "the old one is over");
        let again = hub.append_batch_with("s", events, reopen).await.unwrap().paced().await.first().unwrap();
        assert_eq!(again.epoch, new.epoch, "one that is open goes on");
        end(&hub);
    }
    let back = told(&hub, Resume::After(old)).await;
    assert_eq!(back[0], "None epoch", "what was reopened goes on for those of before, too");
}

#[tokio::test]
async fn what_is_meant_for_another_life_of_a_log_is_neither_published_nor_ends_it() {
    let hub = hub();
    let old = publish(&hub, "old").await.epoch;
    assert!(hub.forget_session("s"));
    let current = publish(&hub, "new").await.epoch;
    let changed = PublishError::EpochChanged { current: Some(current) };
    let batch = [Event::new("1"), Event::new("2")];
    let of = |epoch| PublishOptions { epoch: Some(epoch), ..PublishOptions::default() };
    let ends = [EndOptions::default(), EndOptions { event: Some(Event::new("last")), keep: None }];
    for events in [&batch[..1], &batch] {
        let refused = hub.append_batch_with("s", events, of(old)).await.unwrap_err();
        assert_eq!((refused.index, &refused.error), (None, &changed));
    }
    for end in &ends {
        assert_eq!(hub.end_session_of("s", Some(old), end), Err(changed.clone()));
    }
    for events in [&batch[..1], &batch] {
        hub.append_batch_with("s", events, of(current)).await.unwrap().paced().await;
    }
    let ended = hub.end_session_of("s", Some(current), &ends[1]).unwrap();
    assert_eq!((ended.last.epoch, ended.last.sequence), (current, 5));
    assert_eq!(hub.end_session_of("s", Some(current), &ends[0]).unwrap(), ended, "the first end stands");
    for end in &ends {
        assert_eq!(hub.end_session_of("s", Some(old), end), Err(changed.clone()));
    }
    let refused = hub.append_batch_with("s", &batch, of(current)).await.unwrap_err();
    assert_eq!(refused.error, PublishError::SessionEnded);
}

#[tokio::test]
async fn the_first_end_stands_and_ending_again_publishes_nothing() {
    let hub = hub();
    publish(&hub, "one").await;
    let first =
        hub.end_session("s", &EndOptions { event: None, keep: Some(Duration::from_secs(60)) }).unwrap();
    hub.advance(Duration::from_secs(1));
    for event in [None, Some(Event::new("again"))] {
        let again = EndOptions { event, keep: Some(Duration::from_secs(9)) };
        assert_eq!(hub.end_session("s", &again).unwrap(), first);
    }
    assert_eq!(hub.session_end("s"), Some(first));
    assert_eq!(told(&hub, Resume::All).await, ["one", ENDED]);
}

#[tokio::test]
async fn a_session_that_was_never_there_can_be_ended() {
    let hub = hub();
    let ended = end(&hub);
    assert_eq!(ended.last.sequence, 0);
    assert_eq!(told(&hub, Resume::Live).await, [ENDED]);
}

#[tokio::test]
async fn a_refused_last_event_ends_nothing() {
    let hub = hub();
    publish(&hub, "one").await;
    let forged = Event::of_type(watertight::EventType::new("gap").unwrap(), "x");
    let refused = hub.end_session("s", &EndOptions { event: Some(forged), keep: None });
    assert!(matches!(refused, Err(PublishError::Reserved(_))));
    assert_eq!(hub.session_end("s"), None);
    publish(&hub, "two").await;
}

#[tokio::test]
async fn history_is_kept_after_the_end_longer_than_events_live_and_no_longer_than_said() {
    for clean_up in [false, true] {
        let hub = hub();
        let one = publish(&hub, "one").await;
        hub.publish("s", Event::new("short").with_ttl(Duration::from_secs(10))).await.unwrap();
        hub.end_session("s", &EndOptions { event: None, keep: Some(Duration::from_secs(7200)) }).unwrap();
        hub.advance(Duration::from_secs(7199));
        hub.clean_up();
        assert_eq!(told(&hub, Resume::All).await, ["one", "Some(1) expired", ENDED]);
        hub.advance(Duration::from_secs(1));
        if clean_up {
            hub.clean_up();
            assert_eq!((hub.stats().sessions, hub.budget().used_by(Owner::Frames)), (0, 0));
            assert_eq!(hub.budget().used(), TOMBSTONE_BYTES, "all else came back");
        }
        assert!(hub.session("s").is_none(), "its time is over, cleaned up or not");
        assert_eq!(
            told(&hub, Resume::After(one)).await,
            ["Some(1) evicted", ENDED],
            "who comes back is told"
        );
        let new = publish(&hub, "new").await;
        assert_ne!(new.epoch, one.epoch);
    }
}

#[tokio::test]
async fn a_session_is_kept_for_session_ttl_after_its_end_unless_that_says_otherwise() {
    let hub = hub();
    publish(&hub, "one").await;
    assert_eq!(end(&hub).end.keep, hub.config().session_ttl);
    hub.advance(hub.config().session_ttl - Duration::from_millis(1));
    hub.clean_up();
    assert_eq!(told(&hub, Resume::All).await, ["one", ENDED]);
    hub.advance(Duration::from_millis(1));
    hub.clean_up();
    assert_eq!(hub.stats().sessions, 0, "whoever came to read it meanwhile");
}

#[tokio::test]
async fn an_id_of_a_forgotten_session_is_told_its_end_for_a_while_and_everybody_else_begins_anew() {
    let hub = hub();
    let one = publish(&hub, "one").await;
    let two = publish(&hub, "two").await;
    assert!(hub.forget_session("s"));
    assert!(!hub.forget_session("s"), "it is no more");
    for again in [false, true] {
        if again {
            publish(&hub, "anew").await;
        }
        assert_eq!(told(&hub, Resume::After(two)).await, [ENDED]);
        assert_eq!(
            told(&hub, Resume::After(one)).await,
            ["Some(1) evicted", ENDED],
            "nothing is lost in silence"
        );
        assert_eq!(hub.stats().sessions, usize::from(again), "who is told makes no session");
        hub.advance(Duration::from_secs(200));
    }
    crate::support::eventually("what told them is gone", || hub.live(Kind::Session) == 1);
    let mut anew = hub.subscribe("s", Resume::All).unwrap();
    assert!(matches!(anew.next().await, Some(Message::Event(event)) if event.data == "anew"));
    drop(anew);
    let mut other = hub.subscribe("other", Resume::After(two)).unwrap();
    let gap = other.next().await;
    assert!(
        matches!(gap, Some(Message::Gap(gap)) if gap.reason == GapReason::Epoch),
        "it is no id of that one"
    );
    drop(other);
    hub.advance(Duration::from_secs(200));
    hub.clean_up();
    assert_eq!(hub.budget().used_by(Owner::Caches), 0, "forgotten, too");
    let mut late = hub.subscribe("s", Resume::After(two)).unwrap();
    assert!(matches!(late.next().await, Some(Message::Gap(gap)) if gap.reason == GapReason::Epoch));
}

#[tokio::test]
async fn a_session_that_nobody_used_any_more_leaves_no_tombstone() {
    let hub = hub();
    let one = publish(&hub, "one").await;
    hub.advance(Duration::from_secs(1801));
    hub.clean_up();
    assert_eq!((hub.stats().sessions, hub.budget().used()), (0, 0));
    let mut back = hub.subscribe("s", Resume::After(one)).unwrap();
    assert!(matches!(back.next().await, Some(Message::Gap(gap)) if gap.reason == GapReason::Epoch));
}

#[tokio::test]
async fn under_memory_pressure_the_history_of_an_ended_session_goes_like_any_other() {
    const MIB: usize = 1 << 20;
    let hub = TestHub::new(HubConfig {
        memory_warning_bytes: MIB,
        memory_critical_bytes: 2 * MIB,
        max_history_bytes_per_session: MIB,
        max_event_bytes: MIB / 4,
        ..HubConfig::default()
    });
    for _ in 0..3 {
        publish(&hub, &"x".repeat(MIB / 4)).await;
    }
    end(&hub);
    for number in 0..16 {
        hub.publish(&format!("other {number}"), Event::new("y".repeat(MIB / 4))).await.unwrap();
    }
    let told = told(&hub, Resume::All).await;
    let first: String = told[0].chars().take(20).collect();
    assert!(first.ends_with(" evicted") && told.last().unwrap() == ENDED, "{first}");
}

#[tokio::test]
async fn an_end_is_refused_while_the_hub_stops() {
    let hub = hub();
    publish(&hub, "one").await;
    hub.shutdown(Duration::from_secs(1)).await;
    for event in [None, Some(Event::new("last"))] {
        let refused = hub.end_session("s", &EndOptions { event, keep: None });
        assert_eq!(refused, Err(PublishError::ShuttingDown));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_comes_behind_the_last_event_whoever_publishes_at_once() {
    let hub = TestHub::with_clock(HubConfig::default(), Clock::monotonic());
    for round in 0..200 {
        let name = format!("s{round}");
        let reader = hub.subscribe(&name, Resume::Live).unwrap();
        let publishers = [0, 1].map(|_| {
            let (hub, name) = (hub.hub.clone(), name.clone());
            std::thread::spawn(move || {
                let mut taken = 0;
                while taken < 400 && hub.publish_now(&name, &Event::new("x")).is_ok() {
                    taken += 1;
                }
                taken
            })
        });
        let options = EndOptions { event: Some(Event::new("last")), keep: None };
        let ended = hub.end_session(&name, &options).unwrap();
        let taken: u64 = publishers.into_iter().map(|publisher| publisher.join().unwrap()).sum();
        assert_eq!(ended.last.sequence, taken + 1);
        let all = rest(reader).await;
        assert_eq!(all[all.len() - 2..], ["last", CloseReason::SessionEnded.code()]);
    }
}
