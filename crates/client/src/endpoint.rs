//! Where a hub is: a checked base URL, and the paths under it. Knows no socket.

use std::path::Path;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::Error;
use crate::transport::unix::{ORIGIN, unix_socket};
use crate::url::Url;

/// What a path segment or a query value may carry as it is (RFC 3986, section 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A hub's address: `http://host[:port][/prefix]`, or `unix:/path`.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    base: Url,
    /// The Unix socket that the base stands for.
    socket: Option<Arc<Path>>,
}

impl Endpoint {
    /// Reads a base URL.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`] says what is wrong with it.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let socket = unix_socket(url)?;
        let base = Url::parse(if socket.is_some() { ORIGIN } else { url })?;
        if base.path().contains('?') {
            let reason = "it must not carry a query";
            return Err(Error::InvalidUrl { url: url.to_owned(), reason });
        }
        let prefix = base.path().trim_end_matches('/').to_owned();
        Ok(Self { base: base.with_path(prefix), socket: socket.map(Arc::from) })
    }

    /// The hub itself, for a connection.
    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// The Unix socket at which the hub is, if it is at one.
    pub(crate) fn socket(&self) -> Option<&Arc<Path>> {
        self.socket.as_ref()
    }

    /// The URL of a session's events.
    ///
    /// # Errors
    /// As [`Endpoint::events_path`].
    pub(crate) fn events(&self, session: &str) -> Result<Url, Error> {
        Ok(self.base.with_path(self.events_path(session, &[])?))
    }

    /// The path of a session's events, with those parameters that have a value.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for a name that no path can carry.
    pub(crate) fn events_path(
        &self,
        session: &str,
        query: &[(&str, Option<String>)],
    ) -> Result<String, Error> {
        // Whoever is on the way takes dots out, also percent-encoded ones (RFC 3986, section 5.2.4).
        if matches!(session, "" | "." | "..") {
            let reason = "it must be something else than \"\", \".\" and \"..\"";
            return Err(Error::InvalidOption { what: "the session name", reason });
        }
        let session = utf8_percent_encode(session, UNRESERVED);
        let path = format!("{}/sessions/{session}/events", self.base.path());
        Ok(with_query(path, query))
    }

    /// The path of a deployment's log, for whoever feeds it, with those parameters that have a value.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for an id that no path can carry.
    pub(crate) fn logs_path(
        &self,
        deployment: &str,
        query: &[(&str, Option<String>)],
    ) -> Result<String, Error> {
        if matches!(deployment, "" | "." | "..") {
            let reason = "it must be something else than \"\", \".\" and \"..\"";
            return Err(Error::InvalidOption { what: "the deployment's id", reason });
        }
        let deployment = utf8_percent_encode(deployment, UNRESERVED);
        let path = format!("{}/deployments/{deployment}/logs", self.base.path());
        Ok(with_query(path, query))
    }
}

/// Appends those parameters that have a value.
pub(crate) fn with_query(mut path: String, query: &[(&str, Option<String>)]) -> String {
    for (name, value) in query {
        if let Some(value) = value {
            path.push(if path.contains('?') { '&' } else { '?' });
            path.push_str(name);
            path.push('=');
            path.extend(utf8_percent_encode(value, UNRESERVED));
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_are_read_with_a_prefix() {
        let hub = Endpoint::parse("http://localhost:8080/hub/").unwrap();
        assert_eq!(hub.base().address(), ("localhost", 8080));
        assert_eq!(hub.events_path("demo", &[]).unwrap(), "/hub/sessions/demo/events");
        assert_eq!(hub.events("demo").unwrap().text(), "http://localhost:8080/hub/sessions/demo/events");
        assert_eq!(
            Endpoint::parse("http://h").unwrap().events_path("demo", &[]).unwrap(),
            "/sessions/demo/events"
        );
        assert!(Endpoint::parse("http://h/?x=1").is_err());
        let unix = Endpoint::parse("unix:/run/hub.sock").unwrap();
        assert_eq!(unix.events("demo").unwrap().text(), "http://localhost/sessions/demo/events");
        assert_eq!(unix.socket().unwrap().as_os_str(), "/run/hub.sock");
    }

    #[test]
    fn session_names_and_values_cannot_leave_their_place_in_the_path() {
        let hub = Endpoint::parse("http://h").unwrap();
        let path =
            hub.events_path("a/b?c#d e\r\n", &[("type", Some("x&y=z".into())), ("ttl", None)]).unwrap();
        assert_eq!(path, "/sessions/a%2Fb%3Fc%23d%20e%0D%0A/events?type=x%26y%3Dz");
    }

    #[test]
    fn a_name_that_no_path_can_carry_is_refused() {
        let hub = Endpoint::parse("http://h").unwrap();
        for name in ["", ".", ".."] {
            assert!(matches!(hub.events(name), Err(Error::InvalidOption { .. })), "{name:?}");
        }
        assert_eq!(hub.events_path("...", &[]).unwrap(), "/sessions/.../events");
    }

    #[test]
    fn parameters_join_those_that_are_there() {
        assert_eq!(with_query("/x?a=1".into(), &[("b", Some("2".into()))]), "/x?a=1&b=2");
    }
}
