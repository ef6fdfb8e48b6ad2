//! Appending what was posted, once for all tries with one `Idempotency-Key`.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;
use watertight::serve::InFlight;
use watertight::{Appended, Event, Hub, Position, Positions, PublishOptions, SessionName};

use crate::access::Caller;
use crate::problem::{Problem, unavailable};
use crate::publishing::events::Parsed;
use crate::publishing::idempotency::{Claim, KEY_BYTES_MAX, Waiter};
use crate::state::App;

/// Appends events and waits for readers, or finds out where an earlier try with the same key has put them. Returns where
/// they stand.
pub(super) async fn append_once(
    app: &App,
    caller: &Caller,
    name: &SessionName,
    events: Parsed,
    options: PublishOptions,
    once: Option<(String, u64)>,
    in_flight: Option<&InFlight>,
) -> Result<Positions, Problem> {
    let claim = match once {
        None => None,
        Some((key, fingerprint)) => {
            let claim = app.keys.claim(name, &key, fingerprint);
            let mut claim = claim.map_err(|error| unavailable("OVERLOADED", error.to_string()))?;
            if let Claim::Later(waiter) = claim {
                claim = wait(waiter, in_flight).await?;
            }
            match claim {
                Claim::First(claim) => Some(claim),
                Claim::Known(positions) => return Ok(positions),
                Claim::Reused | Claim::Later(_) => return Err(reused()),
            }
        }
    };
    // Its body may have come slowly, and an earlier try with its key may have taken long.
    caller.expect_still(app)?;
    // If the publisher leaves before this returns, nothing is in the log and the key is free again; after it, all
    // is in the log and the key says so, because nothing waits in between.
    let appended = append(&app.hub, name.as_str(), events.posted.events(), options).await?;
    if let Some(claim) = claim {
        claim.settle(appended.positions());
    }
    drop(events);
    Ok(appended.paced().await)
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

pub(super) fn reused() -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "IDEMPOTENCY_KEY_REUSED",
        "this Idempotency-Key was used for another request",
    )
}

pub(super) fn accepted_as(positions: Positions, is_one: bool) -> Response {
    match positions.first() {
        Some(position) if is_one => {
            accepted_head().map(|()| Body::from(accepted_body(position.text().as_bytes()).concat()))
        }
        _ => {
            let ids = positions.iter().map(|position| position.to_string()).collect::<Vec<_>>();
            (StatusCode::ACCEPTED, axum::Json(json!({ "ids": ids }))).into_response()
        }
    }
}

/// The answer to a publish of one event, without its body.
pub(crate) fn accepted_head() -> http::Response<()> {
    let mut response = http::Response::new(());
    *response.status_mut() = StatusCode::ACCEPTED;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Its body, in parts. A position is made of letters, digits and a dash: nothing in it is to be escaped.
pub(crate) fn accepted_body(id: &[u8]) -> [&[u8]; 3] {
    [b"{\"id\":\"", id, b"\"}"]
}

/// 202 with these ids.
pub(super) fn accepted_ids(positions: Vec<Position>) -> Response {
    let ids: Vec<String> = positions.iter().map(ToString::to_string).collect();
    (StatusCode::ACCEPTED, axum::Json(json!({ "ids": ids }))).into_response()
}

pub(super) fn key_of(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() { Err(invalid_key()) } else { key_in(value.as_bytes()).map(Some) }
}

/// The key in a value of `Idempotency-Key`.
pub(super) fn key_in(value: &[u8]) -> Result<&str, Problem> {
    let is_key = (1..=KEY_BYTES_MAX).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic);
    str::from_utf8(value).ok().filter(|_| is_key).ok_or_else(invalid_key)
}

fn invalid_key() -> Problem {
    let detail =
        format!("an Idempotency-Key is 1 to {KEY_BYTES_MAX} visible ASCII characters, without blanks");
    Problem::bad_request("INVALID_IDEMPOTENCY_KEY", detail)
}
