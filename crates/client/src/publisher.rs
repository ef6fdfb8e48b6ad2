//! Publishing: requests over kept connections, each retried until the hub has said yes or no.
//!
//! Every request carries an `Idempotency-Key`, the same on each retry, so an answer that was lost does not
//! double an event. Must not know how events are delivered.
//!
//! Requests to one session go one after the other, also from many tasks: a second one that is sent before the first is
//! answered could be taken before it, if the first is lost on the way and has to be sent again. Nothing that a client can
//! do mends that order afterwards, and a key only keeps doubles away. So what overlaps is different sessions, between which
//! there is no order, and what makes one session fast is batches: [`Publisher::publish_all`] gathers the next one while
//! one is under way.

mod all;
mod exchange;
mod keys;
mod options;
mod turns;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::event::NewEvent;
use crate::feed::{Feed, LogLines};

pub use self::all::{PublishAll, Published, Stopped, Unsent};

use self::exchange::{Idle, Keyed};
use self::keys::Keys;
use self::options::Options;
use self::turns::Turns;

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const TEXT: &str = "text/plain; charset=utf-8";

/// Publishes to the sessions of one hub. Clones are the same publisher: they share its connections and its order, so
/// many tasks may publish at once.
///
/// Events of one session are taken in the order in which their futures were first polled: a request to a session is
/// not sent before the one before it was answered, or given up. Requests to different sessions overlap, up to
/// [`Publisher::with_in_flight_max`]. A future that has begun has to be polled on, or dropped: those behind it wait for it.
///
/// Holds at most so many connections, opened when they are needed and again whenever one is lost; dropping the publisher
/// and its clones closes them. Dropping a future of a publish, and an error other than a refusal, leave open whether the hub
/// took the events: if it did, others may have come before them.
///
/// Goes through the proxies that `http_proxy`, `https_proxy` and `all_proxy` named when it was made, but for whom `no_proxy`
/// names.
#[derive(Clone)]
pub struct Publisher {
    endpoint: Endpoint,
    options: Arc<Options>,
    shared: Arc<Shared>,
}

/// What clones have in common.
struct Shared {
    /// Kept between requests; a connection over which one is under way is its future's.
    idle: Idle,
    turns: Turns,
    keys: Keys,
}

impl Shared {
    fn new(in_flight_max: usize) -> Self {
        Self { idle: Idle::default(), turns: Turns::new(in_flight_max), keys: Keys::new() }
    }
}

impl Publisher {
    /// A publisher for the hub at `url` (`http://127.0.0.1:8080`, or `unix:/run/watertight/hub.sock`). Connects at the first
    /// publish.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`].
    pub fn new(url: &str) -> Result<Self, Error> {
        let endpoint = Endpoint::parse(url)?;
        let mut options = Options::default();
        options.network.socket = endpoint.socket().cloned();
        let shared = Arc::new(Shared::new(options.in_flight_max));
        Ok(Self { endpoint, options: Arc::new(options), shared })
    }

    /// Publishes one event and returns its id once it is in the session's log.
    ///
    /// # Errors
    /// [`Error::Refused`] with the hub's code, or [`Error::GaveUp`].
    pub async fn publish(&self, session: &str, event: &NewEvent) -> Result<String, Error> {
        let body = || serde_json::to_vec(event).map_err(Error::Json);
        self.send_one(self.endpoint.events_path(session, &[])?, JSON, body).await
    }

    /// Publishes what a stream gives, in order, in batches that gather while the one before is under way. See
    /// [`PublishAll`], which is a future and does nothing before it is polled.
    ///
    /// ```no_run
    /// use futures_util::{StreamExt, stream};
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use watertight_client::{NewEvent, Publisher};
    ///
    /// let publisher = Publisher::new("http://127.0.0.1:8080")?;
    /// let event = NewEvent::json(&"tick")?;
    /// let ticks = stream::repeat(event).take(10_000);
    /// let published = publisher.publish_all("demo", ticks).await?;
    /// println!("{} events, the last is {:?}", published.count, published.last_id);
    /// # Ok(())
    /// # }
    /// ```
    pub fn publish_all<S: Stream<Item = NewEvent>>(&self, session: &str, events: S) -> PublishAll<S> {
        PublishAll::new(self.clone(), session, events)
    }

    /// Publishes several events as one request: all of them, next to each other, or none.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub async fn publish_batch(&self, session: &str, events: &[NewEvent]) -> Result<Vec<String>, Error> {
        let body = || serde_json::to_vec(events).map_err(Error::Json);
        self.send(self.endpoint.events_path(session, &[])?, JSON, body).await
    }

    /// Publishes events that are JSON texts already, one per line.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub async fn publish_ndjson(&self, session: &str, lines: Bytes) -> Result<Vec<String>, Error> {
        self.send(self.endpoint.events_path(session, &[])?, NDJSON, || Ok(lines)).await
    }

    /// Publishes one event whose data is `text` as it stands, of the given type (`message` if none) and time to
    /// live.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub async fn publish_text(
        &self,
        session: &str,
        event_type: Option<&str>,
        ttl: Option<Duration>,
        text: Bytes,
    ) -> Result<String, Error> {
        let ttl = ttl.map(|ttl| ttl.as_secs_f64().to_string());
        let query = [("type", event_type.map(str::to_owned)), ("ttl", ttl)];
        self.send_one(self.endpoint.events_path(session, &query)?, TEXT, || Ok(text)).await
    }

    /// Makes ready what goes to a deployment's log as one request: all of its lines, next to each other, or none.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for an id that no path can carry.
    pub fn feed(&self, deployment: &str, lines: &LogLines) -> Result<Feed, Error> {
        let path = self.endpoint.logs_path(deployment, &lines.query())?;
        Ok(Feed { path, lines: lines.ndjson.clone(), key: self.shared.keys.next_key() })
    }

    /// Sends it until the hub has taken or refused it, and returns the ids of the lines and of the end, if it is one.
    /// However often the same [`Feed`] is sent, also after an error or a dropped future, the hub takes it once.
    ///
    /// # Errors
    /// As [`Publisher::publish`]; `EPOCH_CHANGED` if it was meant for another life of the log.
    pub async fn send_feed(&self, feed: &Feed) -> Result<Vec<String>, Error> {
        let Feed { path, lines, key } = feed.clone();
        self.send_keyed(&Keyed { path, content_type: NDJSON, key, body: lines }).await
    }

    async fn send_one<B: Into<Bytes>>(
        &self,
        path: String,
        content_type: &'static str,
        body: impl FnOnce() -> Result<B, Error>,
    ) -> Result<String, Error> {
        let mut ids = self.send(path, content_type, body).await?;
        match (ids.pop(), ids.is_empty()) {
            (Some(id), true) => Ok(id),
            _ => Err(Error::UnexpectedAnswer("not one id for one event".to_owned())),
        }
    }

    /// The body is made when it is its turn: those who wait hold none.
    async fn send<B: Into<Bytes>>(
        &self,
        path: String,
        content_type: &'static str,
        body: impl FnOnce() -> Result<B, Error>,
    ) -> Result<Vec<String>, Error> {
        let _turn = self.shared.turns.wait(lane(&path)).await;
        let (key, body) = (self.shared.keys.next_key(), body()?.into());
        self.exchange(&Keyed { path, content_type, key, body }).await
    }

    async fn send_keyed(&self, request: &Keyed) -> Result<Vec<String>, Error> {
        let _turn = self.shared.turns.wait(lane(&request.path)).await;
        self.exchange(request).await
    }
}

/// What the order is about: a session's events, or a deployment's log.
fn lane(path: &str) -> &str {
    path.split('?').next().unwrap_or_default()
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("endpoint", &self.endpoint)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
