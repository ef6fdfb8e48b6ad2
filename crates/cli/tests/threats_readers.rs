//! Rows 7 and 8: readers that take nothing, or next to nothing, among readers that take everything.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::io::Read;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use watertight_testkit::{
    ConnectOptions, Crowd, End, HubBuilder, HubProcess, PATIENCE, RawConnection, Seen, SseItem, SseReader,
    Transport, both_transports, eventually, timed,
};
use watertight_wire::Item;

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

const PATH: &str = "/sessions/demo/events";

/// The write deadline where some never read: longer than a machine keeps those from reading who would. Much longer takes more
/// than it says: the kernel takes a little into what is left of a buffer, at growing intervals, and each time it begins anew.
const DEADLINE: &str = "2s";

both_transports!(
    threat_07_one_reader_that_never_reads_is_ended_and_nobody_notices,
    threat_07_a_crowd_that_never_reads_is_ended_and_nobody_notices,
);

fn hub(write_deadline: &str) -> HubBuilder {
    HubProcess::builder(WATERTIGHT)
        .flag("--write-deadline", write_deadline)
        .flag("--heartbeat-interval", "300ms")
        .flag("--send-buffer-bytes", "16KiB")
}

/// Ends what runs beside a test, also when that fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// Publishes numbered events of `bytes` bytes, one request each over one connection.
fn publish(hub: &HubProcess, count: usize, bytes: usize) {
    let mut connection = RawConnection::connect(hub);
    for n in 0..count {
        let data = format!("{n} {}", "x".repeat(bytes));
        let head = format!("POST {PATH} HTTP/1.1\r\nHost: hub\r\nContent-Type: text/plain\r\n");
        connection.send(format!("{head}Content-Length: {}\r\n\r\n{data}", data.len()));
        let _ = connection.read_response("POST").expect(202);
    }
}

fn number(data: &str) -> usize {
    data.split(' ').next().unwrap().parse().unwrap()
}

/// `stalled` of `all` subscribers never read, while `events` are published; the others see each event, once
/// and in order, and the stalled ones are ended by the write deadline.
fn some_never_read(hub: &HubProcess, all: usize, stalled: usize, events: usize) {
    let options = |index| match index < stalled {
        true => ConnectOptions::small_window(),
        false => ConnectOptions::default(),
    };
    let mut crowd = Crowd::open(hub, all, |index| (options(index), PATH.to_owned()));
    (0..stalled).for_each(|index| crowd.stall(index));
    let mut seen = vec![0; all];
    let mut missing = all - stalled;
    let ((), took) = timed(|| {
        std::thread::scope(|scope| {
            scope.spawn(|| publish(hub, events, 10_000));
            crowd.read_until(Duration::from_secs(180), |index, what| {
                match what {
                    Seen::Item(Item::Event { data, event_type, .. }) => {
                        assert_eq!((event_type, number(data)), ("message", seen[index]), "reader {index}");
                        seen[index] += 1;
                        missing -= usize::from(seen[index] == events);
                    }
                    Seen::Item(_) => {}
                    Seen::End(end) => panic!("reader {index} was ended: {end:?}"),
                }
                if missing == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
        });
    });
    println!("{events} events to {} good and {stalled} stalled readers took {took:?}", all - stalled);
    let stats = eventually!(hub.stats(), |stats| stats.live("subscription") == (all - stalled) as u64);
    assert_eq!(stats.number("metrics.slowConsumers"), stalled as u64);
    for index in 0..stalled {
        crowd.resume(index);
    }
    let mut ended = 0;
    crowd.read_until(PATIENCE, |index, what| {
        if let Seen::End(end) = what {
            assert!(index < stalled, "reader {index} was ended: {end:?}");
            assert_ne!(end, End::Complete, "what a stalled reader did not take is not thrown away");
            ended += 1;
        }
        if ended == stalled { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
}

fn threat_07_one_reader_that_never_reads_is_ended_and_nobody_notices(over: Transport) {
    some_never_read(&hub(DEADLINE).over(over).start(), 20, 1, 300);
}

fn threat_07_a_crowd_that_never_reads_is_ended_and_nobody_notices(over: Transport) {
    let hub = hub(DEADLINE).over(over).start();
    let before = hub.process().anon();
    let go_on = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let stop = Stop(&go_on);
        let peak = scope.spawn(|| {
            let mut peak = before;
            while go_on.load(Ordering::SeqCst) {
                peak = peak.max(hub.process().anon());
                assert!(hub.stats().number("budget.owners.frames") <= 9 << 20);
                std::thread::sleep(Duration::from_millis(10));
            }
            peak
        });
        some_never_read(&hub, 200, 80, 1000);
        drop(stop);
        let grown = peak.join().unwrap() - before;
        assert!(grown < 32 << 20, "80 stalled readers made the hub grow by {grown} bytes");
    });
}

/// Reads `bytes` every `pause` until told to stop or ended; returns how much it got.
fn drip(stream: SseReader, bytes: usize, pause: Duration, go_on: &AtomicBool) -> usize {
    let mut stream = stream;
    let mut socket = stream.connection().socket();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let (mut buffer, mut got) = (vec![0; bytes], 0);
    while go_on.load(Ordering::SeqCst) {
        match socket.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => got += count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        // What makes it a dripper.
        std::thread::sleep(pause);
    }
    got
}

#[test]
fn threat_08_a_reader_that_takes_a_byte_now_and_then_is_closed() {
    let hub = hub(DEADLINE).start();
    let mut good = hub.subscribe("demo");
    let small = ConnectOptions::small_window();
    let dripper = SseReader::open_with(hub.address(), PATH, &[], &small).unwrap();
    let go_on = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let stop = Stop(&go_on);
        let dripping = scope.spawn(|| drip(dripper, 1, Duration::from_millis(20), &go_on));
        scope.spawn(|| publish(&hub, 200, 10_000));
        for n in 0..200 {
            assert_eq!(number(&good.next_event().data), n);
        }
        eventually!(hub.stats().live("subscription") == 1);
        drop(stop);
        let got = dripping.join().unwrap();
        assert!(got < 100_000, "the dripper got {got} bytes");
    });
    assert_eq!(hub.stats().number("metrics.slowConsumers"), 1);
}

#[test]
fn threat_08_a_dripper_that_is_never_quite_stalled_does_not_hold_up_the_others() {
    const EVENTS: usize = 400;
    let hub = hub("10s").flag("--max-queue-size", 100).flag("--max-history-per-session", 100).start();
    let mut good = hub.subscribe("demo");
    let small = ConnectOptions::small_window();
    let dripper = SseReader::open_with(hub.address(), PATH, &[], &small).unwrap();
    let go_on = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let stop = Stop(&go_on);
        scope.spawn(|| drip(dripper, 4000, Duration::from_millis(100), &go_on));
        let publishing = scope.spawn(|| timed(|| publish(&hub, EVENTS, 2_000)).1);
        for n in 0..EVENTS {
            assert_eq!(number(&good.next_event().data), n);
        }
        drop(stop);
        let took = publishing.join().unwrap();
        println!("{EVENTS} publishes beside a dripper took {took:?}");
        assert!(took < Duration::from_secs(10), "one dripper slowed {EVENTS} publishes down to {took:?}");
    });
}

#[test]
fn threat_08_a_dripper_does_not_hold_up_whole_batches_either() {
    const BATCHES: usize = 6;
    let hub = hub("10s").flag("--max-queue-size", 100).flag("--max-history-per-session", 100).start();
    let mut good = hub.subscribe("demo");
    let small = ConnectOptions::small_window();
    let dripper = SseReader::open_with(hub.address(), PATH, &[], &small).unwrap();
    let filler = "x".repeat(2_000);
    let batches = (0..BATCHES).map(|batch| {
        let lines = (0..100).map(|n| format!("{{\"data\":\"{} {filler}\"}}\n", 100 * batch + n));
        lines.collect::<String>()
    });
    let batches: Vec<String> = batches.collect();
    let go_on = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let stop = Stop(&go_on);
        scope.spawn(|| drip(dripper, 4000, Duration::from_millis(100), &go_on));
        let publishing = scope.spawn(|| {
            let publish = |body: &String| hub.client().post(PATH, "application/x-ndjson", body).expect(202);
            timed(|| batches.iter().for_each(|body| drop(publish(body)))).1
        });
        for n in 0..100 * BATCHES {
            assert!(good.next_event().data.starts_with(&format!("\"{n} ")), "event {n}");
        }
        drop(stop);
        let took = publishing.join().unwrap();
        println!("{BATCHES} batches beside a dripper took {took:?}");
        assert!(took < Duration::from_secs(10), "one dripper slowed {BATCHES} batches down to {took:?}");
    });
}

#[test]
fn threat_08_whoever_reads_again_after_dripping_is_told_what_it_missed() {
    const EVENTS: usize = 2000;
    let hub = hub("20s").flag("--max-queue-size", 100).flag("--max-history-per-session", 50).start();
    let small = ConnectOptions::small_window();
    let mut slow = SseReader::open_with(hub.address(), PATH, &[], &small).unwrap();
    publish(&hub, EVENTS, 1_000);
    assert!(hub.stats().number("budget.owners.frames") < 1 << 20);
    let (mut next, mut missed) = (0, 0);
    let deadline = Instant::now() + PATIENCE;
    while next < EVENTS {
        match slow.try_next(deadline.saturating_duration_since(Instant::now())) {
            Some(SseItem::Event(event)) if event.event_type == "gap" => {
                let gap = watertight_testkit::Gap::of(&event);
                assert!(["lagged", "evicted"].contains(&gap.reason.as_str()), "{gap:?}");
                let count = usize::try_from(gap.missed.unwrap()).unwrap();
                missed += count;
                next += count;
            }
            Some(SseItem::Event(event)) => {
                assert_eq!(number(&event.data), next, "after {missed} missed");
                next += 1;
            }
            Some(SseItem::Comment(_) | SseItem::Retry(_)) => {}
            other => panic!("after {next} events: {other:?}"),
        }
    }
    assert!(missed > 0, "nothing was missed, so nothing was proved");
}
