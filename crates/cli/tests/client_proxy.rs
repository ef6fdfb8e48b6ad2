//! `publish`, `tail` and `run` through the proxy that the environment names, against the real hub.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

use watertight_testkit::{HttpProxy, HubProcess, PATIENCE, Program, SseReader, eventually};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

/// `joe:s3cret`.
const JOE: &str = "Basic am9lOnMzY3JldA==";

const VARIABLES: [&str; 8] = [
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];

/// The program, in an environment that has these variables and no others about proxies.
fn watertight(environment: &[(&str, &str)], arguments: &[&str]) -> Program {
    let mut command = Command::new(WATERTIGHT);
    for name in VARIABLES.into_iter().chain(["WATERTIGHT_URL", "WATERTIGHT_TOKEN"]) {
        command.env_remove(name);
    }
    command.envs(environment.iter().copied()).args(arguments);
    Program::spawn(command)
}

fn as_joe(proxy: &HttpProxy) -> String {
    format!("http://joe:s3cret@{}", proxy.address())
}

fn publish(environment: &[(&str, &str)], url: &str, more: &[&str]) -> Program {
    let mut publish = watertight(environment, &[&["publish", "demo", "--url", url], more].concat());
    publish.input("one\ntwo\n");
    publish.close_input();
    publish
}

#[test]
fn publish_tail_and_run_go_through_the_proxy_that_the_environment_names() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--allowed-hosts", "hub.invalid,hub").start();
    let proxy = HttpProxy::start();
    proxy.want(JOE);
    // Nobody but the proxy knows this name.
    proxy.route("hub.invalid", hub.address());
    let (url, joe) = ("http://hub.invalid", as_joe(&proxy));
    let environment = [("http_proxy", joe.as_str())];
    publish(&environment, url, &[]).finish(PATIENCE);
    let tail = ["tail", "demo", "--url", url, "--replay", "all", "--count", "2"];
    assert_eq!(watertight(&environment, &tail).finish(PATIENCE), b"one\ntwo\n");
    let run = ["run", "--deployment", "d1", "--hub", url, "--no-echo", "--", "echo", "built"];
    watertight(&environment, &run).finish(PATIENCE);
    let mut viewer = SseReader::open(hub.address(), "/deployments/d1/logs/stream", &[]);
    assert!(viewer.next_event().data.contains("built"));
    let lines = proxy.lines().join("\n");
    for part in [
        "POST http://hub.invalid/sessions/demo/events",
        "GET http://hub.invalid/sessions/demo/events",
        "POST http://hub.invalid/deployments/d1/logs",
    ] {
        assert!(lines.contains(part), "{part} is not in\n{lines}");
    }
    eventually!(proxy.open() == 0);
}

#[test]
fn https_goes_through_a_tunnel() {
    let (hub, proxy) = (HubProcess::builder(WATERTIGHT).tls().start(), HttpProxy::start());
    let (url, ca) = (hub.url(""), hub.dir().join("cert.pem"));
    let (joe, ca) = (as_joe(&proxy), ca.to_str().unwrap());
    proxy.want(JOE);
    publish(&[("HTTPS_PROXY", &joe)], &url, &["--ca", ca]).finish(PATIENCE);
    let tail = ["tail", "demo", "--url", &url, "--ca", ca, "--replay", "all", "--count", "2"];
    assert_eq!(watertight(&[("all_proxy", &joe)], &tail).finish(PATIENCE), b"one\ntwo\n");
    let line = format!("CONNECT {} HTTP/1.1", hub.address());
    assert_eq!(proxy.lines(), [line.clone(), line]);
}

#[test]
fn whom_no_proxy_names_is_reached_without_one() {
    let (hub, proxy) = (HubProcess::start(WATERTIGHT), HttpProxy::start());
    let port = hub.address().port();
    for exception in ["*", "127.0.0.0/8", &format!("example.org, 127.0.0.1:{port}")] {
        publish(&[("http_proxy", &proxy.url()), ("no_proxy", exception)], &hub.url(""), &[]).finish(PATIENCE);
    }
    // Under CGI, whoever asks could set it by a header.
    let cgi = [("HTTP_PROXY", proxy.url()), ("REQUEST_METHOD", "GET".to_owned())];
    publish(&cgi.each_ref().map(|(name, value)| (*name, value.as_str())), &hub.url(""), &[]).finish(PATIENCE);
    assert_eq!(proxy.lines(), [""; 0]);
    publish(&[("HTTP_PROXY", &proxy.url())], &hub.url(""), &[]).finish(PATIENCE);
    assert_eq!(proxy.lines().len(), 2, "loopback is not special");
}

#[test]
fn a_redirect_to_another_origin_chooses_anew() {
    let (hub, proxy) = (HubProcess::start(WATERTIGHT), HttpProxy::start());
    hub.publish_text("demo", "one");
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", elsewhere.local_addr().unwrap());
    let to = hub.url("/sessions/demo/events?replay=all");
    let no_proxy = hub.address().to_string();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut socket, _) = elsewhere.accept().unwrap();
            assert!(socket.read(&mut [0; 4096]).unwrap() > 0);
            let answer = format!("HTTP/1.1 307 There\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
            socket.write_all(answer.as_bytes()).unwrap();
        });
        let environment = [("http_proxy", proxy.url()), ("no_proxy", no_proxy.clone())];
        let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
        let mut tail = watertight(&environment, &["tail", "demo", "--url", &url, "--count", "1"]);
        assert_eq!(tail.finish(PATIENCE), b"one\n");
    });
    assert_eq!(proxy.lines(), [format!("GET {url}/sessions/demo/events HTTP/1.1")]);
}

#[test]
fn a_proxy_that_does_not_let_us_through_is_named_and_its_password_is_not() {
    let (hub, proxy) = (HubProcess::start(WATERTIGHT), HttpProxy::start());
    proxy.want("Basic another");
    let joe = as_joe(&proxy);
    let named = format!("the proxy {}: it answers 407", proxy.address());
    for mut program in [
        publish(&[("http_proxy", &joe)], &hub.url(""), &[]),
        watertight(&[("http_proxy", &joe)], &["tail", "demo", "--url", &hub.url("")]),
    ] {
        assert_eq!(program.wait(PATIENCE).code(), Some(1));
        let errors = program.errors();
        assert!(errors.contains(&named) && !errors.contains("s3cret"), "{errors}");
    }
    let mut unusable = publish(&[("all_proxy", "socks5://joe:s3cret@h")], &hub.url(""), &[]);
    assert_eq!(unusable.wait(PATIENCE).code(), Some(1));
    let errors = unusable.errors();
    assert!(errors.contains("in `all_proxy`") && !errors.contains("s3cret"), "{errors}");
}
