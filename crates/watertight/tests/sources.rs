//! Sources over a whole hub: started once, shared, stopped after the last, told to every reader whatever delivers it.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::served::{Served, read_until};
use crate::support::{TestHub, eventually, eventually_async};
use futures_util::StreamExt as _;
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;
use watertight::{
    CloseReason, Event, Feed, GapReason, HubConfig, Message, Resume, Source, SourceError, SubscribeError,
    SubscribeOptions, Subscription,
};
use watertight_core::{Kind, SourcePhase};

/// What the test has a source do.
#[derive(Debug)]
enum Say {
    Event(&'static str),
    Gap(Option<u64>),
    Waiting,
    Back,
    Fail,
    End(&'static str),
    Finish,
    Panic,
}

/// A source that does what it is told, one after the other; how often it runs at the moment, and has been started.
#[derive(Debug, Clone)]
struct Told {
    orders: Arc<tokio::sync::Mutex<mpsc::Receiver<Say>>>,
    running: Arc<AtomicUsize>,
    started: Arc<AtomicUsize>,
}

/// One run; dropped when that ends.
struct One(Arc<AtomicUsize>);

impl Drop for One {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Source for Told {
    async fn run(&self, feed: Feed) -> Result<(), SourceError> {
        self.running.fetch_add(1, Ordering::SeqCst);
        self.started.fetch_add(1, Ordering::SeqCst);
        let _one = One(Arc::clone(&self.running));
        let mut orders = self.orders.lock().await;
        loop {
            match orders.recv().await.expect("the test goes on") {
                Say::Event(text) => drop(feed.publish(Event::new(text)).await?),
                Say::Gap(missed) => feed.gap(missed)?,
                Say::Waiting => feed.waiting("no answer"),
                Say::Back => feed.succeeded(),
                Say::Fail => return Err(SourceError::new("told to fail")),
                Say::End(text) => drop(feed.end(Some(Event::new(text)))?),
                Say::Finish => return Ok(()),
                Say::Panic => panic!("asked for by the test"),
            }
        }
    }
}

fn told() -> (mpsc::Sender<Say>, Told) {
    let (say, orders) = mpsc::channel(16);
    let orders = Arc::new(tokio::sync::Mutex::new(orders));
    (say, Told { orders, running: Arc::default(), started: Arc::default() })
}

impl Told {
    fn options(&self) -> SubscribeOptions {
        SubscribeOptions::default().fed_by(self.clone())
    }

    fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    fn started(&self) -> usize {
        self.started.load(Ordering::SeqCst)
    }
}

fn watch(hub: &TestHub, source: &Told) -> Subscription {
    hub.subscribe_with("s", Resume::Live, source.options()).unwrap()
}

async fn text_of(stream: &mut Subscription) -> String {
    match stream.next().await.unwrap() {
        Message::Event(event) => event.data,
        other => panic!("no event: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_source_is_started_by_the_first_shared_by_all_and_stopped_a_linger_after_the_last() {
    let hub = TestHub::new(HubConfig::default());
    let (say, source) = told();
    let mut first = watch(&hub, &source);
    let mut second = watch(&hub, &source);
    let mut third = hub.subscribe("s", Resume::Live).unwrap();
    say.send(Say::Event("a")).await.unwrap();
    for stream in [&mut first, &mut second, &mut third] {
        assert_eq!(text_of(stream).await, "a");
    }
    assert_eq!((hub.live(Kind::Source), source.running(), source.started()), (1, 1, 1));
    drop((first, second));
    hub.advance(Duration::from_secs(60));
    say.send(Say::Event("b")).await.unwrap();
    assert_eq!(text_of(&mut third).await, "b", "whoever came without it holds it as well");
    drop(third);
    hub.advance(Duration::from_millis(9_900));
    let back = watch(&hub, &source);
    hub.advance(Duration::from_secs(30));
    say.send(Say::Event("c")).await.unwrap();
    eventually_async("it still runs", || hub.stats().events == 3).await;
    drop(back);
    hub.advance(Duration::from_millis(9_000));
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(source.running(), 1, "it lingers");
    hub.advance(Duration::from_millis(1_000));
    eventually_async("it has stopped", || (hub.live(Kind::Source), source.running()) == (0, 0)).await;
    assert_eq!(source.started(), 1);
    let again = watch(&hub, &source);
    eventually_async("it runs again", || source.started() == 2).await;
    drop(again);
    hub.advance(Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn sockets_bodies_and_streams_are_told_that_a_source_waits_and_is_back() {
    let (say, source) = told();
    let mut served = Served::with_options(TestHub::new(HubConfig::default()), source.options());
    let hub = &served.hub;
    let mut socket = served.open("s");
    let mut body = watch(hub, &source).into_http_response().into_body();
    let mut frame = async |what: &str| {
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(String::from_utf8_lossy(&frame).contains(what), "{what}: {frame:?}");
    };
    frame("retry:").await;
    say.send(Say::Waiting).await.unwrap();
    read_until(&mut socket, ": waiting for source\n\n\r\n");
    frame(": waiting for source\n\n").await;
    let page = hub.connections(Default::default(), 10).await.0;
    for info in &page {
        let source = info.source.as_ref().unwrap();
        assert_eq!((source.phase, source.why.as_deref()), (SourcePhase::Waiting, Some("no answer")));
    }
    assert_eq!(page.len(), 2);
    // Newcomers are told at once, all others with every heartbeat.
    let mut late = served.open("s");
    read_until(&mut late, ": waiting for source\n\n\r\n");
    hub.advance(Duration::from_secs(16));
    read_until(&mut socket, ": waiting for source\n\n\r\n");
    frame(": waiting for source\n\n").await;
    say.send(Say::Back).await.unwrap();
    say.send(Say::Event("x")).await.unwrap();
    for socket in [&mut socket, &mut late] {
        // One that was just being written to by itself is told after the event.
        let seen = read_until(socket, "data: x\n\n\r\n");
        if !seen.contains(": source is back\n\n") {
            read_until(socket, ": source is back\n\n\r\n");
        }
    }
    drop((socket, late));
    served.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_a_source_missed_is_a_gap_for_sockets_streams_and_whoever_comes_back() {
    let (say, source) = told();
    let mut served = Served::with_options(TestHub::new(HubConfig::default()), source.options());
    let hub = &served.hub;
    let mut socket = served.open("s");
    let mut stream = watch(hub, &source);
    say.send(Say::Event("a")).await.unwrap();
    let (mut gaps, before) = (Vec::new(), text_of(&mut stream).await);
    let first = stream.position();
    for order in [Say::Gap(Some(3)), Say::Gap(None), Say::Gap(None), Say::Event("b")] {
        say.send(order).await.unwrap();
    }
    let seen = read_until(&mut socket, "data: b\n\n\r\n");
    assert_eq!(
        seen.matches("event: gap\n").count(),
        2,
        "two of which nobody knows how many say no more: {seen}"
    );
    assert!(seen.contains("\"missed\":3,\"reason\":\"source\"}"), "{seen}");
    let mut back = hub.subscribe("s", Resume::After(first)).unwrap();
    for stream in [&mut stream, &mut back] {
        gaps.clear();
        while let Message::Gap(gap) = stream.next().await.unwrap() {
            assert_eq!(gap.reason, GapReason::Source);
            gaps.push(gap.missed);
        }
        assert_eq!(gaps, [Some(3), None]);
    }
    assert_eq!(before, "a");
    drop((socket, stream, back));
    served.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn three_errors_in_a_row_close_all_readers_and_keep_newcomers_out_for_a_while() {
    let (say, source) = told();
    let mut served = Served::with_options(TestHub::new(HubConfig::default()), source.options());
    let hub = &served.hub;
    let mut socket = served.open("s");
    let mut stream = watch(hub, &source);
    for order in [Say::Fail, Say::Panic, Say::Event("a"), Say::Fail, Say::Fail] {
        say.send(order).await.unwrap();
    }
    eventually_async("all was done but the last", || {
        hub.advance(Duration::from_millis(100));
        source.started() == 5
    })
    .await;
    assert_eq!(text_of(&mut stream).await, "a", "an event is a success");
    say.send(Say::Fail).await.unwrap();
    assert_eq!(stream.next().await, Some(Message::Closed(CloseReason::CircuitOpen)));
    let mut seen = String::new();
    socket.read_to_string(&mut seen).unwrap();
    assert!(seen.contains("\"code\":\"CIRCUIT_OPEN\""), "{seen}");
    let refused = hub.subscribe_with("s", Resume::Live, source.options()).unwrap_err();
    let SubscribeError::SourceBroken { retry_after } = refused else { panic!("{refused:?}") };
    assert!(retry_after > Duration::from_secs(20), "{retry_after:?}");
    eventually_async("it has stopped", || hub.live(Kind::Source) == 0).await;
    hub.advance(retry_after);
    let again = watch(hub, &source);
    eventually_async("it is tried again", || source.running() == 1).await;
    assert_eq!(source.started(), 6);
    drop(again);
    served.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_source_that_ends_its_session_stops_and_is_not_started_for_those_who_come_late() {
    let hub = TestHub::new(HubConfig::default());
    let (say, source) = told();
    let mut stream = watch(&hub, &source);
    say.send(Say::End("over")).await.unwrap();
    assert_eq!(text_of(&mut stream).await, "over");
    assert_eq!(stream.next().await, Some(Message::Closed(CloseReason::SessionEnded)));
    let mut late = hub.subscribe_with("s", Resume::All, source.options()).unwrap();
    assert_eq!(text_of(&mut late).await, "over");
    assert_eq!(late.next().await, Some(Message::Closed(CloseReason::SessionEnded)));
    eventually_async("it has stopped", || source.running() == 0).await;
    assert_eq!(source.started(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_source_stops_at_once_when_its_session_is_ended_or_forgotten_and_feeds_no_other() {
    let hub = TestHub::new(HubConfig::default());
    for is_forgotten in [false, true] {
        let (say, source) = told();
        let mut stream = watch(&hub, &source);
        eventually_async("it runs", || source.running() == 1).await;
        if is_forgotten {
            hub.forget_session("s");
        } else {
            hub.end_session("s", &Default::default()).unwrap();
        }
        assert_eq!(stream.next().await, Some(Message::Closed(CloseReason::SessionEnded)));
        eventually_async("it has stopped", || source.running() == 0).await;
        let _nobody_hears = say.send(Say::Event("too late")).await;
        hub.forget_session("s");
        let new = hub.subscribe("s", Resume::All).unwrap();
        assert_eq!(new.session().head(), 1);
        drop(new);
        hub.forget_session("s");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_source_that_has_nothing_more_to_say_is_not_started_again() {
    let hub = TestHub::new(HubConfig::default());
    let (say, source) = told();
    let stream = watch(&hub, &source);
    say.send(Say::Finish).await.unwrap();
    eventually_async("it has finished", || hub.live(Kind::Source) == 0).await;
    let other = watch(&hub, &source);
    assert_eq!((hub.live(Kind::Source), source.started()), (0, 1));
    drop((stream, other));
}

#[test]
fn a_hub_that_stops_or_goes_takes_its_sources_along() {
    for stops in [true, false] {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (_say, source) = told();
        let hub = TestHub::new(HubConfig::default());
        let stream = runtime.block_on(async { watch(&hub, &source) });
        eventually("it runs", || source.running() == 1);
        if stops {
            runtime.block_on(async {
                let reads = async { stream.collect::<Vec<_>>().await };
                tokio::join!(hub.shutdown(Duration::from_secs(1)), reads);
            });
            eventually("it has stopped", || source.running() == 0);
        } else {
            drop(stream);
            let ledger = Arc::clone(hub.ledger());
            hub.advance(Duration::from_secs(10));
            drop(hub);
            eventually("it has stopped", || source.running() == 0 && ledger.live(Kind::Source) == 0);
        }
    }
}

#[test]
fn leak_class_d_a_runtime_that_ends_takes_the_source_along_and_another_starts_it_again() {
    let (_say, source) = told();
    let hub = TestHub::new(HubConfig::default());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stream = runtime.block_on(async { watch(&hub, &source) });
    eventually("it runs", || source.running() == 1);
    drop(runtime);
    eventually("it has stopped", || source.running() == 0 && hub.live(Kind::Source) == 0);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let other = runtime.block_on(async { watch(&hub, &source) });
    eventually("it runs again", || source.running() == 1);
    drop((stream, other));
    hub.advance(Duration::from_secs(10));
    eventually("it has stopped", || source.running() == 0);
}

/// Counts how often it runs at once.
#[derive(Clone, Default)]
struct Alone {
    running: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Source for Alone {
    async fn run(&self, feed: Feed) -> Result<(), SourceError> {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        let _one = One(Arc::clone(&self.running));
        self.most.fetch_max(running, Ordering::SeqCst);
        feed.publish(Event::new("x")).await?;
        std::future::pending().await
    }
}

#[test]
fn viewers_that_come_just_as_a_source_stops_never_have_two_of_it() {
    let config = HubConfig { source_linger: Duration::ZERO, ..HubConfig::default() };
    let hub = TestHub::with_clock(config, watertight::Clock::monotonic());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let source = Alone::default();
    let _hub_stays = runtime.enter();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let _runtime = runtime.enter();
                for round in 0..5_000 {
                    let options = SubscribeOptions::default().fed_by(source.clone());
                    drop(hub.subscribe_with("s", Resume::Live, options).unwrap());
                    (0..round % 50).for_each(|_| std::thread::yield_now());
                }
            });
        }
    });
    eventually("it has stopped", || source.running.load(Ordering::SeqCst) == 0);
    assert_eq!(source.most.load(Ordering::SeqCst), 1);
}
