//! Query parameters: decoded once, read by name, refused by name. One that a call does not know is refused, so that
//! a slip of the pen is not taken for consent.

use std::borrow::Cow;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::access::QUERY_PARAMETER;
use crate::config::nearest;
use crate::problem::Problem;
use crate::state::App;

/// Parameters that one request may have.
const PARAMETERS_MAX: usize = 32;

/// The parameter for an id. Clients that cannot set headers have each their own spelling of it.
pub(crate) const ID_PARAMETER: &str = "last_event_id";

/// The one parameter of a path, decoded.
pub(crate) struct PathText(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for PathText {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<PathText, Problem> {
        let path = axum::extract::Path::<String>::from_request_parts(parts, &state).await;
        path.map(|path| PathText(path.0))
            .map_err(|_| Problem::bad_request("INVALID_PARAMETER", "the path is not UTF-8"))
    }
}

/// The parameters of a request, in order.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, Vec<u8>)>);

impl FromRequestParts<App> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Query, Problem> {
        let reads_token = app.access.reads_query();
        let query = parts.uri.query().unwrap_or_default();
        let mut pairs = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            if reads_token && pair.split_once('=').is_some_and(|(name, _)| name == QUERY_PARAMETER) {
                // It was read for the token, and is nothing that a handler should hold.
                continue;
            }
            if pairs.len() == PARAMETERS_MAX {
                let detail = format!("a request may have at most {PARAMETERS_MAX} parameters");
                return Err(Problem::bad_request("INVALID_PARAMETER", detail));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = String::from_utf8_lossy(&decode(name)).into_owned();
            let is_id = is_id(&name);
            pairs.push((if is_id { ID_PARAMETER.to_owned() } else { name }, decode(value)));
        }
        Ok(Query(pairs))
    }
}

/// No parameters at all: for calls that know none.
#[derive(Debug)]
pub(crate) struct NoQuery;

impl FromRequestParts<App> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<NoQuery, Problem> {
        let query = Query::from_request_parts(parts, app).await?;
        query.expect_only(&[]).map(|()| NoQuery)
    }
}

/// Whether this is a spelling of [`ID_PARAMETER`]: in any case, with hyphens, underscores or neither.
fn is_id(name: &str) -> bool {
    let letters = name.bytes().filter(|byte| !matches!(byte, b'-' | b'_'));
    letters.map(|byte| byte.to_ascii_lowercase()).eq(*b"lasteventid")
}

fn decode(text: &str) -> Vec<u8> {
    let spaced = if text.contains('+') { Cow::Owned(text.replace('+', " ")) } else { Cow::Borrowed(text) };
    percent_encoding::percent_decode_str(&spaced).collect()
}

impl Query {
    /// The parameters of this query.
    #[cfg(test)]
    pub(crate) fn from_pairs(query: &str) -> Query {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        Query(pairs.map(|(name, value)| (name.to_owned(), decode(value))).collect())
    }

    /// Refuses every parameter but those of these names.
    pub(crate) fn expect_only(&self, known: &[&str]) -> Result<(), Problem> {
        let Some((name, _)) = self.0.iter().find(|(name, _)| !known.contains(&name.as_str())) else {
            return Ok(());
        };
        let shown: String = name.chars().take(100).collect();
        let detail = match (nearest(name, known), known) {
            (Some(meant), _) => {
                format!("there is no parameter {shown:?} here; {meant} is the nearest that there is")
            }
            (None, []) => format!("there is no parameter {shown:?} here, nor any other"),
            (None, known) => format!("there is no parameter {shown:?} here; there are {}", known.join(", ")),
        };
        Err(Problem::bad_request("INVALID_PARAMETER", detail))
    }

    /// Refuses every parameter that is on neither list.
    pub(crate) fn expect_known(&self, one: &[&str], other: &[&str]) -> Result<(), Problem> {
        self.expect_only(&[one, other].concat())
    }

    /// The first parameter of this name that says something: an empty one counts as absent.
    pub(crate) fn bytes(&self, name: &str) -> Option<&[u8]> {
        let mut named = self.0.iter().filter(|(known, value)| known == name && !value.is_empty());
        named.next().map(|(_, value)| value.as_slice())
    }

    /// The same as text.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        self.bytes(name).map(|value| str::from_utf8(value).map_err(|_| invalid(name, "UTF-8"))).transpose()
    }

    /// A parameter that is a number or the like.
    pub(crate) fn parse<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, Problem> {
        self.text(name)?.map(|text| text.parse().map_err(|_| invalid(name, expected))).transpose()
    }

    /// Refuses these parameters, which this request has no use for.
    pub(crate) fn expect_none_of(&self, names: &[&str], why: &str) -> Result<(), Problem> {
        match names.iter().find(|name| self.bytes(name).is_some()) {
            None => Ok(()),
            Some(name) => Err(Problem::bad_request("INVALID_PARAMETER", format!("{name} {why}"))),
        }
    }
}

/// A parameter that cannot be understood.
pub(crate) fn invalid(name: &str, expected: &str) -> Problem {
    Problem::bad_request("INVALID_PARAMETER", format!("{name} must be {expected}"))
}
