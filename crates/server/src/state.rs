//! What all requests share. Knows no route: routes and router both stand on this.

use std::sync::Arc;

use watertight::{Gate, Hub};

use crate::config::Config;
use crate::dropped_lines::DroppedLines;
use crate::metrics::Metrics;
use crate::publishing::idempotency::IdempotencyKeys;

/// What all requests share. Cloning shares it.
#[derive(Clone)]
pub struct App {
    pub(crate) hub: Hub,
    pub(crate) config: Arc<Config>,
    pub(crate) gate: Gate,
    pub(crate) keys: IdempotencyKeys,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) dropped_lines: DroppedLines,
}

impl App {
    /// The service's state around a hub.
    #[must_use]
    pub fn new(hub: Hub, config: Arc<Config>, gate: Gate, dropped_lines: DroppedLines) -> App {
        let keys = IdempotencyKeys::new(&hub, config.max_idempotency_keys, config.idempotency_ttl);
        let metrics = Arc::new(Metrics::new(&hub, &gate, dropped_lines.clone()));
        App { hub, config, gate, keys, metrics, dropped_lines }
    }

    /// The hub.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Idempotency keys, for their regular sweep.
    pub fn sweep(&self) {
        self.keys.sweep();
    }
}
