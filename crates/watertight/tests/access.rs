//! Rights over a whole hub: asked about once for all their streams, withdrawn everywhere at once.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::served::Served;
use crate::support::{TestHub, eventually};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use futures_util::StreamExt as _;
use watertight::{
    Access, AccessError, AccessKey, AccessOptions, Clock, CloseReason, Hub, HubConfig, Message, Resume,
    SubscribeError, SubscribeOptions, Subscription,
};
use watertight_core::Kind;

fn every_second() -> HubConfig {
    HubConfig { revalidate_interval: Some(Duration::from_secs(1)), ..HubConfig::default() }
}

/// A right whose questions are counted.
fn counted(asked: &Arc<AtomicUsize>) -> AccessOptions {
    let asked = Arc::clone(asked);
    AccessOptions::of_user("ada").check(move || {
        asked.fetch_add(1, Ordering::SeqCst);
        async { Ok::<_, String>(true) }
    })
}

fn under(hub: &Hub, access: &Arc<Access>) -> Subscription {
    hub.subscribe_with("s", Resume::Live, SubscribeOptions::under(Arc::clone(access))).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn streams_of_one_right_cause_one_question_an_interval() {
    let hub = TestHub::new(every_second());
    let asked = Arc::new(AtomicUsize::new(0));
    let rights: Vec<_> = (0..5).map(|_| hub.grant_access(counted(&asked)).unwrap()).collect();
    let streams: Vec<_> = rights.iter().flat_map(|access| (0..40).map(|_| under(&hub, access))).collect();
    for interval in 1..=3 {
        hub.advance(Duration::from_secs(1));
        let what = format!("all were granted in interval {interval}");
        crate::support::eventually_async(&what, || hub.access_counts().granted == 5 * interval).await;
        assert_eq!(asked.load(Ordering::SeqCst) as u64, 5 * interval);
    }
    let (page, _) = hub.connections(Default::default(), 1000).await;
    assert_eq!(page.len(), 200);
    assert!(page.iter().all(|info| info.validations == 3 && info.user.as_deref() == Some("ada")));
    drop(streams);
    let other = Arc::new(AtomicUsize::new(0));
    let in_use = under(&hub, &hub.grant_access(counted(&other)).unwrap());
    hub.advance(Duration::from_secs(5));
    crate::support::eventually_async("another was granted", || hub.access_counts().granted > 15).await;
    let asked = [&other, &asked].map(|asked| asked.load(Ordering::SeqCst));
    assert_eq!(asked, [1, 15], "nobody asks about a right that no stream uses");
    drop((rights, in_use));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_right_is_asked_about_once_an_interval_however_many_there_are() {
    let config = HubConfig { revalidate_interval: Some(Duration::from_secs(30)), ..HubConfig::default() };
    let hub = TestHub::new(config);
    let asked = Arc::new(AtomicUsize::new(0));
    let streams: Vec<_> =
        (0..3000).map(|_| under(&hub, &hub.grant_access(counted(&asked)).unwrap())).collect();
    hub.advance(Duration::from_secs(30));
    crate::support::eventually_async("all were asked about", || asked.load(Ordering::SeqCst) == 3000).await;
    drop(streams);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_right_is_found_by_its_key_for_as_long_as_somebody_holds_it() {
    let hub = TestHub::new(HubConfig::default());
    let key = AccessKey::new([7; 16]);
    let access = hub.grant_access(AccessOptions::of_user("ada").key(key)).unwrap();
    let stream = under(&hub, &hub.access(&key).unwrap());
    drop(access);
    assert!(hub.access(&key).is_some());
    drop(stream);
    assert!(hub.access(&key).is_none());
    assert_eq!(hub.live(Kind::Access), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_check_that_panics_counts_as_an_error_and_the_others_go_on() {
    let hub = TestHub::new(every_second());
    let asked = Arc::new(AtomicUsize::new(0));
    let good = hub.grant_access(counted(&asked)).unwrap();
    let bad = AccessOptions::of_user("eve").check(|| async {
        assert!(std::hint::black_box(false), "asked for by the test");
        Ok::<_, String>(true)
    });
    let bad = hub.grant_access(bad).unwrap();
    let (kept, mut lost) = (under(&hub, &good), under(&hub, &bad));
    for errors in 1..=3 {
        hub.advance(Duration::from_secs(1));
        let are_answered =
            || (hub.access_counts().unanswered, hub.access_counts().granted) == (errors, errors);
        crate::support::eventually_async("both were answered", are_answered).await;
        assert_eq!(asked.load(Ordering::SeqCst) as u64, errors);
    }
    loop {
        if let Message::Closed(reason) = lost.next().await.unwrap() {
            assert_eq!(reason, CloseReason::CircuitOpen);
            break;
        }
    }
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    assert_eq!(hub.live(Kind::Subscription), 1);
    drop((kept, good, bad));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_never_answers_counts_as_an_error_after_ten_seconds() {
    let hub = TestHub::with_clock(every_second(), Clock::of_runtime());
    let tasks = hub.live(Kind::Task);
    let never = AccessOptions::of_user("ada").check(std::future::pending::<Result<bool, String>>);
    let stream = under(&hub, &hub.grant_access(never).unwrap());
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(hub.access_counts().unanswered, 0);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(hub.access_counts().unanswered > 0);
    drop(stream);
    // On a runtime of one thread the task ends only while the test waits.
    crate::support::eventually_async("the question is given up", || hub.live(Kind::Access) == 0).await;
    crate::support::eventually_async("the task has ended", || hub.live(Kind::Task) == tasks).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_user_opens_so_many_streams_and_another_right_of_theirs_opens_no_more() {
    let hub = TestHub::new(HubConfig { max_streams_per_user: Some(2), ..HubConfig::default() });
    let one = hub.grant_access(AccessOptions::of_user("ada")).unwrap();
    let other = hub.grant_access(AccessOptions::of_user("ada")).unwrap();
    let held = (under(&hub, &one), under(&hub, &other));
    let options = SubscribeOptions::under(Arc::clone(&one));
    let refused = hub.subscribe_with("s", Resume::Live, options.clone()).unwrap_err();
    assert_eq!(refused, SubscribeError::Access(AccessError::TooManyStreams(2)));
    drop(held.0);
    drop(hub.subscribe_with("s", Resume::Live, options).unwrap());
    drop((held.1, one, other));
}

/// The right that stands at the moment.
type Standing = Arc<Mutex<Option<Arc<Access>>>>;

async fn subscribe(State((hub, standing)): State<(Hub, Standing)>) -> Result<Subscription, StatusCode> {
    let access = standing.lock().unwrap().clone().unwrap();
    hub.subscribe_with("s", Resume::Live, SubscribeOptions::under(access)).map_err(|_| StatusCode::FORBIDDEN)
}

#[test]
fn threat_21_a_right_withdrawn_while_sockets_are_taken_over_leaves_none_of_them_open() {
    let hub = TestHub::new(HubConfig::default());
    let standing = Standing::default();
    let router =
        Router::new().route("/s", get(subscribe)).with_state((hub.hub.clone(), Arc::clone(&standing)));
    let served = Served::with_router(hub, router);
    let mut opened = 0;
    for round in 0..60 {
        let access = served.hub.grant_access(AccessOptions::of_user("ada")).unwrap();
        *standing.lock().unwrap() = Some(Arc::clone(&access));
        let sockets: Vec<_> = (0..8)
            .map(|_| {
                let mut socket = TcpStream::connect(served.address).unwrap();
                socket.write_all(b"GET /s HTTP/1.1\r\nHost: hub\r\n\r\n").unwrap();
                socket
            })
            .collect();
        // Some are open, one is being taken over, others are refused: time stands still, so no timer helps.
        eventually("the first is open", || served.hub.live(Kind::Subscription) > round % 4);
        served.hub.withdraw_access(|_| Some(CloseReason::TokenRevoked));
        for mut socket in sockets {
            let mut answer = String::new();
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            // Refused requests leave their connection open: they are told apart by their head.
            while !answer.contains("TOKEN_REVOKED") && !answer.contains(" 403 ") {
                let mut part = [0; 512];
                let read =
                    socket.read(&mut part).unwrap_or_else(|error| panic!("round {round}: {error}: {answer}"));
                assert_ne!(read, 0, "{answer}");
                answer.push_str(std::str::from_utf8(&part[..read]).unwrap());
            }
            opened += u32::from(answer.contains(" 200 "));
        }
        eventually("nothing is left", || served.hub.live(Kind::Subscription) == 0);
    }
    assert!(opened > 60, "{opened} were open");
    *standing.lock().unwrap() = None;
}
