//! Connections over a Unix socket are like those over TCP: nothing leaks, nobody waits for a slow reader, and those that
//! leave are noticed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::ops::ControlFlow;
use std::time::Duration;

use tempfile::TempDir;
use watertight_testkit::{
    Client, ConnectOptions, Crowd, End, HubBuilder, HubProcess, PATIENCE, RawConnection, Seen, Signal,
    SseReader, eventually, timed,
};
use watertight_wire::Item;

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");
const PATH: &str = "/sessions/demo/events";
/// Noticed at once, on a machine that is busy.
const SOON: Duration = Duration::from_secs(5);

/// A hub that is looked at over TCP and used over a Unix socket.
struct OverUnix {
    hub: HubProcess,
    options: ConnectOptions,
    _dir: TempDir,
}

impl OverUnix {
    fn start(builder: HubBuilder) -> OverUnix {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("hub.sock");
        let unix = format!("unix:{}", path.display());
        let hub = builder.flag("--listen", "127.0.0.1:0").flag("--listen", unix).start();
        OverUnix { hub, options: ConnectOptions::unix(path), _dir: dir }
    }

    fn connect(&self) -> RawConnection {
        RawConnection::connect_with(&self.hub, &self.options).unwrap()
    }

    fn subscribe(&self, headers: &[(&str, &str)]) -> SseReader {
        SseReader::open_with(self.hub.address(), PATH, headers, &self.options).unwrap()
    }

    fn client(&self) -> Client {
        Client::with_options(self.hub.address(), self.options.clone())
    }

    fn crowd(&self, count: usize) -> Crowd {
        Crowd::open(&self.hub, count, |_| (self.options.clone(), PATH.to_owned()))
    }
}

fn builder() -> HubBuilder {
    HubProcess::builder(WATERTIGHT)
}

#[test]
fn what_is_published_over_a_unix_socket_arrives_and_is_resumed_over_it() {
    let over = OverUnix::start(builder());
    let mut reader = over.subscribe(&[]);
    let mut on_tcp = over.hub.subscribe("demo");
    let mut ids = Vec::new();
    for number in 0..50 {
        let answer = over.client().post(PATH, "text/plain", number.to_string()).expect(202).json();
        ids.push(answer["id"].as_str().unwrap().to_owned());
    }
    let expected: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    assert_eq!((reader.next_data(50), on_tcp.next_data(50)), (expected.clone(), expected.clone()));
    drop(reader);
    let mut again = over.subscribe(&[("Last-Event-ID", &ids[19])]);
    assert_eq!(again.next_data(30), expected[20..]);
}

#[test]
fn a_subscriber_that_leaves_a_unix_socket_is_noticed_wherever_it_stands() {
    // Nothing is written meanwhile: what notices them is the end of what they send, and no failed write.
    let over = OverUnix::start(builder().flag("--heartbeat-interval", "25s"));
    for _ in 0..40 {
        over.hub.publish_text("demo", &"x".repeat(50_000));
    }
    let open = |path: &str| {
        let mut connection = over.connect();
        connection.send_get(path, &[]);
        connection
    };
    let until = |path: &str, text: &str| {
        let mut connection = open(path);
        connection.read_until(text, PATIENCE);
        connection
    };
    let replay = format!("{PATH}?replay=all");
    let stand: [(&str, &dyn Fn() -> RawConnection); 5] = [
        ("before its request", &|| over.connect()),
        ("before the answer", &|| open(PATH)),
        ("in the replay", &|| until(&replay, "xxxx")),
        ("caught up", &|| until(PATH, "\n\n\r\n")),
        ("after it closed its side", &|| {
            let mut connection = until(PATH, "\n\n\r\n");
            connection.half_close();
            connection
        }),
    ];
    for (what, stand) in stand {
        drop(stand());
        let (_, took) = timed(|| eventually!(over.hub.stats().live("connection") == 1));
        assert!(took < SOON, "one that left {what} was noticed after {took:?}");
    }
}

#[test]
fn readers_of_a_unix_socket_that_never_read_are_ended_and_nobody_notices() {
    const ALL: usize = 60;
    const STALLED: usize = 20;
    const EVENTS: usize = 300;
    // Longer than this machine keeps a reader from reading.
    let builder = builder().flag("--write-deadline", "6s").flag("--heartbeat-interval", "300ms");
    let over = OverUnix::start(builder.flag("--send-buffer-bytes", "16KiB"));
    let mut crowd = over.crowd(ALL);
    (0..STALLED).for_each(|index| crowd.stall(index));
    let mut seen = [0; ALL];
    let mut missing = ALL - STALLED;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..EVENTS {
                over.hub.publish_text("demo", &format!("{number} {}", "x".repeat(5_000)));
            }
        });
        crowd.read_until(Duration::from_secs(60), |index, what| {
            match what {
                Seen::Item(Item::Event { data, event_type, .. }) => {
                    let number = data.split(' ').next().unwrap();
                    assert_eq!(
                        (event_type, number),
                        ("message", &*seen[index].to_string()),
                        "reader {index}"
                    );
                    seen[index] += 1;
                    missing -= usize::from(seen[index] == EVENTS);
                }
                Seen::Item(_) => {}
                Seen::End(end) => panic!("reader {index} was ended: {end:?}"),
            }
            if missing == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    });
    let stats = eventually!(over.hub.stats(), |stats| stats.live("subscription") == (ALL - STALLED) as u64);
    assert_eq!(stats.number("metrics.slowConsumers"), STALLED as u64);
}

#[test]
fn a_reader_of_a_unix_socket_that_pauses_goes_on_where_it_was() {
    const EVENTS: usize = 200;
    let over = OverUnix::start(builder().flag("--send-buffer-bytes", "16KiB"));
    let mut reader = over.subscribe(&[]);
    for number in 0..EVENTS {
        over.hub.publish_text("demo", &format!("{number} {}", "x".repeat(2_000)));
    }
    for number in 0..EVENTS {
        assert_eq!(reader.next_event().data.split(' ').next().unwrap(), number.to_string());
    }
}

#[test]
fn a_crowd_that_comes_and_goes_over_a_unix_socket_leaves_nothing() {
    let over = OverUnix::start(builder());
    for round in 0..4 {
        let mut crowd = over.crowd(100);
        over.hub.publish_text("demo", "hello");
        let mut missing = crowd.len();
        crowd.read_until(PATIENCE, |_, what| {
            missing -= usize::from(matches!(what, Seen::Item(Item::Event { .. })));
            if missing == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        (0..50).for_each(|index| crowd.leave(index, false));
        if round % 2 == 0 {
            let last = over.hub.publish_text("demo", "half");
            assert!(!last.is_empty());
        }
        drop(crowd);
        over.hub.assert_balanced();
    }
}

#[test]
fn readers_of_a_unix_socket_are_told_when_the_hub_stops() {
    let mut over = OverUnix::start(builder());
    let mut readers: Vec<SseReader> = (0..20).map(|_| over.subscribe(&[])).collect();
    over.hub.signal(Signal::TERM);
    for reader in &mut readers {
        let _ = reader.expect_closing_event("SHUTTING_DOWN");
    }
    drop(readers);
    assert!(over.hub.wait(PATIENCE).success(), "{}", over.hub.log());
}

#[test]
fn limits_for_each_address_do_not_count_what_comes_over_a_unix_socket() {
    let over =
        OverUnix::start(builder().flag("--max-connections-per-address", 3).flag("--max-connections", 12));
    let mut readers: Vec<SseReader> = (0..8).map(|_| over.subscribe(&[])).collect();
    over.hub.publish_text("demo", "hello");
    for reader in &mut readers {
        assert_eq!(reader.next_event().data, "hello");
    }
    // Those in all count.
    let more: Vec<RawConnection> = (0..4).map(|_| over.connect()).collect();
    let full = || over.client().request("GET", "/").try_send().is_ok_and(|answer| answer.status == 503);
    eventually!(full());
    drop((readers, more));
}

#[test]
fn tls_over_a_unix_socket_leaves_http_behind_too() {
    let over = OverUnix::start(builder().tls());
    let options = ConnectOptions { unix: over.options.unix.clone(), ..over.hub.client().options().clone() };
    let mut reader = SseReader::open_with(over.hub.address(), PATH, &[], &options).unwrap();
    over.hub.publish_text("demo", &"x".repeat(100_000));
    assert_eq!(reader.next_event().data.len(), 100_000);
    let mut leaves = SseReader::open_with(over.hub.address(), PATH, &[], &options).unwrap();
    leaves.connection().half_close();
    eventually!(over.hub.stats().live("subscription") == 1);
    let _ = over.hub.client().delete("/sessions/demo").expect(204);
    assert!(matches!(reader.rest().1, End::Complete));
}
