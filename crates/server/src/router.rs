//! Every route of the API, behind what every request passes: those for everybody, and those for operators, which
//! `admin_listen` takes off the public address.

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_extractor_with_state;
use axum::routing::{delete, get, post};
use http::Method;

use crate::access::Admin;
use crate::middleware::Front;
use crate::routes::{
    assets, connections, deployments, doctor, events, fallback, health, metrics, openapi, services, sessions,
    sources, stats, tokens,
};
use crate::state::App;

/// Every route of the API, for a hub with one listener.
pub fn application(app: App) -> Front {
    Front::new(routes_of(public_routes().merge(admin_routes(&app)).merge(health_routes()), &app), true, &app)
}

/// What is served on the public address of a hub with an `admin_listen`.
pub fn public_application(app: App) -> Front {
    Front::new(routes_of(public_routes().merge(health_routes()), &app), true, &app)
}

/// What is served on `admin_listen`.
pub fn admin_application(app: App) -> Front {
    let routes = assets::routes().merge(admin_routes(&app)).merge(health_routes());
    Front::new(routes_of(routes, &app), false, &app)
}

/// Whether a request is answered whatever is full: an orchestrator must not kill a hub that is only busy.
pub(crate) fn is_always_answered(method: &Method, path: &str) -> bool {
    matches!(*method, Method::GET | Method::HEAD) && matches!(path, "/health/live" | "/health/ready")
}

fn public_routes() -> Router<App> {
    assets::routes()
        .route("/sessions/{session}/events", get(events::read).post(events::publish))
        .route("/openapi.json", get(openapi::document))
        .route("/doctor", get(doctor::look).post(doctor::look))
        .route("/services/metrics/stream", get(services::read))
        .route("/deployments/{id}/logs/stream", get(deployments::read))
        .route("/deployments/{id}/logs", post(deployments::feed))
}

/// An operator's calls: where tokens are needed, for those with `admin`. Nothing of a request is looked at before.
fn admin_routes(app: &App) -> Router<App> {
    let figures = Router::new()
        .merge(guarded(app, !app.config.stats_public, Router::new().route("/stats", get(stats::stats))))
        .merge(guarded(
            app,
            !app.config.metrics_public,
            Router::new().route("/metrics", get(metrics::metrics)),
        ));
    // Who may see the stream its handler asks: a stream needs to know whose it is.
    let figures = figures.route("/stats/stream", get(stats::watch));
    let calls = Router::new()
        .route("/sessions", get(sessions::list))
        .route("/sessions/{session}", get(sessions::inspect).delete(sessions::forget))
        .route("/sessions/{session}/end", post(sessions::end))
        .route("/sources", get(sources::list))
        .route("/connections", get(connections::list).delete(connections::close_of_user))
        .route("/connections/{id}", delete(connections::close))
        .route("/tokens/revoke", post(tokens::revoke))
        .route("/tokens/check", post(tokens::check::check));
    figures.merge(guarded(app, true, calls))
}

fn guarded(app: &App, is_for_admin: bool, routes: Router<App>) -> Router<App> {
    if is_for_admin {
        routes.route_layer(from_extractor_with_state::<Admin, App>(app.clone()))
    } else {
        routes
    }
}

fn health_routes() -> Router<App> {
    Router::new().route("/health/live", get(health::live)).route("/health/ready", get(health::ready))
}

fn routes_of(routes: Router<App>, app: &App) -> Router {
    let routes =
        routes.method_not_allowed_fallback(fallback::method_not_allowed).with_state::<()>(app.clone());
    let without_slash = routes.clone().fallback(fallback::not_found);
    routes.fallback(move |request: Request| fallback::without_slash(without_slash, request))
}
