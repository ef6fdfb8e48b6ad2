//! `GET /openapi.json`: the API, described.

use axum::response::{IntoResponse, Response};
use http::header;

/// The description, as it stands in `docs/openapi.json`.
const DOCUMENT: &str = include_str!("../../../../docs/openapi.json");

/// The description.
pub(crate) async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}
