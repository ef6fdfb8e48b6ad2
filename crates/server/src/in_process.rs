//! The service around a hub that the program it runs in has made, and publishes to by itself: the same routes, limits,
//! tokens and rules for pages, but no signals, no files that are read again, no TLS, no Redis.

use std::future::Future;
use std::sync::Arc;

use tokio::task::JoinSet;
use watertight::{Gate, Hub, Listener};
use watertight_core::Kind;

use crate::access::Authorization;
use crate::config::{Config, ListenAddress};
use crate::directory::Directory;
use crate::dropped_lines::DroppedLines;
use crate::listening::{Opened, addresses};
use crate::router::application;
use crate::run::{RunError, connections_for, raise_file_limit, server, sweep};
use crate::state::App;

/// A service that listens and is not served yet.
pub struct HubService {
    hub: Hub,
    app: App,
    access: Arc<Authorization>,
    gate: Gate,
    opened: Vec<Opened>,
}

impl HubService {
    /// Listens where the configuration says, raises the limit on open files, and reads keys. Of the configuration counts
    /// what is about requests, connections, tokens and pages; what is about the hub itself was said when it was made.
    ///
    /// # Errors
    /// When an address cannot be listened on, or a key is of no use.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn open(hub: Hub, config: Config) -> Result<HubService, RunError> {
        let config = Arc::new(config);
        let files = raise_file_limit();
        let most = config.max_connections.unwrap_or_else(|| connections_for(files));
        let per_address = config.max_connections_per_address.unwrap_or_else(|| most);
        let gate = Gate::new(Arc::clone(hub.ledger()), most, per_address);
        let directory = Directory::of_file(&hub, &config);
        let (access, _) = Authorization::open(&hub, &config, directory, None)?;
        let opened = Opened::all(&config.listen, &config, "host= and port=")?;
        let parts = (None, Arc::clone(&access), None);
        let app = App::with_certificates(hub.clone(), config, gate.clone(), DroppedLines::default(), parts);
        Ok(HubService { hub, app, access, gate, opened })
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Vec<ListenAddress> {
        addresses(&self.opened)
    }

    /// Serves until `stop` completes, then stops the hub: every reader is told, as by [`Hub::shutdown`]. Dropping the future
    /// ends its connections at once, but for streams that the hub's pumps have.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut keepers = JoinSet::new();
        keepers.spawn(sweep(self.app.clone()));
        if let Some(tokens) = &self.access.tokens {
            let (entry, verifier) = (self.hub.ledger().open(Kind::Task), tokens.verifier.clone());
            keepers.spawn(async move {
                let _entry = entry;
                verifier.run().await;
            });
        }
        let (listeners, files): (Vec<Listener>, Vec<_>) =
            self.opened.into_iter().map(Opened::into_parts).unzip();
        let front = application(self.app.clone());
        server(&self.hub, &self.app.config, front, self.gate).serve_all(listeners, stop).await;
        drop(files);
        keepers.shutdown().await;
    }
}
