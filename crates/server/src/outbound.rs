//! Connections that the hub opens itself, with or without TLS: to Redis and to webhooks. Where to comes from the
//! configuration alone, never from a request or a token. No proxy is used, and none is read from the environment.

use std::io;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Host;

use crate::config::ServerUrl;

/// A connection's bytes.
pub(crate) type Bytestream = Box<dyn ReadWrite>;

/// What can be read and written.
pub(crate) trait ReadWrite: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ReadWrite for T {}

/// A server that the hub connects to.
#[derive(Clone)]
pub(crate) struct RemoteServer {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// Why a server cannot be connected to with TLS, whatever it does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// No certificate of this machine can be used.
    #[error(
        "this machine trusts no certificate authority (install ca-certificates, or set SSL_CERT_FILE): {0}"
    )]
    NoRoots(String),
    /// The host cannot be that of a certificate.
    #[error("no certificate has a host such as that")]
    Name,
    /// The cryptography does not do the protocol's versions.
    #[error("TLS cannot be spoken: {0}")]
    Tls(String),
}

impl RemoteServer {
    /// The server of a URL. With TLS the certificates that this machine trusts are read, once.
    pub(crate) fn new(
        url: &ServerUrl,
        default_port: u16,
        is_tls: bool,
    ) -> Result<RemoteServer, OutboundError> {
        let host = host_of(url);
        let tls = is_tls
            .then(|| Ok((TlsConnector::from(trust_of_this_machine()?), name_of(&host)?)))
            .transpose()?;
        Ok(RemoteServer { host, port: url.expose().port().unwrap_or(default_port), tls })
    }

    /// The server of another URL, with TLS if this one has it.
    pub(crate) fn beside(&self, url: &ServerUrl, default_port: u16) -> Result<RemoteServer, OutboundError> {
        self.at(&host_of(url), url.expose().port().unwrap_or(default_port))
    }

    /// Another server of which this one says where it is, with TLS if this one has it.
    pub(crate) fn at(&self, host: &str, port: u16) -> Result<RemoteServer, OutboundError> {
        let tls = self.tls.as_ref().map(|(connector, _)| Ok((connector.clone(), name_of(host)?)));
        Ok(RemoteServer { host: host.to_owned(), port, tls: tls.transpose()? })
    }

    /// Its name or address.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Connects. Has no time limit of its own; dropping the future closes the socket.
    pub(crate) async fn connect(&self) -> io::Result<Bytestream> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some((connector, name)) => Ok(Box::new(connector.connect(name.clone(), stream).await?)),
        }
    }
}

fn host_of(url: &ServerUrl) -> String {
    match url.expose().host() {
        Some(Host::Ipv6(address)) => address.to_string(),
        // A host of a scheme that the URL standard does not know is never taken for an address.
        Some(host) => host.to_string(),
        None => String::new(),
    }
}

fn name_of(host: &str) -> Result<ServerName<'static>, OutboundError> {
    ServerName::try_from(host.to_owned()).map_err(|_| OutboundError::Name)
}

fn trust_of_this_machine() -> Result<Arc<ClientConfig>, OutboundError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(found.certs);
    if taken == 0 {
        let why = found.errors.first().map_or_else(|| "none is there".to_owned(), ToString::to_string);
        return Err(OutboundError::NoRoots(why));
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| OutboundError::Tls(error.to_string()))?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}
