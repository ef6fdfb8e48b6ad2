//! What every attempt of a subscriber asks for, and the requests made of it. Knows no socket and no retries.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST,
    TRANSFER_ENCODING, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

use crate::clock::Clock;
use crate::credentials::Token;
use crate::cursor::Cursor;
use crate::endpoint::with_query;
use crate::error::Error;
use crate::limits::POLL_EVENTS_MAX;
use crate::transport::{Network, Transport};
use crate::url::Url;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How much history a new subscriber asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Replay {
    /// All that the hub still has.
    All,
    /// At most this many events.
    Last(u64),
}

/// Settled when the first attempt begins; shared by all attempts.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) url: Url,
    pub(crate) method: Method,
    /// Sent again with each attempt.
    pub(crate) body: Bytes,
    pub(crate) headers: HeaderMap,
    /// Asked before each attempt; what it gives replaces `headers` of the same name.
    pub(crate) headers_source: Option<Arc<dyn Fn() -> HeaderMap + Send + Sync>>,
    pub(crate) token: Token,
    pub(crate) replay: Option<Replay>,
    pub(crate) transport: Arc<dyn Transport>,
    /// What the transport is made of, if it is ours.
    pub(crate) network: Network,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) first_byte_timeout: Duration,
    /// Replaces what the head's `Heartbeat-Interval` would give.
    pub(crate) read_timeout: Option<Duration>,
    /// The largest event taken.
    pub(crate) max_event_bytes: usize,
}

/// How the answer is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Stream,
    /// One answer, after this long at the latest.
    Poll {
        wait: Duration,
    },
}

/// One request to be, as often as redirects and a refreshed token make it necessary.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) url: Url,
    pub(crate) method: Method,
    pub(crate) body: Bytes,
    /// What the application adds, to its own origin only.
    headers: HeaderMap,
    /// What this client says itself, wherever the request goes.
    ours: HeaderMap,
}

impl Plan {
    /// What to ask for from the cursor's position on.
    pub(crate) fn ask(&self, cursor: &Cursor, manner: Manner) -> Ask {
        let mut ours = HeaderMap::new();
        let mut query = Vec::new();
        match manner {
            Manner::Stream => {
                ours.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
                if let Some(id) = cursor.header() {
                    ours.insert(LAST_EVENT_ID, id);
                }
            }
            Manner::Poll { wait } => {
                ours.insert(ACCEPT, HeaderValue::from_static("application/json"));
                // A position that the application's URL names must not outrank ours: the header outranks both.
                if let Some(id) = cursor.header() {
                    ours.insert(LAST_EVENT_ID, id);
                }
                let after = Some(cursor.resume()).filter(|id| !id.is_empty());
                query.push(("after", after.map(str::to_owned)));
                query.push(("wait", Some(wait.as_secs().to_string())));
                query.push(("limit", Some(POLL_EVENTS_MAX.to_string())));
            }
        }
        ours.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        let replay = self.replay.filter(|_| cursor.resume().is_empty());
        query.push((
            "replay",
            replay.map(|replay| match replay {
                Replay::All => "all".to_owned(),
                Replay::Last(count) => count.to_string(),
            }),
        ));
        let mut headers = self.headers.clone();
        if let Some(source) = &self.headers_source {
            let given = source();
            for name in given.keys() {
                headers.remove(name);
            }
            for (name, value) in given.iter().filter(|(name, _)| !is_ours(name)) {
                headers.append(name, value.clone());
            }
        }
        let url = self.url.with_path(with_query(self.url.path().to_owned(), &query));
        Ask { url, method: self.method.clone(), body: self.body.clone(), headers, ours }
    }
}

/// Whether only this client can know what the header has to be.
pub(crate) fn is_ours(name: &HeaderName) -> bool {
    [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, ACCEPT, LAST_EVENT_ID].contains(name)
}

/// Whether a header of the application may go to an origin that it did not name: only what describes the
/// body or the program. Whether any other is a secret, nobody can know.
fn is_harmless(name: &HeaderName) -> bool {
    [CONTENT_TYPE, USER_AGENT, ACCEPT_LANGUAGE].contains(name)
}

impl Ask {
    /// The request. Credentials and what the application added go to the origin that it named, and nowhere
    /// else, whatever redirects say.
    pub(crate) fn request(&self, home: &Url, token: Option<&HeaderValue>) -> Result<Request<Bytes>, Error> {
        let is_home = self.url.same_origin(home);
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = Uri::try_from(self.url.text()).map_err(|_| Error::InvalidOption {
            what: "the session name",
            reason: "it makes no valid request path",
        })?;
        *request.headers_mut() = self.ours.clone();
        let headers = request.headers_mut();
        for name in self.headers.keys().filter(|name| is_home || is_harmless(name)) {
            headers.remove(name);
            for value in self.headers.get_all(name) {
                headers.append(name, value.clone());
            }
        }
        if let Some(token) = token
            && is_home
        {
            headers.insert(AUTHORIZATION, token.clone());
        }
        Ok(request)
    }

    /// Turns it into what a redirect asks for: as browsers do it, a POST becomes a GET with 301 and 302, and
    /// anything with 303 (Fetch standard, "HTTP-redirect fetch").
    pub(crate) fn redirect(&mut self, status: u16, to: Url) {
        let becomes_get = matches!((status, &self.method), (301 | 302, &Method::POST))
            || (status == 303 && self.method != Method::GET && self.method != Method::HEAD);
        if becomes_get {
            self.method = Method::GET;
            self.body = Bytes::new();
            self.headers.remove(CONTENT_TYPE);
        }
        self.url = to;
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Header values, bodies and parameters may be secret.
        let url = self.url.text();
        f.debug_struct("Plan")
            .field("url", &url.split('?').next().unwrap_or_default())
            .field("method", &self.method)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}
