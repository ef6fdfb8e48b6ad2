//! Everything unknown.

use std::convert::Infallible;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::uri::PathAndQuery;
use http::{StatusCode, Uri};
use tower::ServiceExt as _;

use crate::problem::Problem;

/// A path that leads nowhere as it is: with a slash at its end it means the same as without.
pub(crate) async fn without_slash(routes: Router, mut request: Request) -> Result<Response, Infallible> {
    match trimmed(request.uri()) {
        Some(uri) => *request.uri_mut() = uri,
        None => return Ok(not_found().await.into_response()),
    }
    routes.oneshot(request).await
}

/// The address without the slash at the end of its path, if it has one.
fn trimmed(uri: &Uri) -> Option<Uri> {
    let path = uri.path().strip_suffix('/').filter(|path| !path.is_empty())?;
    let target = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    Uri::from_parts(parts).ok()
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
