//! Routes that this version does not answer yet, and everything unknown.

use http::StatusCode;

use crate::problem::Problem;

/// A route of the API that is not implemented in this version.
pub(crate) async fn not_implemented() -> Problem {
    let detail = "this version of the hub does not answer this call yet";
    Problem::new(StatusCode::NOT_IMPLEMENTED, "NOT_IMPLEMENTED", detail)
}

/// A path that leads nowhere.
pub(crate) async fn not_found() -> Problem {
    Problem::not_found("NOT_FOUND", "there is nothing here; GET /openapi.json says what there is")
}

/// A method that a path does not know.
pub(crate) async fn method_not_allowed() -> Problem {
    let detail = "this path does not know this method; GET /openapi.json says which it knows";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", detail)
}
