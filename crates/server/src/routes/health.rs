//! `/health`: alive, and ready for newcomers.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::problem::{Problem, unavailable};
use crate::state::App;

/// Between two looks at the hub's threads: after a pause of the whole process all look late until they had a turn.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// `GET /health/live`: the process answers, and its pumps and its keeper make their turns.
pub(crate) async fn live(State(app): State<App>) -> Result<Json<Value>, Problem> {
    if app.hub.stuck().is_some() {
        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        if let Some(what) = app.hub.stuck() {
            return Err(unavailable("STUCK", what));
        }
    }
    Ok(Json(json!({ "status": "live" })))
}

/// `GET /health/ready`: newcomers are welcome. Not while draining or above the critical threshold.
pub(crate) async fn ready(State(app): State<App>) -> Result<Json<Value>, Problem> {
    if app.is_draining() {
        return Err(unavailable("SHUTTING_DOWN", "the hub is draining"));
    }
    if app.hub.budget().rung().is_critical() {
        return Err(unavailable("OVERLOADED", "the hub is above its memory threshold"));
    }
    Ok(Json(json!({ "status": "ready" })))
}
