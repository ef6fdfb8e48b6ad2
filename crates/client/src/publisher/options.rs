//! What a publisher can be told before it begins.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Publisher, Shared};
use crate::credentials::{Token, TokenRequest};
use crate::error::Error;
use crate::limits::{GIVE_UP_AFTER, IN_FLIGHT_MAX, REQUEST_TIMEOUT};
use crate::proxy::Proxies;
use crate::transport::Network;

/// Told of each failed attempt, and of the time until the next.
type OnRetry = Box<dyn FnMut(&Error, Duration) + Send>;

#[derive(Clone)]
pub(super) struct Options {
    pub(super) network: Network,
    pub(super) token: Token,
    pub(super) request_timeout: Duration,
    pub(super) give_up_after: Duration,
    pub(super) in_flight_max: usize,
    on_retry: Option<Arc<Mutex<OnRetry>>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            network: Network::default(),
            token: Token::None,
            request_timeout: REQUEST_TIMEOUT,
            give_up_after: GIVE_UP_AFTER,
            in_flight_max: IN_FLIGHT_MAX,
            on_retry: None,
        }
    }
}

impl Options {
    /// Tells of a failed attempt. One after the other, however many requests fail at once.
    pub(super) fn tell(&self, failure: &Error, delay: Duration) {
        if let Some(observer) = &self.on_retry {
            // An observer that panicked once may be told more: nothing here depends on it.
            observer.lock().unwrap_or_else(PoisonError::into_inner)(failure, delay);
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("proxies", &self.network.proxies)
            .field("token", &self.token)
            .field("in_flight_max", &self.in_flight_max)
            .finish_non_exhaustive()
    }
}

impl Publisher {
    /// A publisher that is told something is one of its own: it shares no connection and no order with the clones that were
    /// made of it before, which may trust others.
    fn options_mut(&mut self) -> &mut Options {
        Arc::make_mut(&mut self.options)
    }

    fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(self.options_mut());
        self.shared = Arc::new(Shared::new(self.options.in_flight_max));
        self
    }

    /// Sends `Authorization: Bearer` with each request.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if the token cannot stand in a header.
    pub fn with_token(self, token: &str) -> Result<Self, Error> {
        let token = Token::fixed(token)?;
        Ok(self.with(|options| options.token = token))
    }

    /// Asks `source` for the token before each attempt, and once more if that token is answered with 401. A
    /// source that fails, or takes longer than 30 s, is a failed attempt.
    #[must_use]
    pub fn with_token_source<F, E>(self, source: impl Fn(TokenRequest) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.with(|options| options.token = Token::asked(source))
    }

    /// Whom to trust, and how to prove who publishes, for `https`. The default trusts whom the machine trusts.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_tls_config(self, config: &rustls::ClientConfig) -> Self {
        self.with(|options| options.network.tls = crate::transport::tls::Tls::new(config))
    }

    /// Goes through this proxy, whatever the environment says: as
    /// [`Subscriber::with_proxy`](crate::Subscriber::with_proxy).
    ///
    /// # Errors
    /// [`Error::InvalidUrl`], which shows no password.
    pub fn with_proxy(self, url: &str) -> Result<Self, Error> {
        let proxies = Proxies::only(url)?;
        Ok(self.with(|options| options.network.proxies = proxies))
    }

    /// Goes through no proxy, whatever the environment says.
    #[must_use]
    pub fn without_proxy(self) -> Self {
        self.with(|options| options.network.proxies = Proxies::none())
    }

    /// How long one publish may go on retrying (default 120 s), the time for which it waits for its turn not counted.
    /// [`Duration::MAX`] is for ever.
    #[must_use]
    pub fn with_give_up_after(self, limit: Duration) -> Self {
        self.with(|options| options.give_up_after = limit)
    }

    /// Calls `observer` before each wait for another attempt, with the reason and the length of the wait.
    #[must_use]
    pub fn with_retry_observer(self, observer: impl FnMut(&Error, Duration) + Send + 'static) -> Self {
        self.with(|options| options.on_retry = Some(Arc::new(Mutex::new(Box::new(observer)))))
    }

    /// How long the head of an answer may take, and then its body (default 60 s each).
    #[must_use]
    pub fn with_request_timeout(self, limit: Duration) -> Self {
        self.with(|options| options.request_timeout = limit)
    }

    /// How many requests may be under way at once, and so how many connections there are (default 8, at least 1). Only
    /// requests to different sessions overlap; what is over it waits for its turn.
    #[must_use]
    pub fn with_in_flight_max(self, requests: usize) -> Self {
        self.with(|options| options.in_flight_max = requests.clamp(1, tokio::sync::Semaphore::MAX_PERMITS))
    }
}
