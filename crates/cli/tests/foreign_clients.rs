//! Clients of others, as they are, against the real hub over a network that breaks: each sees every event once and in
//! order. (curl is in `protocols.rs`, Chromium's `EventSource` in `browser.rs`.)

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use watertight_testkit::{Cut, FaultProxy, HubProcess, Program, eventually};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

/// Events between two cuts of the network.
const EVENTS: usize = 40;

/// A file of the folder in which the clients are installed.
fn foreign(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../clients/foreign").join(file)
}

/// Starts a client of Node.js or of Python.
fn watch(script: &str, client: &str, url: &str) -> Program {
    let (program, installed) = match script {
        "watch.mjs" => (PathBuf::from("node"), foreign("node_modules")),
        _ => (python(), python()),
    };
    assert!(installed.exists(), "{} is not there: run `cargo xtask setup`", installed.display());
    Program::start(program, [foreign(script).to_str().unwrap(), client, url])
}

/// The Python that `cargo xtask setup` has prepared, below cargo's target directory.
fn python() -> PathBuf {
    Path::new(WATERTIGHT).ancestors().nth(2).unwrap().join("tools/python/bin/python")
}

/// The events that a client has printed: id, type and data of each.
fn printed(client: &Program) -> Vec<Vec<String>> {
    let fields = |line: &str| line.split('\t').map(str::to_owned).collect::<Vec<_>>();
    client.text().lines().map(fields).filter(|fields| fields.len() == 3).collect()
}

fn connections(client: &Program) -> usize {
    client.text().lines().filter(|line| *line == "open").count()
}

fn sees_every_event_once_and_in_order(script: &str, name: &str) {
    let hub = HubProcess::builder(WATERTIGHT).flag("--retry", "100ms").start();
    let proxy = FaultProxy::start(hub.address());
    let client = watch(script, name, &proxy.url("/sessions/demo/events"));
    eventually!(connections(&client) == 1);
    let mut expected = Vec::new();
    for (round, cut) in [Cut::Rst, Cut::Fin, Cut::Rst].into_iter().enumerate() {
        for number in 0..EVENTS {
            let data = format!("{round} {number} \u{fc}\u{1f980}");
            let id = hub.publish_text("demo", &data);
            expected.push(vec![id, "message".to_owned(), data]);
        }
        if round == 0 {
            // Its first connection has an id to come back with: what is published while it is away is not lost.
            eventually!(!printed(&client).is_empty());
        }
        proxy.cut(cut);
    }
    eventually!(printed(&client), |seen| seen.len() >= expected.len());
    assert_eq!(printed(&client), expected, "{name}: {}", client.errors());
    assert!(connections(&client) >= 2, "{name} has come back");
    drop(client);
    eventually!(hub.stats().live("subscription") == 0);
}

#[test]
fn eventsource_of_npm_sees_every_event_once_and_in_order() {
    sees_every_event_once_and_in_order("watch.mjs", "eventsource");
}

#[test]
fn launchdarkly_eventsource_sees_every_event_once_and_in_order() {
    sees_every_event_once_and_in_order("watch.mjs", "launchdarkly-eventsource");
}

#[test]
fn microsoft_fetch_event_source_sees_every_event_once_and_in_order() {
    sees_every_event_once_and_in_order("watch.mjs", "fetch-event-source");
}

#[test]
fn httpx_sse_sees_every_event_once_and_in_order() {
    sees_every_event_once_and_in_order("watch.py", "httpx-sse");
}

#[test]
fn sseclient_py_sees_every_event_once_and_in_order() {
    sees_every_event_once_and_in_order("watch.py", "sseclient-py");
}
