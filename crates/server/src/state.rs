//! What all requests share. Knows no route: routes and router both stand on this.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use watertight::{Gate, Hub};

use crate::config::Config;
use crate::directory::Directory;
use crate::dropped_lines::DroppedLines;
use crate::metrics::{Metrics, Requests};
use crate::publishing::idempotency::IdempotencyKeys;
use crate::tls::Certificates;

/// What all requests share. Cloning shares it.
#[derive(Clone)]
pub struct App {
    pub(crate) hub: Hub,
    pub(crate) config: Arc<Config>,
    pub(crate) gate: Gate,
    pub(crate) keys: IdempotencyKeys,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) requests: Arc<Requests>,
    pub(crate) dropped_lines: DroppedLines,
    pub(crate) directory: Directory,
    /// Cancelled when the service is about to stop: still serving, no longer ready.
    draining: CancellationToken,
}

impl App {
    /// The service's state around a hub.
    #[must_use]
    pub fn new(hub: Hub, config: Arc<Config>, gate: Gate, dropped_lines: DroppedLines) -> App {
        let directory = Directory::of_file(&hub, &config);
        App::with_certificates(hub, config, gate, dropped_lines, (None, directory))
    }

    /// The same, for a hub that speaks TLS, whose figures tell how long its certificate lasts, and with any directory.
    pub(crate) fn with_certificates(
        hub: Hub,
        config: Arc<Config>,
        gate: Gate,
        dropped_lines: DroppedLines,
        (certificates, directory): (Option<Arc<Certificates>>, Directory),
    ) -> App {
        let keys = IdempotencyKeys::new(&hub, config.max_idempotency_keys, config.idempotency_ttl);
        let requests = Arc::<Requests>::default();
        let sources = (dropped_lines.clone(), certificates, Arc::clone(&requests), directory.clone());
        let metrics = Arc::new(Metrics::new(&hub, &gate, sources));
        let draining = CancellationToken::new();
        App { hub, config, gate, keys, metrics, requests, dropped_lines, directory, draining }
    }

    /// The hub.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// From now on `/health/ready` answers 503, while everything else goes on as before.
    pub fn drain(&self) {
        self.draining.cancel();
    }

    /// Whether newcomers are asked to go elsewhere: the service stops, or is about to.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled() || self.hub.is_stopping()
    }

    /// Whose a deployment or a service is.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The regular sweep of what is kept for a while: idempotency keys, answers of the directory.
    pub fn sweep(&self) {
        self.keys.sweep();
        self.directory.sweep();
    }
}
