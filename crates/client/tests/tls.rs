//! `https`: whom a subscriber trusts, and that its sockets close there, too.

use std::sync::Arc;

use crate::common::memory::{next_data, until_status};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use watertight_client::{Error, NewEvent, Publisher, Status, Subscriber, tls};
use watertight_testkit::{Certificate, HttpProxy, eventually};

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
        stream.write_all(crate::common::STREAM.as_bytes()).await.unwrap();
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
        () = crate::common::memory::drive(&mut subscriber) => unreachable!(),
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

#[tokio::test]
async fn through_a_tunnel_a_stream_comes_and_resumes_and_the_proxy_sees_none_of_it() {
    let (server, proxy) = (Server::start().await, HttpProxy::start());
    // joe:s3cret
    proxy.want("Basic am9lOnMzY3JldA==");
    let config = tls::roots_from_pem(&server.files.certificate).unwrap();
    // In whatever order it is told.
    let subscriber = Subscriber::new(&server.url(), "demo").unwrap();
    let subscriber = subscriber.with_proxy(&format!("http://joe:s3cret@{}", proxy.address())).unwrap();
    let subscriber = subscriber.with_tls_config(&config).with_token("token").unwrap();
    let mut subscriber = subscriber.with_retry_max(std::time::Duration::from_millis(100));
    for (id, resumed) in [("7-1", None), ("7-2", Some("last-event-id: 7-1\r\n"))] {
        let serve = async {
            let (mut stream, head) = server.accept().await;
            assert!(head.starts_with("GET /sessions/demo/events HTTP/1.1\r\n"), "{head}");
            assert!(head.contains("Bearer token") && !head.to_lowercase().contains("proxy"), "{head}");
            assert!(resumed.is_none_or(|header| head.contains(header)), "{head}");
            let event = format!("{}id: {id}\ndata: {id}\n\n", crate::common::STREAM);
            stream.write_all(event.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            stream
        };
        let (_stream, data) = tokio::join!(serve, next_data(&mut subscriber));
        assert_eq!(data, id);
        proxy.cut();
    }
    let port = server.listener.local_addr().unwrap().port();
    for head in proxy.heads() {
        assert!(
            head.starts_with(&format!("CONNECT localhost:{port} HTTP/1.1\r\nhost: localhost:{port}\r\n"))
        );
        assert!(!head.contains("token") && !head.contains("sessions"), "{head}");
    }
    assert_eq!(proxy.heads().len(), 2);
    drop(subscriber);
    eventually!(proxy.open() == 0);
}

#[tokio::test]
async fn a_proxy_may_be_spoken_to_over_tls_and_has_to_be_trusted() {
    let (server, front, proxy) = (Server::start().await, Server::start().await, HttpProxy::start());
    let certificates =
        [&front, &server].map(|server| std::fs::read(&server.files.certificate).unwrap()).concat();
    let both = server.files.certificate.with_file_name("both.pem");
    std::fs::write(&both, certificates).unwrap();
    let event = NewEvent::json(&"x").unwrap();
    for (roots, works) in [(&both, true), (&server.files.certificate, false)] {
        let config = tls::roots_from_pem(roots).unwrap();
        let publisher = Publisher::new(&server.url()).unwrap().with_tls_config(&config);
        let publisher = publisher.with_proxy(front.url().trim_end_matches('/')).unwrap();
        let publisher = publisher.with_give_up_after(std::time::Duration::ZERO);
        // TLS ends at the front, and the proxy is behind it.
        let passing = async {
            let Ok(mut outside) = front.acceptor.accept(front.socket().await).await else { return };
            let mut inside = TcpStream::connect(proxy.address()).await.unwrap();
            tokio::io::copy_bidirectional(&mut outside, &mut inside).await.ok();
        };
        let serve = async {
            if works {
                let (mut stream, _) = server.accept().await;
                let answer = b"HTTP/1.1 202 Accepted\r\ncontent-length: 12\r\n\r\n{\"id\":\"7-1\"}";
                stream.write_all(answer).await.unwrap();
                stream.flush().await.unwrap();
            }
        };
        let publish = async {
            let published = publisher.publish("demo", &event).await;
            drop(publisher);
            published
        };
        let ((), (), published) = tokio::join!(passing, serve, publish);
        match published {
            Ok(id) => assert_eq!((works, id.as_str()), (true, "7-1")),
            Err(error) => {
                let text = error.to_string();
                assert!(
                    !works && text.contains("the proxy localhost:") && text.contains("certificate"),
                    "{text}"
                );
            }
        }
    }
    assert_eq!(proxy.heads().len(), 1);
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
