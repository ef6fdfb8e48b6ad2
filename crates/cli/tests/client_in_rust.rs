//! The Rust client and the commands that stand on it, against the real hub: over TLS, over a network that
//! fails, and where no stream comes through.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use futures_util::{StreamExt, stream};
use watertight_client::{
    Answering, Error, HyperTransport, Item, NewEvent, Publisher, Replay, Status, Subscriber, Transport,
};
use watertight_testkit::{Cut, FaultProxy, HubProcess, PATIENCE, Program, eventually};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

/// The data of the next event; statuses are passed over.
async fn next_data(subscriber: &mut Subscriber) -> String {
    loop {
        match subscriber.next().await.expect("not over").expect("no error") {
            Item::Event(event) => return event.data,
            Item::Gap(gap) => panic!("{gap:?}"),
            _ => {}
        }
    }
}

#[test]
fn publish_and_tail_speak_tls_to_a_hub_whose_certificate_they_are_given() {
    let hub = HubProcess::builder(WATERTIGHT).tls().start();
    let (url, ca) = (hub.url(""), hub.dir().join("cert.pem"));
    let ca = ca.to_str().unwrap();
    let mut publish = Program::start(WATERTIGHT, ["publish", "demo", "--url", &url, "--ca", ca]);
    publish.input("one\ntwo\n");
    publish.close_input();
    publish.finish(PATIENCE);
    let arguments = ["tail", "demo", "--url", &url, "--ca", ca, "--replay", "all", "--count", "2"];
    let mut tail = Program::start(WATERTIGHT, arguments);
    assert_eq!(String::from_utf8(tail.finish(PATIENCE)).unwrap(), "one\ntwo\n");
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_not_spoken_to() {
    let hub = HubProcess::builder(WATERTIGHT).tls().start();
    let another = HubProcess::builder(WATERTIGHT).tls().start();
    let ca = another.dir().join("cert.pem");
    let tail =
        Program::start(WATERTIGHT, ["tail", "demo", "--url", &hub.url(""), "--ca", ca.to_str().unwrap()]);
    eventually!(tail.errors().contains("connecting again"));
    assert_eq!(hub.stats().ledger().live("subscription"), 0);
    let missing = ["tail", "demo", "--url", &hub.url(""), "--ca", "/nowhere.pem"];
    let mut missing = Program::start(WATERTIGHT, missing);
    assert_eq!(missing.wait(PATIENCE).code(), Some(64));
    assert!(missing.errors().contains("/nowhere.pem"), "{}", missing.errors());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_arrives_once_and_in_order_however_often_the_network_fails() {
    let hub = HubProcess::start(WATERTIGHT);
    let proxy = FaultProxy::start(hub.address());
    let subscriber = Subscriber::new(&format!("http://{}", proxy.address()), "demo").unwrap();
    let mut subscriber = subscriber.with_replay(Replay::All).with_retry_max(Duration::from_millis(100));
    for round in 0..20 {
        for number in 0..5 {
            hub.publish_text("demo", &format!("{}", round * 5 + number));
        }
        for number in 0..5 {
            assert_eq!(next_data(&mut subscriber).await, format!("{}", round * 5 + number));
        }
        proxy.cut(if round % 2 == 0 { Cut::Rst } else { Cut::Fin });
    }
}

/// A network in which no stream comes through.
struct NoStreams(HyperTransport);

impl Transport for NoStreams {
    fn open(&self, request: http::Request<bytes::Bytes>) -> Answering {
        if request.headers()["accept"] == "text/event-stream" {
            return Box::pin(async { Err(Error::transport("no streams here")) });
        }
        self.0.open(request)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_stream_comes_through_the_hub_is_asked_again_and_again() {
    let hub = HubProcess::start(WATERTIGHT);
    hub.publish_text("demo", "before");
    let subscriber = Subscriber::new(&hub.url(""), "demo").unwrap().with_replay(Replay::All);
    let subscriber = subscriber.with_polling_after(1).with_retry_max(Duration::from_millis(100));
    let mut subscriber = subscriber.with_transport(NoStreams(HyperTransport::default()));
    while subscriber.next().await.unwrap().unwrap() != Item::Status(Status::Polling) {}
    assert_eq!(next_data(&mut subscriber).await, "before");
    for number in 0..5 {
        let text = number.to_string();
        // Published while the question waits at the hub, or between two.
        let (id, data) = tokio::join!(async { hub.publish_text("demo", &text) }, next_data(&mut subscriber));
        assert_eq!((data, subscriber.last_event_id()), (text.clone(), Some(id.as_str())));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_events_over_a_network_that_fails_is_published_once_and_in_order() {
    const EVENTS: u64 = 1500;
    let hub = HubProcess::builder(WATERTIGHT).flag("--max-history-per-session", EVENTS).start();
    let proxy = FaultProxy::start(hub.address());
    let publisher = Publisher::new(&proxy.url("")).unwrap();
    let numbers = stream::iter(0..EVENTS).map(|number| NewEvent::json(&number).unwrap());
    let mut all = publisher.publish_all("demo", numbers).with_batch_events_max(50);
    for batch in 0.. {
        let accepted = proxy.accepted();
        match batch % 3 {
            // The answer breaks off, until the client has connected again.
            0 => proxy.limit_bytes(Some(40)),
            1 => proxy.cut(Cut::Rst),
            _ => {}
        }
        let lifting = async {
            while proxy.accepted() == accepted {
                tokio::task::yield_now().await;
            }
            proxy.limit_bytes(None);
            std::future::pending().await
        };
        tokio::select! {
            ids = all.next() => match ids {
                Some(ids) => assert_eq!(ids.unwrap().len(), 50),
                None => break,
            },
            () = lifting => unreachable!(),
        }
        proxy.limit_bytes(None);
    }
    assert_eq!(all.published(), EVENTS);
    assert!(proxy.accepted() > 10, "it was cut");
    let mut subscriber = Subscriber::new(&hub.url(""), "demo").unwrap().with_replay(Replay::All);
    for number in 0..EVENTS {
        assert_eq!(next_data(&mut subscriber).await, number.to_string());
    }
}
