//! `/deployments/{id}/logs`: fed by the one who deploys, watched by the one to whom the deployment belongs. A log is the
//! session `deployments/{id}/logs`; nobody reaches it by that name.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Method};
use http_body::Body as _;
use watertight::event::EventType;
use watertight::serve::InFlight;
use watertight::{EndOptions, Epoch, Event, Position, PublishError, PublishOptions, Resume};
use watertight_access::Action;

use super::append::{accepted_ids, append_once, key_of};
use super::events::{Format, READ_PARAMETERS, Request, Stream, reopen_of, resume_of};
use super::query::{PathText, Query, invalid};
use crate::access::{Caller, Needs};
use crate::problem::Problem;
use crate::publishing::body::{self, BodyLimits};
use crate::publishing::events::Parsed;
use crate::publishing::lines;
use crate::resource::{Resource, ResourceId};
use crate::sources::logs::{self, LogsFromRedis};
use crate::state::App;

/// What a feeder may say.
const FEED_PARAMETERS: [&str; 4] = ["reopen", "end", "exit_code", "epoch"];

/// A deployment's log: what tokens call it, and its session's name.
fn path_of(deployment: &Resource) -> String {
    format!("{deployment}/logs")
}

fn deployment(id: &str) -> Result<Resource, Problem> {
    let id = ResourceId::new(id);
    id.map(Resource::deployment)
        .map_err(|error| Problem::bad_request("INVALID_DEPLOYMENT", error.to_string()))
}

/// `GET /deployments/{id}/logs/stream`: the lines that are kept, or the last `tail` of them, then those that come. Its
/// end is told with `event: end`, also to those who come after it.
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
    method: Method,
    query: Query,
    in_flight: Option<Extension<InFlight>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let deployment = deployment(&id)?;
    let path = path_of(&deployment);
    caller.expect(Action::Subscribe, &path)?;
    let mut known = READ_PARAMETERS.to_vec();
    known.push("tail");
    query.expect_only(&known)?;
    let tail = query.parse::<u64>("tail", "a number of lines")?;
    let source = match &app.logs {
        Some(logs) if method == Method::GET => {
            if tail.is_some() || app.hub.session_end(&path).is_some() {
                // Whose the log is comes first: a stranger starts nothing.
                app.access.owned(&caller, std::slice::from_ref(&deployment), Action::Subscribe).await?;
                begin_anew(&app, logs, &path, &deployment.id).await;
            }
            if tail.is_some() {
                logs.read_history(&app.hub, &path, &deployment.id).await;
            }
            Some(logs.source(&deployment.id))
        }
        _ => None,
    };
    let resume = match (resume_of(&headers, &query)?, tail) {
        (Some(resume), _) => resume,
        (None, Some(lines)) => {
            // The end is no line.
            let has_ended = app.hub.session_end(&path).is_some();
            Resume::Last(lines.saturating_add(u64::from(has_ended)))
        }
        (None, None) => Resume::All,
    };
    let stream = Stream {
        session: path.clone(),
        needs: Needs::Subscribe(path),
        resources: vec![deployment],
        policy: Some(Arc::clone(&app.logs_policy)),
        source,
        resume,
    };
    let request = Request { caller, method, query, in_flight: in_flight.map(|it| it.0), headers };
    stream.answer(&app, request).await
}

/// A log that has ended here begins anew if Redis says that its deployment goes on: the same id was deployed again.
async fn begin_anew(app: &App, logs: &LogsFromRedis, session: &str, id: &ResourceId) {
    let Some(ended) = app.hub.session_end(session) else { return };
    if logs.is_anew(id).await && app.hub.session_end(session) == Some(ended) {
        app.hub.forget_session(session);
    }
}

/// `POST /deployments/{id}/logs`: lines of text, or JSON, one a line. With `end` the log is over behind them.
pub(crate) async fn feed(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
    query: Query,
    in_flight: Option<Extension<InFlight>>,
    headers: HeaderMap,
    request_body: Body,
) -> Result<Response, Problem> {
    let begun = app.hub.clock().elapsed();
    let deployment = deployment(&id)?;
    let path = path_of(&deployment);
    caller.expect(Action::Publish, &path)?;
    caller.count_publish(&app)?;
    let name = app.hub.name(&path).map_err(PublishError::from)?;
    query.expect_only(&FEED_PARAMETERS)?;
    let end = End::of(&query)?;
    let format = format_of(&headers, request_body.is_end_stream())?;
    let key = key_of(&headers)?.map(str::to_owned);
    let options = PublishOptions { reopen: reopen_of(&query)?, epoch: epoch_of(&query)? };
    if options.reopen && options.epoch.is_some() {
        return Err(invalid(
            "epoch",
            "sent without reopen: it means one life of the log, and reopen another",
        ));
    }
    app.access.owned(&caller, std::slice::from_ref(&deployment), Action::Publish).await?;
    let limits = BodyLimits {
        max_bytes: app.config.max_body_bytes,
        code: "BODY_TOO_LARGE",
        timeout: app.config.body_timeout,
    };
    let read = body::read(&headers, request_body, limits, &app.hub).await?;
    let max_lines = app.config.max_batch_events.min(app.config.max_queue_size);
    let (bytes, max_bytes, log) = (&read.bytes, app.config.max_event_bytes, event_type("log")?);
    let most_lines = lines::most_lines(bytes).min(max_lines);
    let events = if format == Format::Ndjson {
        let parse = || lines::from_ndjson(bytes, &log, max_lines, max_bytes);
        Parsed::charged(&app.hub, bytes.len(), most_lines, parse)?
    } else {
        let parse = || lines::from_text(bytes, &log, max_lines, max_bytes);
        Parsed::charged(&app.hub, lines::most_bytes(bytes), most_lines, parse)?
    };
    let once = key.map(|key| {
        let request = (format as u8, end.is_some(), options.reopen, &read.bytes);
        (key, app.keys.fingerprint(&request))
    });
    drop((read, headers));
    expect_epoch(&app, name.as_str(), options.epoch)?;
    let mut ids = Vec::new();
    // A second try of one that ended the log finds it ended: then there is nothing to append, if it was without lines.
    if !(events.posted.events().is_empty() && end.is_some() && !options.reopen) {
        let positions =
            append_once(&app, &caller, &name, events, options, once, in_flight.as_deref()).await?;
        ids.extend(positions.iter());
    }
    if let Some(end) = end {
        caller.expect_still(&app)?;
        ids.push(end.put(&app, name.as_str(), options.epoch)?);
    }
    app.requests.published(app.hub.clock().elapsed().saturating_sub(begun));
    Ok(accepted_ids(ids))
}

fn format_of(headers: &HeaderMap, is_empty: bool) -> Result<Format, Problem> {
    // Nothing needs no type: an end may come without lines.
    if is_empty && !headers.contains_key(http::header::CONTENT_TYPE) {
        return Ok(Format::Text);
    }
    match Format::of(headers)? {
        Format::Json => Err(Problem::new(
            http::StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED_MEDIA_TYPE",
            "set Content-Type to text/plain (lines) or application/x-ndjson (JSON, one a line)",
        )),
        format => Ok(format),
    }
}

/// The life of the log that lines are meant for: the part of an id before the dash.
fn epoch_of(query: &Query) -> Result<Option<Epoch>, Problem> {
    let Some(text) = query.text("epoch")? else { return Ok(None) };
    let first: Result<Position, _> = format!("{text}-0").parse();
    first.map(|first| Some(first.epoch)).map_err(|_| invalid("epoch", "an id's part before the dash"))
}

/// Refuses what is meant for another life of the log, without making one. What happens to the log after that is seen
/// under its lock.
fn expect_epoch(app: &App, session: &str, epoch: Option<Epoch>) -> Result<(), Problem> {
    let Some(epoch) = epoch else { return Ok(()) };
    let current = app.hub.session(session).map(|session| session.with_log(|log| log.epoch()));
    if current == Some(epoch) { Ok(()) } else { Err(Problem::epoch_changed(current)) }
}

fn event_type(name: &str) -> Result<EventType, Problem> {
    crate::publishing::events::event_type(Some(name))
}

/// The end of a deployment.
struct End {
    /// What its command returned, if it was one.
    exit_code: Option<i32>,
}

impl End {
    fn of(query: &Query) -> Result<Option<End>, Problem> {
        let exit_code = query.parse::<i32>("exit_code", "a whole number")?;
        let is_end = query.parse::<bool>("end", "true or false")?.unwrap_or(false);
        match (is_end, exit_code) {
            (true, exit_code) => Ok(Some(End { exit_code })),
            (false, Some(_)) => Err(invalid("exit_code", "sent with end=true")),
            (false, None) => Ok(None),
        }
    }

    /// Ends the log. Of one that has ended, the first end stands.
    fn put(self, app: &App, session: &str, epoch: Option<Epoch>) -> Result<Position, Problem> {
        let data = logs::End { exit_code: self.exit_code, ended_at: None }.data();
        let event = Event::of_type(event_type("end")?, data);
        let options = EndOptions { event: Some(event), keep: None };
        Ok(app.hub.end_session_of(session, epoch, &options)?.last)
    }
}
