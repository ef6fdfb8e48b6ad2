//! The Rust client, and the commands that stand on it, with tokens of a real hub that end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tokens have wall times")]

mod tokens;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde_json::json;
use tokens::{WATERTIGHT, admin, of, post, protected, publish};
use watertight_client::{Error, Item, Status, Subscriber, TokenRequest};
use watertight_testkit::{HubProcess, PATIENCE, Program, eventually};

/// The next event's data; `None`: it is over.
async fn next_data(subscriber: &mut Subscriber) -> Option<String> {
    while let Some(item) = subscriber.next().await {
        match item.expect("no error") {
            Item::Event(event) => return Some(event.data),
            Item::Gap(gap) => panic!("{gap:?}"),
            _ => {}
        }
    }
    None
}

/// A source that makes another token when it is asked for a fresh one, and what it was asked.
fn source(lifetime: Duration) -> (Arc<Mutex<Vec<bool>>>, impl Fn(TokenRequest) -> String + Clone) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (count, last) = (Arc::clone(&asked), Arc::new(Mutex::new(String::new())));
    let token = move |request: TokenRequest| {
        let mut asked = count.lock().unwrap();
        let mut last = last.lock().unwrap();
        if request.is_refresh() || last.is_empty() {
            *last = of("ada").id(&format!("t{}", asked.len())).lasting(lifetime).text();
        }
        asked.push(request.is_refresh());
        last.clone()
    };
    (asked, token)
}

fn subscriber(
    hub: &HubProcess,
    token: impl Fn(TokenRequest) -> String + Send + Sync + 'static,
) -> Subscriber {
    let subscriber = Subscriber::new(&hub.url(""), "a").unwrap().with_retry_max(Duration::from_millis(100));
    subscriber.with_token_source(move |request| {
        let token = token(request);
        async move { Ok::<_, Error>(token) }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_expires_is_replaced_and_the_stream_goes_on_without_a_gap() {
    let hub = protected().flag("--token-leeway", "0").start();
    let (asked, token) = source(Duration::from_secs(3));
    let mut subscriber = subscriber(&hub, token);
    let publisher = of("eve").text();
    let begun = SystemTime::now();
    let mut number = 0;
    // Two tokens end meanwhile.
    while begun.elapsed().unwrap() < Duration::from_secs(7) {
        publish(&hub, "/sessions/a/events", &publisher, &number.to_string()).expect(202);
        if number == 0 {
            // Before it is there, nothing is for it.
            while !matches!(subscriber.next().await, Some(Ok(Item::Status(Status::Open)))) {}
            publish(&hub, "/sessions/a/events", &publisher, "1").expect(202);
            number = 1;
        }
        assert_eq!(next_data(&mut subscriber).await, Some(number.to_string()));
        number += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let refreshes = asked.lock().unwrap().iter().filter(|is_refresh| **is_refresh).count();
    assert!((2..=3).contains(&refreshes), "{:?}", asked.lock().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_revoked_ends_the_subscriber_for_good() {
    let hub = protected().start();
    let (asked, token) = source(Duration::from_secs(3600));
    let mut subscriber = subscriber(&hub, token);
    while !matches!(subscriber.next().await, Some(Ok(Item::Status(Status::Open)))) {}
    post(&hub, "/tokens/revoke", &admin(), &json!({"jti": "t0"})).expect(200);
    assert_eq!(next_data(&mut subscriber).await, None);
    assert_eq!(*asked.lock().unwrap(), [false], "nobody asks for another");
    eventually!(hub.stats().live("subscription") == 0);
}

#[test]
fn tail_and_publish_take_a_token_from_the_environment_and_say_when_it_is_refused() {
    let hub = protected().start();
    let url = hub.url("");
    let run = |arguments: &[&str], token: &str| {
        let mut command = std::process::Command::new(WATERTIGHT);
        command.args(arguments).args(["--url", &url]).env("WATERTIGHT_TOKEN", token);
        Program::spawn(command)
    };
    let mut tail = run(&["tail", "a", "--count", "1"], &of("ada").text());
    eventually!(hub.stats().live("subscription") == 1);
    let mut lines = run(&["publish", "a"], &of("ada").text());
    lines.input("one\n");
    lines.close_input();
    lines.finish(PATIENCE);
    assert_eq!(tail.finish(PATIENCE), b"one\n");
    let mut refused = run(&["tail", "a"], "nonsense");
    assert!(!refused.wait(PATIENCE).success());
    assert!(refused.errors().contains("401"), "{}", refused.errors());
    assert!(!refused.errors().contains("nonsense"), "{}", refused.errors());
}
