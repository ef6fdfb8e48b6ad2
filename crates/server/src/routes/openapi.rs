//! `GET /openapi.json`: the API, described.

use axum::response::{IntoResponse, Response};
use http::header;

use super::query::NoQuery;

/// The description, as it stands in `docs/openapi.json`.
const DOCUMENT: &str = include_str!("../../../../docs/openapi.json");

/// The description.
pub(crate) async fn document(_: NoQuery) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}
