//! Refusals that need no router, as `application/problem+json`: the hub has no room, or the head is none. Those for
//! lack of room have a jittered `Retry-After`, so that refused clients do not all come back at the same instant.

use std::fmt::Write as _;

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

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
    /// The request does not say for which host it is, or says it twice.
    Host,
    /// hyper cannot read the head, and would answer this.
    Head(StatusCode),
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            // That is this caller's own limit.
            Refusal::Connection(Refused::Address) => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Connection(Refused::Full) | Refusal::Requests | Refusal::Memory => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Refusal::Host => StatusCode::BAD_REQUEST,
            Refusal::Head(status) => status,
        }
    }

    fn code(self) -> &'static str {
        match self {
            Refusal::Connection(_) => "TOO_MANY_CONNECTIONS",
            Refusal::Requests | Refusal::Memory => "OVERLOADED",
            Refusal::Host => "INVALID_HOST",
            Refusal::Head(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) => "HEAD_TOO_LARGE",
            Refusal::Head(StatusCode::URI_TOO_LONG) => "URI_TOO_LONG",
            Refusal::Head(_) => "MALFORMED_REQUEST",
        }
    }

    fn detail(self) -> String {
        match self {
            Refusal::Connection(why) => why.to_string(),
            Refusal::Requests => "the hub works on as many requests as it may".to_owned(),
            Refusal::Memory => "the hub's memory budget has no room for this request".to_owned(),
            Refusal::Host => "a request has exactly one Host (RFC 9112, section 3.2)".to_owned(),
            Refusal::Head(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) => {
                "the head has more bytes or more fields than it may have".to_owned()
            }
            Refusal::Head(StatusCode::URI_TOO_LONG) => "the target is longer than any may be".to_owned(),
            Refusal::Head(_) => "this is no request of HTTP/1.1 (RFC 9112)".to_owned(),
        }
    }

    fn has_room_later(self) -> bool {
        matches!(self, Refusal::Connection(_) | Refusal::Requests | Refusal::Memory)
    }

    fn body(self) -> String {
        let status = self.status();
        format!(
            "{{\"type\":\"about:blank\",\"title\":\"{}\",\"status\":{},\"detail\":\"{}\",\"code\":\"{}\"}}",
            status.canonical_reason().unwrap_or("Error"),
            status.as_u16(),
            self.detail(),
            self.code()
        )
    }

    fn headers(self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if self.has_room_later() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(fastrand::u16(1..=5)));
        }
        headers
    }

    /// The whole answer.
    pub(super) fn response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body()));
        *response.status_mut() = self.status();
        *response.headers_mut() = self.headers();
        response
    }

    /// The whole answer as HTTP/1.1 has it, and the connection's last. `complete` may add to its headers.
    pub(super) fn bytes(self, complete: impl FnOnce(&mut HeaderMap)) -> Vec<u8> {
        let (status, body) = (self.status(), self.body());
        let mut headers = self.headers();
        complete(&mut headers);
        let mut head =
            format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or("Error"));
        let date = httpdate::fmt_http_date(std::time::UNIX_EPOCH + crate::clock::wall_clock());
        // Writing to a string cannot fail.
        let _ = write!(head, "content-length: {}\r\nconnection: close\r\ndate: {date}\r\n", body.len());
        let mut bytes = head.into_bytes();
        for (name, value) in &headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body.as_bytes());
        bytes
    }
}

/// The `Origin` in a head that cannot be read, so that the page that sent it can read why. Nothing else of such a head
/// is believed.
pub(super) fn origin_in(head: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut lines = head.split(|byte| *byte == b'\n');
    let value = lines.find_map(|line| {
        let (name, value) = line.split_at_checked(b"origin:".len())?;
        name.eq_ignore_ascii_case(b"origin:").then(|| value.trim_ascii())
    });
    if let Some(value) = value.and_then(|value| HeaderValue::from_bytes(value).ok()) {
        headers.insert(header::ORIGIN, value);
    }
    headers
}
