//! What every request passes on its way in and every answer on its way out.

use std::any::Any;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tower_http::catch_panic::CatchPanicLayer;

use crate::config::{Config, host_and_port};
use crate::cors::{self, Cors};
use crate::hosts::{KnownHosts, check_host, host_of};
use crate::problem::{Problem, internal};
use crate::state::App;

/// Wraps the routes, innermost first: panics become 500, limits are checked, origins are answered, unknown hosts
/// are refused, headers that protect browsers are set on everything.
pub(crate) fn wrap(routes: Router, app: &App) -> Router {
    let mut routes =
        routes.layer(CatchPanicLayer::custom(panicked)).layer(from_fn_with_state(app.clone(), check_target));
    if let Some(cors) = Cors::of(&app.config) {
        routes = routes.layer(from_fn_with_state(cors, cors::answer));
    }
    let known = KnownHosts::of(&app.config);
    routes
        .layer(from_fn_with_state(known, check_host))
        .layer(axum::middleware::map_response(protect))
        .layer(from_fn_with_state(app.clone(), crate::metrics::count))
}

/// A handler that panicked: its guards ran while the stack was unwound, its requester learns that it failed.
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    internal(format!("a handler panicked: {text}")).into_response()
}

/// Refuses invalid requests before any route sees them: targets that are too long, bodies where none belongs.
async fn check_target(State(app): State<App>, request: Request, next: Next) -> Response {
    let uri_bytes = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if uri_bytes > app.config.max_uri_bytes {
        let detail = format!("a target may have at most {} bytes", app.config.max_uri_bytes);
        return Problem::new(StatusCode::URI_TOO_LONG, "URI_TOO_LONG", detail).into_response();
    }
    if is_forged(&request, &app.config) {
        let detail =
            "a page of this origin may not change anything here; cors_origins is the list of those that may";
        return Problem::new(StatusCode::FORBIDDEN, "ORIGIN_NOT_ALLOWED", detail).into_response();
    }
    let is_bodiless = matches!(*request.method(), Method::GET | Method::HEAD | Method::DELETE);
    if is_bodiless && has_body(&request) {
        let problem = Problem::bad_request("BODY_NOT_ALLOWED", "this request takes no body");
        let mut response = problem.into_response();
        // A body behind a GET may be meant as a second request (request smuggling): do not read on.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        return response;
    }
    next.run(request).await
}

/// Whether a browser sends this for a page of somebody else: such a page cannot read the answer, but without
/// this it could publish and delete. Programs send no `Origin`; our own page has our host in it, or the browser
/// itself says that it is ours: behind a proxy that changes the host only the browser knows.
fn is_forged(request: &Request, config: &Config) -> bool {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let headers = request.headers();
    let Some(origin) = headers.get(header::ORIGIN).filter(|_| changes) else { return false };
    let is_ours = is_said_to_be_ours(headers) || is_of_host(origin, host_of(request));
    !is_ours && !config.cors_origins.allows(origin.as_bytes())
}

/// `Sec-Fetch-Site` is set by the browser, and no page can set it (<https://www.w3.org/TR/fetch-metadata/>).
fn is_said_to_be_ours(headers: &HeaderMap) -> bool {
    let site = headers.get(HeaderName::from_static("sec-fetch-site")).map(HeaderValue::as_bytes);
    matches!(site, Some(b"same-origin" | b"none"))
}

/// Whether an origin is that of this host; a port that is not given is the scheme's own.
fn is_of_host(origin: &HeaderValue, host: Option<&str>) -> bool {
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let (Some((scheme, authority)), Some(host)) = (origin, host) else { return false };
    let default = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
    let (Ok((page, page_port)), Ok((host, host_port))) = (host_and_port(authority), host_and_port(host))
    else {
        return false;
    };
    page.eq_ignore_ascii_case(host) && page_port.unwrap_or(default) == host_port.unwrap_or(default)
}

/// A length of nothing is no body, however many zeros it is written with.
fn has_body(request: &Request) -> bool {
    let headers = request.headers();
    let length = headers.get(header::CONTENT_LENGTH).map(HeaderValue::as_bytes);
    let is_some = |length: &[u8]| length.iter().any(|digit| *digit != b'0');
    headers.contains_key(header::TRANSFER_ENCODING) || length.is_some_and(is_some)
}

async fn protect(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
