//! `POST /tokens/check`: what a token allows, or why it would be refused. Asks the verifier that every request passes. The
//! token is in no log line, no error and no answer.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use watertight_access::limits::TOKEN_BYTES_MAX;
use watertight_access::{Action, Claims, Grants, Refused, Verified, Zeroizing};

use super::no_tokens;
use crate::access::wall_time;
use crate::problem::Problem;
use crate::publishing::body::{self, BodyLimits};
use crate::publishing::events::Object;
use crate::routes::events::Format;
use crate::routes::query::NoQuery;
use crate::state::App;

/// How many bytes such a request may have: a token, also one that is too long to be any.
const BODY_BYTES_MAX: usize = 4 * TOKEN_BYTES_MAX;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    token: String,
}

/// Why a token is refused: what its sender would be told, and the reason.
struct Wrong {
    code: &'static str,
    reason: String,
}

/// `POST /tokens/check`.
pub(crate) async fn check(
    State(app): State<App>,
    _: NoQuery,
    headers: HeaderMap,
    request_body: Body,
) -> Result<Json<Value>, Problem> {
    let tokens = app.access.tokens.as_ref().ok_or_else(no_tokens)?;
    if Format::of(&headers)? != Format::Json {
        let detail = "set Content-Type to application/json";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", detail));
    }
    let limits =
        BodyLimits { max_bytes: BODY_BYTES_MAX, code: "BODY_TOO_LARGE", timeout: app.config.body_timeout };
    let read = body::read(&headers, request_body, limits, &app.hub).await?;
    let asked = serde_json::from_slice(&read.bytes).map_err(|error| malformed(&error))?;
    let Object(Asked { token }) = asked;
    let token = Zeroizing::new(token);
    let answer = match tokens.verifier.verify(&token).await {
        Ok(verified) if tokens.revoked.covers(&verified, wall_time()) => {
            let reason = "it was revoked".to_owned();
            refused(&said(&tokens.verifier.inspect(&token).read), &Wrong { code: "INVALID_TOKEN", reason })
        }
        Ok(verified) => accepted(&verified, tokens.verifier.inspect(&token).read.not_before),
        Err(why) => {
            let code = match &why {
                Refused::Invalid(_) => "INVALID_TOKEN",
                Refused::Unavailable { .. } => "AUTHENTICATION_UNAVAILABLE",
            };
            let wrong = Wrong { code, reason: why.inward() };
            refused(&said(&tokens.verifier.inspect(&token).read), &wrong)
        }
    };
    // As long as the token is held, its body is charged.
    drop(read);
    Ok(Json(answer))
}

/// Says nothing of what was sent: it may be a token.
fn malformed(error: &serde_json::Error) -> Problem {
    let code = if error.is_data() { "MALFORMED_BODY" } else { "MALFORMED_JSON" };
    Problem::bad_request(code, "send {\"token\": TEXT} and nothing else")
}

/// What a token says of itself, whether or not that is true.
struct Said<'a> {
    subject: Option<&'a str>,
    id: Option<&'a str>,
    expires: Option<SystemTime>,
    not_before: Option<SystemTime>,
}

fn said(claims: &Claims) -> Said<'_> {
    Said {
        subject: claims.subject.as_deref(),
        id: claims.id.as_deref(),
        expires: claims.expires,
        not_before: claims.not_before,
    }
}

fn accepted(verified: &Verified, not_before: Option<SystemTime>) -> Value {
    let said = Said {
        subject: verified.subject.as_deref(),
        id: verified.id.as_deref(),
        expires: Some(verified.expires),
        not_before,
    };
    shown(&said, None, &verified.grants)
}

/// A token that is refused allows nothing, whatever it says.
fn refused(said: &Said<'_>, wrong: &Wrong) -> Value {
    shown(said, Some(wrong), &Grants::default())
}

fn shown(said: &Said<'_>, wrong: Option<&Wrong>, grants: &Grants) -> Value {
    let patterns = |action| grants.patterns(action).map(|it| it.as_str().to_owned()).collect::<Vec<_>>();
    json!({
        "valid": wrong.is_none(),
        "reason": wrong.map(|wrong| &wrong.reason),
        "code": wrong.map(|wrong| wrong.code),
        "sub": said.subject,
        "exp": said.expires.and_then(seconds),
        "nbf": said.not_before.and_then(seconds),
        "jti": said.id,
        "may": {
            "publish": patterns(Action::Publish),
            "watch": patterns(Action::Subscribe),
            "admin": grants.is_admin(),
        },
    })
}

/// Seconds since 1970.
fn seconds(time: SystemTime) -> Option<u64> {
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}
