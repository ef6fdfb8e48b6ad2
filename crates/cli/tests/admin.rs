//! `admin_listen`: what is for operators, on a listener of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use watertight_testkit::{
    Client, ConnectOptions, HubBuilder, HubProcess, PATIENCE, RawConnection, Signal, SseReader, Stats,
    eventually, free_address, timed,
};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

/// A hub whose figures are on an address of their own, so that they are looked at here.
struct Operated {
    hub: HubProcess,
    admin: Client,
}

impl Operated {
    fn start(builder: HubBuilder) -> Operated {
        let admin = free_address();
        let hub = builder.flag("--admin-listen", admin).unbalanced().start();
        Operated { hub, admin: Client::new(admin) }
    }

    fn stats(&self) -> Stats {
        Stats::new(self.admin.get("/stats").expect(200).json())
    }
}

#[test]
fn what_is_for_operators_is_served_on_their_address_and_on_no_other() {
    let Operated { hub, admin } = Operated::start(HubProcess::builder(WATERTIGHT));
    hub.publish_text("demo", "hello");
    let mut reader = hub.subscribe("demo");
    for path in ["/stats", "/metrics", "/connections", "/sessions", "/sessions/demo", "/sources"] {
        hub.get(path).expect_problem(404, "NOT_FOUND");
        let _ = admin.get(path).expect(200);
    }
    for path in ["/sessions/demo/events", "/openapi.json"] {
        admin.get(path).expect_problem(404, "NOT_FOUND");
    }
    // The dashboard alone is at both.
    assert_eq!(admin.get("/").expect(200).body, hub.get("/").expect(200).body);
    for path in ["/health/live", "/health/ready"] {
        let _ = (hub.get(path).expect(200), admin.get(path).expect(200));
    }
    hub.get("/stats/stream").expect_problem(404, "NOT_FOUND");
    let mut figures = SseReader::open(admin.address(), "/stats/stream", &[]);
    assert_eq!(figures.next_event().event_type, "stats");
    drop(figures);
    let connections = admin.get("/connections").json();
    let id = connections["connections"][0]["id"].as_str().unwrap().to_owned();
    hub.client().delete(format!("/connections/{id}")).expect_problem(404, "NOT_FOUND");
    hub.client().delete("/sessions/demo").expect_problem(404, "NOT_FOUND");
    hub.client().post("/sessions/demo/end", "application/json", "").expect_problem(404, "NOT_FOUND");
    hub.publish_text("demo", "still here");
    assert_eq!(reader.next_event().data, "still here");
    let _ = admin.delete(format!("/connections/{id}")).expect(204);
    assert!(reader.next_event().data.contains("DISCONNECTED"));
    let _ = admin.post("/sessions/demo/end", "application/json", "").expect(200);
    let _ = admin.delete("/sessions/demo").expect(204);
}

#[test]
fn a_full_public_side_never_blocks_operators() {
    let builder = HubProcess::builder(WATERTIGHT)
        .flag("--max-connections", 10)
        .flag("--max-requests-in-flight", 2)
        .flag("--first-byte-timeout", "10m");
    let operated = Operated::start(builder);
    let hub = &operated.hub;
    let unfinished = || {
        let mut connection = RawConnection::connect(hub.address());
        let head = "POST /sessions/demo/events HTTP/1.1\r\nHost: hub\r\nContent-Type: text/plain\r\n";
        connection.send(format!("{head}Content-Length: 10\r\n\r\nx"));
        connection
    };
    let held: Vec<_> = (0..10).map(|_| unfinished()).collect();
    eventually!(operated.stats().live("connection"), |live| *live >= 11);
    for _ in 0..20 {
        let (stats, took) = timed(|| operated.stats());
        // Whoever waits for a permit of the public side waits for 10 s.
        assert!(took < Duration::from_secs(8), "{took:?}");
        assert!(stats.live("connection") >= 11, "{:?}", stats.ledger());
    }
    // Nor does a full side of operators block the public.
    drop(held);
    let at_admin: Vec<_> = (0..80)
        .map(|_| {
            let to = operated.admin.address();
            RawConnection::connect_with(to, &ConnectOptions::default()).unwrap()
        })
        .collect();
    eventually!(
        hub.client()
            .request("POST", "/sessions/demo/events")
            .header("Content-Type", "text/plain")
            .body("x")
            .try_send()
            .is_ok_and(|answer| answer.status == 202)
    );
    drop(at_admin);
    // Until the hub has noticed that they left, their side is full and says so.
    eventually!(operated.admin.get("/stats").status == 200);
    eventually!(operated.stats().live("connection") == 1);
}

#[test]
fn both_listeners_stop_together_and_readers_are_told() {
    let Operated { mut hub, admin } = Operated::start(HubProcess::builder(WATERTIGHT));
    let mut reader = hub.subscribe("demo");
    let _ = admin.get("/stats").expect(200);
    hub.signal(Signal::TERM);
    assert!(reader.next_event().data.contains("SHUTTING_DOWN"));
    drop(reader);
    assert!(hub.wait(PATIENCE).success(), "{}", hub.log());
    for address in [hub.address(), admin.address()] {
        assert!(TcpStream::connect(address).is_err(), "{address} still listens");
    }
}

#[test]
fn an_address_that_is_taken_names_the_flag_that_sets_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (status, log) = HubProcess::builder(WATERTIGHT).flag("--admin-listen", address).run_to_end();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains(&format!("cannot listen on {address}")) && log.contains("--admin-listen"), "{log}");
}

#[test]
fn an_address_for_operators_that_is_open_or_no_other_is_refused_at_start() {
    for (flags, expected) in [
        (vec![("--admin-listen", "0.0.0.0:9090")], "must be a loopback address"),
        (
            vec![("--admin-listen", "127.0.0.1:9090"), ("--listen", "127.0.0.1:9090")],
            "must be another address",
        ),
        (vec![("--admin-listen", "9090")], "not an IP address and a port"),
    ] {
        let builder = HubProcess::builder(WATERTIGHT);
        let builder = flags.iter().fold(builder, |builder, (flag, value)| builder.flag(flag, value));
        let (status, log) = builder.run_to_end();
        assert_eq!(status.code(), Some(64), "{flags:?}: {log}");
        assert!(log.contains(expected), "{flags:?}: {log}");
    }
}
