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

use super::accept::wanted;
use super::query::{ID_PARAMETER, PathText, Query, invalid};
use crate::problem::{Problem, unavailable};
use crate::publishing::body::{self, BodyLimits};
use crate::publishing::events::{self as posted, Parsed, Posted};
use crate::publishing::idempotency::{Claim, KEY_BYTES_MAX, Waiter};
use crate::state::App;

/// What a subscriber may say, and what a publisher may.
const READ_PARAMETERS: [&str; 5] = [ID_PARAMETER, "after", "replay", "wait", "limit"];
const PUBLISH_PARAMETERS: [&str; 3] = ["type", "ttl", "reopen"];
/// Those that say of a plain text what an event in JSON says itself.
const TEXT_PARAMETERS: [&str; 2] = ["type", "ttl"];
/// What the answer to a subscriber depends on, for caches.
const VARY: (http::HeaderName, HeaderValue) = (header::VARY, HeaderValue::from_static("Accept, Origin"));

/// `GET`: a stream, or a long-poll for those who accept JSON. `HEAD`: its head; nobody subscribes.
pub(crate) async fn read(
    State(app): State<App>,
    PathText(session): PathText,
    method: Method,
    query: Query,
    in_flight: Option<Extension<InFlight>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.expect_only(&READ_PARAMETERS)?;
    let resume = resume_of(&headers, &query)?;
    let accepted = accepted(&headers);
    if accepted == Accepted::Stream {
        query.expect_none_of(&["wait", "limit"], "is for long-polls; accept application/json for one")?;
    }
    // A poll may wait for long: nothing of its head is held meanwhile.
    drop(headers);
    match accepted {
        Accepted::Stream if method == Method::HEAD => {
            Ok((stream_headers(app.config.heartbeat_interval), Body::empty()).into_response())
        }
        Accepted::Json if method == Method::HEAD => {
            let content_type = HeaderValue::from_static("application/json");
            Ok(([(header::CONTENT_TYPE, content_type), VARY], Body::empty()).into_response())
        }
        Accepted::Stream => Ok(app.hub.subscribe(&session, resume)?.into_response()),
        Accepted::Json => {
            let polled = super::poll::poll(&app, session, resume, query, in_flight.map(|it| it.0)).await?;
            Ok(([VARY], polled).into_response())
        }
        Accepted::Neither => Err(Problem::new(
            StatusCode::NOT_ACCEPTABLE,
            "NOT_ACCEPTABLE",
            "accept text/event-stream for a stream or application/json for a long-poll",
        )),
    }
}

/// Where a subscriber wants to begin. The header wins over the query; `after` is meant for long-polls. What loses must be
/// something that the hub could do, too.
fn resume_of(headers: &HeaderMap, query: &Query) -> Result<Resume, Problem> {
    let replay = match query.text("replay")? {
        None => Resume::Live,
        Some(text) => {
            resume::from_replay(text).ok_or_else(|| invalid("replay", "\"all\" or a number of events"))?
        }
    };
    // An empty id says nothing, however it is sent.
    let header = headers.get("last-event-id").filter(|id| !id.is_empty());
    if let Some(id) = header {
        return Ok(resume::from_last_event_id(id.as_bytes()));
    }
    let id = query.bytes(ID_PARAMETER).or_else(|| query.bytes("after"));
    Ok(id.map_or(replay, resume::from_last_event_id))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accepted {
    Stream,
    Json,
    Neither,
}

/// What is wanted more; if both equally, what is named, and the stream before the long-poll.
fn accepted(headers: &HeaderMap) -> Accepted {
    let (stream, json) = (wanted(headers, "text", "event-stream"), wanted(headers, "application", "json"));
    if !stream.is_acceptable() && !json.is_acceptable() {
        return Accepted::Neither;
    }
    if (stream.weight, stream.is_named) >= (json.weight, json.is_named) {
        Accepted::Stream
    } else {
        Accepted::Json
    }
}

/// `POST`: publish. Answered with 202 once the events are in the log and the pumps keep up.
pub(crate) async fn publish(
    State(app): State<App>,
    PathText(session): PathText,
    query: Query,
    in_flight: Option<Extension<InFlight>>,
    headers: HeaderMap,
    request_body: Body,
) -> Result<Response, Problem> {
    let begun = app.hub.clock().elapsed();
    let accepted = |positions: Positions, is_one| {
        app.requests.published(app.hub.clock().elapsed().saturating_sub(begun));
        accepted_as(positions, is_one)
    };
    // Everything that can be refused is refused before the body is read.
    let name = app.hub.name(&session).map_err(PublishError::from)?;
    query.expect_only(&PUBLISH_PARAMETERS)?;
    let format = Format::of(&headers)?;
    if format != Format::Text {
        query.expect_none_of(&TEXT_PARAMETERS, "is for text/plain; an event in JSON has it itself")?;
    }
    let key = key_of(&headers)?.map(str::to_owned);
    let event_type = posted::event_type(query.text("type")?)?;
    let options = PublishOptions { reopen: reopen_of(&query)? };
    let limits = body_limits(&app, &format);
    let read = body::read(&headers, request_body, limits, &app.hub).await?;
    let events = parse(&app, &read.bytes, format, &query, event_type)?;
    let key = key.map(|key| {
        let request = (format as u8, query.bytes("type"), query.bytes("ttl"), options.reopen, &read.bytes);
        (key, app.keys.fingerprint(&request))
    });
    // Head and body go before anything waits.
    drop((read, headers));
    let is_one = matches!(events.posted, Posted::One(_));
    let claim = match key {
        None => None,
        Some((key, fingerprint)) => {
            let claim = app.keys.claim(&name, &key, fingerprint);
            let mut claim = claim.map_err(|error| unavailable("OVERLOADED", error.to_string()))?;
            if let Claim::Later(waiter) = claim {
                claim = wait(waiter, in_flight.as_deref()).await?;
            }
            match claim {
                Claim::First(claim) => Some(claim),
                Claim::Known(positions) => return Ok(accepted(positions, is_one)),
                Claim::Reused | Claim::Later(_) => return Err(reused()),
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
    Ok(accepted(appended.paced().await, is_one))
}

/// Waits for an earlier try with the same key. It is none of the requests in flight meanwhile, so that others are not
/// kept out by those who only wait.
async fn wait(waiter: Waiter, in_flight: Option<&InFlight>) -> Result<Claim, Problem> {
    let Some(in_flight) = in_flight else { return Ok(waiter.wait().await) };
    in_flight.give_back();
    let claim = waiter.wait().await;
    // What is known is answered at once; whoever is to publish is in flight again.
    if matches!(claim, Claim::First(_)) {
        in_flight.resume().await.map_err(|full| unavailable("OVERLOADED", full.to_string()))?;
    }
    Ok(claim)
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
        let refused =
            |detail: &str| Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", detail);
        let mut values = headers.get_all(header::CONTENT_TYPE).iter();
        let value = values.next().map(HeaderValue::as_bytes).unwrap_or_default();
        if values.next().is_some() {
            return Err(refused("there are two Content-Types"));
        }
        let mut parts = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let essence = parts.next().unwrap_or_default();
        let format = match essence.to_ascii_lowercase().as_slice() {
            b"application/json" => Format::Json,
            b"application/x-ndjson" => Format::Ndjson,
            b"text/plain" => Format::Text,
            _ => {
                return Err(refused(
                    "set Content-Type to application/json (an event or an array), application/x-ndjson \
                     (an event per line) or text/plain (the body is the data)",
                ));
            }
        };
        if parts.any(|parameter| is_other_charset(&parameter.to_ascii_lowercase())) {
            return Err(refused("bodies are UTF-8: leave the charset out, or say utf-8"));
        }
        Ok(format)
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

/// Whether a parameter of a content type, in lower case, says that the text is something else than UTF-8.
fn is_other_charset(parameter: &[u8]) -> bool {
    let Some(charset) = parameter.strip_prefix(b"charset=") else { return false };
    let unquoted = charset.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    !matches!(unquoted.unwrap_or(charset), b"utf-8" | b"utf8" | b"us-ascii")
}

fn body_limits(app: &App, format: &Format) -> BodyLimits {
    let (max_bytes, code) = match format {
        Format::Text => (app.config.max_event_bytes, "EVENT_TOO_LARGE"),
        Format::Json | Format::Ndjson => (app.config.max_body_bytes, "BODY_TOO_LARGE"),
    };
    BodyLimits { max_bytes, code, timeout: app.config.body_timeout }
}

fn key_of(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let is_visible = value.as_bytes().iter().all(u8::is_ascii_graphic);
    let key = value.to_str().ok().filter(|key| is_visible && !key.is_empty() && key.len() <= KEY_BYTES_MAX);
    let detail =
        format!("an Idempotency-Key is 1 to {KEY_BYTES_MAX} visible ASCII characters, without blanks");
    let key = key.filter(|_| values.next().is_none());
    key.map(Some).ok_or_else(|| Problem::bad_request("INVALID_IDEMPOTENCY_KEY", detail))
}
