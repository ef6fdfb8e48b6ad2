//! One attempt to open a stream: the request, and what its answer means. Knows nothing of what came before.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::Full;

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::limits::{
    HEARTBEAT_DEFAULT, LAST_EVENT_ID_BYTES, READ_TIMEOUT_MAX, READ_TIMEOUT_MIN, SILENT_HEARTBEATS,
    STREAM_HEAD_TIMEOUT,
};
use crate::link::{Link, within};
use crate::stream::OpenStream;

/// How much history a new subscriber asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// All that the hub still has.
    All,
    /// At most this many events.
    Last(u64),
}

/// What every attempt of a subscriber asks for.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    endpoint: Endpoint,
    session: String,
    pub(crate) token: Option<HeaderValue>,
    pub(crate) replay: Option<Replay>,
    pub(crate) last_event_id: Option<HeaderValue>,
    /// Whether that id came from a stream: then an empty one later on takes it back.
    carried: bool,
    /// Replaces what the head's `Heartbeat-Interval` would give.
    pub(crate) read_timeout: Option<Duration>,
}

/// What came of an attempt.
pub(crate) enum Opened {
    Stream(Box<OpenStream>),
    /// 204: come back never (WHATWG HTML, section 9.2.3).
    NoContent,
}

impl Attempt {
    pub(crate) fn new(endpoint: Endpoint, session: &str) -> Self {
        Self {
            endpoint,
            session: session.to_owned(),
            token: None,
            replay: None,
            last_event_id: None,
            carried: false,
            read_timeout: None,
        }
    }

    /// Takes the last id over from the connection before. An id that no header may carry is left out: the
    /// stream goes on with the one before it.
    pub(crate) fn carry(&mut self, last_event_id: &str) {
        if last_event_id.is_empty() {
            if self.carried {
                self.last_event_id = None;
            }
        } else if last_event_id.len() <= LAST_EVENT_ID_BYTES
            && let Ok(value) = HeaderValue::from_bytes(last_event_id.as_bytes())
        {
            self.last_event_id = Some(value);
            self.carried = true;
        }
    }

    /// Opens a stream. Dropping the future closes the socket.
    pub(crate) async fn open(self) -> Result<Opened, Error> {
        let request = self.request()?;
        let mut link = Link::open(&self.endpoint).await?;
        let sending = link.send(request);
        let answer = within(STREAM_HEAD_TIMEOUT, "the head of the stream", sending).await??;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NO_CONTENT => return Ok(Opened::NoContent),
            _ => return Err(link.refusal(answer).await),
        }
        if !is_event_stream(answer.headers()) {
            let found =
                answer.headers().get(CONTENT_TYPE).map_or(b"nothing".as_slice(), HeaderValue::as_bytes);
            let found = String::from_utf8_lossy(found);
            return Err(Error::UnexpectedAnswer(format!(
                "the content type is {found}, not text/event-stream"
            )));
        }
        let silence_max = self.read_timeout.unwrap_or_else(|| silence_max(answer.headers()));
        Ok(Opened::Stream(Box::new(OpenStream::new(link, answer.into_body(), silence_max))))
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, Error> {
        let replay = match (&self.last_event_id, self.replay) {
            (Some(_), _) | (None, None) => None,
            (None, Some(Replay::All)) => Some("all".to_owned()),
            (None, Some(Replay::Last(count))) => Some(count.to_string()),
        };
        let mut request = Request::get(self.endpoint.events_path(&self.session, &[("replay", replay)]))
            .header(HOST, self.endpoint.authority())
            .header(ACCEPT, "text/event-stream")
            .header(CACHE_CONTROL, "no-store");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        if let Some(id) = &self.last_event_id {
            request = request.header("last-event-id", id);
        }
        let unsendable =
            |_| Error::InvalidOption { what: "the session name", reason: "it makes no valid request path" };
        request.body(Full::new(Bytes::new())).map_err(unsendable)
    }
}

/// Whether the answer is a stream of events, and in the one encoding that such a stream may have.
fn is_event_stream(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let mut parts = value.split(';').map(|part| part.trim().to_ascii_lowercase());
    let is_stream = parts.next().as_deref() == Some("text/event-stream");
    let charset =
        parts.find_map(|part| part.strip_prefix("charset=").map(|name| name.trim_matches('"').to_owned()));
    is_stream && charset.is_none_or(|name| name == "utf-8" || name == "utf8")
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
            "text/event-stream; charset=UTF-8",
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

    #[test]
    fn history_is_asked_for_only_where_there_is_no_id_to_resume_from() {
        let mut attempt = Attempt::new(Endpoint::parse("http://h").unwrap(), "s");
        attempt.replay = Some(Replay::All);
        assert_eq!(attempt.request().unwrap().uri(), "/sessions/s/events?replay=all");
        attempt.carry("7-1");
        let request = attempt.request().unwrap();
        assert_eq!(request.uri(), "/sessions/s/events");
        assert_eq!(request.headers()["last-event-id"], "7-1");
    }

    #[test]
    fn an_id_that_no_header_may_carry_never_ends_the_stream() {
        let mut attempt = Attempt::new(Endpoint::parse("http://h").unwrap(), "s");
        attempt.carry("7-1");
        attempt.carry("a\u{1}b");
        attempt.carry(&"x".repeat(LAST_EVENT_ID_BYTES + 1));
        assert_eq!(attempt.last_event_id.as_ref().unwrap(), "7-1");
        attempt.carry("é☃");
        assert_eq!(attempt.last_event_id.unwrap().as_bytes(), "é☃".as_bytes());
    }

    #[test]
    fn an_empty_id_takes_back_an_id_of_the_stream_but_not_the_callers() {
        let mut attempt = Attempt::new(Endpoint::parse("http://h").unwrap(), "s");
        attempt.last_event_id = Some(HeaderValue::from_static("stored"));
        attempt.carry("");
        assert!(attempt.last_event_id.is_some());
        attempt.carry("7-1");
        attempt.carry("");
        assert!(attempt.last_event_id.is_none());
    }
}
