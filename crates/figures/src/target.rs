//! What is sampled, and what a sampler needs from around it.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use watertight_core::Budget;

use crate::limits::CHOSEN_MAX;

/// What a [`Sampler`](crate::Sampler) samples.
#[derive(Debug, Clone)]
pub enum Target {
    /// The machine, or the container that the hub runs in.
    Host,
    /// A control group (version 2) and all below it: a path from the root of the hierarchy.
    Cgroup(PathBuf),
    /// A process of this host.
    Process(ProcessId),
    /// An endpoint in Prometheus' text format or OpenMetrics.
    Prometheus {
        /// Where it is.
        url: ScrapeUrl,
        /// The names that are kept: of families, or of single parts such as `request_seconds_count`. Empty: all.
        families: Vec<String>,
    },
}

/// A process. Ids are used again, so the first sample remembers when the process started; a caller that makes a sampler
/// anew for the same process gives that back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessId {
    /// The id.
    pub id: u32,
    /// When it started, clock ticks after boot ([`Sampler::process_started`](crate::Sampler::process_started)); `None`:
    /// whichever process has the id at the first sample that finds one.
    pub started: Option<u64>,
}

/// Where the files of the kernel are.
#[derive(Debug, Clone)]
pub struct Roots {
    /// `/proc`.
    pub proc: PathBuf,
    /// Where control groups (version 2) are mounted.
    pub cgroup: PathBuf,
}

impl Default for Roots {
    fn default() -> Roots {
        Roots { proc: PathBuf::from("/proc"), cgroup: PathBuf::from("/sys/fs/cgroup") }
    }
}

/// A clock that only goes forward.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// What all samplers of a hub share.
#[derive(Clone)]
pub struct Surroundings {
    /// Where files are.
    pub roots: Roots,
    /// Time since any beginning, never less than before: what rates are divided by.
    pub clock: Clock,
    /// What answers and counters are charged to.
    pub budget: Arc<Budget>,
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").field("roots", &self.roots).finish_non_exhaustive()
    }
}

/// The address of an endpoint: `http` or `https`. It may have a user and a password, which are sent as Basic
/// authentication and shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct ScrapeUrl(Url);

impl ScrapeUrl {
    /// Checks an address.
    ///
    /// # Errors
    /// When it is none.
    pub fn new(text: &str) -> Result<ScrapeUrl, StartError> {
        let url = Url::parse(text).map_err(|_| StartError::NoUrl)?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(StartError::NoUrl);
        }
        if url.fragment().is_some() {
            return Err(StartError::Fragment);
        }
        Ok(ScrapeUrl(url))
    }

    /// The host alone, for logs.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    pub(crate) fn url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Debug for ScrapeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ScrapeUrl").field(&self.host()).finish()
    }
}

/// Why a sampler cannot be made. Reads after the name of the setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// Not an address of a web server.
    #[error("is no URL: http://HOST:PORT/metrics would do")]
    NoUrl,
    /// It has a fragment.
    #[error("must not have a fragment (#) in it")]
    Fragment,
    /// TLS cannot be set up.
    #[error("cannot set up TLS{0} (the package `ca-certificates` or SSL_CERT_FILE would do)")]
    Tls(String),
    /// Too many names.
    #[error("has {0} names; {CHOSEN_MAX} are allowed")]
    TooManyFamilies(usize),
    /// No path of a group.
    #[error(
        "must be a path below the root of the control groups, without `..`: system.slice/NAME.service would do"
    )]
    NotAGroup,
    /// No process has this id.
    #[error("is no process id: ids begin at 1")]
    NotAProcess,
    /// A limit of 0 allows nothing.
    #[error("{0} must be more than 0")]
    Zero(&'static str),
}

/// The path of a group below the mount; it may be written with the mount in front.
pub(crate) fn below_mount(mount: &Path, group: &Path) -> Result<PathBuf, StartError> {
    let relative = group.strip_prefix(mount).unwrap_or(group);
    let mut path = mount.to_path_buf();
    for part in relative.components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return Err(StartError::NotAGroup),
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_in_no_text() {
        let url = ScrapeUrl::new("http://ada:secret@127.0.0.1:9100/metrics?token=secret").unwrap();
        let target = Target::Prometheus { url, families: Vec::new() };
        assert!(!format!("{target:?}").contains("secret"), "{target:?}");
        assert!(!format!("{target:?}").contains("ada"), "{target:?}");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "metrics", "file:///etc/passwd", "ftp://host/", "http://", "http://host/#part"] {
            assert!(ScrapeUrl::new(text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_group_is_above_the_mount() {
        let mount = Path::new("/sys/fs/cgroup");
        let path = |group: &str| below_mount(mount, Path::new(group));
        for group in
            ["system.slice/a.service", "/system.slice/a.service", "/sys/fs/cgroup/system.slice/a.service"]
        {
            assert_eq!(path(group), Ok(mount.join("system.slice/a.service")), "{group}");
        }
        assert_eq!(path("/"), Ok(mount.to_path_buf()));
        assert_eq!(path("a/../../../../etc"), Err(StartError::NotAGroup));
    }
}
