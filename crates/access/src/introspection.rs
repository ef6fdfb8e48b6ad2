//! Opaque tokens, verified by asking their issuer (RFC 7662). One question per token at a time, whoever waits for it; an
//! answer is used again for a moment. What is remembered is bounded and charged, and a token is known by its digest.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::HeaderValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;
use watertight_core::{Budget, Owner, Permit};
use zeroize::Zeroizing;

use crate::claims::Claims;
use crate::fetch::{Endpoint, FetchError, Http};
use crate::limits::{
    COME_BACK, INTROSPECTION_BYTES_MAX, INTROSPECTION_OVERHEAD_BYTES, INTROSPECTIONS_KEPT_MAX,
    INTROSPECTIONS_MAX,
};
use crate::refused::{Outage, Refused, Why};
use crate::time::Clock;

/// Kept as they are in a form (WHATWG URL, "application/x-www-form-urlencoded percent-encode set").
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_');

/// How tokens are asked about.
#[derive(Clone)]
pub struct IntrospectionSettings {
    /// Where (`introspection_url`).
    pub url: Endpoint,
    /// The hub's name at the issuer (`introspection_client`).
    pub client: String,
    /// Its password there (`introspection_secret`).
    pub secret: Zeroizing<String>,
    /// How long an answer is used again for new streams; zero: never.
    pub cache: Duration,
}

impl fmt::Debug for IntrospectionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, cache, .. } = self;
        f.debug_struct("IntrospectionSettings")
            .field("url", url)
            .field("cache", cache)
            .finish_non_exhaustive()
    }
}

/// A token's digest: what it is known by here.
type Digest = [u8; 32];

/// What the issuer said: claims of an active token, or why it counts as none.
type Said = Result<Arc<Claims>, Why>;

/// A question under way; it ends with the last who waits for it.
type Flight = Shared<BoxFuture<'static, Result<Said, FetchError>>>;
type WeakFlight = WeakShared<BoxFuture<'static, Result<Said, FetchError>>>;

struct Kept {
    said: Said,
    until: Duration,
    _charged: Permit,
}

/// The issuer's endpoint, and what it said lately.
pub(crate) struct Introspection {
    settings: IntrospectionSettings,
    authorization: HeaderValue,
    http: Http,
    clock: Clock,
    budget: Arc<Budget>,
    /// For newcomers, and for those who ask about open streams again.
    permits: Arc<Semaphore>,
    again: Arc<Semaphore>,
    flights: Mutex<HashMap<Digest, WeakFlight>>,
    is_failing: AtomicBool,
    kept: Mutex<HashMap<Digest, Kept>>,
}

impl fmt::Debug for Introspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspection").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Introspection {
    pub(crate) fn new(
        settings: IntrospectionSettings,
        http: Http,
        clock: Clock,
        budget: Arc<Budget>,
    ) -> Result<Introspection, String> {
        let authorization = basic(&settings.client, &settings.secret)?;
        Ok(Introspection {
            settings,
            authorization,
            http,
            clock,
            budget,
            permits: Arc::new(Semaphore::new(INTROSPECTIONS_MAX)),
            again: Arc::new(Semaphore::new(INTROSPECTIONS_MAX)),
            flights: Mutex::default(),
            is_failing: AtomicBool::new(false),
            kept: Mutex::default(),
        })
    }

    /// Asks about a token; with `fresh`, even if the answer is known. Dropping this future lets go of the question,
    /// unless somebody else waits for it.
    pub(crate) async fn ask(&self, token: &str, fresh: bool) -> Result<Arc<Claims>, Refused> {
        let digest = digest_of(token);
        if !fresh && let Some(said) = self.kept(&digest) {
            return said.map_err(Refused::Invalid);
        }
        // Those who ask anew hold open streams: newcomers, who need no token that is good, cannot take their turn.
        let permit = if fresh {
            Arc::clone(&self.again).acquire_owned().await.ok()
        } else {
            Arc::clone(&self.permits).try_acquire_owned().ok()
        };
        let flight = self.flight(token, digest, permit)?;
        let answer = flight.clone().await;
        self.leave(&digest, &flight);
        match answer {
            Ok(said) => {
                self.is_failing.store(false, Ordering::Relaxed);
                self.keep(digest, &said);
                said.map_err(Refused::Invalid)
            }
            Err(error) => {
                // Said once until it answers again: whoever sends texts that are no tokens must not fill the log.
                if !self.is_failing.swap(true, Ordering::Relaxed) {
                    warn!(host = self.settings.url.host(), "cannot introspect tokens: {error}");
                }
                Err(Refused::Unavailable { why: Outage::Introspection, retry_after: COME_BACK })
            }
        }
    }

    /// The question about a token that is under way, or a new one if there may be one more.
    fn flight(
        &self,
        token: &str,
        digest: Digest,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<Flight, Refused> {
        let mut flights = self.flights.lock();
        if let Some(flight) = flights.get(&digest).and_then(WeakShared::upgrade) {
            return Ok(flight);
        }
        let busy = Refused::Unavailable { why: Outage::Busy, retry_after: COME_BACK };
        let permit = permit.ok_or(busy)?;
        let (http, url, authorization) =
            (self.http.clone(), self.settings.url.clone(), self.authorization.clone());
        let form = Zeroizing::new(form(token));
        let flight = async move {
            let answer = http.post_form(&url, authorization, form.to_string(), INTROSPECTION_BYTES_MAX).await;
            drop(permit);
            read(&answer?)
        }
        .boxed()
        .shared();
        // As many as there are permits, and those that were left a moment ago.
        flights.retain(|_, flight| flight.upgrade().is_some());
        if let Some(weak) = flight.downgrade() {
            flights.insert(digest, weak);
        }
        Ok(flight)
    }

    fn leave(&self, digest: &Digest, flight: &Flight) {
        let mut flights = self.flights.lock();
        let is_this =
            flights.get(digest).and_then(WeakShared::upgrade).is_none_or(|other| other.ptr_eq(flight));
        if is_this {
            flights.remove(digest);
        }
    }

    fn kept(&self, digest: &Digest) -> Option<Said> {
        let now = self.clock.elapsed();
        self.kept.lock().get(digest).filter(|kept| kept.until > now).map(|kept| kept.said.clone())
    }

    /// Keeps an answer for a moment if there is room; it is only spared a question.
    fn keep(&self, digest: Digest, said: &Said) {
        let now = self.clock.elapsed();
        let until = now.saturating_add(self.settings.cache);
        if until <= now {
            return;
        }
        let mut kept = self.kept.lock();
        kept.remove(&digest);
        if kept.len() >= INTROSPECTIONS_KEPT_MAX {
            kept.retain(|_, kept| kept.until > now);
        }
        if kept.len() >= INTROSPECTIONS_KEPT_MAX {
            return;
        }
        let bytes = INTROSPECTION_OVERHEAD_BYTES + said.as_ref().map_or(0, |claims| claims.heap_bytes());
        if let Ok(charged) = self.budget.try_charge(Owner::Caches, bytes) {
            kept.insert(digest, Kept { said: said.clone(), until, _charged: charged });
        }
    }

    /// Lets go of answers that are over, so that what they hold comes back without another token.
    pub(crate) fn forget_old(&self) {
        let now = self.clock.elapsed();
        self.kept.lock().retain(|_, kept| kept.until > now);
    }

    /// How often [`Introspection::forget_old`] is worth it.
    pub(crate) fn cache(&self) -> Duration {
        self.settings.cache
    }
}

fn digest_of(token: &str) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    bytes
}

fn form(token: &str) -> String {
    format!("token={}&token_type_hint=access_token", utf8_percent_encode(token, FORM))
}

/// Name and password, each encoded as in a form (RFC 6749, section 2.3.1).
fn basic(client: &str, secret: &str) -> Result<HeaderValue, String> {
    let pair = Zeroizing::new(format!(
        "{}:{}",
        utf8_percent_encode(client, FORM),
        utf8_percent_encode(secret, FORM)
    ));
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair.as_bytes())))
        .map_err(|_| "`introspection_client` or `introspection_secret` cannot be sent".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// Reads an answer. An issuer that gives no usable claims has not said that the token is good.
fn read(body: &[u8]) -> Result<Said, FetchError> {
    let (claims, wrong) = Claims::read(body).map_err(|_| FetchError::Unreadable)?;
    // An end is not required here (RFC 7662, section 2.2): the issuer is asked again.
    let mut wrong = wrong.into_iter().filter(|why| *why != Why::Missing("exp"));
    match claims.active {
        None => Err(FetchError::Unreadable),
        // Whatever else stands in the answer.
        Some(false) => Ok(Err(Why::Inactive)),
        Some(true) => Ok(wrong.next().map_or_else(|| Ok(Arc::new(claims)), Err)),
    }
}
