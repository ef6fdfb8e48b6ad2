//! Questions to an issuer: addresses from the configuration only, no redirects, no proxies, a limit on time and on bytes.
//! The addresses are the operator's own, so private ones are allowed; nothing of a token ever becomes part of one.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use watertight_core::{Budget, Owner, Permit};

use crate::limits::{CONNECT_TIME_MAX, FETCH_TIME_MAX};

/// What is charged to the budget at a time while an answer comes in, bytes.
const CHARGE_STEP: usize = 16 * 1024;

/// How long an unused connection to an issuer stays open.
const IDLE_MAX: Duration = Duration::from_secs(15);

/// The address of a key set or an introspection endpoint: `https`, or `http` on loopback.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

/// Why an address is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// It is no URL.
    #[error("is no URL: https://HOST/PATH would do")]
    NoUrl,
    /// It is not encrypted.
    #[error("must begin with https:// (http:// is for 127.0.0.1, [::1] and localhost alone)")]
    NotEncrypted,
    /// It has a password or a fragment in it.
    #[error("must have neither a user, a password nor a fragment (#) in it")]
    Extras,
}

impl Endpoint {
    /// Checks an address.
    ///
    /// # Errors
    /// When it is none, or could be read on its way.
    pub fn new(text: &str) -> Result<Endpoint, InvalidEndpoint> {
        let url = Url::parse(text).map_err(|_| InvalidEndpoint::NoUrl)?;
        let host = url.host_str().ok_or(InvalidEndpoint::NoUrl)?;
        let is_fine = match url.scheme() {
            "https" => true,
            "http" => is_loopback(host),
            _ => false,
        };
        if !is_fine {
            return Err(InvalidEndpoint::NotEncrypted);
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(InvalidEndpoint::Extras);
        }
        Ok(Endpoint(url))
    }

    /// The address, as text. A query may hold what is not for a log.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it takes certificates to ask it.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The host alone, for logs.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Endpoint").field(&self.host()).finish()
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// No connection, or it broke.
    #[error("it cannot be reached")]
    Unreachable,
    /// It took too long.
    #[error("it did not answer within {} s", FETCH_TIME_MAX.as_secs())]
    TimedOut,
    /// It answered something else than 200.
    #[error("it answered with status {0}")]
    Status(u16),
    /// It sent the hub elsewhere.
    #[error("it answered with a redirect (status {0}), which is not followed")]
    Redirect(u16),
    /// The answer is too long.
    #[error("its answer is longer than {0} bytes")]
    TooLong(usize),
    /// The answer is something else.
    #[error("its answer is not what was asked for")]
    Unreadable,
    /// The budget has no room for the answer.
    #[error("there is no memory for its answer")]
    NoMemory,
}

/// The client for all questions.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client,
    budget: Arc<Budget>,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

impl Http {
    /// A client for these addresses. Without an encrypted one among them it needs no certificates of the machine, which
    /// a small container may not have.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn new<'a>(
        endpoints: impl IntoIterator<Item = &'a Endpoint>,
        budget: Arc<Budget>,
    ) -> Result<Http, String> {
        // Whatever the resolver says.
        let localhost =
            [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()].map(|ip: IpAddr| SocketAddr::new(ip, 0));
        let builder = Client::builder();
        let builder = if endpoints.into_iter().any(Endpoint::is_encrypted) {
            builder
        } else {
            builder.tls_certs_only([])
        };
        let client = builder
            .user_agent(concat!("watertight/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIME_MAX)
            .timeout(FETCH_TIME_MAX)
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(4)
            .resolve_to_addrs("localhost", &localhost)
            .referer(false)
            .build()
            .map_err(|error| {
                let causes = std::iter::successors(error.source(), |cause: &&(dyn Error + 'static)| (*cause).source());
                let causes: String = causes.map(|cause| format!(": {cause}")).collect();
                format!(
                    "cannot set up TLS to the issuer{causes} (the package `ca-certificates` or SSL_CERT_FILE would do)"
                )
            })?;
        Ok(Http { client, budget })
    }

    pub(crate) async fn get(&self, from: &Endpoint, bytes_max: usize) -> Result<Fetched, FetchError> {
        self.send(self.client.get(from.0.clone()), bytes_max).await
    }

    pub(crate) async fn post_form(
        &self,
        to: &Endpoint,
        authorization: HeaderValue,
        form: String,
        bytes_max: usize,
    ) -> Result<Fetched, FetchError> {
        let request = self
            .client
            .post(to.0.clone())
            .header(AUTHORIZATION, authorization)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        self.send(request, bytes_max).await
    }

    async fn send(&self, request: RequestBuilder, bytes_max: usize) -> Result<Fetched, FetchError> {
        let response = request.header(ACCEPT, "application/json").send().await.map_err(failed)?;
        let status = response.status();
        if status.is_redirection() {
            return Err(FetchError::Redirect(status.as_u16()));
        }
        if status != StatusCode::OK {
            return Err(FetchError::Status(status.as_u16()));
        }
        self.body(response, bytes_max).await
    }

    /// The body is charged before it is held, as it grows.
    async fn body(&self, mut response: Response, bytes_max: usize) -> Result<Fetched, FetchError> {
        let mut charged = Vec::new();
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(failed)? {
            if body.len() + piece.len() > bytes_max {
                return Err(FetchError::TooLong(bytes_max));
            }
            while body.len() + piece.len() > charged.len() * CHARGE_STEP {
                let permit = self.budget.try_charge(Owner::Caches, CHARGE_STEP);
                charged.push(permit.map_err(|_| FetchError::NoMemory)?);
            }
            body.extend_from_slice(&piece);
        }
        Ok(Fetched { body, _charged: charged })
    }
}

/// An answer, charged for as long as it is held.
#[derive(Debug)]
pub(crate) struct Fetched {
    body: Vec<u8>,
    _charged: Vec<Permit>,
}

impl Deref for Fetched {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.body
    }
}

/// The library's error has the address in it, so it goes no further.
fn failed(error: reqwest::Error) -> FetchError {
    if error.is_timeout() { FetchError::TimedOut } else { FetchError::Unreachable }
}
