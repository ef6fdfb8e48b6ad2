//! Subscribing: a stream that comes back by itself, where it left off.
//!
//! A state machine of one connection at a time, moved only by [`Subscriber::next`]: no task, no timer and no
//! queue outlives it. Must not know what the events mean.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use http::HeaderValue;
use tokio::time::{Instant, sleep_until};
use watertight_wire::{Limits, Parser};

use crate::attempt::{Attempt, Opened, Replay};
use crate::backoff::Backoff;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::event::{Item, Status};
use crate::limits::{HEALTHY_AFTER, MAX_EVENT_BYTES, RETRY_DEFAULT, RETRY_MAX};
use crate::publisher::bearer;
use crate::stream::{OpenStream, Read};

type Opening = Pin<Box<dyn Future<Output = Result<Opened, Error>> + Send>>;

/// A subscription to one session. Dropping it closes its socket.
pub struct Subscriber {
    attempt: Attempt,
    phase: Phase,
    backoff: Backoff,
    /// Attempts since the last connection that was worth something.
    attempts: u32,
    /// Carries the last event id from one connection to the next.
    parser: Parser,
    max_event_bytes: usize,
}

/// Where a subscriber is. At most one of these holds a socket.
enum Phase {
    /// Until then there is no connection.
    Waiting {
        until: Instant,
    },
    Connecting(Opening),
    Open(Box<OpenStream>),
    Over,
}

impl Subscriber {
    /// A subscriber to `session` at the hub at `url`, from now on. Connects at the first [`Subscriber::next`].
    ///
    /// # Errors
    /// [`Error::InvalidUrl`].
    pub fn new(url: &str, session: &str) -> Result<Self, Error> {
        Ok(Self {
            attempt: Attempt::new(Endpoint::parse(url)?, session),
            phase: Phase::Waiting { until: Instant::now() },
            backoff: Backoff::new(RETRY_DEFAULT, RETRY_MAX),
            attempts: 0,
            parser: Parser::new(Limits { max_event_bytes: MAX_EVENT_BYTES }),
            max_event_bytes: MAX_EVENT_BYTES,
        })
    }

    /// Sends `Authorization: Bearer` with each attempt.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if the token cannot stand in a header.
    pub fn with_token(mut self, token: &str) -> Result<Self, Error> {
        self.attempt.token = Some(bearer(token)?);
        Ok(self)
    }

    /// Asks for history before the live events. Has no effect beside [`Subscriber::with_last_event_id`].
    #[must_use]
    pub fn with_replay(mut self, replay: Replay) -> Self {
        self.attempt.replay = Some(replay);
        self
    }

    /// Resumes after the event with this id.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if the id cannot stand in a header.
    pub fn with_last_event_id(mut self, id: &str) -> Result<Self, Error> {
        let reason = "it has characters that no header may carry";
        let value = HeaderValue::from_str(id)
            .map_err(|_| Error::InvalidOption { what: "the last event id", reason })?;
        self.attempt.last_event_id = Some(value);
        Ok(self)
    }

    /// The largest event taken, in bytes (default 1 MiB). A larger one is [`Error::EventTooLarge`].
    #[must_use]
    pub fn with_max_event_bytes(mut self, limit: usize) -> Self {
        self.max_event_bytes = limit;
        self.parser = Parser::new(Limits { max_event_bytes: limit });
        self
    }

    /// Takes a stream for dead after this much silence, instead of three heartbeats (at least 15 s).
    #[must_use]
    pub fn with_read_timeout(mut self, limit: Duration) -> Self {
        self.attempt.read_timeout = Some(limit);
        self
    }

    /// The position to resume from, to be stored and given to [`Subscriber::with_last_event_id`] later.
    pub fn last_event_id(&self) -> Option<&str> {
        match self.parser.last_event_id() {
            "" => self.attempt.last_event_id.as_ref().and_then(|id| id.to_str().ok()),
            id => Some(id),
        }
    }

    /// What happens next. `None` once the subscriber is over: after an error, or after [`Status::Stopped`].
    ///
    /// Dropping the future loses nothing, not even a connection half made: call it again.
    ///
    /// # Errors
    /// Only such as no reconnect can mend: refused for good (4xx but 408 and 429), an answer that is no event
    /// stream, an event over the limit.
    pub async fn next(&mut self) -> Option<Result<Item, Error>> {
        loop {
            match &mut self.phase {
                Phase::Over => return None,
                Phase::Waiting { until } => {
                    sleep_until(*until).await;
                    self.attempt.carry(self.parser.last_event_id());
                    self.parser.reset_for_reconnect();
                    self.phase = Phase::Connecting(Box::pin(self.attempt.clone().open()));
                    self.attempts = self.attempts.saturating_add(1);
                    return Some(Ok(Item::Status(Status::Connecting { attempt: self.attempts })));
                }
                Phase::Connecting(opening) => match opening.await {
                    Ok(Opened::Stream(stream)) => {
                        self.phase = Phase::Open(stream);
                        return Some(Ok(Item::Status(Status::Open)));
                    }
                    Ok(Opened::NoContent) => {
                        self.phase = Phase::Over;
                        return Some(Ok(Item::Status(Status::Stopped)));
                    }
                    Err(error) => return Some(self.lost(error)),
                },
                Phase::Open(stream) => match stream.read(&mut self.parser).await {
                    Ok(Read::Item(item)) => return Some(Ok(item)),
                    Ok(Read::Retry(base)) => self.backoff.set_base(base),
                    Err(error) => {
                        if stream.got_somewhere(HEALTHY_AFTER) {
                            self.backoff.reset();
                            self.attempts = 0;
                        }
                        return Some(self.lost(error));
                    }
                },
            }
        }
    }

    /// A connection or an attempt is lost: wait and come back, or end if that cannot help.
    fn lost(&mut self, error: Error) -> Result<Item, Error> {
        if !error.is_retryable() {
            self.phase = Phase::Over;
            return Err(error);
        }
        let delay = self.backoff.next_delay(error.retry_after());
        self.phase = Phase::Waiting { until: Instant::now() + delay };
        Ok(Item::Status(Status::Waiting { delay, reason: error.to_string() }))
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match self.phase {
            Phase::Waiting { .. } => "waiting",
            Phase::Connecting(_) => "connecting",
            Phase::Open(_) => "open",
            Phase::Over => "over",
        };
        let mut out = f.debug_struct("Subscriber");
        out.field("attempt", &self.attempt)
            .field("phase", &phase)
            .field("max_event_bytes", &self.max_event_bytes);
        out.finish_non_exhaustive()
    }
}
