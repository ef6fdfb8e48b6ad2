//! A certificate that is made for one run, and clients that trust it and nothing else.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

use super::failure::{Outcome, While};

/// The two files are in a folder of their own that only this user can read; it goes when this is dropped.
#[derive(Debug)]
pub(super) struct Certificate {
    folder: TempDir,
    roots: Arc<RootCertStore>,
}

impl Certificate {
    /// For hubs on loopback.
    pub(super) fn make() -> Outcome<Self> {
        let doing = "making a certificate";
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).during(doing)?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).during(doing)?;
        let mine_alone = fs::Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().permissions(mine_alone).tempdir().during(doing)?;
        let certificate = Self { folder, roots: Arc::new(roots) };
        fs::write(certificate.chain(), made.cert.pem()).during(doing)?;
        fs::write(certificate.key(), made.signing_key.serialize_pem()).during(doing)?;
        Ok(certificate)
    }

    pub(super) fn chain(&self) -> PathBuf {
        self.folder.path().join("chain.pem")
    }

    pub(super) fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// What clients offer: this protocol, and no earlier session, so that each handshake is a whole one.
    pub(super) fn client(&self, protocol: &str) -> Outcome<Arc<ClientConfig>> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.during("preparing TLS")?;
        let mut config = builder.with_root_certificates(Arc::clone(&self.roots)).with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread::JoinHandle;
    use std::time::Duration;

    use mio::{Events, Interest, Poll, Token};
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ServerConfig, ServerConnection, StreamOwned};

    use super::super::endpoint::{Endpoint, Received};
    use super::*;

    /// A server with this certificate that reads a line, answers with `answer`, and closes in an orderly way.
    fn server(certificate: &Certificate, answer: Vec<u8>) -> (Endpoint, JoinHandle<std::io::Result<String>>) {
        let chain = vec![CertificateDer::from_pem_file(certificate.chain()).unwrap()];
        let key = PrivateKeyDer::from_pem_file(certificate.key()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = builder.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serving = std::thread::spawn(move || {
            let (tcp, _) = listener.accept()?;
            let connection = ServerConnection::new(Arc::new(config)).map_err(std::io::Error::other)?;
            let mut stream = StreamOwned::new(connection, tcp);
            let mut line = Vec::new();
            while line.last() != Some(&b'\n') {
                let mut byte = [0];
                stream.read_exact(&mut byte)?;
                line.extend(byte);
            }
            stream.write_all(&answer)?;
            stream.conn.send_close_notify();
            stream.flush()?;
            Ok(String::from_utf8_lossy(&line).into_owned())
        });
        (Endpoint { address, tls: None }, serving)
    }

    #[test]
    fn an_answer_of_many_records_comes_whole_and_has_an_end() {
        let certificate = Certificate::make().unwrap();
        let answer: Vec<u8> = (0..1_000_000_u32).map(|index| (index % 251) as u8).collect();
        let (mut to, serving) = server(&certificate, answer.clone());
        to.tls = Some(certificate.client("http/1.1").unwrap());
        let mut wire = to.wire(mio::net::TcpStream::connect(to.address).unwrap()).unwrap();
        let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(8));
        poll.registry().register(wire.tcp(), Token(0), Interest::READABLE | Interest::WRITABLE).unwrap();
        let (mut sent, mut scratch, mut buffer, mut seen) =
            (false, Vec::new(), vec![0; 64 * 1024], Vec::new());
        let end = 'end: loop {
            poll.poll(&mut events, Some(Duration::from_secs(10))).unwrap();
            assert!(!events.is_empty(), "nothing more comes after {} bytes", seen.len());
            if !std::mem::replace(&mut sent, true) {
                wire.send(b"hello\n").unwrap();
            }
            // Told of each readiness once, so it is read until the socket has no more; to the end, if that was told with it.
            let is_closing = events.iter().any(|event| event.is_read_closed());
            while let Ok(received) = wire.receive(&mut scratch, &mut buffer) {
                seen.extend_from_slice(&buffer[..received.count]);
                if received.count == 0 {
                    break 'end received;
                }
                if received.is_drained && !is_closing {
                    break;
                }
            }
        };
        assert_eq!(end.count, 0);
        assert!(matches!(end, Received { is_drained: true, .. }));
        assert!(seen == answer, "{} bytes of {}", seen.len(), answer.len());
        assert_eq!(serving.join().unwrap().unwrap(), "hello\n");
    }

    #[test]
    fn clients_trust_this_certificate_and_no_other() {
        let (certificate, other) = (Certificate::make().unwrap(), Certificate::make().unwrap());
        for (trusted, is_trusted) in [(&certificate, true), (&other, false)] {
            let (mut to, serving) = server(&certificate, b"answer".to_vec());
            to.tls = Some(trusted.client("http/1.1").unwrap());
            let mut stream = to.blocking(TcpStream::connect(to.address).unwrap()).unwrap();
            let sent = stream.write_all(b"hello\n").and_then(|()| stream.flush());
            let mut answer = Vec::new();
            let read = sent.and_then(|()| stream.read_to_end(&mut answer));
            assert_eq!(read.is_ok(), is_trusted, "{read:?}");
            assert_eq!(answer == b"answer", is_trusted);
            drop(stream);
            assert_eq!(serving.join().unwrap().is_ok(), is_trusted);
        }
    }

    #[test]
    fn the_files_are_for_this_user_alone_and_go_with_it() {
        let certificate = Certificate::make().unwrap();
        let files = [certificate.chain(), certificate.key()];
        assert!(files.iter().all(|file| file.exists()));
        let mode = fs::metadata(certificate.folder.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        drop(certificate);
        assert!(!files.iter().any(|file| file.exists()));
    }
}
