//! `watertight doctor` sees what real proxies do to streams: buffers, compression, time limits, clients that left, and how many
//! a browser can have.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod doctor_behind;
mod doctor_run;
mod proxy;

use doctor_behind::{apache, caddy, haproxy, haproxy_to, silent_hub, through};
use doctor_run::hub;
use proxy::Proxy;

const HAPROXY: &str = "    timeout server 60s\n";

#[test]
fn a_caddy_that_buffers_is_told() {
    let hub = hub();
    let diagnosis = through(&caddy(&hub, "", "buffer_responses\nmax_buffer_size 1MiB"), &[]);
    let mends = diagnosis.is("buffering", "wrong", "nothing came within");
    assert!(mends["caddy"].as_str().unwrap().contains("response_buffers"), "{mends}");
    diagnosis.left_nothing(&hub);
}

#[test]
fn a_haproxy_that_waits_for_bodies_is_told() {
    let hub = hub();
    let wait = "    http-response wait-for-body time 3s at-least 16k\n";
    let diagnosis = through(&haproxy(&hub, HAPROXY, wait), &[]);
    let mends = diagnosis.is("buffering", "wrong", "ends before its first byte: it is answered with 504");
    assert!(mends["haproxy"].as_str().unwrap().contains("wait-for-body"), "{mends}");
}

#[test]
fn an_apache_that_sends_streams_through_a_program_is_told() {
    let filter = "ExtFilterDefine cat mode=output cmd=/bin/cat\nSetOutputFilter cat";
    let diagnosis = through(&apache(&hub(), "flushpackets=on", &["ext_filter"], filter), &[]);
    let mends = diagnosis.is("buffering", "wrong", "nothing came within");
    assert!(mends["apache"].as_str().unwrap().contains("ExtFilterDefine"), "{mends}");
}

#[test]
fn a_haproxy_that_compresses_streams_is_told() {
    // It leaves alone what says no-transform, also where a rule of its own takes that off.
    let hub = hub();
    let inner = haproxy(&hub, HAPROXY, "    http-response del-header Cache-Control\n");
    let compression = "    compression algo gzip\n    compression type text/event-stream\n";
    let diagnosis = through(&haproxy_to(inner.address, HAPROXY, compression), &[]);
    assert!(!diagnosis.of("good").contains(&"compression"), "{diagnosis}");
}

fn cuts_off(proxy: &Proxy, name: &str, setting: &str) {
    let diagnosis = through(proxy, &["--patience", "5"]);
    let mends = diagnosis.is("idle-time-out", "wrong", "when it had been silent for ");
    assert!(mends[name].as_str().unwrap().contains(setting), "{mends}");
}

#[test]
fn a_caddy_that_cuts_silent_streams_off_is_told() {
    let upstream = "transport http {\nread_timeout 2s\n}";
    cuts_off(&caddy(&silent_hub(), "", upstream), "caddy", "read_timeout");
}

#[test]
fn an_apache_that_cuts_silent_streams_off_is_told() {
    cuts_off(&apache(&silent_hub(), "flushpackets=on timeout=2", &[], ""), "apache", "timeout=60");
}

#[test]
fn an_apache_that_notices_a_client_that_left_at_its_next_write_only_is_told() {
    let hub = silent_hub();
    let diagnosis = through(&apache(&hub, "flushpackets=on", &[], ""), &[]);
    let mends = diagnosis.is("leaving", "wrong", "not noticed within 1.0 s");
    assert!(mends["apache"].as_str().unwrap().contains("heartbeat_interval"), "{mends}");
}

#[test]
fn a_haproxy_that_notices_a_client_that_left_at_its_next_write_is_told_and_the_setting_mends_it() {
    let hub = silent_hub();
    let mends = through(&haproxy(&hub, HAPROXY, ""), &[]);
    let setting = mends.is("leaving", "wrong", "not noticed within 1.0 s")["haproxy"].as_str().unwrap();
    let mended = through(&haproxy(&hub, &format!("{HAPROXY}    {setting}\n"), ""), &["--patience", "6"]);
    mended.is_good_or_slow("leaving", "noticed within");
    mended.is("half-close", "slow", "not from the hub");
}

#[test]
fn a_haproxy_that_lets_one_address_have_six_streams_is_told() {
    let limit = "    stick-table type ip size 1k store conn_cur\n    http-request track-sc0 src\n\
                 \x20   http-request deny deny_status 429 if { sc0_conn_cur gt 6 }\n";
    through(&haproxy(&hub(), HAPROXY, limit), &[]).is("six-connections", "wrong", "429");
}
