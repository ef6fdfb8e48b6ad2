//! Servers that are not quite hubs, URLs that are not quite URLs, and moments at which little is worth much.

use std::time::Duration;

use crate::common::memory::{Memory, drive, next_data, until_over};
use watertight_client::{Error, Item, Status, Subscriber};

const MINUTE: Duration = Duration::from_secs(60);

/// Refuses streams and answers long-polls, for so long; how many of each there were.
async fn serve(memory: &Memory, poll: impl Fn(usize) -> String, until: Duration) -> (usize, usize) {
    let (mut streams, mut polls) = (0, 0);
    let serving = async {
        loop {
            let arrived = memory.accept().await;
            if arrived.header("accept") == Some("text/event-stream") {
                streams += 1;
                arrived.reset();
            } else {
                polls += 1;
                arrived.json(&poll(polls)).await;
            }
        }
    };
    tokio::select! { () = serving => {}, () = tokio::time::sleep(until) => {} }
    (streams, polls)
}

/// What the subscriber tells until the server is done.
async fn told(
    subscriber: &mut Subscriber,
    server: impl Future<Output = (usize, usize)>,
) -> (Vec<Item>, (usize, usize)) {
    let mut items = Vec::new();
    let reader = async {
        while let Some(item) = subscriber.next().await {
            items.push(item.unwrap());
        }
    };
    let served = tokio::select! { served = server => served, () = reader => panic!("it ended") };
    (items, served)
}

#[tokio::test(start_paused = true)]
async fn events_of_other_servers_are_never_taken_for_doubled_ones_whatever_their_ids() {
    let memory = Memory::default();
    let mut subscriber = Subscriber::from_url("http://other/feed").unwrap().with_transport(memory.clone());
    let server = async {
        let (_, writer) = memory.stream().await;
        writer
            .say("id: 202611211939-5\ndata: a\n\ndata: b\n\ndata: c\n\nid: 202611211939-2\ndata: d\n\n")
            .await;
        writer
    };
    let reader = async {
        for expected in ["a", "b", "c", "d"] {
            assert_eq!(next_data(&mut subscriber).await, expected);
        }
    };
    tokio::join!(server, reader);
}

#[test]
fn a_port_that_is_none_is_refused_and_no_password_is_told() {
    for url in ["http://h:99999/", "http://h:80a/", "http://h:/", "http://h:-1/", "http://[::1]:x/"] {
        assert!(matches!(Subscriber::from_url(url), Err(Error::InvalidUrl { .. })), "{url}");
    }
    for url in ["joe:secret@h/", "//joe:secret@h/x", "http:/joe:secret@h", "http://joe:secret@h:99999/"] {
        let error = Subscriber::from_url(url).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_small_limit_for_events_is_none_for_answers_full_of_them() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber().with_max_event_bytes(1024);
    let body = |turn: usize| {
        let first = (turn - 1) * 100;
        let event = |n| format!(r#"{{"id":"mg931z5aashp-{n}","type":"t","data":"{}"}}"#, "y".repeat(100));
        // Time passes only between answers that bring nothing.
        let last = if turn > 3 { first } else { first + 100 };
        let events: Vec<_> = (first + 1..=last).map(event).collect();
        format!(r#"{{"events":[{}],"next":"mg931z5aashp-{}","gap":null}}"#, events.join(","), last.min(300))
    };
    let (items, _) = told(&mut subscriber, serve(&memory, body, MINUTE)).await;
    let events = items.iter().filter(|item| matches!(item, Item::Event(_))).count();
    assert_eq!(events, 300);
}

#[tokio::test(start_paused = true)]
async fn what_a_connection_was_worth_counts_also_when_it_is_restarted() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber().with_max_retries(1);
    let server = async {
        memory.accept().await.reset();
        let (_, writer) = memory.stream().await;
        writer.say("id: mg931z5aashp-1\ndata: a\n\n").await;
        writer.closed().await;
        memory.accept().await.reset();
        let (_, writer) = memory.stream().await;
        writer.say("id: mg931z5aashp-2\ndata: b\n\n").await;
        writer
    };
    let reader = async {
        assert_eq!(next_data(&mut subscriber).await, "a");
        subscriber.restart();
        assert_eq!(next_data(&mut subscriber).await, "b");
    };
    tokio::join!(server, reader);
}

#[tokio::test(start_paused = true)]
async fn a_closing_event_in_a_long_poll_is_a_failure_with_a_back_off() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber().with_max_retries(5);
    let bye =
        r#"{"events":[],"next":"mg931z5aashp-7","gap":null,"end":{"error":"x","code":"TOKEN_EXPIRED"}}"#;
    let server = serve(&memory, |_| bye.to_owned(), 10 * MINUTE);
    let (items, (_, polls)) = told(&mut subscriber, server).await;
    let waits = items.iter().filter(|item| matches!(item, Item::Status(Status::Waiting { .. }))).count();
    assert!(waits >= polls, "{waits} waits for {polls} closing events");
}

#[tokio::test(start_paused = true)]
async fn after_a_gap_that_leads_nowhere_everything_is_news() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber().with_last_event_id("mg931z5aashp-900").unwrap();
    let gap = r#"{"from":"mg931z5aashp-900","to":null,"missed":null,"reason":"unknown_id"}"#;
    let body = |turn: usize| {
        let gap = if turn == 1 { gap } else { "null" };
        let turn = turn.min(3);
        let event = format!(r#"{{"id":"mg931z5aashp-{turn}","type":"t","data":"{turn}"}}"#);
        format!(r#"{{"events":[{event}],"next":"mg931z5aashp-{turn}","gap":{gap}}}"#)
    };
    let (items, _) = told(&mut subscriber, serve(&memory, body, MINUTE)).await;
    let events: Vec<_> = items.iter().filter(|item| matches!(item, Item::Event(_) | Item::Gap(_))).collect();
    assert!(matches!(&events[..2], [Item::Gap(_), Item::Event(first)] if first.data == "1"), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn streams_that_cannot_be_reached_are_tried_seldom_while_long_polls_work() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber();
    let (mut streams, mut polls) = (0_usize, 0_usize);
    let server = async {
        loop {
            let arrived = memory.accept().await;
            if arrived.header("accept") == Some("text/event-stream") {
                streams += 1;
                arrived.refuse();
                continue;
            }
            polls += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
            let event = format!(r#"{{"id":"mg931z5aashp-{polls}","type":"t","data":"x"}}"#);
            arrived
                .json(&format!(r#"{{"events":[{event}],"next":"mg931z5aashp-{polls}","gap":null}}"#))
                .await;
        }
    };
    tokio::select! { () = server => {}, () = drive(&mut subscriber) => {}, () = tokio::time::sleep(MINUTE) => {} }
    assert!(streams <= 10 && polls > 100, "{streams} streams, {polls} long-polls");
}

#[tokio::test(start_paused = true)]
async fn half_an_answer_is_no_reason_never_to_poll_again() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber();
    let whole = r#"{"events":[],"next":"mg931z5aashp-7","gap":null}"#;
    let body = |turn: usize| if turn == 3 { r#"{"events":[],"ne"#.to_owned() } else { whole.to_owned() };
    let (_, (_, polls)) = told(&mut subscriber, serve(&memory, body, 10 * MINUTE)).await;
    assert!(polls > 10, "{polls} long-polls");
}

#[tokio::test(start_paused = true)]
async fn a_position_in_the_url_does_not_outrank_the_one_that_was_reached() {
    let memory = Memory::default();
    let url = "http://hub/sessions/demo/events?last_event_id=mg931z5aashp-1";
    let subscriber = Subscriber::from_url(url).unwrap().with_hub(true).with_transport(memory.clone());
    let mut subscriber = subscriber;
    let server = async {
        for _ in 0..3 {
            memory.accept().await.reset();
        }
        let body = r#"{"events":[{"id":"mg931z5aashp-2","type":"t","data":"x"}],"next":"mg931z5aashp-2","gap":null}"#;
        memory.accept().await.json(body).await;
        let mut arrived = memory.accept().await;
        while arrived.header("accept") == Some("text/event-stream") {
            arrived.reset();
            arrived = memory.accept().await;
        }
        assert_eq!(arrived.header("last-event-id"), Some("mg931z5aashp-2"));
    };
    tokio::select! { () = server => {}, () = drive(&mut subscriber) => panic!("it ended") }
}

#[tokio::test(start_paused = true)]
async fn the_longest_delays_that_can_be_asked_for_overflow_nothing() {
    let memory = Memory::default();
    let subscriber = memory.subscriber().with_retry_max(Duration::MAX).with_retry_base(Duration::MAX);
    let mut subscriber = subscriber.with_random(|| 1.0).with_max_retries(0);
    let server = async { memory.accept().await.reset() };
    let ((), items) = tokio::join!(server, until_over(&mut subscriber));
    assert!(matches!(items.last(), Some(Err(Error::GaveUp { .. }))), "{items:?}");
    let mut subscriber = memory.subscriber().with_retry_max(Duration::MAX).with_retry_base(Duration::MAX);
    let server = async {
        memory.accept().await.answer(503, &[("retry-after", "100000000000000000000000")], "").await;
    };
    let reader = async {
        loop {
            if let Some(Ok(Item::Status(Status::Waiting { delay, .. }))) = subscriber.next().await {
                return delay;
            }
        }
    };
    let ((), delay) = tokio::join!(server, reader);
    assert!(delay >= watertight_client::limits::RETRY_AFTER_MAX, "{delay:?}");
}
