//! Where a hub is: a checked base URL, and the paths under it. Knows no socket.

use http::{HeaderValue, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::Error;

/// What a path segment or a query value may carry as it is (RFC 3986, section 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A hub's address: `http://host[:port][/prefix]`.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// Without the brackets of an IPv6 literal: as a resolver wants it.
    host: String,
    port: u16,
    /// As the `Host` header wants it.
    authority: HeaderValue,
    /// Empty, or a path that starts with a slash and does not end with one.
    prefix: String,
}

impl Endpoint {
    /// Reads a base URL.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`] says what is wrong with it; `https` is not spoken by this version.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let invalid = |reason| Error::InvalidUrl { url: redacted(url), reason };
        let uri: Uri = url.parse().map_err(|_| invalid("not a URL"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(invalid("https is not spoken by this version: use http://")),
            _ => return Err(invalid("it must start with http://")),
        }
        let authority = uri.authority().ok_or_else(|| invalid("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(invalid("it must not carry a user name or a password"));
        }
        if uri.query().is_some() {
            return Err(invalid("it must not carry a query"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(invalid("it names no host"));
        }
        Ok(Self {
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(80),
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| invalid("not a host"))?,
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// What to resolve and connect to.
    pub(crate) fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// The `Host` header.
    pub(crate) fn authority(&self) -> HeaderValue {
        self.authority.clone()
    }

    /// The path of a session's events, with those parameters that have a value.
    pub(crate) fn events_path(&self, session: &str, query: &[(&str, Option<String>)]) -> String {
        let session = utf8_percent_encode(session, UNRESERVED);
        let mut path = format!("{}/sessions/{session}/events", self.prefix);
        let mut separator = '?';
        for (name, value) in query {
            if let Some(value) = value {
                path.push(separator);
                path.push_str(name);
                path.push('=');
                path.extend(utf8_percent_encode(value, UNRESERVED));
                separator = '&';
            }
        }
        path
    }
}

/// The URL without what stands before an `@`: an error text must not spread a password.
fn redacted(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => format!("{}***{}", &url[..scheme + 3], &url[at..]),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_are_read_with_port_prefix_and_ipv6() {
        let hub = Endpoint::parse("http://localhost:8080/hub/").unwrap();
        assert_eq!(hub.address(), ("localhost", 8080));
        assert_eq!(hub.events_path("demo", &[]), "/hub/sessions/demo/events");
        assert_eq!(Endpoint::parse("http://[::1]:81").unwrap().address(), ("::1", 81));
        assert_eq!(Endpoint::parse("http://example.org").unwrap().address(), ("example.org", 80));
    }

    #[test]
    fn https_is_refused_with_a_clear_reason() {
        let error = Endpoint::parse("https://example.org").unwrap_err().to_string();
        assert!(error.contains("https is not spoken by this version"), "{error}");
    }

    #[test]
    fn a_password_in_the_url_is_refused_and_not_repeated() {
        let error = Endpoint::parse("http://joe:secret@example.org").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn session_names_and_values_cannot_leave_their_place_in_the_path() {
        let hub = Endpoint::parse("http://h").unwrap();
        let path = hub.events_path("a/b?c#d e\r\n", &[("type", Some("x&y=z".into())), ("ttl", None)]);
        assert_eq!(path, "/sessions/a%2Fb%3Fc%23d%20e%0D%0A/events?type=x%26y%3Dz");
    }
}
