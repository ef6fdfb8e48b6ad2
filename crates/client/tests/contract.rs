//! The service that the public contract tests drive, driven here: each capability once, over real sockets.

#[path = "../examples/contract_service/service/mod.rs"]
mod service;

use std::future::poll_fn;
use std::net::SocketAddr;

use crate::common::{Peer, STREAM, Script, value};
use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use watertight_client::{HyperTransport, Transport};

/// What both clients tell of streams, by the names of the public contract tests.
const CASES: &str = include_str!("../../../clients/cases/contract-cases.json");

/// The service, a server of streams and a receiver of callbacks.
struct Harness {
    service: SocketAddr,
    /// Owns the service's task.
    running: JoinSet<()>,
    streams: Script,
    callbacks: Script,
    /// Number of the last callback.
    told: u64,
}

impl Harness {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = listener.local_addr().unwrap();
        let mut running = JoinSet::new();
        running.spawn(service::serve(listener));
        Self { service, running, streams: Script::listen().await, callbacks: Script::listen().await, told: 0 }
    }

    async fn call(&self, method: &str, path: &str, body: impl ToString) -> Response<Bytes> {
        let url =
            if path.starts_with("http") { path.to_owned() } else { format!("http://{}{path}", self.service) };
        let mut request = Request::new(Bytes::from(body.to_string()));
        *request.method_mut() = method.parse().unwrap();
        *request.uri_mut() = url.parse().unwrap();
        let (head, mut body) = HyperTransport::default().open(request).await.unwrap().into_parts();
        let mut whole = Vec::new();
        while let Some(read) = poll_fn(|context| body.as_mut().poll_next(context)).await {
            whole.extend(read.unwrap());
        }
        Response::from_parts(head, whole.into())
    }

    /// Makes a stream with these parameters more, and returns its URL.
    async fn create(&self, more: Value) -> String {
        let mut params = json!({"streamUrl": self.streams.url(), "callbackUrl": format!("{}/cb", self.callbacks.url()),
            "tag": "test", "initialDelayMs": 0, "method": null, "headers": null});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = self.call("POST", "/", params).await;
        assert_eq!(answer.status(), 201, "{answer:?}");
        answer.headers()["location"].to_str().unwrap().to_owned()
    }

    /// The next connection of a subscriber, its request read and answered with a stream.
    async fn stream(&self) -> (Peer, String, String) {
        let mut peer = self.streams.accept().await;
        let (head, body) = peer.request().await;
        peer.say(STREAM).await;
        (peer, head, body)
    }

    /// The next callback; its number follows the one before.
    async fn told(&mut self) -> Value {
        let mut peer = self.callbacks.accept().await;
        let (head, body) = peer.request().await;
        self.told += 1;
        assert!(head.starts_with(&format!("post /cb/{} http/1.1", self.told)), "{head}");
        peer.answer("202 Accepted", "", "").await;
        serde_json::from_str(&body).unwrap()
    }

    async fn told_event(&mut self, id: &str, data: &str) {
        let event = json!({"kind": "event", "event": {"type": "message", "data": data, "id": id}});
        assert_eq!(self.told().await, event);
    }

    async fn told_error(&mut self) {
        let told = self.told().await;
        assert!(
            told["kind"] == "error" && told["error"].is_string() && told["error"] == told["comment"],
            "{told}"
        );
    }

    /// A stream of these bytes, each piece apart, is told like this: an event as a list, a comment as a text.
    async fn tells(&mut self, name: &str, pieces: &[&[u8]], told: &[Value]) {
        let url = self.create(json!({})).await;
        let mut peer = self.streams.accept().await;
        peer.request().await;
        peer.say("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n").await;
        for piece in pieces {
            peer.say(piece).await;
        }
        for expected in told {
            let expected = match expected.as_array().map(Vec::as_slice) {
                Some([kind, data, id]) => {
                    json!({"kind": "event", "event": {"type": kind, "data": data, "id": id}})
                }
                _ => json!({"kind": "comment", "comment": expected}),
            };
            assert_eq!(self.told().await, expected, "{name}");
        }
        self.forget(&url).await;
    }

    /// Ends one stream, and whatever connection it has made meanwhile.
    async fn forget(&mut self, url: &str) {
        assert_eq!(self.call("DELETE", url, "").await.status(), 204);
        self.told = 0;
        self.streams = Script::listen().await;
    }

    /// Ends it, and waits until nothing of it is left.
    async fn stop(mut self) {
        assert_eq!(self.call("DELETE", "/", "").await.status(), 204);
        self.running.join_next().await.unwrap().unwrap();
        let refused = tokio::net::TcpStream::connect(self.service).await;
        assert!(refused.is_err(), "it listens still");
    }
}

#[tokio::test]
async fn it_says_what_it_can_and_ends_when_told_to() {
    let harness = Harness::start().await;
    let answer = harness.call("GET", "/", "").await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"] == "application/json"),
        (200, true)
    );
    let status: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(status["name"], "watertight-client");
    assert_eq!(status["capabilities"].as_array().unwrap().len(), 10);
    // A stream that is open then is closed.
    harness.create(json!({})).await;
    let (mut peer, ..) = harness.stream().await;
    harness.stop().await;
    peer.closed().await;
}

#[tokio::test]
async fn events_and_comments_are_told_in_order_also_behind_a_byte_order_mark() {
    let mut harness = Harness::start().await;
    harness.create(json!({})).await;
    let mut peer = harness.streams.accept().await;
    peer.request().await;
    peer.say("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n").await;
    for piece in
        [b"\xEF".as_slice(), b"\xBB\xBF", b"data: one\n\n:Hello\n", b"event: put\nid: a\ndata: t", b"wo\n\n"]
    {
        peer.say(piece).await;
    }
    harness.told_event("", "one").await;
    assert_eq!(harness.told().await, json!({"kind": "comment", "comment": "Hello"}));
    let put = json!({"kind": "event", "event": {"type": "put", "data": "two", "id": "a"}});
    assert_eq!(harness.told().await, put);
    harness.stop().await;
}

/// In pieces of so many bytes; whole without a number.
fn cut(bytes: &[u8], piece: Option<u64>) -> Vec<&[u8]> {
    match piece {
        Some(size) => bytes.chunks(usize::try_from(size).unwrap()).collect(),
        None => vec![bytes],
    }
}

#[tokio::test]
async fn streams_are_told_as_the_shared_table_says() {
    let table: Value = serde_json::from_str(CASES).unwrap();
    let list = |value: &Value| value.as_array().unwrap().clone();
    let mut harness = Harness::start().await;
    for case in list(&table["cases"]) {
        let chunks = list(&case["chunks"]);
        let pieces: Vec<_> = chunks
            .iter()
            .flat_map(|chunk| cut(chunk.as_str().unwrap().as_bytes(), case["piece"].as_u64()))
            .collect();
        harness.tells(case["name"].as_str().unwrap(), &pieces, &list(&case["told"])).await;
    }
    for (separator, case) in ["\n", "\r\n", "\r"]
        .into_iter()
        .flat_map(|separator| list(&table["linefeeds"]).into_iter().map(move |case| (separator, case)))
    {
        let wire: String = list(&case["lines"])
            .iter()
            .map(|line| format!("{}{separator}", line.as_str().unwrap()))
            .collect();
        for piece in [None, Some(1), Some(2)] {
            let name = format!("{} ended by {separator:?} in pieces of {piece:?}", case["name"]);
            harness.tells(&name, &cut(wire.as_bytes(), piece), &list(&case["told"])).await;
        }
    }
    for size in list(&table["payloads"]) {
        let data = "x".repeat(usize::try_from(size.as_u64().unwrap()).unwrap());
        let told = [json!(["message", data, ""])];
        harness.tells(&format!("{size} bytes"), &[format!("data: {data}\n\n").as_bytes()], &told).await;
    }
    harness.stop().await;
}

#[tokio::test]
async fn it_comes_back_behind_the_last_whole_event() {
    let mut harness = Harness::start().await;
    for (wire, told, id) in [
        ("id: a\ndata: 1\n\ndata: 2\n\n", [("a", "1"), ("a", "2")].as_slice(), "a"),
        ("id: a\ndata: 1\n\nid: \ndata: 2\n\n", &[("a", "1"), ("", "2")], ""),
        ("id: a\ndata: 1\n\nid: b\ndata: 2", &[("a", "1")], "a"),
    ] {
        let url = harness.create(json!({})).await;
        let (mut peer, head, _) = harness.stream().await;
        assert_eq!(value(&head, "last-event-id"), None);
        peer.say(wire).await;
        for (id, data) in told {
            harness.told_event(id, data).await;
        }
        drop(peer);
        harness.told_error().await;
        let (mut second, head, _) = harness.stream().await;
        assert_eq!(value(&head, "last-event-id").unwrap_or_default(), id, "{wire:?}");
        second.say("data: again\n\n").await;
        harness.told_event(id, "again").await;
        harness.forget(&url).await;
    }
    harness.stop().await;
}

#[tokio::test]
async fn requests_are_as_asked_for_and_again_after_a_lost_connection() {
    let mut harness = Harness::start().await;
    for method in ["POST", "REPORT"] {
        let headers = json!({"content-type": "application/json; charset=utf-8", "header-name-1": "value-1"});
        let params = json!({"method": method, "headers": headers, "body": "{\"hello\": \"world\"}", "lastEventId": "abc"});
        let url = harness.create(params).await;
        for _ in 0..2 {
            let (peer, head, body) = harness.stream().await;
            assert!(head.starts_with(&format!("{} / http/1.1", method.to_lowercase())), "{head}");
            assert_eq!(value(&head, "content-type"), Some("application/json; charset=utf-8"));
            assert_eq!(value(&head, "header-name-1"), Some("value-1"));
            assert_eq!(value(&head, "cache-control"), Some("no-cache"));
            assert_eq!(value(&head, "last-event-id"), Some("abc"));
            assert_eq!(body, "{\"hello\": \"world\"}");
            drop(peer);
            harness.told_error().await;
        }
        harness.forget(&url).await;
    }
    harness.stop().await;
}

#[tokio::test]
async fn after_a_restart_the_next_message_is_an_event() {
    let mut harness = Harness::start().await;
    let url = harness.create(json!({})).await;
    let (mut peer, head, _) = harness.stream().await;
    assert_eq!(value(&head, "last-event-id"), None);
    peer.say("id: 1\ndata: Hello\n\n").await;
    harness.told_event("1", "Hello").await;
    assert!(harness.call("POST", &url, json!({"command": "restart"})).await.status().is_success());
    let (mut second, head, _) = harness.stream().await;
    assert_eq!(value(&head, "last-event-id"), Some("1"));
    peer.closed().await;
    second.say("data: Thanks\n\n").await;
    harness.told_event("1", "Thanks").await;
    harness.stop().await;
}

#[tokio::test]
async fn a_read_time_out_is_told_and_followed_by_a_new_connection() {
    let mut harness = Harness::start().await;
    harness.create(json!({"readTimeoutMs": 200})).await;
    let (mut peer, ..) = harness.stream().await;
    peer.say("data: Hello\n\n").await;
    harness.told_event("", "Hello").await;
    harness.told_error().await;
    peer.closed().await;
    harness.stream().await;
    harness.stop().await;
}

#[tokio::test]
async fn a_server_can_end_a_stream_for_ever_and_errors_are_told() {
    let mut harness = Harness::start().await;
    let gone = harness.create(json!({})).await;
    let mut peer = harness.streams.accept().await;
    peer.request().await;
    peer.answer("204 No Content", "", "").await;
    peer.closed().await;
    // Restarted or not: it does not come back. The next connection is the next stream's.
    harness.call("POST", &gone, json!({"command": "restart"})).await;
    let redirects = ["301 Moved Permanently", "307 Temporary Redirect"];
    for (status, headers) in
        redirects.into_iter().flat_map(|status| [(status, ""), (status, "location:\r\n")])
    {
        harness.create(json!({"lastEventId": "next"})).await;
        let mut peer = harness.streams.accept().await;
        assert_eq!(value(&peer.request().await.0, "last-event-id"), Some("next"));
        peer.answer(status, headers, "").await;
        harness.told = 0;
        harness.told_error().await;
    }
    harness.create(json!({})).await;
    harness.told = 0;
    let mut peer = harness.streams.accept().await;
    peer.request().await;
    peer.answer("307 Temporary Redirect", "location: /there\r\n", "").await;
    let (mut peer, head, _) = harness.stream().await;
    assert!(head.starts_with("get /there "), "{head}");
    peer.say("data: there\n\n").await;
    harness.told_event("", "there").await;
    harness.stop().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let harness = Harness::start().await;
    let url = harness.streams.url();
    for params in [
        String::new(),
        "nonsense".to_owned(),
        "[]".to_owned(),
        json!({"streamUrl": url}).to_string(),
        json!({"callbackUrl": url}).to_string(),
        json!({"streamUrl": null, "callbackUrl": url}).to_string(),
        json!({"streamUrl": 7, "callbackUrl": url}).to_string(),
        json!({"streamUrl": "nowhere", "callbackUrl": url}).to_string(),
        json!({"streamUrl": url, "callbackUrl": "nowhere"}).to_string(),
        json!({"streamUrl": url, "callbackUrl": url, "readTimeoutMs": "soon"}).to_string(),
        json!({"streamUrl": url, "callbackUrl": url, "initialDelayMs": -1}).to_string(),
        json!({"streamUrl": url, "callbackUrl": url, "headers": {"a b": "c"}}).to_string(),
        json!({"streamUrl": url, "callbackUrl": url, "headers": {"a": 1}}).to_string(),
        json!({"streamUrl": url, "callbackUrl": url, "method": "NO METHOD"}).to_string(),
    ] {
        assert_eq!(harness.call("POST", "/", &params).await.status(), 400, "{params}");
    }
    let stream = harness.create(json!({})).await;
    assert_eq!(harness.call("POST", &stream, json!({"command": "dance"})).await.status(), 400);
    assert_eq!(harness.call("POST", &stream, "nonsense").await.status(), 400);
    for nowhere in ["/streams/999", "/streams/x", "/elsewhere"] {
        assert_eq!(harness.call("POST", nowhere, json!({"command": "restart"})).await.status(), 404);
        assert_eq!(harness.call("DELETE", nowhere, "").await.status(), 404);
    }
    assert_eq!(harness.call("DELETE", &stream, "").await.status(), 204);
    assert_eq!(harness.call("DELETE", &stream, "").await.status(), 404);
    harness.stop().await;
}
