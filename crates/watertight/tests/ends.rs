//! What ends a stream ends it in all four deliveries, read or not: one life decides for all.

use std::time::Duration;

use crate::support::served::{Served, read_until};
use crate::support::{TestHub, eventually, eventually_within};
use futures_util::{FutureExt, StreamExt};
use http_body_util::BodyExt;
use watertight::{
    AccessOptions, CloseReason, Event, Hub, HubConfig, Message, Resume, SubscribeOptions, Subscription,
};
use watertight_core::Kind;

const DELIVERIES: [&str; 4] = ["socket", "body", "poll", "stream"];
/// For the longest of the ends: hundreds of steps of the hub's clock.
const PATIENCE: Duration = Duration::from_secs(20);

/// A stream of one of the four deliveries.
enum Opened {
    Socket(std::net::TcpStream),
    Body(watertight::SseBody),
    Task(Subscription),
}

impl Opened {
    /// Reads to the end; the code that it was told.
    async fn code(self) -> String {
        match self {
            Opened::Socket(mut stream) => {
                let text = tokio::task::spawn_blocking(move || read_until(&mut stream, "0\r\n\r\n"));
                code_in(&text.await.unwrap())
            }
            Opened::Body(body) => {
                let bytes = body.collect().await.unwrap().to_bytes();
                code_in(str::from_utf8(&bytes).unwrap())
            }
            Opened::Task(mut stream) => loop {
                match stream.next().await.expect("it is told") {
                    Message::Closed(reason) => return reason.code().to_owned(),
                    Message::Event(_) | Message::Gap(_) => {}
                }
            },
        }
    }
}

fn code_in(text: &str) -> String {
    let at = text.rfind("\"code\":\"").unwrap_or_else(|| panic!("no code in {text:?}"));
    text[at + 8..].split('"').next().unwrap().to_owned()
}

fn served(config: HubConfig, options: fn(&Hub) -> SubscribeOptions) -> (Served, SubscribeOptions) {
    let config = HubConfig {
        send_buffer_bytes: Some(8 * 1024),
        max_age_jitter_percent: 0,
        max_subscriber_idle_time: Duration::from_secs(60),
        ..config
    };
    let hub = TestHub::new(config);
    let options = options(&hub);
    (Served::with_options(hub, options.clone()), options)
}

async fn open(served: &Served, delivery: &str, options: &SubscribeOptions) -> Opened {
    let subscribe = || served.hub.subscribe_with("s", Resume::Live, options.clone()).unwrap();
    match delivery {
        "socket" => {
            let stream = served.open("s");
            // Of one size: a buffer that the kernel makes larger takes a little more of an unread stream now and then, and
            // each time the hub's deadline begins anew.
            socket2::SockRef::from(&stream).set_recv_buffer_size(16 * 1024).unwrap();
            Opened::Socket(stream)
        }
        "body" => {
            let mut body = subscribe().into_http_response().into_body();
            body.frame().await.unwrap().unwrap();
            Opened::Body(body)
        }
        "poll" => Opened::Task(subscribe().for_poll()),
        _ => Opened::Task(subscribe()),
    }
}

/// Publishes more than any buffer between hub and reader takes.
fn fill(hub: &Hub) {
    for _ in 0..200 {
        hub.publish_now("s", &Event::new("x".repeat(16 * 1024))).unwrap();
    }
}

/// One way to end a stream: what it needs from the start, how it is done, what the reader is told.
struct Way {
    code: &'static str,
    config: HubConfig,
    options: fn(&Hub) -> SubscribeOptions,
    begin: fn(&Served),
}

/// Nobody asked for a right.
fn anonymous(_: &Hub) -> SubscribeOptions {
    SubscribeOptions::default()
}

/// A right of this user's, and how it goes on.
fn under(hub: &Hub, options: AccessOptions) -> SubscribeOptions {
    SubscribeOptions::under(hub.grant_access(options).unwrap())
}

fn ways() -> Vec<Way> {
    let quiet = HubConfig::default;
    vec![
        Way {
            code: "TIMEOUT",
            config: HubConfig { max_age: Some(Duration::from_secs(3)), ..quiet() },
            options: anonymous,
            begin: |_| (),
        },
        Way {
            code: "TOKEN_EXPIRED",
            config: quiet(),
            options: |hub| under(hub, AccessOptions::of_user("ada").lifetime(Duration::from_secs(3))),
            begin: |_| (),
        },
        Way {
            code: "TOKEN_REVOKED",
            config: quiet(),
            options: |hub| under(hub, AccessOptions::of_user("ada")),
            begin: |served| {
                let withdrawn = served.hub.withdraw_access(|_| Some(CloseReason::TokenRevoked));
                assert_eq!(withdrawn.rights, 1);
            },
        },
        Way {
            code: "FORBIDDEN",
            config: HubConfig { revalidate_interval: Some(Duration::from_secs(3)), ..quiet() },
            options: |hub| under(hub, AccessOptions::of_user("ada").check(async || Ok::<_, String>(false))),
            begin: |_| (),
        },
        Way {
            code: "CIRCUIT_OPEN",
            config: HubConfig { revalidate_interval: Some(Duration::from_secs(1)), ..quiet() },
            options: |hub| {
                let check = async || Err::<bool, _>("the directory is down");
                under(hub, AccessOptions::of_user("ada").check(check))
            },
            begin: |_| (),
        },
        Way {
            code: "SHUTTING_DOWN",
            config: quiet(),
            options: anonymous,
            begin: |served| {
                // Its deadlines are instants of the hub's own clock; nobody waits for the answer here.
                let hub = served.hub.hub.clone();
                hub.shutdown(Duration::from_secs(4)).now_or_never();
            },
        },
        Way {
            code: "DISCONNECTED",
            config: quiet(),
            options: anonymous,
            begin: |served| {
                let hub = served.hub.hub.clone();
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                std::thread::spawn(move || {
                    runtime.block_on(async {
                        let (page, _) = hub.connections(Default::default(), 10).await;
                        for connection in page {
                            assert!(hub.disconnect(connection.id).await, "it is there");
                        }
                    });
                })
                .join()
                .unwrap();
            },
        },
        Way {
            code: "SESSION_ENDED",
            config: quiet(),
            options: anonymous,
            begin: |served| assert!(served.hub.forget_session("s")),
        },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_end_reaches_every_delivery_and_its_reader_is_told_why() {
    for delivery in DELIVERIES {
        for way in ways() {
            let (served, options) = served(way.config, way.options);
            let stream = open(&served, delivery, &options).await;
            let (page, _) = served.hub.connections(Default::default(), 10).await;
            assert_eq!(page.iter().map(|info| info.delivery).collect::<Vec<_>>(), [delivery]);
            (way.begin)(&served);
            // It reads what there is at each step: the clock passes no deadline while it has no turn.
            let mut reading = std::pin::pin!(stream.code());
            let code = loop {
                served.hub.advance_in_step(Duration::from_millis(250));
                let pause = tokio::time::timeout(Duration::from_millis(2), &mut reading);
                if let Ok(code) = pause.await {
                    break code;
                }
            };
            assert_eq!(code, way.code, "{delivery}");
            eventually("nothing is left", || served.hub.live(Kind::Subscription) == 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_end_gives_everything_back_although_the_reader_stalls() {
    for delivery in DELIVERIES {
        for way in ways() {
            let (served, options) = served(way.config, way.options);
            let mut unread = open(&served, delivery, &options).await;
            if let Opened::Task(stream) = &mut unread {
                assert!(stream.next().now_or_never().is_none());
            }
            fill(&served.hub);
            (way.begin)(&served);
            let begun = served.hub.clock().now();
            let what = format!("{delivery} is ended by {}", way.code);
            eventually_within(PATIENCE, &what, || {
                served.hub.advance_in_step(Duration::from_millis(100));
                served.hub.live(Kind::Subscription) == 0 && served.hub.live(Kind::Timer) == 0
            });
            let took = served.hub.clock().now().since(begun);
            // Seconds: its instant, the closing event's own grace, and slack for rights that are asked about late while
            // the test moves the clock fast. Who is to read its session to the end has the time that any reader has.
            let allowed = match (way.code, delivery) {
                ("TIMEOUT" | "TOKEN_EXPIRED" | "FORBIDDEN" | "CIRCUIT_OPEN", _) => 3 + 5 + 12,
                ("SHUTTING_DOWN", _) => 4 + 12,
                ("DISCONNECTED" | "TOKEN_REVOKED", _) => 5 + 12,
                (_, "stream") => 60 + 30,
                _ => 30 + 30,
            };
            assert!(took < Duration::from_secs(allowed), "{what} after {took:?}");
            let (page, _) = served.hub.connections(Default::default(), 10).await;
            assert!(page.is_empty());
            drop(unread);
        }
    }
}

#[tokio::test]
async fn listings_show_true_figures_of_streams_without_a_socket() {
    let hub = TestHub::new(HubConfig::default());
    let mut body = hub.subscribe("s", Resume::Live).unwrap().into_http_response().into_body();
    let mut stream = hub.subscribe("s", Resume::Live).unwrap();
    body.frame().await.unwrap().unwrap();
    assert!(stream.next().now_or_never().is_none());
    assert!(body.frame().now_or_never().is_none());
    for _ in 0..3 {
        hub.publish_now("s", &Event::new("x")).unwrap();
    }
    for _ in 0..2 {
        body.frame().await.unwrap().unwrap();
    }
    stream.next().await.unwrap();
    hub.advance(Duration::from_secs(7));
    let (page, _) = hub.connections(Default::default(), 10).await;
    let mut figures: Vec<_> = page
        .iter()
        .map(|info| (info.delivery, info.sent, info.lag, info.stalled, info.age.as_secs()))
        .collect();
    figures.sort_unstable();
    assert_eq!(figures, [("body", 2, 1, true, 7), ("stream", 1, 2, true, 7)]);
    body.frame().await.unwrap().unwrap();
    assert!(body.frame().now_or_never().is_none());
    let (page, _) = hub.connections(Default::default(), 10).await;
    let read = page.iter().find(|info| info.delivery == "body").unwrap();
    assert_eq!((read.sent, read.lag, read.stalled), (3, 0, false));
}
