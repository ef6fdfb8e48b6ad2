//! The calls: what they take and what they answer.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::params::Params;
use super::stream::{self, Command};
use super::{COMMANDS_MAX, Running, STREAMS_MAX, Service};

/// Bytes of a request's body, at most.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

const STATUS: &str = r#"{"name":"watertight-client","capabilities":["bom","comments","headers","last-event-id","payload-size-stress-testable","post","read-timeout","report","restart","server-directed-shutdown-request"]}"#;

type Answer = Response<Full<Bytes>>;

#[derive(Deserialize)]
struct CommandParams {
    command: String,
}

pub(super) async fn answer(service: &Service, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let id = path.strip_prefix("/streams/").and_then(|id| id.parse::<u64>().ok());
    match (&head.method, path, id) {
        (&Method::GET, "/", _) => {
            let mut answer = Response::new(STATUS.into());
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            answer
        }
        (&Method::DELETE, "/", _) => {
            service.stop.cancel();
            empty(StatusCode::NO_CONTENT)
        }
        (&Method::POST, "/", _) => match read(body).await {
            Ok(body) => create(service, &body, head.headers.get(HOST)),
            Err(status) => empty(status),
        },
        (&Method::POST, _, Some(id)) => match read(body).await {
            Ok(body) => command(service, id, &body).await,
            Err(status) => empty(status),
        },
        (&Method::DELETE, _, Some(id)) => {
            let found = service.with_streams(|streams| streams.running.remove(&id));
            empty(if found.is_some() { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND })
        }
        _ => empty(StatusCode::NOT_FOUND),
    }
}

fn create(service: &Service, body: &[u8], host: Option<&HeaderValue>) -> Answer {
    let subscriber_and_callbacks = match Params::parse(body).and_then(|params| params.build()) {
        Ok(built) => built,
        Err(reason) => return text(StatusCode::BAD_REQUEST, reason),
    };
    let (subscriber, callbacks) = subscriber_and_callbacks;
    let (commands, received) = mpsc::channel(COMMANDS_MAX);
    let id = service.with_streams(|streams| {
        if streams.running.len() >= STREAMS_MAX {
            return None;
        }
        streams.last += 1;
        let task = service.tasks.spawn(stream::run(subscriber, callbacks, received)).abort_handle();
        streams.running.insert(streams.last, Running { commands, task });
        Some(streams.last)
    });
    let Some(id) = id else { return empty(StatusCode::SERVICE_UNAVAILABLE) };
    let mut answer = empty(StatusCode::CREATED);
    let host = host.and_then(|host| host.to_str().ok());
    let location =
        host.map_or_else(|| format!("/streams/{id}"), |host| format!("http://{host}/streams/{id}"));
    if let Ok(location) = HeaderValue::try_from(location) {
        answer.headers_mut().insert(LOCATION, location);
    }
    answer
}

async fn command(service: &Service, id: u64, body: &[u8]) -> Answer {
    let commands =
        service.with_streams(|streams| streams.running.get(&id).map(|running| running.commands.clone()));
    let Some(commands) = commands else { return empty(StatusCode::NOT_FOUND) };
    match serde_json::from_slice::<CommandParams>(body) {
        Ok(CommandParams { command }) if command == "restart" => {
            match commands.send(Command::Restart).await {
                Ok(()) => empty(StatusCode::ACCEPTED),
                Err(_) => empty(StatusCode::NOT_FOUND),
            }
        }
        Ok(CommandParams { command }) => text(StatusCode::BAD_REQUEST, format!("no such command: {command}")),
        Err(error) => text(StatusCode::BAD_REQUEST, error.to_string()),
    }
}

async fn read(body: Incoming) -> Result<Bytes, StatusCode> {
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
    body.map(|body| body.to_bytes()).map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)
}

fn empty(status: StatusCode) -> Answer {
    text(status, String::new())
}

fn text(status: StatusCode, text: String) -> Answer {
    let mut answer = Response::new(Full::from(text));
    *answer.status_mut() = status;
    answer
}
