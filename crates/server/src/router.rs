//! Every route of the API, behind what every request passes.

use axum::Router;
use axum::routing::{delete, get, post};

use crate::middleware;
use crate::routes::{connections, events, fallback, health, landing, metrics, openapi, sessions, stats};
use crate::state::App;

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
        .route("/services/metrics/stream", get(fallback::not_implemented))
        .route("/deployments/{id}/logs/stream", get(fallback::not_implemented))
        .route("/deployments/{id}/logs", post(fallback::not_implemented))
        .route("/tokens/revoke", post(fallback::not_implemented))
        .fallback(fallback::not_found)
        .method_not_allowed_fallback(fallback::method_not_allowed)
        .with_state(app.clone());
    middleware::wrap(routes, &app)
}
