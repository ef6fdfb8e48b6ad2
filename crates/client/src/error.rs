//! The one error type of the client: what went wrong, whether a retry helps, and the hub's own code for it.

use std::fmt;
use std::io;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

/// An error of whatever kind.
pub(crate) type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Why something did not work. Text reads after "failed to".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A URL cannot be used.
    #[error("the URL `{url}` cannot be used: {reason}")]
    InvalidUrl {
        /// As it was given, without a password.
        url: String,
        /// What would do.
        reason: &'static str,
    },
    /// An option, a token or a session name cannot be sent.
    #[error("{what} cannot be sent: {reason}")]
    InvalidOption {
        /// Which one.
        what: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The data of an event has no JSON form.
    #[error("the data cannot be written as JSON: {0}")]
    Json(#[source] serde_json::Error),
    /// The certificates to be trusted cannot be had.
    #[error("cannot speak TLS: {0}")]
    Tls(String),
    /// The function that gives tokens failed. Tried again like a connection that failed.
    #[error("cannot get a token: {0}")]
    Token(#[source] AnyError),
    /// No connection to the hub.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// Host and port.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The proxy on the way to the hub cannot be used, cannot be reached, or refuses.
    #[error("the proxy {proxy}: {problem}")]
    Proxy {
        /// Host and port, never its user; or the variable that should name it.
        proxy: String,
        /// What is wrong.
        #[source]
        problem: ProxyProblem,
    },
    /// The connection broke, or what came over it is not HTTP.
    #[error("the connection broke: {}", root(&**.0))]
    Transport(#[source] AnyError),
    /// The hub closed the stream.
    #[error("the stream ended")]
    StreamEnded,
    /// Something took too long.
    #[error("timed out after {after:?} waiting for {phase}")]
    TimedOut {
        /// What was being waited for.
        phase: &'static str,
        /// How long.
        after: Duration,
    },
    /// The hub refused, and said why.
    #[error("{0}")]
    Refused(Problem),
    /// The answer is not what a hub answers.
    #[error("unexpected answer: {0}")]
    UnexpectedAnswer(String),
    /// A redirect that leads nowhere, or one too many.
    #[error("cannot follow the redirect: {0}")]
    Redirect(String),
    /// An event larger than the subscriber takes; the connection is closed.
    #[error("an event is larger than {limit} bytes")]
    EventTooLarge {
        /// The limit in force, in bytes.
        limit: usize,
    },
    /// Retrying did not help, in the time or as often as was allowed.
    #[error("gave up after {attempts} attempts in {elapsed:.1?}: {last}")]
    GaveUp {
        /// How often it was tried.
        attempts: u32,
        /// From the first attempt to the last.
        elapsed: Duration,
        /// Why the last one failed.
        #[source]
        last: Box<Error>,
    },
}

impl Error {
    /// A connection that broke: what a [`Transport`](crate::Transport) of one's own says. Tried again.
    pub fn transport(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Transport(source.into())
    }

    /// Whether the same request may work later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Transport(_)
            | Self::StreamEnded
            | Self::TimedOut { .. }
            | Self::Token(_) => true,
            Self::Refused(problem) => may_pass(problem.status),
            Self::Proxy { problem, .. } => match problem {
                ProxyProblem::Unusable(_) => false,
                ProxyProblem::Unreachable(_) | ProxyProblem::Broken(_) => true,
                ProxyProblem::Refused { status, .. } => may_pass(*status),
            },
            _ => false,
        }
    }

    /// The hub's stable code (`EVENT_TOO_LARGE`), where the hub gave one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(problem) => problem.code.as_deref(),
            Self::GaveUp { last, .. } => last.code(),
            _ => None,
        }
    }

    /// How long the hub asked to wait, from `Retry-After`.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(problem) => problem.retry_after,
            Self::Proxy { problem: ProxyProblem::Refused { retry_after, .. }, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether another token may help.
    pub(crate) fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Refused(problem) if problem.status == 401)
    }

    /// Whether a kept connection had quietly died: worth one attempt on a fresh one at once.
    pub(crate) fn is_connection_lost(&self) -> bool {
        matches!(self, Self::Transport(_) | Self::StreamEnded)
    }
}

/// Whether who is answered with this status may be answered otherwise later.
fn may_pass(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..)
}

/// What is wrong with a proxy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyProblem {
    /// It is none that this client can speak to: final.
    #[error("it cannot be used: {0}")]
    Unusable(&'static str),
    /// No connection to it.
    #[error("cannot connect to it: {0}")]
    Unreachable(#[source] io::Error),
    /// It does not let the request pass. Tried again where the status may be another later, not with 407.
    #[error("it answers {}", explained(*status))]
    Refused {
        /// Its status: 407 if it wants another user or password.
        status: u16,
        /// From its `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// It closed the connection, or what it said is not HTTP.
    #[error("the connection to it broke: {}", root(&**.0))]
    Broken(#[source] AnyError),
}

impl ProxyProblem {
    /// What a refusal of a proxy means.
    pub(crate) fn refused(status: StatusCode, headers: &HeaderMap, wall: SystemTime) -> Self {
        Self::Refused { status: status.as_u16(), retry_after: retry_after(headers, wall) }
    }
}

/// The status in words that say what would do.
fn explained(status: u16) -> String {
    if status == 407 {
        return "407: it wants a user name and a password, or others than those in its URL".to_owned();
    }
    let code = StatusCode::from_u16(status).ok();
    let reason = code.and_then(|code| code.canonical_reason()).unwrap_or("no reason given");
    format!("{status}: {reason}")
}

/// hyper's text says "error reading a body"; its source says what was wrong.
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// A refusal as the hub words it (RFC 9457), or as much of it as another server gives.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// Stable code, `EVENT_TOO_LARGE`.
    pub code: Option<String>,
    /// Short text.
    pub title: Option<String>,
    /// What exactly, and what would do.
    pub detail: Option<String>,
    /// From the `Retry-After` header, whether it gives seconds or a date.
    pub retry_after: Option<Duration>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ProblemBody {
    code: Option<String>,
    title: Option<String>,
    detail: Option<String>,
}

impl Problem {
    /// What an answer means that is neither a success nor a redirect. A body that is no problem document
    /// counts as none: never an error about an error. `wall` is the time now.
    pub(crate) fn error(status: StatusCode, headers: &HeaderMap, body: &[u8], wall: SystemTime) -> Error {
        if !status.is_client_error() && !status.is_server_error() {
            // A subscriber follows those that can be followed, and does not come here with them.
            let hint = if status.is_redirection() { " (not followed here)" } else { "" };
            return Error::UnexpectedAnswer(format!("status {status}{hint}"));
        }
        let ProblemBody { code, title, detail } = serde_json::from_slice(body).unwrap_or_default();
        let retry_after = retry_after(headers, wall);
        Error::Refused(Self { status: status.as_u16(), code, title, detail, retry_after })
    }
}

/// Seconds, or a date (RFC 9110, section 10.2.3). A date is compared with the answer's own `Date`: the server's
/// clock is then compared with itself, however wrong ours is.
fn retry_after(headers: &HeaderMap, wall: SystemTime) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let told = text(header::RETRY_AFTER)?;
    if !told.is_empty() && told.bytes().all(|byte| byte.is_ascii_digit()) {
        // More than a number can say is longer than anybody waits.
        return Some(told.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    let then = httpdate::parse_http_date(told).ok()?;
    let now = text(header::DATE).and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(wall);
    Some(then.duration_since(now).unwrap_or_default())
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.as_deref().unwrap_or("no code");
        write!(f, "refused by the hub: {} {code}", self.status)?;
        match self.detail.as_deref().or(self.title.as_deref()) {
            Some(text) => write!(f, ": {text}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked_to_wait(headers: &[(header::HeaderName, &'static str)]) -> Option<Duration> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        let wall = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:00 GMT").unwrap();
        Problem::error(StatusCode::SERVICE_UNAVAILABLE, &headers, b"", wall).retry_after()
    }

    #[test]
    fn retry_after_may_be_seconds_or_a_date() {
        let after = |value| asked_to_wait(&[(header::RETRY_AFTER, value)]);
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(37)));
        assert_eq!(after("Sun, 06 Nov 1994 08:48:37 GMT"), Some(Duration::ZERO));
        for nonsense in ["soon", "-1", "1.5", ""] {
            assert_eq!(after(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_date_is_compared_with_the_servers_own_clock() {
        let headers = [
            (header::RETRY_AFTER, "Sun, 06 Nov 1994 12:00:10 GMT"),
            (header::DATE, "Sun, 06 Nov 1994 12:00:00 GMT"),
        ];
        assert_eq!(asked_to_wait(&headers), Some(Duration::from_secs(10)));
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let refused = |status: u16| {
            let status = StatusCode::from_u16(status).unwrap();
            Problem::error(status, &HeaderMap::new(), b"", SystemTime::UNIX_EPOCH).is_retryable()
        };
        assert!([408, 425, 429, 500, 502, 503, 504, 599].into_iter().all(refused));
        assert!(![400, 401, 403, 404, 406, 409, 410, 422, 451, 201, 205, 206, 304].into_iter().any(refused));
    }
}
