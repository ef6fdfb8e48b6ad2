//! Which proxy a request goes through, if any: what the application says, or else the environment. Pure; knows no
//! socket.
//!
//! The variables are read as curl reads them. hyper-util has a matcher for them, which leaves out three things that
//! are wanted here: ports in `no_proxy`; that only `HTTP_PROXY` is a danger under CGI, not the others; and that a proxy
//! which cannot be used is an error, where going without it would show the request to whom it was kept from.

mod bypass;

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::PROXY_AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use percent_encoding::percent_decode_str;

use crate::error::{Error, ProxyProblem};
use crate::url::{Url, redacted};

use bypass::Bypass;

/// A proxy that speaks HTTP/1.1. No `Debug` and no error shows who we are to it.
#[derive(Clone)]
pub(crate) struct Proxy {
    url: Url,
    /// `Proxy-Authorization`, from the user and the password in its URL.
    authorization: Option<HeaderValue>,
}

impl Proxy {
    /// Reads `[http[s]://][user[:password]@]host[:port]`; without a scheme it is `http`.
    fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "http" && scheme != "https" {
            return Err("it must start with http:// or https://");
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, authority),
        };
        let url = Url::read(&format!("{scheme}://{address}"))?;
        Ok(Self { url, authorization: user.map(basic).transpose()? })
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Says to this proxy who we are.
    pub(crate) fn authorize(&self, headers: &mut HeaderMap) {
        if let Some(value) = &self.authorization {
            headers.insert(PROXY_AUTHORIZATION, value.clone());
        }
    }

    /// An error that names this proxy, by host and port.
    pub(crate) fn error(&self, problem: ProxyProblem) -> Error {
        Error::Proxy { proxy: self.url.host_and_port(), problem }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url.host_and_port())
    }
}

/// `Basic` (RFC 7617), which no `Debug` will print.
fn basic(user: &str) -> Result<HeaderValue, &'static str> {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let mut pair: Vec<u8> = percent_decode_str(name).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(password));
    let mut value = HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(pair)))
        .map_err(|_| "its user name cannot be sent")?;
    value.set_sensitive(true);
    Ok(value)
}

/// What is to be done with requests of one scheme.
#[derive(Debug, Clone, Default)]
enum Choice {
    #[default]
    Direct,
    Through(Proxy),
    /// The variable of this name has no proxy that can be used: requests fail rather than go without it.
    Unusable {
        variable: &'static str,
        reason: &'static str,
    },
}

/// The proxies there are, and who is reached without one.
#[derive(Debug, Clone)]
pub(crate) struct Proxies {
    rules: Arc<Rules>,
}

#[derive(Debug, Default)]
struct Rules {
    http: Choice,
    https: Choice,
    bypass: Bypass,
}

impl Default for Proxies {
    /// What the environment says now.
    fn default() -> Self {
        Self::from_variables(|name| Some(std::env::var_os(name)?.to_string_lossy().into_owned()))
    }
}

impl Proxies {
    /// Reads `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`. An empty variable counts as none.
    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let read = |name: &'static str| {
            let value = variable(name).filter(|value| !value.trim().is_empty())?;
            Some((name, value))
        };
        // In a CGI program the header `Proxy` of whoever asks comes as this variable (CVE-2016-5385).
        let is_cgi = variable("REQUEST_METHOD").is_some();
        let http = read("http_proxy").or_else(|| read("HTTP_PROXY").filter(|_| !is_cgi));
        let https = read("https_proxy").or_else(|| read("HTTPS_PROXY"));
        let all = read("all_proxy").or_else(|| read("ALL_PROXY"));
        let bypass = read("no_proxy").or_else(|| read("NO_PROXY"));
        let choose = |found: Option<(&'static str, String)>| match found.or_else(|| all.clone()) {
            None => Choice::Direct,
            Some((variable, value)) => match Proxy::parse(&value) {
                Ok(proxy) => Choice::Through(proxy),
                Err(reason) => Choice::Unusable { variable, reason },
            },
        };
        let bypass = bypass.map(|(_, list)| Bypass::parse(&list)).unwrap_or_default();
        Self { rules: Arc::new(Rules { http: choose(http), https: choose(https), bypass }) }
    }

    /// This one for everything, whatever the environment says.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`].
    pub(crate) fn only(url: &str) -> Result<Self, Error> {
        let proxy = Proxy::parse(url).map_err(|reason| Error::InvalidUrl { url: redacted(url), reason })?;
        let choice = Choice::Through(proxy);
        let rules = Rules { http: choice.clone(), https: choice, bypass: Bypass::default() };
        Ok(Self { rules: Arc::new(rules) })
    }

    /// None, whatever the environment says.
    pub(crate) fn none() -> Self {
        Self { rules: Arc::default() }
    }

    /// The one to go through to `url`.
    ///
    /// # Errors
    /// [`Error::Proxy`] if there should be one and it cannot be used.
    pub(crate) fn choose(&self, url: &Url) -> Result<Option<&Proxy>, Error> {
        let (host, port) = url.address();
        if self.rules.bypass.has(host, port) {
            return Ok(None);
        }
        match if url.is_tls() { &self.rules.https } else { &self.rules.http } {
            Choice::Direct => Ok(None),
            Choice::Through(proxy) => Ok(Some(proxy)),
            Choice::Unusable { variable, reason } => {
                let problem = ProxyProblem::Unusable(reason);
                Err(Error::Proxy { proxy: format!("in `{variable}`"), problem })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The proxy for `url` with these variables; `None` for none.
    fn chosen(variables: &[(&str, &str)], url: &str) -> Option<String> {
        let found = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let proxies = Proxies::from_variables(found);
        let proxy = proxies.choose(&Url::parse(url).unwrap()).unwrap();
        proxy.map(|proxy| proxy.url().text())
    }

    #[test]
    fn each_scheme_has_its_variable_and_all_proxy_is_for_both() {
        let both = [("http_proxy", "a:1"), ("https_proxy", "http://b"), ("all_proxy", "http://c")];
        assert_eq!(chosen(&both, "http://h").as_deref(), Some("http://a:1/"));
        assert_eq!(chosen(&both[1..], "http://h").as_deref(), Some("http://c/"));
        assert_eq!(chosen(&both[..2], "http://h").as_deref(), Some("http://a:1/"));
        assert_eq!(chosen(&[("http_proxy", " ")], "http://h"), None, "an empty one is none");
        assert_eq!(
            chosen(&[("http_proxy", ""), ("HTTP_PROXY", "b")], "http://h").as_deref(),
            Some("http://b/")
        );
        assert_eq!(chosen(&[], "http://h"), None);
    }

    #[test]
    #[cfg(feature = "tls")]
    fn https_goes_through_the_proxy_for_https_only() {
        assert_eq!(chosen(&[("http_proxy", "a")], "https://h"), None);
        assert_eq!(chosen(&[("https_proxy", "a")], "http://h"), None);
        assert_eq!(chosen(&[("HTTPS_PROXY", "HTTPS://a:2")], "https://h").as_deref(), Some("https://a:2/"));
        assert_eq!(chosen(&[("ALL_PROXY", "http://a/path?q")], "https://h").as_deref(), Some("http://a/"));
    }

    #[test]
    fn lower_case_outranks_upper_case_and_a_cgi_program_trusts_no_http_proxy_in_upper_case() {
        let both = [("HTTP_PROXY", "upper"), ("http_proxy", "lower"), ("REQUEST_METHOD", "GET")];
        assert_eq!(chosen(&both, "http://h").as_deref(), Some("http://lower/"));
        assert_eq!(chosen(&both[..1], "http://h").as_deref(), Some("http://upper/"));
        let cgi = [both[0], both[2]];
        assert_eq!(chosen(&cgi, "http://h"), None);
        assert_eq!(chosen(&[cgi[1], ("ALL_PROXY", "all")], "http://h").as_deref(), Some("http://all/"));
    }

    #[test]
    fn no_proxy_names_who_is_reached_without_one_and_loopback_is_not_special() {
        let variables = [("all_proxy", "a"), ("no_proxy", "hub.example,127.0.0.2")];
        assert_eq!(chosen(&variables, "http://HUB.example"), None);
        assert_eq!(chosen(&variables, "http://127.0.0.2"), None);
        assert!(chosen(&variables, "http://localhost").is_some());
        assert!(chosen(&variables, "http://127.0.0.1").is_some());
        assert!(chosen(&[variables[0], ("NO_PROXY", "*")], "http://h").is_none());
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error_and_not_none() {
        for bad in
            ["socks5://joe:secret@h:1080", "http://joe:secret@", "http://joe:secret@h:x", "ftp://secret"]
        {
            let proxies = Proxies::from_variables(|name| (name == "ALL_PROXY").then(|| bad.to_owned()));
            let error = proxies.choose(&Url::parse("http://h").unwrap()).unwrap_err();
            let text = format!("{error} {error:?} {proxies:?}");
            assert!(text.contains("`ALL_PROXY`") && !text.contains("secret"), "{text}");
            assert!(!error.is_retryable());
            let error = Proxies::only(&bad.replace("ftp://secret", "x@")).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
    }

    #[test]
    fn user_and_password_are_decoded_and_shown_nowhere() {
        for (url, expected) in [
            ("http://joe:secret@h:1", Some("joe:secret")),
            ("joe%40x:s%3Acret@h:1", Some("joe@x:s:cret")),
            ("http://joe@h:1", Some("joe:")),
            ("http://joe:a@b@h:1", Some("joe:a@b")),
            ("http://h:1", None),
        ] {
            let proxy = Proxy::parse(url).unwrap();
            let expected = expected.map(|pair| format!("Basic {}", BASE64_STANDARD.encode(pair)));
            assert_eq!(
                proxy.authorization.as_ref().map(|value| value.to_str().unwrap()),
                expected.as_deref(),
                "{url}"
            );
            let shown =
                format!("{proxy:?} {:?} {}", proxy.authorization, proxy.error(ProxyProblem::Unusable("x")));
            assert!(!shown.contains("cret") && !shown.contains("Basic") && shown.contains("h:1"), "{shown}");
        }
    }
}
