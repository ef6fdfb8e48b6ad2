//! Publishers: single events, batches and lines, with and without a key, some of which leave before the answer
//! and come back with the same key.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::line::{Answer, Line, Protocol, Request, Target};
use super::message::{self, EventKey};
use super::model::{Model, Order};

/// How a request carries its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The body is the data.
    Text,
    /// An event as JSON.
    One,
    /// An array.
    Batch,
    /// An event per line.
    Lines,
}

/// What becomes of a try.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Manner {
    /// Waits for its answer.
    Waits,
    /// Sends all of it and leaves after so long.
    Leaves(Duration),
    /// Sends this share of it and leaves.
    Breaks(f64),
}

/// A request that can be tried again.
#[derive(Debug, Clone)]
pub(super) struct Publication {
    pub(super) number: u32,
    pub(super) session: String,
    request: Request,
    pub(super) has_key: bool,
    first_sent: Option<Instant>,
}

impl Publication {
    pub(super) fn new(order: Order, form: Form, key: Option<&str>, model: &mut Model) -> Publication {
        let number = model.order(order.clone());
        let Order { session, events, bytes, ttl } = order;
        let event_type = message::type_of(number);
        let data = |index: usize| {
            let index = u32::try_from(index).unwrap();
            message::text(&session, EventKey { publication: number, index }, bytes)
        };
        let ttl = ttl.map(|ttl| ttl.as_secs_f64());
        let json = |index: usize| {
            let mut json = format!(r#"{{"type":"{event_type}","data":{}"#, data(index));
            // Writing to a String cannot fail.
            let _ = ttl.map(|ttl| write!(json, r#","ttl":{ttl}"#));
            json + "}"
        };
        let all = |separator: &str| (0..events).map(json).collect::<Vec<_>>().join(separator);
        // A session that was ended begins anew.
        let mut path = format!("/sessions/{session}/events?reopen=true");
        let (content_type, body) = match form {
            Form::Text => {
                let ttl = ttl.map(|ttl| format!("&ttl={ttl}")).unwrap_or_default();
                let _ = write!(path, "&type={event_type}{ttl}");
                ("text/plain", data(0))
            }
            Form::One => ("application/json", json(0)),
            Form::Batch => ("application/json", format!("[{}]", all(","))),
            Form::Lines => ("application/x-ndjson", all("\n")),
        };
        let mut headers = vec![("content-type", content_type.to_owned())];
        headers.extend(key.map(|key| ("idempotency-key", key.to_owned())));
        let request = Request { method: "POST", path, headers, body };
        Publication { number, session, request, has_key: key.is_some(), first_sent: None }
    }

    pub(super) fn body_bytes(&self) -> usize {
        self.request.body.len()
    }

    /// Whether the hub certainly still knows its key for a while.
    pub(super) fn may_retry(&self, now: Instant, within: Duration) -> bool {
        self.has_key && self.first_sent.is_none_or(|first| now.saturating_duration_since(first) < within)
    }
}

/// A try under way.
#[derive(Debug)]
pub(super) struct Try {
    pub(super) publication: Publication,
    answer: Answer,
    leaves_at: Option<Instant>,
}

/// What a try is at first.
#[derive(Debug)]
pub(super) enum Begun {
    UnderWay(Try),
    /// It did not get through, or broke off as it was to.
    Over(Publication),
}

/// What became of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tried {
    Answered,
    /// It is time to leave.
    Leaves,
}

impl Try {
    /// Begins.
    pub(super) fn begin(
        mut publication: Publication,
        manner: Manner,
        protocol: Protocol,
        to: &Target,
        model: &mut Model,
        now: Instant,
    ) -> Begun {
        let part = if let Manner::Breaks(part) = manner { Some(part) } else { None };
        if part.is_none() {
            // Whatever becomes of the connection: from here on it may be published.
            model.sends(publication.number);
            publication.first_sent.get_or_insert(now);
        }
        let line = match Line::open(to, protocol, &publication.request, false, part) {
            Ok(line) => line,
            Err(_) => return Begun::Over(publication),
        };
        let answer = Answer::over(line, "POST");
        if part.is_some() {
            answer.leave(publication.number.is_multiple_of(2));
            return Begun::Over(publication);
        }
        let leaves_at = if let Manner::Leaves(after) = manner { Some(now + after) } else { None };
        Begun::UnderWay(Try { publication, answer, leaves_at })
    }

    /// Looks for the answer. `None`: it goes on.
    ///
    /// # Errors
    /// What is wrong with the answer.
    pub(super) fn read(
        &mut self,
        model: &mut Model,
        key_ttl: Duration,
        now: Instant,
    ) -> Result<Option<Tried>, String> {
        if self.leaves_at.is_some_and(|at| at <= now) {
            return Ok(Some(Tried::Leaves));
        }
        let Some(answer) = self.answer.read() else { return Ok(None) };
        let number = self.publication.number;
        let (status, body) =
            answer.map_err(|error| format!("publication {number} got no answer: {error}"))?;
        let first_sent = self.publication.first_sent;
        if first_sent.is_some_and(|first| now.saturating_duration_since(first) >= key_ttl) {
            model.may_double(number);
        }
        match status {
            202 => model.acknowledged(number, &ids(&body)?)?,
            503 if model.limits().is_short => model.refused(number)?,
            other => {
                let body = String::from_utf8_lossy(&body);
                return Err(format!("publication {number} was answered with {other}: {body}"));
            }
        }
        Ok(Some(Tried::Answered))
    }

    /// Leaves without an answer.
    pub(super) fn leave(self) -> Publication {
        self.answer.leave(self.publication.number.is_multiple_of(2));
        self.publication
    }
}

fn ids(body: &[u8]) -> Result<Vec<String>, String> {
    let answer: Value =
        serde_json::from_slice(body).map_err(|error| format!("a 202 that is no JSON: {error}"))?;
    let ids = answer["ids"].as_array().cloned().unwrap_or_else(|| vec![answer["id"].clone()]);
    let ids: Option<Vec<String>> = ids.iter().map(|id| id.as_str().map(str::to_owned)).collect();
    ids.ok_or_else(|| format!("a 202 without ids: {answer}"))
}
