//! Where the hub listens: several addresses, Unix sockets and their files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use watertight_testkit::{
    Client, ConnectOptions, HubBuilder, HubProcess, PATIENCE, Program, Response, Signal, eventually,
};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

/// A hub that is looked at over TCP and listens at a Unix socket as well.
fn with_unix(path: &Path) -> HubBuilder {
    let builder = HubProcess::builder(WATERTIGHT).flag("--listen", "127.0.0.1:0");
    builder.flag("--listen", format!("unix:{}", path.display()))
}

/// `GET` over a Unix socket.
fn get(path: &Path, target: &str) -> Response {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
    Client::with_options(nowhere, ConnectOptions::unix(path)).get(target)
}

fn socket_in(dir: &TempDir) -> PathBuf {
    dir.path().join("hub.sock")
}

#[test]
fn every_address_is_served_and_named_at_start() {
    let dir = TempDir::new().unwrap();
    let path = socket_in(&dir);
    let listen = format!("127.0.0.1:0,[::1]:0,unix:{}", path.display());
    let mut hub = Program::start(WATERTIGHT, ["serve", "--listen", "127.0.0.1:0", "--listen", &listen]);
    let text = eventually!(hub.text(), |text| text.contains("/stats"));
    let lines: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("watertight: listening on ")).collect();
    let (unix, tcp) = lines.split_last().unwrap();
    assert_eq!(*unix, format!("unix:{}", path.display()), "{text}");
    let mut addresses: Vec<SocketAddr> =
        tcp.iter().map(|line| line.strip_prefix("http://").unwrap().parse().unwrap()).collect();
    assert_eq!(addresses.iter().map(SocketAddr::is_ipv6).collect::<Vec<_>>(), [false, false, true]);
    for address in &addresses {
        let _ = Client::new(*address).get("/health/ready").expect(200);
    }
    let _ = get(&path, "/health/ready").expect(200);
    addresses.dedup();
    assert_eq!(addresses.len(), 3, "two free ports are two addresses");
    hub.signal(Signal::TERM);
    let _ = hub.finish(PATIENCE);
}

#[test]
fn what_the_start_says_of_a_unix_socket_works_as_it_is_printed() {
    let dir = TempDir::new().unwrap();
    let path = socket_in(&dir);
    let hub = Program::start(WATERTIGHT, ["serve", "--listen", &format!("unix:{}", path.display())]);
    let text = eventually!(hub.text(), |text| text.contains("/stats"));
    let publish = text.lines().find_map(|line| line.trim().strip_prefix("publish ")).unwrap();
    let mut curl = Program::start("sh", ["-c", &format!("{publish} -sS")]);
    let answer = String::from_utf8(curl.finish(PATIENCE)).unwrap();
    assert!(answer.contains("\"id\""), "{answer}");
}

#[test]
fn addresses_that_cannot_be_are_refused_with_their_source_and_the_address() {
    let dir = TempDir::new().unwrap();
    let long = format!("unix:/{}", "x".repeat(107));
    for (listen, expected) in [
        (
            "127.0.0.1:0,somewhere",
            "--listen: listen = \"127.0.0.1:0,somewhere\": \"somewhere\" is not an IP address",
        ),
        ("unix:hub.sock", "not the path of a Unix socket, which begins with a slash"),
        (&long, "a path of 108 bytes, and that of a Unix socket has at most 107"),
        ("127.0.0.1:0,0.0.0.0:0", "[\"127.0.0.1:0\", \"0.0.0.0:0\"]: must be a loopback address"),
    ] {
        let (status, log) = HubProcess::builder(WATERTIGHT).flag("--listen", listen).run_to_end();
        assert_eq!(status.code(), Some(64), "{listen}: {log}");
        assert!(log.contains(expected), "{listen}: {log}");
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let path = socket_in(&dir);
    let (status, log) = with_unix(&path).flag("--listen", address).run_to_end();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains(&format!("cannot listen on {address}")) && log.contains("--listen"), "{log}");
    assert!(!path.exists(), "a hub that does not start leaves no socket");
}

#[test]
fn a_socket_has_the_mode_it_is_to_have_and_goes_with_the_hub() {
    let dir = TempDir::new().unwrap();
    let path = socket_in(&dir);
    for (mode, expected) in [(None, 0o660), (Some("0606"), 0o606)] {
        let builder =
            mode.map_or_else(|| with_unix(&path), |mode| with_unix(&path).flag("--listen-unix-mode", mode));
        let mut hub = builder.start();
        let file = fs::symlink_metadata(&path).unwrap();
        assert!(file.file_type().is_socket());
        assert_eq!(file.permissions().mode() & 0o7777, expected);
        let _ = get(&path, "/health/ready").expect(200);
        hub.signal(Signal::TERM);
        assert!(hub.wait(PATIENCE).success(), "{}", hub.log());
        assert!(!path.exists());
    }
}

#[test]
fn a_socket_that_a_killed_hub_left_is_replaced() {
    let dir = TempDir::new().unwrap();
    let path = socket_in(&dir);
    let mut killed = with_unix(&path).unbalanced().start();
    killed.signal(Signal::KILL);
    killed.wait(PATIENCE);
    let left = fs::symlink_metadata(&path).unwrap();
    let hub = with_unix(&path).start();
    let _ = get(&path, "/health/ready").expect(200);
    let now = fs::symlink_metadata(&path).unwrap();
    assert_ne!((now.ino(), now.created().ok()), (left.ino(), left.created().ok()));
    drop(hub);
    assert!(!path.exists());
}

#[test]
fn a_socket_at_which_somebody_listens_is_in_use_and_stays() {
    let dir = TempDir::new().unwrap();
    let path = socket_in(&dir);
    let hub = with_unix(&path).start();
    let (status, log) = with_unix(&path).run_to_end();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains(&format!("cannot listen on unix:{}: in use", path.display())), "{log}");
    let _ = get(&path, "/health/ready").expect(200);
    drop(hub);
    // Nor where those that wait to be accepted are as many as may be.
    let busy = UnixListener::bind(&path).unwrap();
    rustix::net::listen(&busy, 0).unwrap();
    let _waits = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let (_, log) = with_unix(&path).run_to_end();
    assert!(log.contains("in use"), "{log}");
    assert!(path.exists());
}

#[test]
fn a_file_that_is_no_socket_is_never_removed() {
    let dir = TempDir::new().unwrap();
    let path = socket_in(&dir);
    let target = dir.path().join("target");
    let leave: [&dyn Fn(); 3] =
        [&|| fs::write(&path, "precious").unwrap(), &|| fs::create_dir(&path).unwrap(), &|| {
            std::os::unix::fs::symlink(&target, &path).unwrap()
        }];
    for make in leave {
        make();
        let before = fs::symlink_metadata(&path).unwrap();
        let (status, log) = with_unix(&path).run_to_end();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.contains("a file that is no socket has this name"), "{log}");
        assert_eq!(fs::symlink_metadata(&path).unwrap().ino(), before.ino());
        if before.is_dir() { fs::remove_dir(&path).unwrap() } else { fs::remove_file(&path).unwrap() }
    }
}

#[test]
fn a_socket_that_another_has_put_in_its_place_stays() {
    let dir = TempDir::new().unwrap();
    let path = socket_in(&dir);
    let mut hub = with_unix(&path).start();
    fs::remove_file(&path).unwrap();
    let _another = UnixListener::bind(&path).unwrap();
    hub.signal(Signal::TERM);
    assert!(hub.wait(PATIENCE).success(), "{}", hub.log());
    assert!(path.exists());
}

#[test]
fn operators_may_have_a_unix_socket_of_their_own() {
    let dir = TempDir::new().unwrap();
    let path = socket_in(&dir);
    let admin = format!("unix:{}", path.display());
    let hub = HubProcess::builder(WATERTIGHT).flag("--admin-listen", &admin).unbalanced().start();
    let _ = get(&path, "/stats").expect(200);
    hub.get("/stats").expect_problem(404, "NOT_FOUND");
    let (status, log) =
        HubProcess::builder(WATERTIGHT).flag("--admin-listen", &admin).flag("--listen", &admin).run_to_end();
    assert_eq!(status.code(), Some(64), "{log}");
    assert!(log.contains("must be another address"), "{log}");
}
