//! Refusals that need no router: `503` as `application/problem+json`, with a jittered `Retry-After`, so that
//! refused clients do not all come back at the same instant.

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};

use crate::gate::Refused;

/// Why a request is refused before the router sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The connection found no room.
    Connection(Refused),
    /// There are as many requests in flight as there may be.
    Requests,
    /// The budget has no room.
    Memory,
}

impl Refusal {
    fn code(self) -> &'static str {
        match self {
            Refusal::Connection(_) => "TOO_MANY_CONNECTIONS",
            Refusal::Requests | Refusal::Memory => "OVERLOADED",
        }
    }

    fn detail(self) -> String {
        match self {
            Refusal::Connection(why) => why.to_string(),
            Refusal::Requests => "the hub works on as many requests as it may".to_owned(),
            Refusal::Memory => "the hub's memory budget has no room for this request".to_owned(),
        }
    }

    /// The whole answer.
    pub(super) fn response(self) -> Response<Body> {
        let body = format!(
            "{{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\
             \"detail\":\"{}\",\"code\":\"{}\"}}",
            self.detail(),
            self.code()
        );
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::RETRY_AFTER, HeaderValue::from(fastrand::u16(1..=5)));
        response
    }
}
