//! Dropped, closed or restarted at every point of its life: no socket is open at the other end afterwards, no
//! timer is left, and nothing more is asked. In memory, on paused time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::memory::{Arrived, Memory, Writer, next_data, now};
use watertight_client::{Clock, Item, Sleep, Status, Subscriber};

/// A clock that counts the timers there are.
#[derive(Clone)]
struct Counted {
    origin: tokio::time::Instant,
    timers: Arc<AtomicUsize>,
}

struct Timer(Arc<AtomicUsize>);

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Clock for Counted {
    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn sleep_until(&self, instant: Duration) -> Sleep {
        self.timers.fetch_add(1, Ordering::Relaxed);
        let timer = Timer(Arc::clone(&self.timers));
        let sleep = tokio::time::sleep(instant.saturating_sub(self.now()));
        Box::pin(async move {
            sleep.await;
            drop(timer);
        })
    }
}

/// Where in its life a subscriber is met. What the server's side holds meanwhile comes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    BeforeStart,
    TokenPending,
    HeadAwaited,
    RefreshPending,
    Redirected,
    BeforeFirstByte,
    MidLine,
    BetweenEvents,
    RefusalRead,
    BackOff,
    PollInFlight,
    PollAnswerRead,
    PollDelivering,
    PollPause,
    AfterFatal,
    Stopped,
}

const POINTS: [Point; 16] = [
    Point::BeforeStart,
    Point::TokenPending,
    Point::HeadAwaited,
    Point::RefreshPending,
    Point::Redirected,
    Point::BeforeFirstByte,
    Point::MidLine,
    Point::BetweenEvents,
    Point::RefusalRead,
    Point::BackOff,
    Point::PollInFlight,
    Point::PollAnswerRead,
    Point::PollDelivering,
    Point::PollPause,
    Point::AfterFatal,
    Point::Stopped,
];

struct Met {
    memory: Memory,
    timers: Arc<AtomicUsize>,
    /// Futures of the token function that are there.
    tokens: Arc<AtomicUsize>,
    subscriber: Subscriber,
    _arrived: Vec<Arrived>,
    _writers: Vec<Writer>,
}

/// Polls until nothing more is ready.
async fn settle(subscriber: &mut Subscriber) {
    while let Some(Some(_)) = now(subscriber).await {}
}

/// The next request, for which the subscriber is polled and time may pass.
async fn request(memory: &Memory, subscriber: &mut Subscriber) -> Arrived {
    let mut subscriber = std::pin::pin!(async {
        while subscriber.next().await.is_some() {}
        std::future::pending::<()>().await;
    });
    tokio::select! { arrived = memory.accept() => arrived, () = &mut subscriber => unreachable!() }
}

async fn meet(point: Point) -> Met {
    let memory = Memory::default();
    let timers = Arc::default();
    let clock = Counted { origin: tokio::time::Instant::now(), timers: Arc::clone(&timers) };
    let tokens: Arc<AtomicUsize> = Arc::default();
    let counted = Arc::clone(&tokens);
    let subscriber = memory.subscriber().with_clock(clock).with_polling_after(1);
    let mut subscriber = subscriber.with_token_source(move |request| {
        counted.fetch_add(1, Ordering::Relaxed);
        let guard = Timer(Arc::clone(&counted));
        let hangs = point == Point::TokenPending || (point == Point::RefreshPending && request.is_refresh());
        async move {
            let _guard = guard;
            if hangs {
                std::future::pending::<()>().await;
            }
            Ok::<_, std::io::Error>("token".to_owned())
        }
    });
    let (mut arrived, mut writers) = (Vec::new(), Vec::new());
    if !matches!(point, Point::BeforeStart | Point::TokenPending) {
        let first = request(&memory, &mut subscriber).await;
        match point {
            // For `PollPause` until the time is up: a stream that is kept back is not tried again soon.
            Point::HeadAwaited | Point::PollPause => arrived.push(first),
            Point::RefreshPending => first.answer(401, &[], "").await,
            Point::Redirected => {
                first.answer(302, &[("location", "/elsewhere")], "").await;
                arrived.push(request(&memory, &mut subscriber).await);
            }
            Point::BeforeFirstByte => writers.push(first.stream()),
            Point::MidLine | Point::BetweenEvents => {
                let writer = first.stream();
                let events: String = (0..3).map(|number| format!("data: {number}\n\n")).collect();
                writer.say(if point == Point::MidLine { "data: unfini" } else { &events }).await;
                writers.push(writer);
            }
            Point::RefusalRead => writers.push(first.head(500, &[])),
            Point::AfterFatal => first.answer(404, &[], "").await,
            Point::Stopped => drop(first.head(204, &[])),
            _ => first.reset(),
        }
    }
    let poll = r#"{"events":[{"id":"1","type":"t","data":"0"},{"id":"2","type":"t","data":"1"}],"next":"2"}"#;
    match point {
        Point::PollInFlight => arrived.push(request(&memory, &mut subscriber).await),
        Point::PollAnswerRead => {
            let first = request(&memory, &mut subscriber).await;
            let writer = first.head(200, &[("content-type", "application/json")]);
            writer.say("{\"events\":").await;
            writers.push(writer);
        }
        Point::PollDelivering => request(&memory, &mut subscriber).await.json(poll).await,
        Point::PollPause => {
            request(&memory, &mut subscriber).await.json(poll).await;
            let empty = r#"{"events":[],"next":"2"}"#;
            request(&memory, &mut subscriber).await.json(empty).await;
        }
        _ => {}
    }
    match point {
        Point::BeforeStart => {}
        // The first of several was delivered.
        Point::BetweenEvents | Point::PollDelivering => assert_eq!(next_data(&mut subscriber).await, "0"),
        _ => settle(&mut subscriber).await,
    }
    Met { memory, timers, tokens, subscriber, _arrived: arrived, _writers: writers }
}

/// What is left: sockets, timers, futures of the application's.
fn left(memory: &Memory, timers: &AtomicUsize, tokens: &AtomicUsize) -> (usize, usize, usize) {
    (memory.open(), timers.load(Ordering::Relaxed), tokens.load(Ordering::Relaxed))
}

#[tokio::test(start_paused = true)]
async fn each_point_is_what_it_is_called() {
    let with_socket = [
        Point::HeadAwaited,
        Point::Redirected,
        Point::BeforeFirstByte,
        Point::MidLine,
        Point::BetweenEvents,
        Point::RefusalRead,
        Point::PollInFlight,
        Point::PollAnswerRead,
    ];
    for point in POINTS {
        let met = meet(point).await;
        let open = usize::from(with_socket.contains(&point));
        let token = usize::from(matches!(point, Point::TokenPending | Point::RefreshPending));
        let (sockets, _, tokens) = left(&met.memory, &met.timers, &met.tokens);
        assert_eq!((sockets, tokens), (open, token), "{point:?}: {:?}", met.subscriber);
        let phase = match point {
            Point::BeforeStart | Point::BackOff | Point::PollPause => "waiting",
            Point::TokenPending
            | Point::RefreshPending
            | Point::HeadAwaited
            | Point::Redirected
            | Point::RefusalRead => "opening",
            Point::BeforeFirstByte | Point::MidLine | Point::BetweenEvents => "open",
            Point::PollInFlight | Point::PollAnswerRead => "polling",
            Point::PollDelivering => "delivering",
            Point::AfterFatal => "failed",
            Point::Stopped => "stopped",
        };
        let found = format!("{:?}", met.subscriber);
        assert!(found.contains(&format!("\"{phase}\"")), "{point:?}: {found}");
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_at_any_point_it_leaves_nothing() {
    for point in POINTS {
        let Met { memory, timers, tokens, subscriber, _arrived, _writers } = meet(point).await;
        let requests = memory.requests();
        drop(subscriber);
        assert_eq!(left(&memory, &timers, &tokens), (0, 0, 0), "{point:?}");
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(memory.requests(), requests, "{point:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn closed_at_any_point_it_leaves_nothing_and_never_comes_back() {
    for point in POINTS {
        let mut met = meet(point).await;
        let requests = met.memory.requests();
        met.subscriber.close();
        met.subscriber.close();
        assert_eq!(left(&met.memory, &met.timers, &met.tokens), (0, 0, 0), "{point:?}");
        tokio::time::advance(Duration::from_secs(3600)).await;
        // Not even what had come already is delivered.
        assert!(met.subscriber.next().await.is_none(), "{point:?}");
        met.subscriber.restart();
        assert!(met.subscriber.next().await.is_none(), "{point:?}");
        assert_eq!((met.memory.requests(), met.memory.open()), (requests, 0), "{point:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn restarted_at_any_point_it_opens_one_connection_at_once_and_tells_of_no_error() {
    for point in POINTS {
        let mut met = meet(point).await;
        if matches!(point, Point::Stopped | Point::TokenPending | Point::RefreshPending) {
            continue;
        }
        let requests = met.memory.requests();
        met.subscriber.restart();
        met.subscriber.restart();
        assert_eq!(left(&met.memory, &met.timers, &met.tokens), (0, 0, 0), "{point:?}");
        let begun = tokio::time::Instant::now();
        let server = async { met.memory.accept().await.stream().say("data: back\n\n").await };
        let client = async {
            loop {
                match met.subscriber.next().await.unwrap().unwrap() {
                    Item::Status(status) => {
                        let expected = matches!(status, Status::Connecting { .. } | Status::Open);
                        assert!(expected, "{point:?}: {status:?}");
                    }
                    Item::Event(event) => return event.data,
                    other => panic!("{other:?}"),
                }
            }
        };
        // What is still in the network's queue from before belongs to a connection that is gone.
        let (_, data) = tokio::join!(server, client);
        assert_eq!((data.as_str(), begun.elapsed()), ("back", Duration::ZERO), "{point:?}");
        assert_eq!((met.memory.requests(), met.memory.open_max()), (requests + 1, 1), "{point:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_delivered_after_close_although_it_came_in_the_same_chunk() {
    let mut met = meet(Point::BetweenEvents).await;
    met.subscriber.close();
    assert!(met.subscriber.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_thousand_subscribers_come_and_go() {
    let memory = Memory::default();
    for number in 0..1000 {
        let mut subscriber = memory.subscriber();
        let server = async {
            let (_, writer) = memory.stream().await;
            writer.say("data: x\n\n").await;
            writer
        };
        let (writer, _) = tokio::join!(server, next_data(&mut subscriber));
        drop(subscriber);
        writer.closed().await;
        assert_eq!((memory.open(), memory.requests()), (0, number + 1));
    }
    assert_eq!(memory.open_max(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_subscribers_are_none_of_each_others_business() {
    let (first, second) = (Memory::default(), Memory::default());
    let (mut leaves, mut stays) = (first.subscriber(), second.subscriber());
    let server = async { tokio::join!(first.stream(), second.stream()) };
    let both = async {
        let open = |status: &Status| *status == Status::Open;
        let until_open = crate::common::memory::until_status;
        tokio::join!(until_open(&mut leaves, open), until_open(&mut stays, open))
    };
    let (((_, gone), (_, writer)), _) = tokio::join!(server, both);
    drop(leaves);
    gone.closed().await;
    writer.say("data: still here\n\n").await;
    assert_eq!(next_data(&mut stays).await, "still here");
}
