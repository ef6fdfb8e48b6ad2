//! `/services/metrics/stream`: real figures without configuration, one sampler for all who watch the same, and services that
//! fail or are slow without delaying the others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tokens have wall times")]

mod tokens;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;

use serde_json::Value;
use tokens::{ask, bearer, of, protected};
use watertight_testkit::stats::Stats;
use watertight_testkit::{ConnectOptions, Crowd, HubProcess, SseReader, eventually};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");
const STREAM: &str = "/services/metrics/stream";

fn next(stream: &mut SseReader) -> Value {
    let event = stream.next_event();
    assert_eq!(event.event_type, "metrics");
    serde_json::from_str(&event.data).unwrap()
}

/// A service in an event.
fn service<'a>(event: &'a Value, id: &str) -> &'a Value {
    let services = event["services"].as_array().unwrap();
    services.iter().find(|service| service["id"] == id).unwrap_or_else(|| panic!("no {id} in {event}"))
}

#[test]
fn without_configuration_the_host_streams_real_figures_at_once_and_then_every_interval() {
    let hub = HubProcess::start(WATERTIGHT);
    let mut stream = SseReader::open(hub.address(), &format!("{STREAM}?interval=1"), &[]);
    let first = next(&mut stream);
    assert_eq!(first["interval"], 1);
    let host = service(&first, "host");
    assert_eq!((&host["source"], &host["error"]), (&"host".into(), &Value::Null));
    assert!(host["figures"]["memoryBytes"].as_u64().unwrap() > 1 << 20, "{first}");
    assert_eq!(host["figures"]["cpuPercent"], Value::Null, "a first sample knows no rate: {first}");
    assert_eq!(host["missing"]["cpuPercent"], "first_sample");
    let second = next(&mut stream);
    let host = service(&second, "host");
    let percent = host["figures"]["cpuPercent"].as_f64().unwrap();
    // The kernel counts CPU time in steps.
    assert!((0.0..=120.0).contains(&percent), "{second}");
    let apart = second["sampledAt"].as_f64().unwrap() - first["sampledAt"].as_f64().unwrap();
    assert!((0.5..30.0).contains(&apart), "{apart} s apart");
    let page = hub.get("/connections").json();
    let connection = &page["connections"][0];
    assert_eq!((&connection["kind"], &connection["source"]["state"]), (&"metrics".into(), &"running".into()));
    hub.get(&format!("{STREAM}?interval=0.5")).expect_problem(400, "INVALID_PARAMETER");
    hub.get(&format!("{STREAM}?service=other")).expect_problem(404, "RESOURCE_NOT_FOUND");
    hub.get(&format!("{STREAM}?service=a%2Fb")).expect_problem(400, "INVALID_SERVICE");
}

#[test]
fn a_thousand_watchers_cause_one_sample_an_interval_and_none_is_left_after_the_last() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--source-linger", "300ms").start();
    let path = format!("{STREAM}?interval=1");
    let crowd = Crowd::connect(hub.address(), 1000, |_| (ConnectOptions::default(), path.clone()));
    let all_are_there = |stats: &Stats| stats.number("totalSubscribers") == 1000;
    let stats = eventually!(hub.stats(), |stats| {
        all_are_there(stats) && stats.number("metrics.serviceSamples") >= 3
    });
    assert_eq!((stats.live("source"), stats.number("totalSubscribers")), (1, 1000));
    assert_eq!(stats.number("metrics.sourcesStarted"), 1);
    // An event for each sample, and at most the one that is being made.
    let (samples, events) = (stats.number("metrics.serviceSamples"), stats.number("metrics.eventsPublished"));
    assert!(samples - events <= 1, "{samples} samples, {events} events");
    // Whoever comes gets the last sample at once, without one of its own.
    let mut late = SseReader::open(hub.address(), &path, &[]);
    next(&mut late);
    assert_eq!(hub.stats().live("source"), 1);
    drop((crowd, late));
    eventually!(hub.stats().live("source") == 0);
    let after = hub.stats();
    assert_eq!(
        (after.live("source"), after.number("metrics.sourcesStarted")),
        (0, 1),
        "and nothing else samples"
    );
}

/// An endpoint that answers every request with `answer`; with `None`, never.
fn endpoint(answer: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let Some(answer) = answer else {
                kept.push(connection);
                continue;
            };
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                while connection.read(&mut request).is_ok_and(|read| read > 0) {
                    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length";
                    let _gone = write!(connection, "{head}: {}\r\n\r\n{answer}", answer.len());
                }
            });
        }
    });
    url
}

fn config(dir: &Path, text: &str) -> String {
    let file = dir.join("hub.toml");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[test]
fn a_slow_or_failing_service_shows_as_such_and_never_delays_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let good = endpoint(Some("# TYPE up gauge\nup 1\nthis is no line\nother 2\n"));
    let hangs = endpoint(None);
    let file = config(
        dir.path(),
        &format!(
            "[services.good]\nprometheus = \"{good}\"\nfamilies = [\"up\"]\n[services.hangs]\nprometheus = \"{hangs}\"\n\
             [services.gone]\npid = 4194304\n[services.own]\npid = {}\n[services.nothing]\nowner = \"ada\"\n\
             [services.refused]\nprometheus = \"http://127.0.0.1:1/metrics\"\n",
            std::process::id()
        ),
    );
    let hub = HubProcess::builder(WATERTIGHT).flag("--config", &file).start();
    let mut stream = SseReader::open(hub.address(), &format!("{STREAM}?interval=1"), &[]);
    let first = next(&mut stream);
    let up = &service(&first, "good")["families"][0];
    assert_eq!((&up["name"], &up["samples"][0]["value"]), (&"up".into(), &1.into()));
    assert_eq!(service(&first, "good")["badLines"], 1);
    assert_eq!(service(&first, "hangs")["error"]["code"], "SLOW");
    assert_eq!(service(&first, "gone")["error"]["code"], "NO_SUCH_PROCESS");
    assert_eq!(service(&first, "nothing")["error"]["code"], "NO_SOURCE");
    assert_eq!(service(&first, "refused")["error"]["code"], "UNREACHABLE");
    assert!(service(&first, "own")["figures"]["memoryBytes"].as_u64().unwrap() > 1 << 20, "{first}");
    let timed_out = |event: &Value| service(event, "hangs")["error"]["code"] == "TIMEOUT";
    while !timed_out(&next(&mut stream)) {}
    // Taken out of the file while it is watched.
    config(dir.path(), &format!("[services.good]\nprometheus = \"{good}\"\n"));
    let is_out = |event: &Value| service(event, "own")["error"]["code"] == "NO_SUCH_SERVICE";
    while !is_out(&next(&mut stream)) {}
    assert_eq!(service(&next(&mut stream), "good")["error"], Value::Null);
}

#[test]
fn metrics_are_of_the_callers_services_and_a_stream_ends_when_one_is_taken_away() {
    let dir = tempfile::tempdir().unwrap();
    let table = |owner: &str| {
        config(
            dir.path(),
            &format!(
                "[services.api]\nowner = \"{owner}\"\nhost = true\n[services.db]\nowner = \"ada\"\nhost = true\n\
                 [services.web]\nowner = \"eve\"\nhost = true\n[services.base]\nhost = true\n"
            ),
        )
    };
    let file = table("ada");
    let hub = protected().flag("--config", &file).flag("--revalidate-interval", "500ms").start();
    let watch = |user: &str, path: &str| {
        SseReader::open(hub.address(), path, &[("Authorization", &bearer(&of(user).text()))])
    };
    let ids = |event: &Value| -> Vec<String> {
        event["services"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().into()).collect()
    };
    let mut ada = watch("ada", STREAM);
    assert_eq!(ids(&next(&mut ada)), ["api", "db"]);
    let mut one = watch("ada", &format!("{STREAM}?service=db"));
    assert_eq!(ids(&next(&mut one)), ["db"]);
    let refused = |user: &str, service: &str| {
        ask(&hub, "GET", &format!("{STREAM}?service={service}"), &of(user).text())
    };
    refused("ada", "web").expect_problem(403, "FORBIDDEN");
    refused("ada", "db,web").expect_problem(403, "FORBIDDEN");
    refused("ada", "base").expect_problem(403, "FORBIDDEN");
    refused("ada", "none").expect_problem(404, "RESOURCE_NOT_FOUND");
    ask(&hub, "GET", STREAM, &of("lin").text()).expect_problem(404, "RESOURCE_NOT_FOUND");
    table("eve");
    ada.expect_closing_event("FORBIDDEN");
    let mut eve = watch("eve", STREAM);
    assert_eq!(ids(&next(&mut eve)), ["api", "web"]);
    next(&mut one);
}

#[test]
fn a_stream_of_metrics_ends_exactly_at_its_age_in_the_words_of_its_seed() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--metrics-max-age", "1s").start();
    let mut stream = SseReader::open(hub.address(), STREAM, &[]);
    next(&mut stream);
    let closing = stream.expect_closing_event("TIMEOUT");
    assert_eq!(closing.error, "Connection timeout");
}
