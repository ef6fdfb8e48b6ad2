//! How files are served, whichever they are.

use std::sync::Arc;

use http::{Method, Request};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use watertight::{Gate, Hub, HubConfig};

use super::*;
use crate::DroppedLines;
use crate::config::Config;

static FILES: [Embedded; 4] = [
    Embedded { name: "index.html", bytes: b"<!doctype html>", gzip: None },
    Embedded { name: "dashboard-0123abcd.js", bytes: b"a script", gzip: Some(b"packed") },
    Embedded { name: "logo.svg", bytes: b"<svg/>", gzip: None },
    Embedded { name: "notes.txt", bytes: b"not of the page", gzip: None },
];
static SERVED: LazyLock<Vec<Asset>> = LazyLock::new(|| FILES.iter().filter_map(Asset::new).collect());

fn app() -> App {
    let hub = Hub::new(HubConfig::default()).unwrap();
    let gate = Gate::new(Arc::clone(hub.ledger()), 10, 10);
    App::new(hub, Arc::new(Config::default()), gate, DroppedLines::default())
}

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

async fn get_file(method: Method, path: &str, fields: &[(&'static str, &'static str)]) -> Response {
    let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    *request.headers_mut() = headers(fields);
    routes_of(&SERVED).with_state(app()).oneshot(request).await.unwrap()
}

async fn body(response: Response) -> Vec<u8> {
    response.into_body().collect().await.unwrap().to_bytes().to_vec()
}

fn field<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

#[tokio::test]
async fn a_file_with_a_hash_in_its_name_is_kept_forever_and_any_other_is_asked_about() {
    let script = get_file(Method::GET, "/dashboard-0123abcd.js", &[]).await;
    assert_eq!(field(&script, "cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(field(&script, "content-type"), "text/javascript; charset=utf-8");
    assert_eq!(field(&script, "content-encoding"), "", "nobody asked for it");
    assert_eq!(body(script).await, b"a script");
    assert_eq!(field(&get_file(Method::GET, "/logo.svg", &[]).await, "cache-control"), "no-cache");
    let page = get_file(Method::GET, "/", &[]).await;
    assert_eq!((field(&page, "cache-control"), page.status().as_u16()), ("no-cache", 200));
    assert!(field(&page, "content-security-policy").starts_with("default-src 'none'; script-src 'self'"));
    assert_eq!(body(page).await, b"<!doctype html>");
    for (stem, is_hash) in [
        ("a-0123abcd", true),
        ("a-0123abc", false),
        ("a", false),
        ("0123abcd", false),
        ("a-b.01234567", false),
        ("my-dashboard", false),
    ] {
        assert_eq!(has_hash(stem), is_hash, "{stem}");
    }
}

#[tokio::test]
async fn whoever_takes_gzip_gets_it_and_whoever_has_the_file_gets_nothing() {
    let path = "/dashboard-0123abcd.js";
    for (accepted, packed) in [
        ("gzip, deflate, br", true),
        ("br;q=1, GZIP ; q=0.5", true),
        ("*", true),
        ("gzip;q=0", false),
        ("*;q=0", false),
        ("*, gzip;q=0.0", false),
        ("br", false),
        ("gzipped", false),
        ("", false),
    ] {
        let script = get_file(Method::GET, path, &[("accept-encoding", accepted)]).await;
        let encoding = if packed { "gzip" } else { "" };
        assert_eq!(
            (field(&script, "content-encoding"), field(&script, "vary")),
            (encoding, "Accept-Encoding")
        );
        assert_eq!(body(script).await, if packed { &b"packed"[..] } else { b"a script" }, "{accepted}");
    }
    let plain = field(&get_file(Method::GET, path, &[]).await, "etag").to_owned();
    let packed = field(&get_file(Method::GET, path, &[("accept-encoding", "gzip")]).await, "etag").to_owned();
    assert_ne!(plain, packed, "two texts have two tags");
    for (known, status) in [
        (plain.clone(), 304),
        (format!("\"x\", W/{plain}"), 304),
        ("*".into(), 304),
        (packed, 200),
        ("x".into(), 200),
    ] {
        let mut request = HeaderMap::new();
        request.insert(header::IF_NONE_MATCH, HeaderValue::from_str(&known).unwrap());
        let asset = SERVED.iter().find(|asset| path.ends_with(asset.file.name)).unwrap();
        let answer = asset.answer(&request);
        assert_eq!((answer.status().as_u16(), field(&answer, "etag")), (status, &*plain), "{known}");
        assert_eq!(body(answer).await.is_empty(), status == 304);
    }
}

#[tokio::test]
async fn a_head_has_no_body_and_whatever_is_no_file_of_the_page_is_not_found() {
    let head = get_file(Method::HEAD, "/dashboard-0123abcd.js", &[]).await;
    assert_eq!((head.status().as_u16(), field(&head, "content-length")), (200, "8"));
    assert!(body(head).await.is_empty());
    for path in [
        "/notes.txt",
        "/dashboard-ffffffff.js",
        "/dashboard-0123abcd.js/x",
        "/%2e%2e/Cargo.toml",
        "/index.html",
    ] {
        assert_eq!(get_file(Method::GET, path, &[]).await.status(), 404, "{path}");
    }
    assert_eq!(get_file(Method::POST, "/logo.svg", &[]).await.status(), 405);
}

#[test]
fn what_is_built_in_is_whole_and_its_addresses_are_relative() {
    let names: Vec<&str> = EMBEDDED.iter().map(|file| file.name).collect();
    assert_eq!(ASSETS.len(), EMBEDDED.len(), "each has a type: {names:?}");
    let page = EMBEDDED.iter().find(|file| file.name == PAGE).unwrap();
    let text = str::from_utf8(page.bytes).unwrap();
    let attributes = ["href=\"", "src=\""].into_iter().flat_map(|name| text.split(name).skip(1));
    let addresses =
        attributes.filter_map(|rest| rest.split('"').next()).filter(|it| !it.starts_with("data:"));
    for address in addresses {
        assert!(!address.starts_with('/') && !address.contains("://"), "{address} is not relative");
        let beside = address.strip_prefix("./");
        assert!(beside.is_none_or(|name| names.contains(&name)), "{address} is not built in");
    }
    let largest = EMBEDDED.iter().map(|file| file.gzip.unwrap_or(file.bytes).len()).sum::<usize>();
    assert!(largest <= 150_000, "{largest} bytes in all, compressed");
}
