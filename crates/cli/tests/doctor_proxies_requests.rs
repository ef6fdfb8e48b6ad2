//! `watertight doctor` sees what real proxies do to single requests and their answers: fields, origins, bodies, redirects,
//! hosts, paths, clients that close their side.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod doctor_behind;
mod doctor_run;
mod proxy;

use std::time::Duration;

use doctor_behind::{NGINX, apache, caddy, caddy_to, haproxy, nginx, nginx_to, through};
use doctor_run::{Diagnosis, WATERTIGHT, hub};
use proxy::{Proxy, free_address, start_apache, start_caddy, start_haproxy};
use watertight_testkit::{FaultProxy, HubProcess, proxy::Mode};

const HAPROXY: &str = "    timeout server 60s\n";
const APACHE: &str = "flushpackets=on";
const ORIGIN: [&str; 2] = ["--origin", "https://app.example"];

fn hub_for_pages() -> HubProcess {
    let hub = HubProcess::builder(WATERTIGHT).flag("--heartbeat-interval", "1s");
    hub.flag("--cors-origins", ORIGIN[1]).start()
}

#[test]
fn x_accel_buffering_that_haproxy_or_apache_takes_off_is_told() {
    let hub = hub();
    let drop = "    http-response del-header X-Accel-Buffering\n";
    through(&haproxy(&hub, HAPROXY, drop), &[]).is("x-accel-buffering", "slow", "taken off");
    let drop = "Header unset X-Accel-Buffering\n";
    let apache = apache(&hub, APACHE, &["headers"], drop);
    through(&apache, &[]).is("x-accel-buffering", "slow", "taken off");
}

#[test]
fn a_second_answer_to_the_question_of_an_origin_is_told_of_caddy_haproxy_and_apache() {
    let hub = hub_for_pages();
    for proxy in [
        caddy(&hub, "", "header_down +Access-Control-Allow-Origin *"),
        haproxy(&hub, HAPROXY, "    http-response add-header Access-Control-Allow-Origin *\n"),
        apache(&hub, APACHE, &["headers"], "Header add Access-Control-Allow-Origin *\n"),
    ] {
        through(&proxy, &ORIGIN).is("cors", "wrong", "2 fields");
    }
}

#[test]
fn a_preflight_that_a_proxy_does_not_let_pass_is_told() {
    let hub = hub_for_pages();
    for proxy in [
        nginx(&hub, &format!("{NGINX} if ($request_method = OPTIONS) {{ return 405; }}")),
        caddy(&hub, "    @options method OPTIONS\n    respond @options 405\n", ""),
        haproxy(&hub, HAPROXY, "    http-request deny deny_status 405 if METH_OPTIONS\n"),
        apache(
            &hub,
            APACHE,
            &["rewrite"],
            "RewriteEngine On\nRewriteCond %{REQUEST_METHOD} OPTIONS\nRewriteRule ^ - [R=405,L]\n",
        ),
    ] {
        through(&proxy, &ORIGIN).is("cors", "wrong", "the preflight: is answered with 405");
    }
}

#[test]
fn a_haproxy_that_takes_small_bodies_only_is_told() {
    let deny = "    http-request deny deny_status 413 if { req.hdr_val(content-length) gt 300000 }\n";
    let diagnosis = through(&haproxy(&hub(), HAPROXY, deny), &[]);
    diagnosis.is("body-limit", "wrong", "256 KiB pass");
}

#[test]
fn redirects_of_caddy_haproxy_and_apache_are_followed_and_told() {
    let hub = hub();
    let there = nginx(&hub, NGINX);
    for (status, verdict, text) in [(308, "slow", "use that URL"), (302, "wrong", "GET instead of POST")] {
        let (at, to) = ([(); 3].map(|()| free_address()), there.address);
        let site = format!(
            "http://:{} {{\n    bind 127.0.0.1\n    redir http://{to}{{uri}} {status}\n}}\n",
            at[0].port()
        );
        let front = format!(
            "defaults\n    mode http\n    timeout client 60s\n    timeout connect 5s\n    timeout server 60s\n\
             frontend web\n    bind {}\n    http-request redirect prefix http://{to} code {status}\n",
            at[1]
        );
        let host =
            format!("<VirtualHost {}>\nRedirect {status} \"/\" \"http://{to}/\"\n</VirtualHost>\n", at[2]);
        let proxies =
            [start_caddy(at[0], &site), start_haproxy(at[1], &front), start_apache(at[2], &["alias"], &host)];
        for proxy in &proxies {
            let diagnosis = through(proxy, &[]);
            diagnosis.is("redirects", verdict, text);
            diagnosis.is("idempotency-key", "good", "passed on");
        }
    }
}

#[test]
fn a_host_that_caddy_or_haproxy_changes_is_told() {
    let hub = hub();
    through(&caddy(&hub, "", "header_up Host localhost:1"), &[]).is("host", "wrong", "changed");
    let set = "    http-request set-header Host localhost:1\n";
    through(&haproxy(&hub, HAPROXY, set), &[]).is("host", "wrong", "changed");
}

#[test]
fn a_path_that_haproxy_or_apache_decodes_or_refuses_is_told() {
    let hub = hub();
    let decode = "    http-request set-path %[path,url_dec]\n";
    through(&haproxy(&hub, HAPROXY, decode), &[]).is("encoded-slash", "wrong", "cannot be reached");
    let refuse = apache(&hub, APACHE, &[], "AllowEncodedSlashes Off\n");
    through(&refuse, &[]).is("encoded-slash", "wrong", "404, not from the hub");
}

#[test]
fn http_1_0_between_apache_and_the_hub_is_told() {
    let hub = hub();
    let old = apache(&hub, APACHE, &["env"], "SetEnv force-proxy-request-1.0 1\n");
    let diagnosis = through(&old, &[]);
    let mends = diagnosis.is("http-version", "slow", "HTTP/1.0 to the hub");
    assert!(mends["apache"].as_str().unwrap().contains("force-proxy-request-1.0"), "{mends}");
}

#[test]
fn a_clock_that_is_wrong_is_told_and_by_how_much() {
    let hub = hub();
    // What the hub says of its time becomes what a hub would say whose clock is far ahead.
    let ahead = "sub_filter_types application/json; sub_filter '\"time\":' '\"time\":1'; sub_filter_once on;";
    let diagnosis = through(&nginx(&hub, &format!("{NGINX} {ahead}")), &[]);
    let mends = diagnosis.is("clock", "wrong", "s ahead of this machine's");
    assert!(mends["hub"].as_str().unwrap().contains("NTP"), "{mends}");
}

#[test]
fn proxies_without_their_hub_are_told_from_what_is_no_hub() {
    // It is gone; nobody listens where it was.
    let gone = hub();
    let proxies: [Proxy; 3] =
        [caddy(&gone, "", ""), haproxy(&gone, HAPROXY, ""), apache(&gone, APACHE, &[], "")];
    drop(gone);
    for proxy in &proxies {
        let diagnosis = through(proxy, &[]);
        diagnosis.is("connection", "wrong", "a proxy does not reach the hub");
        assert_eq!(diagnosis.code, Some(1), "{diagnosis}");
    }
}

/// What the doctor says of half closes, where the hub's answer takes long enough to be waited for.
fn half_close(proxy: impl FnOnce(std::net::SocketAddr) -> Proxy) -> Diagnosis {
    // The largest body that it takes has to come to it as slowly.
    let hub = HubProcess::builder(WATERTIGHT).flag("--max-body-bytes", "256KiB").start();
    let far = FaultProxy::start(hub.address());
    far.set(Mode::Delay(Duration::from_millis(100)));
    through(&proxy(far.address()), &[])
}

#[test]
fn a_proxy_that_takes_a_half_close_for_an_end_is_told_and_the_setting_that_is_told_mends_it() {
    let slow = half_close(|hub| nginx_to(hub, NGINX));
    let mends = slow.is("half-close", "slow", "gets no answer");
    let setting = mends["nginx"].as_str().unwrap().split_inclusive(';').next().unwrap();
    half_close(|hub| nginx_to(hub, &format!("{NGINX} {setting}"))).is(
        "half-close",
        "good",
        "gets the answer",
    );
    half_close(|hub| caddy_to(hub, "", "")).is("half-close", "slow", "gets no answer");
}
