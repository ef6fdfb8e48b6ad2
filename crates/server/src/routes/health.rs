//! `/health`: alive, and ready for newcomers.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::problem::{Problem, unavailable};
use crate::state::App;

/// `GET /health/live`: the process answers.
pub(crate) async fn live() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

/// `GET /health/ready`: newcomers are welcome. Not while draining or above the critical threshold.
pub(crate) async fn ready(State(app): State<App>) -> Result<Json<Value>, Problem> {
    if app.hub.is_stopping() {
        return Err(unavailable("SHUTTING_DOWN", "the hub is draining"));
    }
    if app.hub.budget().rung().is_critical() {
        return Err(unavailable("OVERLOADED", "the hub is above its memory threshold"));
    }
    Ok(Json(json!({ "status": "ready" })))
}
