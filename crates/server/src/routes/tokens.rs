//! `/tokens`: those that are refused from now on, and whose streams are closed; what one allows (`check`).

pub(crate) mod check;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use watertight_access::limits::{SUBJECT_BYTES_MAX, TOKEN_ID_BYTES_MAX};

use super::events::Format;
use super::query::NoQuery;
use crate::access::control::Told;
use crate::access::revoked::{IdDigest, Which};
use crate::access::wall_time;
use crate::problem::{Problem, unavailable};
use crate::publishing::body::{self, BodyLimits};
use crate::publishing::events::Object;
use crate::state::App;

/// How many bytes such a request may have: an id or a user, and two numbers.
const BODY_BYTES_MAX: usize = 4 * 1024;

/// How long the id of a token or the name of a user may be. A token that has more is refused anyway.
const TEXT_BYTES_MAX: usize =
    if TOKEN_ID_BYTES_MAX > SUBJECT_BYTES_MAX { TOKEN_ID_BYTES_MAX } else { SUBJECT_BYTES_MAX };

/// What is to be revoked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// The id of a token.
    jti: Option<String>,
    /// A user: all their tokens.
    sub: Option<String>,
    /// With `sub`: those issued up to then, seconds since 1970; up to now, if it is not there.
    before: Option<f64>,
    /// When the last of them expires, seconds since 1970: the revocation is forgotten then. Without it, it is
    /// remembered for as long as the hub runs.
    exp: Option<f64>,
}

/// `POST /tokens/revoke`: answers with how many streams were closed.
pub(crate) async fn revoke(
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
    let asked = serde_json::from_slice(&read.bytes);
    let Object(asked): Object<Asked> = asked.map_err(|error| invalid(error.to_string()))?;
    let (which, until) = asked.checked(wall_time())?;
    let closed = app.access.revoke(tokens, &which, until);
    let closed = closed.map_err(|full| unavailable("TOO_MANY_REVOCATIONS", full.to_string()))?;
    app.access.tell_others(|| Told::revoke(&which, until));
    tracing::info!(closed = closed.streams, by = which.name(), "tokens were revoked");
    Ok(Json(json!({ "closed": closed.streams })))
}

impl Asked {
    fn checked(self, now: SystemTime) -> Result<(Which, Option<SystemTime>), Problem> {
        let text = |text: String| {
            let is_fine = !text.is_empty() && text.len() <= TEXT_BYTES_MAX;
            if is_fine {
                Ok(text)
            } else {
                Err(invalid(format!("jti and sub are texts of 1 to {TEXT_BYTES_MAX} bytes")))
            }
        };
        let until = self.exp.map(|seconds| time("exp", seconds)).transpose()?;
        let which = match (self.jti, self.sub, self.before) {
            (Some(id), None, None) => Which::Id(IdDigest::of(&text(id)?)),
            (None, Some(user), None) => Which::User(text(user)?.into(), now),
            (None, Some(user), Some(before)) => Which::User(text(user)?.into(), time("before", before)?),
            (Some(_), None, Some(_)) => return Err(invalid("before goes with sub alone")),
            _ => return Err(invalid("name one of jti and sub")),
        };
        Ok((which, until))
    }
}

/// Nothing can be done with tokens here.
fn no_tokens() -> Problem {
    let detail = "this hub is open: it asks for no tokens, so none can be revoked or checked";
    Problem::new(StatusCode::CONFLICT, "NO_TOKENS", detail)
}

fn time(name: &str, seconds: f64) -> Result<SystemTime, Problem> {
    let since = Duration::try_from_secs_f64(seconds).ok();
    let time = since.and_then(|since| UNIX_EPOCH.checked_add(since));
    time.ok_or_else(|| invalid(format!("{name} is a number of seconds since 1970")))
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::bad_request("INVALID_REVOCATION", detail)
}
