//! `publish_all`: a stream of events into a session, in batches, in order, none lost and none twice.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::common::hub::{Hub, Luck};
use futures_util::{Stream, StreamExt, stream};
use serde_json::{Value, json};
use watertight_client::{Error, NewEvent, Publisher};

fn events(numbers: std::ops::Range<usize>) -> impl Stream<Item = NewEvent> {
    stream::iter(numbers.map(event))
}

fn event(data: impl serde::Serialize) -> NewEvent {
    NewEvent::json(&data).unwrap()
}

fn values(numbers: std::ops::Range<usize>) -> Vec<Value> {
    numbers.map(Value::from).collect()
}

fn data_of(event: &NewEvent) -> Value {
    serde_json::to_value(event).unwrap()["data"].take()
}

#[tokio::test]
async fn a_stream_is_published_in_order_and_once_whatever_gets_lost() {
    let luck = |request| match request % 5 {
        1 => Luck::AnswerLost,
        2 => Luck::RequestLost,
        4 => Luck::Busy,
        _ => Luck::Good,
    };
    let hub = Hub::with(luck).await;
    let publisher = Publisher::new(&hub.url()).unwrap();
    let all = publisher.publish_all("demo", events(0..1000)).with_batch_events_max(70);
    let published = hub.serve(all).await.unwrap();
    assert_eq!((published.count, published.last_id.as_deref()), (1000, Some("e-1000")));
    assert_eq!(hub.log("demo"), values(0..1000));
    assert_eq!(hub.batches().len(), 1000_usize.div_ceil(70));
}

#[tokio::test]
async fn ids_come_batch_by_batch_and_nothing_is_lost_by_asking_again_and_again() {
    let hub = Hub::with(|request| if request % 3 == 1 { Luck::AnswerLost } else { Luck::Good }).await;
    let publisher = Publisher::new(&hub.url()).unwrap();
    // Not always ready.
    let numbers = stream::iter(0..100).then(|number| async move {
        if number % 7 == 0 {
            tokio::task::yield_now().await;
        }
        event(number)
    });
    let mut all = publisher.publish_all("demo", numbers).with_batch_events_max(10);
    let ids = hub
        .serve(async {
            let mut ids = Vec::new();
            // Each poll is of a future of its own, which is dropped.
            while let Some(batch) = poll_fn(|context| pin!(all.next()).poll(context)).await {
                ids.extend(batch.unwrap());
                assert_eq!(
                    (all.published(), all.last_id()),
                    (ids.len() as u64, ids.last().map(String::as_str))
                );
            }
            ids
        })
        .await;
    assert_eq!(ids, (1..=100).map(|number| format!("e-{number}")).collect::<Vec<_>>());
    assert_eq!(hub.log("demo"), values(0..100));
}

#[tokio::test]
async fn while_the_hub_is_silent_two_batches_are_held_and_no_more() {
    let hub = Hub::with(|_| Luck::Good).await;
    let publisher = Publisher::new(&hub.url()).unwrap();
    let drawn = Cell::new(0);
    let endless = stream::repeat_with(|| {
        drawn.set(drawn.get() + 1);
        event(drawn.get())
    });
    let mut all = publisher.publish_all("demo", endless).with_batch_events_max(10);
    hub.serve(async {
        hub.hold();
        tokio::select! {
            _ = &mut all => unreachable!("it never ends"),
            () = crate::common::until(|| hub.requests() == 1 && drawn.get() >= 20) => {}
        }
        // However often it is polled.
        for _ in 0..100 {
            let once = poll_fn(|context| Poll::Ready(pin!(&mut all).poll(context)));
            assert!(once.await.is_pending());
        }
        assert_eq!(drawn.get(), 20);
    })
    .await;
    let unsent = all.into_unsent();
    assert_eq!((unsent.events.len(), unsent.in_doubt), (20, 10));
    assert_eq!(data_of(&unsent.events[19]), 20);
}

#[tokio::test]
async fn large_events_make_small_batches() {
    let hub = Hub::with(|_| Luck::Good).await;
    let publisher = Publisher::new(&hub.url()).unwrap();
    let drawn = Cell::new(0);
    let large = stream::iter([100_usize, 100, 300, 1, 1]).map(|kib| {
        drawn.set(drawn.get() + 1);
        event("x".repeat(kib * 1024))
    });
    hub.serve(publisher.publish_all("demo", large)).await.unwrap();
    assert_eq!(hub.batches(), [2, 1, 2]);
}

#[tokio::test]
async fn what_comes_in_time_goes_together_and_a_single_event_does_not_wait_for_the_end() {
    let hub = Hub::with(|_| Luck::Good).await;
    let publisher = Publisher::new(&hub.url()).unwrap();
    let slowly = |count| {
        let each = stream::iter(0..count).then(|number| async move {
            tokio::task::yield_now().await;
            event(number)
        });
        each.chain(stream::pending())
    };
    hub.serve(async {
        // It is sent because it is full, long before its time.
        let long = Duration::from_secs(3600);
        let all = publisher.publish_all("together", slowly(3)).with_batch_events_max(3).with_linger(long);
        assert_eq!(pin!(all).next().await.unwrap().unwrap().len(), 3);
        let mut all = pin!(publisher.publish_all("alone", slowly(1)));
        assert_eq!(all.next().await.unwrap().unwrap().len(), 1);
    })
    .await;
    assert_eq!(hub.batches(), [3, 1]);
}

#[tokio::test]
async fn a_refused_event_stops_it_where_it_stands_and_the_rest_is_given_back() {
    let hub = Hub::with(|_| Luck::Good).await;
    let publisher = Publisher::new(&hub.url()).unwrap();
    let numbers = events(0..37).chain(stream::iter([event("refused")])).chain(events(38..50));
    let mut all = publisher.publish_all("demo", numbers).with_batch_events_max(20);
    let stopped = hub.serve(&mut all).await.unwrap_err();
    assert_eq!((stopped.count, stopped.last_id.as_deref()), (37, Some("e-37")));
    assert_eq!(stopped.error.code(), Some("INVALID_EVENT"));
    let text = stopped.to_string();
    assert_eq!(text, "stopped after 37 events: refused by the hub: 422 INVALID_EVENT");
    assert_eq!(hub.log("demo"), values(0..37));
    let again = hub.serve(&mut all).await.unwrap_err();
    assert_eq!(again.count, 37, "it stays refused");
    let unsent = all.into_unsent();
    assert_eq!(unsent.in_doubt, 0, "the hub has said no");
    assert_eq!(data_of(&unsent.events[0]), "refused");
    let rest = stream::iter(unsent.events.into_iter().skip(1)).chain(unsent.stream);
    hub.serve(publisher.publish_all("demo", rest)).await.unwrap();
    assert_eq!(hub.log("demo")[37..], values(38..50));
}

#[tokio::test]
async fn after_it_gave_up_it_goes_on_where_it_stopped_without_doubles() {
    // The events are taken, but that is not known; and then the token is no longer good.
    for then in [Luck::Good, Luck::Unauthorized] {
        let luck = move |request| match request {
            1 => Luck::AnswerLost,
            2 => Luck::RequestLost,
            3 => then,
            _ => Luck::Good,
        };
        let hub = Hub::with(luck).await;
        let publisher = Publisher::new(&hub.url()).unwrap().with_give_up_after(Duration::ZERO);
        let mut all = publisher.publish_all("demo", events(0..30)).with_batch_events_max(10);
        let mut stops = Vec::new();
        let published = loop {
            match hub.serve(&mut all).await {
                Ok(published) => break published,
                Err(stopped) => stops.push(stopped),
            }
        };
        assert!(matches!(stops[0].error, Error::GaveUp { .. }), "{stops:?}");
        assert!(stops.iter().all(|stopped| stopped.count == 10), "{stops:?}");
        assert_eq!(stops.len(), if then == Luck::Good { 1 } else { 2 }, "{stops:?}");
        assert_eq!(published.count, 30);
        assert_eq!(hub.log("demo"), values(0..30));
    }
}

#[tokio::test]
async fn dropped_at_any_await_it_leaves_no_turn_taken_and_no_socket_open() {
    let hub = Hub::with(|_| Luck::Good).await;
    hub.serve(async {
        for polls in 0.. {
            let publisher = Publisher::new(&hub.url()).unwrap().with_in_flight_max(1);
            let mut all = Some(publisher.publish_all("demo", events(0..6)).with_batch_events_max(3));
            let mut left = polls;
            let finished = poll_fn(|context: &mut Context<'_>| {
                let Some(running) = all.as_mut().filter(|_| left > 0) else {
                    all = None;
                    return Poll::Ready(false);
                };
                left -= 1;
                pin!(running).poll(context).map(|published| published.is_ok())
            })
            .await;
            drop(all);
            publisher.publish("demo", &event("after")).await.unwrap();
            assert_eq!(hub.log("demo").last(), Some(&json!("after")));
            drop(publisher);
            crate::common::until(|| hub.open() == 0).await;
            if finished {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_session_that_no_path_can_carry_is_an_error_and_nothing_is_lost() {
    let publisher = Publisher::new("http://127.0.0.1:1").unwrap();
    let mut all = publisher.publish_all("..", events(0..3));
    let stopped = (&mut all).await.unwrap_err();
    assert!(matches!(stopped.error, Error::InvalidOption { .. }), "{stopped}");
    assert_eq!(all.into_unsent().events.len(), 3);
}
