//! What is read again while the hub runs, and when: certificates, keys and the tables of the file, on SIGHUP and when one of their files changes.
//! What cannot be used is refused whole, and what was there before stays.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::time::MissedTickBehavior;
use tracing::{error, info};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Something that is read from files.
pub(crate) trait Reloadable: Send + Sync + 'static {
    /// What it is, for the log.
    fn what(&self) -> &'static str;

    /// Its files.
    fn files(&self) -> Vec<PathBuf>;

    /// Reads it again. Blocks on the disk.
    ///
    /// # Errors
    /// When it cannot be used: then it stays as it was.
    fn reload(&self) -> Result<(), String>;
}

/// By what a file is known to have changed: modification time (seconds and nanoseconds), inode and length. Symbolic links
/// are followed, as renewal tools and Kubernetes replace these. `None`: it is not there.
type Stamp = Option<(i64, i64, u64, u64)>;

fn stamp(path: &Path) -> Stamp {
    let data = std::fs::metadata(path).ok()?;
    Some((data.mtime(), data.mtime_nsec(), data.ino(), data.len()))
}

fn stamps(of: &dyn Reloadable) -> Vec<Stamp> {
    of.files().iter().map(|path| stamp(path)).collect()
}

/// Reads each again when it should be, until it is aborted. With nothing to read it only keeps SIGHUP from ending the
/// process.
pub(crate) async fn keep_fresh(all: Vec<Arc<dyn Reloadable>>, mut hangup: Signal) {
    let mut watched = Vec::new();
    for one in all {
        let seen = look(&one, stamps).await;
        watched.push((one, seen));
    }
    let mut every = tokio::time::interval(LOOK_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let told = tokio::select! {
            Some(()) = hangup.recv() => true,
            _ = every.tick(), if !watched.is_empty() => false,
        };
        if told && watched.is_empty() {
            info!("SIGHUP: there is no file to read again: neither a configuration, a certificate nor a key");
        }
        for (one, seen) in &mut watched {
            let now = look(one, stamps).await;
            if now.is_none() || !(told || now != *seen) {
                continue;
            }
            // Taken before the files are read: what changes meanwhile is seen as a change next time.
            *seen = now;
            let what = one.what();
            match look(one, |one| one.reload()).await {
                Some(Ok(())) => info!("{what} was read again"),
                Some(Err(error)) => error!(%error, "{what} stays as it was"),
                None => {}
            }
        }
    }
}

/// Runs what blocks on the disk beside the runtime. `None`: the runtime ends.
async fn look<T: Send + 'static>(
    one: &Arc<dyn Reloadable>,
    work: impl FnOnce(&dyn Reloadable) -> T + Send + 'static,
) -> Option<T> {
    let one = Arc::clone(one);
    tokio::task::spawn_blocking(move || work(&*one)).await.ok()
}
