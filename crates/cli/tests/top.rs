//! `watertight top` without a terminal: one page of text, and what it says where there is none to be had.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and makes tokens that are valid now"
)]

mod tokens;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokens::{SECRET, WATERTIGHT, admin, bearer, protected};
use watertight_testkit::{HubProcess, PATIENCE, Program, SseReader};

/// `watertight top` with these arguments, to its end: exit code, output, errors.
fn top(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(WATERTIGHT);
    for name in ["WATERTIGHT_URL", "WATERTIGHT_TOKEN", "WATERTIGHT_TOKEN_FILE"] {
        command.env_remove(name);
    }
    command.arg("top").args(arguments);
    let mut program = Program::spawn(command);
    let status = program.wait(PATIENCE);
    (status.code(), program.text(), program.errors())
}

fn once(arguments: &[&str]) -> (Option<i32>, String, String) {
    top(&[arguments, &["--once", "--interval", "0.1"]].concat())
}

/// A server that answers every request with this head, and then these bytes again and again for as long as they are read.
struct Endless {
    url: String,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Endless {
    fn start(head: &'static str, bytes: &'static str) -> Endless {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                while let Ok((mut client, _)) = listener.accept() {
                    if stop.load(Relaxed) {
                        return;
                    }
                    let mut request = [0; 4096];
                    let _ = client.read(&mut request);
                    let many = bytes.repeat(1000);
                    let mut written = client.write_all(head.as_bytes());
                    while written.is_ok() && !bytes.is_empty() {
                        written = client.write_all(many.as_bytes());
                    }
                }
            }
        });
        Endless { url, stop, thread: Some(thread) }
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        // Wakes it up.
        let _ = std::net::TcpStream::connect(self.url.trim_start_matches("http://"));
        self.thread.take().unwrap().join().unwrap();
    }
}

#[test]
fn one_page_of_text_shows_a_hub_that_speaks_tls() {
    let hub = HubProcess::builder(WATERTIGHT).tls().start();
    hub.publish_text("demo", "hello");
    let reader = hub.subscribe("demo");
    let url = hub.url("").replace("127.0.0.1", "localhost");
    let ca = hub.dir().join("cert.pem");
    let (code, page, errors) = once(&[&url, "--ca", ca.to_str().unwrap()]);
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{page}");
    for text in
        ["watertight  https://localhost:", "events   in 0.0/s", "readers 1  sessions 1  events 1", "adds up"]
    {
        assert!(page.contains(text), "no {text:?} in\n{page}");
    }
    let rows =
        |head: &str| page.lines().skip_while(|line| !line.starts_with(head)).nth(1).unwrap_or_default();
    assert!(rows("SESSION").starts_with("demo ") && rows("USER").starts_with("- "), "{page}");
    assert!(!page.contains('\u{1b}'), "nothing for a terminal");
    let (code, _, errors) = once(&[&url]);
    assert!(code == Some(1) && errors.contains("cannot connect to"), "whom nobody vouches for: {errors}");
    drop(reader);
}

#[test]
fn without_a_terminal_it_says_what_would_do() {
    let (code, page, errors) = top(&["http://127.0.0.1:1"]);
    assert_eq!((code, page.as_str()), (Some(64), ""));
    assert!(errors.contains("needs a terminal") && errors.contains("--once"), "{errors}");
}

#[test]
fn options_that_cannot_work_are_refused_before_anything_is_asked() {
    for arguments in [
        &["ftp://hub"][..],
        &["http://hub?x=1"],
        &["http://127.0.0.1:1", "--interval", "0"],
        &["http://127.0.0.1:1", "--interval", "inf"],
        &["http://127.0.0.1:1", "--token-file", "/no/such/file"],
        &["http://127.0.0.1:1", "--token", "a\nb"],
        &["http://127.0.0.1:1", "--ca", "/no/such/file"],
    ] {
        let (code, page, errors) = top(&[arguments, &["--once"]].concat());
        assert_eq!((code, page.as_str()), (Some(64), ""), "{arguments:?}: {errors}");
        assert!(!errors.is_empty(), "{arguments:?}");
    }
}

#[test]
fn an_operators_token_shows_what_is_kept_from_others() {
    let hub = protected().start();
    let token = admin();
    let reader =
        SseReader::open(hub.endpoint(), "/sessions/demo/events", &[("Authorization", &bearer(&token))]);
    // Figures are public there, lists are not.
    let (code, page, _) = once(&[&hub.url("")]);
    assert!(code == Some(0) && page.contains("readers 1") && !page.contains("demo"), "{page}");
    assert!(page.contains("the hub answers 401"), "{page}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{token}\n")).unwrap();
    let file = file.path().to_str().unwrap();
    for arguments in [["--token", &token], ["--token-file", file]] {
        let (code, page, errors) = once(&[&[&hub.url("")[..]], &arguments[..]].concat());
        assert!(code == Some(0) && page.contains("demo") && page.contains("operator"), "{page}{errors}");
        assert!(!page.contains(&token) && !errors.contains(&token));
    }
    drop(reader);
}

#[test]
fn a_hub_that_keeps_its_figures_to_itself_is_told_with_what_would_do() {
    let hub = HubProcess::builder(WATERTIGHT).env("WATERTIGHT_TOKEN_SECRET", SECRET).unbalanced().start();
    let (code, _, errors) = once(&[&hub.url("")]);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("the hub answers 401") && errors.contains("--token-file"), "{errors}");
}

#[test]
fn whoever_answers_without_an_end_or_with_something_else_is_no_hub() {
    for (head, bytes, said) in [
        ("HTTP/1.1 200 OK\r\n\r\n", " ", "is longer than 1048576 bytes"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n", "{}", "is longer than 1048576 bytes"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>", "", "is not a hub's"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "", "is not a hub's"),
        ("HTTP/1.1 503 No\r\nretry-after: 5\r\n\r\n", "\u{1b}[2J", "the hub answers 503"),
        ("HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n", "", "redirects are not followed"),
        ("SSH-2.0-OpenSSH_10.0\r\n", "", "the connection broke"),
    ] {
        let server = Endless::start(head, bytes);
        let (code, page, errors) = once(&[&server.url]);
        assert_eq!((code, page.as_str()), (Some(1), ""), "{errors}");
        assert!(errors.contains(said) && errors.len() < 1000 && !errors.contains('\u{1b}'), "{errors}");
    }
}
