//! The leaks, storms and losses that other clients were found with: each a promise of this one. Those that are
//! about parsing stand in `parsing_table`, about ways out in `lifecycle`. In memory, on paused time.

use std::time::Duration;

use crate::common::memory::{Memory, drive, next_data, now, until_status};
use futures_util::StreamExt;
use watertight_client::{Item, Status, Subscriber};

const HOUR: Duration = Duration::from_secs(3600);

/// Lets an hour pass with a server that treats every request alike; the number of requests.
async fn requests_in_an_hour(serve: impl AsyncFn(crate::common::memory::Arrived)) -> usize {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber().with_polling(false);
    let server = async {
        loop {
            serve(memory.accept().await).await;
        }
    };
    tokio::select! {
        () = server => {}
        () = drive(&mut subscriber) => {}
        () = tokio::time::sleep(HOUR) => {}
    }
    assert_eq!(memory.open_max(), 1);
    memory.requests()
}

#[tokio::test(start_paused = true)]
async fn closed_before_the_start_it_never_connects() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber();
    subscriber.close();
    assert!(subscriber.next().await.is_none());
    assert_eq!(memory.requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_500_is_not_open_and_backs_off_for_ever() {
    let requests = requests_in_an_hour(async |arrived| arrived.answer(500, &[], "oh").await).await;
    assert!((60..80).contains(&requests), "{requests}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_an_error_in_it_and_no_event_is_no_progress() {
    let requests = requests_in_an_hour(async |arrived| {
        let writer = arrived.stream();
        writer.say("{\"error\":\"not for you\"}\n\nevent: error\ndata: {\"code\":\"TIMEOUT\"}\n\n").await;
    });
    let requests = requests.await;
    assert!((60..80).contains(&requests), "{requests}");
}

#[tokio::test(start_paused = true)]
async fn a_gap_that_is_told_again_and_again_is_no_progress() {
    let requests = requests_in_an_hour(async |arrived| {
        arrived.stream().say("event: gap\ndata: {\"reason\":\"lagged\"}\n\n").await;
    });
    let requests = requests.await;
    assert!((60..80).contains(&requests), "{requests}");
}

#[tokio::test(start_paused = true)]
async fn a_clean_end_after_each_event_is_no_storm() {
    let requests = requests_in_an_hour(async |arrived| {
        arrived.stream().say("data: x\n\n").await;
    });
    assert!(requests.await <= 3601);
}

#[tokio::test(start_paused = true)]
async fn retry_zero_is_no_storm() {
    let requests = requests_in_an_hour(async |arrived| {
        arrived.stream().say("retry: 0\n\n").await;
    });
    let requests = requests.await;
    // From 100 ms up, doubled with each.
    assert!((60..80).contains(&requests), "{requests}");
}

#[tokio::test(start_paused = true)]
async fn a_mute_stream_is_left_and_its_restarts_are_no_progress() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber().with_max_retries(5).with_polling(false);
    let server = async {
        loop {
            let (_, writer) = memory.stream().await;
            writer.closed().await;
        }
    };
    let seen = tokio::select! {
        () = server => unreachable!(),
        seen = crate::common::memory::until_over(&mut subscriber) => seen,
    };
    assert!(matches!(seen.last().unwrap(), Err(watertight_client::Error::GaveUp { attempts: 6, .. })));
}

#[tokio::test(start_paused = true)]
async fn close_between_events_of_one_chunk_delivers_no_more_of_them() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber();
    let server = async {
        let (_, writer) = memory.stream().await;
        writer.say("data: 1\n\ndata: 2\n\ndata: 3\n\n").await;
        writer.closed().await;
    };
    let reader = async {
        assert_eq!(next_data(&mut subscriber).await, "1");
        subscriber.close();
        assert!(subscriber.next().await.is_none());
    };
    tokio::join!(server, reader);
}

#[tokio::test(start_paused = true)]
async fn restart_twice_in_a_row_is_one_connection() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber();
    let server = async {
        let (_, first) = memory.stream().await;
        first.say("id: 7\ndata: 1\n\n").await;
        first.closed().await;
        let arrived = memory.accept().await;
        assert_eq!(arrived.header("last-event-id"), Some("7"));
        let second = arrived.stream();
        second.say("data: 2\n\n").await;
        second
    };
    let reader = async {
        assert_eq!(next_data(&mut subscriber).await, "1");
        subscriber.restart();
        subscriber.restart();
        assert_eq!(next_data(&mut subscriber).await, "2");
    };
    let (second, ()) = tokio::join!(server, reader);
    assert_eq!((memory.requests(), memory.open(), memory.open_max()), (2, 1, 1));
    drop(second);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_events_in_a_burst_all_arrive_and_in_order() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber();
    let server = async {
        let (_, writer) = memory.stream().await;
        let burst: String = (0..1000).map(|number| format!("id: 7-{number}\ndata: same\n\n")).collect();
        writer.say(burst).await;
        writer
    };
    let reader = async {
        for _ in 0..1000 {
            assert_eq!(next_data(&mut subscriber).await, "same");
        }
    };
    tokio::join!(server, reader);
    assert_eq!(subscriber.last_event_id(), Some("7-999"));
}

#[tokio::test(start_paused = true)]
async fn a_long_sleep_of_the_machine_is_noticed_as_silence() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber();
    let server = async {
        let (_, first) = memory.stream().await;
        first.say("id: 7\ndata: 1\n\n").await;
        first.closed().await;
        assert_eq!(memory.accept().await.header("last-event-id"), Some("7"));
    };
    let reader = async {
        assert_eq!(next_data(&mut subscriber).await, "1");
        assert!(now(&mut subscriber).await.is_none());
        tokio::time::advance(8 * HOUR).await;
        until_status(&mut subscriber, |status| matches!(status, Status::Waiting { .. })).await;
        until_status(&mut subscriber, |status| matches!(status, Status::Connecting { .. })).await;
        now(&mut subscriber).await;
    };
    tokio::join!(server, reader);
}

#[tokio::test(start_paused = true)]
async fn a_future_dropped_at_each_poll_loses_nothing_and_a_stream_is_the_same() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber();
    let server = async {
        let (_, writer) = memory.stream().await;
        for byte in "data: 1\n\ndata: 2\n\n".bytes() {
            writer.say([byte]).await;
            tokio::task::yield_now().await;
        }
        writer
    };
    let reader = async {
        let mut seen = Vec::new();
        while seen.is_empty() {
            // Polled once, and dropped.
            if let Some(Some(Ok(Item::Event(event)))) = now(&mut subscriber).await {
                seen.push(event.data);
            }
            tokio::task::yield_now().await;
        }
        let rest = StreamExt::by_ref(&mut subscriber).filter_map(|item| {
            std::future::ready(match item {
                Ok(Item::Event(event)) => Some(event.data),
                _ => None,
            })
        });
        seen.extend(std::pin::pin!(rest).take(1).collect::<Vec<_>>().await);
        seen
    };
    let (_, seen) = tokio::join!(server, reader);
    assert_eq!(seen, ["1", "2"]);
}

#[test]
fn a_subscriber_can_be_made_without_a_runtime_and_sent_to_another_thread() {
    fn sent<T: Send + Unpin>(thing: T) -> T {
        thing
    }
    drop(sent(Subscriber::new("http://hub", "demo").unwrap()));
}
