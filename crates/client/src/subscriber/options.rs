//! What a subscriber can be told before it begins.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use watertight_wire::{Limits, Parser};

use super::Subscriber;
use crate::clock::Clock;
use crate::credentials::{Token, TokenRequest};
use crate::error::Error;
use crate::plan::{Plan, Replay, is_ours};
use crate::proxy::Proxies;
use crate::transport::{HyperTransport, Network, Transport};

impl Subscriber {
    fn plan_mut(&mut self) -> &mut Plan {
        Arc::make_mut(&mut self.plan)
    }

    /// Sends `Authorization: Bearer` with each attempt, to the origin of the subscriber's own URL only.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if the token cannot stand in a header.
    pub fn with_token(mut self, token: &str) -> Result<Self, Error> {
        self.plan_mut().token = Token::fixed(token)?;
        Ok(self)
    }

    /// Asks `source` for the token before each attempt, and once more if that token is answered with 401.
    /// A source that fails is asked again after a while, like a hub that cannot be reached; one that takes
    /// longer than 30 s has failed. The future it gives is dropped with the attempt.
    #[must_use]
    pub fn with_token_source<F, E>(
        mut self,
        source: impl Fn(TokenRequest) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.plan_mut().token = Token::asked(source);
        self
    }

    /// Sends this header with each attempt, to the origin of the subscriber's own URL only.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if it is no header, or one that only the client itself can know (`Host`,
    /// `Accept`, `Last-Event-ID`, lengths and encodings).
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, Error> {
        let invalid = |reason| Error::InvalidOption { what: "a header", reason };
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| invalid("its name has characters that no header may have"))?;
        let value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| invalid("it has characters that no header may carry"))?;
        if is_ours(&name) {
            return Err(invalid("the client sets it itself"));
        }
        self.plan_mut().headers.insert(name, value);
        Ok(self)
    }

    /// Asks `source` for headers before each attempt; they go where those of [`Subscriber::with_header`] go
    /// and replace them. Headers that only the client itself can know are left out.
    #[must_use]
    pub fn with_headers_source(mut self, source: impl Fn() -> HeaderMap + Send + Sync + 'static) -> Self {
        self.plan_mut().headers_source = Some(Arc::new(source));
        self
    }

    /// Asks with another method than GET and sends a body, both again with each attempt. Long-poll is then
    /// off: [`Subscriber::with_polling`] switches it on again. Where a redirect keeps the method (307, 308), the
    /// body goes along, to another origin, too: it should carry no secret.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if it is no method.
    pub fn with_request(mut self, method: &str, body: impl Into<Bytes>) -> Result<Self, Error> {
        let reason = "it has characters that no method may have";
        let plan = self.plan_mut();
        plan.method = Method::from_bytes(method.as_bytes())
            .map_err(|_| Error::InvalidOption { what: "the method", reason })?;
        plan.body = body.into();
        self.fallback.set_enabled(false);
        Ok(self)
    }

    /// Asks for history before the live events. Has no effect beside [`Subscriber::with_last_event_id`].
    #[must_use]
    pub fn with_replay(mut self, replay: Replay) -> Self {
        self.plan_mut().replay = Some(replay);
        self
    }

    /// Resumes after the event with this id.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if the id cannot stand in a header.
    pub fn with_last_event_id(mut self, id: &str) -> Result<Self, Error> {
        self.set_last_event_id(id)?;
        Ok(self)
    }

    /// The largest event taken, in bytes (default 1 MiB). A larger one is [`Error::EventTooLarge`].
    #[must_use]
    pub fn with_max_event_bytes(mut self, limit: usize) -> Self {
        self.plan_mut().max_event_bytes = limit;
        let id = self.parser.last_event_id().to_owned();
        self.parser = Parser::new(Limits { max_event_bytes: limit });
        self.parser.set_last_event_id(&id);
        self
    }

    /// The first byte of a stream must come within this time (default 30 s), redirects and head included. The time
    /// for a token is not in it, and the time begins anew with the refresh after a 401.
    #[must_use]
    pub fn with_connect_timeout(mut self, limit: Duration) -> Self {
        self.plan_mut().first_byte_timeout = limit;
        self
    }

    /// Takes a stream for dead after this much silence, instead of three heartbeats (at least 15 s).
    #[must_use]
    pub fn with_read_timeout(mut self, limit: Duration) -> Self {
        self.plan_mut().read_timeout = Some(limit);
        self
    }

    /// The base of the back-off until the hub says another with `retry:` (default 1 s, at least 100 ms).
    #[must_use]
    pub fn with_retry_base(mut self, base: Duration) -> Self {
        self.backoff.set_base(base);
        self
    }

    /// No back-off is longer than this (default 60 s, at least 100 ms), whatever `retry:` says. What
    /// `Retry-After` says is waited out, up to 5 min.
    #[must_use]
    pub fn with_retry_max(mut self, ceiling: Duration) -> Self {
        self.backoff.set_ceiling(ceiling);
        self
    }

    /// Ends with [`Error::GaveUp`] when so many retries in a row came to nothing. An event makes the count
    /// begin anew, and so does a connection that held for 30 s; that one was made does not. Zero: the first
    /// connection is the last. Without it, retries go on for ever.
    #[must_use]
    pub fn with_max_retries(mut self, retries: u32) -> Self {
        self.max_retries = Some(retries);
        self
    }

    /// Whether to fall back to long-poll where no stream comes through. On for [`Subscriber::new`], off for
    /// [`Subscriber::from_url`].
    #[must_use]
    pub fn with_polling(mut self, enabled: bool) -> Self {
        self.fallback.set_enabled(enabled);
        self
    }

    /// How many attempts in a row without a byte of a stream make it fall back (default 3, at least 1).
    #[must_use]
    pub fn with_polling_after(mut self, failures: u32) -> Self {
        self.fallback.set_after(failures);
        self
    }

    /// Whether a hub is at the other end: then `gap` and `error` are its own words, and long-poll is tried.
    /// So it is for [`Subscriber::new`]; not for [`Subscriber::from_url`].
    #[must_use]
    pub fn with_hub(mut self, hub: bool) -> Self {
        self.reading.hub = hub;
        self.fallback.set_enabled(hub);
        self
    }

    /// Tells of comments, too.
    #[must_use]
    pub fn with_comments(mut self) -> Self {
        self.reading.comments = true;
        self
    }

    /// Sends requests another way than over TCP.
    #[must_use]
    pub fn with_transport(mut self, transport: impl Transport) -> Self {
        self.plan_mut().transport = Arc::new(transport);
        self
    }

    /// Whom to trust, and how to prove who asks, for `https`. The default trusts whom the machine trusts. Takes the
    /// place of a transport of one's own.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_tls_config(self, config: &rustls::ClientConfig) -> Self {
        let tls = crate::transport::tls::Tls::new(config);
        self.with_network(|network| network.tls = tls)
    }

    /// Goes through this proxy, whatever the environment says: `http://user:password@proxy:3128`, or `https://` to
    /// speak TLS with it. It reads the requests to an `http` URL; one to an `https` URL it only passes on. Takes the place
    /// of a transport of one's own.
    ///
    /// Without it, the proxies are those that `http_proxy`, `https_proxy` and `all_proxy` named when the subscriber was
    /// made, but for whom `no_proxy` names. Each redirect chooses anew.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`], which shows no password.
    pub fn with_proxy(self, url: &str) -> Result<Self, Error> {
        let proxies = Proxies::only(url)?;
        Ok(self.with_network(|network| network.proxies = proxies))
    }

    /// Goes through no proxy, whatever the environment says. Takes the place of a transport of one's own.
    #[must_use]
    pub fn without_proxy(self) -> Self {
        self.with_network(|network| network.proxies = Proxies::none())
    }

    fn with_network(mut self, change: impl FnOnce(&mut Network)) -> Self {
        let plan = self.plan_mut();
        change(&mut plan.network);
        plan.transport = Arc::new(HyperTransport::new(plan.network.clone()));
        self
    }

    /// Waits by another clock than tokio's: for the next attempt, for heads, bytes and answers. Making a TCP
    /// connection has a limit by tokio's clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.plan_mut().clock = Arc::new(clock);
        self
    }

    /// Draws the jitter of the back-off from `random`, which gives numbers from 0 to 1.
    #[must_use]
    pub fn with_random(mut self, random: impl FnMut() -> f64 + Send + 'static) -> Self {
        self.backoff.set_random(Box::new(random));
        self
    }
}
