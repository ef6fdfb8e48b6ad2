//! `/sessions`, `/connections` and `/sources`, searched and sorted: what is found, in which order, what is refused, and that
//! nobody is held up meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use axum::body::Body;
use futures_util::{FutureExt, StreamExt};
use http::Request;
use http_body_util::BodyExt;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tower::ServiceExt;
use watertight::{
    AccessOptions, Event, Feed, Gate, Hub, HubConfig, Resume, Source, SourceError, SubscribeOptions,
    Subscription,
};
use watertight_core::{Kind, Owner};
use watertight_server::config::Config;
use watertight_server::{App, DroppedLines, application};
use watertight_testkit::PATIENCE;

struct Listed {
    hub: Hub,
    app: App,
}

impl Listed {
    fn new() -> Listed {
        Listed::of(HubConfig::default())
    }

    fn of(config: HubConfig) -> Listed {
        let hub = Hub::new(config).unwrap();
        let gate = Gate::new(Arc::clone(hub.ledger()), 10, 10);
        let app = App::new(hub.clone(), Arc::new(Config::default()), gate, DroppedLines::default());
        Listed { hub, app }
    }

    async fn ask(&self, uri: &str) -> (u16, Value) {
        let request = Request::builder().uri(uri).body(Body::empty()).unwrap();
        let response = application(self.app.clone()).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let retries = response.headers().contains_key("retry-after");
        assert_eq!(retries, [429, 503].contains(&status), "{uri}");
        (status, serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap())
    }

    async fn get(&self, uri: &str) -> Value {
        let (status, answer) = self.ask(uri).await;
        assert_eq!(status, 200, "{uri}: {answer}");
        answer
    }

    async fn refused(&self, uri: &str, status: u16, code: &str) {
        let answer = self.ask(uri).await;
        assert_eq!((answer.0, &answer.1["code"]), (status, &json!(code)), "{uri}: {}", answer.1);
    }

    /// Names of all pages, in order.
    async fn pages(&self, uri: &str, list: &str, name: &str) -> Vec<String> {
        let (mut names, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("{uri}&cursor={cursor}")).await;
            names.extend(
                page[list].as_array().unwrap().iter().map(|it| it[name].as_str().unwrap().to_owned()),
            );
            match page["next"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => return names,
            }
        }
    }

    async fn publish(&self, session: &str, data: &str) {
        self.hub.publish(session, Event::new(data)).await.unwrap();
    }

    fn watch(&self, session: &str, options: SubscribeOptions) -> Subscription {
        let mut subscription = self.hub.subscribe_with(session, Resume::Live, options).unwrap();
        // Once polled it is in the list of connections.
        assert!(subscription.next().now_or_never().is_none());
        subscription
    }
}

/// What should happen at once.
async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it happens at once")
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[tokio::test]
async fn sessions_are_sorted_by_what_is_asked_for_and_each_stands_on_one_page() {
    let listed = Listed::new();
    for (session, events) in [("a", 3), ("b", 1), ("c", 2)] {
        for _ in 0..events {
            listed
                .publish(
                    session,
                    if session == "b" { "a longer text than all of the others together" } else { "x" },
                )
                .await;
        }
    }
    let _readers =
        [listed.watch("c", SubscribeOptions::default()), listed.watch("c", SubscribeOptions::default())];
    let _one = listed.watch("b", SubscribeOptions::default());
    for (asked, expected) in [
        ("sort=name", "abc"),
        ("sort=name&order=desc", "cba"),
        ("order=asc", "abc"),
        ("sort=events", "acb"),
        ("sort=events&order=asc", "bca"),
        ("sort=subscribers", "cba"),
        ("sort=bytes", "acb"),
    ] {
        for limit in 1..=4 {
            let names =
                listed.pages(&format!("/sessions?{asked}&limit={limit}"), "sessions", "session").await;
            assert_eq!(names.concat(), expected, "{asked}, {limit} on a page");
        }
    }
    let page = listed.get("/sessions?sort=activity&limit=1").await;
    assert_eq!((&page["total"], &page["matched"]), (&json!(3), &json!(3)));
    listed.publish("c", "two are behind").await;
    let page = listed.get("/sessions?contains=c").await;
    assert_eq!(
        (&page["sessions"][0]["lag"], &page["matched"], &page["total"]),
        (&json!(1), &json!(1), &json!(3))
    );
    assert_eq!(listed.get("/sessions").await["matched"], Value::Null);
}

#[tokio::test]
async fn any_text_can_be_searched_for_and_is_found_as_it_stands() {
    let listed = Listed::new();
    let hostile = [
        "<script>alert(1)</script>",
        "\"quoted\"",
        "back\\slash",
        ".*",
        "%2e%2e",
        "a/b/../c",
        "naïve 🚰",
        "\u{202e}txt.exe",
        "' OR 1=1 --",
        "$(reboot)",
        "&sort=bytes",
        &"x".repeat(256),
    ];
    for name in hostile {
        listed.publish(name, "x").await;
    }
    for name in hostile {
        let page = listed.get(&format!("/sessions?contains={}", encoded(name))).await;
        assert_eq!((&page["matched"], &page["sessions"][0]["session"]), (&json!(1), &json!(name)));
    }
    let all = listed.pages("/sessions?sort=bytes&limit=1", "sessions", "session").await;
    assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), hostile.len());
    let none = listed.get("/sessions?contains=.%2A.%2A").await;
    assert_eq!((&none["matched"], &none["sessions"], &none["next"]), (&json!(0), &json!([]), &Value::Null));
    listed.refused(&format!("/sessions?contains={}", "x".repeat(257)), 400, "INVALID_PARAMETER").await;
    listed.refused("/sessions?contains=%FF", 400, "INVALID_PARAMETER").await;
}

/// A bound in work: the publisher has its turn after every slice, however many sessions are looked at.
#[tokio::test]
async fn a_hundred_thousand_sessions_are_paged_in_order_without_holding_up_a_publisher() {
    const SESSIONS: usize = 100_000;
    const SLICES: usize = SESSIONS / 128;
    let listed = Listed::new();
    for number in 0..SESSIONS {
        listed.publish(&format!("s-{:05}", number * 7919 % SESSIONS), "x").await;
    }
    let published = Cell::new(0);
    let publisher = async {
        loop {
            listed.publish("s-00042", "y").await;
            published.set(published.get() + 1);
            tokio::task::yield_now().await;
        }
    };
    let reader = async {
        let (mut read, mut cursor) = (0, String::new());
        while read < 10_000 {
            let before = published.get();
            let page = listed.get(&format!("/sessions?sort=name&limit=1000&cursor={cursor}")).await;
            for session in page["sessions"].as_array().unwrap() {
                assert_eq!(session["session"], json!(format!("s-{read:05}")));
                read += 1;
            }
            assert_eq!(page["matched"], json!(SESSIONS));
            let meanwhile = published.get() - before;
            assert!(meanwhile >= SLICES / 2, "{meanwhile} publishes in {SLICES} slices");
            page["next"].as_str().unwrap().clone_into(&mut cursor);
        }
    };
    tokio::select! {
        () = publisher => {}
        () = reader => {}
    }
    assert_eq!(listed.hub.budget().used_by(Owner::Requests), 0);
}

#[tokio::test]
async fn a_third_search_is_told_to_come_back_and_one_that_is_dropped_gives_its_turn_and_its_bytes_back() {
    let listed = Listed::new();
    listed.publish("a", "x").await;
    let used = || listed.hub.budget().used_by(Owner::Requests);
    let mut context = Context::from_waker(Waker::noop());
    let mut under_way: Vec<_> =
        ["/sessions?sort=name", "/sources"].map(|uri| Box::pin(listed.ask(uri))).into();
    for search in &mut under_way {
        assert!(search.poll_unpin(&mut context).is_pending());
    }
    assert!(used() > 0, "a page is charged before it is held");
    listed.refused("/connections?sort=lag", 503, "TOO_MANY_SEARCHES").await;
    listed.get("/sessions").await;
    drop(under_way.pop());
    listed.get("/connections?sort=lag").await;
    drop(under_way);
    assert_eq!(used(), 0);
}

#[tokio::test]
async fn a_cursor_says_when_it_is_of_another_list() {
    let listed = Listed::new();
    for name in ["a", "b", "c"] {
        listed.publish(name, "x").await;
    }
    let cursor = listed.get("/sessions?sort=name&limit=1").await["next"].as_str().unwrap().to_owned();
    for uri in [
        "/sessions?sort=bytes",
        "/sessions?sort=name&contains=a",
        "/connections?sort=lag",
        "/sources?limit=2",
    ] {
        listed.refused(&format!("{uri}&cursor={cursor}"), 409, "STALE_CURSOR").await;
    }
    Listed::new().refused(&format!("/sessions?sort=name&cursor={cursor}"), 409, "STALE_CURSOR").await;
    // What it stands behind may be gone, and the page may be of another size.
    listed.hub.forget_session("a");
    let page = listed.get(&format!("/sessions?sort=name&limit=2&cursor={cursor}")).await;
    assert_eq!((&page["sessions"][0]["session"], &page["next"]), (&json!("b"), &Value::Null));
    listed.refused(&format!("/sessions?cursor={cursor}"), 409, "STALE_CURSOR").await;
}

#[tokio::test]
async fn connections_are_found_by_all_that_is_asked_for_together() {
    let listed = Listed::new();
    let of = |user: &str| {
        let right = listed.hub.grant_access(AccessOptions::default().user(user)).unwrap();
        SubscribeOptions::under(right)
    };
    let mut ada = listed.watch("one", of("ada"));
    let _kept =
        [listed.watch("one", of("eve")), listed.watch("two", of("ada")), listed.watch("two", of("<b>"))];
    for _ in 0..5 {
        listed.publish("one", "x").await;
    }
    listed.publish("two", "x").await;
    assert!(ada.next().await.is_some());
    let found = async |asked: &str| -> Vec<String> {
        let page = listed.get(&format!("/connections?{asked}")).await;
        assert_eq!(page["total"], 4);
        let rows = page["connections"].as_array().unwrap();
        assert_eq!(page["matched"], json!(rows.len()));
        let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
        rows.iter()
            .map(|row| format!("{} {} {}", text(row, "session"), text(row, "user"), row["lag"]))
            .collect()
    };
    assert_eq!(found("user=ada&sort=lag").await, ["one ada 4", "two ada 1"]);
    assert_eq!(found("user=ada&sort=lag&order=asc").await, ["two ada 1", "one ada 4"]);
    assert_eq!(found("user=ada&session=two").await, ["two ada 1"]);
    assert_eq!(found("min_lag=4&sort=lag").await, ["one eve 5", "one ada 4"]);
    assert_eq!(found("contains=ev").await, ["one eve 5"]);
    assert_eq!(found("contains=%3Cb").await, ["two <b> 1"]);
    assert_eq!(found("sort=sent&session=one").await, ["one ada 4", "one eve 5"]);
    assert_eq!(found("kind=session&session=one&user=eve").await, ["one eve 5"]);
    assert_eq!(found("kind=logs").await, Vec::<String>::new());
    assert_eq!(
        found("address=127.0.0.1").await,
        Vec::<String>::new(),
        "streams of the application have none"
    );
    let ids = listed.pages("/connections?sort=age&limit=1", "connections", "id").await;
    assert_eq!(ids.iter().collect::<std::collections::HashSet<_>>().len(), 4);
}

/// Fails until it is told otherwise.
struct Failing;

impl Source for Failing {
    async fn run(&self, _: Feed) -> Result<(), SourceError> {
        Err(SourceError::new("the \"pipe\" is <closed>"))
    }
}

/// Waits for something that does not answer.
struct Waiting;

impl Source for Waiting {
    async fn run(&self, feed: Feed) -> Result<(), SourceError> {
        feed.waiting("no answer");
        std::future::pending().await
    }
}

/// Runs.
struct Running;

impl Source for Running {
    async fn run(&self, _: Feed) -> Result<(), SourceError> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn sources_that_were_given_up_stand_before_those_that_wait_and_those_that_run() {
    let config =
        HubConfig { breaker_errors: 1, source_linger: Duration::from_millis(1), ..HubConfig::default() };
    let listed = Listed::of(config);
    listed.publish("no source", "x").await;
    let mut broken = listed.watch("c", SubscribeOptions::default().fed_by(Failing));
    let waiting = listed.watch("services/metrics/b", SubscribeOptions::default().fed_by(Waiting));
    let running = listed.watch("deployments/a/logs", SubscribeOptions::default().fed_by(Running));
    in_time(async { while broken.next().await.is_some() {} }).await;
    drop(broken);
    // Sources begin when the runtime has come to them.
    let page = in_time(async {
        loop {
            let page = listed.get("/sources").await;
            if page["sources"][1]["state"] == "waiting" {
                return page;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let sources = page["sources"].as_array().unwrap();
    let row = |at: usize, key: &str| sources[at][key].clone();
    let column = |key: &str| -> Vec<Value> { (0..3).map(|at| row(at, key)).collect() };
    assert_eq!(column("name"), ["c", "services/metrics/b", "deployments/a/logs"]);
    assert_eq!(column("kind"), ["session", "metrics", "logs"]);
    assert_eq!(column("state"), ["broken", "waiting", "running"]);
    assert_eq!(column("breaker"), ["open", "closed", "closed"]);
    assert_eq!(column("lastError"), [json!("the \"pipe\" is <closed>"), json!("no answer"), Value::Null]);
    assert_eq!(column("subscribers"), [0, 1, 1]);
    let retry = row(0, "retryInSeconds").as_f64().unwrap();
    assert!((0.0..=30.0).contains(&retry), "{retry}");
    assert_eq!((page["matched"].clone(), row(0, "errors")), (json!(3), json!(1)));
    assert_eq!(
        listed.pages("/sources?limit=1", "sources", "name").await,
        ["c", "services/metrics/b", "deployments/a/logs"]
    );
    assert_eq!(listed.get("/sources?contains=metrics").await["matched"], 1);
    drop((waiting, running));
    // Those that nobody watches any more are out.
    in_time(async {
        while listed.hub.ledger().live(Kind::Source) > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(listed.get("/sources").await["matched"], 1);
}
