//! What all requests share. Knows no route: routes and router both stand on this.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use watertight::{Gate, Hub};

use crate::config::Config;
use crate::directory::Directory;
use crate::dropped_lines::DroppedLines;
use crate::metrics::{Metrics, Requests};
use crate::publishing::idempotency::IdempotencyKeys;
use crate::tls::Certificates;

/// What all requests share. Cloning shares it, at the price of one count: each request clones it several times.
#[derive(Clone)]
pub struct App(Arc<AppParts>);

/// The parts of an [`App`].
pub struct AppParts {
    pub(crate) hub: Hub,
    pub(crate) config: Arc<Config>,
    pub(crate) gate: Gate,
    pub(crate) keys: IdempotencyKeys,
    pub(crate) metrics: Metrics,
    pub(crate) requests: Arc<Requests>,
    pub(crate) dropped_lines: DroppedLines,
    pub(crate) directory: Directory,
    /// The service is about to stop: still serving, no longer ready.
    is_draining: AtomicBool,
}

impl Deref for App {
    type Target = AppParts;

    fn deref(&self) -> &AppParts {
        &self.0
    }
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
        let metrics = Metrics::new(&hub, &gate, sources);
        let is_draining = AtomicBool::new(false);
        App(Arc::new(AppParts {
            hub,
            config,
            gate,
            keys,
            metrics,
            requests,
            dropped_lines,
            directory,
            is_draining,
        }))
    }

    /// The hub.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// From now on `/health/ready` answers 503, while everything else goes on as before.
    pub fn drain(&self) {
        self.is_draining.store(true, Relaxed);
    }

    /// Whether newcomers are asked to go elsewhere: the service stops, or is about to.
    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Relaxed) || self.hub.is_stopping()
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
