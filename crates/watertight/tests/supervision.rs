//! Pumps and keeper that panic, fail or stand still: what is lost, what comes back, and who is told.

use std::io::Read;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use crate::support::served::{Served, read_until};
use crate::support::{TestHub, eventually};
use futures_util::StreamExt;
use watertight::{Clock, Event, Hub, HubConfig, Message, Resume};
use watertight_core::Kind;

/// Fails if `what` is not done within a time that is ample for it.
fn within_seconds(seconds: u64, what: &str, work: impl FnOnce() + Send + 'static) {
    let (tell, told) = sync_channel(1);
    let thread = std::thread::spawn(move || {
        work();
        tell.send(()).expect("somebody waits");
    });
    assert!(told.recv_timeout(Duration::from_secs(seconds)).is_ok(), "never: {what}");
    thread.join().expect("no panic");
}

fn restarts(hub: &Hub) -> u64 {
    hub.counters().pump_restarts.load(Ordering::Relaxed)
}

#[test]
fn leak_class_h_a_hub_ends_although_its_pump_panics_in_the_turn_that_was_to_stop_it() {
    within_seconds(60, "the hub ends", || {
        for round in 0..200 {
            let hub = Hub::new(HubConfig { shards: Some(1), ..HubConfig::default() }).unwrap();
            hub.inject_panic(0);
            for _ in 0..round % 7 {
                std::thread::yield_now();
            }
            drop(hub);
        }
    });
}

#[test]
fn leak_class_h_a_hub_ends_at_once_although_its_pump_waits_for_a_restart() {
    let hub = Hub::new(HubConfig { shards: Some(1), ..HubConfig::default() }).unwrap();
    hub.inject_failures(0, 9);
    eventually("the pump has failed often", || restarts(&hub) >= 8);
    within_seconds(5, "the hub ends", move || drop(hub));
}

#[test]
fn a_pump_that_fails_for_a_while_comes_back_and_only_its_own_sockets_were_closed() {
    let served = Served::new(HubConfig::default());
    let mut readers: Vec<_> = (0..4).map(|_| served.open("s")).collect();
    served.hub.inject_failures(0, 3);
    eventually("it has come back", || restarts(&served.hub) == 3);
    eventually("its sockets are closed", || served.hub.live(Kind::Connection) == 2);
    let mut still_open = 0;
    served.hub.publish_now("s", &Event::new("after")).unwrap();
    for reader in &mut readers {
        let mut byte = [0];
        if reader.read(&mut byte).unwrap_or(0) == 1 {
            read_until(reader, "data: after\n\n\r\n");
            still_open += 1;
        }
    }
    assert_eq!(still_open, 2);
    let mut newcomers: Vec<_> = (0..4).map(|_| served.open("s")).collect();
    served.hub.publish_now("s", &Event::new("again")).unwrap();
    newcomers.iter_mut().for_each(|reader| drop(read_until(reader, "data: again\n\n\r\n")));
    assert_eq!(served.hub.stuck(), None);
}

#[tokio::test]
async fn a_pump_that_does_not_come_back_leaves_the_rotation_and_the_others_do_its_work() {
    // On a real clock: how often is tried again, and how fast, is part of what is tested.
    let mut served = Served::with_options(
        TestHub::with_clock(HubConfig::default(), Clock::monotonic()),
        Default::default(),
    );
    let old: Vec<_> = (0..4).map(|_| served.open("s")).collect();
    served.hub.inject_failures(0, u32::MAX);
    eventually("its sockets are closed", || served.hub.live(Kind::Connection) == 2);
    eventually("it is given up", || served.hub.stuck().is_some_and(|what| what.contains("pump 0")));
    served.hub.lost_a_thread();
    let tried = restarts(&served.hub);
    assert!((8..=20).contains(&tried), "{tried} tries in a few seconds: no hot loop");
    let mut newcomers: Vec<_> = (0..4).map(|_| served.open("s")).collect();
    served.hub.publish_now("s", &Event::new("still")).unwrap();
    newcomers.iter_mut().for_each(|reader| drop(read_until(reader, "data: still\n\n\r\n")));
    // Sessions are at home on both pumps; each one's tasks are woken.
    for number in 0..16 {
        let session = format!("t{number}");
        let mut stream = served.hub.subscribe(&session, Resume::Live).unwrap();
        let publisher = served.hub.hub.clone();
        let later = tokio::spawn(async move {
            tokio::task::yield_now().await;
            publisher.publish(&session, Event::new("news")).await
        });
        let message =
            tokio::time::timeout(Duration::from_secs(10), stream.next()).await.expect("it is woken");
        assert!(matches!(message, Some(Message::Event(event)) if event.data == "news"));
        later.await.unwrap().unwrap();
    }
    let connections = served.hub.connections(Default::default(), 100).await.0;
    assert_eq!(connections.len(), 2 + 4, "questions are answered without it");
    drop(old);
}

#[test]
fn a_keeper_that_panics_is_started_again() {
    let hub = TestHub::new(HubConfig { heartbeat_interval: Duration::from_secs(1), ..HubConfig::default() });
    hub.inject_keeper_panic();
    eventually("it has panicked", || hub.counters().keeper_restarts.load(Ordering::Relaxed) == 1);
    // It looks after streams without a socket: this one is never read.
    let access = watertight::AccessOptions::of_user("ada").lifetime(Duration::from_secs(3));
    let options = watertight::SubscribeOptions::under(hub.grant_access(access).unwrap());
    let unread = hub.subscribe_with("s", Resume::Live, options).unwrap();
    eventually("a timer fires", || {
        hub.advance(Duration::from_secs(1));
        hub.live(Kind::Subscription) == 0
    });
    drop(unread);
}

#[test]
fn a_pump_that_makes_no_turn_is_noticed_after_ten_seconds_and_well_again_when_it_does() {
    let hub = TestHub::new(HubConfig::default());
    hub.advance(Duration::from_secs(60));
    eventually("an idle hub works", || hub.stuck().is_none());
    let hold = hub.hold_pump(1);
    eventually("it is noticed", || {
        hub.advance(Duration::from_secs(1));
        hub.stuck().as_deref() == Some("pump 1 makes no turns")
    });
    drop(hold);
    eventually("it is well again", || hub.stuck().is_none());
}
