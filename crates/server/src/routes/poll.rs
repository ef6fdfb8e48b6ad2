//! Long-poll: the same cursor as a stream, one answer at a time.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use serde::Serialize;
use serde_json::value::RawValue;
use watertight::{CloseReason, Message, Subscription};
use watertight_core::{Owner, Resume};

use super::query::{Query, invalid};
use crate::problem::{Problem, internal, unavailable};
use crate::state::App;

/// Bytes of data that one answer carries at most, but for a single larger event. Charged while the answer is built.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

#[derive(Debug, Serialize)]
struct PolledEvent {
    id: String,
    #[serde(rename = "type")]
    event_type: String,
    data: String,
    /// Seconds since the Unix epoch.
    created_at: f64,
}

#[derive(Debug, Serialize)]
struct End {
    error: &'static str,
    code: &'static str,
}

#[derive(Debug, Default, Serialize)]
struct Answer {
    events: Vec<PolledEvent>,
    next: String,
    gap: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<End>,
    #[serde(skip)]
    bytes: usize,
}

/// Waits for events after `resume`, at most `wait`, and answers with at most `limit`.
pub(crate) async fn poll(
    app: &App,
    session: &str,
    resume: Resume,
    query: &Query,
) -> Result<Response, Problem> {
    let (wait, limit) = (wait_of(app, query)?, limit_of(app, query)?);
    let mut subscription = app.hub.subscribe(session, resume)?.for_poll();
    let mut answer = Answer::default();
    // Dropping the future (the peer left) drops the subscription.
    let waited = tokio::time::timeout(wait, collect(&mut subscription, limit, &mut answer)).await;
    match waited {
        Ok(Some(CloseReason::ShuttingDown)) if answer.events.is_empty() && answer.gap.is_none() => {
            return Err(unavailable("SHUTTING_DOWN", CloseReason::ShuttingDown.message()));
        }
        Ok(Some(reason)) if answer.events.is_empty() => {
            answer.end = Some(End { error: reason.message(), code: reason.code() });
        }
        Ok(_) | Err(_) => {}
    }
    if answer.next.is_empty() {
        answer.next = subscription.position().to_string();
    }
    // The events are there already; what is charged is that they and their JSON are held meanwhile.
    let _charge = app.hub.budget().charge(Owner::Requests, 2 * answer.bytes);
    let body = serde_json::to_vec(&answer).map_err(internal)?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, body).into_response())
}

/// Takes what is there; waits only for the first. A gap behind events is left for the next poll: its id
/// brings it back.
async fn collect(subscription: &mut Subscription, limit: usize, answer: &mut Answer) -> Option<CloseReason> {
    use futures_util::Stream;
    loop {
        let has_some = !answer.events.is_empty();
        let message = poll_fn(|context| match std::pin::Pin::new(&mut *subscription).poll_next(context) {
            Poll::Pending if has_some => Poll::Ready(None),
            other => other,
        })
        .await?;
        match message {
            Message::Event(event) => {
                answer.bytes += event.data.len();
                answer.next.clone_from(&event.id);
                answer.events.push(PolledEvent {
                    id: event.id,
                    event_type: event.event_type,
                    data: event.data,
                    created_at: event.created_at.as_secs_f64(),
                });
                if answer.events.len() >= limit || answer.bytes >= MAX_ANSWER_BYTES {
                    return None;
                }
            }
            Message::Gap(_) if has_some || answer.gap.is_some() => return None,
            Message::Gap(gap) => {
                answer.next = gap.to.to_string();
                answer.gap = RawValue::from_string(gap.to_json()).ok();
                // What follows the gap is told with it, if it is there; nobody waits with a gap in hand.
                if subscription.session().head() <= gap.to.sequence + 1 {
                    return None;
                }
            }
            Message::Closed(reason) => return Some(reason),
        }
    }
}

fn wait_of(app: &App, query: &Query) -> Result<Duration, Problem> {
    let expected = format!("a number of seconds from 0 to {}", app.config.long_poll_max_wait.as_secs_f64());
    match query.parse::<f64>("wait", &expected)? {
        None => Ok(app.config.long_poll_default_wait),
        Some(seconds) if seconds.is_finite() && seconds >= 0.0 => {
            Ok(Duration::from_secs_f64(seconds.min(app.config.long_poll_max_wait.as_secs_f64())))
        }
        Some(_) => Err(invalid("wait", &expected)),
    }
}

fn limit_of(app: &App, query: &Query) -> Result<usize, Problem> {
    let expected = format!("a number from 1 to {}", app.config.long_poll_max_events);
    match query.parse::<usize>("limit", &expected)? {
        None => Ok(app.config.long_poll_default_events),
        Some(0) => Err(invalid("limit", &expected)),
        Some(limit) => Ok(limit.min(app.config.long_poll_max_events)),
    }
}
