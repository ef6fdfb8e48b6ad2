//! `watertight top` in a terminal: what its user sees of a real hub, what keys do, and that the terminal is always given
//! back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod terminal;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use terminal::{Terminal, WATERTIGHT};
use watertight_testkit::{Client, FaultProxy, HubProcess, Mode, eventually};

/// Often, so that tests need not wait.
const OFTEN: [&str; 2] = ["--interval", "0.1"];

fn top(url: &str) -> Terminal {
    Terminal::top(&[&[url][..], &OFTEN].concat())
}

/// The names of the rows that the screen shows, of these.
fn order<'a>(screen: &str, names: &[&'a str]) -> Vec<&'a str> {
    let named =
        |line: &str| names.iter().find(|name| line.split_whitespace().any(|word| word == **name)).copied();
    let below_head = screen.lines().skip_while(|line| !line.contains("EVENTS/S"));
    below_head.filter_map(named).collect()
}

#[test]
fn the_page_shows_a_hubs_figures_and_lists_and_keys_order_and_filter_them() {
    let hub = HubProcess::start(WATERTIGHT);
    let names = ["alpha", "beta", "gamma"];
    for (name, count) in names.into_iter().zip([2, 3, 1]) {
        for number in 0..count {
            hub.publish_json(name, &json!({ "data": number }));
        }
    }
    let readers: Vec<_> = ["gamma", "gamma", "beta"].map(|name| hub.subscribe(name)).into_iter().collect();
    let mut terminal = top(&hub.url(""));
    let screen = terminal.expect("by rate");
    for text in
        ["watertight  http://127.0.0.1", "readers 3", "sessions 3", "normal", "adds up", "Connections 3"]
    {
        assert!(screen.contains(text), "{text} in\n{screen}");
    }
    // By readers.
    terminal.keys("ss");
    terminal.expect_that(|screen| order(screen, &names) == ["gamma", "beta", "alpha"], "gamma, beta, alpha");
    terminal.keys("r");
    terminal.expect_that(|screen| order(screen, &names) == ["alpha", "beta", "gamma"], "alpha, beta, gamma");
    // By events.
    terminal.keys("s");
    terminal.expect_that(|screen| order(screen, &names) == ["beta", "alpha", "gamma"], "beta, alpha, gamma");
    terminal.keys("/AL");
    terminal
        .expect_that(|screen| order(screen, &names) == ["alpha"] && screen.contains("filter: AL"), "alpha");
    terminal.keys("\r\x1b");
    terminal.expect_that(|screen| order(screen, &names).len() == 3, "all of them");
    terminal.keys("\t");
    let sorted = |screen: &str| {
        let mut rows = order(screen, &names);
        rows.sort_unstable();
        rows
    };
    terminal.expect_that(|screen| sorted(screen) == ["beta", "gamma", "gamma"], "connections");
    terminal.keys("q");
    assert_eq!(terminal.wait().code(), Some(0));
    drop(readers);
}

#[test]
fn rates_and_latency_are_seen_while_events_flow() {
    let hub = HubProcess::start(WATERTIGHT);
    let reader = hub.subscribe("demo");
    let mut terminal = top(&hub.url(""));
    terminal.expect("demo");
    let seen = |screen: &str| {
        let line = screen.lines().find(|line| line.starts_with("events")).unwrap_or_default();
        let flows =
            |name: &str| !line.contains(&format!("{name} 0.0/s")) && !line.contains(&format!("{name} -"));
        line.contains("/s") && ["in", "out", "p50", "p99"].iter().all(|name| flows(name))
    };
    eventually!({
        hub.publish_text("demo", "tick");
        seen(&terminal.screen())
    });
    terminal.keys("q");
    assert_eq!(terminal.wait().code(), Some(0));
    drop(reader);
}

#[test]
fn a_connection_is_closed_after_two_answers_and_its_peer_is_told() {
    let hub = HubProcess::start(WATERTIGHT);
    let (mut closed, mut other) = (hub.subscribe("demo"), hub.subscribe("other"));
    let mut terminal = top(&hub.url(""));
    terminal.expect("Connections 2");
    terminal.keys("\t/demo\r");
    terminal.expect_that(|screen| order(screen, &["demo", "other"]) == ["demo"], "the connection alone");
    terminal.keys("x");
    terminal.expect("of nobody known, reading demo?");
    terminal.keys("n");
    terminal.expect("stays open");
    terminal.keys("xy");
    terminal.expect("DISCONNECTED. Close");
    terminal.keys("\r");
    closed.expect_closing_event("DISCONNECTED");
    terminal.expect("is closing");
    terminal.expect("Connections 1");
    hub.publish_text("other", "still there");
    assert_eq!(other.next_event().data, "still there");
    terminal.keys("\x03");
    assert_eq!(terminal.wait().code(), Some(0));
}

#[test]
fn a_session_is_watched_live_until_that_is_ended() {
    let hub = HubProcess::start(WATERTIGHT);
    hub.publish_text("demo", "before");
    let mut terminal = top(&hub.url(""));
    terminal.expect("demo");
    terminal.keys("w");
    terminal.expect("0 events  live");
    hub.publish_json("demo", &json!({ "type": "tick", "data": { "text": "\u{1b}[2J now" } }));
    let screen = terminal.expect("tick");
    assert!(screen.contains("1 events  live") && screen.contains("[2J now"), "{screen}");
    assert_eq!(hub.stats().live("subscription"), 1);
    terminal.keys("\x1b");
    terminal.expect_that(|screen| !screen.contains("tick"), "no more of it");
    eventually!(hub.stats().live("subscription") == 0);
    terminal.keys("q");
    assert_eq!(terminal.wait().code(), Some(0));
}

#[test]
fn the_terminal_is_given_back_after_each_signal_that_ends_a_program() {
    let hub = HubProcess::start(WATERTIGHT);
    for (signal, code) in [(Signal::HUP, 129), (Signal::INT, 130), (Signal::QUIT, 131), (Signal::TERM, 143)] {
        let mut terminal = top(&hub.url(""));
        terminal.expect("by rate");
        assert!(terminal.is_taken());
        terminal.signal(signal);
        assert_eq!(terminal.wait().code(), Some(code), "{signal:?}");
    }
}

#[test]
fn the_page_follows_the_size_of_the_terminal() {
    let hub = HubProcess::start(WATERTIGHT);
    hub.publish_text("demo", "x");
    let mut terminal = top(&hub.url(""));
    terminal.expect_that(|screen| screen.lines().any(|line| line.ends_with("STATE")), "all columns");
    terminal.resize(10, 40);
    terminal.expect_that(
        |screen| {
            screen.lines().any(|line| line.starts_with("SESSION") && line.len() <= 40)
                && !screen.contains("STATE")
        },
        "fewer columns",
    );
    terminal.resize(60, 200);
    terminal.expect_that(
        |screen| screen.lines().any(|line| line.len() == 200 && line.ends_with("STATE")),
        "wide columns",
    );
    terminal.keys("q");
    assert_eq!(terminal.wait().code(), Some(0));
}

#[test]
fn stopped_the_terminal_is_the_shells_and_continued_the_page_stands_there_again() {
    let hub = HubProcess::start(WATERTIGHT);
    // A shell with jobs: a command of its own has a process group that can be stopped and brought back.
    let script = "\"$0\" top \"$1\" --interval 0.1; echo stopped; read x; fg; echo over $?";
    let mut terminal = Terminal::start(24, 80, |command| {
        command.args(["bash", "--norc", "-m", "-c", script, WATERTIGHT, &hub.url("")])
    });
    terminal.expect("by rate");
    terminal.keys("\x1a");
    terminal.expect("stopped");
    terminal.expect_given_back();
    terminal.keys("\r");
    terminal.expect("by rate");
    assert!(terminal.is_taken());
    terminal.keys("q");
    terminal.expect("over 0");
    assert_eq!(terminal.wait().code(), Some(0));
}

#[test]
fn a_page_that_nobody_could_continue_is_not_stopped() {
    let hub = HubProcess::start(WATERTIGHT);
    let mut terminal = top(&hub.url(""));
    terminal.expect("by rate");
    terminal.keys("\x1a");
    kill_process(Pid::from_raw(i32::try_from(terminal.pid()).unwrap()).unwrap(), Signal::TSTP).unwrap();
    terminal.keys("\t");
    terminal.expect("by lag");
    terminal.keys("q");
    assert_eq!(terminal.wait().code(), Some(0));
}

#[test]
fn a_hub_that_is_gone_is_told_and_asked_again_until_it_is_back() {
    let hub = HubProcess::start(WATERTIGHT);
    let proxy = FaultProxy::start(hub.address());
    let mut terminal = top(&proxy.url(""));
    terminal.expect("by rate");
    proxy.set(Mode::Refuse);
    let screen = terminal.expect("cannot connect to");
    let words = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("figures are") && words.contains("asking again in"), "{screen}");
    proxy.set(Mode::Pass);
    terminal.expect_that(|screen| !screen.contains("cannot connect to"), "the hub again");
    terminal.keys("q");
    assert_eq!(terminal.wait().code(), Some(0));
}

#[test]
fn paused_the_hub_is_left_alone() {
    let hub = HubProcess::start(WATERTIGHT);
    let proxy = FaultProxy::start(hub.address());
    let mut terminal = top(&proxy.url(""));
    terminal.expect("by rate");
    terminal.keys("p");
    terminal.expect("PAUSED");
    // Whoever came before us has been let in once we are answered.
    let asked = || {
        let _ = Client::new(proxy.address()).get("/health/live").expect(200);
        proxy.accepted()
    };
    let before = asked();
    // Keys work meanwhile; the hub is asked when it goes on, and not before.
    for text in ["by lag", "by rate"].repeat(5) {
        terminal.keys("\t");
        terminal.expect(text);
    }
    assert_eq!(asked(), before + 1);
    terminal.keys("p");
    eventually!(proxy.accepted() > before + 1);
    terminal.expect_that(|screen| !screen.contains("PAUSED"), "it goes on");
    terminal.keys("q");
    assert_eq!(terminal.wait().code(), Some(0));
}

#[test]
fn no_color_is_kept_to() {
    let hub = HubProcess::start(WATERTIGHT);
    let has_color = |terminal: &Terminal| {
        let bytes = terminal.bytes();
        let mut sequences = bytes.split('\x1b').filter_map(|rest| rest.strip_prefix('[')?.split_once('m'));
        sequences.any(|(sequence, _)| {
            sequence.split(';').any(|part| part.starts_with('3') && part.len() == 2 && part != "39")
        })
    };
    for (name, colored) in [("NO_COLOR", false), ("COLOR", true)] {
        let url = hub.url("");
        let mut terminal =
            Terminal::start(24, 80, |command| command.args([WATERTIGHT, "top", &url]).env(name, "1"));
        terminal.expect("by rate");
        terminal.keys("q");
        assert_eq!(terminal.wait().code(), Some(0));
        assert_eq!(has_color(&terminal), colored, "{name}");
    }
}

#[test]
fn a_terminal_that_goes_away_ends_the_page() {
    let hub = HubProcess::start(WATERTIGHT);
    let mut terminal = top(&hub.url(""));
    terminal.expect("by rate");
    terminal.hang_up();
    assert_eq!(terminal.wait().code(), Some(129));
}
