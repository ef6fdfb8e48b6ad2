//! The proxies of `docs/operations.md`, started from the text of that document.
//!
//! Only ports and lengths of time are changed. Where a proxy is not installed its test fails and names the package;
//! `cargo xtask setup` installs all of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod doctor_run;
mod proxy;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use doctor_run::doctor;
use proxy::{Proxy, free_address, replace, start_apache, start_caddy, start_haproxy, start_nginx};
use watertight_testkit::{Client, ConnectOptions, HubProcess, SseReader, eventually};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");
const OPERATIONS: &str = include_str!("../../../docs/operations.md");

/// Where the hub listens in the samples, and the service that `auth_request` asks.
const HUB: &str = "127.0.0.1:8080";
const AUTH: &str = "127.0.0.1:9000";

/// The block of the document in this language that has `marker` in it, with idle connections closed after a second.
fn sample(language: &str, marker: &str) -> String {
    let start = format!("```{language}\n");
    let blocks = OPERATIONS.split(start.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap());
    let found: Vec<&str> = blocks.filter(|block| block.contains(marker)).collect();
    assert_eq!(found.len(), 1, "one {language} sample with {marker:?}");
    found[0].to_owned()
}

/// nginx with a sample in which the ports are already replaced.
fn nginx(address: SocketAddr, sample: &str) -> Proxy {
    let sample = replace(sample, "listen 80;", format!("listen {address};"));
    let sample = replace(&sample, "keepalive_timeout 60s;", "keepalive_timeout 1s;");
    start_nginx(address, &sample)
}

fn hub() -> HubProcess {
    // Idle connections are closed soon, but later than the samples do with their times shortened.
    HubProcess::builder(WATERTIGHT)
        .flag("--heartbeat-interval", "1s")
        .flag("--write-deadline", "10s")
        .flag("--keep-alive-timeout", "4s")
        .start()
}

/// Everything that the document promises of a proxy.
fn check(hub: &HubProcess, proxy: &Proxy, prefix: &str, headers: &[(&str, &str)]) {
    let client = Client::new(proxy.address);
    let events = format!("{prefix}/sessions/a%2Fb/events");
    let publish = |data: &str| {
        let mut request = client.request("POST", &events).header("content-type", "text/plain").body(data);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.send().expect(202).json()["id"].as_str().unwrap().to_owned()
    };

    // Live, each event before the next one is published; a heartbeat is too little to fill a buffer.
    let mut stream = SseReader::open(proxy.address, &events, headers);
    let ids: Vec<String> = (0..5)
        .map(|n| {
            let id = publish(&n.to_string());
            assert_eq!(stream.next_event().data, n.to_string());
            id
        })
        .collect();
    let sessions = hub.get("/sessions").expect(200).json();
    assert_eq!(sessions["sessions"][0]["session"], "a/b", "the slash in the name: {sessions}");

    // Whoever leaves is noticed, and may come back where it was.
    drop(stream);
    eventually!(hub.stats().live("subscription") == 0);
    let last = ("Last-Event-ID", ids[1].as_str());
    let mut resumed = SseReader::open(proxy.address, &events, &[headers, &[last]].concat());
    assert_eq!(resumed.next_data(3), ["2", "3", "4"]);
    drop(resumed);
    eventually!(hub.stats().live("subscription") == 0);

    // Nobody gets to what is for operators, however it is written.
    hub.publish_text("x%2Fevents", "there");
    let admin = [
        ("GET", "/sessions"),
        ("GET", "/sessions/a%2Fb"),
        ("DELETE", "/sessions/a%2Fb"),
        ("DELETE", "/sessions/x%2Fevents"),
        ("DELETE", "/sessions/x%2fevents"),
        ("DELETE", "/sessions/a%2Fb?/sessions/a/events"),
        ("GET", "/stats"),
        ("GET", "/metrics"),
        ("GET", "/connections"),
        ("GET", "/sessions/y/events/../../../stats"),
    ];
    for (method, path) in admin {
        let mut request = client.request(method, format!("{prefix}{path}"));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = request.send();
        assert!([400, 403, 404].contains(&answer.status), "{method} {path}: {answer:?}");
        assert!(
            answer.header("content-type") != Some("application/problem+json"),
            "the hub was asked: {path}"
        );
    }
    for session in ["a%2Fb", "x%2Fevents"] {
        hub.get(&format!("/sessions/{session}")).expect(200);
    }

    // After an idle minute (seconds here) no request meets a connection that is being closed.
    publish("before the pause");
    eventually!(hub.stats().live("connection") == 1);
    publish("after the pause");
}

/// Nothing that the doctor looks for is wrong, and nothing hides from it what can be seen over HTTP/1.1 in clear.
fn check_by_doctor(hub: &HubProcess, proxy: &Proxy, prefix: &str) {
    let url = format!("http://{}{prefix}", proxy.address);
    let diagnosis = doctor(&url, &["--patience", "6", "--token", "good"]);
    diagnosis.is_good_but_for(&["six-connections", "certificate", "cors", "half-close"]);
    // To delete is for operators, who ask the hub itself.
    assert!(diagnosis.json["left"].is_string(), "{diagnosis}");
    for session in hub.get("/sessions").json()["sessions"].as_array().unwrap() {
        let name = session["session"].as_str().unwrap().replace('%', "%25").replace('/', "%2F");
        let _ = hub.client().delete(format!("/sessions/{name}")).expect(204);
    }
}

/// Publishing is not for everybody.
fn check_publishers(proxy: &Proxy) {
    let stranger = Client::with_options(proxy.address, ConnectOptions::from_address([9, 9, 9]));
    let answer = stranger.post("/sessions/a/events", "text/plain", "x");
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!([403, 404].contains(&stranger.get("/nowhere").status));
}

#[test]
fn nginx_does_what_the_document_says() {
    let (hub, address) = (hub(), free_address());
    let proxy = nginx(address, &replace(&sample("nginx", "$is_public"), HUB, hub.address()));
    check(&hub, &proxy, "", &[]);
    check_publishers(&proxy);
    check_by_doctor(&hub, &proxy, "");
}

#[test]
fn two_nginx_in_a_row_do_what_one_does() {
    let (hub, inner, outer) = (hub(), free_address(), free_address());
    let text = sample("nginx", "$is_public");
    let inner = nginx(inner, &replace(&text, HUB, hub.address()));
    let outer = nginx(outer, &replace(&text, HUB, inner.address));
    check(&hub, &outer, "", &[]);
    check_by_doctor(&hub, &outer, "");
}

/// Over HTTP/1.0, which nginx speaks to whatever is behind it by default, it would buffer what the inner one sends.
#[test]
fn an_nginx_in_front_that_nobody_has_told_of_streams_does_not_delay_them() {
    let (hub, inner, outer) = (hub(), free_address(), free_address());
    let text = sample("nginx", "$is_public");
    let inner = nginx(inner, &replace(&text, HUB, hub.address()));
    let told = [
        "proxy_http_version 1.1;",
        "proxy_set_header Connection \"\";",
        "proxy_pass_header X-Accel-Buffering;",
    ];
    let plain = told.iter().fold(replace(&text, HUB, inner.address), |text, line| replace(&text, line, ""));
    let outer = nginx(outer, &plain);
    check(&hub, &outer, "", &[]);
}

#[test]
fn nginx_below_a_path_lets_in_whom_the_other_service_lets_in() {
    let (hub, address) = (hub(), free_address());
    let auth = TcpListener::bind("127.0.0.1:0").unwrap();
    let text = replace(&sample("nginx", "auth_request"), HUB, hub.address());
    let text = replace(&text, AUTH, auth.local_addr().unwrap());
    let proxy = nginx(address, &text);
    // Ends with the test's process: it waits for the next connection.
    std::thread::spawn(move || auth.incoming().flatten().for_each(|peer| drop(answer_auth(peer))));
    check(&hub, &proxy, "/hub", &[("Authorization", "Bearer good")]);
    check_by_doctor(&hub, &proxy, "/hub");
    let client = Client::new(address);
    assert_eq!(client.get("/hub/sessions/a/events").status, 401);
    assert_eq!(client.post("/hub/sessions/a/events", "text/plain", "x").status, 401);
    assert_eq!(client.get("/allowed").status, 404, "for nginx alone");
}

/// Says yes to one token.
fn answer_auth(mut peer: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        let mut some = [0; 4096];
        let count = peer.read(&mut some)?;
        if count == 0 {
            return Ok(());
        }
        request.extend_from_slice(&some[..count]);
    }
    let head = String::from_utf8_lossy(&request).to_ascii_lowercase();
    let is_known = head.contains("authorization: bearer good\r\n") && head.contains("x-original-uri: /hub/");
    let status = if is_known { "204 No Content" } else { "401 Unauthorized" };
    write!(peer, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

#[test]
fn caddy_does_what_the_document_says() {
    let (hub, address) = (hub(), free_address());
    let text = replace(&sample("caddy", "reverse_proxy"), HUB, hub.address());
    let text =
        replace(&text, "events.example.com {", format!("http://:{} {{\n    bind 127.0.0.1", address.port()));
    let text = replace(&text, "keepalive 60s", "keepalive 1s");
    let proxy = start_caddy(address, &text);
    check(&hub, &proxy, "", &[]);
    check_publishers(&proxy);
    check_by_doctor(&hub, &proxy, "");
}

#[test]
fn haproxy_does_what_the_document_says() {
    let (hub, address) = (hub(), free_address());
    let text = replace(&sample("haproxy", "frontend web"), HUB, hub.address());
    // Its look at the hub's health would be a connection of its own now and then.
    let text = replace(&text, "bind :80", format!("bind {address}"));
    let text = replace(&text, " check\n", "\n");
    let proxy = start_haproxy(address, &text);
    check(&hub, &proxy, "", &[]);
    check_publishers(&proxy);
    check_by_doctor(&hub, &proxy, "");
}

#[test]
fn apache_does_what_the_document_says() {
    let (hub, address) = (hub(), free_address());
    let text = replace(&sample("apache", "VirtualHost"), HUB, hub.address());
    let text = replace(&text, "*:80", address);
    let text = replace(&text, "ttl=60", "ttl=1");
    let proxy = start_apache(address, &[], &text);
    check(&hub, &proxy, "", &[]);
    check_publishers(&proxy);
    check_by_doctor(&hub, &proxy, "");
}
