//! A subscription as a body, on a clock that the test moves; and the write deadline of a guarded stream.

use std::time::Duration;

use crate::support::TestHub;
use futures_util::FutureExt;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use watertight::guarded::GuardedStream;
use watertight::{Event, HubConfig, Resume, SseBody};

async fn next(body: &mut SseBody) -> Option<String> {
    let frame = body.frame().await?.expect("no error");
    Some(String::from_utf8(frame.into_data().expect("data").to_vec()).expect("text"))
}

#[tokio::test]
async fn a_body_opens_at_once_and_beats_in_silence() {
    let hub = TestHub::new(HubConfig::default());
    let mut body = hub.subscribe("s", Resume::Live).unwrap().into_http_response().into_body();
    let opening = next(&mut body).await.unwrap();
    assert!(opening.contains("retry: ") && opening.contains("\nid: ") && opening.ends_with("\n\n"));
    for _ in 1..=3 {
        hub.advance(Duration::from_secs(14));
        assert!(next(&mut body).now_or_never().is_none(), "no silence that is worth a heartbeat yet");
        hub.advance(Duration::from_secs(1));
        assert_eq!(next(&mut body).await.unwrap(), ":\n\n");
    }
}

#[tokio::test]
async fn a_body_ends_at_its_age_although_it_is_never_silent() {
    let max_age = Some(Duration::from_secs(10));
    let hub = TestHub::new(HubConfig { max_age, max_age_jitter_percent: 0, ..HubConfig::default() });
    let mut body = hub.subscribe("s", Resume::Live).unwrap().into_http_response().into_body();
    next(&mut body).await.unwrap();
    let mut events = 0;
    let closing = loop {
        hub.publish_now("s", &Event::new("x")).unwrap();
        let text = next(&mut body).await.unwrap();
        if text.contains("event: error") {
            break text;
        }
        events += 1;
        hub.advance(Duration::from_secs(1));
    };
    assert_eq!(events, 10);
    assert!(closing.contains("\"code\":\"TIMEOUT\""));
    assert_eq!(next(&mut body).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_waits_fails_at_the_deadline_and_not_before() {
    let (near, far) = tokio::io::duplex(16);
    let mut stream = GuardedStream::new(near, Duration::from_secs(30), Duration::from_secs(15));
    stream.write_all(&[0; 16]).await.unwrap();
    let begun = tokio::time::Instant::now();
    let error = stream.write_all(&[0; 1]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    // The deadline, and the grace in which a socket is tried once more.
    assert_eq!(begun.elapsed().as_secs(), 31);
    drop(far);
}

#[tokio::test(start_paused = true)]
async fn after_a_jump_of_the_clock_a_writable_stream_is_tried_before_its_deadline_counts() {
    let (near, mut far) = tokio::io::duplex(16);
    let mut stream = GuardedStream::new(near, Duration::from_secs(30), Duration::from_secs(15));
    stream.write_all(&[0; 16]).await.unwrap();
    let mut writing = by_hand(stream.write_all(&[1; 1]));
    assert!(writing.poll().is_pending());
    // A suspended machine: the time is over at once, and the reader had no turn either.
    tokio::time::advance(Duration::from_secs(45)).await;
    assert!(writing.poll().is_pending(), "it is tried again first");
    far.read_exact(&mut [0; 16]).await.unwrap();
    assert!(matches!(writing.poll(), std::task::Poll::Ready(Ok(()))));
    // It had its chance: the next jump finds a stream that the reader does not take.
    drop(writing);
    stream.write_all(&[0; 15]).await.unwrap();
    let begun = tokio::time::Instant::now();
    let error = stream.write_all(&[0; 1]).await.unwrap_err();
    assert_eq!((error.kind(), begun.elapsed().as_secs()), (std::io::ErrorKind::TimedOut, 31));
}

/// A future that is polled by hand.
struct ByHand<F>(std::pin::Pin<Box<F>>);

fn by_hand<F: Future>(future: F) -> ByHand<F> {
    ByHand(Box::pin(future))
}

impl<F: Future> ByHand<F> {
    fn poll(&mut self) -> std::task::Poll<F::Output> {
        self.0.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_accepts_a_byte_now_and_then_is_not_stalled() {
    let (near, mut far) = tokio::io::duplex(1);
    let mut stream = GuardedStream::new(near, Duration::from_secs(30), Duration::from_secs(15));
    let drip = async {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(20)).await;
            far.read_u8().await.unwrap();
        }
    };
    let (wrote, ()) = tokio::join!(stream.write_all(&[0; 10]), drip);
    wrote.unwrap();
}
