//! The classes of leaks that other servers had, one test each: A queues, B disconnects, C half-open
//! connections, D helpers that outlive their connection, E names, F history, H deadlocks. (Class G is the
//! backplane's.) Each ends, as every test here, with the ledger, the descriptors and `/proc` back at the start.
//!
//! Long because the classes are read side by side.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use watertight_testkit::http2::{Frame, kind};
use watertight_testkit::{
    Client, ConnectOptions, Crowd, Http2, HubProcess, Network, PATIENCE, Pipeline, RawConnection, Signal,
    SseReader, Stats, Transport, both_transports, eventually, seeded, timed,
};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

const EVENTS: &str = "/sessions/demo/events";

const SOON: Duration = Duration::from_secs(5);

both_transports!(
    leak_class_a_readers_that_never_read_cost_no_queue_and_are_ended,
    leak_class_b_a_subscriber_that_leaves_is_noticed_wherever_it_stands,
    leak_class_b_a_stream_of_http2_that_is_cancelled_is_given_back_at_once,
    leak_class_c_peers_behind_a_dead_line_are_given_up_in_time,
    leak_class_d_tasks_timers_descriptors_and_gauges_are_back_exactly_after_a_churn,
    leak_class_e_a_hundred_thousand_names_and_keys_stop_at_their_caps_and_are_forgotten,
    leak_class_e_the_process_holds_no_more_keys_than_are_remembered_whatever_is_charged_for_them,
    leak_class_f_history_is_never_above_its_caps_at_any_instant_and_gone_after_its_time,
    leak_class_h_everything_at_once_never_stands_still,
    leak_class_h_a_stop_in_the_middle_of_everything_ends_in_time,
);

fn leak_class_a_readers_that_never_read_cost_no_queue_and_are_ended(over: Transport) {
    const STALLED: usize = 300;
    const HISTORY: u64 = 4 << 20;
    let hub = HubProcess::builder(WATERTIGHT)
        .over(over)
        .flag("--write-deadline", "1s")
        .flag("--heartbeat-interval", "300ms")
        .flag("--send-buffer-bytes", "16KiB")
        .flag("--max-history-bytes-per-session", HISTORY)
        .flag("--log-level", "warn")
        .start();
    let mut crowd = Crowd::open(&hub, STALLED, |_| (ConnectOptions::small_window(), EVENTS.to_owned()));
    (0..STALLED).for_each(|index| crowd.stall(index));
    let before = hub.process().anon();
    let mut pipeline = Pipeline::connect(&hub);
    let data = "x".repeat(10_000);
    let mut peak = before;
    // Flat out until the last of them is ended.
    eventually!({
        let batch = (0..100).map(|_| ("demo".to_owned(), data.clone()));
        assert!(pipeline.publish(batch).iter().all(|status| *status == 202));
        let stats = hub.stats();
        // Beside the history: the one frame that each is in the middle of, most of them in the same.
        let held = stats.number("budget.owners.frames").saturating_sub(HISTORY);
        assert!(held <= STALLED as u64 * 11_000, "{:?}", stats.json()["budget"]);
        peak = peak.max(hub.process().anon());
        stats.live("subscription") == 0
    });
    let stats = hub.stats();
    assert_eq!(stats.number("metrics.slowConsumers"), STALLED as u64);
    assert_eq!(stats.number("budget.owners.subscribers"), 0);
    let grown = peak - before;
    println!(
        "{} events to {STALLED} that do not read: {grown} bytes more",
        stats.number("metrics.eventsPublished")
    );
    assert!(
        grown < HISTORY + (16 << 20),
        "{STALLED} readers that do not read made the hub grow by {grown} bytes"
    );
}

/// Opens the stream and waits for its first bytes.
fn open(hub: &HubProcess, path: &str) -> RawConnection {
    let mut connection = RawConnection::connect(hub);
    connection.send_get(path, &[]);
    connection
}

fn leak_class_b_a_subscriber_that_leaves_is_noticed_wherever_it_stands(over: Transport) {
    let hub = HubProcess::builder(WATERTIGHT).over(over).flag("--heartbeat-interval", "500ms").start();
    for _ in 0..40 {
        hub.publish_text("demo", &"x".repeat(50_000));
    }
    let replay = format!("{EVENTS}?replay=all");
    // Before the answer, right after the head, in the middle of the replay, level, and with bytes waiting.
    let stand: [(&str, &dyn Fn() -> RawConnection); 5] = [
        ("before the answer", &|| open(&hub, EVENTS)),
        ("after the head", &|| {
            let mut connection = open(&hub, EVENTS);
            connection.read_until("\r\n\r\n", PATIENCE);
            connection
        }),
        ("in the replay", &|| {
            let mut connection = open(&hub, &replay);
            connection.read_until("xxxx", PATIENCE);
            connection
        }),
        ("level", &|| {
            let mut connection = open(&hub, EVENTS);
            connection.read_until("\n\n\r\n", PATIENCE);
            connection
        }),
        ("with a byte waiting", &|| {
            let mut connection = open(&hub, EVENTS);
            connection.send("x");
            connection.read_until("\n\n\r\n", PATIENCE);
            connection
        }),
    ];
    for (what, stand) in stand {
        for leave in [drop, RawConnection::reset] {
            leave(stand());
            let (_, took) = timed(|| eventually!(hub.stats().live("connection") == 1));
            assert!(took < SOON, "one that left {what} was noticed after {took:?}");
        }
    }
    assert_eq!(hub.stats().number("budget.owners.subscribers"), 0);
}

fn leak_class_b_a_stream_of_http2_that_is_cancelled_is_given_back_at_once(over: Transport) {
    let hub = HubProcess::builder(WATERTIGHT).over(over).start();
    let mut connection = Http2::connect(&hub, &[]);
    for round in 0..5u32 {
        let streams: Vec<u32> = (0..50).map(|n| 2 * (round * 50 + n) + 1).collect();
        connection
            .send(&streams.iter().map(|stream| Frame::get(*stream, EVENTS)).collect::<Vec<_>>())
            .unwrap();
        let mut opened = 0;
        connection.read_until(PATIENCE, |frame| {
            opened += usize::from(frame.kind == kind::DATA);
            if opened == 50 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(hub.stats().live("subscription"), 50);
        connection.send(&streams.iter().map(|stream| Frame::cancel(*stream)).collect::<Vec<_>>()).unwrap();
        eventually!(hub.stats().live("subscription"), |live| *live == 0);
    }
}

fn leak_class_c_peers_behind_a_dead_line_are_given_up_in_time(over: Transport) {
    const STREAMS: usize = 300;
    const HALF: usize = 20;
    // Long enough for handshakes and for those half a request to be there still when the line goes dead.
    const PATIENT: Duration = Duration::from_secs(4);
    // The heartbeat and the user time-out of a hub without these settings take 15 s each.
    const IN_TIME: Duration = Duration::from_secs(12);
    let test = "leak_class_c_peers_behind_a_dead_line_are_given_up_in_time";
    Network::with(&over.name_of(test), |network| {
        let hub = HubProcess::builder(WATERTIGHT)
            .over(over)
            .flag("--listen", "0.0.0.0:0")
            .arg("--insecure-open")
            .flag("--heartbeat-interval", "500ms")
            .flag("--half-open-timeout", "1s")
            .flag("--write-deadline", "1500ms")
            .flag("--body-timeout", PATIENT.as_secs())
            .flag("--head-timeout", PATIENT.as_secs())
            .start();
        let opened = || hub.stats().ledger().counts("connection").opened;
        let (before, mut looks) = (opened(), 0);
        let near = SocketAddr::from((Network::NEAR, hub.address().port()));
        let to = hub.endpoint().at(near);
        let sessions = |n: usize| format!("/sessions/s{}/events", n % 30);
        let _far = network.far(|| {
            let crowd = Crowd::open(&to, STREAMS, |n| (ConnectOptions::default(), sessions(n)));
            let half: Vec<RawConnection> = (0..HALF)
                .map(|n| {
                    let mut connection = RawConnection::connect(&to);
                    connection.send(match n % 3 {
                        0 => "GET /sess",
                        1 => "GET /sessions/demo/events?wait=600 HTTP/1.1\r\nHost: hub\r\nAccept: application/json\r\n\r\n",
                        _ => "POST /sessions/demo/events HTTP/1.1\r\nHost: hub\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nx",
                    });
                    connection
                })
                .collect();
            (crowd, half)
        });
        // By those that ever came, each look among them: some of them do not stay for long.
        eventually!({
            looks += 1;
            opened() == before + looks + (STREAMS + HALF) as u64
        });
        network.pull();
        // Whatever a publisher does meanwhile: bytes on a dead line are no sign of life.
        let mut turn = 0;
        let (_, took) = timed(|| {
            eventually!({
                hub.publish_text(&format!("s{}", turn % 30), "is anybody there?");
                turn += 1;
                hub.stats().live("connection") == 1
            })
        });
        println!("{STREAMS} streams behind a dead line were given up after {took:?}");
        assert!(took < IN_TIME, "{took:?}");
        assert_eq!(hub.stats().number("budget.owners.subscribers"), 0);
    });
}

/// One connection of a churn, in a manner drawn at random.
fn come_and_go(hub: &HubProcess, random: &mut fastrand::Rng) {
    let mut connection = RawConnection::connect(hub);
    let session = random.u8(0..20);
    let request = format!("GET /sessions/c{session}/events?replay=all HTTP/1.1\r\nHost: hub\r\n\r\n");
    // Any part of the request, and sometimes more than that.
    let part = random.usize(0..=request.len());
    let bytes = match random.u8(0..4) {
        0 => request.as_bytes()[..part].to_vec(),
        1 => [request.as_bytes(), &vec![b'x'; random.usize(0..2000)]].concat(),
        _ => request.into_bytes(),
    };
    let _ = connection.try_send(&bytes);
    if random.bool() {
        let _ = connection.read_some(Instant::now() + Duration::from_millis(random.u64(1..20)));
    }
    match random.u8(0..3) {
        0 => connection.reset(),
        1 => {
            // The hub may have been quicker.
            let _ = connection.socket().shutdown(std::net::Shutdown::Write);
        }
        _ => drop(connection),
    }
}

fn leak_class_d_tasks_timers_descriptors_and_gauges_are_back_exactly_after_a_churn(over: Transport) {
    const HALF: usize = 2500;
    let hub = HubProcess::builder(WATERTIGHT)
        .over(over)
        .flag("--head-timeout", "1s")
        .flag("--first-byte-timeout", "1s")
        .flag("--heartbeat-interval", "200ms")
        .flag("--log-level", "warn")
        .start();
    // Replay for those who come, so that many leave in the middle of it.
    let history = (0..20 * 30).map(|n| (format!("c{}", n % 20), "x".repeat(2000)));
    assert!(Pipeline::connect(&hub).publish(history).iter().all(|status| *status == 202));
    let start = eventually!(hub.stats(), |stats| stats.live("connection") == 1);
    let threads = hub.threads();
    let churn = || {
        std::thread::scope(|scope| {
            for worker in 0..2 {
                let hub = &hub;
                scope.spawn(move || {
                    let mut random = seeded(&format!("churn {worker}"));
                    (0..HALF / 2).for_each(|_| come_and_go(hub, &mut random));
                });
            }
        });
        eventually!(hub.stats(), |stats| stats.live("connection") == 1 && stats.live("request") == 1);
        eventually!(hub.process().anon(), |_| hub.sockets() <= 1)
    };
    let first = churn();
    let second = churn();
    let live = |stats: &Stats| {
        ["connection", "subscription", "session", "source", "timer", "task", "request"]
            .map(|kind| stats.live(kind))
    };
    let end = eventually!(hub.stats(), |stats| live(stats) == live(&start));
    assert!(end.ledger().counts("connection").opened >= 2 * HALF as u64);
    eventually!(hub.threads(), |now| *now == threads);
    for owner in ["subscribers", "requests", "frames", "sessions", "caches"] {
        let path = format!("budget.owners.{owner}");
        assert_eq!(end.number(&path), start.number(&path), "{owner}");
    }
    println!("memory after {HALF} connections: {first} bytes, after twice as many: {second}");
    assert!(second < first + (2 << 20), "{HALF} connections left {} bytes", second - first);
}

fn leak_class_e_a_hundred_thousand_names_and_keys_stop_at_their_caps_and_are_forgotten(over: Transport) {
    const NAMES: usize = 100_000;
    const SESSIONS: u64 = 15_000;
    const KEYS: usize = 5_000;
    let hub = HubProcess::builder(WATERTIGHT)
        .over(over)
        .flag("--max-sessions", SESSIONS)
        .flag("--max-idempotency-keys", KEYS)
        .flag("--session-ttl", "2s")
        .flag("--idempotency-ttl", "2s")
        .flag("--cleanup-interval", "200ms")
        .flag("--log-level", "warn")
        .start();
    let before = hub.process().anon();
    let series = |text: String| text.lines().filter(|line| !line.starts_with('#')).count();
    let known = series(hub.get("/metrics").text());
    let (mut sessions_max, mut caches_max) = (0, 0);
    // What the process holds and what it says that it holds, where they are furthest apart.
    let mut uncharged_max = 0;
    std::thread::scope(|scope| {
        let floods: Vec<_> = (0..2)
            .map(|half| {
                let hub = &hub;
                scope.spawn(move || {
                    let names = (half..NAMES).step_by(2);
                    let events = names.map(|n| {
                        (format!("name-{n}"), "x".to_owned(), format!("Idempotency-Key: key-{n}\r\n"))
                    });
                    let statuses = Pipeline::connect(hub).publish_with(events);
                    assert!(statuses.iter().all(|status| matches!(status, 202 | 503)));
                    statuses.iter().filter(|status| **status == 202).count()
                })
            })
            .collect();
        while !floods.iter().all(|flood| flood.is_finished()) {
            let stats = hub.stats();
            sessions_max = sessions_max.max(stats.number("totalSessions"));
            caches_max = caches_max.max(stats.number("budget.owners.caches"));
            let grown = hub.process().anon().saturating_sub(before);
            uncharged_max = uncharged_max.max(grown.saturating_sub(stats.used_bytes()));
            assert_eq!(series(hub.get("/metrics").text()), known);
        }
        let taken: usize = floods.into_iter().map(|flood| flood.join().unwrap()).sum();
        assert!(taken > KEYS, "{taken} of {NAMES} names were taken");
    });
    assert!(sessions_max <= SESSIONS, "{sessions_max} sessions");
    // An entry is less than a KiB.
    assert!(caches_max <= 1024 * KEYS as u64, "{caches_max} bytes of keys");
    println!("{caches_max} bytes of keys; at most {uncharged_max} bytes that nobody is charged for");
    // The requests under way, and what the allocator keeps.
    assert!(uncharged_max < 20 << 20, "{uncharged_max} bytes that nobody is charged for");
    let stats = eventually!(hub.stats(), |stats| {
        // By the ledger: a session that is not found any more may still be on its way out.
        stats.live("session") == 0 && stats.number("budget.owners.caches") == 0
    });
    assert_eq!(stats.number("totalSessions"), 0);
    assert_eq!(stats.kept_bytes(), 0, "{:?}", stats.json()["budget"]);
    // The allocator gives pages back a little later.
    let grown = || hub.process().anon().saturating_sub(before);
    eventually!(grown(), |bytes| *bytes < 8 << 20);
}

fn leak_class_e_the_process_holds_no_more_keys_than_are_remembered_whatever_is_charged_for_them(
    over: Transport,
) {
    const REMEMBERED: usize = 5_000;
    let hub = HubProcess::builder(WATERTIGHT)
        .over(over)
        .flag("--max-idempotency-keys", REMEMBERED)
        .flag("--idempotency-ttl", "10m")
        .flag("--log-level", "warn")
        .start();
    let mut pipeline = Pipeline::connect(&hub);
    // Keys as long as they may be.
    let mut flood = |keys: std::ops::Range<usize>| {
        let keys =
            keys.map(|n| ("demo".to_owned(), "x".to_owned(), format!("Idempotency-Key: {n:0>255}\r\n")));
        assert!(pipeline.publish_with(keys).iter().all(|status| *status == 202));
        (hub.process().anon(), hub.stats().number("budget.owners.caches"))
    };
    let (full, charged) = flood(0..2 * REMEMBERED);
    let (flooded, still_charged) = flood(2 * REMEMBERED..12 * REMEMBERED);
    let grown = flooded.saturating_sub(full);
    println!("{charged} bytes charged for {REMEMBERED} keys; ten times as many more: {grown} bytes more");
    // All of them would be 25 MB and more.
    assert!(grown < 6 << 20, "keys that are not remembered any more hold {grown} bytes");
    assert!(charged > 255 * REMEMBERED as u64 && still_charged <= charged, "{charged}, then {still_charged}");
}

fn leak_class_f_history_is_never_above_its_caps_at_any_instant_and_gone_after_its_time(over: Transport) {
    const SESSIONS: usize = 4;
    const EVENTS_MAX: u64 = 50;
    const BYTES_MAX: u64 = 64 << 10;
    let hub = HubProcess::builder(WATERTIGHT)
        .over(over)
        .flag("--max-history-per-session", EVENTS_MAX)
        .flag("--max-queue-size", EVENTS_MAX)
        .flag("--max-history-bytes-per-session", BYTES_MAX)
        .flag("--max-event-bytes", "16KiB")
        .flag("--event-ttl", "1s")
        .flag("--session-ttl", "1s")
        .flag("--cleanup-interval", "200ms")
        .start();
    let looks = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let publishers: Vec<_> = (0..3)
            .map(|publisher| {
                let (hub, looks) = (&hub, &looks);
                scope.spawn(move || {
                    let mut random = seeded(&format!("publisher {publisher}"));
                    let mut pipeline = Pipeline::connect(hub);
                    let mut published = 0;
                    // Until it was looked at often enough to mean something, too; not for ever if a look has failed.
                    while published < 6000 || (published < 600_000 && looks.load(Ordering::SeqCst) <= 50) {
                        let events = (0..1000).map(|_| {
                            let bytes = [1, 100, 3000, 12_000][random.usize(0..4)];
                            (format!("f{}", random.usize(0..SESSIONS)), "x".repeat(bytes))
                        });
                        assert!(pipeline.publish(events).iter().all(|status| *status == 202));
                        published += 1000;
                    }
                })
            })
            .collect();
        while !publishers.iter().all(|publisher| publisher.is_finished()) {
            for n in 0..SESSIONS {
                let session = hub.get(&format!("/sessions/f{n}")).json();
                let (Some(events), Some(bytes)) = (session["events"].as_u64(), session["bytes"].as_u64())
                else {
                    continue;
                };
                assert!(events <= EVENTS_MAX && bytes <= BYTES_MAX, "{session}");
                looks.fetch_add(1, Ordering::SeqCst);
            }
            let stats = hub.stats();
            // Beside what lies in logs: one frame per publisher, on its way in.
            let frames_max = SESSIONS as u64 * BYTES_MAX + 3 * (16 << 10);
            assert!(stats.number("budget.owners.frames") <= frames_max, "{:?}", stats.json()["budget"]);
            assert!(stats.number("totalEvents") <= SESSIONS as u64 * EVENTS_MAX + 3, "{stats:?}");
        }
    });
    // Published to once and never again.
    for n in 0..2000 {
        let _ = hub.client().post(format!("/sessions/once-{n}/events"), "text/plain", "x");
    }
    let stats = eventually!(hub.stats(), |stats| stats.live("session") == 0);
    let left = (stats.number("totalSessions"), stats.number("totalEvents"), stats.kept_bytes());
    assert_eq!(left, (0, 0, 0), "{:?}", stats.json()["budget"]);
}

/// Everything at once, on few names, until told to stop; each answer must come within [`PATIENCE`]. A hub that
/// is being stopped may refuse, or be gone.
fn stress(client: &Client, worker: usize, go_on: &AtomicBool, may_be_gone: bool) -> usize {
    let mut random = seeded(&format!("stress {worker}"));
    let mut streams: Vec<SseReader> = Vec::new();
    let mut turns = 0;
    while go_on.load(Ordering::SeqCst) {
        turns += 1;
        let name = random.u8(0..4);
        let path = format!("/sessions/h{name}/events");
        let sent = match random.u8(0..10) {
            0..4 => client.request("POST", path).header("Content-Type", "text/plain").body("x").try_send(),
            4 => client.request("DELETE", format!("/sessions/h{name}")).try_send(),
            5 => client
                .request("GET", format!("{path}?wait=0.05"))
                .header("Accept", "application/json")
                .try_send(),
            6 => client.request("GET", "/connections?limit=5").try_send().inspect(|answer| {
                if let Some(id) = serde_json::from_slice::<Value>(&answer.body)
                    .ok()
                    .and_then(|it| it["connections"][0]["id"].as_str().map(str::to_owned))
                {
                    let _ = client.request("DELETE", format!("/connections/{id}")).try_send();
                }
            }),
            7 => client.request("GET", ["/sessions", "/stats", "/metrics"][random.usize(0..3)]).try_send(),
            _ => {
                if streams.len() > 8 {
                    let gone = streams.swap_remove(random.usize(0..streams.len()));
                    if random.bool() { gone.reset() } else { drop(gone) }
                }
                match RawConnection::connect_with(client.address(), client.options()) {
                    Ok(mut connection) => {
                        let _ = connection
                            .try_send(format!("GET {path}?replay=all HTTP/1.1\r\nHost: hub\r\n\r\n"));
                        if !may_be_gone {
                            streams.push(SseReader::over(connection).unwrap());
                        }
                    }
                    Err(error) => assert!(may_be_gone, "{error}"),
                }
                continue;
            }
        };
        match sent {
            Ok(answer) => assert!(answer.status < 500 || answer.status == 503 && may_be_gone, "{answer:?}"),
            Err(error) => {
                assert!(may_be_gone, "{error}");
                return turns;
            }
        }
    }
    turns
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

fn leak_class_h_everything_at_once_never_stands_still(over: Transport) {
    let hub = HubProcess::builder(WATERTIGHT).over(over).flag("--log-level", "warn").start();
    let go_on = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let stop = Stop(&go_on);
        let (client, go_on) = (hub.client(), &go_on);
        let workers: Vec<_> =
            (0..6).map(|worker| scope.spawn(move || stress(client, worker, go_on, false))).collect();
        // A watchdog: someone who only wants to be answered.
        let until = Instant::now() + Duration::from_secs(4);
        while Instant::now() < until {
            let (_, took) = timed(|| hub.stats());
            assert!(took < SOON, "/stats took {took:?}");
        }
        drop(stop);
        let turns: Vec<usize> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
        println!("turns: {turns:?}");
        assert!(turns.iter().all(|turns| *turns > 20), "{turns:?}");
    });
    eventually!(hub.stats().live("subscription"), |live| *live == 0);
}

fn leak_class_h_a_stop_in_the_middle_of_everything_ends_in_time(over: Transport) {
    for _ in 0..3 {
        let mut hub = HubProcess::builder(WATERTIGHT)
            .over(over)
            .flag("--shutdown-grace", "3s")
            .flag("--log-level", "warn")
            .start();
        let go_on = AtomicBool::new(true);
        let client = hub.client().clone();
        std::thread::scope(|scope| {
            let _stop = Stop(&go_on);
            let (client, go_on) = (&client, &go_on);
            for worker in 0..6 {
                scope.spawn(move || stress(client, worker, go_on, true));
            }
            eventually!(hub.stats().ledger().counts("subscription").opened > 50);
            hub.signal(Signal::TERM);
            let (status, took) = timed(|| hub.wait(PATIENCE));
            assert!(status.success() && took < Duration::from_secs(3) + SOON, "{status} after {took:?}");
        });
        assert!(!hub.log().contains("panicked"), "{}", hub.log());
    }
}
