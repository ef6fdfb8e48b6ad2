//! Every refusal of the API: `application/problem+json` (RFC 9457) with a stable `code`.

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use watertight::{AccessError, CloseReason, Epoch, PublishError, SubscribeError};

/// The code of a refusal, beside its answer: for whoever counts it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RefusalCode(pub(crate) &'static str);

/// A refusal. `code` is stable; `detail` is for people and may change.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    /// Seconds after which a retry makes sense.
    retry_after: Option<u8>,
    /// Index of the refused event in a batch.
    index: Option<usize>,
    /// How to authenticate (RFC 6750, section 3).
    challenge: Option<&'static str>,
    /// The life of the log that there is now, where that matters; `None` in it: there is no log.
    epoch: Option<Option<Epoch>>,
}

impl Problem {
    /// A refusal with this status, code and explanation.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        let may_retry = matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
        let retry_after = may_retry.then(jittered_seconds);
        Problem {
            status,
            code,
            detail: detail.into(),
            retry_after,
            index: None,
            challenge: None,
            epoch: None,
        }
    }

    /// A request that is wrong in itself (400).
    #[must_use]
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// Something that is larger than the hub takes (413).
    #[must_use]
    pub fn too_large(code: &'static str, detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, code, detail)
    }

    /// Something that is not there (404).
    #[must_use]
    pub fn not_found(code: &'static str, detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// No token (401).
    #[must_use]
    pub fn no_token() -> Problem {
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "a token is needed");
        Problem { challenge: Some("Bearer"), ..problem }
    }

    /// A token that is not good (401): one answer for all reasons, so that nobody learns from it which tokens or users
    /// there are.
    #[must_use]
    pub fn invalid_token() -> Problem {
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "INVALID_TOKEN", "the token is not valid");
        Problem { challenge: Some("Bearer error=\"invalid_token\""), ..problem }
    }

    /// A right that a good token does not give (403).
    #[must_use]
    pub fn forbidden(detail: impl Into<String>) -> Problem {
        let problem = Problem::new(StatusCode::FORBIDDEN, "FORBIDDEN", detail);
        Problem { challenge: Some("Bearer error=\"insufficient_scope\""), ..problem }
    }

    /// When a retry makes sense, at the earliest; a second or more, at most a few minutes.
    #[must_use]
    pub fn retry_after(mut self, wait: std::time::Duration) -> Problem {
        let seconds = wait.as_secs_f64().ceil().clamp(1.0, f64::from(u8::MAX));
        self.retry_after = Some(seconds as u8);
        self
    }

    /// Names the event of a batch that was refused.
    #[must_use]
    pub fn at(mut self, index: usize) -> Problem {
        self.index = Some(index);
        self
    }

    /// The publish was meant for another life of a log than there is now (409).
    #[must_use]
    pub fn epoch_changed(current: Option<Epoch>) -> Problem {
        Problem::from(PublishError::EpochChanged { current })
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }
}

/// Clients that are refused together should not retry together.
fn jittered_seconds() -> u8 {
    fastrand::u8(1..=5)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.into_whole_response().map(Body::from)
    }
}

impl Problem {
    /// The answer with a body that is there whole.
    pub(crate) fn into_whole_response(self) -> http::Response<Bytes> {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
        });
        if let Some(index) = self.index {
            body["index"] = index.into();
        }
        if let Some(epoch) = self.epoch {
            body["epoch"] = epoch.map(|epoch| epoch.to_string()).into();
        }
        let mut response = http::Response::new(Bytes::from(body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(u16::from(seconds)));
        }
        response.extensions_mut().insert(RefusalCode(self.code));
        response
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Problem {
        let detail = error.to_string();
        match error {
            PublishError::Name(_) => Problem::bad_request("INVALID_SESSION_NAME", detail),
            PublishError::TooLarge { .. } => Problem::too_large("EVENT_TOO_LARGE", detail),
            PublishError::BatchTooLarge { .. } => Problem::too_large("BATCH_TOO_LARGE", detail),
            PublishError::Reserved(_) => Problem::new(StatusCode::FORBIDDEN, "RESERVED_EVENT_TYPE", detail),
            PublishError::Sessions(_) => unavailable("TOO_MANY_SESSIONS", detail),
            PublishError::Memory(_) => unavailable("OVERLOADED", detail),
            PublishError::SessionEnded => Problem::new(StatusCode::CONFLICT, "SESSION_ENDED", detail),
            PublishError::EpochChanged { current } => {
                let problem = Problem::new(StatusCode::CONFLICT, "EPOCH_CHANGED", detail);
                Problem { epoch: Some(current), ..problem }
            }
            PublishError::ShuttingDown => unavailable("SHUTTING_DOWN", detail),
            PublishError::Randomness(_) => internal(detail),
        }
    }
}

impl From<SubscribeError> for Problem {
    fn from(error: SubscribeError) -> Problem {
        let detail = error.to_string();
        match error {
            SubscribeError::Name(_) => Problem::bad_request("INVALID_SESSION_NAME", detail),
            SubscribeError::Sessions(_) => unavailable("TOO_MANY_SESSIONS", detail),
            SubscribeError::Memory(_) | SubscribeError::Overloaded => unavailable("OVERLOADED", detail),
            SubscribeError::Access(AccessError::TooManyStreams(_)) => {
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_STREAMS", detail)
            }
            SubscribeError::Access(AccessError::Memory(_)) => unavailable("OVERLOADED", detail),
            // It was withdrawn while the stream was being opened.
            SubscribeError::Access(AccessError::Withdrawn(reason)) => match reason {
                CloseReason::Forbidden => Problem::forbidden(detail),
                CloseReason::TokenRevoked | CloseReason::TokenExpired => Problem::invalid_token(),
                _ => unavailable("OVERLOADED", detail),
            },
            SubscribeError::SourceBroken { retry_after } => {
                unavailable("CIRCUIT_OPEN", detail).retry_after(retry_after)
            }
            SubscribeError::ShuttingDown => unavailable("SHUTTING_DOWN", detail),
            SubscribeError::Randomness(_) => internal(detail),
        }
    }
}

/// No room (503), with `Retry-After`.
pub(crate) fn unavailable(code: &'static str, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
}

/// A fault of the hub (500); what it was stands in the log.
pub(crate) fn internal(detail: impl std::fmt::Display) -> Problem {
    tracing::error!(%detail, "internal error");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "the hub made a mistake; its log says more")
}
