//! Absolute `http` and `https` URLs: checked once, resolved against each other (RFC 3986, section 5.2).
//! Knows no socket.

use http::{HeaderValue, Uri};

use crate::error::Error;

/// Where to send a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    tls: bool,
    /// Without the brackets of an IPv6 literal, in lower case: as a resolver wants it.
    host: String,
    port: u16,
    /// As the `Host` header wants it.
    authority: String,
    /// Path and query, begins with a slash.
    path: String,
}

impl Url {
    /// Reads an absolute URL. What stands behind a `#` is left out.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`] says what is wrong with it.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        Self::read(url).map_err(|reason| Error::InvalidUrl { url: redacted(url), reason })
    }

    /// As [`Url::parse`]; the error is the reason alone.
    pub(crate) fn read(url: &str) -> Result<Self, &'static str> {
        let url = url.split('#').next().unwrap_or_default();
        let uri: Uri = url.parse().map_err(|_| "not a URL")?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") if cfg!(feature = "tls") => true,
            Some("https") => return Err("https needs the feature `tls`: use http://"),
            _ => return Err("it must start with http:// or https://"),
        };
        let authority = uri.authority().ok_or("it names no host")?;
        if authority.as_str().contains('@') {
            return Err("it must not carry a user name or a password");
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        if host.is_empty() {
            return Err("it names no host");
        }
        // A port that is no port must not become the default one, where somebody else may listen.
        if authority.as_str().len() > authority.host().len() && authority.port_u16().is_none() {
            return Err("its port is no number from 0 to 65535");
        }
        HeaderValue::from_str(authority.as_str()).map_err(|_| "not a host")?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            tls,
            host,
            port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            authority: authority.as_str().to_owned(),
            path: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
        })
    }

    /// What to resolve and connect to.
    pub(crate) fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Host and port, an IPv6 literal in brackets: what is asked of a proxy, and what errors name.
    pub(crate) fn host_and_port(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// Scheme, host and port.
    pub(crate) fn origin(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.authority)
    }

    /// The `Host` header.
    pub(crate) fn authority(&self) -> HeaderValue {
        // It was checked, so the empty one is never sent.
        HeaderValue::from_str(&self.authority).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.tls
    }

    /// Path and query.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The same place with another path and query.
    pub(crate) fn with_path(&self, path: String) -> Self {
        Self { path, ..self.clone() }
    }

    /// Its text.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", self.origin(), self.path)
    }

    /// Whether what may be told to one may be told to the other: same scheme, host and port.
    pub(crate) fn same_origin(&self, other: &Self) -> bool {
        (self.tls, &self.host, self.port) == (other.tls, &other.host, other.port)
    }

    /// Where a `Location` leads from here.
    ///
    /// # Errors
    /// Why it leads nowhere.
    pub(crate) fn resolve(&self, location: &str) -> Result<Self, &'static str> {
        let location = location.split('#').next().unwrap_or_default().trim();
        if location.is_empty() {
            return Err("it is empty");
        }
        let scheme = if self.tls { "https" } else { "http" };
        if has_scheme(location) {
            return Self::read(location);
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Self::read(&format!("{scheme}://{rest}"));
        }
        let here = self.path.split('?').next().unwrap_or_default();
        let path = if location.starts_with('/') {
            without_dots(location)
        } else if location.starts_with('?') {
            format!("{here}{location}")
        } else {
            let folder = here.rfind('/').map_or("/", |slash| &here[..=slash]);
            without_dots(&format!("{folder}{location}"))
        };
        Self::read(&format!("{scheme}://{}{path}", self.authority))
    }
}

/// Whether a reference begins with a scheme (RFC 3986, section 3.1).
fn has_scheme(reference: &str) -> bool {
    let Some((scheme, _)) = reference.split_once(':') else { return false };
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(valid)
}

/// The path without its `.` and `..` (RFC 3986, section 5.2.4); the query stays as it is.
fn without_dots(path: &str) -> String {
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    let mut kept: Vec<&str> = Vec::new();
    let mut is_folder = false;
    for segment in path.split('/').skip(1) {
        is_folder = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    let end = if is_folder && !kept.is_empty() { "/" } else { "" };
    format!("/{}{end}{query}", kept.join("/"))
}

/// The URL without what stands before an `@`: an error text must not spread a password.
pub(crate) fn redacted(url: &str) -> String {
    let Some(at) = url.rfind('@') else { return url.to_owned() };
    let kept = url.find("://").map_or(0, |scheme| scheme + 3);
    if kept <= at { format!("{}***{}", &url[..kept], &url[at..]) } else { url.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_with_port_path_and_ipv6() {
        let url = Url::parse("http://LocalHost:8080/a?b=c#d").unwrap();
        assert_eq!((url.address(), url.path()), (("localhost", 8080), "/a?b=c"));
        let literal = Url::parse("http://[::1]:81").unwrap();
        assert_eq!((literal.address(), literal.host_and_port().as_str()), (("::1", 81), "[::1]:81"));
        assert_eq!(Url::parse("http://example.org?x").unwrap().path(), "/?x");
        let defaults = Url::parse("http://example.org").unwrap();
        assert_eq!((defaults.address(), defaults.path()), (("example.org", 80), "/"));
    }

    #[test]
    fn what_is_no_usable_url_is_refused_with_a_reason() {
        for (url, reason) in [
            ("ftp://h", "must start with http"),
            ("//h/x", "must start with http"),
            ("h", "must start with http"),
            ("http://", "not a URL"),
            ("http://a b/", "not a URL"),
            ("http://joe:secret@h/", "user name"),
        ] {
            let error = Url::parse(url).unwrap_err().to_string();
            assert!(error.contains(reason), "{url}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    #[cfg(feature = "tls")]
    fn https_has_its_own_port_and_is_another_origin() {
        let secure = Url::parse("https://example.org/x").unwrap();
        assert_eq!((secure.address(), secure.is_tls()), (("example.org", 443), true));
        assert!(!secure.same_origin(&Url::parse("http://example.org/x").unwrap()));
        assert!(secure.same_origin(&Url::parse("https://Example.org:443/y").unwrap()));
    }

    #[test]
    fn locations_are_resolved_as_the_standard_has_it() {
        let base = Url::parse("http://a/b/c/d?q").unwrap();
        // RFC 3986, section 5.4, as far as it is about http.
        for (location, expected) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("g#s", "http://a/b/c/g"),
            (".", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../g", "http://a/g"),
            ("../../../g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g..", "http://a/b/c/g.."),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("http://h:1/x", "http://h:1/x"),
        ] {
            assert_eq!(base.resolve(location).unwrap().text(), expected, "{location}");
        }
        for nowhere in ["", " ", "#x", "ftp://h/", "mailto:x", "http://", "a b", "http://u:p@h/"] {
            assert!(base.resolve(nowhere).is_err(), "{nowhere:?}");
        }
    }
}
