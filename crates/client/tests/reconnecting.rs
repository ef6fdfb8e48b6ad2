//! How a subscriber comes back: from where, after how long, and when it does not. In memory, on paused time.

use std::time::Duration;

use crate::common::memory::{Memory, drive, header, next_data, next_item, until_over, until_status};
use tokio::time::Instant;
use watertight_client::{Error, Item, Replay, Status};

const SECOND: Duration = Duration::from_secs(1);

/// Runs the subscriber of a test whose server decides when it is over.
macro_rules! serve {
    ($subscriber:expr, $server:expr) => {
        tokio::select! {
            biased;
            () = async { $server.await } => {}
            () = drive($subscriber) => {}
        }
    };
}

#[tokio::test(start_paused = true)]
async fn a_clean_end_after_one_event_is_no_tight_loop_and_the_third_connection_resumes_too() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber();
    let begun = Instant::now();
    serve!(&mut subscriber, async {
        for number in 1..=60 {
            let (request, writer) = memory.stream().await;
            let before = (number > 1).then(|| format!("7-{}", number - 1));
            assert_eq!(header(&request, "last-event-id"), before.as_deref());
            writer.say(format!("id: 7-{number}\ndata: x\n\nid: 9-9\ndata: cut off in the mid")).await;
        }
    });
    // Each came with an event, so each wait is the first of a back-off: a second, with the longest jitter.
    assert!(begun.elapsed() >= 59 * SECOND, "{:?}", begun.elapsed());
    assert_eq!(memory.open_max(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_dies_without_an_event_backs_off_although_it_was_opened() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber();
    let mut opened_at = Vec::new();
    serve!(&mut subscriber, async {
        for _ in 0..9 {
            let (_, writer) = memory.stream().await;
            opened_at.push(Instant::now());
            writer.say("event: error\ndata: {\"code\":\"OVERLOADED\"}\n\n: comment\n\n").await;
        }
    });
    let waits: Vec<_> = opened_at.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_spoke_for_half_a_minute_was_healthy_and_a_silent_one_was_not() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber().with_connect_timeout(300 * SECOND);
    let mut waits = Vec::new();
    let server = async {
        for speaks in [false, true, false] {
            let (_, writer) = memory.stream().await;
            // Else the wait would count as one in which no stream came through.
            writer.say(":\n\n").await;
            if speaks {
                for _ in 0..4 {
                    tokio::time::advance(10 * SECOND).await;
                    writer.say(":\n\n").await;
                    tokio::task::yield_now().await;
                }
                drop(writer);
            } else {
                writer.closed().await;
            }
        }
    };
    let reader = async {
        while waits.len() < 3 {
            let status = until_status(&mut subscriber, |status| matches!(status, Status::Waiting { .. }));
            let Status::Waiting { delay, .. } = status.await else { unreachable!() };
            waits.push(delay.as_secs());
        }
    };
    tokio::join!(server, reader);
    assert_eq!(waits, [1, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn retry_is_the_base_of_the_back_off_but_neither_spins_nor_parks() {
    for (told, least, most) in
        [("0", 100, 100), ("5000", 5000, 5000), ("99999999999", 60_000, 60_000), ("1000x", 1000, 1000)]
    {
        let memory = Memory::default();
        let mut subscriber = memory.subscriber();
        let server = async {
            let (_, writer) = memory.stream().await;
            writer.say(format!("retry: {told}\n\n")).await;
        };
        let reader = until_status(&mut subscriber, |status| matches!(status, Status::Waiting { .. }));
        let ((), status) = tokio::join!(server, reader);
        let Status::Waiting { delay, .. } = status else { unreachable!() };
        assert!((least..=most).contains(&delay.as_millis()), "{told}: {delay:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_content_stops_it_for_ever() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber();
    let (_, seen) = tokio::join!(async { memory.accept().await.head(204, &[]) }, until_over(&mut subscriber));
    assert_eq!(seen.last().unwrap().as_ref().unwrap(), &Item::Status(Status::Stopped));
    subscriber.restart();
    assert!(subscriber.next().await.is_none());
    assert_eq!((memory.requests(), memory.open()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn exhaustion_is_an_error_and_the_end() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber().with_max_retries(3).with_polling(false);
    let server = async {
        for _ in 0..4 {
            memory.accept().await.answer(500, &[], "").await;
        }
    };
    let ((), mut seen) = tokio::join!(server, until_over(&mut subscriber));
    let error = seen.pop().unwrap().unwrap_err();
    let Error::GaveUp { attempts: 4, elapsed, last } = &error else { panic!("{error}") };
    assert_eq!(elapsed.as_secs(), 7);
    assert!(matches!(&**last, Error::Refused(problem) if problem.status == 500));
    assert!(!seen.contains_open(), "a 500 is no open stream");
    assert!(subscriber.next().await.is_none());
    // Asked for expressly, it begins anew, with all its retries.
    subscriber.restart();
    let server = async { memory.stream().await.1.say("data: back\n\n").await };
    let (_, data) = tokio::join!(server, next_data(&mut subscriber));
    assert_eq!(data, "back");
}

trait Statuses {
    fn contains_open(&self) -> bool;
}

impl Statuses for Vec<Result<Item, Error>> {
    fn contains_open(&self) -> bool {
        self.iter().any(|item| matches!(item, Ok(Item::Status(Status::Open))))
    }
}

#[tokio::test(start_paused = true)]
async fn progress_gives_the_retries_back() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber().with_max_retries(2);
    serve!(&mut subscriber, async {
        for number in 0..5 {
            memory.accept().await.reset();
            let (_, writer) = memory.stream().await;
            writer.say(format!("data: {number}\n\n")).await;
        }
    });
    assert_eq!(memory.requests(), 10);
}

#[tokio::test(start_paused = true)]
async fn without_retries_the_first_connection_is_the_last() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber().with_max_retries(0);
    let server = async { memory.stream().await.1.say("data: x\n\n").await };
    let (_, seen) = tokio::join!(server, until_over(&mut subscriber));
    assert!(matches!(seen.last().unwrap(), Err(Error::GaveUp { .. })), "{seen:?}");
    assert_eq!(memory.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_waited_out_in_seconds_and_as_a_date() {
    for headers in [
        vec![("retry-after", "20")],
        vec![("retry-after", "Sun, 06 Nov 1994 08:49:20 GMT"), ("date", "Sun, 06 Nov 1994 08:49:00 GMT")],
    ] {
        for status in [408, 425, 429, 503] {
            let memory = Memory::default();
            let mut subscriber = memory.subscriber().with_random(|| 0.0);
            let begun = Instant::now();
            let server = async {
                memory.accept().await.answer(status, &headers, "").await;
                memory.stream().await.1.say("data: x\n\n").await;
            };
            tokio::join!(server, next_item(&mut subscriber));
            assert_eq!(begun.elapsed().as_secs(), 20, "{status} {headers:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_good_ends_it_although_its_body_never_does() {
    for status in [400, 401, 403, 404, 405, 409, 410, 422, 451] {
        let memory = Memory::default();
        let mut subscriber = memory.subscriber();
        let server = async {
            let writer = memory.accept().await.head(status, &[]);
            writer.say("{\"code\":\"NO\"").await;
            writer.closed().await;
        };
        let ((), seen) = tokio::join!(server, until_over(&mut subscriber));
        assert!(matches!(seen.last().unwrap(), Err(Error::Refused(problem)) if problem.status == status));
        assert_eq!((memory.requests(), memory.open()), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_no_stream_ends_it_and_is_not_left_open() {
    let stream = "text/event-stream";
    for (status, content_type) in [
        (200, Some("text/html")),
        (200, Some("text/event-streamX")),
        (200, Some("text/event-stream; charset=latin1")),
        (200, None),
        (201, Some(stream)),
        (205, Some(stream)),
        (206, Some(stream)),
        (299, Some(stream)),
        (304, Some(stream)),
    ] {
        let memory = Memory::default();
        let mut subscriber = memory.subscriber();
        let server = async {
            let headers: Vec<_> = content_type.map(|value| ("content-type", value)).into_iter().collect();
            memory.accept().await.head(status, &headers).closed().await;
        };
        let ((), seen) = tokio::join!(server, until_over(&mut subscriber));
        let last = seen.last().unwrap();
        assert!(matches!(last, Err(Error::UnexpectedAnswer(_))), "{status} {content_type:?}: {last:?}");
        assert_eq!((memory.requests(), memory.open()), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_cursor_follows_the_rules_over_connections() {
    // What each connection says, and the id with which the next one asks.
    for connections in [
        vec![("id:9\n\n", Some("9"))],
        vec![("id:7\ndata:a\n\n", Some("7")), ("data:b\n\n", Some("7"))],
        vec![("id:a\ndata:x\n\nid:b\ndata:y", Some("a"))],
        vec![("id: 1\ndata:1\n\nid:\ndata:2\n\n", None), ("data:3\n\n", None)],
        vec![("id:é☃\ndata:x\n\n", Some("é☃"))],
        vec![("id:a\ndata:x\n\n", Some("a")), ("id:b\u{1}\ndata:x\n\n", Some("a"))],
    ] {
        let memory = Memory::default();
        let mut subscriber = memory.subscriber();
        serve!(&mut subscriber, async {
            for (wire, expected) in &connections {
                let (_, writer) = memory.stream().await;
                writer.say(wire).await;
                drop(writer);
                let next = memory.accept().await;
                assert_eq!(next.header("last-event-id"), *expected, "{wire:?}");
                next.answer(503, &[("retry-after", "0")], "").await;
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn the_applications_own_position_is_the_first_and_can_be_set_later() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber().with_last_event_id("stored").unwrap().with_replay(Replay::All);
    assert_eq!(subscriber.last_event_id(), Some("stored"));
    let server = async {
        let arrived = memory.accept().await;
        assert_eq!(arrived.header("last-event-id"), Some("stored"));
        assert_eq!(arrived.url(), "http://hub/sessions/demo/events");
        arrived.stream().say("data: x\n\n").await
    };
    let (_, item) = tokio::join!(server, next_item(&mut subscriber));
    // An event without an id has the one in force, whoever set that.
    assert!(matches!(item, Item::Event(event) if event.id == "stored"));
    assert!(subscriber.set_last_event_id("no\nheader").is_err());
    subscriber.set_last_event_id("").unwrap();
    assert_eq!(subscriber.last_event_id(), None);
    subscriber.restart();
    let server = async {
        let arrived = memory.accept().await;
        assert_eq!(arrived.header("last-event-id"), None);
        assert_eq!(arrived.url(), "http://hub/sessions/demo/events?replay=all");
        arrived.stream().say("data: y\n\n").await
    };
    let (_, data) = tokio::join!(server, next_data(&mut subscriber));
    assert_eq!(data, "y");
}

#[tokio::test(start_paused = true)]
async fn what_was_delivered_is_not_delivered_again_and_does_not_move_the_cursor() {
    let id = |sequence: u32| format!("mg931z5aashp-{sequence}");
    let event = |sequence: u32| format!("id: {}\ndata: {sequence}\n\n", id(sequence));
    let memory = Memory::default();
    let mut subscriber = memory.subscriber();
    let server = async {
        let (_, writer) = memory.stream().await;
        writer.say([event(1), event(2), event(3)].concat()).await;
        drop(writer);
        // A hub, or a proxy, that forgot what it had sent; and then goes before anything new.
        let (_, writer) = memory.stream().await;
        writer.say([format!("id: {}\n\n", id(0)), event(1), event(2)].concat()).await;
        drop(writer);
        let (request, writer) = memory.stream().await;
        assert_eq!(header(&request, "last-event-id"), Some(id(3).as_str()));
        writer.say([event(2), event(3), event(4)].concat()).await;
        writer.say("event: error\ndata: {\"code\":\"TIMEOUT\"}\n\n").await;
        // Another life of the session, and ids that are nobody's: nothing of them is dropped.
        writer.say("id: 00000000000z-1\ndata: new life\n\n").await;
        writer.say("id: 7\ndata: a\n\nid: 7\ndata: b\n\nid: 6\ndata: c\n\n").await;
        writer
    };
    let reader = async {
        for expected in ["1", "2", "3", "4"] {
            assert_eq!(next_data(&mut subscriber).await, expected);
        }
        until_status(&mut subscriber, |status| matches!(status, Status::ClosingEvent { .. })).await;
        for expected in ["new life", "a", "b", "c"] {
            assert_eq!(next_data(&mut subscriber).await, expected);
        }
    };
    tokio::join!(server, reader);
}

#[tokio::test(start_paused = true)]
async fn after_a_gap_the_hub_may_begin_further_back() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber().with_last_event_id("mg931z5aashp-900").unwrap();
    let server = async {
        let (_, writer) = memory.stream().await;
        let gap = r#"{"from":"mg931z5aashp-900","to":"mg931z5aashp-4","missed":null,"reason":"unknown_id"}"#;
        writer.say(format!("id: mg931z5aashp-4\nevent: gap\ndata: {gap}\n\n")).await;
        writer.say("id: mg931z5aashp-5\ndata: five\n\n").await;
        writer
    };
    let reader = async {
        assert!(matches!(next_item(&mut subscriber).await, Item::Gap(_)));
        assert_eq!(next_data(&mut subscriber).await, "five");
    };
    tokio::join!(server, reader);
}

#[tokio::test(start_paused = true)]
async fn the_first_byte_must_come_in_time_whatever_the_head_says() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber().with_connect_timeout(7 * SECOND);
    let begun = Instant::now();
    let server = async {
        let (_, writer) = memory.stream().await;
        writer.closed().await;
    };
    let reader = until_status(&mut subscriber, |status| matches!(status, Status::Waiting { .. }));
    let ((), status) = tokio::join!(server, reader);
    assert_eq!(begun.elapsed().as_secs(), 7);
    assert!(matches!(&status, Status::Waiting { reason, .. } if reason.contains("first byte")), "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn nobody_comes_back_to_a_session_that_has_ended_unless_told_to() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber();
    let server = async {
        let (_, writer) = memory.stream().await;
        writer.say("id: 7\ndata: 1\n\n").await;
        writer.say("event: error\ndata: {\"error\":\"over\",\"code\":\"SESSION_ENDED\"}\n\n").await;
        // The subscriber hangs up by itself.
        writer.closed().await;
        let (request, writer) = memory.stream().await;
        assert_eq!(header(&request, "last-event-id"), Some("7"));
        writer
    };
    let reader = async {
        assert_eq!(next_data(&mut subscriber).await, "1");
        until_status(&mut subscriber, |status| matches!(status, Status::ClosingEvent { .. })).await;
        assert!(subscriber.next().await.is_none());
        subscriber.restart();
        until_status(&mut subscriber, |status| matches!(status, Status::Open)).await;
    };
    tokio::join!(server, reader);
}

#[tokio::test(start_paused = true)]
async fn nobody_comes_back_to_a_stream_whose_right_was_taken_away() {
    for code in ["TOKEN_REVOKED", "FORBIDDEN"] {
        let memory = Memory::default();
        let mut subscriber = memory.subscriber();
        let server = async {
            let (_, writer) = memory.stream().await;
            writer.say(&format!("event: error\ndata: {{\"error\":\"no\",\"code\":\"{code}\"}}\n\n")).await;
            writer.closed().await;
        };
        let reader = async {
            until_status(&mut subscriber, |status| matches!(status, Status::ClosingEvent { .. })).await;
            assert!(subscriber.next().await.is_none(), "{code}");
        };
        tokio::join!(server, reader);
    }
}
