//! What every request passes on its way in and every answer on its way out.

use std::any::Any;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::config::{AllowedOrigins, Config};
use crate::problem::{Problem, internal};
use crate::state::App;

/// How long a browser may remember the answer to a preflight.
const PREFLIGHT_AGE: Duration = Duration::from_secs(600);

/// Wraps the routes, innermost first: panics become 500, limits are checked, origins are answered, headers
/// that protect browsers are set on everything.
pub(crate) fn wrap(routes: Router, app: &App) -> Router {
    let mut routes =
        routes.layer(CatchPanicLayer::custom(panicked)).layer(from_fn_with_state(app.clone(), check_target));
    if let Some(cors) = cors(&app.config) {
        routes = routes.layer(cors);
    }
    routes
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
/// this it could publish and delete. Programs send no `Origin`; our own page has our host in it.
fn is_forged(request: &Request, config: &Config) -> bool {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let headers = request.headers();
    let Some(origin) = headers.get(header::ORIGIN).filter(|_| changes) else { return false };
    let authority = origin.to_str().ok().and_then(|origin| Some(origin.split_once("://")?.1));
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    let is_ours = authority.zip(host).is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host));
    !is_ours && !config.cors_origins.allows(origin.as_bytes())
}

fn has_body(request: &Request) -> bool {
    let headers = request.headers();
    let length = headers.get(header::CONTENT_LENGTH).map(HeaderValue::as_bytes);
    headers.contains_key(header::TRANSFER_ENCODING) || length.is_some_and(|length| length != b"0")
}

async fn protect(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// The allow-list of origins. `None`: no origin is allowed, so there is nothing to answer.
fn cors(config: &Config) -> Option<CorsLayer> {
    let origins = match &config.cors_origins {
        AllowedOrigins::Any => AllowOrigin::any(),
        AllowedOrigins::Listed(listed) if listed.is_empty() => return None,
        allowed @ AllowedOrigins::Listed(_) => {
            let allowed = allowed.clone();
            AllowOrigin::predicate(move |origin, _| allowed.allows(origin.as_bytes()))
        }
    };
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static("last-event-id"),
            HeaderName::from_static("idempotency-key"),
        ])
        .expose_headers([HeaderName::from_static("heartbeat-interval"), header::RETRY_AFTER])
        .max_age(PREFLIGHT_AGE);
    Some(if config.cors_credentials { layer.allow_credentials(true) } else { layer })
}
