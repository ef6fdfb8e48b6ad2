//! A certificate that is made for one run, and clients that trust it and nothing else.

use std::fs;
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
        let certificate = Self { folder: TempDir::new().during(doing)?, roots: Arc::new(roots) };
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
