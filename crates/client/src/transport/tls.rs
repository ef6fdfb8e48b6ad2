//! TLS for `https`, and the one type for a connection with or without it. Knows no HTTP.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection's bytes.
pub(crate) struct Io(Box<dyn Bytestream>);

pub(super) trait Bytestream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytestream for T {}

impl Io {
    pub(super) fn from_plain(stream: impl Bytestream + 'static) -> Self {
        Self(Box::new(stream))
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, into)
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(feature = "tls")]
pub(crate) use with_rustls::Tls;
#[cfg(feature = "tls")]
pub use with_rustls::{platform_roots, roots_from_pem};

#[cfg(not(feature = "tls"))]
pub(crate) use without::Tls;

#[cfg(feature = "tls")]
mod with_rustls {
    use std::io;
    use std::path::Path;
    use std::sync::{Arc, OnceLock};

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, RootCertStore};
    use tokio_rustls::TlsConnector;

    use super::Io;
    use crate::error::Error;

    /// Who is trusted: what the application says, or else whom the machine trusts.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Tls {
        config: Option<Arc<ClientConfig>>,
    }

    impl Tls {
        /// Only HTTP/1.1 is offered, whatever `config` would offer: that is what this client speaks.
        pub(crate) fn new(config: &ClientConfig) -> Self {
            let mut config = config.clone();
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Self { config: Some(Arc::new(config)) }
        }

        /// Shakes hands as a client of `host`. Dropping the future closes the socket.
        pub(crate) async fn connect(&self, stream: Io, host: &str) -> Result<Io, Error> {
            let failed = |source| Error::Connect { address: host.to_owned(), source };
            let config = match &self.config {
                Some(config) => Arc::clone(config),
                None => machine_config()?,
            };
            let name = ServerName::try_from(host.to_owned())
                .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
            let stream = TlsConnector::from(config).connect(name, stream).await.map_err(failed)?;
            Ok(Io(Box::new(stream)))
        }
    }

    /// A configuration that trusts whom the machine trusts: its certificate store, or the file or directory
    /// in `SSL_CERT_FILE` and `SSL_CERT_DIR`. Reads files; the default, so seldom called.
    ///
    /// # Errors
    /// [`Error::Tls`] if the machine has no certificates.
    pub fn platform_roots() -> Result<ClientConfig, Error> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // A store with one certificate that cannot be read is still a store.
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let why = found.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
            return Err(Error::Tls(format!("this machine's trusted certificates: {why}")));
        }
        trusting(roots)
    }

    /// A configuration that trusts the certificates in a PEM file and no others.
    ///
    /// # Errors
    /// [`Error::Tls`] if the file cannot be read or has no certificate.
    pub fn roots_from_pem(file: impl AsRef<Path>) -> Result<ClientConfig, Error> {
        let file = file.as_ref();
        let unusable = |why: String| Error::Tls(format!("{}: {why}", file.display()));
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unusable(error.to_string()))? {
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(unusable("no certificate in it".to_owned()));
        }
        trusting(roots)
    }

    fn trusting(roots: RootCertStore) -> Result<ClientConfig, Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Tls(error.to_string()))?;
        Ok(config.with_root_certificates(roots).with_no_client_auth())
    }

    /// Read once per process, at the first `https` without a configuration of the application's.
    fn machine_config() -> Result<Arc<ClientConfig>, Error> {
        static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
        if let Some(config) = CONFIG.get() {
            return Ok(Arc::clone(config));
        }
        let Tls { config } = Tls::new(&platform_roots()?);
        let config = config.ok_or_else(|| Error::Tls("no configuration".to_owned()))?;
        Ok(Arc::clone(CONFIG.get_or_init(|| config)))
    }
}

#[cfg(not(feature = "tls"))]
mod without {
    use super::Io;
    use crate::error::Error;

    /// Nothing: an `https` URL is refused before it comes to connecting.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Tls {}

    impl Tls {
        #[expect(clippy::unused_async, reason = "as with the feature `tls`")]
        pub(crate) async fn connect(&self, _: Io, _: &str) -> Result<Io, Error> {
            Err(Error::Tls("this build has no TLS".to_owned()))
        }
    }
}
