//! `watertight doctor` through real proxies: set up well, and wrong in one way after the other.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod doctor_behind;
mod doctor_run;
mod proxy;

use doctor_behind::{DROPPED, NGINX, apache, caddy, haproxy, nginx, silent_hub, through};
use doctor_run::{Diagnosis, WATERTIGHT, hub};
use proxy::{free_address, start_nginx};
use watertight_testkit::HubProcess;

/// All is as it should be, but for what HTTP/1.1 in clear cannot do better, and for a proxy that takes a half close for
/// an end before the answer is there.
fn is_well(diagnosis: &Diagnosis, hub: &HubProcess) {
    diagnosis.is_good_but_for(&["six-connections", "certificate", "cors", "half-close"]);
    diagnosis.left_nothing(hub);
}

#[test]
fn nothing_is_wrong_with_an_nginx_that_is_set_up_well() {
    let hub = hub();
    let diagnosis = through(&nginx(&hub, NGINX), &["--patience", "4"]);
    is_well(&diagnosis, &hub);
    assert!(diagnosis.json["proxy"].as_str().unwrap().contains("nginx"), "{diagnosis}");
}

#[test]
fn nothing_is_wrong_with_a_caddy_that_is_set_up_well() {
    let hub = hub();
    let diagnosis = through(&caddy(&hub, "", ""), &["--patience", "4"]);
    is_well(&diagnosis, &hub);
    assert!(diagnosis.json["proxy"].as_str().unwrap().contains("Caddy"), "{diagnosis}");
}

#[test]
fn nothing_is_wrong_with_a_haproxy_that_is_set_up_well() {
    let hub = hub();
    let diagnosis = through(&haproxy(&hub, "    timeout server 60s", ""), &["--patience", "6"]);
    is_well(&diagnosis, &hub);
    assert!(diagnosis.json["proxy"].is_null(), "it does not show itself: {diagnosis}");
}

#[test]
fn nothing_is_wrong_with_an_apache_that_is_set_up_well() {
    let hub = hub();
    let diagnosis = through(&apache(&hub, "flushpackets=on", &[], ""), &["--patience", "6"]);
    is_well(&diagnosis, &hub);
    assert!(diagnosis.json["proxy"].as_str().unwrap().contains("Apache"), "{diagnosis}");
}

#[test]
fn an_nginx_that_nobody_has_told_of_streams_changes_the_host_and_refuses_large_bodies() {
    let hub = hub();
    let diagnosis = through(&nginx(&hub, ""), &[]);
    let mends = diagnosis.is("body-limit", "wrong", "413, not from the hub); 1 MiB pass");
    assert_eq!(mends, &serde_json::json!({ "nginx": "client_max_body_size 8m;" }), "of nginx alone");
    diagnosis.is("host", "wrong", "changed");
    diagnosis.is("x-accel-buffering", "slow", "second proxy");
    assert_eq!(diagnosis.code, Some(1));
    diagnosis.left_nothing(&hub);
}

#[test]
fn http_1_0_between_proxy_and_hub_is_told() {
    let hub = hub();
    let diagnosis = through(&nginx(&hub, &NGINX.replace("1.1", "1.0")), &[]);
    diagnosis.is("http-version", "slow", "HTTP/1.0 to the hub");
}

#[test]
fn an_nginx_that_buffers_is_told_and_how_much_it_holds() {
    let hub = hub();
    // Over HTTP/1.0 it cannot tell where what the hub sent ends.
    let buffering = format!("{} proxy_ignore_headers X-Accel-Buffering;", NGINX.replace("1.1", "1.0"));
    let diagnosis = through(&nginx(&hub, &buffering), &[]);
    let mends = diagnosis.is("buffering", "wrong", "KiB more were sent");
    assert!(mends["nginx"].as_str().unwrap().contains("proxy_buffering off"), "{mends}");
    diagnosis.left_nothing(&hub);
}

#[test]
fn an_nginx_that_compresses_streams_is_told() {
    let hub = hub();
    let gzip = format!("{NGINX} gzip on; gzip_proxied any; gzip_types text/event-stream;");
    let diagnosis = through(&nginx(&hub, &gzip), &[]);
    diagnosis.is("compression", "slow", "gzip: events come at once");
}

#[test]
fn an_nginx_that_cuts_silent_streams_off_is_told_and_when_it_does() {
    let hub = silent_hub();
    let diagnosis = through(&nginx(&hub, &format!("{NGINX} proxy_read_timeout 2s;")), &["--patience", "5"]);
    let mends = diagnosis.is("idle-time-out", "wrong", "when it had been silent for ");
    assert_eq!(mends["nginx"], "proxy_read_timeout 60s;");
}

#[test]
fn a_proxy_that_keeps_a_stream_whose_client_has_left_is_told() {
    let hub = silent_hub();
    let diagnosis = through(&nginx(&hub, &format!("{NGINX} proxy_ignore_client_abort on;")), &[]);
    let mends = diagnosis.is("leaving", "wrong", "not noticed within 1.0 s");
    assert_eq!(mends["nginx"], "proxy_ignore_client_abort off;");
}

fn dropped(diagnosis: &Diagnosis) {
    for name in DROPPED {
        diagnosis.is(name, "wrong", "dropped");
    }
    diagnosis.is("host", "good", "passed on");
}

#[test]
fn fields_that_nginx_drops_are_told() {
    let drop = DROPPED.map(|name| format!("proxy_set_header {name} \"\";")).concat();
    dropped(&through(&nginx(&hub(), &format!("{NGINX} {drop}")), &[]));
}

#[test]
fn fields_that_caddy_drops_are_told() {
    dropped(&through(&caddy(&hub(), "", &DROPPED.map(|name| format!("header_up -{name}\n")).concat()), &[]));
}

#[test]
fn fields_that_haproxy_drops_are_told() {
    let drop = DROPPED.map(|name| format!("    http-request del-header {name}\n")).concat();
    dropped(&through(&haproxy(&hub(), "    timeout server 60s", &drop), &[]));
}

#[test]
fn fields_that_apache_drops_are_told() {
    let drop = DROPPED.map(|name| format!("RequestHeader unset {name}\n")).concat();
    dropped(&through(&apache(&hub(), "flushpackets=on", &["headers"], &drop), &[]));
}

#[test]
fn a_field_that_is_taken_off_answers_is_told() {
    let diagnosis = through(&caddy(&hub(), "", "header_down -X-Accel-Buffering"), &[]);
    diagnosis.is("x-accel-buffering", "slow", "taken off");
}

#[test]
fn a_caddy_with_a_body_limit_and_compression_is_told() {
    let site = "    request_body {\n        max_size 512KB\n    }\n    encode {\n        gzip\n        minimum_length 1\n        match {\n\
                \x20           header Content-Type text/event-stream*\n        }\n    }";
    // It leaves alone what says no-transform.
    let diagnosis = through(&caddy(&hub(), site, "header_down -Cache-Control"), &[]);
    diagnosis.is("body-limit", "wrong", "256 KiB pass");
    let mends = diagnosis.is("compression", "wrong", "gzip: an event did not come");
    assert!(mends["caddy"].as_str().unwrap().contains("encode"), "{mends}");
}

#[test]
fn a_haproxy_with_a_short_time_out_is_told_with_the_settings_of_all_because_it_does_not_show_itself() {
    let diagnosis = through(&haproxy(&silent_hub(), "    timeout server 2s", ""), &["--patience", "5"]);
    let mends = diagnosis.is("idle-time-out", "wrong", "when it had been silent for ");
    assert!(mends["haproxy"].is_string() && mends["nginx"].is_string(), "{mends}");
}

#[test]
fn an_apache_that_takes_small_bodies_only_and_changes_the_host_is_told() {
    let host = "ProxyPreserveHost Off\n<Location \"/\">\n<If \"%{HTTP:Content-Length} -gt 300000\">\n\
                Require all denied\n</If>\n</Location>";
    let diagnosis = through(&apache(&hub(), "flushpackets=on", &[], host), &[]);
    diagnosis.is("body-limit", "wrong", "256 KiB pass");
    diagnosis.is("host", "wrong", "changed");
}

#[test]
fn an_apache_that_compresses_streams_is_told() {
    let gzip = "SetOutputFilter DEFLATE\nHeader unset Cache-Control";
    let diagnosis = through(
        &apache(&hub(), "flushpackets=on", &["headers", "filter", "deflate"], gzip),
        &["--patience", "6"],
    );
    assert!(!diagnosis.of("good").contains(&"compression"), "{diagnosis}");
}

#[test]
fn a_path_that_is_decoded_on_the_way_is_told() {
    let hub = hub();
    let (address, to) = (free_address(), hub.address());
    let server = format!("listen {address}; location / {{ proxy_pass http://{to}/; {NGINX} }}");
    let diagnosis = through(&start_nginx(address, &format!("server {{ {server} }}\n")), &[]);
    diagnosis.is("encoded-slash", "wrong", "404 NOT_FOUND");
}

#[test]
fn a_redirect_is_followed_and_told_by_what_it_does_to_a_post() {
    let hub = hub();
    let there = nginx(&hub, NGINX);
    for (status, verdict, text) in [(308, "slow", "use that URL"), (301, "wrong", "GET instead of POST")] {
        let address = free_address();
        let to = format!("return {status} http://{}$request_uri;", there.address);
        let here = start_nginx(address, &format!("server {{ listen {address}; {to} }}\n"));
        let diagnosis = through(&here, &[]);
        diagnosis.is("redirects", verdict, text);
        diagnosis.is("idempotency-key", "good", "passed on");
    }
}

#[test]
fn a_redirect_that_leads_in_circles_or_elsewhere_ends_the_examination() {
    for (to, text) in [("http://$http_host$request_uri", "a loop"), ("/sign-in", "not the same call")] {
        let address = free_address();
        let server = format!("server {{ listen {address}; return 307 {to}; }}\n");
        let diagnosis = through(&start_nginx(address, &server), &[]);
        diagnosis.is("redirects", "wrong", text);
        assert_eq!((diagnosis.code, diagnosis.of("wrong")), (Some(1), vec!["redirects"]), "{diagnosis}");
    }
}

#[test]
fn a_second_answer_to_the_question_of_an_origin_is_told() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--heartbeat-interval", "1s");
    let hub = hub.flag("--cors-origins", "https://app.example").start();
    let origin = ["--origin", "https://app.example"];
    through(&nginx(&hub, NGINX), &origin).is("cors", "good", "read and publish");
    let twice = format!("{NGINX} add_header Access-Control-Allow-Origin * always;");
    through(&nginx(&hub, &twice), &origin).is("cors", "wrong", "2 fields");
}

#[test]
fn what_cannot_be_known_without_the_hub_is_not_guessed() {
    let hub = hub();
    let (address, to) = (free_address(), hub.address());
    let server = format!("listen {address}; location /sessions/ {{ proxy_pass http://{to}; {NGINX} }}");
    let diagnosis = through(&start_nginx(address, &format!("server {{ {server} }}\n")), &[]);
    for name in ["http-version", "authorization", "body-limit", "clock"] {
        diagnosis.is(name, "not tested", "/doctor answers 404, not from the hub");
    }
    diagnosis.is("last-event-id", "good", "passed on");
}

#[test]
fn a_proxy_that_lets_one_address_have_six_streams_is_told() {
    let hub = hub();
    let (address, to) = (free_address(), hub.address());
    let zone = "limit_conn_zone $binary_remote_addr zone=one:1m;";
    let server =
        format!("listen {address}; location / {{ proxy_pass http://{to}; {NGINX} limit_conn one 6; }}");
    let diagnosis = through(&start_nginx(address, &format!("{zone} server {{ {server} }}\n")), &[]);
    diagnosis.is("six-connections", "wrong", "503");
}

#[test]
fn a_proxy_without_its_hub_is_told_from_one_that_is_not_there() {
    let address = free_address();
    let nobody = free_address();
    let server = format!("server {{ listen {address}; location / {{ proxy_pass http://{nobody}; }} }}\n");
    let diagnosis = through(&start_nginx(address, &server), &[]);
    let mends = diagnosis.is("connection", "wrong", "502: a proxy does not reach the hub");
    assert!(mends["nginx"].as_str().unwrap().contains("proxy_pass"), "{mends}");
}
