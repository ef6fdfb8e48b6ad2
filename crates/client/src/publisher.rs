//! Publishing: one request after the other over one kept connection, retried until the hub has said yes or no.
//!
//! Every request carries an `Idempotency-Key`, the same on each retry, so an answer that was lost does not
//! double an event. Must not know how events are delivered.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use crate::backoff::Backoff;
use crate::credentials::{Token, TokenRequest};
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::event::NewEvent;
use crate::feed::{Feed, LogLines};
use crate::limits::{
    ANSWER_BODY_BYTES, GIVE_UP_AFTER, PUBLISH_RETRY_BASE, PUBLISH_RETRY_MAX, REQUEST_TIMEOUT, TOKEN_TIMEOUT,
};
use crate::transport::tls::Tls;
use crate::transport::{Link, within};

/// Told of each failed attempt, and of the time until the next.
type OnRetry = Box<dyn FnMut(&Error, Duration) + Send>;

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const TEXT: &str = "text/plain; charset=utf-8";

/// Publishes to the sessions of one hub, in order: a request is not sent before the one before it was answered.
///
/// Holds at most one connection, opened at the first publish and again whenever it is lost; dropping the
/// publisher closes it. Dropping a future of a publish leaves open whether the hub took the events.
pub struct Publisher {
    endpoint: Endpoint,
    /// Kept between requests; `None` before the first and after a failure.
    link: Option<Link>,
    tls: Tls,
    token: Token,
    keys: Keys,
    request_timeout: Duration,
    give_up_after: Duration,
    on_retry: Option<OnRetry>,
}

impl Publisher {
    /// A publisher for the hub at `url` (`http://127.0.0.1:8080`). Connects at the first publish.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`].
    pub fn new(url: &str) -> Result<Self, Error> {
        Ok(Self {
            endpoint: Endpoint::parse(url)?,
            link: None,
            tls: Tls::default(),
            token: Token::None,
            keys: Keys::new(),
            request_timeout: REQUEST_TIMEOUT,
            give_up_after: GIVE_UP_AFTER,
            on_retry: None,
        })
    }

    /// Sends `Authorization: Bearer` with each request.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if the token cannot stand in a header.
    pub fn with_token(mut self, token: &str) -> Result<Self, Error> {
        self.token = Token::fixed(token)?;
        Ok(self)
    }

    /// Asks `source` for the token before each attempt, and once more if that token is answered with 401. A
    /// source that fails, or takes longer than 30 s, is a failed attempt.
    #[must_use]
    pub fn with_token_source<F, E>(
        mut self,
        source: impl Fn(TokenRequest) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.token = Token::asked(source);
        self
    }

    /// Whom to trust, and how to prove who publishes, for `https`. The default trusts whom the machine trusts.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_tls_config(mut self, config: &rustls::ClientConfig) -> Self {
        self.tls = Tls::new(config);
        self
    }

    /// How long one publish may go on retrying (default 120 s). [`Duration::MAX`] is for ever.
    #[must_use]
    pub fn with_give_up_after(mut self, limit: Duration) -> Self {
        self.give_up_after = limit;
        self
    }

    /// Calls `observer` before each wait for another attempt, with the reason and the length of the wait.
    #[must_use]
    pub fn with_retry_observer(mut self, observer: impl FnMut(&Error, Duration) + Send + 'static) -> Self {
        self.on_retry = Some(Box::new(observer));
        self
    }

    /// How long the head of an answer may take, and then its body (default 60 s each).
    #[must_use]
    pub fn with_request_timeout(mut self, limit: Duration) -> Self {
        self.request_timeout = limit;
        self
    }

    /// Publishes one event and returns its id once it is in the session's log.
    ///
    /// # Errors
    /// [`Error::Refused`] with the hub's code, or [`Error::GaveUp`].
    pub async fn publish(&mut self, session: &str, event: &NewEvent) -> Result<String, Error> {
        let body = serde_json::to_vec(event).map_err(Error::Json)?;
        self.send_one(self.endpoint.events_path(session, &[])?, JSON, body.into()).await
    }

    /// Publishes several events as one request: all of them, next to each other, or none.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub async fn publish_batch(&mut self, session: &str, events: &[NewEvent]) -> Result<Vec<String>, Error> {
        let body = serde_json::to_vec(events).map_err(Error::Json)?;
        self.send(self.endpoint.events_path(session, &[])?, JSON, body.into()).await
    }

    /// Publishes events that are JSON texts already, one per line.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub async fn publish_ndjson(&mut self, session: &str, lines: Bytes) -> Result<Vec<String>, Error> {
        self.send(self.endpoint.events_path(session, &[])?, NDJSON, lines).await
    }

    /// Publishes one event whose data is `text` as it stands, of the given type (`message` if none) and time to
    /// live.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub async fn publish_text(
        &mut self,
        session: &str,
        event_type: Option<&str>,
        ttl: Option<Duration>,
        text: Bytes,
    ) -> Result<String, Error> {
        let ttl = ttl.map(|ttl| ttl.as_secs_f64().to_string());
        let query = [("type", event_type.map(str::to_owned)), ("ttl", ttl)];
        self.send_one(self.endpoint.events_path(session, &query)?, TEXT, text).await
    }

    /// Makes ready what goes to a deployment's log as one request: all of its lines, next to each other, or none.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for an id that no path can carry.
    pub fn feed(&mut self, deployment: &str, lines: &LogLines) -> Result<Feed, Error> {
        let path = self.endpoint.logs_path(deployment, &lines.query())?;
        Ok(Feed { path, lines: lines.ndjson.clone(), key: self.keys.next_key() })
    }

    /// Sends it until the hub has taken or refused it, and returns the ids of the lines and of the end, if it is one.
    /// However often the same [`Feed`] is sent, also after an error or a dropped future, the hub takes it once.
    ///
    /// # Errors
    /// As [`Publisher::publish`]; `EPOCH_CHANGED` if it was meant for another life of the log.
    pub async fn send_feed(&mut self, feed: &Feed) -> Result<Vec<String>, Error> {
        self.send_keyed(&feed.path, NDJSON, &feed.key, feed.lines.clone()).await
    }

    async fn send_one(
        &mut self,
        path: String,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<String, Error> {
        let mut ids = self.send(path, content_type, body).await?;
        match (ids.pop(), ids.is_empty()) {
            (Some(id), true) => Ok(id),
            _ => Err(Error::UnexpectedAnswer("not one id for one event".to_owned())),
        }
    }

    async fn send(
        &mut self,
        path: String,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<Vec<String>, Error> {
        let key = self.keys.next_key();
        self.send_keyed(&path, content_type, &key, body).await
    }

    /// Sends until the hub has taken it or refused it.
    async fn send_keyed(
        &mut self,
        path: &str,
        content_type: &'static str,
        key: &HeaderValue,
        body: Bytes,
    ) -> Result<Vec<String>, Error> {
        let started = Instant::now();
        let mut backoff = Backoff::new(PUBLISH_RETRY_BASE, PUBLISH_RETRY_MAX);
        let (mut refresh, mut refreshed) = (false, false);
        loop {
            let kept = self.link.is_some();
            let attempt = async {
                let asking = self.token.get(std::mem::take(&mut refresh));
                let asking = within(TOKEN_TIMEOUT, "a token", asking);
                let token = asking.await??;
                let request = self.request(path, content_type, key, token, body.clone())?;
                self.attempt(request).await
            };
            let failure = match attempt.await {
                Ok(ids) => return Ok(ids),
                // One new token, and then that is that.
                Err(error) if error.is_unauthorized() && !refreshed && self.token.can_refresh() => {
                    (refresh, refreshed) = (true, true);
                    continue;
                }
                Err(error) if !error.is_retryable() => return Err(error),
                // The hub may close an idle connection at any time: no failure of the hub's.
                Err(error) if kept && error.is_connection_lost() => continue,
                Err(error) => error,
            };
            let delay = backoff.next_delay(failure.retry_after());
            let elapsed = started.elapsed();
            if elapsed.saturating_add(delay) > self.give_up_after {
                let last = Box::new(failure);
                return Err(Error::GaveUp { attempts: backoff.failures(), elapsed, last });
            }
            if let Some(observer) = &mut self.on_retry {
                observer(&failure, delay);
            }
            sleep(delay).await;
        }
    }

    fn request(
        &self,
        path: &str,
        content_type: &'static str,
        key: &HeaderValue,
        token: Option<HeaderValue>,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, Error> {
        let mut request = Request::post(path)
            .header(HOST, self.endpoint.base().authority())
            .header(CONTENT_TYPE, content_type)
            .header(ACCEPT, "application/json, application/problem+json")
            .header("idempotency-key", key);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, token);
        }
        let unsendable =
            |_| Error::InvalidOption { what: "the session name", reason: "it makes no valid request path" };
        request.body(Full::new(body)).map_err(unsendable)
    }

    /// One attempt. The connection is kept only if the whole answer was read: it is taken out while a request
    /// is under way, so a dropped future closes it.
    async fn attempt(&mut self, request: Request<Full<Bytes>>) -> Result<Vec<String>, Error> {
        let kept = self.link.take().filter(Link::is_reusable);
        let mut link = match kept {
            Some(link) => link,
            None => Link::open(self.endpoint.base(), &self.tls).await?,
        };
        let limit = self.request_timeout;
        let answer = within(limit, "the answer to a publish", link.send(request)).await??;
        if !answer.status().is_success() {
            return Err(link.refusal(answer).await);
        }
        let status = answer.status();
        let reading = link.read_all(answer.into_body(), ANSWER_BODY_BYTES);
        let body = within(limit, "the body of an answer", reading).await??;
        self.link = Some(link);
        read_ids(status, &body)
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Published {
    One { id: String },
    Many { ids: Vec<String> },
}

fn read_ids(status: StatusCode, body: &[u8]) -> Result<Vec<String>, Error> {
    match serde_json::from_slice(body) {
        Ok(Published::One { id }) => Ok(vec![id]),
        Ok(Published::Many { ids }) => Ok(ids),
        Err(_) => Err(Error::UnexpectedAnswer(format!("status {status} without the ids of the events"))),
    }
}

/// Idempotency keys: 128 random bits for the publisher, and a count. No two requests share one.
struct Keys {
    prefix: u128,
    count: u64,
}

/// From the operating system: machines that were copied while they ran must not share keys.
fn random_bits() -> u128 {
    let mut bytes = [0; 16];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u128::from_ne_bytes(bytes),
        // Without a source of randomness, as good as it gets.
        Err(_) => fastrand::u128(..),
    }
}

impl Keys {
    fn new() -> Self {
        Self { prefix: random_bits(), count: 0 }
    }

    fn next_key(&mut self) -> HeaderValue {
        self.count += 1;
        // Hexadecimal digits and a dash always make a header value.
        HeaderValue::from_str(&format!("{:032x}-{}", self.prefix, self.count))
            .unwrap_or_else(|_| HeaderValue::from(self.count))
    }
}
