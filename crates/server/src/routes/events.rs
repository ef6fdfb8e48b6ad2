//! `/sessions/{session}/events`: publish and subscribe.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::json;
use watertight::body::stream_headers;
use watertight::event::EventType;
use watertight::serve::InFlight;
use watertight::{Appended, Event, Hub, Positions, PublishError, PublishOptions, Resume, resume};

use super::query::{PathText, Query, invalid};
use crate::problem::{Problem, unavailable};
use crate::publishing::body::{self, BodyLimits};
use crate::publishing::events::{self as posted, Parsed, Posted};
use crate::publishing::idempotency::{Claim, KEY_BYTES_MAX};
use crate::state::App;

/// How an id may be spelt in a query: clients that cannot set headers have each their own way.
const ID_PARAMETERS: [&str; 3] = ["last_event_id", "lastEventId", "lastEventID"];

/// `GET`: a stream, or a long-poll for those who accept JSON. `HEAD`: its head; nobody subscribes.
pub(crate) async fn read(
    State(app): State<App>,
    PathText(session): PathText,
    method: Method,
    query: Query,
    in_flight: Option<Extension<InFlight>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let resume = resume_of(&headers, &query)?;
    let accepted = accepted(&headers);
    // A poll may wait for long: nothing of its head is held meanwhile.
    drop(headers);
    match accepted {
        Accepted::Stream if method == Method::HEAD => {
            Ok((stream_headers(app.config.heartbeat_interval), Body::empty()).into_response())
        }
        Accepted::Json if method == Method::HEAD => {
            let content_type = HeaderValue::from_static("application/json");
            Ok(([(header::CONTENT_TYPE, content_type)], Body::empty()).into_response())
        }
        Accepted::Stream => Ok(app.hub.subscribe(&session, resume)?.into_response()),
        Accepted::Json => super::poll::poll(&app, session, resume, query, in_flight.map(|it| it.0)).await,
        Accepted::Neither => Err(Problem::new(
            StatusCode::NOT_ACCEPTABLE,
            "NOT_ACCEPTABLE",
            "accept text/event-stream for a stream or application/json for a long-poll",
        )),
    }
}

/// Where a subscriber wants to begin. The header wins over the query; `after` is meant for long-polls.
fn resume_of(headers: &HeaderMap, query: &Query) -> Result<Resume, Problem> {
    // An empty id says nothing, however it is sent.
    let header = headers.get("last-event-id").filter(|id| !id.is_empty());
    if let Some(id) = header {
        return Ok(resume::from_last_event_id(id.as_bytes()));
    }
    let said = |names: &[&str]| query.first(names).filter(|id| !id.is_empty());
    if let Some(id) = said(&ID_PARAMETERS).or_else(|| said(&["after"])) {
        return Ok(resume::from_last_event_id(id.as_bytes()));
    }
    match query.first(&["replay"]) {
        None => Ok(Resume::Live),
        Some(text) => {
            resume::from_replay(text).ok_or_else(|| invalid("replay", "\"all\" or a number of events"))
        }
    }
}

enum Accepted {
    Stream,
    Json,
    Neither,
}

/// Content negotiation: the first range that we can serve wins; no `Accept` at all means a stream.
fn accepted(headers: &HeaderMap) -> Accepted {
    let mut ranges = headers
        .get_all(header::ACCEPT)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(|range| range.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii())
        .filter(|range| !range.is_empty())
        .peekable();
    if ranges.peek().is_none() {
        return Accepted::Stream;
    }
    ranges
        .find_map(|range| match range.to_ascii_lowercase().as_slice() {
            b"text/event-stream" | b"text/*" | b"*/*" => Some(Accepted::Stream),
            b"application/json" | b"application/*" => Some(Accepted::Json),
            _ => None,
        })
        .unwrap_or(Accepted::Neither)
}

/// `POST`: publish. Answered with 202 once the events are in the log and the pumps keep up.
pub(crate) async fn publish(
    State(app): State<App>,
    PathText(session): PathText,
    query: Query,
    headers: HeaderMap,
    request_body: Body,
) -> Result<Response, Problem> {
    // Everything that can be refused is refused before the body is read.
    let name = app.hub.name(&session).map_err(PublishError::from)?;
    let format = Format::of(&headers)?;
    let key = key_of(&headers)?;
    let event_type = posted::event_type(query.first(&["type"]))?;
    let options = PublishOptions { reopen: reopen_of(&query)? };
    let limits = body_limits(&app, &format);
    let read = body::read(&headers, request_body, limits, &app.hub).await?;
    let events = parse(&app, &read.bytes, format, &query, event_type)?;
    let key = key.map(|key| {
        let request =
            (format as u8, query.first(&["type"]), query.first(&["ttl"]), options.reopen, &read.bytes);
        (key, app.keys.fingerprint(&request))
    });
    // The body goes before anything waits.
    drop(read);
    let is_one = matches!(events.posted, Posted::One(_));
    let claim = match key {
        None => None,
        Some((key, fingerprint)) => {
            let claim = app.keys.claim(&name, key, fingerprint).await;
            match claim.map_err(|error| unavailable("OVERLOADED", error.to_string()))? {
                Claim::First(claim) => Some(claim),
                Claim::Known(positions) => return Ok(accepted_as(positions, is_one)),
                Claim::Reused => return Err(reused()),
            }
        }
    };
    // If the publisher leaves before this returns, nothing is in the log and the key is free again; after it, all
    // is in the log and the key says so, because nothing waits in between.
    let appended = append(&app.hub, name.as_str(), events.posted.events(), options).await?;
    if let Some(claim) = claim {
        claim.settle(appended.positions());
    }
    drop(events);
    Ok(accepted_as(appended.paced().await, is_one))
}

/// The events of a body, charged as long as they are held.
fn parse(
    app: &App,
    bytes: &[u8],
    format: Format,
    query: &Query,
    event_type: EventType,
) -> Result<Parsed, Problem> {
    // What a session could not hold at once could not be appended whole.
    let max_events = app.config.max_batch_events.min(app.config.max_queue_size);
    Parsed::charged(&app.hub, bytes.len(), format.most_events(bytes, max_events), || match format {
        Format::Json => posted::from_json(bytes, max_events),
        Format::Ndjson => posted::from_ndjson(bytes, max_events),
        Format::Text => {
            let seconds = query.parse("ttl", "a number of seconds")?;
            let mut one = posted::from_text(bytes, event_type)?;
            if let (Posted::One(event), Some(seconds)) = (&mut one, seconds) {
                event.ttl = Some(posted::ttl(seconds)?);
            }
            Ok(one)
        }
    })
}

/// Whether a session that has ended is to begin anew.
fn reopen_of(query: &Query) -> Result<bool, Problem> {
    Ok(query.parse("reopen", "true or false")?.unwrap_or(false))
}

async fn append(
    hub: &Hub,
    session: &str,
    events: &[Event],
    options: PublishOptions,
) -> Result<Appended, Problem> {
    let appended = hub.append_batch_with(session, events, options).await;
    appended.map_err(|refused| {
        let problem = Problem::from(refused.error);
        match refused.index {
            Some(index) if events.len() > 1 => problem.at(index),
            _ => problem,
        }
    })
}

fn reused() -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "IDEMPOTENCY_KEY_REUSED",
        "this Idempotency-Key was used for another request",
    )
}

fn accepted_as(positions: Positions, is_one: bool) -> Response {
    let body = match positions.first() {
        Some(position) if is_one => json!({ "id": position.to_string() }),
        _ => json!({ "ids": positions.iter().map(|position| position.to_string()).collect::<Vec<_>>() }),
    };
    (StatusCode::ACCEPTED, axum::Json(body)).into_response()
}

/// What a publisher sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Ndjson,
    Text,
}

impl Format {
    pub(crate) fn of(headers: &HeaderMap) -> Result<Format, Problem> {
        let value = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        match essence.to_ascii_lowercase().as_slice() {
            b"application/json" => Ok(Format::Json),
            b"application/x-ndjson" => Ok(Format::Ndjson),
            b"text/plain" => Ok(Format::Text),
            _ => Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "UNSUPPORTED_MEDIA_TYPE",
                "set Content-Type to application/json (an event or an array), application/x-ndjson \
                 (an event per line) or text/plain (the body is the data)",
            )),
        }
    }

    /// How many events such a body can be, at most.
    fn most_events(self, bytes: &[u8], max_events: usize) -> usize {
        match self {
            Format::Json if posted::is_array(bytes) => posted::most_events(bytes.len()).min(max_events),
            Format::Ndjson => posted::most_events(bytes.len()).min(max_events),
            Format::Json | Format::Text => 1,
        }
    }
}

fn body_limits(app: &App, format: &Format) -> BodyLimits {
    let (max_bytes, code) = match format {
        Format::Text => (app.config.max_event_bytes, "EVENT_TOO_LARGE"),
        Format::Json | Format::Ndjson => (app.config.max_body_bytes, "BODY_TOO_LARGE"),
    };
    BodyLimits { max_bytes, code, timeout: app.config.body_timeout }
}

fn key_of(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let is_visible = value.as_bytes().iter().all(|byte| (b' '..=b'~').contains(byte));
    let key = value.to_str().ok().filter(|key| is_visible && !key.is_empty() && key.len() <= KEY_BYTES_MAX);
    let detail = format!("an Idempotency-Key is 1 to {KEY_BYTES_MAX} visible ASCII characters");
    key.map(Some).ok_or_else(|| Problem::bad_request("INVALID_IDEMPOTENCY_KEY", detail))
}
