//! `GET /metrics`: Prometheus' text format.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;

use crate::problem::{Problem, internal};
use crate::state::App;

/// The figures, rendered on demand from counters: no series is kept per client, session or topic.
pub(crate) async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    if !app.config.enable_metrics {
        return Err(Problem::not_found("NOT_FOUND", "metrics are switched off (enable_metrics)"));
    }
    let text = app.metrics.render().map_err(internal)?;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}
