//! What of an application's answers a pump takes over: a stream's own body, on GET, and nothing else.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::TestHub;
use crate::support::eventually;
use crate::support::served::{Served, read_until};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use http_body_util::BodyExt;
use watertight::{Event, Hub, HubConfig, Resume};
use watertight_core::Kind;

async fn subscribe(State(hub): State<Hub>) -> Response {
    hub.subscribe("s", Resume::Live).expect("a subscription").into_response()
}

/// Replaces the body, and leaves everything else as it is.
async fn replaced(response: Response) -> Response {
    response.map(|_| Body::from("replaced"))
}

/// Changes every byte on its way.
async fn in_capitals(response: Response) -> Response {
    let loud = |bytes: Bytes| Bytes::from(bytes.to_ascii_uppercase());
    response.map(|body| Body::new(body.map_frame(move |frame| frame.map_data(loud))))
}

fn serve() -> Served {
    let hub = TestHub::new(HubConfig::default());
    let router = Router::new()
        .route("/own", get(subscribe))
        .route("/any", any(subscribe))
        .route("/replaced", get(subscribe).layer(map_response(replaced)))
        .route("/capitals", get(subscribe).layer(map_response(in_capitals)))
        .with_state(hub.hub.clone());
    Served::with_router(hub, router)
}

fn ask(served: &Served, method: &str, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(served.address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a deadline");
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: hub\r\nContent-Length: 0\r\n\r\n").expect("a request");
    stream
}

fn publish(served: &Served, data: &str) {
    served.hub.hub.publish_now("s", &Event::new(data)).expect("published");
}

#[test]
fn a_head_request_gets_the_head_and_no_stream() {
    let served = serve();
    for path in ["/own", "/any"] {
        let mut stream = ask(&served, "HEAD", path);
        let head = read_until(&mut stream, "\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"), "{head}");
        publish(&served, "for nobody");
        eventually("nobody subscribes", || served.hub.live(Kind::Subscription) == 0);
        // Nothing comes behind the head: neither a block of the stream nor a chunk.
        assert!(served.hub.hub.forget_session("s"));
        stream.shutdown(std::net::Shutdown::Write).expect("a connection");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("an end");
        assert_eq!(String::from_utf8_lossy(&rest), "", "{path}");
    }
}

#[test]
fn a_body_that_middleware_put_in_the_place_of_the_stream_is_what_is_sent() {
    let served = serve();
    let mut stream = ask(&served, "GET", "/replaced");
    assert!(read_until(&mut stream, "replaced").starts_with("HTTP/1.1 200"));
    eventually("nobody subscribes", || served.hub.live(Kind::Subscription) == 0);
}

#[test]
fn bytes_that_middleware_changes_are_sent_changed() {
    let served = serve();
    let mut stream = ask(&served, "GET", "/capitals");
    read_until(&mut stream, ": WATERTIGHT\n");
    publish(&served, "hello");
    assert!(read_until(&mut stream, "HELLO\n\n").contains("DATA: HELLO"));
}

#[test]
fn a_stream_behind_another_method_is_a_body_and_goes_on() {
    let served = serve();
    let mut stream = ask(&served, "POST", "/any");
    read_until(&mut stream, ": watertight\n");
    publish(&served, "hello");
    read_until(&mut stream, "data: hello\n\n");
    assert_eq!(delivery(&served), "body");
}

#[test]
fn an_untouched_stream_is_taken_over() {
    let served = serve();
    let mut stream = ask(&served, "GET", "/own");
    read_until(&mut stream, ": watertight\n");
    publish(&served, "hello");
    read_until(&mut stream, "data: hello\n\n");
    assert_eq!(delivery(&served), "socket");
}

/// How the only reader is delivered to.
fn delivery(served: &Served) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let hub = &served.hub.hub;
    let (page, _) =
        runtime.block_on(hub.connections(watertight::ConnectionScanPoint { shard: 0, slot: 0 }, 10));
    assert_eq!(page.len(), 1, "{page:?}");
    page[0].delivery.to_owned()
}
