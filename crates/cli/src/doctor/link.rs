//! A connection to whatever stands at the URL: TCP or a Unix socket, and TLS over TCP. Knows no HTTP.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use url::Url;

/// What is offered where the requests of the checks go.
pub(super) const HTTP1: &[&[u8]] = &[b"http/1.1"];
/// What a browser offers.
pub(super) const AS_BROWSERS: &[&[u8]] = &[b"h2", b"http/1.1"];

/// A connection's bytes. Dropping it closes the socket.
pub(super) type Link = Box<dyn Bytes>;

pub(super) trait Bytes: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Bytes for T {}

/// What a TLS handshake came to.
pub(super) struct Handshake {
    pub(super) link: Link,
    /// By ALPN.
    pub(super) speaks_http2: bool,
    /// What the server showed, its own first.
    pub(super) chain: Vec<CertificateDer<'static>>,
}

pub(super) async fn tcp(url: &Url) -> io::Result<TcpStream> {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the URL names no host"));
    };
    let stream = TcpStream::connect((bare(host), port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

pub(super) async fn unix(path: &Path) -> io::Result<Link> {
    Ok(Box::new(UnixStream::connect(path).await?))
}

pub(super) async fn handshake(
    url: &Url,
    config: &ClientConfig,
    protocols: &[&[u8]],
) -> io::Result<Handshake> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
    let name = ServerName::try_from(bare(url.host_str().unwrap_or_default()).to_owned()).map_err(invalid)?;
    let mut config = config.clone();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp(url).await?).await?;
    let (_, session) = stream.get_ref();
    let speaks_http2 = session.alpn_protocol() == Some(b"h2");
    let chain = session.peer_certificates().unwrap_or_default().to_vec();
    Ok(Handshake { link: Box::new(stream), speaks_http2, chain })
}

/// Without the brackets of an IPv6 literal.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Why a certificate was not accepted; `None`: it is not the certificate that failed.
pub(super) fn certificate_fault(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let rustls::Error::InvalidCertificate(fault) = error else { return None };
    let text = match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name than that of the URL".to_owned()
        }
        CertificateError::UnknownIssuer => {
            "its issuer is not trusted here: the chain is incomplete, or --ca is needed".to_owned()
        }
        CertificateError::BadSignature => {
            "it was not signed by the issuer that it names: it is not trusted here".to_owned()
        }
        other => other.to_string(),
    };
    Some(text)
}
