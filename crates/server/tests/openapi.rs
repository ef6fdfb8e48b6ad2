//! `docs/openapi.json` is what the hub does: the same paths, the same codes, the answers it describes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "openapi/figures.rs"]
mod figures;
#[path = "openapi/schema.rs"]
mod schema;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use futures_util::{FutureExt, StreamExt};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use schema::{check, references, resolve};
use serde_json::{Value, json};
use tower::ServiceExt;
use watertight::{CloseReason, GapReason, Gate, Hub, HubConfig, Rung};
use watertight_core::{End, Kind, Owner};
use watertight_server::config::Config;
use watertight_server::{App, DroppedLines, application};

const METHODS: [&str; 5] = ["get", "post", "put", "delete", "patch"];

/// Words in capitals in the source that are no problem codes.
const NO_CODES: [&str; 26] = [
    "POST",
    "COUNT",
    "XLEN",
    "XREVRANGE",
    "SCREAMING_SNAKE_CASE",
    "SIGTERM",
    "SIGINT",
    "CARGO_PKG_VERSION",
    "OUT_DIR",
    // What a service manager says of sockets.
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    // What Redis answers, and is asked.
    "CLUSTERDOWN",
    "EXPIRE",
    "HGET",
    "LOADING",
    "MASTERDOWN",
    "MAXLEN",
    "MOVED",
    "NOAUTH",
    "NOPERM",
    "PING",
    "READONLY",
    "WRONGPASS",
    "WRONGTYPE",
    "SELECT",
    "XADD",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn document() -> Value {
    let text = fs::read_to_string(root().join("docs/openapi.json")).unwrap();
    serde_json::from_str(&text).expect("docs/openapi.json is JSON")
}

/// Method and path of every operation that is described.
fn operations(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| {
        let methods = METHODS.into_iter().filter(|method| item.get(*method).is_some());
        methods.map(|method| (method.to_owned(), path.clone())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

fn operation<'a>(document: &'a Value, method: &str, path: &str) -> &'a Value {
    &document["paths"][path][method]
}

#[test]
fn the_description_is_openapi_3_1_and_every_reference_resolves() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(document["info"]["title"].is_string() && document["paths"].is_object());
    for reference in references(&document) {
        assert!(resolve(&document, reference).is_some(), "{reference} leads nowhere");
    }
    let mut ids = BTreeSet::new();
    for (method, path) in operations(&document) {
        let operation = operation(&document, &method, &path);
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no id"));
        assert!(ids.insert(id.to_owned()), "two operations are called {id}");
        assert!(operation["summary"].is_string(), "{method} {path} has no summary");
        for (status, response) in operation["responses"].as_object().expect("responses") {
            assert!(StatusCode::from_bytes(status.as_bytes()).is_ok(), "{method} {path}: status {status}");
            let response = follow(&document, response);
            assert!(response["description"].is_string(), "{method} {path} {status} has no description");
        }
        assert_eq!(parameters_in_path(&document, &method, &path), braces(&path), "{method} {path}");
    }
}

#[test]
fn an_empty_query_parameter_counts_as_absent_in_the_description_too() {
    let document = document();
    let mut optional = 0;
    let of = |(method, path): (String, String)| parameters_of(&document, &method, &path).collect::<Vec<_>>();
    for parameter in operations(&document).into_iter().flat_map(of) {
        if parameter["in"] != "query" {
            continue;
        }
        let (name, required) = (&parameter["name"], parameter["required"] == true);
        let takes_empty = check(&document, &parameter["schema"], &json!(""), "").is_ok();
        assert_eq!(takes_empty, !required, "{name}: {}", parameter["schema"]);
        optional += usize::from(!required);
    }
    assert!(optional > 10, "only {optional} were found");
}

/// Those of the path and of the operation itself.
fn parameters_of<'a>(document: &'a Value, method: &str, path: &str) -> impl Iterator<Item = &'a Value> {
    let shared = document["paths"][path]["parameters"].as_array().into_iter().flatten();
    let own = operation(document, method, path)["parameters"].as_array().into_iter().flatten();
    shared.chain(own).map(|parameter| follow(document, parameter))
}

fn follow<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    value["$ref"].as_str().map_or(value, |reference| resolve(document, reference).unwrap())
}

fn parameters_in_path(document: &Value, method: &str, path: &str) -> BTreeSet<String> {
    parameters_of(document, method, path)
        .filter(|parameter| parameter["in"] == "path")
        .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
        .collect()
}

fn braces(path: &str) -> BTreeSet<String> {
    path.split('/').filter_map(|part| Some(part.strip_prefix('{')?.strip_suffix('}')?.to_owned())).collect()
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/router.rs")).unwrap();
    let mut routes: BTreeSet<(String, String)> = source
        .split(".route(\"")
        .skip(1)
        .flat_map(|route| {
            let (path, rest) = route.split_once('"').unwrap();
            let handlers = rest.split(['\n', ';']).next().unwrap();
            let methods = METHODS.into_iter().filter(|method| handlers.contains(&format!("{method}(")));
            methods.map(|method| (method.to_owned(), path.to_owned())).collect::<Vec<_>>()
        })
        .collect();
    assert!(routes.len() > 10, "the routes were not found in src/router.rs");
    // The dashboard's, which stands with its other files in src/routes/assets.rs.
    assert!(routes.insert(("get".to_owned(), "/".to_owned())));
    assert_eq!(routes, operations(&document()));
}

/// Every file of Rust under `folder`, but for the configuration and the connection to Redis: neither mistakes in the one
/// nor codes of the other reach HTTP; nor does the list of codes that are counted count itself.
fn sources(folder: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let left_out = ["config", "redis", "redis.rs", "of_redis.rs", "refusals.rs"]
            .iter()
            .any(|name| path.ends_with(name));
        if left_out {
            continue;
        }
        if path.is_dir() {
            texts.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            texts.push(fs::read_to_string(&path).unwrap());
        }
    }
    texts
}

fn is_code(text: &str) -> bool {
    text.len() > 3
        && text.starts_with(|first: char| first.is_ascii_uppercase())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

#[test]
fn every_problem_code_in_the_source_is_listed_and_nothing_else() {
    let mut codes = BTreeSet::new();
    for text in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        codes.extend(text.split('"').filter(|literal| is_code(literal)).map(str::to_owned));
    }
    for no_code in NO_CODES {
        codes.remove(no_code);
    }
    // The accept loop refuses without the router.
    let refusals = fs::read_to_string(root().join("crates/watertight/src/serve/refusal.rs")).unwrap();
    codes.extend(refusals.split('"').filter(|literal| is_code(literal)).map(str::to_owned));
    assert!(codes.contains("TOO_MANY_CONNECTIONS") && codes.contains("INTERNAL"), "{codes:?}");
    let document = document();
    let listed = strings(&document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]);
    assert_eq!(codes, listed);
    // Each stands with the status that it comes with, too.
    let text = document["paths"].to_string() + &document["components"]["responses"].to_string();
    for code in &codes {
        let general = document["info"]["description"].as_str().unwrap();
        assert!(text.contains(code) || general.contains(code), "no answer is said to have the code {code}");
    }
}

fn strings(list: &Value) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

fn set<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

fn keys(object: &Value) -> BTreeSet<String> {
    object.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn closing_codes_gap_reasons_kinds_owners_and_rungs_are_those_of_the_code() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let codes = CloseReason::ALL.map(CloseReason::code);
    assert_eq!(strings(&schemas["ClosingEvent"]["properties"]["code"]["enum"]), set(codes));
    let reasons = GapReason::ALL.map(GapReason::name);
    assert_eq!(strings(&schemas["Gap"]["properties"]["reason"]["enum"]), set(reasons));
    let stats = &schemas["Stats"]["properties"];
    assert_eq!(keys(&stats["ledger"]["properties"]), set(Kind::ALL.map(Kind::name)));
    assert_eq!(keys(&stats["gapsByReason"]["properties"]), set(reasons));
    let ends = End::of_each_name().map(End::name);
    assert_eq!(keys(&stats["closesByReason"]["properties"]), set(ends));
    let mut refusals = strings(&schemas["Problem"]["properties"]["code"]["enum"]);
    refusals.insert("other".to_owned());
    assert_eq!(keys(&stats["refusalsByReason"]["properties"]), refusals);
    let budget = &stats["budget"]["properties"];
    assert_eq!(keys(&budget["owners"]["properties"]), set(Owner::ALL.map(Owner::name)));
    use Rung::{CloseLaggards, NoNewcomers, NoReplay, Normal, ShedHistory, Warning};
    let rungs = [Normal, Warning, ShedHistory, NoReplay, NoNewcomers, CloseLaggards].map(Rung::name);
    assert_eq!(strings(&budget["level"]["enum"]), set(rungs));
}

#[test]
fn figures_that_documents_give_for_settings_are_the_defaults() {
    let read = |name: &str| fs::read_to_string(root().join(name)).unwrap();
    let defaults = figures::defaults(&read("docs/configuration.md"));
    assert!(defaults.len() > 30, "the settings were not found in docs/configuration.md");
    let mut compared = 0;
    for name in ["README.md", "ARCHITECTURE.md", "docs/guide.md", "docs/protocol.md", "docs/operations.md"]
        .into_iter()
        .chain(["docs/connection-lifecycle.md", "docs/access.md"])
    {
        for (line, key, figure) in figures::given(&read(name), &defaults) {
            assert_eq!(figure, defaults[key], "{name}:{line}: {key}");
            compared += 1;
        }
    }
    assert!(compared > 30, "only {compared} figures were found");
}

/// A hub's application, and checks of its answers against the description.
struct Described {
    document: Value,
    app: App,
    hub: Hub,
}

impl Described {
    fn new() -> Described {
        let hub = Hub::new(HubConfig::default()).unwrap();
        let gate = Gate::new(Arc::clone(hub.ledger()), 10, 10);
        let app = App::new(hub.clone(), Arc::new(Config::default()), gate, DroppedLines::default());
        Described { document: document(), app, hub }
    }

    /// Calls, and checks that status, content type and body are described for `path`.
    async fn call(&self, method: &str, path: &str, uri: &str, headers: &[(&str, &str)], body: &str) -> Value {
        let mut request = Request::builder().method(method.to_uppercase().as_str()).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = application(self.app.clone()).oneshot(request).await.unwrap();
        let at = format!("{method} {uri}");
        let described = &operation(&self.document, method, path)["responses"][response.status().as_str()];
        assert!(described.is_object(), "{at}: {} is not described", response.status());
        let described = follow(&self.document, described);
        self.check_body(described, response, &at).await
    }

    async fn check_body(&self, described: &Value, response: Response, at: &str) -> Value {
        let Some(content_type) = response.headers().get(header::CONTENT_TYPE) else {
            assert!(described.get("content").is_none(), "{at}: a body is described and none came");
            return Value::Null;
        };
        let content_type = content_type.to_str().unwrap().split(';').next().unwrap().to_owned();
        let schema = &described["content"][&content_type]["schema"];
        assert!(schema.is_object(), "{at}: {content_type} is not described");
        if content_type == "text/event-stream" {
            return Value::Null;
        }
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let value = match content_type.ends_with("json") {
            true => serde_json::from_slice(&bytes).unwrap(),
            false => Value::String(String::from_utf8(bytes.to_vec()).unwrap()),
        };
        check(&self.document, schema, &value, at).unwrap();
        value
    }
}

#[tokio::test]
async fn answers_to_good_requests_are_those_described() {
    const EVENTS: &str = "/sessions/{session}/events";
    let hub = Described::new();
    let json = [("content-type", "application/json")];
    let text = [("content-type", "text/plain")];
    let ndjson = [("content-type", "application/x-ndjson")];
    let poll = [("accept", "application/json")];
    let uri = "/sessions/demo/events";
    hub.call("post", EVENTS, uri, &text, "hello").await;
    hub.call("post", EVENTS, uri, &json, r#"[{"data":1},{"type":"tick","data":{"n":1},"ttl":30}]"#).await;
    hub.call("post", EVENTS, uri, &ndjson, "{\"data\":1}\n").await;
    hub.call("get", EVENTS, uri, &[], "").await;
    let all = hub.call("get", EVENTS, "/sessions/demo/events?replay=all", &poll, "").await;
    assert_eq!(all["events"].as_array().unwrap().len(), 4);
    let gap = hub.call("get", EVENTS, "/sessions/demo/events?after=nonsense", &poll, "").await;
    assert_eq!(gap["gap"]["reason"], "unknown_id");
    let mut subscription = hub.hub.subscribe("demo", watertight::Resume::Live).unwrap();
    // Once polled it is in the list of connections.
    assert!(subscription.next().now_or_never().is_none());
    for (method, path, uri) in [
        ("get", "/", "/"),
        ("get", "/sessions", "/sessions?limit=1"),
        ("get", "/sessions/{session}", "/sessions/demo"),
        ("get", "/sessions", "/sessions?contains=em&sort=bytes&order=asc&limit=1"),
        ("get", "/connections", "/connections"),
        ("get", "/connections", "/connections?session=demo&sort=lag&min_lag=0&kind=session"),
        ("get", "/sources", "/sources?contains=e"),
        ("get", "/stats", "/stats"),
        ("get", "/stats/stream", "/stats/stream"),
        ("get", "/metrics", "/metrics"),
        ("get", "/health/live", "/health/live"),
        ("get", "/health/ready", "/health/ready"),
        ("get", "/openapi.json", "/openapi.json"),
        ("get", "/doctor", "/doctor?session=demo"),
        ("post", "/doctor", "/doctor?session=demo"),
        ("get", "/services/metrics/stream", "/services/metrics/stream"),
        ("get", "/deployments/{id}/logs/stream", "/deployments/42/logs/stream"),
        ("post", "/deployments/{id}/logs", "/deployments/42/logs"),
        ("post", "/tokens/revoke", "/tokens/revoke"),
        ("post", "/tokens/check", "/tokens/check"),
        ("delete", "/sessions/{session}", "/sessions/demo"),
    ] {
        hub.call(method, path, uri, &[], "").await;
    }
    drop(subscription);
    assert_eq!(hub.hub.stats().subscribers, 0);
    const END: &str = "/sessions/{session}/end";
    hub.call("post", EVENTS, uri, &text, "before the end").await;
    let end = r#"{"event":{"type":"done","data":{"ok":true}},"keep":60}"#;
    let first = hub.call("post", END, "/sessions/demo/end", &json, end).await;
    let again = hub.call("post", END, "/sessions/demo/end?keep=5", &[], "").await;
    assert_eq!((&first, &first["keep"]), (&again, &json!(60.0)), "the first end stands");
    let session = hub.call("get", "/sessions/{session}", "/sessions/demo", &[], "").await;
    assert_eq!((&session["state"], &session["endedAt"]), (&json!("ended"), &first["endedAt"]));
    let polled =
        hub.call("get", EVENTS, &format!("{uri}?after={}", first["last"].as_str().unwrap()), &poll, "").await;
    assert_eq!(polled["end"]["code"], "SESSION_ENDED");
    hub.call("post", EVENTS, &format!("{uri}?reopen=true"), &text, "anew").await;
}

#[tokio::test]
async fn refusals_are_those_described() {
    const EVENTS: &str = "/sessions/{session}/events";
    let hub = Described::new();
    let json = [("content-type", "application/json")];
    const END: &str = "/sessions/{session}/end";
    hub.hub.end_session("over", &watertight::EndOptions::default()).unwrap();
    let long_end = format!("/sessions/{}/end", "x".repeat(300));
    let long_name = format!("/sessions/{}/events", "x".repeat(300));
    let long_uri = format!("/stats?{}", "x".repeat(9000));
    for (method, path, uri, headers, body, code) in [
        ("post", EVENTS, "/sessions/demo/events", &json[..], "{", "MALFORMED_JSON"),
        ("post", EVENTS, "/sessions/demo/events", &json, r#"{"dat":1}"#, "MALFORMED_BODY"),
        ("post", EVENTS, "/sessions/demo/events", &json, r#"{"data":1,"type":"gap"}"#, "RESERVED_EVENT_TYPE"),
        ("post", EVENTS, "/sessions/demo/events", &json, r#"[{"data":1,"ttl":0}]"#, "INVALID_TTL"),
        ("post", EVENTS, "/sessions/demo/events", &[], "x=y", "UNSUPPORTED_MEDIA_TYPE"),
        ("post", EVENTS, &long_name, &json, "1", "INVALID_SESSION_NAME"),
        ("get", EVENTS, "/sessions/demo/events", &[("accept", "image/png")], "", "NOT_ACCEPTABLE"),
        ("get", EVENTS, "/sessions/demo/events?replay=x", &[], "", "INVALID_PARAMETER"),
        ("post", EVENTS, "/sessions/demo/events?reopen=x", &json, "1", "INVALID_PARAMETER"),
        ("post", EVENTS, "/sessions/over/events", &json, r#"{"data":1}"#, "SESSION_ENDED"),
        ("post", END, "/sessions/demo/end?keep=0", &[], "", "INVALID_KEEP"),
        ("post", END, "/sessions/demo/end?keep=1", &json, r#"{"keep":1}"#, "INVALID_PARAMETER"),
        ("post", END, "/sessions/demo/end", &json, r#"{"keep":3000000}"#, "INVALID_KEEP"),
        ("post", END, "/sessions/demo/end", &json, r#"[{"data":1},1]"#, "MALFORMED_BODY"),
        ("post", END, "/sessions/demo/end", &json, r#"{"event":[null,1]}"#, "MALFORMED_BODY"),
        (
            "post",
            END,
            "/sessions/demo/end",
            &json,
            r#"{"event":{"data":1,"type":"error"}}"#,
            "RESERVED_EVENT_TYPE",
        ),
        ("post", END, "/sessions/demo/end", &json, "{", "MALFORMED_JSON"),
        ("post", END, "/sessions/demo/end", &[], "{}", "UNSUPPORTED_MEDIA_TYPE"),
        ("post", END, &long_end, &[], "", "INVALID_SESSION_NAME"),
        ("post", EVENTS, "/sessions/stats%2Fstream/events", &json, r#"{"data":1}"#, "RESERVED_SESSION"),
        ("get", EVENTS, "/sessions/stats%2Fstream/events", &[], "", "RESERVED_SESSION"),
        ("post", END, "/sessions/stats%2Fstream/end", &[], "", "RESERVED_SESSION"),
        ("delete", "/sessions/{session}", "/sessions/stats%2Fstream", &[], "", "RESERVED_SESSION"),
        ("get", "/stats/stream", "/stats/stream?interval=1", &[], "", "INVALID_PARAMETER"),
        ("get", "/sessions", "/sessions?limit=0", &[], "", "INVALID_PARAMETER"),
        ("get", "/sessions", "/sessions?sort=size", &[], "", "INVALID_PARAMETER"),
        ("get", "/sessions", "/sessions?sort=name&order=up", &[], "", "INVALID_PARAMETER"),
        ("get", "/sessions", "/sessions?sort=name&cursor=x", &[], "", "INVALID_PARAMETER"),
        ("get", "/sessions", "/sessions?sort=name&cursor=1.2", &[], "", "STALE_CURSOR"),
        ("get", "/sessions", "/sessions?sort=name&user=ada", &[], "", "INVALID_PARAMETER"),
        ("get", "/sessions", "/sessions?sort=name&cursor=0123456789abcdef.1.", &[], "", "STALE_CURSOR"),
        ("get", "/connections", "/connections?sort=name", &[], "", "INVALID_PARAMETER"),
        ("get", "/connections", "/connections?min_lag=-1", &[], "", "INVALID_PARAMETER"),
        ("get", "/connections", "/connections?address=here", &[], "", "INVALID_PARAMETER"),
        ("get", "/connections", "/connections?sort=lag&cursor=0123456789abcdef.1.", &[], "", "STALE_CURSOR"),
        ("get", "/sources", "/sources?sort=name", &[], "", "INVALID_PARAMETER"),
        ("get", "/sources", "/sources?cursor=0123456789abcdef.1.", &[], "", "STALE_CURSOR"),
        ("get", "/doctor", "/doctor", &[], "", "INVALID_PARAMETER"),
        ("get", "/doctor", "/doctor?session=services/x", &[], "", "RESERVED_SESSION"),
        (
            "post",
            "/doctor",
            "/doctor?session=a",
            &[("content-encoding", "gzip")],
            "x",
            "UNSUPPORTED_ENCODING",
        ),
        ("get", "/sessions/{session}", "/sessions/none", &[], "", "SESSION_NOT_FOUND"),
        ("delete", "/connections/{id}", "/connections/none", &[], "", "CONNECTION_NOT_FOUND"),
        ("get", "/stats", &long_uri, &[], "", "URI_TOO_LONG"),
        ("get", "/stats", "/stats", &[("content-length", "1")], "x", "BODY_NOT_ALLOWED"),
    ] {
        let problem = hub.call(method, path, uri, headers, body).await;
        assert_eq!(problem["code"], json!(code), "{method} {uri}");
    }
    hub.hub.shutdown(std::time::Duration::from_secs(1)).await;
    for (path, uri) in [(EVENTS, "/sessions/demo/events"), ("/health/ready", "/health/ready")] {
        assert_eq!(hub.call("get", path, uri, &[], "").await["code"], "SHUTTING_DOWN");
    }
}
