//! One publisher, many tasks: what overlaps, what keeps its order, and what is left of whoever gives up.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::common::Script;
use crate::common::hub::{Hub, Luck};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use watertight_client::{Error, NewEvent, Publisher};

/// Bad luck for two requests in five, of every kind that is to be survived.
fn bad_luck(request: usize) -> Luck {
    match request % 10 {
        1 | 6 => Luck::AnswerLost,
        3 => Luck::RequestLost,
        8 => Luck::Busy,
        _ => Luck::Good,
    }
}

fn event(data: impl serde::Serialize) -> NewEvent {
    NewEvent::json(&data).unwrap()
}

#[tokio::test]
async fn a_hundred_tasks_share_a_publisher_and_each_keeps_its_order_without_doubles() {
    const EVENTS: usize = 5;
    let hub = Hub::with(bad_luck).await;
    let publisher = Publisher::new(&hub.url()).unwrap().with_in_flight_max(4);
    hub.serve(async {
        let mut tasks = JoinSet::new();
        for task in 0..100 {
            let publisher = publisher.clone();
            tasks.spawn(async move {
                let session = format!("s{}", task % 10);
                for number in 0..EVENTS {
                    publisher.publish(&session, &event([task, number])).await.unwrap();
                }
            });
        }
        tasks.join_all().await;
    })
    .await;
    for session in 0..10 {
        let log = hub.log(&format!("s{session}"));
        assert_eq!(log.len(), 10 * EVENTS);
        for task in (session..100).step_by(10) {
            let of_task: Vec<_> = log.iter().filter(|data| data[0] == task).map(|data| &data[1]).collect();
            assert_eq!(of_task, (0..EVENTS).map(Value::from).collect::<Vec<_>>().iter().collect::<Vec<_>>());
        }
    }
    assert!((2..=4).contains(&hub.under_way_max()), "{} requests at once", hub.under_way_max());
}

#[tokio::test]
async fn events_of_one_session_are_taken_in_the_order_of_the_calls_whatever_gets_lost() {
    let hub = Hub::with(bad_luck).await;
    let publisher = Publisher::new(&hub.url()).unwrap();
    hub.serve(async {
        let calls = (0..50).map(|number| {
            let publisher = &publisher;
            async move { publisher.publish("demo", &event(number)).await.unwrap() }
        });
        join_all(calls).await;
    })
    .await;
    assert_eq!(hub.log("demo"), (0..50).map(Value::from).collect::<Vec<_>>());
    assert_eq!(hub.under_way_max(), 1);
}

#[tokio::test]
async fn sessions_do_not_wait_for_each_other_but_for_the_bound() {
    for (max, expected) in [(1, 1), (3, 3), (100, 5)] {
        let hub = Hub::with(|_| Luck::Good).await;
        let publisher = Publisher::new(&hub.url()).unwrap().with_in_flight_max(max);
        hub.serve(async {
            hub.hold();
            let calls = (0..5).map(|number| {
                let publisher = &publisher;
                async move { publisher.publish(&format!("s{number}"), &event(number)).await }
            });
            tokio::select! {
                _ = join_all(calls) => unreachable!("nobody was answered"),
                () = crate::common::until(|| hub.requests() >= expected) => {}
            }
            assert_eq!(hub.under_way_max(), expected);
        })
        .await;
        assert_eq!(hub.connections(), expected);
    }
}

/// Polls `future` so many times that it is not ready, and drops it.
async fn polled<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

#[tokio::test]
async fn a_publish_dropped_at_any_await_leaves_no_turn_taken_and_no_socket_open() {
    let hub = Hub::with(|_| Luck::Good).await;
    hub.serve(async {
        let mut finished = false;
        for polls in 0.. {
            let publisher = Publisher::new(&hub.url()).unwrap().with_in_flight_max(1);
            let publisher = publisher.with_token_source(|_| async {
                tokio::task::yield_now().await;
                Ok::<_, Error>("token".to_owned())
            });
            let (one, other) = (event("dropped"), event("also dropped"));
            // The second waits for its turn behind the first; both go.
            let first = polled(publisher.publish("demo", &one), polls);
            let second = polled(publisher.publish("demo", &other), polls);
            finished = tokio::join!(first, second).0.is_some();
            publisher.publish("demo", &event(polls)).await.unwrap();
            assert_eq!(hub.log("demo").last(), Some(&json!(polls)));
            drop(publisher);
            crate::common::until(|| hub.open() == 0).await;
            if finished {
                break;
            }
        }
        assert!(finished);
    })
    .await;
}

#[tokio::test]
async fn a_publisher_that_is_told_something_new_shares_nothing_with_what_it_was_cloned_from() {
    let hub = Hub::with(|_| Luck::Good).await;
    hub.serve(async {
        let publisher = Publisher::new(&hub.url()).unwrap();
        publisher.publish("demo", &event(1)).await.unwrap();
        publisher.clone().publish("demo", &event(2)).await.unwrap();
        assert_eq!(hub.connections(), 1, "clones share");
        let other = publisher.clone().with_token("another").unwrap();
        other.publish("demo", &event(3)).await.unwrap();
        assert_eq!(hub.connections(), 2);
    })
    .await;
}

#[tokio::test]
async fn connections_that_died_while_nobody_used_them_are_replaced_at_once() {
    let hub = Hub::with(|_| Luck::Good).await;
    let url = hub.url();
    let publisher = Publisher::new(&url).unwrap().with_give_up_after(Duration::ZERO);
    let to_all = || async {
        let calls = ["a", "b", "c"].map(|session| {
            let publisher = &publisher;
            async move { publisher.publish(session, &event(1)).await.unwrap() }
        });
        join_all(calls).await;
    };
    hub.serve(to_all()).await;
    // With the hub's tasks its connections are gone.
    hub.serve(to_all()).await;
    assert_eq!(hub.log("a").len(), 2);
}

#[tokio::test]
async fn a_connection_that_the_hub_closed_is_not_kept_although_another_is_used() {
    let script = Script::listen().await;
    let publisher = Publisher::new(&script.url()).unwrap();
    let (one, other) = (event(1), event(2));
    let answer = r#"{"id":"7-1"}"#;
    // The one that is answered first is the last that would be used again.
    let is_answered = Cell::new(false);
    let server = async {
        let (mut first, mut second) = (script.accept().await, script.accept().await);
        first.request().await;
        second.request().await;
        first.answer("202 Accepted", "", answer).await;
        crate::common::until(|| is_answered.get()).await;
        second.answer("202 Accepted", "", answer).await;
        (first, second)
    };
    let answered = async |session, event| {
        publisher.publish(session, event).await.unwrap();
        is_answered.set(true);
    };
    let ((mut first, mut second), (), ()) = tokio::join!(server, answered("a", &one), answered("b", &other));
    first.end().await;
    let more = async {
        loop {
            publisher.publish("b", &other).await.unwrap();
        }
    };
    let server = async {
        loop {
            second.request().await;
            second.answer("202 Accepted", "", answer).await;
        }
    };
    tokio::select! {
        () = more => unreachable!(),
        () = server => unreachable!(),
        () = first.closed() => {}
    }
}
