//! `/sessions/{session}/events`: publish and subscribe.

use std::fmt::{Display, from_fn};
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use watertight::body::stream_headers;
use watertight::event::EventType;
use watertight::serve::InFlight;
use watertight::{
    Policy, PublishError, PublishOptions, Resume, SourceHandle, SubscribeOptions, Subscription, resume,
};
use watertight_access::Action;

use super::accept::wanted;
use super::append::{accepted_as, append_once, key_of};
use super::query::{ID_PARAMETER, PathText, Query, invalid};
use crate::access::{Caller, Needs};
use crate::problem::Problem;
use crate::publishing::body::{self, BodyLimits};
use crate::publishing::events::{self as posted, Parsed, Posted};
use crate::resource::{FIGURES_SESSION, Resource, ResourceKind};
use crate::state::App;

/// What a subscriber may say, and what a publisher may.
pub(super) const READ_PARAMETERS: [&str; 5] = [ID_PARAMETER, "after", "replay", "wait", "limit"];
const PUBLISH_PARAMETERS: [&str; 3] = ["type", "ttl", "reopen"];
/// Those that say of a plain text what an event in JSON says itself.
const TEXT_PARAMETERS: [&str; 2] = ["type", "ttl"];
/// What the answer to a subscriber depends on, for caches.
const VARY: (http::HeaderName, HeaderValue) = (header::VARY, HeaderValue::from_static("Accept, Origin"));

/// `GET`: a stream, or a long-poll for those who accept JSON. `HEAD`: its head; nobody subscribes.
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    PathText(session): PathText,
    method: Method,
    query: Query,
    in_flight: Option<Extension<InFlight>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    expect_public(&session)?;
    let path = path_of(&session).to_string();
    caller.expect(Action::Subscribe, &path)?;
    query.expect_only(&READ_PARAMETERS)?;
    let resume = resume_of(&headers, &query)?.unwrap_or(Resume::Live);
    let needs = Needs::Subscribe(path);
    let stream = Stream { needs, session, resources: Vec::new(), policy: None, source: None, resume };
    let request = Request { caller, method, query, in_flight: in_flight.map(|it| it.0), headers };
    stream.answer(&app, request).await
}

/// A stream that is asked for.
pub(super) struct Stream {
    /// What a token must grant.
    pub(super) needs: Needs,
    /// The session it reads.
    pub(super) session: String,
    /// What must belong to its reader.
    pub(super) resources: Vec<Resource>,
    /// How it lives; `None`: as streams of sessions do.
    pub(super) policy: Option<Arc<Policy>>,
    /// What feeds it while it is read.
    pub(super) source: Option<SourceHandle>,
    pub(super) resume: Resume,
}

/// How it is asked for.
pub(super) struct Request {
    pub(super) caller: Caller,
    pub(super) method: Method,
    pub(super) query: Query,
    pub(super) in_flight: Option<InFlight>,
    pub(super) headers: HeaderMap,
}

impl Stream {
    /// The stream, a long-poll's answer, or the head of either. Whether the caller may read it was asked before; whether
    /// it may stay is asked here.
    pub(super) async fn answer(self, app: &App, request: Request) -> Result<Response, Problem> {
        let Request { caller, method, query, in_flight, headers } = request;
        let accepted = accepted(&headers);
        if accepted == Accepted::Stream {
            query.expect_none_of(&["wait", "limit"], "is for long-polls; accept application/json for one")?;
        }
        // A poll may wait for long: nothing of its head is held meanwhile.
        drop(headers);
        if method == Method::HEAD {
            app.access.owned(&caller, &self.resources, Action::Subscribe).await?;
        }
        match accepted {
            Accepted::Stream if method == Method::HEAD => {
                Ok((stream_headers(app.config.heartbeat_interval), Body::empty()).into_response())
            }
            Accepted::Json if method == Method::HEAD => {
                let content_type = HeaderValue::from_static("application/json");
                Ok(([(header::CONTENT_TYPE, content_type), VARY], Body::empty()).into_response())
            }
            Accepted::Stream => Ok(self.subscribe(app, caller).await?.into_response()),
            Accepted::Json => {
                let subscription = self.subscribe(app, caller).await?;
                let polled = super::poll::poll(app, subscription, query, in_flight).await?;
                Ok(([VARY], polled).into_response())
            }
            Accepted::Neither => Err(Problem::new(
                StatusCode::NOT_ACCEPTABLE,
                "NOT_ACCEPTABLE",
                "accept text/event-stream for a stream or application/json for a long-poll",
            )),
        }
    }

    async fn subscribe(self, app: &App, caller: Caller) -> Result<Subscription, Problem> {
        let Stream { needs, session, resources, policy, source, resume } = self;
        let access = app.access.right_to_read(&caller, &needs, &resources).await?;
        Ok(app.hub.subscribe_with(&session, resume, SubscribeOptions { access, policy, source })?)
    }
}

/// Refuses names of sessions that have routes of their own, where it is asked whose they are.
pub(super) fn expect_public(session: &str) -> Result<(), Problem> {
    let kinds = [ResourceKind::Deployment, ResourceKind::Service];
    let is_of =
        |kind: &ResourceKind| session.strip_prefix(kind.plural()).is_some_and(|rest| rest.starts_with('/'));
    match kinds.iter().find(|kind| is_of(kind)) {
        None => expect_not_own(session),
        Some(kind) => {
            let detail = format!("sessions below {0}/ are read and fed at /{0}", kind.plural());
            Err(Problem::new(StatusCode::FORBIDDEN, "RESERVED_SESSION", detail))
        }
    }
}

/// Refuses the name of the session that the hub itself feeds.
pub(super) fn expect_not_own(session: &str) -> Result<(), Problem> {
    if session != FIGURES_SESSION {
        return Ok(());
    }
    let detail = format!("the session {FIGURES_SESSION} is the hub's own: it is read at /{FIGURES_SESSION}");
    Err(Problem::new(StatusCode::FORBIDDEN, "RESERVED_SESSION", detail))
}

/// What tokens call a session.
pub(super) fn path_of(session: &str) -> impl Display {
    from_fn(move |f| write!(f, "sessions/{session}"))
}

/// Where a subscriber wants to begin, if it says so. The header wins over the query; `after` is meant for long-polls. What loses must be
/// something that the hub could do, too.
pub(super) fn resume_of(headers: &HeaderMap, query: &Query) -> Result<Option<Resume>, Problem> {
    let replay = query.text("replay")?;
    let replay = replay
        .map(|text| {
            resume::from_replay(text).ok_or_else(|| invalid("replay", "\"all\" or a number of events"))
        })
        .transpose()?;
    // An empty id says nothing, however it is sent.
    let header = headers.get("last-event-id").filter(|id| !id.is_empty());
    if let Some(id) = header {
        return Ok(Some(resume::from_last_event_id(id.as_bytes())));
    }
    let id = query.bytes(ID_PARAMETER).or_else(|| query.bytes("after"));
    Ok(id.map(resume::from_last_event_id).or(replay))
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

/// The session whose events these are, as the path has it.
pub(super) fn session_in(path: &str) -> Option<&str> {
    let session = path.strip_prefix("/sessions/")?.strip_suffix("/events")?;
    (!session.is_empty() && !session.contains('/')).then_some(session)
}

/// `POST`: publish. Answered with 202 once the events are in the log and the pumps keep up.
pub(crate) async fn publish(
    State(app): State<App>,
    caller: Caller,
    PathText(session): PathText,
    query: Query,
    in_flight: Option<Extension<InFlight>>,
    headers: HeaderMap,
    request_body: Body,
) -> Result<Response, Problem> {
    let begun = app.hub.clock().elapsed();
    // Everything that can be refused is refused before the body is read.
    expect_public(&session)?;
    caller.expect(Action::Publish, path_of(&session))?;
    caller.count_publish(&app)?;
    let name = app.hub.name(&session).map_err(PublishError::from)?;
    query.expect_only(&PUBLISH_PARAMETERS)?;
    let format = Format::of(&headers)?;
    if format != Format::Text {
        query.expect_none_of(&TEXT_PARAMETERS, "is for text/plain; an event in JSON has it itself")?;
    }
    let key = key_of(&headers)?.map(str::to_owned);
    let event_type = posted::event_type(query.text("type")?)?;
    let options = PublishOptions { reopen: reopen_of(&query)?, ..PublishOptions::default() };
    let limits = body_limits(&app, &format);
    let read = body::read(&headers, request_body, limits, &app.hub).await?;
    let events = parse(&app, &read.bytes, format, &query, event_type)?;
    let once = key.map(|key| (key, fingerprint(&app, format, &query, options.reopen, &read.bytes)));
    // Head and body go before anything waits.
    drop((read, headers));
    let is_one = matches!(events.posted, Posted::One(_));
    let positions = append_once(&app, &caller, &name, events, options, once, in_flight.as_deref()).await?;
    app.requests.published(app.hub.clock().elapsed().saturating_sub(begun));
    Ok(accepted_as(positions, is_one))
}

/// What makes a publish the same as another with its key.
pub(super) fn fingerprint(app: &App, format: Format, query: &Query, reopen: bool, body: &[u8]) -> u64 {
    app.keys.fingerprint(&(format as u8, query.bytes("type"), query.bytes("ttl"), reopen, body))
}

/// The events of a body, charged as long as they are held.
pub(super) fn parse(
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
pub(super) fn reopen_of(query: &Query) -> Result<bool, Problem> {
    Ok(query.parse("reopen", "true or false")?.unwrap_or(false))
}

/// What a publisher sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Ndjson,
    Text,
}

fn unsupported(detail: &str) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", detail)
}

impl Format {
    pub(crate) fn of(headers: &HeaderMap) -> Result<Format, Problem> {
        let mut values = headers.get_all(header::CONTENT_TYPE).iter();
        let value = values.next().map(HeaderValue::as_bytes).unwrap_or_default();
        if values.next().is_some() {
            return Err(unsupported("there are two Content-Types"));
        }
        Format::of_value(value)
    }

    /// What a value of `Content-Type` says; an empty one is none.
    pub(crate) fn of_value(value: &[u8]) -> Result<Format, Problem> {
        const KNOWN: [(&[u8], Format); 3] = [
            (b"application/json", Format::Json),
            (b"application/x-ndjson", Format::Ndjson),
            (b"text/plain", Format::Text),
        ];
        // As nearly everybody writes it.
        if let Some((_, format)) = KNOWN.into_iter().find(|(name, _)| *name == value) {
            return Ok(format);
        }
        let mut parts = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let essence = parts.next().unwrap_or_default();
        let Some((_, format)) = KNOWN.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(essence)) else {
            return Err(unsupported(
                "set Content-Type to application/json (an event or an array), application/x-ndjson \
                 (an event per line) or text/plain (the body is the data)",
            ));
        };
        if parts.any(|parameter| is_other_charset(&parameter.to_ascii_lowercase())) {
            return Err(unsupported("bodies are UTF-8: leave the charset out, or say utf-8"));
        }
        Ok(format)
    }

    /// How many events such a body can be, at most.
    pub(super) fn most_events(self, bytes: &[u8], max_events: usize) -> usize {
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

pub(super) fn body_limits(app: &App, format: &Format) -> BodyLimits {
    let (max_bytes, code) = match format {
        Format::Text => (app.config.max_event_bytes, "EVENT_TOO_LARGE"),
        Format::Json | Format::Ndjson => (app.config.max_body_bytes, "BODY_TOO_LARGE"),
    };
    BodyLimits { max_bytes, code, timeout: app.config.body_timeout }
}
