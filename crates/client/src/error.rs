//! The one error type of the client: what went wrong, whether a retry helps, and the hub's own code for it.

use std::fmt;
use std::io;
use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

/// Why something did not work. Text reads after "failed to".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The base URL cannot be used.
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
    /// No connection to the hub.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// Host and port.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The connection broke, or what came over it is not HTTP.
    #[error("the connection broke: {}", root(.0))]
    Transport(#[source] hyper::Error),
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
    /// An event larger than the subscriber takes; the connection is closed.
    #[error("an event is larger than {limit} bytes")]
    EventTooLarge {
        /// The limit in force, in bytes.
        limit: usize,
    },
    /// Retrying did not help in the time allowed.
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
    /// Whether the same request may work later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Transport(_) | Self::StreamEnded | Self::TimedOut { .. } => true,
            Self::Refused(problem) => {
                let status = problem.status;
                status == 408 || status == 429 || status >= 500
            }
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
            _ => None,
        }
    }

    /// Whether a kept connection had quietly died: worth one attempt on a fresh one at once.
    pub(crate) fn is_connection_lost(&self) -> bool {
        matches!(self, Self::Transport(_) | Self::StreamEnded)
    }
}

/// hyper's text says "error reading a body"; its source says what was wrong.
fn root(error: &hyper::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// A refusal as the hub words it (RFC 9457), or as much of it as another server gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// Stable code, `EVENT_TOO_LARGE`.
    pub code: Option<String>,
    /// Short text.
    pub title: Option<String>,
    /// What exactly, and what would do.
    pub detail: Option<String>,
    /// From the `Retry-After` header, if given in seconds.
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
    /// Reads a refusal. A body that is no problem document counts as none: never an error about an error.
    pub(crate) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let ProblemBody { code, title, detail } = serde_json::from_slice(body).unwrap_or_default();
        let retry_after = headers
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.trim().parse().ok())
            .map(Duration::from_secs);
        Self { status: status.as_u16(), code, title, detail, retry_after }
    }
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
