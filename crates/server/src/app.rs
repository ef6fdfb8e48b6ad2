//! What all requests share, and the router.

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, post};
use tokio_util::task::TaskTracker;
use watertight::{Gate, Hub};

use crate::config::Config;
use crate::metrics::Metrics;
use crate::middleware;
use crate::publishing::idempotency::IdempotencyKeys;
use crate::routes::{connections, doors, events, health, landing, metrics, openapi, sessions, stats};

/// What all requests share. Cloning shares it.
#[derive(Clone)]
pub struct App {
    pub(crate) hub: Hub,
    pub(crate) config: Arc<Config>,
    pub(crate) gate: Gate,
    pub(crate) keys: IdempotencyKeys,
    pub(crate) metrics: Arc<Metrics>,
    /// Publishes that must be finished although their requester left. Waited for at shutdown.
    pub(crate) tasks: TaskTracker,
}

impl App {
    /// The service's state around a hub.
    #[must_use]
    pub fn new(hub: Hub, config: Arc<Config>, gate: Gate) -> App {
        let keys = IdempotencyKeys::new(&hub, config.max_idempotency_keys, config.idempotency_ttl);
        let metrics = Arc::new(Metrics::new(&hub, &gate));
        App { hub, config, gate, keys, metrics, tasks: TaskTracker::new() }
    }

    /// The hub.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Publishes that go on although their requester may have left.
    #[must_use]
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Idempotency keys, for their regular sweep.
    pub fn sweep(&self) {
        self.keys.sweep();
    }
}

/// Every route of the API, behind what every request passes.
pub fn router(app: App) -> Router {
    let routes = Router::new()
        .route("/", get(landing::page))
        .route("/page.js", get(landing::script))
        .route("/page.css", get(landing::style))
        .route("/sessions", get(sessions::list))
        .route("/sessions/{session}", get(sessions::inspect).delete(sessions::end))
        .route("/sessions/{session}/events", get(events::read).post(events::publish))
        .route("/connections", get(connections::list))
        .route("/connections/{id}", delete(connections::close))
        .route("/stats", get(stats::stats))
        .route("/metrics", get(metrics::metrics))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/openapi.json", get(openapi::document))
        .route("/services/metrics/stream", get(doors::closed))
        .route("/deployments/{id}/logs/stream", get(doors::closed))
        .route("/deployments/{id}/logs", post(doors::closed))
        .route("/tokens/revoke", post(doors::closed))
        .fallback(doors::not_found)
        .method_not_allowed_fallback(doors::method_not_allowed)
        .with_state(app.clone());
    middleware::wrap(routes, &app)
}
