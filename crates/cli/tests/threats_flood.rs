//! Rows 9 and 11: more connections than there is room for, and than there are descriptors.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use watertight_testkit::{
    Client, ConnectOptions, HubProcess, PATIENCE, RawConnection, Response, Stats, eventually, timed,
};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

/// A connection that was there before the flood and stays: it asks and publishes when nobody else can.
struct Old(RawConnection);

impl Old {
    fn connect(hub: &HubProcess) -> Old {
        let mut old = Old(RawConnection::connect(hub.address()));
        old.stats();
        old
    }

    fn ask(&mut self, request: impl AsRef<[u8]>) -> Response {
        self.0.send(request);
        self.0.read_response("GET")
    }

    fn stats(&mut self) -> Stats {
        Stats::new(self.ask("GET /stats HTTP/1.1\r\nHost: hub\r\n\r\n").expect(200).json())
    }

    fn publish(&mut self, data: &str) {
        let head = "POST /sessions/demo/events HTTP/1.1\r\nHost: hub\r\nContent-Type: text/plain\r\n";
        let _ = self.ask(format!("{head}Content-Length: {}\r\n\r\n{data}", data.len())).expect(202);
    }
}

fn from(third: u8, fourth: u8) -> ConnectOptions {
    ConnectOptions::from_address([0, third, fourth])
}

/// Opens connections from this address that say nothing.
fn hold(hub: &HubProcess, options: &ConnectOptions, count: usize) -> Vec<RawConnection> {
    (0..count).map(|_| RawConnection::connect_with(hub.address(), options).unwrap()).collect()
}

/// Connects and asks; the answer, if there is one.
fn ask(hub: &HubProcess, options: &ConnectOptions) -> std::io::Result<Response> {
    Client::with_options(hub.address(), options.clone()).request("GET", "/stats").try_send()
}

fn refused_politely(hub: &HubProcess, options: &ConnectOptions, status: u16) {
    let answer = ask(hub, options).expect("a refusal that says so");
    let problem = answer.expect_problem(status, "TOO_MANY_CONNECTIONS");
    assert!(problem["detail"].as_str().unwrap().contains("connections"), "{problem}");
}

#[test]
fn threat_09_one_address_gets_its_share_and_no_more() {
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--max-connections", 400)
        .flag("--max-connections-per-address", 50)
        .start();
    let mut old = Old::connect(&hub);
    let mut stream = hub.subscribe("demo");
    let greedy = from(1, 1);
    let held = hold(&hub, &greedy, 50);
    eventually!(old.stats().live("connection"), |live| *live == 52);
    for _ in 0..20 {
        refused_politely(&hub, &greedy, 429);
    }
    // Everybody else is served.
    let neighbour = ask(&hub, &from(1, 2)).unwrap();
    let _ = neighbour.expect(200);
    old.publish("still here");
    assert_eq!(stream.next_event().data, "still here");
    assert_eq!(old.stats().number("metrics.connectionsRefused"), 20);
    // A connection that is closed makes room for another.
    drop(held);
    eventually!(ask(&hub, &greedy).is_ok_and(|answer| answer.status == 200));
}

#[test]
fn threat_09_a_full_hub_refuses_newcomers_and_evicts_nobody() {
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--max-connections", 300)
        .flag("--max-connections-per-address", 40)
        .start();
    let mut old = Old::connect(&hub);
    let mut streams: Vec<_> = (0..20).map(|_| hub.subscribe("demo")).collect();
    let held: Vec<_> = (0..14).flat_map(|last| hold(&hub, &from(2, last), 20)).collect();
    eventually!(old.stats().live("connection"), |live| *live == 300 || *live == 299);
    let _full = hold(&hub, &from(2, 99), 1);
    eventually!(old.stats().live("connection"), |live| *live == 300);
    for last in 0..20 {
        refused_politely(&hub, &from(3, last), 503);
    }
    old.publish("still here");
    for stream in &mut streams {
        assert_eq!(stream.next_event().data, "still here");
    }
    drop(held);
    eventually!(ask(&hub, &from(3, 1)).is_ok_and(|answer| answer.status == 200));
}

#[test]
fn threat_09_a_flood_passes_by_those_who_are_there() {
    const FLOOD: usize = 3000;
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--max-connections", 200)
        .flag("--max-connections-per-address", 100)
        .flag("--first-byte-timeout", "1s")
        .start();
    let mut old = Old::connect(&hub);
    let mut stream = hub.subscribe("demo");
    let before = hub.process().anon();
    std::thread::scope(|scope| {
        let floods: Vec<_> = (0..3)
            .map(|third| {
                let hub = &hub;
                scope.spawn(move || {
                    for n in 0..FLOOD / 3 {
                        let mut connection =
                            RawConnection::connect_with(hub.address(), &from(10 + third, (n % 50) as u8))
                                .unwrap();
                        // Silent, half a head, a whole one; then gone, gently or not.
                        let bytes: &[u8] =
                            [&b""[..], b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"][n % 3];
                        let _ = connection.try_send(bytes);
                        if n % 2 == 0 { connection.reset() } else { drop(connection) }
                    }
                })
            })
            .collect();
        let mut worst = Duration::ZERO;
        let mut probes = 0;
        while !floods.iter().all(|flood| flood.is_finished()) || probes == 0 {
            let text = probes.to_string();
            let ((), took) = timed(|| {
                old.publish(&text);
                assert_eq!(stream.next_event().data, text);
            });
            worst = worst.max(took);
            probes += 1;
        }
        println!("{probes} probes during the flood, the slowest took {worst:?}");
        // The alternative is to wait for the flood's end, or for connections that are silent (10 s each).
        assert!(worst < Duration::from_secs(10), "a publish took {worst:?} during the flood");
    });
    eventually!(ask(&hub, &from(11, 1)).is_ok_and(|answer| answer.status == 200));
    eventually!(old.stats().live("connection"), |live| *live == 2);
    let grown = hub.process().anon().saturating_sub(before);
    assert!(grown < 32 << 20, "the flood left {grown} bytes");
    hub.get("/health/ready").expect(200);
}

#[test]
fn threat_11_running_out_of_descriptors_pauses_accepting_and_neither_ends_nor_spins() {
    let hub = HubProcess::builder(WATERTIGHT)
        .open_files(64)
        .flag("--max-connections", 1000)
        .flag("--first-byte-timeout", "10m")
        .start();
    assert!(hub.log().contains("more than the limit on open files leaves"), "{}", hub.log());
    let mut old = Old::connect(&hub);
    let mut stream = hub.subscribe("demo");
    let flood = hold(&hub, &ConnectOptions::default(), 150);
    eventually!(hub.log().contains("cannot accept a connection"));
    assert!(hub.fds() >= 64, "it pauses only when there is really none left");

    let begun = Instant::now();
    let (cpu, pauses) = (hub.cpu_time(), hub.log().matches("cannot accept").count());
    let mut published = 0;
    while begun.elapsed() < Duration::from_secs(2) {
        old.publish(&published.to_string());
        assert_eq!(stream.next_event().data, published.to_string());
        published += 1;
        // Nothing more comes: the pause between two probes.
        stream.expect_silence(Duration::from_millis(100));
    }
    let (used, pauses) = (hub.cpu_time() - cpu, hub.log().matches("cannot accept").count() - pauses);
    let took = begun.elapsed();
    assert!(used < took / 4, "{used:?} of CPU in {took:?} of doing nothing");
    assert!((pauses as u128) < took.as_millis() / 100, "{pauses} tries in {took:?}");

    // Descriptors are freed: those who waited in the kernel's queue are gone, newcomers are served at once.
    drop(flood);
    let (_, took) =
        timed(|| eventually!(ask(&hub, &ConnectOptions::default()).is_ok_and(|it| it.status == 200)));
    assert!(took < Duration::from_secs(10), "{took:?} until a newcomer was served");
    eventually!(old.stats().live("connection"), |live| *live == 2);
}

#[test]
fn threat_11_a_newcomer_that_waits_out_a_shortage_is_served() {
    let hub = HubProcess::builder(WATERTIGHT)
        .open_files(64)
        .flag("--max-connections", 1000)
        .flag("--first-byte-timeout", "1s")
        .start();
    let flood = hold(&hub, &ConnectOptions::default(), 100);
    eventually!(hub.log().contains("cannot accept a connection"));
    let mut patient = RawConnection::connect(hub.address());
    patient.send("GET /health/live HTTP/1.1\r\nHost: hub\r\n\r\n");
    // The silent ones are closed at their deadline, and the pause ends by itself.
    let _ = patient.read_response("GET").expect(200);
    for mut connection in flood {
        let end = connection.read_some(Instant::now() + PATIENCE);
        assert!(end.as_ref().is_ok_and(|bytes| bytes.is_empty()) || is_reset(&end), "{end:?}");
    }
}

fn is_reset(result: &std::io::Result<Vec<u8>>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}
