//! Query parameters: decoded once, read by name, refused by name.

use std::borrow::Cow;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::problem::Problem;

/// Parameters that one request may have.
const PARAMETERS_MAX: usize = 32;

/// The one parameter of a path, decoded.
pub(crate) struct PathText(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for PathText {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<PathText, Problem> {
        let path = axum::extract::Path::<String>::from_request_parts(parts, &state).await;
        let path = path.map_err(|_| Problem::bad_request("INVALID_PARAMETER", "the path is not UTF-8"))?;
        Ok(PathText(path.0))
    }
}

/// The parameters of a request, in order.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Query, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let mut pairs = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == PARAMETERS_MAX {
                let detail = format!("a request may have at most {PARAMETERS_MAX} parameters");
                return Err(Problem::bad_request("INVALID_PARAMETER", detail));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((decode(name)?, decode(value)?));
        }
        Ok(Query(pairs))
    }
}

fn decode(text: &str) -> Result<String, Problem> {
    let spaced = text.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8().map(Cow::into_owned);
    decoded.map_err(|_| Problem::bad_request("INVALID_PARAMETER", "a parameter is not UTF-8"))
}

impl Query {
    /// The first parameter of any of these names.
    pub(crate) fn first(&self, names: &[&str]) -> Option<&str> {
        self.0.iter().find(|(name, _)| names.contains(&name.as_str())).map(|(_, value)| value.as_str())
    }

    /// A parameter that is a number or the like.
    pub(crate) fn parse<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, Problem> {
        self.first(&[name]).map(|text| text.parse().map_err(|_| invalid(name, expected))).transpose()
    }
}

/// A parameter that cannot be understood.
pub(crate) fn invalid(name: &str, expected: &str) -> Problem {
    Problem::bad_request("INVALID_PARAMETER", format!("{name} must be {expected}"))
}
