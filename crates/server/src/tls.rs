//! TLS from PEM files: the operator's certificate and key, `h2` and `http/1.1` by ALPN. The files can be read again
//! while the hub runs; `crate::reload` decides when.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::parse_x509_certificate;

use tracing::{info, warn};
use watertight::clock::wall_clock;

use crate::reload::Reloadable;

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or holds nothing of use.
    #[error("{key} = {path:?}: {why}; name a PEM file that this user may read")]
    File {
        /// The setting.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Certificate and key do not go together.
    #[error("tls_cert and tls_key do not go together: {0}")]
    Pair(#[from] rustls::Error),
}

/// The certificate that new connections are shown. It can be replaced while the hub runs: connections there are keep
/// theirs.
#[derive(Debug)]
pub(crate) struct Certificates {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Held>,
    /// How often a certificate replaced the one before.
    reloads: AtomicU64,
    /// How often the files held none that could be used.
    refused: AtomicU64,
}

/// A certificate as it was read.
#[derive(Debug)]
struct Held {
    key: Arc<CertifiedKey>,
    /// When the first certificate of the chain runs out, seconds since the Unix epoch.
    expires: i64,
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// When they cannot be used.
    pub(crate) fn open(certificate: &Path, key: &Path) -> Result<Arc<Certificates>, TlsError> {
        let held = read(certificate, key)?;
        Ok(Arc::new(Certificates {
            certificate: certificate.into(),
            key: key.into(),
            current: RwLock::new(held),
            reloads: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }))
    }

    /// Reads the files again. Blocks on the disk.
    ///
    /// # Errors
    /// When they cannot be used; the certificate stays as it was.
    fn read_again(&self) -> Result<(), TlsError> {
        match read(&self.certificate, &self.key) {
            Ok(held) => {
                *self.current.write() = held;
                self.reloads.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// When the certificate in use runs out, seconds since the Unix epoch: the earliest of its chain.
    pub(crate) fn expires(&self) -> i64 {
        self.current.read().expires
    }

    /// How often the certificate was replaced.
    pub(crate) fn reloads(&self) -> u64 {
        self.reloads.load(Ordering::Relaxed)
    }

    /// How often a new one was refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// What the server needs to speak TLS with whatever certificate there is at the moment.
    ///
    /// # Errors
    /// When the cryptography does not do the protocol's versions.
    pub(crate) fn server_config(self: &Arc<Certificates>) -> Result<Arc<ServerConfig>, TlsError> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl Reloadable for Certificates {
    fn what(&self) -> &'static str {
        "the certificate"
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.certificate.clone(), self.key.clone()]
    }

    fn reload(&self) -> Result<(), String> {
        self.read_again().map_err(|error| error.to_string())?;
        info!(expires_unix = self.expires(), "new certificate");
        warn_if_expired(self.expires());
        Ok(())
    }
}

/// Says in the log that a certificate has run out; clients would refuse it.
pub(crate) fn warn_if_expired(expires: i64) {
    if u64::try_from(expires).unwrap_or_default() <= wall_clock().as_secs() {
        warn!(expires_unix = expires, "the certificate has expired");
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().key))
    }
}

fn read(certificate: &Path, key: &Path) -> Result<Held, TlsError> {
    let bad = |key, path: &Path, why: String| TlsError::File { key, path: path.into(), why };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| bad("tls_cert", certificate, error.to_string()))?;
    let mut expires = None;
    for der in &chain {
        let (_, parsed) = parse_x509_certificate(der)
            .map_err(|error| bad("tls_cert", certificate, format!("not a certificate: {error}")))?;
        let end = parsed.validity().not_after.timestamp();
        expires = Some(expires.map_or(end, |earliest: i64| earliest.min(end)));
    }
    let Some(expires) = expires else {
        return Err(bad("tls_cert", certificate, "no certificate in it".into()));
    };
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|error| bad("tls_key", key, error.to_string()))?;
    let key = CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider())?;
    Ok(Held { key: Arc::new(key), expires })
}
