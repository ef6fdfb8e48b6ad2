//! A key set over `https`: read from whom the machine trusts, and from nobody else.
//!
//! Whom the machine trusts is told by an environment variable, so the test runs itself again with it.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::{env, fs};

use crate::common::{Time, claims, jwk, key_set, settings, signing_key};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use watertight_access::{Algorithm, Outage, Refused, Settings, Verifier};
use watertight_testkit::Certificate;

/// Set in the second run of a test: the folder of the certificate that is trusted.
const SECOND_RUN: &str = "WATERTIGHT_TEST_SECOND_RUN";

#[test]
fn a_key_set_is_read_over_https_from_whom_the_machine_trusts() {
    if let Some(folder) = env::var_os(SECOND_RUN) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(trusted_and_not(Path::new(&folder)));
    }
    let dir = tempfile::tempdir().unwrap();
    let certificate = Certificate::write_into(dir.path());
    run_again(
        "a_key_set_is_read_over_https_from_whom_the_machine_trusts",
        dir.path(),
        &certificate.certificate,
    );
}

#[test]
fn a_machine_without_certificates_verifies_with_keys_of_its_own() {
    if env::var_os(SECOND_RUN).is_none() {
        let nowhere = Path::new("/nowhere");
        return run_again("a_machine_without_certificates_verifies_with_keys_of_its_own", nowhere, nowhere);
    }
    let token = crate::common::hs256(&claims());
    assert!(crate::common::now(&crate::common::verifier(&[crate::common::secret()]), &token).is_ok());
    let with_set = |url: &str| {
        Verifier::new(Settings { key_sets: vec![key_set(url, None)], ..settings(&Time::default()) })
    };
    assert!(with_set("http://127.0.0.1:1/keys").is_ok());
    let refused = with_set("https://login.example/keys").unwrap_err().to_string();
    assert!(refused.contains("ca-certificates") && refused.contains("SSL_CERT_FILE"), "{refused}");
}

/// Runs one test of this program again, on a machine that trusts the certificates of that file alone.
fn run_again(test: &str, folder: &Path, trusted: &Path) {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("encrypted::{test}"), "--nocapture"])
        .env("SSL_CERT_FILE", trusted)
        .env("SSL_CERT_DIR", "/nowhere")
        .env(SECOND_RUN, folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

async fn trusted_and_not(folder: &Path) {
    let trusted = Certificate { certificate: folder.join("cert.pem"), key: folder.join("key.pem") };
    let other = folder.join("other");
    fs::create_dir(&other).unwrap();
    let stranger = Certificate::write_into(&other);
    let token = signing_key("P256.pem", Algorithm::ES256).named("a").sign(&claims()).unwrap();
    for (certificate, is_trusted) in [(trusted, true), (stranger, false)] {
        let mut server = JoinSet::new();
        let url = serve(&certificate, &mut server).await;
        let key_sets = vec![key_set(&url, None)];
        let verifier = Verifier::new(Settings { key_sets, ..settings(&Time::default()) }).unwrap();
        match verifier.verify(&token).await {
            Ok(_) => assert!(is_trusted, "a stranger's keys were taken"),
            Err(Refused::Unavailable { why: Outage::KeySet, .. }) => {
                assert!(!is_trusted, "the issuer was not trusted")
            }
            Err(refused) => panic!("{refused:?}"),
        }
    }
}

/// Answers each connection with a key set.
async fn serve(certificate: &Certificate, server: &mut JoinSet<()>) -> String {
    let chain = vec![CertificateDer::from_pem_file(&certificate.certificate).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&certificate.key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://127.0.0.1:{}/keys", listener.local_addr().unwrap().port());
    let body = json!({ "keys": [jwk("P256.pub.pem", Some("a"))] }).to_string();
    server.spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            // A client that does not trust the certificate ends the handshake.
            let Ok(mut stream) = acceptor.accept(socket).await else { continue };
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all((head + &body).as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    url
}
