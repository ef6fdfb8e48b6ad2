//! `GET /`: the dashboard, where it is built in. Otherwise a page that says what this is, watches a session live and shows figures of the hub and of its services.
//!
//! One file each, no inline script, text nodes only: nothing that a publisher sends can become markup.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::assets;

const PAGE: &str = include_str!("landing/page.html");
const SCRIPT: &str = include_str!("landing/page.js");
const STYLE: &str = include_str!("landing/page.css");

/// Only our own script and style, no frames around it (threats: XSS, clickjacking).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn answer(content_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (HeaderName::from_static("content-security-policy"), HeaderValue::from_static(POLICY)),
    ];
    (headers, text).into_response()
}

/// The dashboard, or this page.
pub(crate) async fn page(headers: HeaderMap) -> Response {
    if let Some(dashboard) = assets::page() {
        return dashboard.answer(&headers);
    }
    answer("text/html; charset=utf-8", PAGE)
}

/// Its script.
pub(crate) async fn script() -> Response {
    answer("text/javascript; charset=utf-8", SCRIPT)
}

/// Its style.
pub(crate) async fn style() -> Response {
    answer("text/css; charset=utf-8", STYLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands behind a quote and looks like an address; the script itself begins with a comment.
    fn quoted(text: &str) -> impl Iterator<Item = &str> {
        text.split(['"', '`', '\'']).skip(1).filter(|part| part.starts_with('/') || part.contains("://"))
    }

    #[test]
    fn the_page_works_below_a_path_because_its_addresses_are_relative() {
        assert_eq!(quoted(PAGE).collect::<Vec<_>>(), Vec::<&str>::new());
        assert_eq!(quoted(SCRIPT).collect::<Vec<_>>(), Vec::<&str>::new());
        for address in ["href=\"page.css\"", "src=\"page.js\"", "href=\"stats\""] {
            assert!(PAGE.contains(address), "{address}");
        }
        for address in ["`sessions/", "fetch(\"stats\")", "METRICS = \"services/metrics/stream\""] {
            assert!(SCRIPT.contains(address), "{address}");
        }
    }
}
