//! What keys promise, one promise each.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use watertight::{Event, Hub, HubConfig, Positions, Tick};
use watertight_core::{Budget, Owner};

use super::table::{Found, Key, Table};
use super::{Claim, ClaimGuard, IdempotencyKeys, NoRoom};

const MIB: usize = 1 << 20;
const TTL: Duration = Duration::from_secs(600);

fn hub(critical_bytes: usize) -> Hub {
    let config = HubConfig {
        memory_warning_bytes: critical_bytes / 2,
        memory_critical_bytes: critical_bytes,
        max_event_bytes: 64 * 1024,
        max_history_bytes_per_session: critical_bytes / 2,
        shards: Some(1),
        ..HubConfig::default()
    };
    Hub::new(config).unwrap()
}

fn caches(hub: &Hub) -> usize {
    hub.budget().used_by(Owner::Caches)
}

async fn claim(keys: &IdempotencyKeys, key: &str) -> Result<Claim, NoRoom> {
    match keys.claim(&keys.0.hub.name("s").unwrap(), key, 1)? {
        Claim::Later(waiter) => Ok(waiter.wait().await),
        claim => Ok(claim),
    }
}

async fn first(keys: &IdempotencyKeys, key: &str) -> ClaimGuard {
    match claim(keys, key).await {
        Ok(Claim::First(guard)) => guard,
        other => panic!("{key} is free: {other:?}"),
    }
}

async fn published(hub: &Hub) -> Positions {
    hub.publish_batch("s", &[Event::new("1"), Event::new("2")]).await.unwrap()
}

fn key(text: &str) -> Arc<Key> {
    Arc::new(Key { session: watertight::SessionName::new("s", 8).unwrap(), key: text.into() })
}

#[tokio::test]
async fn a_refused_key_leaves_nothing() {
    let hub = hub(64 * MIB);
    let keys = IdempotencyKeys::new(&hub, 1000, TTL);
    first(&keys, "kept").await.settle(published(&hub).await);
    let (before, figures) = (caches(&hub), keys.0.table.lock().figures());
    for number in 0..30_000 {
        drop(first(&keys, &format!("refused {number}")).await);
    }
    assert_eq!((caches(&hub), keys.0.table.lock().figures()), (before, figures));
}

#[tokio::test]
async fn a_retry_is_answered_with_the_same_ids_and_another_request_is_told_apart() {
    let hub = hub(64 * MIB);
    let keys = IdempotencyKeys::new(&hub, 1000, TTL);
    let positions = published(&hub).await;
    first(&keys, "k").await.settle(positions);
    assert!(matches!(claim(&keys, "k").await, Ok(Claim::Known(known)) if known == positions));
    let other = keys.claim(&hub.name("s").unwrap(), "k", 2);
    assert!(matches!(other, Ok(Claim::Reused)));
    let elsewhere = keys.claim(&hub.name("t").unwrap(), "k", 2);
    assert!(matches!(elsewhere, Ok(Claim::First(_))), "a key counts within its session");
}

#[tokio::test]
async fn a_key_belongs_to_an_epoch_of_its_session() {
    let hub = hub(64 * MIB);
    let keys = IdempotencyKeys::new(&hub, 1000, TTL);
    let before = published(&hub).await;
    let empty = hub.publish_batch("s", &[]).await.unwrap();
    first(&keys, "before").await.settle(before);
    first(&keys, "empty").await.settle(empty);
    first(&keys, "other").await.settle(before);
    hub.end_session("s", &watertight::EndOptions::default()).unwrap();
    assert!(
        matches!(claim(&keys, "before").await, Ok(Claim::Known(known)) if known == before),
        "an end keeps it"
    );
    for again in 0..3 {
        assert!(hub.forget_session("s"));
        let charged = caches(&hub);
        drop(first(&keys, "before").await);
        assert!(caches(&hub) <= charged);
        first(&keys, "before").await.settle(published(&hub).await);
        assert!(matches!(claim(&keys, "before").await, Ok(Claim::Known(_))), "{again}");
        let figures = keys.0.table.lock().figures();
        assert_eq!((figures.keys, figures.settled), (3, 3), "nothing gathers");
    }
    assert!(matches!(claim(&keys, "empty").await, Ok(Claim::Known(known)) if known == empty));
    assert!(hub.forget_session("s"));
    let other_request = keys.claim(&hub.name("s").unwrap(), "other", 2);
    assert!(matches!(other_request, Ok(Claim::First(_))), "with another request, too");
}

#[tokio::test]
async fn a_key_is_charged_from_its_claim_on_until_it_is_forgotten() {
    let hub = hub(64 * MIB);
    let keys = IdempotencyKeys::new(&hub, 1000, TTL);
    let long = "k".repeat(255);
    let claimed = first(&keys, &long).await;
    let while_claimed = caches(&hub);
    assert!(while_claimed >= 255 + size_of::<Key>(), "{while_claimed}");
    claimed.settle(published(&hub).await);
    let settled = caches(&hub);
    assert!(settled < while_claimed && settled > 255, "{settled} of {while_claimed}");
    assert_eq!(keys.0.table.lock().figures().bytes, settled, "the table knows what it is charged");
    let far = Tick(hub.clock().now().0 + 2 * 600_000);
    keys.0.table.lock().sweep(far);
    let figures = keys.0.table.lock().figures();
    assert_eq!((caches(&hub), figures.keys, figures.settled, figures.room), (0, 0, 0, 0));
}

#[tokio::test]
async fn the_cap_holds_always_and_tries_under_way_are_not_forgotten_for_it() {
    let hub = hub(64 * MIB);
    let keys = IdempotencyKeys::new(&hub, 3, TTL);
    let one = first(&keys, "one").await;
    for number in 0..100 {
        first(&keys, &format!("settled {number}")).await.settle(published(&hub).await);
        assert!(keys.0.table.lock().figures().keys <= 3);
    }
    let (two, three) = (first(&keys, "two").await, first(&keys, "three").await);
    assert_eq!(claim(&keys, "four").await.unwrap_err(), NoRoom::UnderWay);
    assert!(claim(&keys, "two").now_or_never().is_none(), "known, and waited for");
    drop((one, three));
    two.settle(published(&hub).await);
    assert!(matches!(claim(&keys, "two").await, Ok(Claim::Known(_))));
}

#[tokio::test]
async fn keys_have_bytes_of_their_own_and_the_oldest_go_before_any_history() {
    let hub = hub(8 * MIB);
    let keys = IdempotencyKeys::new(&hub, 1_000_000, TTL);
    let positions = published(&hub).await;
    let held = hub.stats().events;
    for number in 0..5_000 {
        first(&keys, &format!("{number}")).await.settle(positions);
        assert!(caches(&hub) <= 8 * MIB / 32, "{} after {number}", caches(&hub));
    }
    assert!(caches(&hub) > 8 * MIB / 64, "and they use them: {}", caches(&hub));
    assert_eq!(hub.stats().events, held, "no history went for them");
    assert!(matches!(claim(&keys, "4999").await, Ok(Claim::Known(_))), "the newest are known");
    drop(first(&keys, "0").await);
}

#[tokio::test]
async fn without_room_for_its_key_a_request_is_refused_before_anything_is_published() {
    let hub = hub(8 * MIB);
    let keys = IdempotencyKeys::new(&hub, 1000, TTL);
    let free = hub.budget().critical_bytes() - hub.budget().used();
    let full = hub.budget().charge(Owner::Requests, free - 100);
    assert!(matches!(claim(&keys, "k").await, Err(NoRoom::Memory(_))));
    assert_eq!(keys.0.table.lock().figures().keys, 0);
    drop(full);
    drop(first(&keys, "k").await);
}

#[tokio::test]
async fn a_full_budget_costs_the_oldest_key_first_and_history_that_nobody_needs_after_that() {
    const EVENTS: usize = 50;
    let hub = hub(8 * MIB);
    let keys = IdempotencyKeys::new(&hub, 1000, TTL);
    let positions = hub.publish_batch("s", &vec![Event::new("x"); EVENTS]).await.unwrap();
    for key in ["oldest", "newer", "newest"] {
        first(&keys, key).await.settle(positions);
    }
    let free = hub.budget().critical_bytes() - hub.budget().used();
    let _full = hub.budget().charge(Owner::Requests, free);
    let mut held = vec![first(&keys, "new").await];
    assert!(matches!(claim(&keys, "newest").await, Ok(Claim::Known(_))), "the newest stays");
    while keys.0.table.lock().figures().settled > 0 {
        assert_eq!(hub.stats().events, EVENTS, "no history goes while there are keys to forget");
        held.push(first(&keys, &format!("new {}", held.len())).await);
    }
    for number in 0..5 {
        held.push(first(&keys, &format!("last {number}")).await);
    }
    assert!(hub.stats().events < EVENTS, "then history does");
}

#[tokio::test]
async fn when_a_try_is_given_up_one_of_those_who_wait_has_the_next_and_the_others_go_on_waiting() {
    let hub = hub(64 * MIB);
    let keys = IdempotencyKeys::new(&hub, 1000, TTL);
    let given_up = first(&keys, "k").await;
    let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(claim(&keys, "k"))).collect();
    assert!(waiting.iter_mut().all(|one| one.as_mut().now_or_never().is_none()));
    drop(given_up);
    // The one whose turn it would be leaves.
    drop(waiting.remove(0));
    let Some(Ok(Claim::First(next))) = waiting[0].as_mut().now_or_never() else { panic!("its turn") };
    assert!(waiting[1].as_mut().now_or_never().is_none());
    let positions = published(&hub).await;
    next.settle(positions);
    let answer = waiting[1].as_mut().now_or_never();
    assert!(matches!(answer, Some(Ok(Claim::Known(known))) if known == positions));
    drop(waiting);
    assert_eq!(keys.0.table.lock().figures().keys, 1);
}

#[tokio::test]
async fn nothing_is_left_of_a_key_whose_last_waiter_leaves_after_the_try_was_given_up() {
    let hub = hub(64 * MIB);
    let keys = IdempotencyKeys::new(&hub, 1000, TTL);
    for leave_first in [true, false] {
        let given_up = first(&keys, "k").await;
        let mut waits = Box::pin(claim(&keys, "k"));
        assert!(waits.as_mut().now_or_never().is_none());
        if leave_first {
            drop(waits);
            drop(given_up);
        } else {
            drop(given_up);
            drop(waits);
        }
        assert_eq!((caches(&hub), keys.0.table.lock().figures().keys), (0, 0), "{leave_first}");
    }
}

#[tokio::test]
async fn nine_thousand_who_wait_for_one_key_wake_for_it_alone_and_get_one_answer() {
    let hub = hub(64 * MIB);
    let keys = IdempotencyKeys::new(&hub, 100_000, TTL);
    let slow = first(&keys, "slow").await;
    let tasks: Vec<_> = (0..9_600)
        .map(|_| {
            let keys = keys.clone();
            let mut polls = 0;
            let mut claim = Box::pin(async move { claim(&keys, "slow").await });
            let counted = std::future::poll_fn(move |context| {
                polls += 1;
                claim.as_mut().poll(context).map(|answer| (polls, answer))
            });
            #[expect(clippy::disallowed_methods, reason = "a test owns its tasks")]
            tokio::spawn(counted)
        })
        .collect();
    while !keys.0.table.lock().is_waited_for(&key("slow"), 9_600) {
        tokio::task::yield_now().await;
    }
    // What happens to other keys wakes none of them.
    for number in 0..1_000 {
        first(&keys, &format!("{number}")).await.settle(published(&hub).await);
        drop(first(&keys, "given up").await);
    }
    let positions = published(&hub).await;
    slow.settle(positions);
    for task in tasks {
        let (polls, answer) = task.await.unwrap();
        assert!(matches!(answer, Ok(Claim::Known(known)) if known == positions));
        assert_eq!(polls, 2, "once to begin waiting, once for the answer");
    }
}

#[test]
fn tables_give_memory_back_above_twice_what_is_needed() {
    let budget = Budget::new(64 * MIB, 128 * MIB);
    let mut table = Table::new(100_000, 64 * MIB, TTL);
    let positions = hub(8 * MIB).publish_batch("s", &[]).now_or_never().unwrap().unwrap();
    for number in 0..10_000 {
        let key = key(&format!("{number:05}"));
        let charge = |bytes| budget.try_charge(Owner::Caches, bytes);
        let found = table.claim(&key, (1, None), Tick(0), charge).unwrap();
        assert!(matches!(found, Some(Found::Free(_))));
        table.settle(&key, positions, Tick(number * 10));
    }
    let (room, charged) = (table.figures().room, budget.used());
    assert!(room >= 10_000);
    // Nine tenths go.
    table.sweep(Tick(600_000 + 89_995));
    let figures = table.figures();
    assert_eq!((figures.keys, figures.settled), (1_000, 1_000));
    assert!(figures.room <= 2 * figures.keys, "{figures:?}");
    assert_eq!((figures.bytes, budget.used()), (budget.used(), charged / 10));
}
