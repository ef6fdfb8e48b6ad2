//! When the certificate is read again: on SIGHUP, and when one of its files changes. A certificate that cannot be used is
//! refused, and the one before stays.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tracing::{error, info, warn};
use watertight::clock::wall_clock;

use super::Certificates;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// By what a file is known to have changed: modification time (seconds and nanoseconds), inode and length. Symbolic links
/// are followed, as renewal tools and Kubernetes replace these. `None`: it is not there.
type Stamp = Option<(i64, i64, u64, u64)>;

fn stamp(path: &Path) -> Stamp {
    let data = std::fs::metadata(path).ok()?;
    Some((data.mtime(), data.mtime_nsec(), data.ino(), data.len()))
}

impl Certificates {
    fn stamps(&self) -> [Stamp; 2] {
        [stamp(&self.certificate), stamp(&self.key)]
    }
}

/// Reads the certificate again when it should be, until it is aborted. Without a certificate it only keeps SIGHUP from
/// ending the process.
pub(crate) async fn keep_fresh(certificates: Option<Arc<Certificates>>, mut hangup: Signal) {
    let Some(certificates) = certificates else {
        while hangup.recv().await.is_some() {
            info!("SIGHUP: there is no certificate to read again; other settings need a restart");
        }
        return;
    };
    let mut seen = look(&certificates, Certificates::stamps).await;
    let mut every = tokio::time::interval(LOOK_EVERY);
    loop {
        let told = tokio::select! {
            Some(()) = hangup.recv() => true,
            _ = every.tick() => false,
        };
        let now = look(&certificates, Certificates::stamps).await;
        if now.is_none() || !(told || now != seen) {
            continue;
        }
        // Taken before the files are read: what changes meanwhile is seen as a change next time.
        seen = now;
        match look(&certificates, Certificates::reload).await {
            Some(Ok(())) => {
                let expires = certificates.expires();
                info!(expires_unix = expires, "new certificate");
                warn_if_expired(expires);
            }
            Some(Err(error)) => error!(%error, "the certificate stays as it was"),
            None => {}
        }
    }
}

/// Says in the log that a certificate has run out; clients would refuse it.
pub(crate) fn warn_if_expired(expires: i64) {
    if u64::try_from(expires).unwrap_or_default() <= wall_clock().as_secs() {
        warn!(expires_unix = expires, "the certificate has expired");
    }
}

/// Runs what blocks on the disk beside the runtime. `None`: the runtime ends.
async fn look<T: Send + 'static>(
    certificates: &Arc<Certificates>,
    work: impl FnOnce(&Certificates) -> T + Send + 'static,
) -> Option<T> {
    let certificates = Arc::clone(certificates);
    tokio::task::spawn_blocking(move || work(&certificates)).await.ok()
}
