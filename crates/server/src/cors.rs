//! What pages of other origins may do (CORS, <https://fetch.spec.whatwg.org/#http-cors-protocol>): the answers to
//! preflights, and what every other answer says about it, refusals before routing included.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::config::{AllowedOrigins, Config};

/// How long a browser may remember the answer to a preflight, seconds.
const PREFLIGHT_AGE: u16 = 600;
const METHODS: HeaderValue = HeaderValue::from_static("GET,POST,DELETE");
/// What a page may read beside what every page may read.
const EXPOSED: HeaderValue = HeaderValue::from_static("heartbeat-interval,retry-after");
/// What a page may send: what the hub reads, and what libraries for tracing and requests add by themselves.
const HEADERS: [&str; 10] = [
    "authorization",
    "content-type",
    "last-event-id",
    "idempotency-key",
    "traceparent",
    "tracestate",
    "baggage",
    "sentry-trace",
    "cache-control",
    "x-requested-with",
];

/// The rules for pages of other origins. Cloning shares them.
#[derive(Debug, Clone)]
pub(crate) struct Cors(Arc<Rules>);

#[derive(Debug)]
struct Rules {
    origins: AllowedOrigins,
    credentials: bool,
    headers: HeaderValue,
}

impl Cors {
    /// The rules of this configuration. `None`: no origin is allowed, so there is nothing to answer.
    pub(crate) fn of(config: &Config) -> Option<Cors> {
        if config.cors_origins.is_empty() {
            return None;
        }
        let more = config.cors_headers.iter().map(HeaderName::as_str).filter(|name| !HEADERS.contains(name));
        let headers = HEADERS.into_iter().chain(more).collect::<Vec<_>>().join(",");
        Some(Cors(Arc::new(Rules {
            origins: config.cors_origins.clone(),
            credentials: config.cors_credentials,
            headers: HeaderValue::try_from(headers).ok()?,
        })))
    }

    /// Lets the page of this origin read the answer, if it may. Says whether it may.
    pub(crate) fn grant(&self, origin: Option<&HeaderValue>, answer: &mut HeaderMap) -> bool {
        vary_by_origin(answer);
        let allowed = match &self.0.origins {
            AllowedOrigins::Any => Some(HeaderValue::from_static("*")),
            listed @ AllowedOrigins::Listed(_) => {
                origin.filter(|origin| listed.allows(origin.as_bytes())).cloned()
            }
        };
        let Some(allowed) = allowed else { return false };
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        if self.0.credentials {
            answer.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        true
    }

    /// The answer to a preflight.
    pub(crate) fn preflight(&self, request: &HeaderMap) -> Response {
        let mut response = StatusCode::OK.into_response();
        let answer = response.headers_mut();
        if self.grant(request.get(header::ORIGIN), answer) {
            answer.remove(header::ACCESS_CONTROL_EXPOSE_HEADERS);
            answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, self.0.headers.clone());
            answer.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(PREFLIGHT_AGE));
        }
        response
    }
}

/// A cache must not give one page what another may read.
fn vary_by_origin(answer: &mut HeaderMap) {
    let mut names = answer.get_all(header::VARY).iter().filter_map(|value| value.to_str().ok());
    let has_it = names.any(|value| value.split(',').any(|name| name.trim().eq_ignore_ascii_case("origin")));
    if !has_it {
        answer.append(header::VARY, HeaderValue::from_static("Origin"));
    }
}
