//! Row 34: memory pressure. The ladder acts in its order, the charged bytes never pass the threshold, and
//! everything comes back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use watertight_testkit::http2::{Frame, INITIAL_WINDOW_SIZE};
use watertight_testkit::{
    ConnectOptions, End, Http2, HubBuilder, HubProcess, Pipeline, SseItem, SseReader, Stats, eventually,
};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

const MIB: u64 = 1 << 20;

const CRITICAL: u64 = 24 * MIB;

fn hub() -> HubBuilder {
    HubProcess::builder(WATERTIGHT)
        .flag("--memory-warning-threshold-mb", 16)
        .flag("--memory-critical-threshold-mb", 24)
        .flag("--max-history-bytes-per-session", "20MiB")
        .flag("--max-history-per-session", 100_000)
        .flag("--max-queue-size", 100_000)
        .flag("--max-body-bytes", "1MiB")
}

/// The rungs in their order.
const RUNGS: [&str; 6] = ["normal", "warning", "shed_history", "no_replay", "no_newcomers", "close_laggards"];

/// What was seen while a hub was under pressure.
#[derive(Debug, Default)]
struct Seen {
    /// Rungs in the order in which they were first seen.
    rungs: Vec<usize>,
    used_max: u64,
    observed_max: u64,
    not_ready: usize,
    newcomers_refused: usize,
}

impl Seen {
    fn look(&mut self, hub: &HubProcess) -> usize {
        let stats = hub.stats();
        let rung = rung_of(&stats);
        if !self.rungs.contains(&rung) {
            self.rungs.push(rung);
        }
        self.used_max = self.used_max.max(stats.used_bytes());
        self.observed_max = self.observed_max.max(stats.number("budget.observedBytes"));
        let ready = hub.get("/health/ready");
        if ready.status == 503 {
            ready.expect_problem(503, "OVERLOADED");
            self.not_ready += 1;
        }
        // A newcomer that is not here to stay.
        let newcomer = hub.client().request("GET", "/sessions/newcomer/events?wait=0");
        let newcomer = newcomer.header("Accept", "application/json").send();
        if newcomer.status != 200 {
            newcomer.expect_problem(503, "OVERLOADED");
            self.newcomers_refused += 1;
        }
        rung
    }
}

/// The rungs that the hub has told of in its log, in their order: a look at its figures may miss one.
fn logged_rungs(hub: &HubProcess) -> Vec<usize> {
    let log = hub.log();
    let changes = log.lines().filter(|line| line.contains("memory pressure "));
    let names =
        changes.filter_map(|line| line.split_once("rung=\"")?.1.split_once('"').map(|(name, _)| name));
    names.map(rung_called).collect()
}

fn rung_of(stats: &Stats) -> usize {
    rung_called(stats.json()["budget"]["level"].as_str().unwrap())
}

fn rung_called(name: &str) -> usize {
    RUNGS.iter().position(|rung| *rung == name).unwrap_or_else(|| panic!("no rung is called {name}"))
}

/// Publishes 10 KB events to sessions of this name until told to stop; every answer is 202 or 503.
fn flood(hub: &HubProcess, name: &str, sessions: usize, go_on: &AtomicBool) -> (usize, usize) {
    let mut pipeline = Pipeline::connect(hub.address());
    let data = "x".repeat(10_000);
    let (mut taken, mut refused) = (0, 0);
    while go_on.load(Ordering::SeqCst) {
        let events = (0..sessions).map(|n| (format!("{name}-{n}"), data.clone()));
        for status in pipeline.press(events) {
            match status {
                202 => taken += 1,
                503 => refused += 1,
                other => panic!("{other} under memory pressure"),
            }
        }
    }
    (taken, refused)
}

/// Ends a flood, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

fn assert_recovered(hub: &HubProcess) {
    eventually!(rung_of(&hub.stats()) <= 1);
    eventually!(hub.get("/health/ready").status == 200);
    let mut stream = hub.subscribe("afterwards");
    let id = hub.publish_text("afterwards", "x");
    assert_eq!(stream.next_event().id, id);
}

#[test]
fn threat_34_history_is_let_go_before_memory_runs_out_and_readers_notice_nothing() {
    let hub = hub().start();
    let mut reader = hub.subscribe("reader");
    let go_on = AtomicBool::new(true);
    let mut seen = Seen::default();
    let mut read = 0;
    std::thread::scope(|scope| {
        let stop = Stop(&go_on);
        let floods = ["a", "b"].map(|name| scope.spawn(|| flood(&hub, name, 60, &go_on)));
        eventually!({
            seen.look(&hub);
            // A publisher that is refused tries again; a reader that is in stays in.
            let data = read.to_string();
            if hub.client().post("/sessions/reader/events", "text/plain", &data).status == 202 {
                assert_eq!(reader.next_event().data, data);
                read += 1;
            }
            hub.stats().number("metrics.eventsShed") > 1000 && seen.not_ready > 0 && read > 50
        });
        drop(stop);
        let figures = floods.map(|flood| flood.join().unwrap());
        println!("taken and refused: {figures:?}; {seen:?}");
        assert!(figures.iter().all(|(taken, _)| *taken > 1000), "{figures:?}");
    });
    assert!(seen.used_max <= CRITICAL, "{seen:?}");
    assert!(seen.observed_max < CRITICAL + 16 * MIB, "{seen:?}");
    assert!(hub.log().contains("memory pressure rises"), "{}", hub.log());
    assert_recovered(&hub);
    assert!(hub.log().contains("memory pressure falls"), "{}", hub.log());
}

#[test]
fn threat_34_the_ladder_is_climbed_rung_by_rung_up_to_the_laggards_and_left_again() {
    let hub = hub().flag("--write-deadline", "10m").flag("--half-open-timeout", "10m").start();
    let mut reader = hub.subscribe("reader");
    // Holds 19 MB of history: it has read none of it, and nobody else may let it go.
    let small = ConnectOptions::small_window();
    let mut laggard = SseReader::open_with(hub.address(), "/sessions/held/events", &[], &small).unwrap();
    let data = "x".repeat(10_000);
    let statuses =
        Pipeline::connect(hub.address()).publish((0..1900).map(|_| ("held".to_owned(), data.clone())));
    assert!(statuses.iter().all(|status| *status == 202));
    let go_on = AtomicBool::new(true);
    let mut seen = Seen::default();
    std::thread::scope(|scope| {
        let stop = Stop(&go_on);
        let floods = ["a", "b"].map(|name| scope.spawn(|| flood(&hub, name, 60, &go_on)));
        eventually!({
            seen.look(&hub);
            hub.stats().number("metrics.slowConsumers") == 1
        });
        drop(stop);
        let figures = floods.map(|flood| flood.join().unwrap());
        println!("taken and refused: {figures:?}; {seen:?}");
    });
    // One rung at a time, up and down; warning is no measure, and may be passed over on the way up.
    let rungs = eventually!(logged_rungs(&hub), |rungs| rungs.contains(&5));
    let mut steps = std::iter::once(0).chain(rungs.iter().copied()).zip(rungs.iter().copied());
    let in_order = steps.all(|(from, to)| from.abs_diff(to) == 1 || (from, to) == (0, 2));
    assert!(in_order, "out of order: {rungs:?}; {seen:?}");
    assert!(seen.used_max <= CRITICAL, "{seen:?}");
    assert!(seen.not_ready > 0 && seen.newcomers_refused > 0, "{seen:?}");
    // The laggard is told, or cut off where it does not even take that; the reader stays.
    let end = loop {
        match laggard.next_item() {
            SseItem::End(end) => break end,
            SseItem::Event(event) if event.event_type == "error" => {
                assert!(event.data.contains("SLOW_CONSUMER"), "{event:?}");
            }
            _ => {}
        }
    };
    assert!(matches!(end, End::Complete | End::Reset | End::Closed), "{end:?}");
    assert_recovered(&hub);
    hub.publish_text("reader", "still here");
    assert_eq!(reader.next_event().data, "still here");
    reader.expect_silence(Duration::from_millis(50));
}

#[test]
fn threat_34_history_that_many_readers_once_replayed_is_let_go_and_newcomers_are_taken_again() {
    const SESSIONS: usize = 100;
    const EVENTS: usize = 15;
    let hub = hub().flag("--event-ttl", 0).start();
    let data = "x".repeat(10_000);
    let history = (0..SESSIONS * EVENTS).map(|n| (format!("read-{}", n % SESSIONS), data.clone()));
    let statuses = Pipeline::connect(hub.address()).publish(history);
    assert!(statuses.iter().all(|status| *status == 202));
    // Each replays all there is, catches up, and stays.
    let mut readers: Vec<_> = (0..SESSIONS)
        .map(|n| {
            let mut reader = hub.subscribe_with(&format!("read-{n}"), "replay=all", &[]);
            assert_eq!(reader.next_data(EVENTS).len(), EVENTS);
            reader
        })
        .collect();
    // Half of them in company: the others of the group have caught up, too, when one leaves.
    for n in 0..SESSIONS / 2 {
        hub.subscribe_with(&format!("read-{n}"), "replay=all", &[]).next_data(1);
    }
    assert!(hub.stats().used_bytes() > 14 * MIB, "{}", hub.stats().used_bytes());
    let go_on = AtomicBool::new(true);
    let mut seen = Seen::default();
    std::thread::scope(|scope| {
        let stop = Stop(&go_on);
        let floods = ["a", "b"].map(|name| scope.spawn(|| flood(&hub, name, 30, &go_on)));
        eventually!({
            seen.look(&hub);
            let held = |n| hub.get(&format!("/sessions/read-{n}")).json()["events"].as_u64().unwrap();
            seen.rungs.iter().any(|rung| *rung >= 2) && (0..SESSIONS).all(|n| held(n) == 0)
        });
        drop(stop);
        let figures = floods.map(|flood| flood.join().unwrap());
        println!("taken and refused: {figures:?}; {seen:?}");
    });
    assert!(seen.used_max <= CRITICAL, "{seen:?}");
    assert_recovered(&hub);
    assert_eq!(hub.stats().number("metrics.slowConsumers"), 0, "nobody was behind");
    // They are there still, and have missed nothing.
    for (n, reader) in readers.iter_mut().enumerate() {
        let id = hub.publish_text(&format!("read-{n}"), "after");
        assert_eq!((reader.next_event().id, reader.last_event_id()), (id.clone(), id.as_str()));
    }
}

#[test]
fn threat_34_a_laggard_that_is_no_plain_socket_holds_no_memory_either() {
    let hub = hub().flag("--write-deadline", "10m").flag("--half-open-timeout", "10m").start();
    // Streams of HTTP/2 without a window, each at the beginning of 19 MB.
    let mut laggard = Http2::connect(hub.address(), &[(INITIAL_WINDOW_SIZE, 0)]);
    let path = "/sessions/held/events";
    laggard.send(&[Frame::get(1, path), Frame::get(3, path)]).unwrap();
    eventually!(hub.stats().live("subscription") == 2);
    let data = "x".repeat(10_000);
    let events = (0..1900).map(|_| ("held".to_owned(), data.clone()));
    assert!(Pipeline::connect(hub.address()).publish(events).iter().all(|status| *status == 202));
    let go_on = AtomicBool::new(true);
    let mut seen = Seen::default();
    std::thread::scope(|scope| {
        let _stop = Stop(&go_on);
        scope.spawn(|| flood(&hub, "a", 120, &go_on));
        eventually!({
            seen.look(&hub);
            hub.get("/sessions/held").json()["events"].as_u64().unwrap() < 1000
        });
    });
    eventually!(logged_rungs(&hub), |rungs| rungs.contains(&5));
    assert!(seen.used_max <= CRITICAL, "{seen:?}");
    assert_eq!(hub.stats().number("metrics.slowConsumers"), 2);
    assert_recovered(&hub);
}

#[test]
fn threat_34_sessions_and_bodies_are_refused_when_memory_is_gone_and_taken_again_afterwards() {
    // They live longer than it takes to fill the budget with them, and what follows waits until they are gone.
    const TTL: Duration = Duration::from_secs(20);
    const GONE: Duration = Duration::from_secs(60);
    let hub = hub().flag("--session-ttl", TTL.as_secs()).flag("--cleanup-interval", "200ms").start();
    let mut reader = hub.subscribe("reader");
    let go_on = AtomicBool::new(true);
    // Sessions can not be let go like history; their names fill the budget until they expire.
    let name = "n".repeat(200);
    let refused = std::thread::scope(|scope| {
        let _stop = Stop(&go_on);
        let flood = |from: usize| {
            let mut pipeline = Pipeline::connect(hub.address());
            let names = (from..200_000).step_by(2).map(|n| format!("{name}{n}"));
            let mut refused = 0;
            for name in names.take_while(|_| go_on.load(Ordering::SeqCst)) {
                let statuses = pipeline.press([(name, "x".to_owned())]);
                assert!(statuses.iter().all(|status| matches!(status, 202 | 503)), "{statuses:?}");
                refused += usize::from(statuses == [503]);
                if refused > 100 {
                    break;
                }
            }
            refused
        };
        let other = scope.spawn(move || flood(1));
        flood(0) + other.join().unwrap()
    });
    assert!(refused > 100, "{refused} refused");
    assert!(hub.stats().used_bytes() <= CRITICAL);
    // Whoever is in goes on: its session is there, and events recycle its own history.
    let publish = || hub.client().post("/sessions/reader/events", "text/plain", "still here");
    eventually!(publish().status == 202, GONE);
    assert_eq!(reader.next_event().data, "still here");
    eventually!(hub.stats().number("totalSessions") == 1, GONE);
    assert_recovered(&hub);
}
