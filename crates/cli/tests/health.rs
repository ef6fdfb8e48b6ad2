//! `watertight health`: what a container is asked, by the hub's own program.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Output};
use std::thread;

use socket2::{Domain, Socket, Type};
use watertight_testkit::HubProcess;

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

fn health(url: &str) -> (Option<i32>, String) {
    let Output { status, stderr, stdout } =
        Command::new(WATERTIGHT).args(["health", "--url", url]).output().unwrap();
    assert!(stdout.is_empty());
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_hub_that_lives_is_told_by_the_exit_code_alone() {
    let hub = HubProcess::start(WATERTIGHT);
    for path in ["", "/"] {
        assert_eq!(health(&hub.url(path)), (Some(0), String::new()));
    }
}

#[test]
fn a_hub_that_wants_tokens_is_asked_without_one() {
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--token-secret", "0123456789abcdef0123456789abcdef")
        .unbalanced();
    let hub = hub.start();
    assert_eq!(health(&hub.url("")), (Some(0), String::new()));
}

#[test]
fn an_answer_that_is_not_200_is_no_health_and_is_shown() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").unwrap();
        String::from_utf8(head).unwrap()
    });
    let (code, said) = health(&format!("http://{address}"));
    assert_eq!(code, Some(1));
    assert!(said.contains("503 Service Unavailable"), "{said}");
    let head = asked.join().unwrap();
    assert!(head.starts_with("GET /health/live HTTP/1.1\r\n"), "{head}");
}

#[test]
fn where_nobody_listens_there_is_no_health() {
    // Bound, so that nobody else gets the port, and not listening.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap().as_socket().unwrap());
    let (code, said) = health(&url);
    assert_eq!(code, Some(1));
    assert!(said.contains(&url) && said.contains("refused"), "{said}");
}

#[test]
fn an_address_that_is_not_plain_http_is_a_mistake_of_the_command_line() {
    let (code, said) = health("https://127.0.0.1:8443");
    assert_eq!(code, Some(64));
    assert!(said.contains("https://127.0.0.1:8443"), "{said}");
}
