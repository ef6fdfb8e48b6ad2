//! `https`: whom a subscriber trusts, and that its sockets close there, too.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use common::memory::{next_data, until_status};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use watertight_client::{Error, Publisher, Status, Subscriber, tls};
use watertight_testkit::Certificate;

struct Server {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    files: Certificate,
    /// Holds the files.
    _dir: TempDir,
}

impl Server {
    async fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let files = Certificate::write_into(dir.path());
        let certificate = CertificateDer::from_pem_file(&files.certificate).unwrap();
        let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)), files, _dir: dir }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}/", self.listener.local_addr().unwrap().port())
    }

    async fn socket(&self) -> TcpStream {
        self.listener.accept().await.unwrap().0
    }

    /// The next connection, and the head of its request.
    async fn accept(&self) -> (TlsStream<TcpStream>, String) {
        let mut stream = self.acceptor.accept(self.socket().await).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        (stream, String::from_utf8(head).unwrap())
    }
}

#[tokio::test]
async fn a_stream_over_tls_is_a_stream_and_dropping_it_closes_the_socket() {
    let server = Server::start().await;
    let config = tls::roots_from_pem(&server.files.certificate).unwrap();
    let mut subscriber = Subscriber::new(&server.url(), "demo").unwrap().with_tls_config(&config);
    let serve = async {
        let (mut stream, head) = server.accept().await;
        assert!(head.starts_with("GET /sessions/demo/events HTTP/1.1\r\n"), "{head}");
        stream.write_all(common::STREAM.as_bytes()).await.unwrap();
        stream.write_all(b"data: x\n\n").await.unwrap();
        stream.flush().await.unwrap();
        stream
    };
    let (mut stream, data) = tokio::join!(serve, next_data(&mut subscriber));
    assert_eq!(data, "x");
    drop(subscriber);
    // No farewell: the socket is simply closed.
    assert!(stream.read(&mut [0; 64]).await.is_err());
}

#[tokio::test]
async fn who_is_not_trusted_is_not_spoken_to() {
    let server = Server::start().await;
    let another = Server::start().await;
    let config = tls::roots_from_pem(&another.files.certificate).unwrap();
    let mut subscriber = Subscriber::new(&server.url(), "demo").unwrap().with_tls_config(&config);
    let serve = async { server.acceptor.accept(server.socket().await).await.map(|_| ()) };
    let told = until_status(&mut subscriber, |status| matches!(status, Status::Waiting { .. }));
    let (served, told) = tokio::join!(serve, told);
    assert!(served.is_err());
    let Status::Waiting { reason, .. } = told else { unreachable!() };
    assert!(reason.contains("certificate"), "{reason}");
}

#[tokio::test]
async fn dropped_in_the_middle_of_a_handshake_it_closes_the_socket() {
    let server = Server::start().await;
    let config = tls::roots_from_pem(&server.files.certificate).unwrap();
    let mut subscriber = Subscriber::new(&server.url(), "demo").unwrap().with_tls_config(&config);
    let mut socket = tokio::select! {
        socket = server.socket() => socket,
        () = common::memory::drive(&mut subscriber) => unreachable!(),
    };
    drop(subscriber);
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).await.ok();
}

#[tokio::test]
async fn a_publisher_speaks_tls_too() {
    let server = Server::start().await;
    let config = tls::roots_from_pem(&server.files.certificate).unwrap();
    let publisher = Publisher::new(&server.url()).unwrap().with_tls_config(&config);
    let serve = async {
        let (mut stream, head) = server.accept().await;
        assert!(head.starts_with("POST /sessions/demo/events HTTP/1.1\r\n"), "{head}");
        let answer = b"HTTP/1.1 202 Accepted\r\ncontent-length: 12\r\n\r\n{\"id\":\"7-1\"}";
        stream.write_all(answer).await.unwrap();
        stream.flush().await.unwrap();
        stream
    };
    let publish = publisher.publish_text("demo", None, None, "x".into());
    let (_stream, id) = tokio::join!(serve, publish);
    assert_eq!(id.unwrap(), "7-1");
}

#[test]
fn files_without_certificates_are_refused_by_name() {
    let dir = TempDir::new().unwrap();
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for file in [empty, dir.path().join("missing.pem")] {
        let error = tls::roots_from_pem(&file).unwrap_err();
        assert!(matches!(error, Error::Tls(_)) && error.to_string().contains(".pem"), "{error}");
    }
}
