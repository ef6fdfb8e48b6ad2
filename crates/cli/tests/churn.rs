//! Everything comes back: thousands come and go in every manner, and nothing of them stays.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use watertight_testkit::{
    ConnectOptions, HubProcess, PATIENCE, RawConnection, Stats, Transport, both_transports, eventually,
    seeded,
};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

const MIB: u64 = 1024 * 1024;
const CYCLES: usize = 4000;
const THREADS: usize = 4;

both_transports!(
    leak_classes_a_to_d_four_thousand_come_and_go_in_every_manner_and_nothing_stays,
    leak_class_e_twenty_thousand_names_leave_nothing_behind,
);

/// How a peer comes and goes.
#[derive(Debug, Clone, Copy)]
enum Manner {
    /// Reads the opening, closes.
    Fin,
    /// Reads the opening, resets.
    Reset,
    /// Says that it will send nothing more, and is closed by the hub.
    HalfClose,
    /// Leaves in the middle of its head, by a close or a reset.
    HalfHead {
        reset: bool,
    },
    /// Sends junk behind its request, then closes.
    PipelinedJunk,
    /// Sends more junk than anybody could mean.
    Babble,
    /// Asks for a long replay, reads nothing of it, and leaves; or stays until the hub loses patience.
    Stalled {
        reset: bool,
    },
    StalledForGood,
    /// Leaves before it can have been answered.
    AtOnce,
    /// Says nothing at all.
    Silent,
    /// Waits for an event that does not come, and leaves.
    LongPoll,
    /// Publishes, and does not wait for the answer.
    PublishAndLeave,
    /// Breaks off in the middle of a body.
    HalfBody,
    /// Asks for nonsense.
    Refused,
    /// Half of an HTTP/2 preface, or a whole one and nothing behind it.
    Http2 {
        whole: bool,
    },
}

const MANNERS: [Manner; 18] = [
    Manner::Fin,
    Manner::Reset,
    Manner::HalfClose,
    Manner::HalfHead { reset: false },
    Manner::HalfHead { reset: true },
    Manner::PipelinedJunk,
    Manner::Babble,
    Manner::Stalled { reset: false },
    Manner::Stalled { reset: true },
    Manner::StalledForGood,
    Manner::AtOnce,
    Manner::Silent,
    Manner::LongPoll,
    Manner::PublishAndLeave,
    Manner::HalfBody,
    Manner::Refused,
    Manner::Http2 { whole: false },
    Manner::Http2 { whole: true },
];

/// One peer comes and goes; one that stays is returned.
fn cycle(hub: &HubProcess, manner: Manner, n: usize, random: &mut fastrand::Rng) -> Option<RawConnection> {
    let path = format!("/sessions/churn-{n}/events");
    let get = format!("GET {path} HTTP/1.1\r\nHost: hub\r\n\r\n");
    let stalls = matches!(manner, Manner::Stalled { .. } | Manner::StalledForGood);
    let options = if stalls { ConnectOptions::small_window() } else { ConnectOptions::default() };
    let mut peer = RawConnection::connect_with(hub, &options).expect("the hub accepts");
    let opening = |peer: &mut RawConnection| peer.read_until("\n\n\r\n", PATIENCE);
    match manner {
        Manner::Fin => {
            peer.send(get);
            opening(&mut peer);
        }
        Manner::Reset => {
            peer.send(get);
            opening(&mut peer);
            peer.reset();
        }
        Manner::HalfClose => {
            peer.send(get);
            opening(&mut peer);
            peer.half_close();
            peer.expect_closed(PATIENCE);
        }
        Manner::HalfHead { reset } => {
            peer.send(&get[..random.usize(1..get.len() - 1)]);
            if reset {
                peer.reset();
            }
        }
        Manner::PipelinedJunk => {
            let junk: Vec<u8> = (0..random.usize(1..5000)).map(|_| random.u8(..)).collect();
            peer.send([get.as_bytes(), &junk].concat());
            opening(&mut peer);
        }
        Manner::Babble => {
            peer.send(get);
            // The hub cuts it off somewhere on the way.
            let _ = peer.try_send(vec![b'x'; 200 * 1024]);
            peer.expect_closed(PATIENCE);
        }
        Manner::Stalled { reset } => {
            peer.send("GET /sessions/long/events?replay=all HTTP/1.1\r\nHost: hub\r\n\r\n");
            peer.read_until("\r\n\r\n", PATIENCE);
            if reset {
                peer.reset();
            }
        }
        Manner::StalledForGood => {
            peer.send("GET /sessions/long/events?replay=all HTTP/1.1\r\nHost: hub\r\n\r\n");
            return Some(peer);
        }
        Manner::AtOnce => peer.send(get),
        Manner::Silent => {}
        Manner::LongPoll => {
            peer.send_get(&format!("{path}?wait=20"), &[("Accept", "application/json")]);
        }
        Manner::PublishAndLeave => peer.send(format!(
            "POST {path} HTTP/1.1\r\nHost: hub\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
        )),
        Manner::HalfBody => peer.send(format!(
            "POST {path} HTTP/1.1\r\nHost: hub\r\nContent-Type: text/plain\r\nContent-Length: 500\r\n\r\nhello"
        )),
        Manner::Refused => {
            peer.send_get(&format!("{path}?replay=nonsense"), &[]);
            peer.read_response("GET").expect_problem(400, "INVALID_PARAMETER");
        }
        Manner::Http2 { whole } => {
            let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
            peer.send(if whole { &preface[..] } else { &preface[..random.usize(1..24)] });
        }
    }
    None
}

/// Lets them come and go from several threads; returns those that stay and do not read.
fn churn(hub: &HubProcess, cycles: usize, seed: &str) -> Vec<RawConnection> {
    let thread = |thread: usize| {
        let mut random = seeded(&format!("{seed} {thread}"));
        let mut stalled = Vec::new();
        for n in 0..cycles / THREADS {
            let manner = MANNERS[random.usize(..MANNERS.len())];
            stalled.extend(cycle(hub, manner, thread * cycles + n, &mut random));
        }
        stalled
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|index| scope.spawn(move || thread(index))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

fn leak_classes_a_to_d_four_thousand_come_and_go_in_every_manner_and_nothing_stays(over: Transport) {
    let hub = HubProcess::builder(WATERTIGHT)
        .over(over)
        .flag("--session-ttl", "0.5")
        .flag("--cleanup-interval", "0.2")
        .flag("--heartbeat-interval", "0.5")
        .flag("--write-deadline", "1")
        .flag("--log-level", "warn")
        .start();
    for n in 0..100 {
        hub.publish_text("long", &format!("{n} {}", "x".repeat(10_000)));
    }
    // Live only: it keeps the session and gets nothing.
    let _keeps = hub.subscribe("long");
    let settled = || {
        let is_quiet = |stats: &Stats| stats.live("session") == 1 && stats.live("connection") == 2;
        let stats = eventually!(hub.stats(), |stats| is_quiet(stats));
        // The one that keeps the session; the one that asked is gone as well.
        eventually!(hub.sockets(), |sockets| *sockets == 1);
        stats
    };
    // Once in small, so that what is allocated once and for all is there already.
    let stalled = churn(&hub, CYCLES / 8, "warming up");
    settled();
    drop(stalled);
    let (fds, threads) = (hub.fds(), hub.threads());
    let anon = hub.process().anon();

    let stalled = churn(&hub, CYCLES, "the churn");

    let stats = settled();
    assert!(stalled.len() > 100, "they are here, and the hub holds none of them: {}", stalled.len());
    stats.ledger().assert_adds_up();
    assert!(stats.ledger().counts("connection").opened > CYCLES as u64);
    assert_eq!(stats.live("subscription"), 1);
    assert_eq!(stats.live("timer"), 1);
    assert_eq!(stats.number("metrics.pumpRestarts"), 0);
    let slow = stats.number("metrics.slowConsumers");
    assert!(slow >= stalled.len() as u64, "{slow} ended of {} that stalled", stalled.len());
    eventually!(hub.fds(), |now| *now == fds);
    eventually!(hub.threads(), |now| *now == threads);
    let grown = || hub.process().anon().saturating_sub(anon);
    let grown = eventually!(grown(), |bytes| *bytes < 2 * MIB, Duration::from_secs(30));
    println!("{grown} bytes more than before");
}

#[test]
fn connections_over_tls_give_everything_back_too() {
    let hub = HubProcess::builder(WATERTIGHT)
        .tls()
        .flag("--session-ttl", "0.5")
        .flag("--cleanup-interval", "0.2")
        .flag("--heartbeat-interval", "1")
        .flag("--log-level", "warn")
        .start();
    let mut random = seeded("over TLS");
    for n in 0..300 {
        let mut peer = RawConnection::connect(&hub);
        match random.u8(0..5) {
            // Before, in the middle of, and right after the handshake.
            0 => {}
            1 => {
                let mut plain = RawConnection::connect(hub.address());
                plain.send(&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..random.usize(1..11)]);
            }
            2 => peer.send("GET /sess"),
            3 => {
                peer.send_get(&format!("/sessions/churn-{n}/events"), &[]);
                peer.read_until("\n\n\r\n", PATIENCE);
                if random.bool() {
                    peer.reset();
                }
            }
            _ => {
                peer.send_get(
                    &format!("/sessions/churn-{n}/events?wait=20"),
                    &[("Accept", "application/json")],
                );
            }
        }
    }
    eventually!(hub.stats().live("session") == 0);
    // The TLS connection that asks is charged.
    eventually!(hub.stats().request_bytes(), |bytes| *bytes <= 48 * 1024);
}

fn leak_class_e_twenty_thousand_names_leave_nothing_behind(over: Transport) {
    const NAMES: usize = 20_000;
    let hub = HubProcess::builder(WATERTIGHT)
        .over(over)
        .flag("--session-ttl", "0.5")
        .flag("--cleanup-interval", "0.2")
        .flag("--max-sessions", 5000)
        .flag("--idempotency-ttl", "0.5")
        .flag("--log-level", "warn")
        .start();
    let series =
        || hub.get("/metrics").expect(200).text().lines().filter(|line| !line.starts_with('#')).count();
    let before = series();
    let mut connection = RawConnection::connect(&hub);
    let mut refused = 0;
    for n in 0..NAMES {
        let request = hub.client().request("POST", format!("/sessions/name-{n}/events"));
        let request = request.header("Content-Type", "text/plain").header("Connection", "keep-alive");
        connection.send(request.header("Idempotency-Key", format!("key-{n}")).body("x").bytes());
        let answer = connection.read_response("POST");
        match answer.status {
            202 => {}
            _ => {
                answer.expect_problem(503, "TOO_MANY_SESSIONS");
                refused += 1;
            }
        }
    }
    println!("{refused} of {NAMES} refused");
    assert_eq!(series(), before, "no series for a name");
    drop(connection);
    eventually!(hub.stats().live("session") == 0);
    eventually!(hub.stats().kept_bytes() == 0);
}
