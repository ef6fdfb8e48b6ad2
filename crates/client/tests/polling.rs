//! Falling back to long-poll where no stream comes through, and climbing back. In memory, on paused time.

use std::time::Duration;

use crate::common::memory::{Memory, drive, next_data, next_item, until_over, until_status};
use tokio::time::Instant;
use watertight_client::{Error, Item, Replay, Status};

const SECOND: Duration = Duration::from_secs(1);

/// Lets three attempts at a stream come to nothing: somebody on the way keeps their bytes.
async fn no_stream(memory: &Memory) {
    for _ in 0..3 {
        let arrived = memory.accept().await;
        assert_eq!(arrived.header("accept"), Some("text/event-stream"));
        let writer = arrived.stream();
        writer.closed().await;
    }
}

fn answer(events: &[u32], next: u32) -> String {
    let event = |number| format!(r#"{{"id":"mg931z5aashp-{number}","type":"tick","data":"{number}"}}"#);
    let events: Vec<_> = events.iter().map(event).collect();
    format!(r#"{{"events":[{}],"next":"mg931z5aashp-{next}","gap":null}}"#, events.join(","))
}

#[tokio::test(start_paused = true)]
async fn the_same_cursor_goes_on_by_long_poll_and_back_over_the_stream() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber().with_replay(Replay::All);
    let server = async {
        no_stream(&memory).await;
        // The first one is answered at once, and asks for what the stream would have asked for.
        let arrived = memory.accept().await;
        assert_eq!(arrived.url(), "http://hub/sessions/demo/events?wait=0&limit=100&replay=all");
        assert_eq!(arrived.header("accept"), Some("application/json"));
        assert_eq!(arrived.header("cache-control"), Some("no-cache"));
        arrived.json(&answer(&[1, 2], 2)).await;
        let arrived = memory.accept().await;
        let url = "http://hub/sessions/demo/events?after=mg931z5aashp-2&wait=25&limit=100";
        assert_eq!(arrived.url(), url);
        tokio::time::sleep(7 * SECOND).await;
        // What came before is dropped here, too.
        arrived.json(&answer(&[2, 3], 3)).await;
        // A hub that has nothing: its position counts.
        let arrived = memory.accept().await;
        tokio::time::sleep(10 * SECOND).await;
        arrived.json(&answer(&[], 4)).await;
        // A quarter of a minute is over.
        let arrived = memory.accept().await;
        assert_eq!(arrived.header("accept"), Some("text/event-stream"));
        assert_eq!(arrived.header("last-event-id"), Some("mg931z5aashp-4"));
        let writer = arrived.stream();
        writer.say("id: mg931z5aashp-3\ndata: again\n\nid: mg931z5aashp-5\ndata: 5\n\n").await;
        writer
    };
    let reader = async {
        until_status(&mut subscriber, |status| *status == Status::Polling).await;
        for expected in ["1", "2", "3"] {
            assert_eq!(next_data(&mut subscriber).await, expected);
        }
        until_status(&mut subscriber, |status| *status == Status::Open).await;
        assert_eq!(next_data(&mut subscriber).await, "5");
    };
    tokio::join!(server, reader);
    assert_eq!(memory.open_max(), 1, "never two requests at once");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_goes_back_to_polling_at_once_and_is_made_ever_more_seldom() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber();
    let begun = Instant::now();
    let mut probes = Vec::new();
    let server = async {
        no_stream(&memory).await;
        while probes.len() < 6 {
            let arrived = memory.accept().await;
            if arrived.header("accept") == Some("text/event-stream") {
                probes.push(begun.elapsed().as_secs());
                arrived.reset();
            } else {
                tokio::time::sleep(SECOND).await;
                arrived.json(&answer(&[], 1)).await;
            }
        }
    };
    tokio::select! { () = server => {}, () = drive(&mut subscriber) => {} }
    let between: Vec<_> = probes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (found, expected) in between.iter().zip([30, 60, 120, 240, 300]) {
        assert!((expected..expected + 3).contains(found), "{between:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn gaps_and_the_end_of_a_session_are_told_here_too() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber();
    let server = async {
        no_stream(&memory).await;
        let gap = r#"{"from":"mg931z5aashp-1","to":"mg931z5aashp-7","missed":7,"reason":"evicted"}"#;
        let body = format!(r#"{{"events":[],"next":"mg931z5aashp-7","gap":{gap}}}"#);
        memory.accept().await.json(&body).await;
        let arrived = memory.accept().await;
        assert!(arrived.url().contains("after=mg931z5aashp-7&"), "{}", arrived.url());
        let body = r#"{"events":[],"next":"mg931z5aashp-7","gap":null,"end":{"error":"over","code":"SESSION_ENDED"}}"#;
        arrived.json(body).await;
    };
    let reader = async {
        let Item::Gap(gap) = next_item(&mut subscriber).await else { panic!("no gap") };
        assert_eq!((gap.missed, gap.reason.as_str()), (Some(7), "evicted"));
        let closing =
            until_status(&mut subscriber, |status| matches!(status, Status::ClosingEvent { .. })).await;
        assert_eq!(closing, Status::ClosingEvent { code: "SESSION_ENDED".into(), message: "over".into() });
        assert!(subscriber.next().await.is_none(), "there is nothing to come back to");
    };
    tokio::join!(server, reader);
}

#[tokio::test(start_paused = true)]
async fn what_the_server_does_not_understand_is_tried_again_after_a_while() {
    for (status, content_type, body) in [
        (406, "text/plain", ""),
        (404, "text/html", "<html>"),
        (200, "text/html", "<html>"),
        (200, "application/json", "{\"something\":\"else\"}"),
        (200, "text/event-stream", ""),
    ] {
        let memory = Memory::default();
        let mut subscriber = memory.subscriber().with_replay(Replay::All);
        let server = async {
            no_stream(&memory).await;
            memory.accept().await.answer(status, &[("content-type", content_type)], body).await;
            let begun = Instant::now();
            let mut arrived = memory.accept().await;
            while arrived.header("accept") == Some("text/event-stream") {
                arrived.reset();
                arrived = memory.accept().await;
            }
            assert!(begun.elapsed() >= 15 * SECOND, "{status} {content_type}: {:?}", begun.elapsed());
            arrived.json(&answer(&[1], 1)).await;
        };
        let ((), data) = tokio::join!(server, next_data(&mut subscriber));
        assert_eq!(data, "1");
    }
}

#[tokio::test(start_paused = true)]
async fn it_can_be_forbidden_and_its_threshold_chosen() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber().with_polling(false);
    let server = async {
        for _ in 0..10 {
            let arrived = memory.accept().await;
            assert_eq!(arrived.header("accept"), Some("text/event-stream"));
            arrived.reset();
        }
    };
    tokio::select! { () = server => {}, () = drive(&mut subscriber) => {} }
    let memory = Memory::default();
    let mut subscriber = memory.subscriber().with_polling_after(1);
    let server = async {
        memory.accept().await.reset();
        assert_eq!(memory.accept().await.header("accept"), Some("application/json"));
    };
    tokio::select! { () = server => {}, () = drive(&mut subscriber) => {} }
}

#[tokio::test(start_paused = true)]
async fn mute_streams_count_and_streams_that_spoke_or_said_when_do_not() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber();
    let server = async {
        for _ in 0..4 {
            // A byte is enough, and so is a server that says when to come back.
            let (_, writer) = memory.stream().await;
            writer.say(":").await;
            drop(writer);
            memory.accept().await.answer(503, &[("retry-after", "1")], "").await;
        }
        for _ in 0..3 {
            // A proxy that passes the head and nothing else.
            let (_, writer) = memory.stream().await;
            writer.closed().await;
        }
        assert_eq!(memory.accept().await.header("accept"), Some("application/json"));
    };
    tokio::select! { () = server => {}, () = drive(&mut subscriber) => {} }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_wait_is_not_asked_in_a_tight_loop() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber();
    let begun = Instant::now();
    let server = async {
        no_stream(&memory).await;
        for _ in 0..20 {
            let mut arrived = memory.accept().await;
            if arrived.header("accept") == Some("text/event-stream") {
                arrived.reset();
                arrived = memory.accept().await;
            }
            arrived.json(&answer(&[1], 1)).await;
        }
    };
    tokio::select! { () = server => {}, () = drive(&mut subscriber) => {} }
    assert!(begun.elapsed() > 17 * SECOND, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn when_neither_way_works_both_are_tried_by_turns_with_back_off() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber();
    let begun = Instant::now();
    let server = async {
        for _ in 0..3 {
            memory.accept().await.refuse();
        }
        for way in ["application/json", "text/event-stream"].repeat(4) {
            let arrived = memory.accept().await;
            assert_eq!(arrived.header("accept"), Some(way));
            arrived.refuse();
        }
        // The first answer is followed by a stream at once: it was the whole network that was gone.
        memory.accept().await.json(&answer(&[1], 1)).await;
        let arrived = memory.accept().await;
        assert_eq!(arrived.header("accept"), Some("text/event-stream"));
    };
    tokio::select! { () = server => {}, () = drive(&mut subscriber) => {} }
    assert!(begun.elapsed() > 200 * SECOND, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_may_not_read_is_told_so_while_polling() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber();
    let server = async {
        no_stream(&memory).await;
        memory.accept().await.answer(403, &[], "{\"code\":\"FORBIDDEN\"}").await;
    };
    let ((), seen) = tokio::join!(server, until_over(&mut subscriber));
    assert_eq!(seen.last().unwrap().as_ref().unwrap_err().code(), Some("FORBIDDEN"));
    let memory = Memory::default();
    let mut subscriber = memory.subscriber();
    let server = async {
        no_stream(&memory).await;
        memory.accept().await.json(&answer(&[1], 1)).await;
        memory.accept().await.head(204, &[]);
    };
    let ((), seen) = tokio::join!(server, until_over(&mut subscriber));
    assert_eq!(seen.last().unwrap().as_ref().unwrap(), &Item::Status(Status::Stopped));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_comes_is_given_up() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber().with_max_retries(3);
    let server = async {
        no_stream(&memory).await;
        let arrived = memory.accept().await;
        tokio::time::sleep(3600 * SECOND).await;
        drop(arrived);
    };
    let seen = tokio::select! { () = server => unreachable!(), seen = until_over(&mut subscriber) => seen };
    let Err(Error::GaveUp { last, .. }) = seen.last().unwrap() else { panic!("{seen:?}") };
    assert!(last.to_string().contains("long-poll"), "{last}");
    assert_eq!(memory.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn first_bytes_and_then_silence_are_no_stream() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber();
    let server = async {
        for _ in 0..3 {
            let (_, writer) = memory.stream().await;
            writer.say(": hello\n\n").await;
            writer.closed().await;
        }
        assert_eq!(memory.accept().await.header("accept"), Some("application/json"));
    };
    tokio::select! { () = server => {}, () = drive(&mut subscriber) => {} }
}

#[tokio::test(start_paused = true)]
async fn one_answer_that_is_not_understood_among_others_ends_no_long_polls() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber().with_replay(Replay::All);
    let server = async {
        no_stream(&memory).await;
        memory.accept().await.json(&answer(&[1], 1)).await;
        memory.accept().await.answer(404, &[("content-type", "text/html")], "<html>").await;
        let (_, writer) = memory.stream().await;
        writer.closed().await;
        memory.accept().await.json(&answer(&[2], 2)).await;
    };
    let reader = async {
        for expected in ["1", "2"] {
            assert_eq!(next_data(&mut subscriber).await, expected);
        }
    };
    tokio::join!(server, reader);
}
