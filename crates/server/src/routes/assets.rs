//! The dashboard's files, which `build.rs` puts into the program: each under its own name, the page itself at `/`. Relative
//! addresses alone, so that it works below a path of a proxy. No inline script; what is sent by others is text to the page.

use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::accept::wants_gzip;
use crate::access::sha256;
use crate::state::App;

/// The page, whose scripts and style stand beside it.
const PAGE: &str = "index.html";

/// Only its own script and style, and requests to this hub; no frames around it (threats: XSS, clickjacking); no text becomes
/// markup or script. Pictures may stand in the page itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'";

/// A file with a hash in its name never changes.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Any other is asked about each time.
const ASK: HeaderValue = HeaderValue::from_static("no-cache");

/// A file as it was built in.
struct Embedded {
    name: &'static str,
    bytes: &'static [u8],
    /// Compressed, where that is smaller.
    gzip: Option<&'static [u8]>,
}

const EMBEDDED: &[Embedded] = &include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// A file with what its answers say.
struct Asset {
    file: &'static Embedded,
    content_type: &'static str,
    cache: HeaderValue,
    /// As it is, and compressed.
    tags: [HeaderValue; 2],
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| EMBEDDED.iter().filter_map(Asset::new).collect());

/// The page and the files beside it. One that is not there is unknown, like any other path.
pub(crate) fn routes() -> Router<App> {
    routes_of(&ASSETS)
}

fn routes_of(assets: &'static [Asset]) -> Router<App> {
    assets.iter().fold(Router::new(), |routes, asset| {
        let answer = move |headers: HeaderMap| async move { asset.answer(&headers) };
        let name = if asset.file.name == PAGE { "" } else { asset.file.name };
        routes.route(&format!("/{name}"), get(answer))
    })
}

impl Asset {
    fn new(file: &'static Embedded) -> Option<Asset> {
        let (stem, extension) = file.name.rsplit_once('.')?;
        let content_type = match extension {
            "html" => "text/html; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            "png" => "image/png",
            "woff2" => "font/woff2",
            _ => return None,
        };
        let digest: String = sha256(file.bytes)[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let tag = |suffix: &str| HeaderValue::from_str(&format!("\"{digest}{suffix}\"")).ok();
        let cache = if has_hash(stem) { FOREVER } else { ASK };
        Some(Asset { file, content_type, cache, tags: [tag("")?, tag("-gzip")?] })
    }

    /// The file, compressed for those who take that, or nothing for those who have it.
    fn answer(&self, request: &HeaderMap) -> Response {
        let gzip = self.file.gzip.filter(|_| wants_gzip(request));
        let tag = &self.tags[usize::from(gzip.is_some())];
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.insert(header::ETAG, tag.clone());
        headers.insert(header::CACHE_CONTROL, self.cache.clone());
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        headers.insert(HeaderName::from_static("content-security-policy"), HeaderValue::from_static(POLICY));
        if is_known(request, tag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        if gzip.is_some() {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        *response.body_mut() = Body::from(gzip.unwrap_or(self.file.bytes));
        response
    }
}

/// Whether a name ends in a hash of what is in the file.
fn has_hash(stem: &str) -> bool {
    let hash = stem.rsplit_once('-').map(|(_, hash)| hash);
    hash.is_some_and(|hash| hash.len() >= 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Whether a request says that it has the file of this tag (RFC 9110, section 13.1.2: compared weakly).
fn is_known(request: &HeaderMap, tag: &HeaderValue) -> bool {
    let lists = request.get_all(header::IF_NONE_MATCH).iter();
    let mut tags = lists.flat_map(|list| list.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    tags.any(|known| known == b"*" || known.strip_prefix(b"W/").unwrap_or(known) == tag.as_bytes())
}

#[cfg(test)]
mod tests;
