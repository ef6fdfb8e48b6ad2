//! Through a proxy, plain: what it is told, what it is not, and what is said when it does not let us through.

use std::net::SocketAddr;
use std::time::Duration;

use crate::common::memory::{drive, next_data, until_over, until_status};
use crate::common::{STREAM, Script, value};
use watertight_client::{Error, NewEvent, ProxyProblem, Publisher, Status, Subscriber};
use watertight_testkit::{HttpProxy, eventually};

/// `joe:s3cret`.
const JOE: &str = "Basic am9lOnMzY3JldA==";

/// A hub with a name that only the proxy knows, so that nobody can get there without it.
const HUB: &str = "hub.invalid:8080";

fn address(script: &Script) -> SocketAddr {
    script.url().strip_prefix("http://").unwrap().parse().unwrap()
}

/// The URL of a proxy, with the user that it wants.
fn as_joe(proxy: &HttpProxy) -> String {
    format!("http://joe:s3cret@{}", proxy.address())
}

async fn proxied() -> (Script, HttpProxy) {
    let (script, proxy) = (Script::listen().await, HttpProxy::start());
    proxy.route(HUB, address(&script));
    (script, proxy)
}

fn subscriber(proxy_url: &str) -> Subscriber {
    let subscriber = Subscriber::new(&format!("http://{HUB}"), "demo").unwrap();
    subscriber.with_proxy(proxy_url).unwrap().with_retry_max(Duration::from_millis(100))
}

#[tokio::test]
async fn a_stream_comes_through_a_proxy_resumes_through_it_and_leaves_nothing_there() {
    let (script, proxy) = proxied().await;
    proxy.want(JOE);
    let mut subscriber = subscriber(&as_joe(&proxy)).with_token("token").unwrap();
    let server = async {
        let mut peer = script.accept().await;
        let (head, _) = peer.request().await;
        assert!(head.starts_with("get /sessions/demo/events http/1.1\r\n"), "{head}");
        assert_eq!(value(&head, "host"), Some(HUB));
        assert_eq!(
            (value(&head, "authorization"), value(&head, "via")),
            (Some("bearer token"), Some("1.1 testkit"))
        );
        peer.say(format!("{STREAM}id: 7-1\ndata: one\n\n")).await;
        peer
    };
    let (_peer, data) = tokio::join!(server, next_data(&mut subscriber));
    assert_eq!(data, "one");
    proxy.cut();
    let server = async {
        let mut peer = script.accept().await;
        assert_eq!(value(&peer.request().await.0, "last-event-id"), Some("7-1"));
        peer.say(format!("{STREAM}id: 7-2\ndata: two\n\n")).await;
        peer
    };
    let (mut peer, data) = tokio::join!(server, next_data(&mut subscriber));
    assert_eq!(data, "two");
    assert_eq!(proxy.lines(), vec![format!("GET http://{HUB}/sessions/demo/events HTTP/1.1"); 2]);
    drop(subscriber);
    peer.closed().await;
    eventually!(proxy.open() == 0);
}

#[tokio::test]
async fn a_publisher_keeps_its_connection_to_the_proxy() {
    let (script, proxy) = proxied().await;
    proxy.want(JOE);
    let publisher = Publisher::new(&format!("http://{HUB}")).unwrap().with_proxy(&as_joe(&proxy)).unwrap();
    let server = async {
        let mut peer = script.accept().await;
        for body in [r#"{"data":1}"#, r#"{"data":2}"#] {
            assert_eq!(peer.request().await.1, body);
            peer.answer("202 Accepted", "", r#"{"id":"7-1"}"#).await;
        }
        peer
    };
    let client = async {
        for number in [1, 2] {
            publisher.publish("demo", &NewEvent::json(&number).unwrap()).await.unwrap();
        }
        assert_eq!(proxy.open(), 1);
        drop(publisher);
    };
    let (mut peer, ()) = tokio::join!(server, client);
    peer.closed().await;
    assert_eq!(proxy.lines(), vec![format!("POST http://{HUB}/sessions/demo/events HTTP/1.1"); 2]);
    eventually!(proxy.open() == 0);
}

#[tokio::test]
async fn a_proxy_that_wants_another_password_is_named_and_it_is_not_tried_again() {
    let (_script, proxy) = proxied().await;
    proxy.want("Basic another");
    let event = NewEvent::json(&"x").unwrap();
    for scheme in ["http", "https"] {
        let url = format!("{scheme}://{HUB}");
        let publisher = Publisher::new(&url).unwrap().with_proxy(&as_joe(&proxy)).unwrap();
        let subscriber = Subscriber::new(&url, "demo").unwrap().with_proxy(&as_joe(&proxy)).unwrap();
        let mut subscriber = subscriber.with_polling(false);
        let shown = format!("{publisher:?} {subscriber:?}");
        let published = publisher.publish("demo", &event).await.unwrap_err();
        let seen = until_over(&mut subscriber).await;
        let Some(Err(seen)) = seen.into_iter().next_back() else { panic!("{scheme}: no error") };
        for error in [published, seen] {
            let Error::Proxy { problem: ProxyProblem::Refused { status: 407, .. }, .. } = &error else {
                panic!("{scheme}: {error:?}")
            };
            let text = error.to_string();
            let start = format!("the proxy {}: it answers 407: it wants a user name", proxy.address());
            assert!(text.starts_with(&start), "{text}");
            assert!(!format!("{error:?} {text} {shown}").contains("s3cret"), "{error:?}");
        }
    }
    assert_eq!(proxy.heads().len(), 4);
    eventually!(proxy.open() == 0);
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named_and_tried_again() {
    let nobody = Script::listen().await.url();
    let mut subscriber = subscriber(&nobody.replace("http://", "http://joe:s3cret@"));
    let told = until_status(&mut subscriber, |status| matches!(status, Status::Waiting { .. })).await;
    let Status::Waiting { reason, .. } = told else { unreachable!() };
    let named = format!("the proxy {}: cannot connect to it", nobody.strip_prefix("http://").unwrap());
    assert!(reason.starts_with(&named), "{reason}");
    let publisher = Publisher::new(&format!("http://{HUB}")).unwrap().with_proxy(&nobody).unwrap();
    let publisher = publisher.with_give_up_after(Duration::ZERO);
    let error = publisher.publish("demo", &NewEvent::json(&"x").unwrap()).await.unwrap_err();
    let Error::GaveUp { last, .. } = error else { panic!("{error}") };
    assert!(matches!(*last, Error::Proxy { problem: ProxyProblem::Unreachable(_), .. }), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_says_nothing_is_waited_for_no_longer_than_for_a_connection() {
    let silent = Script::listen().await;
    let publisher = Publisher::new("https://hub.invalid").unwrap().with_proxy(&silent.url()).unwrap();
    let publisher = publisher.with_give_up_after(Duration::ZERO);
    let error = publisher.publish("demo", &NewEvent::json(&"x").unwrap()).await.unwrap_err();
    assert!(
        error.to_string().ends_with("timed out after 10s waiting for a connection through the proxy"),
        "{error}"
    );
}

#[tokio::test]
async fn a_tunnel_that_is_refused_for_now_is_asked_for_again_when_the_proxy_says() {
    let proxy = HttpProxy::start();
    let subscriber = Subscriber::new("https://hub.invalid", "demo").unwrap().with_polling(false);
    let mut subscriber = subscriber.with_proxy(&proxy.url()).unwrap();
    proxy.refuse(Some("HTTP/1.1 503 Service Unavailable\r\nretry-after: 7\r\n"));
    let told = until_status(&mut subscriber, |status| matches!(status, Status::Waiting { .. })).await;
    let Status::Waiting { reason, delay } = told else { unreachable!() };
    assert_eq!(reason, format!("the proxy {}: it answers 503: Service Unavailable", proxy.address()));
    assert!(delay >= Duration::from_secs(7), "{delay:?}");
    proxy.refuse(Some("HTTP/1.1 403 Forbidden\r\n"));
    subscriber.restart();
    let seen = until_over(&mut subscriber).await;
    assert!(
        matches!(
            seen.last(),
            Some(Err(Error::Proxy { problem: ProxyProblem::Refused { status: 403, .. }, .. }))
        ),
        "{seen:?}"
    );
    let line = "CONNECT hub.invalid:443 HTTP/1.1".to_owned();
    assert_eq!(proxy.lines(), [line.clone(), line]);
}

#[tokio::test]
async fn what_is_no_answer_to_connect_breaks_the_connection_and_not_the_client() {
    let answers = [
        "",
        "HTTP/1.1 200 OK\r\n",
        "not HTTP at all\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nbytes that the hub did not say",
    ];
    for answer in answers {
        let proxy = Script::listen().await;
        let publisher = Publisher::new("https://hub.invalid").unwrap().with_proxy(&proxy.url()).unwrap();
        let publisher = publisher.with_give_up_after(Duration::ZERO);
        let server = async {
            let mut peer = proxy.accept().await;
            let (head, _) = peer.request().await;
            assert_eq!(value(&head, "host"), Some("hub.invalid:443"));
            assert_eq!(value(&head, "content-length"), None);
            peer.say(answer).await;
        };
        let event = NewEvent::json(&"x").unwrap();
        let ((), error) = tokio::join!(server, publisher.publish("demo", &event));
        let Error::GaveUp { last, .. } = error.unwrap_err() else { panic!("{answer:?}") };
        assert!(
            matches!(*last, Error::Proxy { problem: ProxyProblem::Broken(_), .. }),
            "{answer:?}: {last:?}"
        );
    }
}

#[tokio::test]
async fn dropped_while_it_waits_for_a_tunnel_it_closes_the_socket() {
    let proxy = Script::listen().await;
    let subscriber = Subscriber::new("https://hub.invalid", "demo").unwrap();
    let mut subscriber = subscriber.with_proxy(&proxy.url()).unwrap();
    let asked = async {
        let mut peer = proxy.accept().await;
        peer.request().await;
        peer
    };
    let mut peer = tokio::select! {
        peer = asked => peer,
        () = drive(&mut subscriber) => unreachable!(),
    };
    drop(subscriber);
    peer.closed().await;
}

#[test]
fn a_url_that_names_no_proxy_is_refused_without_its_password() {
    for url in ["socks5://joe:s3cret@h:1080", "http://joe:s3cret@", "http://joe:s3cret@h:port", ""] {
        let error = Publisher::new("http://h").unwrap().with_proxy(url).unwrap_err();
        assert!(matches!(error, Error::InvalidUrl { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        assert!(Subscriber::new("http://h", "demo").unwrap().with_proxy(url).is_err());
    }
}
