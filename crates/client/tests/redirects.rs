//! Redirects: where they lead, what goes along, and where the next attempt begins. In memory.

use crate::common::memory::{Memory, drive, until_over};
use watertight_client::{Error, Subscriber};

fn subscriber(memory: &Memory, url: &str) -> Subscriber {
    Subscriber::from_url(url).unwrap().with_transport(memory.clone()).with_random(|| 0.0)
}

#[tokio::test(start_paused = true)]
async fn all_five_are_followed_and_the_next_attempt_begins_at_the_original_url() {
    for status in [301, 302, 303, 307, 308] {
        let memory = Memory::default();
        let mut subscriber = subscriber(&memory, "http://a/b/c?q");
        let server = async {
            for _ in 0..3 {
                let first = memory.accept().await;
                assert_eq!(first.url(), "http://a/b/c?q", "{status}");
                first.answer(status, &[("location", "../d")], "").await;
                let second = memory.accept().await;
                assert_eq!(second.url(), "http://a/d");
                second.answer(status, &[("location", "http://other:81/e#f")], "").await;
                let third = memory.accept().await;
                assert_eq!(third.url(), "http://other:81/e");
                third.stream().say("data: x\n\n").await;
            }
        };
        tokio::select! { () = server => {}, () = drive(&mut subscriber) => {} }
        assert_eq!(memory.open_max(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_loop_ends_after_ten() {
    let memory = Memory::default();
    let mut subscriber = subscriber(&memory, "http://a/b");
    let server = async {
        loop {
            memory.accept().await.answer(302, &[("location", "/b")], "").await;
        }
    };
    let seen = tokio::select! { () = server => unreachable!(), seen = until_over(&mut subscriber) => seen };
    assert!(matches!(seen.last().unwrap(), Err(Error::Redirect(_))), "{seen:?}");
    assert_eq!((memory.requests(), memory.open()), (11, 0));
}

#[tokio::test(start_paused = true)]
async fn a_location_that_leads_nowhere_is_an_error_and_no_loop() {
    let nowhere = [None, Some(""), Some("ftp://a/"), Some("http://"), Some("#here"), Some("http://u:p@a/")];
    for location in nowhere {
        for status in [301, 307] {
            let memory = Memory::default();
            let mut subscriber = subscriber(&memory, "http://a/b");
            let headers: Vec<_> = location.map(|value| ("location", value)).into_iter().collect();
            let server = async { memory.accept().await.head(status, &headers).closed().await };
            let ((), seen) = tokio::join!(server, until_over(&mut subscriber));
            let last = seen.last().unwrap();
            assert!(matches!(last, Err(Error::Redirect(_))), "{location:?}: {last:?}");
            assert_eq!((memory.requests(), memory.open()), (1, 0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_go_to_their_own_origin_and_to_no_other() {
    let secrets = ["authorization", "cookie", "x-api-key"];
    for (to, same) in [("/d", true), ("http://A:80/d", true), ("http://a:81/", false), ("http://b/", false)] {
        let memory = Memory::default();
        let subscriber = subscriber(&memory, "http://a/b").with_token("secret").unwrap();
        let subscriber = subscriber.with_last_event_id("7").unwrap();
        let subscriber = subscriber.with_header("cookie", "secret").unwrap();
        let subscriber = subscriber.with_header("user-agent", "test").unwrap();
        let mut subscriber = subscriber.with_headers_source(|| {
            [("x-api-key".parse().unwrap(), "secret".parse().unwrap())].into_iter().collect()
        });
        let server = async {
            let first = memory.accept().await;
            assert!(
                secrets.iter().all(|name| first.header(name).is_some_and(|value| value.contains("secret")))
            );
            first.answer(307, &[("location", to)], "").await;
            let second = memory.accept().await;
            assert_eq!(secrets.map(|name| second.header(name).is_some()), [same; 3], "{to}");
            // These are no secrets.
            assert_eq!(second.header("last-event-id"), Some("7"));
            assert_eq!(second.header("user-agent"), Some("test"));
            // And back home from there.
            second.answer(307, &[("location", "http://a/e")], "").await;
            let third = memory.accept().await;
            assert_eq!(third.header("authorization"), Some("Bearer secret"));
            third.head(204, &[]);
        };
        tokio::join!(server, until_over(&mut subscriber));
    }
}

#[tokio::test(start_paused = true)]
async fn methods_and_bodies_survive_redirects_as_in_browsers() {
    for (status, method, expected) in [
        (301, "POST", ("GET", "")),
        (302, "POST", ("GET", "")),
        (303, "POST", ("GET", "")),
        (303, "REPORT", ("GET", "")),
        (301, "REPORT", ("REPORT", "body")),
        (307, "POST", ("POST", "body")),
        (308, "POST", ("POST", "body")),
    ] {
        let memory = Memory::default();
        let subscriber = subscriber(&memory, "http://a/b").with_request(method, "body").unwrap();
        let mut subscriber = subscriber.with_header("content-type", "text/plain").unwrap();
        let server = async {
            memory.accept().await.answer(status, &[("location", "/c")], "").await;
            let second = memory.accept().await;
            let body = std::str::from_utf8(second.request.body()).unwrap();
            assert_eq!((second.request.method().as_str(), body), expected, "{status} {method}");
            assert_eq!(second.header("content-type").is_some(), !body.is_empty());
            second.head(204, &[]);
        };
        tokio::join!(server, until_over(&mut subscriber));
    }
}

#[tokio::test(start_paused = true)]
async fn a_401_of_another_origin_asks_for_no_new_token() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    for (to, expected) in [("http://b/c", 1), ("/c", 2)] {
        let memory = Memory::default();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let mut subscriber = subscriber(&memory, "http://a/b").with_token_source(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            async { Ok::<_, Error>("token".to_owned()) }
        });
        let server = async {
            for _ in 0..expected {
                memory.accept().await.answer(307, &[("location", to)], "").await;
                memory.accept().await.answer(401, &[], "").await;
            }
        };
        let ((), seen) = tokio::join!(server, until_over(&mut subscriber));
        assert!(
            matches!(seen.last().unwrap(), Err(Error::Refused(problem)) if problem.status == 401),
            "{to}"
        );
        assert_eq!(asked.load(Ordering::Relaxed), expected, "{to}");
    }
}
