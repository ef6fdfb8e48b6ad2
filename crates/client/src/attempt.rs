//! One attempt: token, request, redirects, and what the answer means. Knows nothing of what came before.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::clock::{Limit, until};
use crate::error::{Error, Problem};
use crate::limits::{
    CONNECT_TIMEOUT, ERROR_BODY_BYTES, HEARTBEAT_DEFAULT, READ_TIMEOUT_MAX, READ_TIMEOUT_MIN, REDIRECTS_MAX,
    SILENT_HEARTBEATS, TOKEN_TIMEOUT,
};
use crate::plan::{Ask, Plan};
use crate::poll::Answer;
use crate::stream::OpenStream;
use crate::transport::Body;

/// What came of an attempt to open a stream.
pub(crate) enum Opened {
    Stream(Box<OpenStream>),
    /// 204: come back never (WHATWG HTML, section 9.2.3).
    NoContent,
}

/// What came of a long-poll.
pub(crate) enum Polled {
    Answer(Answer),
    /// As for a stream.
    NoContent,
    /// Whoever answers does not know long-poll.
    NotUnderstood,
}

/// Opens a stream. Dropping the future closes the socket.
pub(crate) async fn open(plan: Arc<Plan>, ask: Ask) -> Result<Opened, Error> {
    let (answer, limit) = exchange(&plan, ask, plan.first_byte_timeout, "the head of the stream").await?;
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::NO_CONTENT => return Ok(Opened::NoContent),
        _ => return Err(refusal(&plan, answer).await),
    }
    if !is_event_stream(answer.headers()) {
        let found = content_type(answer.headers());
        return Err(Error::UnexpectedAnswer(format!("the content type is {found}, not text/event-stream")));
    }
    let silence_max = plan.read_timeout.unwrap_or_else(|| silence_max(answer.headers()));
    let clock = Arc::clone(&plan.clock);
    Ok(Opened::Stream(Box::new(OpenStream::new(answer.into_body(), clock, limit, silence_max))))
}

/// Asks once for what there is. Dropping the future closes the socket.
pub(crate) async fn poll(plan: Arc<Plan>, ask: Ask, patience: Duration) -> Result<Polled, Error> {
    let phase = "the answer to a long-poll";
    let (answer, limit) = exchange(&plan, ask, patience, phase).await?;
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::NO_CONTENT => return Ok(Polled::NoContent),
        // Who asks is known, and refused.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(refusal(&plan, answer).await),
        _ => {
            let error = refusal(&plan, answer).await;
            return if error.is_retryable() { Err(error) } else { Ok(Polled::NotUnderstood) };
        }
    }
    if media_type(answer.headers()).is_none_or(|(found, _)| found != "application/json") {
        return Ok(Polled::NotUnderstood);
    }
    let body_max = Answer::body_bytes_max(plan.max_event_bytes);
    let body = until(&*plan.clock, limit, phase, collect(answer.into_body(), body_max)).await??;
    Ok(Answer::parse(&body).map_or(Polled::NotUnderstood, Polled::Answer))
}

/// Sends the request until it is answered by neither a redirect nor a 401 that a new token may mend. Also
/// gives the time limit that the answer is under.
async fn exchange(
    plan: &Plan,
    ask: Ask,
    patience: Duration,
    phase: &'static str,
) -> Result<(Response<Body>, Limit), Error> {
    let clock = &*plan.clock;
    let mut refresh = false;
    loop {
        let asking = plan.token.get(refresh);
        let token = until(clock, Limit::of(TOKEN_TIMEOUT, clock), "a token", asking).await??;
        let limit = Limit::of(patience, clock);
        let (answer, is_home) =
            until(clock, limit, phase, follow(plan, ask.clone(), token.as_ref())).await??;
        // Another origin was given no token: a new one would be of no use to it.
        let is_refusal_of_token = is_home && answer.status() == StatusCode::UNAUTHORIZED;
        if !is_refusal_of_token || refresh || !plan.token.can_refresh() {
            return Ok((answer, limit));
        }
        refresh = true;
    }
}

/// Sends the request, and again to wherever it is sent on. Begins at the original URL each time it is called.
/// Also says whether the answer is of the origin that the application named.
async fn follow(
    plan: &Plan,
    mut ask: Ask,
    token: Option<&HeaderValue>,
) -> Result<(Response<Body>, bool), Error> {
    for _ in 0..=REDIRECTS_MAX {
        let answer = plan.transport.open(ask.request(&plan.url, token)?).await?;
        let status = answer.status().as_u16();
        if !matches!(status, 301 | 302 | 303 | 307 | 308) {
            return Ok((answer, ask.url.same_origin(&plan.url)));
        }
        let unusable = |reason: &str| Error::Redirect(format!("status {status}, but {reason}"));
        let location = answer.headers().get(LOCATION).ok_or_else(|| unusable("there is no Location"))?;
        let location =
            std::str::from_utf8(location.as_bytes()).map_err(|_| unusable("its Location is no text"))?;
        let to =
            ask.url.resolve(location).map_err(|reason| unusable(&format!("of its Location: {reason}")))?;
        ask.redirect(status, to);
    }
    Err(Error::Redirect(format!("more than {REDIRECTS_MAX} in a row")))
}

/// Turns a refusal into its error, reading as much of its body as a problem document needs.
async fn refusal(plan: &Plan, answer: Response<Body>) -> Error {
    let (head, body) = answer.into_parts();
    let clock = &*plan.clock;
    let limit = Limit::of(CONNECT_TIMEOUT, clock);
    let body = match until(clock, limit, "the body of a refusal", collect(body, ERROR_BODY_BYTES)).await {
        Ok(Ok(body)) => body,
        // The status alone says enough.
        _ => Bytes::new(),
    };
    Problem::error(head.status, &head.headers, &body, clock.wall())
}

/// A whole body of at most `limit` bytes.
async fn collect(body: Body, limit: usize) -> Result<Bytes, Error> {
    let mut body = pin!(body);
    let mut whole = BytesMut::new();
    while let Some(bytes) = std::future::poll_fn(|context| body.as_mut().poll_next(context)).await {
        let bytes = bytes?;
        if whole.len() + bytes.len() > limit {
            return Err(Error::UnexpectedAnswer(format!("a body of more than {limit} bytes")));
        }
        whole.extend_from_slice(&bytes);
    }
    Ok(whole.freeze())
}

/// Whether the answer is a stream of events, and in the one encoding that such a stream may have.
fn is_event_stream(headers: &HeaderMap) -> bool {
    let Some((found, parameters)) = media_type(headers) else { return false };
    let charset = parameters
        .split(';')
        .find_map(|part| part.trim().strip_prefix("charset=").map(|name| name.trim_matches('"').to_owned()));
    found == "text/event-stream" && charset.is_none_or(|name| name == "utf-8" || name == "utf8")
}

/// The media type and its parameters, in lower case.
fn media_type(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?.to_ascii_lowercase();
    let (found, parameters) = value.split_once(';').unwrap_or((&value, ""));
    Some((found.trim().to_owned(), parameters.to_owned()))
}

fn content_type(headers: &HeaderMap) -> String {
    let found = headers.get(CONTENT_TYPE).map_or(b"nothing".as_slice(), HeaderValue::as_bytes);
    String::from_utf8_lossy(found).into_owned()
}

/// How long this hub may be silent before it is taken for dead.
fn silence_max(headers: &HeaderMap) -> Duration {
    let told = headers.get("heartbeat-interval").and_then(|value| value.to_str().ok());
    let heartbeat =
        told.and_then(|text| text.trim().parse().ok()).map_or(HEARTBEAT_DEFAULT, Duration::from_secs);
    heartbeat.saturating_mul(SILENT_HEARTBEATS).clamp(READ_TIMEOUT_MIN, READ_TIMEOUT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), HeaderValue::from_static(value))])
    }

    #[test]
    fn only_an_event_stream_in_utf8_is_taken_for_one() {
        for good in [
            "text/event-stream",
            "Text/Event-Stream",
            "text/event-stream;",
            "text/event-stream ; x=y",
            "text/event-stream; charset=UTF-8",
            "text/event-stream;charset=\"utf-8\"",
        ] {
            assert!(is_event_stream(&head("content-type", good)), "{good}");
        }
        for bad in ["text/event-streamX", "text/html", "", "text/event-stream; charset=latin1"] {
            assert!(!is_event_stream(&head("content-type", bad)), "{bad}");
        }
        assert!(!is_event_stream(&HeaderMap::new()));
    }

    #[test]
    fn silence_is_three_heartbeats_and_never_under_fifteen_seconds() {
        let seconds = |value| silence_max(&head("heartbeat-interval", value)).as_secs();
        assert_eq!(seconds("20"), 60);
        assert_eq!(seconds("1"), 15);
        assert_eq!(seconds("nonsense"), 45);
        assert_eq!(seconds("18446744073709551615"), 600);
        assert_eq!(silence_max(&HeaderMap::new()).as_secs(), 45);
    }
}
