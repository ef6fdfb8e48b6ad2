//! What a publisher promises, against bytes on a socket.

use std::time::Duration;

use crate::common::{Script, value};
use tokio::task::JoinSet;
use watertight_client::{Error, LogLines, NewEvent, Publisher};

const OK_ONE: &str = r#"{"id":"7-1"}"#;

fn publisher(script: &Script) -> Publisher {
    Publisher::new(&script.url()).unwrap()
}

#[tokio::test]
async fn requests_follow_each_other_over_one_kept_connection() {
    let script = Script::listen().await;
    let publisher = publisher(&script);
    let server = async {
        let mut peer = script.accept().await;
        let (head, body) = peer.request().await;
        assert!(head.starts_with("post /sessions/demo/events http/1.1"), "{head}");
        assert_eq!(value(&head, "content-type"), Some("application/json"));
        assert_eq!(body, r#"{"type":"tick","data":{"n":1},"ttl":1.5}"#);
        peer.answer("202 Accepted", "", OK_ONE).await;
        let (head, body) = peer.request().await;
        assert_eq!(value(&head, "content-type"), Some("application/x-ndjson"));
        assert_eq!(body, "{\"data\":1}\n{\"data\":2}\n");
        peer.answer("202 Accepted", "", r#"{"ids":["7-2","7-3"]}"#).await;
        let (head, body) = peer.request().await;
        assert!(head.starts_with("post /sessions/a%2fb/events?type=x%20y http/1.1"), "{head}");
        assert_eq!(body, "text as it stands\r");
        peer.answer("202 Accepted", "", r#"{"id":"7-4"}"#).await;
        peer
    };
    let client = async {
        let event = NewEvent::json(&serde_json::json!({"n": 1})).unwrap();
        let event = event.with_type("tick").with_ttl(Duration::from_millis(1500));
        assert_eq!(publisher.publish("demo", &event).await.unwrap(), "7-1");
        let lines = "{\"data\":1}\n{\"data\":2}\n".into();
        assert_eq!(publisher.publish_ndjson("demo", lines).await.unwrap(), ["7-2", "7-3"]);
        let text = publisher.publish_text("a/b", Some("x y"), None, "text as it stands\r".into());
        assert_eq!(text.await.unwrap(), "7-4");
        drop(publisher);
    };
    let (mut peer, ()) = tokio::join!(server, client);
    peer.closed().await;
}

#[tokio::test]
async fn a_retry_carries_the_key_of_the_first_try_and_the_next_request_another() {
    let script = Script::listen().await;
    let publisher = publisher(&script);
    let server = async {
        let mut keys = Vec::new();
        for status in ["503 No room", "429 Slower", "408 Late", "500 Oh"] {
            let mut peer = script.accept().await;
            let (head, body) = peer.request().await;
            assert_eq!(body, r#"{"data":"x"}"#);
            keys.push(value(&head, "idempotency-key").unwrap().to_owned());
            peer.answer(status, "retry-after: 0\r\nconnection: close\r\n", "").await;
        }
        // The answer is lost: the client cannot know whether the hub took the event.
        let mut peer = script.accept().await;
        keys.push(value(&peer.request().await.0, "idempotency-key").unwrap().to_owned());
        drop(peer);
        let mut peer = script.accept().await;
        for _ in 0..2 {
            keys.push(value(&peer.request().await.0, "idempotency-key").unwrap().to_owned());
            peer.answer("202 Accepted", "", OK_ONE).await;
        }
        keys
    };
    let client = async {
        let event = NewEvent::json(&"x").unwrap();
        publisher.publish("demo", &event).await.unwrap();
        publisher.publish("demo", &event).await.unwrap();
    };
    let (keys, ()) = tokio::join!(server, client);
    assert!(keys[..6].iter().all(|key| *key == keys[0]), "{keys:?}");
    assert_ne!(keys[6], keys[0]);
}

#[tokio::test]
async fn a_kept_connection_that_died_is_replaced_at_once() {
    let script = Script::listen().await;
    let publisher = publisher(&script).with_give_up_after(Duration::ZERO);
    let server = async {
        for _ in 0..2 {
            let mut peer = script.accept().await;
            peer.request().await;
            peer.answer("202 Accepted", "", OK_ONE).await;
        }
    };
    let client = async {
        let event = NewEvent::json(&"x").unwrap();
        publisher.publish("demo", &event).await.unwrap();
        tokio::task::yield_now().await;
        publisher.publish("demo", &event).await.unwrap();
    };
    tokio::join!(server, client);
}

#[tokio::test]
async fn a_refusal_is_final_and_carries_the_hubs_code() {
    let script = Script::listen().await;
    let publisher = publisher(&script);
    let server = async {
        let mut peer = script.accept().await;
        peer.request().await;
        let problem =
            r#"{"title":"Too large","code":"EVENT_TOO_LARGE","detail":"300000 bytes, the limit is 262144"}"#;
        peer.answer("413 Content Too Large", "", problem).await;
    };
    let event = NewEvent::json(&"x").unwrap();
    let ((), answer) = tokio::join!(server, publisher.publish("demo", &event));
    let error = answer.unwrap_err();
    assert_eq!(error.code(), Some("EVENT_TOO_LARGE"));
    let text = "refused by the hub: 413 EVENT_TOO_LARGE: 300000 bytes, the limit is 262144";
    assert_eq!(error.to_string(), text);
}

#[tokio::test]
async fn it_gives_up_after_the_time_allowed_and_says_why() {
    let script = Script::listen().await;
    let url = script.url();
    drop(script);
    let publisher = Publisher::new(&url).unwrap().with_give_up_after(Duration::from_millis(300));
    let error = publisher.publish("demo", &NewEvent::json(&"x").unwrap()).await.unwrap_err();
    let Error::GaveUp { attempts, last, .. } = &error else { panic!("{error}") };
    assert!(*attempts >= 1);
    assert!(matches!(**last, Error::Connect { .. }), "{error}");
}

#[tokio::test]
async fn an_answer_that_never_comes_is_tried_again_in_time() {
    let script = Script::listen().await;
    let publisher = publisher(&script).with_request_timeout(Duration::from_millis(200));
    let server = async {
        let mut mute = script.accept().await;
        mute.closed().await;
        // On a slow machine a later try may be over before it is answered, too: each waits for a reader of its own.
        let mut peers = JoinSet::new();
        loop {
            let mut peer = script.accept().await;
            peers.spawn(async move {
                peer.request().await;
                peer.answer("202 Accepted", "", OK_ONE).await;
                peer
            });
        }
    };
    let event = NewEvent::json(&"x").unwrap();
    tokio::select! {
        _ = server => unreachable!("it accepts for ever"),
        answer = publisher.publish("demo", &event) => assert_eq!(answer.unwrap(), "7-1"),
    }
}

#[tokio::test]
async fn what_is_fed_to_a_log_keeps_its_key_however_often_it_is_sent() {
    let script = Script::listen().await;
    let publisher = publisher(&script);
    let server = async {
        let mut keys = Vec::new();
        let expected = [
            ("401 Who", "post /deployments/a%2fb/logs?reopen=true http/1.1", "{\"line\":1}\n"),
            ("202 Accepted", "post /deployments/a%2fb/logs?reopen=true http/1.1", "{\"line\":1}\n"),
            ("409 Conflict", "post /deployments/a%2fb/logs?epoch=e&end=true&exit_code=-1 http/1.1", ""),
        ];
        for (status, line, lines) in expected {
            let mut peer = script.accept().await;
            let (head, body) = peer.request().await;
            assert!(head.starts_with(line), "{head}");
            assert_eq!(value(&head, "content-type"), Some("application/x-ndjson"));
            assert_eq!(body, lines);
            keys.push(value(&head, "idempotency-key").unwrap().to_owned());
            let answer =
                if status.starts_with("202") { r#"{"ids":["e-1"]}"# } else { r#"{"code":"EPOCH_CHANGED"}"# };
            peer.answer(status, "connection: close\r\n", answer).await;
        }
        assert!(keys[0] == keys[1] && keys[1] != keys[2], "{keys:?}");
    };
    let client = async {
        let lines = LogLines::ndjson("{\"line\":1}\n".into()).with_reopen();
        let feed = publisher.feed("a/b", &lines).unwrap();
        assert!(publisher.send_feed(&feed).await.is_err());
        assert_eq!(publisher.send_feed(&feed).await.unwrap(), ["e-1"]);
        let feed = publisher.feed("a/b", &LogLines::default().with_epoch("e").with_end(Some(-1))).unwrap();
        assert_eq!(publisher.send_feed(&feed).await.unwrap_err().code(), Some("EPOCH_CHANGED"));
        assert!(matches!(publisher.feed("..", &lines), Err(Error::InvalidOption { .. })));
    };
    tokio::join!(server, client);
}
