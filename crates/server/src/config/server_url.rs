//! URLs of servers that the hub asks. A user name, a password or a query in one may be a secret: they are never shown,
//! neither of a value that holds nor of one that is refused.

use std::fmt;

use url::Url;

use super::error::Refusal;
use super::kind::{Bounds, Form, Kind, Plain, Raw};
use super::list::items;
use super::secret::{HIDDEN, same};

/// A URL takes at most this many bytes.
const URL_BYTES_MAX: usize = 2_048;
/// How many servers a list may name: a cluster is found by a few of its nodes.
const SERVERS_MAX: usize = 64;

/// What is wrong with a URL that was copied from a report.
const COPIED: &str = "has what `watertight check` prints in place of a secret";

/// Where a server is, and what to sign in with. `Debug` and `Display` leave out user, password and query.
#[derive(Clone)]
pub struct ServerUrl(Url);

impl ServerUrl {
    /// Reads a URL that has one of these schemes, with `://`.
    ///
    /// # Errors
    /// A fragment that says what is wrong, without anything of the text.
    pub fn new(text: &str, schemes: &[&str]) -> Result<ServerUrl, &'static str> {
        if text.len() > URL_BYTES_MAX {
            return Err("is longer than any URL of a server");
        }
        if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err("has a blank or a control character");
        }
        // The parser alone would take `https:host` as well.
        let scheme = text.split_once("://").ok_or("has no scheme://")?.0.to_ascii_lowercase();
        if !schemes.contains(&scheme.as_str()) {
            return Err("has another scheme");
        }
        let url = Url::parse(text).map_err(|_| "is no URL")?;
        if url.host_str().is_none_or(str::is_empty) {
            return Err("has no host");
        }
        if url.port() == Some(0) {
            return Err("has no valid port");
        }
        if url.fragment().is_some() {
            return Err("has a fragment (#)");
        }
        if [url.username(), url.query().unwrap_or_default()].contains(&HIDDEN) {
            return Err(COPIED);
        }
        Ok(ServerUrl(url))
    }

    /// Whether it has a user or a password.
    #[must_use]
    pub fn signs_in(&self) -> bool {
        !self.0.username().is_empty() || self.0.password().is_some()
    }

    /// The whole of it, secrets included: for connecting, never for a message.
    #[must_use]
    pub fn expose(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = &self.0;
        write!(f, "{}://", url.scheme())?;
        if self.signs_in() {
            write!(f, "{HIDDEN}@")?;
        }
        f.write_str(url.host_str().unwrap_or_default())?;
        if let Some(port) = url.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(url.path())?;
        if url.query().is_some() { write!(f, "?{HIDDEN}") } else { Ok(()) }
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for ServerUrl {
    fn eq(&self, other: &ServerUrl) -> bool {
        same(self.0.as_str().as_bytes(), other.0.as_str().as_bytes())
    }
}

impl Eq for ServerUrl {}

/// The URL of a web server, or none.
pub(super) enum WebUrl {}

impl Kind for WebUrl {
    type Value = Option<ServerUrl>;
    const FORM: Form = Form {
        value_name: "URL",
        noun: "a URL",
        advice: "a URL with http:// or https://, such as \"https://app.example.com/watertight/owns\"",
        unit: None,
        words: "\"none\"",
    };
    const IS_CONFIDENTIAL: bool = true;

    fn read(raw: &Raw, bounds: Option<&Bounds>) -> Result<Option<ServerUrl>, Refusal> {
        match raw {
            Raw::Text(text) if text.eq_ignore_ascii_case("none") => Ok(None),
            Raw::Text(text) => ServerUrl::new(text, &["http", "https"])
                .map(Some)
                .map_err(|wrong| Refusal::malformed(wrong, Self::FORM.advice(bounds))),
            _ => Err(Self::FORM.refuse(bounds)),
        }
    }

    fn plain(value: &Option<ServerUrl>) -> Plain {
        Plain::Text(value.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string))
    }
}

/// The URLs of Redis: one of a server, or several of a cluster or of its sentinels.
pub(super) enum RedisUrls {}

impl RedisUrls {
    const SCHEMES: [&'static str; 4] = ["redis", "rediss", "redis+sentinel", "rediss+sentinel"];

    fn one(text: &str) -> Result<ServerUrl, &'static str> {
        let url = ServerUrl::new(text, &Self::SCHEMES)?;
        // Options in a query or a fragment are this or that library's own.
        if url.expose().query().is_some() {
            return Err("has a query (?)");
        }
        Ok(url)
    }
}

impl Kind for RedisUrls {
    type Value = Vec<ServerUrl>;
    const FORM: Form = Form {
        value_name: "URL,...",
        noun: "a list of URLs",
        advice: "redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], several such of a cluster, or \
                 redis+sentinel://[[USER]:PASSWORD@]HOST[:PORT]/MASTER[/DATABASE] of each sentinel; the same with rediss \
                 for TLS; %40 for @ in a password",
        unit: None,
        words: "",
    };
    const IS_CONFIDENTIAL: bool = true;

    fn read(raw: &Raw, bounds: Option<&Bounds>) -> Result<Vec<ServerUrl>, Refusal> {
        let refuse = |wrong: String| Refusal::malformed(wrong, Self::FORM.advice(bounds));
        let texts = items(raw).ok_or_else(|| Self::FORM.refuse(bounds))?;
        if texts.len() > SERVERS_MAX {
            return Err(refuse(format!("{} URLs, of which {SERVERS_MAX} are enough", texts.len())));
        }
        let mut urls: Vec<ServerUrl> = Vec::with_capacity(texts.len());
        for (at, text) in texts.iter().enumerate() {
            // Its number stands for it: the text may hold a password.
            let url =
                Self::one(text).map_err(|wrong| refuse(format!("URL {} of the list {wrong}", at + 1)))?;
            if urls.first().is_some_and(|first| first.expose().scheme() != url.expose().scheme()) {
                return Err(refuse(format!("URL {} of the list has another scheme than the first", at + 1)));
            }
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        Ok(urls)
    }

    fn plain(value: &Vec<ServerUrl>) -> Plain {
        Plain::List(value.iter().map(ToString::to_string).collect())
    }
}
