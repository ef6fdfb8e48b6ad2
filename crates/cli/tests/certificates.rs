//! A new certificate takes the place of the one before while the hub runs; a bad one does not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use watertight_testkit::{Certificate, HubProcess, Program, Signal, eventually};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

/// Replaces certificate and key in `dir` the way renewal tools do: each file by a rename.
fn renew(dir: &Path) {
    let other = tempfile::tempdir_in(dir).unwrap();
    let files = Certificate::write_into(other.path());
    for file in [files.key, files.certificate] {
        fs::rename(&file, dir.join(file.file_name().unwrap())).unwrap();
    }
}

/// Asks the hub something with a client that trusts nothing but `certificate`; whether it got an answer.
fn is_trusted(hub: &HubProcess, certificate: &Path) -> bool {
    let trusted = certificate.to_str().unwrap();
    let mut curl = Program::start("curl", ["-sSf", "--cacert", trusted, &hub.url("/health/live")]);
    curl.wait(watertight_testkit::PATIENCE).success()
}

fn metric(hub: &HubProcess, name: &str) -> Option<f64> {
    let text = hub.get("/metrics").expect(200).text();
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

const REPLACED: &str = "watertight_tls_certificate_reloads_total";
const REFUSED: &str = "watertight_tls_certificates_refused_total";

#[test]
fn a_hangup_reads_the_certificate_again_and_no_stream_is_lost() {
    let hub = HubProcess::builder(WATERTIGHT).tls().start();
    let mut stream = hub.subscribe("demo");
    let before = hub.dir().join("before.pem");
    fs::copy(hub.dir().join("cert.pem"), &before).unwrap();
    assert!(is_trusted(&hub, &before));
    renew(hub.dir());
    hub.signal(Signal::HUP);
    eventually!(metric(&hub, REPLACED) >= Some(1.0));
    assert!(is_trusted(&hub, &hub.dir().join("cert.pem")), "new connections are shown the new one");
    assert!(!is_trusted(&hub, &before), "and no longer the old one");
    hub.publish_text("demo", "still there");
    assert_eq!(stream.next_event().data, "still there");
    assert!(hub.log().contains("new certificate"), "{}", hub.log());
}

#[test]
fn a_changed_file_is_noticed_without_a_signal() {
    let hub = HubProcess::builder(WATERTIGHT).tls().start();
    renew(hub.dir());
    eventually!(is_trusted(&hub, &hub.dir().join("cert.pem")));
}

#[test]
fn a_bad_certificate_is_refused_and_the_one_before_stays() {
    let hub = HubProcess::builder(WATERTIGHT).tls().start();
    let (certificate, before) = (hub.dir().join("cert.pem"), hub.dir().join("before.pem"));
    fs::copy(&certificate, &before).unwrap();
    fs::write(&certificate, "nonsense").unwrap();
    hub.signal(Signal::HUP);
    eventually!(metric(&hub, REFUSED) >= Some(1.0));
    assert!(is_trusted(&hub, &before));
    let log = hub.log();
    assert!(log.contains("the certificate stays as it was") && log.contains("tls_cert"), "{log}");
    fs::copy(&before, &certificate).unwrap();
    eventually!(metric(&hub, REPLACED) >= Some(1.0));
}

#[test]
fn the_expiry_of_the_certificate_is_a_figure_and_absent_without_tls() {
    let name = "watertight_tls_certificate_expiry_timestamp_seconds";
    let tls = HubProcess::builder(WATERTIGHT).tls().start();
    // The test's certificate is good until the year 4096.
    assert!(metric(&tls, name) > Some(60_000_000_000.0), "{:?}", metric(&tls, name));
    let plain = HubProcess::start(WATERTIGHT);
    assert_eq!(metric(&plain, name), None);
}

#[test]
fn a_hangup_does_not_end_a_hub_without_tls() {
    let hub = HubProcess::start(WATERTIGHT);
    let mut stream = hub.subscribe("demo");
    hub.signal(Signal::HUP);
    eventually!(hub.log().contains("there is no file to read again"));
    hub.publish_text("demo", "still there");
    assert_eq!(stream.next_event().data, "still there");
}
