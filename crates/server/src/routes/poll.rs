//! Long-poll: the same cursor as a stream, one answer at a time.

mod answer;

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use axum::response::Response;
use watertight::serve::InFlight;
use watertight::{CloseReason, Position, Subscription};
use watertight_core::Piece;

use self::answer::PollAnswer;
use super::query::{Query, invalid};
use crate::problem::{Problem, unavailable};
use crate::state::App;

/// Bytes of events that one answer carries at most, but for a single larger event.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// Waits for events that the subscription reads, at most as long as `query` says, and answers with at most as many. Nothing of
/// the request is held meanwhile, and it is none of the requests in flight.
pub(crate) async fn poll(
    app: &App,
    subscription: Subscription,
    query: Query,
    in_flight: Option<InFlight>,
) -> Result<Response, Problem> {
    let (wait, limit) = (wait_of(app, &query)?, limit_of(app, &query)?);
    let mut subscription = subscription.for_poll();
    drop(query);
    if let Some(in_flight) = &in_flight {
        in_flight.pause();
    }
    let mut answer = PollAnswer::default();
    // Dropping the future (the peer left) drops the subscription.
    let waited = tokio::time::timeout(wait, collect(&mut subscription, limit, &mut answer)).await;
    match waited {
        Ok(Some(CloseReason::ShuttingDown)) if answer.is_empty() => {
            return Err(unavailable("SHUTTING_DOWN", CloseReason::ShuttingDown.message()));
        }
        Ok(Some(reason)) if answer.events.is_empty() => answer.end = Some(reason),
        Ok(_) | Err(_) => {}
    }
    if answer.next.is_empty() {
        answer.next = subscription.position().to_string();
    }
    subscription.answered();
    if let Some(in_flight) = &in_flight {
        in_flight.resume().await.map_err(|full| unavailable("OVERLOADED", full.to_string()))?;
    }
    Ok(answer.into_response())
}

/// Takes what is there; waits only for the first. A gap behind events is left for the next poll: its id
/// brings it back.
async fn collect(
    subscription: &mut Subscription,
    limit: usize,
    answer: &mut PollAnswer,
) -> Option<CloseReason> {
    let epoch = subscription.start().epoch;
    let mut bytes = 0;
    loop {
        let has_some = !answer.events.is_empty();
        let piece = poll_fn(|context| match subscription.poll_piece(context) {
            Poll::Pending if has_some => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
            Poll::Ready(piece) => Poll::Ready(Some(piece)),
        })
        .await?;
        match piece {
            Ok(Piece::Event(sequence, frame)) => {
                bytes += frame.event().len();
                answer.next = Position { epoch, sequence }.to_string();
                answer.events.push(frame);
                if answer.events.len() >= limit || bytes >= MAX_ANSWER_BYTES {
                    return None;
                }
            }
            Ok(Piece::Gap(_)) if has_some || answer.gap.is_some() => return None,
            Ok(Piece::Gap(gap)) => {
                answer.next = gap.to.to_string();
                // Events after the gap are sent with it, if there are any; an answer with a gap never waits for
                // more.
                let is_last = subscription.session().head() <= gap.to.sequence + 1;
                answer.gap = Some(gap);
                if is_last {
                    return None;
                }
            }
            Err(reason) => return Some(reason),
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
