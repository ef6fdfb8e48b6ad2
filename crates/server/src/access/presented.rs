//! Where a request's token is. One rule for all: what stands in `Authorization` counts alone; without it the cookie that
//! the configuration names; without both `?access_token=`, where that is switched on (RFC 6750, section 2). A place
//! that has two tokens, or something that is none, is refused, whatever stands in the others.

use std::borrow::Cow;

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use percent_encoding::percent_decode_str;

use super::Tokens;

/// The parameter for tokens.
pub(crate) const QUERY_PARAMETER: &str = "access_token";

/// The token of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Presented<'a> {
    /// There is none.
    Nothing,
    /// There is one. A page of another origin cannot have sent it, unless the browser added it by itself (`cookie`).
    Token { text: Cow<'a, str>, is_cookie: bool },
    /// There is something that is none.
    Unusable,
}

pub(super) fn token_of<'a>(tokens: &Tokens, headers: &'a HeaderMap, uri: &'a Uri) -> Presented<'a> {
    let in_header = of_header(headers);
    if in_header != Presented::Nothing {
        return in_header;
    }
    let in_cookie = tokens.cookie.as_ref().map_or(Presented::Nothing, |name| of_cookie(headers, name));
    if in_cookie != Presented::Nothing || !tokens.in_query {
        return in_cookie;
    }
    of_query(uri.query().unwrap_or_default())
}

fn of_header(headers: &HeaderMap) -> Presented<'_> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (first, second) = (values.next(), values.next());
    let Some(value) = first else { return Presented::Nothing };
    match bearer(value.as_bytes()) {
        Some(token) if second.is_none() => Presented::Token { text: token.into(), is_cookie: false },
        _ => Presented::Unusable,
    }
}

/// The token in a value of `Authorization`.
pub(super) fn bearer(value: &[u8]) -> Option<&str> {
    let is_text = |byte: &u8| *byte == b'\t' || (b' '..=b'~').contains(byte);
    let text = str::from_utf8(value).ok().filter(|_| value.iter().all(is_text));
    let (scheme, token) = text?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
}

/// A browser sends all cookies in one field (RFC 6265, section 5.4); HTTP/2 may split them (RFC 9113, section 8.2.3).
fn of_cookie<'a>(headers: &'a HeaderMap, name: &str) -> Presented<'a> {
    let mut found = Presented::Nothing;
    for field in headers.get_all(COOKIE) {
        for pair in field.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii) {
            let Some(value) = pair.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="))
            else {
                continue;
            };
            let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
            let value = quoted.unwrap_or(value);
            // A cookie that was emptied is one that was taken away.
            if value.is_empty() {
                continue;
            }
            match str::from_utf8(value) {
                Ok(text) if found == Presented::Nothing => {
                    found = Presented::Token { text: text.into(), is_cookie: true };
                }
                _ => return Presented::Unusable,
            }
        }
    }
    found
}

fn of_query(query: &str) -> Presented<'_> {
    let mut values =
        query.split('&').filter_map(|pair| pair.strip_prefix(QUERY_PARAMETER)?.strip_prefix('='));
    let (first, second) = (values.next(), values.next());
    match (first, second) {
        (None | Some(""), None) => Presented::Nothing,
        (Some(value), None) => match percent_decode_str(value).decode_utf8() {
            Ok(text) => Presented::Token { text, is_cookie: false },
            Err(_) => Presented::Unusable,
        },
        _ => Presented::Unusable,
    }
}

/// Whether a request that a cookie authorises may have been sent by a page of another origin without anybody wanting it
/// (CSRF): it changes something, and no browser says whose page sent it. A page of another origin that does say so was
/// refused before.
pub(super) fn may_be_forged(method: &Method, headers: &HeaderMap) -> bool {
    const ORIGIN: HeaderName = HeaderName::from_static("origin");
    const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    const REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");
    let changes = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let site = headers.get(SITE).map(HeaderValue::as_bytes);
    let is_said_to_be_ours = match site {
        Some(site) => matches!(site, b"same-origin" | b"none") || headers.contains_key(ORIGIN),
        // A page of another origin sets this only after a preflight.
        None => headers.contains_key(ORIGIN) || headers.contains_key(REQUESTED_WITH),
    };
    changes && !is_said_to_be_ours
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    fn token(text: &str, is_cookie: bool) -> Presented<'_> {
        Presented::Token { text: text.into(), is_cookie }
    }

    #[test]
    fn threat_21_a_header_has_one_bearer_token_or_none_that_counts() {
        for (value, expected) in [
            ("Bearer abc", token("abc", false)),
            ("bearer  abc ", token("abc", false)),
            ("Basic abc", Presented::Unusable),
            ("Bearer", Presented::Unusable),
            ("", Presented::Unusable),
        ] {
            assert_eq!(of_header(&headers(&[(AUTHORIZATION, value)])), expected, "{value:?}");
        }
        let twice = headers(&[(AUTHORIZATION, "Bearer abc"), (AUTHORIZATION, "Bearer abc")]);
        assert_eq!(of_header(&twice), Presented::Unusable);
        assert_eq!(of_header(&HeaderMap::new()), Presented::Nothing);
    }

    #[test]
    fn a_cookie_is_found_among_others_by_its_whole_name() {
        for (value, expected) in [
            ("wt=abc", token("abc", true)),
            ("a=b; wt=\"abc\" ; c=d", token("abc", true)),
            ("xwt=abc; wt2=abc", Presented::Nothing),
            ("wt=", Presented::Nothing),
            ("wt=abc; wt=def", Presented::Unusable),
            ("wt=; wt=abc", token("abc", true)),
            ("wt=abc; wt=\"\"", token("abc", true)),
        ] {
            assert_eq!(of_cookie(&headers(&[(COOKIE, value)]), "wt"), expected, "{value:?}");
        }
        let split = headers(&[(COOKIE, "a=b"), (COOKIE, "wt=abc")]);
        assert_eq!(of_cookie(&split, "wt"), token("abc", true));
    }

    #[test]
    fn threat_20_a_query_has_one_token_or_none_that_counts() {
        for (query, expected) in [
            ("access_token=a%2Eb&x=y", token("a.b", false)),
            ("x=y", Presented::Nothing),
            ("access_token=", Presented::Nothing),
            ("access_token=a&access_token=a", Presented::Unusable),
            ("access_token=%FF", Presented::Unusable),
            ("xaccess_token=a", Presented::Nothing),
        ] {
            assert_eq!(of_query(query), expected, "{query:?}");
        }
    }
}
