//! Tokens that go bad and are replaced, against a server that looks at them.

use std::sync::{Arc, Mutex};

use crate::common::memory::{next_data, until_over};
use watertight_client::{Error, Subscriber, TokenRequest};
use watertight_testkit::{TokenServer, eventually};

#[tokio::test]
async fn a_token_that_went_bad_is_replaced_and_the_stream_goes_on_where_it_was() {
    let server = TokenServer::start();
    server.allow("first");
    // What the application keeps; only a refresh makes it get another.
    let kept = Arc::new(Mutex::new("first".to_owned()));
    let source = move |request: TokenRequest| {
        if request.is_refresh() {
            "second".clone_into(&mut kept.lock().unwrap());
        }
        let token = kept.lock().unwrap().clone();
        async move { Ok::<_, Error>(token) }
    };
    let mut subscriber = Subscriber::from_url(&server.url()).unwrap().with_token_source(source);
    assert_eq!(next_data(&mut subscriber).await, "first");
    server.revoke("first");
    server.allow("second");
    server.cut();
    assert_eq!(next_data(&mut subscriber).await, "second");
    assert_eq!((server.accepted(), server.refused(), subscriber.last_event_id()), (2, 1, Some("1")));
    // Both are bad now: one more refresh, and then that is that.
    server.revoke("second");
    server.cut();
    let seen = until_over(&mut subscriber).await;
    assert!(
        matches!(seen.last().unwrap(), Err(Error::Refused(problem)) if problem.status == 401),
        "{seen:?}"
    );
    assert_eq!(server.refused(), 3);
    eventually!(server.open() == 0);
}

#[tokio::test]
async fn a_dropped_subscriber_leaves_no_socket_at_the_server() {
    let server = TokenServer::start();
    server.allow("good");
    let mut subscriber = Subscriber::from_url(&server.url()).unwrap().with_token("good").unwrap();
    next_data(&mut subscriber).await;
    assert_eq!(server.open(), 1);
    drop(subscriber);
    eventually!(server.open() == 0);
}
