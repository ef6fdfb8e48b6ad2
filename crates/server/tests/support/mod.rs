//! A hub and its directory, as a configuration file says; and the assertion that everything came back.

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;
use watertight::{Hub, HubConfig};
use watertight_core::{Kind, Owner};
use watertight_server::config::{ConfigArgs, load};
use watertight_server::directory::{Answer, Directory, DirectoryError, DirectoryStartError};
use watertight_server::resource::{Action, Resource, ResourceId};
use watertight_testkit::PATIENCE;

/// The secret of the webhook in all tests.
pub(crate) const SECRET: &str = "a secret of the tests, nowhere else";

/// A hub with a directory.
pub(crate) struct Fixture {
    pub(crate) hub: Hub,
    pub(crate) directory: Directory,
    /// The configuration and the secret; removed with this.
    _dir: TempDir,
    /// Tasks before the directory was opened.
    tasks: u64,
}

impl Fixture {
    /// The directory that this configuration file says.
    pub(crate) fn open(file: &str) -> Fixture {
        Fixture::try_open(file).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn try_open(file: &str) -> Result<Fixture, DirectoryStartError> {
        let dir = TempDir::new().unwrap();
        let path: PathBuf = dir.path().join("hub.toml");
        std::fs::write(&path, file.replace("$DIR", dir.path().to_str().unwrap())).unwrap();
        std::fs::write(dir.path().join("webhook.key"), format!("{SECRET}\n")).unwrap();
        let loaded = load(&ConfigArgs::file(&path), std::iter::empty());
        let config = Arc::new(loaded.unwrap_or_else(|error| panic!("{error}")).config);
        let hub = Hub::new(HubConfig::default()).unwrap();
        let tasks = hub.ledger().live(Kind::Task);
        let directory = Directory::open(&hub, &config)?;
        Ok(Fixture { hub, directory, _dir: dir, tasks })
    }

    /// Whether `user` may read the logs of this deployment.
    pub(crate) async fn owns(&self, user: &str, deployment: &str) -> Result<Answer, DirectoryError> {
        self.directory.owns(user, &self::deployment(deployment), Action::Subscribe).await
    }

    /// Lets the directory go, and asserts that its tasks and what it was charged came back.
    pub(crate) async fn finish(self) {
        let Fixture { hub, directory, tasks, .. } = self;
        drop(directory);
        eventually("the directory's tasks end", || hub.ledger().live(Kind::Task) == tasks).await;
        for owner in [Owner::Requests, Owner::Caches] {
            eventually("what it was charged is given back", || hub.budget().used_by(owner) == 0).await;
        }
        assert!(hub.ledger().counts(Kind::Task).adds_up());
    }
}

pub(crate) fn deployment(id: &str) -> Resource {
    Resource::deployment(ResourceId::new(id).unwrap())
}

/// Waits for a condition, and lets the runtime work meanwhile.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "not within {PATIENCE:?}: {what}");
}
