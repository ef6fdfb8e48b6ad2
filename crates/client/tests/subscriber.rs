//! What a subscriber promises, against bytes on a socket.

use std::time::Duration;

use crate::common::{STREAM, Script, value};
use tokio::time::timeout;
use watertight_client::{Error, Event, Gap, Item, Replay, Status, Subscriber};

fn subscriber(script: &Script) -> Subscriber {
    Subscriber::new(&script.url(), "demo").unwrap()
}

/// The next item that is no status.
async fn next_item(subscriber: &mut Subscriber) -> Item {
    loop {
        match subscriber.next().await.expect("not over").expect("no error") {
            Item::Status(_) => {}
            item => return item,
        }
    }
}

/// Everything up to the end of the subscriber.
async fn until_over(subscriber: &mut Subscriber) -> Vec<Result<Item, Error>> {
    let mut seen = Vec::new();
    while let Some(item) = subscriber.next().await {
        seen.push(item);
    }
    seen
}

fn event(id: &str, event_type: &str, data: &str) -> Item {
    Item::Event(Event::new(id, event_type, data))
}

#[tokio::test]
async fn comes_back_with_the_last_id_on_every_connection() {
    let script = Script::listen().await;
    let mut subscriber = subscriber(&script);
    let server = async {
        for (expected, id) in
            [(None, "7-1"), (Some("7-1"), "7-2"), (Some("7-2"), "7-3"), (Some("7-3"), "7-4")]
        {
            let mut peer = script.accept().await;
            let (head, _) = peer.request().await;
            assert!(head.starts_with("get /sessions/demo/events http/1.1"), "{head}");
            assert_eq!(value(&head, "last-event-id"), expected);
            assert_eq!(value(&head, "accept"), Some("text/event-stream"));
            peer.say(STREAM).await;
            peer.say(format!("id: {id}\ndata: x\n\nid: 9-9\ndata: cut off in the mid")).await;
        }
    };
    let reader = async {
        for id in ["7-1", "7-2", "7-3", "7-4"] {
            assert_eq!(next_item(&mut subscriber).await, event(id, "message", "x"));
        }
    };
    tokio::join!(server, reader);
    assert_eq!(subscriber.last_event_id(), Some("7-4"));
}

#[tokio::test]
async fn an_id_without_an_event_is_a_position_to_resume_from() {
    let script = Script::listen().await;
    let mut subscriber = subscriber(&script).with_replay(Replay::Last(3));
    let server = async {
        let mut peer = script.accept().await;
        assert!(peer.request().await.0.contains("/events?replay=3 "));
        peer.say(STREAM).await;
        peer.say("id: 7-40\n\n: watertight\n\n").await;
        drop(peer);
        let mut peer = script.accept().await;
        assert_eq!(value(&peer.request().await.0, "last-event-id"), Some("7-40"));
        peer.say(STREAM).await;
        peer.say("event: tick\ndata: 1\ndata: 2\n\n").await;
    };
    let reader = async { assert_eq!(next_item(&mut subscriber).await, event("7-40", "tick", "1\n2")) };
    tokio::join!(server, reader);
}

#[tokio::test]
async fn gaps_and_closing_events_are_told_apart_from_events() {
    let script = Script::listen().await;
    let mut subscriber = subscriber(&script);
    let server = async {
        let mut peer = script.accept().await;
        peer.request().await;
        peer.say(STREAM).await;
        peer.say("event: gap\nid: 7-9\ndata: {\"from\":\"7-2\",\"to\":\"7-9\",\"missed\":6,\"reason\":\"evicted\"}\n\n")
            .await;
        peer.say("event: gap\ndata: not json\n\n").await;
        peer.say("event: error\ndata: {\"error\":\"Connection timeout\",\"code\":\"TIMEOUT\"}\n\n").await;
        drop(peer);
        let mut peer = script.accept().await;
        assert_eq!(value(&peer.request().await.0, "last-event-id"), Some("7-9"));
    };
    let reader = async {
        let gap = |from: Option<&str>, to: Option<&str>, missed, reason: &str| {
            let mut gap = Gap::new(reason);
            (gap.from, gap.to, gap.missed) = (from.map(Into::into), to.map(Into::into), missed);
            Item::Gap(gap)
        };
        assert_eq!(next_item(&mut subscriber).await, gap(Some("7-2"), Some("7-9"), Some(6), "evicted"));
        assert_eq!(next_item(&mut subscriber).await, gap(None, None, None, "unreadable"));
        let closing = Status::ClosingEvent { code: "TIMEOUT".into(), message: "Connection timeout".into() };
        assert_eq!(subscriber.next().await.unwrap().unwrap(), Item::Status(closing));
        while subscriber.next().await.unwrap().unwrap() != Item::Status(Status::Connecting { attempt: 1 }) {}
        timeout(Duration::from_secs(5), subscriber.next()).await.ok();
    };
    tokio::join!(server, reader);
}

#[tokio::test]
async fn dropping_it_closes_the_socket() {
    let script = Script::listen().await;
    let mut subscriber = subscriber(&script);
    let server = async {
        let mut peer = script.accept().await;
        peer.request().await;
        peer.say(STREAM).await;
        peer.say("data: x\n\n").await;
        peer.closed().await;
    };
    let reader = async {
        next_item(&mut subscriber).await;
        drop(subscriber);
    };
    tokio::join!(server, reader);
}

#[tokio::test]
async fn no_content_stops_it_for_good() {
    let script = Script::listen().await;
    let mut subscriber = subscriber(&script);
    let server = async {
        let mut peer = script.accept().await;
        peer.request().await;
        peer.say("HTTP/1.1 204 No Content\r\n\r\n").await;
        peer.closed().await;
    };
    let ((), seen) = tokio::join!(server, until_over(&mut subscriber));
    assert_eq!(seen.last().unwrap().as_ref().unwrap(), &Item::Status(Status::Stopped));
}

#[tokio::test]
async fn a_refusal_ends_it_with_the_hubs_code_and_closes_the_socket() {
    let script = Script::listen().await;
    let mut subscriber = subscriber(&script);
    let server = async {
        let mut peer = script.accept().await;
        peer.request().await;
        let problem = r#"{"title":"Forbidden","status":403,"code":"FORBIDDEN","detail":"not yours"}"#;
        peer.answer("403 Forbidden", "content-type: application/problem+json\r\n", problem).await;
        peer.closed().await;
    };
    let ((), seen) = tokio::join!(server, until_over(&mut subscriber));
    let error = seen.last().unwrap().as_ref().unwrap_err();
    assert_eq!(error.code(), Some("FORBIDDEN"));
    assert_eq!(error.to_string(), "refused by the hub: 403 FORBIDDEN: not yours");
    assert!(subscriber.next().await.is_none());
}

#[tokio::test]
async fn an_answer_that_is_no_event_stream_ends_it() {
    let script = Script::listen().await;
    let mut subscriber = subscriber(&script);
    let server = async {
        let mut peer = script.accept().await;
        peer.request().await;
        peer.answer("200 OK", "content-type: text/html\r\n", "<html>").await;
        peer.closed().await;
    };
    let ((), seen) = tokio::join!(server, until_over(&mut subscriber));
    assert!(matches!(seen.last().unwrap(), Err(Error::UnexpectedAnswer(_))), "{seen:?}");
}

#[tokio::test]
async fn busy_and_broken_hubs_are_tried_again_and_retry_after_is_kept() {
    let script = Script::listen().await;
    let mut subscriber = subscriber(&script);
    let server = async {
        for status in ["503 Service Unavailable", "429 Too Many Requests", "408 Request Timeout", "500 Oh"] {
            let mut peer = script.accept().await;
            peer.request().await;
            peer.answer(status, "retry-after: 0\r\n", "").await;
        }
        let mut peer = script.accept().await;
        peer.request().await;
        peer.answer("503 Service Unavailable", "retry-after: 1\r\n", "").await;
        let mut peer = script.accept().await;
        peer.request().await;
        peer.say(STREAM).await;
        peer.say("data: at last\n\n").await;
    };
    let reader = async {
        let mut delays = Vec::new();
        loop {
            match subscriber.next().await.unwrap().unwrap() {
                Item::Status(Status::Waiting { delay, .. }) => delays.push(delay),
                Item::Status(_) => {}
                item => return (item, delays),
            }
        }
    };
    let ((), (item, delays)) = tokio::join!(server, reader);
    assert_eq!(item, event("", "message", "at last"));
    assert_eq!(delays.len(), 5);
    assert!(delays[4] >= Duration::from_secs(1), "{delays:?}");
}

#[tokio::test]
async fn a_mute_stream_is_left_and_opened_again() {
    let script = Script::listen().await;
    let mut subscriber = subscriber(&script).with_read_timeout(Duration::from_millis(300));
    let server = async {
        let mut mute = script.accept().await;
        mute.request().await;
        mute.say(STREAM).await;
        mute.say("id: 7-1\ndata: x\n\n").await;
        mute.closed().await;
        let mut peer = script.accept().await;
        assert_eq!(value(&peer.request().await.0, "last-event-id"), Some("7-1"));
        peer.say(STREAM).await;
        peer.say("id: 7-2\ndata: y\n\n").await;
    };
    let reader = async {
        assert_eq!(next_item(&mut subscriber).await, event("7-1", "message", "x"));
        assert_eq!(next_item(&mut subscriber).await, event("7-2", "message", "y"));
    };
    tokio::join!(server, reader);
}

#[tokio::test]
async fn an_event_over_the_limit_ends_it_and_closes_the_socket() {
    let script = Script::listen().await;
    let mut subscriber = subscriber(&script).with_max_event_bytes(1000);
    let server = async {
        let mut peer = script.accept().await;
        peer.request().await;
        peer.say(STREAM).await;
        peer.say(format!("data: {}", "x".repeat(5000))).await;
        peer.closed().await;
    };
    let ((), seen) = tokio::join!(server, until_over(&mut subscriber));
    assert!(matches!(seen.last().unwrap(), Err(Error::EventTooLarge { limit: 1000 })), "{seen:?}");
}

#[tokio::test]
async fn futures_dropped_at_any_point_lose_nothing() {
    let script = Script::listen().await;
    let mut subscriber = subscriber(&script);
    let server = async {
        let mut peer = script.accept().await;
        peer.request().await;
        for byte in STREAM.bytes().chain("data: 1\n\ndata: 2\n\ndata: 3\n\n".bytes()) {
            peer.say([byte]).await;
            tokio::task::yield_now().await;
        }
        peer.closed().await;
    };
    let reader = async {
        let mut seen = Vec::new();
        while seen.len() < 3 {
            // Each future gets one poll, and is dropped if that gave nothing.
            let once = timeout(Duration::ZERO, subscriber.next()).await;
            if let Ok(item) = once {
                seen.extend(Some(item.unwrap().unwrap()).filter(|item| !matches!(item, Item::Status(_))));
            }
            tokio::task::yield_now().await;
        }
        drop(subscriber);
        seen
    };
    let ((), seen) = tokio::join!(server, reader);
    assert_eq!(seen, [event("", "message", "1"), event("", "message", "2"), event("", "message", "3")]);
}
