//! What is asked of Redis and who gets the answer, without a server: each order of events by hand.

use watertight_core::Kind;

use super::super::channels::testing::{Request, Table as Channels};
use super::super::ring::{Link, Taken};
use super::super::servers::Which;
use super::super::streams::testing::{StreamInfo, Table as Streams, Work};
use super::support::shared;
use super::*;

fn subscribe(name: &str) -> Option<Request> {
    Some(Request::Subscribe(name.into()))
}

#[tokio::test]
async fn a_feed_that_comes_while_unsubscribing_is_subscribed_after_it_and_told_once() {
    let shared = shared();
    let table = Channels::new(&shared);
    table.connected();
    let (name, first, _) = table.join("a").unwrap();
    assert_eq!(table.next_request(), subscribe("a"));
    assert_eq!(table.next_request(), None, "asked once");
    table.subscribed("a");
    assert_eq!(table.next_request(), None);
    table.leave(&name, first);
    assert_eq!(table.next_request(), Some(Request::Unsubscribe("a".into())));
    let (name, second, ring) = table.join("a").unwrap();
    assert_eq!(table.next_request(), None, "what is under way is waited for");
    assert_eq!(shared.ledger.live(Kind::RedisSubscription), 1, "Redis may still have it");
    table.unsubscribed("a");
    assert_eq!(table.next_request(), subscribe("a"));
    table.subscribed("a");
    assert!(matches!(ring.take().await, Taken::Link(Link::Reading { interrupted: false })));
    table.leave(&name, second);
    assert_eq!(table.next_request(), Some(Request::Unsubscribe("a".into())));
    table.unsubscribed("a");
    assert_eq!((table.next_request(), table.is_wanted()), (None, false));
    assert_eq!(shared.ledger.live(Kind::RedisSubscription), 0);
    assert_eq!(shared.budget.used(), 0);
}

#[tokio::test]
async fn a_feed_that_leaves_while_subscribing_is_unsubscribed_after_it() {
    let shared = shared();
    let table = Channels::new(&shared);
    table.connected();
    let (name, id, _) = table.join("a").unwrap();
    assert_eq!(table.next_request(), subscribe("a"));
    table.leave(&name, id);
    assert_eq!(table.next_request(), None, "what is under way is waited for");
    table.subscribed("a");
    assert_eq!(table.next_request(), Some(Request::Unsubscribe("a".into())));
    // The connection is lost before the answer: nothing is left to be sent on the next one.
    table.lost(&"gone".into());
    table.connected();
    assert_eq!((table.next_request(), table.is_wanted()), (None, false));
    assert_eq!(shared.ledger.live(Kind::RedisSubscription), 0);
}

#[tokio::test]
async fn a_refused_channel_is_asked_for_again_only_in_its_time() {
    let shared = shared();
    let table = Channels::new(&shared);
    table.connected();
    let (name, id, _ring) = table.join("a").unwrap();
    assert_eq!(table.next_request(), subscribe("a"));
    table.refused("a", &"NOPERM".into());
    for _ in 0..100 {
        assert_eq!(table.next_request(), None);
        let (name, id, _) = table.join("a").unwrap();
        table.leave(&name, id);
        // A reconnect is no reason to ask at once.
        table.lost(&"gone".into());
        table.connected();
    }
    assert_eq!(table.next_request(), None);
    table.leave(&name, id);
    assert_eq!((table.next_request(), table.is_wanted()), (None, false));
}

fn id(milliseconds: u64) -> EntryId {
    EntryId { milliseconds, number: 0 }
}

fn after(milliseconds: u64) -> StreamStart {
    StreamStart::After(id(milliseconds))
}

fn entry_of(milliseconds: u64) -> StreamEntry {
    StreamEntry { id: id(milliseconds), fields: Vec::new(), fields_left_out: 0 }
}

/// What comes for a feed, without what it is told about the connection.
async fn entries(ring: &super::super::ring::Ring<StreamEntry>, count: usize) -> Vec<u64> {
    let mut seen = Vec::new();
    while seen.len() < count {
        match ring.take().await {
            Taken::Message(entry) => seen.push(entry.id.milliseconds),
            Taken::Link(_) => {}
            other => panic!("{other:?}"),
        }
    }
    seen
}

#[tokio::test]
async fn a_feed_that_comes_while_a_later_part_is_read_gets_what_lies_before_it_first() {
    let shared = shared();
    let table = Streams::new(&shared);
    let (key, _, late) = table.join("s", after(10)).unwrap();
    drop(table.assign(&key, &Which::Main));
    let jobs = table.jobs(&Which::Main, 9);
    assert_eq!(jobs[0].work, Work::ReadAfter(id(10)));
    // Asked, and before the answer somebody comes who wants more.
    let (_, _, early) = table.join("s", after(5)).unwrap();
    let info =
        StreamInfo { length: 12, first: id(1), last: id(12), added: Some(12), deleted: EntryId::START };
    table.begin("s", id(10), Some(&info));
    (11..=12).for_each(|n| table.entry("s", &entry_of(n), 0));
    table.end("s", Some(&info), 2);
    assert_eq!(entries(&late, 2).await, [11, 12]);
    let jobs = table.jobs(&Which::Main, 9);
    assert_eq!(jobs[0].work, Work::ReadAfter(id(5)), "it is read at once");
    table.begin("s", id(5), Some(&info));
    (6..=12).for_each(|n| table.entry("s", &entry_of(n), 0));
    table.end("s", Some(&info), 7);
    assert_eq!(entries(&early, 7).await, [6, 7, 8, 9, 10, 11, 12]);
    assert!(table.jobs(&Which::Main, 9).is_empty(), "both have all");
    table.begin("s", id(12), Some(&StreamInfo { last: id(13), length: 13, added: Some(13), ..info }));
    table.entry("s", &entry_of(13), 0);
    assert_eq!((entries(&late, 1).await, entries(&early, 1).await), (vec![13], vec![13]), "nothing twice");
}
