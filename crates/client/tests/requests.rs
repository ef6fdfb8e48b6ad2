//! What stands in the requests, and who is asked for tokens. In memory.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::common::memory::{Memory, drive, next_data, until_over, until_status};
use watertight_client::{Error, Status, Subscriber, TokenRequest};

#[tokio::test(start_paused = true)]
async fn a_plain_request_has_these_headers_and_no_others() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber();
    let server = async {
        let arrived = memory.accept().await;
        assert_eq!(arrived.request.method(), "GET");
        let mut headers: Vec<_> = arrived.request.headers().iter().collect();
        headers.sort_by_key(|(name, _)| name.as_str());
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(headers, [("accept", "text/event-stream"), ("cache-control", "no-cache")]);
        arrived.head(204, &[]);
    };
    tokio::join!(server, until_over(&mut subscriber));
}

#[tokio::test(start_paused = true)]
async fn method_body_and_headers_are_sent_again_with_each_attempt() {
    for method in ["POST", "REPORT"] {
        let memory = Memory::default();
        let subscriber = Subscriber::from_url("http://a/b").unwrap().with_transport(memory.clone());
        let subscriber = subscriber.with_request(method, "{\"hello\": \"world\"}").unwrap();
        let subscriber = subscriber.with_header("Header-Name-1", "value-1").unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let mut subscriber = subscriber.with_headers_source(move || {
            let count = counted.fetch_add(1, Ordering::Relaxed);
            // An application cannot break the request, whatever it gives.
            let host = ("host".parse().unwrap(), "elsewhere".parse().unwrap());
            [("attempt".parse().unwrap(), count.into()), host].into_iter().collect()
        });
        let server = async {
            for attempt in 0..3 {
                let arrived = memory.accept().await;
                assert_eq!(arrived.request.method(), method);
                assert_eq!(arrived.request.body(), "{\"hello\": \"world\"}");
                assert_eq!(arrived.header("header-name-1"), Some("value-1"));
                assert_eq!(arrived.header("attempt"), Some(attempt.to_string().as_str()));
                assert_eq!(arrived.header("host"), None);
                drop(arrived.stream());
            }
        };
        tokio::select! { () = server => {}, () = drive(&mut subscriber) => {} }
    }
}

#[tokio::test]
async fn options_that_cannot_be_sent_are_refused() {
    let new = || Subscriber::from_url("http://a/b").unwrap();
    for error in [
        new().with_token("a\nb").unwrap_err(),
        new().with_header("a b", "x").unwrap_err(),
        new().with_header("a", "x\r\ny: z").unwrap_err(),
        new().with_header("Last-Event-ID", "7").unwrap_err(),
        new().with_header("Content-Length", "7").unwrap_err(),
        new().with_request("NO METHOD", "").unwrap_err(),
        new().with_last_event_id("a\nb").unwrap_err(),
    ] {
        assert!(matches!(error, Error::InvalidOption { .. }), "{error}");
    }
}

type Asked = Arc<Mutex<Vec<bool>>>;

/// A subscriber whose tokens are numbered, and what they were asked for.
fn with_numbered_tokens(memory: &Memory) -> (Subscriber, Asked) {
    let asked = Asked::default();
    let noted = Arc::clone(&asked);
    let source = move |request: TokenRequest| {
        let mut asked = noted.lock().unwrap();
        asked.push(request.is_refresh());
        let number = asked.len();
        async move { Ok::<_, Error>(format!("token-{number}")) }
    };
    (memory.subscriber().with_token_source(source), asked)
}

#[tokio::test(start_paused = true)]
async fn the_token_is_asked_for_before_each_attempt_and_refreshed_once_after_a_401() {
    let memory = Memory::default();
    let (mut subscriber, asked) = with_numbered_tokens(&memory);
    let server = async {
        for (number, status) in [(1, 200), (2, 401), (3, 200), (4, 401), (5, 503), (6, 401), (7, 401)] {
            let arrived = memory.accept().await;
            assert_eq!(arrived.header("authorization"), Some(format!("Bearer token-{number}").as_str()));
            match status {
                200 => drop(arrived.stream().say("data: x\n\n").await),
                status => arrived.answer(status, &[], "").await,
            }
        }
    };
    let ((), seen) = tokio::join!(server, until_over(&mut subscriber));
    assert!(
        matches!(seen.last().unwrap(), Err(Error::Refused(problem)) if problem.status == 401),
        "{seen:?}"
    );
    assert_eq!(*asked.lock().unwrap(), [false, false, true, false, true, false, true]);
    assert_eq!((memory.open_max(), memory.open()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_always_the_same_is_not_tried_twice() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber().with_token("secret").unwrap();
    assert!(!format!("{subscriber:?}").contains("secret"));
    let server = async { memory.accept().await.answer(401, &[], "").await };
    let ((), seen) = tokio::join!(server, until_over(&mut subscriber));
    assert!(matches!(seen.last().unwrap(), Err(Error::Refused(problem)) if problem.status == 401));
    assert_eq!(memory.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_or_hangs_is_asked_again_later() {
    let memory = Memory::default();
    let asked = AtomicUsize::new(0);
    let mut subscriber = memory.subscriber().with_token_source(move |_| {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        async move {
            match number {
                0 => Err("the bank is closed"),
                1 => std::future::pending().await,
                _ => Ok("good".to_owned()),
            }
        }
    });
    let waiting = |status: &Status| matches!(status, Status::Waiting { .. });
    let reason = |status| if let Status::Waiting { reason, .. } = status { reason } else { unreachable!() };
    let first = reason(until_status(&mut subscriber, waiting).await);
    assert_eq!(first, "cannot get a token: the bank is closed");
    let second = reason(until_status(&mut subscriber, waiting).await);
    assert_eq!(second, "timed out after 30s waiting for a token");
    let server = async {
        let arrived = memory.accept().await;
        assert_eq!(arrived.header("authorization"), Some("Bearer good"));
        arrived.stream().say("data: x\n\n").await
    };
    let (_, data) = tokio::join!(server, next_data(&mut subscriber));
    assert_eq!(data, "x");
}

#[tokio::test(start_paused = true)]
async fn elsewhere_gap_and_error_are_events_like_any_other_and_comments_are_told_when_asked_for() {
    use watertight_client::Item;
    let memory = Memory::default();
    let subscriber = Subscriber::from_url("http://a/b").unwrap().with_transport(memory.clone());
    let mut subscriber = subscriber.with_comments();
    let server = async {
        let (_, writer) = memory.stream().await;
        writer.say(":hello\nevent: gap\ndata: 1\n\nevent: error\ndata: 2\n\n").await;
        writer
    };
    let reader = async {
        assert_eq!(
            crate::common::memory::next_item(&mut subscriber).await,
            Item::Comment("hello".to_owned())
        );
        assert_eq!(next_data(&mut subscriber).await, "1");
        assert_eq!(next_data(&mut subscriber).await, "2");
    };
    tokio::join!(server, reader);
}
