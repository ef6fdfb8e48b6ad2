//! Subscribing: a stream that comes back by itself, where it left off.
//!
//! A state machine of one request at a time, moved only by whoever polls it: no task, no timer and no queue
//! outlives it. Must not know what the events mean.

mod machine;
mod options;
mod phase;

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderMap, Method};
use watertight_wire::{Limits, Parser};

use crate::backoff::Backoff;
use crate::clock::{Clock, TokioClock};
use crate::credentials::Token;
use crate::cursor::Cursor;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::event::Item;
use crate::fallback::{Fallback, Way};
use crate::limits::{FIRST_BYTE_TIMEOUT, HEALTHY_AFTER, MAX_EVENT_BYTES, RETRY_DEFAULT, RETRY_MAX};
use crate::plan::Plan;
use crate::stream::Reading;
use crate::transport::{HyperTransport, Network};
use crate::url::Url;

use phase::{End, Phase};

/// A subscription to one stream of events. Dropping it closes its socket.
///
/// It connects at the first [`Subscriber::next`], and moves only while that, or the [`Stream`] that it also
/// is, is polled. It holds at most one socket, whatever it is doing.
pub struct Subscriber {
    /// What every attempt asks for.
    plan: Arc<Plan>,
    /// Holds the socket, if there is one, and the timer.
    phase: Phase,
    /// How the next request asks.
    way: Way,
    fallback: Fallback,
    backoff: Backoff,
    /// Attempts since the last connection that was worth something.
    attempts: u32,
    /// Retries since then.
    retries: u32,
    max_retries: Option<u32>,
    /// When the first of those attempts began.
    trying_since: Duration,
    /// Outlives every connection.
    cursor: Cursor,
    /// Of the connection there is; emptied for each new one.
    parser: Parser,
    reading: Reading,
}

impl Subscriber {
    /// A subscriber to `session` at the hub at `url` (`http://127.0.0.1:8080`, or `unix:/run/watertight/hub.sock`), from now on.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`]; [`Error::InvalidOption`] for a session without a name, or called `.` or `..`.
    pub fn new(url: &str, session: &str) -> Result<Self, Error> {
        let hub = Endpoint::parse(url)?;
        let network = Network { socket: hub.socket().cloned(), ..Network::default() };
        let mut new = Self::at(hub.events(session)?, network);
        new.reading.hub = true;
        new.fallback.set_enabled(true);
        Ok(new)
    }

    /// A subscriber to whatever stream of events is at `url`, a hub's or not.
    ///
    /// Events of the types `gap` and `error` are events like any other, and long-poll is not tried:
    /// [`Subscriber::with_hub`] says that a hub is there.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`].
    pub fn from_url(url: &str) -> Result<Self, Error> {
        Ok(Self::at(Url::parse(url)?, Network::default()))
    }

    fn at(url: Url, network: Network) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::new());
        let plan = Plan {
            url,
            method: Method::GET,
            body: Bytes::new(),
            headers: HeaderMap::new(),
            headers_source: None,
            token: Token::None,
            replay: None,
            transport: Arc::new(HyperTransport::new(network.clone())),
            network,
            clock,
            first_byte_timeout: FIRST_BYTE_TIMEOUT,
            read_timeout: None,
            max_event_bytes: MAX_EVENT_BYTES,
        };
        Self {
            plan: Arc::new(plan),
            phase: Phase::at_once(),
            way: Way::Stream,
            fallback: Fallback::new(false),
            backoff: Backoff::new(RETRY_DEFAULT, RETRY_MAX),
            attempts: 0,
            retries: 0,
            max_retries: None,
            trying_since: Duration::ZERO,
            cursor: Cursor::default(),
            parser: Parser::new(Limits { max_event_bytes: MAX_EVENT_BYTES }),
            reading: Reading { hub: false, comments: false },
        }
    }

    /// What happens next. `None` once the subscriber is over: after an error, after
    /// [`Status::Stopped`](crate::Status::Stopped), after a closing event that says that the session has ended, or when
    /// it was closed.
    ///
    /// Dropping the future loses nothing, not even a connection half made: call it again.
    ///
    /// # Errors
    /// Only such as no reconnect can mend, and each of them is the last item: refused for good (4xx but 408,
    /// 425 and 429; 401 after the token was refreshed once), an answer that is no event stream, a redirect
    /// that leads nowhere, an event over the limit; and [`Error::GaveUp`] after
    /// [`Subscriber::with_max_retries`].
    pub async fn next(&mut self) -> Option<Result<Item, Error>> {
        poll_fn(|context| self.poll_item(context)).await
    }

    /// The position to resume from, to be stored and given to [`Subscriber::with_last_event_id`] later.
    pub fn last_event_id(&self) -> Option<&str> {
        Some(self.cursor.id()).filter(|id| !id.is_empty())
    }

    /// Sets the position that the next request asks for; an empty one for none. What is after it counts as
    /// not yet delivered. A connection that is there goes on as it is: [`Subscriber::restart`] opens another.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if no header can carry the id. The position is then as it was.
    pub fn set_last_event_id(&mut self, id: &str) -> Result<(), Error> {
        if !crate::cursor::is_sendable(id) {
            let reason = "it has characters that no header may carry, or is too long";
            return Err(Error::InvalidOption { what: "the last event id", reason });
        }
        self.cursor.jump(id);
        self.parser.set_last_event_id(id);
        Ok(())
    }

    /// Closes the connection, if there is one, and makes [`Subscriber::next`] open another at once, without
    /// waiting, from the same position on. It tells of no error. A subscriber that ended with an error, or
    /// with its session, begins anew; one that was closed, or stopped by the server (204), does not.
    pub fn restart(&mut self) {
        match &self.phase {
            Phase::Over(End::Closed | End::Stopped) => return,
            Phase::Over(End::Failed | End::Ended) => self.begin_anew(),
            // What the connection was worth counts, however it ends.
            Phase::Open(stream) if stream.got_somewhere(HEALTHY_AFTER) => self.begin_anew(),
            _ => {}
        }
        self.way = Way::Stream;
        self.phase = Phase::at_once();
    }

    /// Closes the socket, now and for good: [`Subscriber::next`] gives `None` from here on. Doing it twice is
    /// doing it once.
    pub fn close(&mut self) {
        self.phase = Phase::Over(End::Closed);
    }
}

impl Stream for Subscriber {
    type Item = Result<Item, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_item(context)
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("plan", &self.plan)
            .field("phase", &self.phase.name())
            .field("way", &self.way)
            .field("last_event_id", &self.cursor.id())
            .finish_non_exhaustive()
    }
}
