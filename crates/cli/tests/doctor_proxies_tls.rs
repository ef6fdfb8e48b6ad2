//! `watertight doctor` sees how real proxies speak TLS: their certificates, and whether browsers get HTTP/2.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "certificates have wall times")]

mod doctor_behind;
mod doctor_run;
mod proxy;

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use doctor_behind::NGINX;
use doctor_run::{Diagnosis, doctor, hub};
use proxy::{Proxy, free_address, start_apache, start_caddy, start_haproxy, start_nginx};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use watertight_testkit::{Certificate, HubProcess};

const DAY: Duration = Duration::from_secs(86_400);

/// What the doctor says of a proxy that speaks TLS, trusting what is in this file.
fn over_tls(proxy: &Proxy, roots: &Path) -> Diagnosis {
    let url = format!("https://localhost:{}", proxy.address.port());
    doctor(&url, &["--ca", roots.to_str().unwrap()])
}

/// Each proxy over TLS, with this setting for HTTP/2. They do not ask whether a certificate is of use.
fn with_tls(hub: &HubProcess, name: &str, http2: &str, files: &Certificate) -> Proxy {
    let (address, hub) = (free_address(), hub.address());
    let (cert, key) = (files.certificate.display(), files.key.display());
    match name {
        "nginx" => {
            let tls = format!("ssl_certificate {cert}; ssl_certificate_key {key};");
            let location = format!("location / {{ proxy_pass http://{hub}; {NGINX} }}");
            start_nginx(address, &format!("server {{ listen {address} ssl {http2}; {tls} {location} }}\n"))
        }
        "caddy" => {
            let site = format!("https://localhost:{} {{\n    bind 127.0.0.1\n", address.port());
            start_caddy(address, &format!("{site}    tls {cert} {key}\n    reverse_proxy {hub}\n}}\n"))
        }
        "haproxy" => {
            let together = files.certificate.with_extension("both");
            let pem = [&files.certificate, &files.key].map(|file| std::fs::read_to_string(file).unwrap());
            std::fs::write(&together, pem.concat()).unwrap();
            let head = "defaults\n    mode http\n    timeout connect 5s\n    timeout client 60s\n    timeout server 60s\n";
            let bind = format!("    bind {address} ssl crt {} {http2}\n", together.display());
            let sections = format!(
                "{head}frontend web\n{bind}    default_backend hub\nbackend hub\n    server hub {hub}\n"
            );
            start_haproxy(address, &sections)
        }
        "apache" => {
            let tls =
                format!("SSLEngine on\nSSLCertificateFile {cert}\nSSLCertificateKeyFile {key}\n{http2}\n");
            let pass = format!(
                "AllowEncodedSlashes NoDecode\nProxyPreserveHost On\nProxyPass \"/\" \"http://{hub}/\" nocanon flushpackets=on\n"
            );
            let text = format!("<VirtualHost {address}>\n{tls}{pass}</VirtualHost>\n");
            start_apache(address, &["ssl", "http2"], &text)
        }
        _ => panic!("{name} is no proxy"),
    }
}

#[test]
fn over_tls_each_proxy_gives_a_browser_all_its_streams_in_one_connection_if_it_is_told_to() {
    let (hub, dir) = (hub(), tempfile::tempdir().unwrap());
    let files = Certificate::write_into(dir.path());
    for (name, with, without) in [
        ("nginx", "http2", Some("")),
        // By itself.
        ("caddy", "", None),
        ("haproxy", "alpn h2,http/1.1", Some("alpn http/1.1")),
        ("apache", "Protocols h2 http/1.1", Some("")),
    ] {
        let good = over_tls(&with_tls(&hub, name, with, &files), &files.certificate);
        good.is("six-connections", "good", "HTTP/2");
        good.is("certificate", "good", "1 in the chain");
        if let Some(without) = without {
            let slow = over_tls(&with_tls(&hub, name, without, &files), &files.certificate);
            let mends = slow.is("six-connections", "slow", "a browser opens six");
            assert!(mends[name].as_str().unwrap().contains(with), "{mends}");
        }
    }
}

/// A certificate that vouches for itself, written into this folder.
fn certificate(dir: &Path, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Certificate {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    written(dir, &params.self_signed(&key).unwrap().pem(), &key)
}

fn written(dir: &Path, pem: &str, key: &KeyPair) -> Certificate {
    let files = Certificate { certificate: dir.join("cert.pem"), key: dir.join("key.pem") };
    fs::write(&files.certificate, pem).unwrap();
    fs::write(&files.key, key.serialize_pem()).unwrap();
    files
}

#[test]
fn a_certificate_that_is_of_no_use_any_more_not_yet_or_for_another_name_is_told() {
    let hub = hub();
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let days_from_now = |days: u32| date_time_ymd(1970, 1, 1) + since_1970 + days * DAY;
    let check =
        |proxy: &str, name: &str, verdict: &str, text: &str, change: &dyn Fn(&mut CertificateParams)| {
            let dir = tempfile::tempdir().unwrap();
            let files = certificate(dir.path(), name, change);
            let diagnosis = over_tls(&with_tls(&hub, proxy, "", &files), &files.certificate);
            diagnosis.is("certificate", verdict, text);
            assert_eq!(
                diagnosis.names().len() > 1,
                verdict == "slow",
                "nothing is sent where it is wrong: {diagnosis}"
            );
        };
    check("nginx", "localhost", "wrong", "it has expired", &|params| {
        params.not_after = date_time_ymd(2020, 1, 1)
    });
    check("caddy", "localhost", "wrong", "not valid yet", &|params| params.not_before = days_from_now(2));
    check("haproxy", "other.example", "wrong", "for another name", &|_| {});
    check(
        "apache",
        "localhost",
        "slow",
        "valid for 5 more days, 1 in the chain: it should have been renewed",
        &|params| {
            // Whole days are told, and the certificate has whole seconds: so it is not on the border of two.
            params.not_after = days_from_now(5) + DAY / 2;
        },
    );
}

#[test]
fn a_chain_that_is_not_complete_is_told_and_the_full_one_mends_it() {
    let (hub, dir) = (hub(), tempfile::tempdir().unwrap());
    let authority = |name: &str| {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params
    };
    let keys = [(); 3].map(|()| KeyPair::generate().unwrap());
    let (root, middle) = (authority("Root"), authority("Middle"));
    let roots = dir.path().join("roots.pem");
    fs::write(&roots, root.self_signed(&keys[0]).unwrap().pem()).unwrap();
    let middle_pem = middle.signed_by(&keys[1], &Issuer::from_params(&root, &keys[0])).unwrap().pem();
    let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let own_pem = own.signed_by(&keys[2], &Issuer::from_params(&middle, &keys[1])).unwrap().pem();

    let alone = written(dir.path(), &own_pem, &keys[2]);
    let wrong = over_tls(&with_tls(&hub, "nginx", "", &alone), &roots);
    wrong.is("certificate", "wrong", "the chain is incomplete");
    assert_eq!(wrong.names(), ["certificate"], "nothing is sent, the token least of all");
    let full = written(dir.path(), &format!("{own_pem}{middle_pem}"), &keys[2]);
    over_tls(&with_tls(&hub, "nginx", "", &full), &roots).is("certificate", "good", "2 in the chain");
}
