//! Sockets that a service manager gives to the hub: they replace `listen`, and outlive it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use watertight_testkit::{
    Client, ConnectOptions, HubBuilder, HubProcess, PATIENCE, RawConnection, Signal, SseReader, eventually,
};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");
const PATH: &str = "/sessions/demo/events";
const SUBSCRIBERS: usize = 200;

fn builder() -> HubBuilder {
    HubProcess::builder(WATERTIGHT)
}

/// A socket as a service manager makes it, and its address.
fn listening() -> (TcpListener, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    // As systemd does: `Backlog=`.
    rustix::net::listen(&socket, 4096).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Publishes numbers one after another, each until it is taken; `next` is the one that is to be taken next. A number may
/// be taken twice, where a hub ended before it had answered.
fn publish_up_to(address: SocketAddr, next: &AtomicUsize, end: &AtomicUsize) {
    let client = Client::new(address);
    while next.load(Ordering::SeqCst) < end.load(Ordering::SeqCst) {
        let number = next.load(Ordering::SeqCst).to_string();
        let request = client.request("POST", PATH).header("Content-Type", "text/plain").body(number);
        match request.try_send() {
            Ok(answer) if answer.status == 202 => {
                next.fetch_add(1, Ordering::SeqCst);
            }
            Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.text()),
            Err(error) => assert_ne!(error.kind(), ErrorKind::ConnectionRefused, "nobody is refused"),
        }
        // The pace of an ordinary publisher: the restart is what is tested, not the load.
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Asserts that numbers follow each other without a hole; one may come twice.
fn assert_whole(numbers: &[usize]) {
    for pair in numbers.windows(2) {
        assert!(pair[1] == pair[0] + 1 || pair[1] == pair[0], "{pair:?} in {numbers:?}");
    }
}

#[test]
fn a_restart_refuses_no_connection_and_all_subscribers_are_back_and_told_of_the_gap() {
    let (socket, address) = listening();
    let start = || {
        let hub = builder().given("http", socket.try_clone().unwrap());
        hub.flag("--max-history-per-session", 100_000).flag("--max-queue-size", 100_000)
    };
    let mut first = start().start();
    assert_eq!(first.address(), address);
    let mut readers: Vec<SseReader> = (0..SUBSCRIBERS).map(|_| first.subscribe("demo")).collect();
    let (next, end) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
    std::thread::scope(|scope| {
        scope.spawn(|| publish_up_to(address, &next, &end));
        eventually!(next.load(Ordering::SeqCst) > 50);
        first.signal(Signal::TERM);
        let mut waiting = Vec::new();
        for mut reader in readers.drain(..) {
            let (mut events, _) = reader.rest();
            let closing = events.pop().unwrap();
            assert!(closing.data.contains("SHUTTING_DOWN"), "{closing:?}");
            assert_whole(&events.iter().map(|event| event.data.parse().unwrap()).collect::<Vec<usize>>());
            // Back at once, whether a hub runs or not.
            let mut again = RawConnection::connect(address);
            again.send_get(PATH, &[("Last-Event-ID", reader.last_event_id())]);
            waiting.push(again);
        }
        assert!(first.wait(PATIENCE).success(), "{}", first.log());
        let before = next.load(Ordering::SeqCst);
        let second = start().unbalanced().start();
        eventually!(next.load(Ordering::SeqCst) > before + 50);
        let last = before + 100;
        end.store(last, Ordering::SeqCst);
        let mut starts = Vec::new();
        for connection in waiting.drain(..) {
            let mut reader = SseReader::over(connection).unwrap();
            assert_eq!(reader.expect_gap().reason, "epoch");
            let mut numbers: Vec<usize> = Vec::new();
            while numbers.last().is_none_or(|number| number + 1 < last) {
                numbers.push(reader.next_event().data.parse().unwrap());
            }
            assert_whole(&numbers);
            starts.push(numbers[0]);
        }
        // All that the new hub's history keeps, for each.
        assert!(starts.iter().all(|start| *start == starts[0] && *start <= before), "{before}: {starts:?}");
        // Its balance cannot be taken at its start, when they were there already.
        eventually!(second.stats().live("connection") == 1);
        let ledger = second.stats().ledger();
        ledger.check().unwrap();
        assert_eq!((ledger.live("subscription"), ledger.live("timer")), (0, 0), "{ledger:?}");
        eventually!(second.sockets() == 0);
    });
}

#[test]
fn sockets_are_told_apart_by_their_names() {
    let ((public, _), (admin, at)) = (listening(), listening());
    let hub = builder().given("http", public).given("admin", admin).unbalanced().start();
    hub.get("/stats").expect_problem(404, "NOT_FOUND");
    let _ = Client::new(at).get("/stats").expect(200);
    // The other way round, and by a name that means nothing.
    let ((public, _), (admin, at)) = (listening(), listening());
    let hub = builder().given("admin", admin).given("hub.socket", public).unbalanced().start();
    hub.get("/stats").expect_problem(404, "NOT_FOUND");
    let _ = Client::new(at).get("/stats").expect(200);
}

#[test]
fn a_unix_socket_that_was_given_is_never_removed() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("hub.sock");
    let (public, _) = listening();
    let unix = UnixListener::bind(&path).unwrap();
    let mut hub = builder().given("http", public).given("http", unix.try_clone().unwrap()).start();
    let client = Client::with_options(hub.address(), ConnectOptions::unix(&path));
    let _ = client.get("/health/ready").expect(200);
    hub.signal(Signal::TERM);
    assert!(hub.wait(PATIENCE).success(), "{}", hub.log());
    assert!(path.exists());
    drop(RawConnection::connect_with(hub.address(), client.options()).unwrap());
}

#[test]
fn sockets_that_cannot_be_served_as_they_are_named_are_refused() {
    let everywhere = || TcpListener::bind("0.0.0.0:0").unwrap();
    let deaf = || std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (local, _) = listening();
    for (builder, expected) in [
        (builder().given("http", everywhere()), "is no loopback address, and the hub needs no tokens"),
        (builder().given("admin", everywhere()), "is no loopback address, and the hub needs no tokens"),
        (builder().given("https", local.try_clone().unwrap()), "named https, but there is no tls_cert"),
        (builder().tls().given("http", local.try_clone().unwrap()), "named http, but tls_cert is set"),
        (builder().given("http", deaf()), "is not a valid tcp socket"),
        (builder().given("http", std::fs::File::open("/dev/null").unwrap()), "is not a socket"),
    ] {
        let (status, log) = builder.run_to_end();
        assert_eq!(status.code(), Some(64), "{log}");
        assert!(log.contains("LISTEN_FDS") && log.contains(expected), "{expected}: {log}");
    }
}

#[test]
fn the_socket_unit_is_valid_and_names_its_sockets_as_the_hub_knows_them() {
    let unit = include_str!("../../../deploy/watertight.socket");
    assert!(unit.lines().any(|line| line == "FileDescriptorName=http"));
    let dir = TempDir::new().unwrap();
    // Found by its name, as systemd finds it.
    let service = include_str!("../../../deploy/watertight.service");
    let service = service.replace("/usr/local/bin/watertight", WATERTIGHT);
    std::fs::write(dir.path().join("watertight.service"), service).unwrap();
    let file = dir.path().join("watertight.socket");
    std::fs::write(&file, unit).unwrap();
    let checked = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(file).output();
    match checked {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && !said.contains("watertight.socket:"), "{said}");
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("not checked: no systemd-analyze here")
        }
        Err(error) => panic!("systemd-analyze: {error}"),
    }
}

#[test]
fn sockets_meant_for_another_process_are_left_alone() {
    let hub = builder().env("LISTEN_FDS", "2").env("LISTEN_PID", "1").start();
    let _ = hub.get("/health/ready").expect(200);
}
