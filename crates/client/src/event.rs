//! What passes between an application and the client: events to publish, and what a subscriber sees.
//! Knows no socket.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::Error;

/// An event to publish with JSON data. For text use [`Publisher::publish_text`](crate::Publisher::publish_text).
#[derive(Debug, Clone, Serialize)]
pub struct NewEvent {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    event_type: Option<String>,
    data: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<f64>,
}

impl NewEvent {
    /// An event of type `message` whose data is the JSON text of `data`.
    ///
    /// # Errors
    /// [`Error::Json`] if `data` has no JSON form (a map with keys that are no strings, say).
    pub fn json(data: &impl Serialize) -> Result<Self, Error> {
        let data = serde_json::value::to_raw_value(data).map_err(Error::Json)?;
        Ok(Self { event_type: None, data, ttl: None })
    }

    /// Sets the type. The hub refuses one with a line break, and its own `gap` and `error`.
    #[must_use]
    pub fn with_type(mut self, event_type: impl Into<String>) -> Self {
        self.event_type = Some(event_type.into());
        self
    }

    /// About as many bytes as its JSON has.
    pub(crate) fn size(&self) -> usize {
        const MEMBERS: usize = 48;
        MEMBERS + self.data.get().len() + self.event_type.as_ref().map_or(0, String::len)
    }

    /// How long the event may be replayed. The hub refuses zero.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl.as_secs_f64());
        self
    }
}

/// What a subscriber sees, in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item {
    /// An event of the session.
    Event(Event),
    /// Events are missing here: what, and why. Everything after it is newer.
    Gap(Gap),
    /// A comment of the stream, all that stands behind its colon, at most 1 KiB of it. Only if asked
    /// for with [`Subscriber::with_comments`](crate::Subscriber::with_comments).
    Comment(String),
    /// The connection changed. Nothing is lost by ignoring it.
    Status(Status),
}

/// An event as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The hub's id. Opaque; remember it to resume here.
    pub id: String,
    /// `message` if the publisher named none.
    pub event_type: String,
    /// The text, its lines joined with LF.
    pub data: String,
}

impl Event {
    /// An event as a hub would send it: for tests of what handles events.
    pub fn new(id: impl Into<String>, event_type: impl Into<String>, data: impl Into<String>) -> Self {
        Self { id: id.into(), event_type: event_type.into(), data: data.into() }
    }

    /// The data, read as JSON.
    ///
    /// # Errors
    /// [`Error::Json`] if it is no JSON, or not that of a `T`.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        serde_json::from_str(&self.data).map_err(Error::Json)
    }
}

/// A hole in the stream, as the hub words it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Gap {
    /// The first missing event; with the reasons `epoch` and `unknown_id` the id that was asked for, if it was
    /// one.
    pub from: Option<String>,
    /// The last missing event, or the position before what follows: resuming from it repeats nothing.
    pub to: Option<String>,
    /// How many events are missing, if the hub can tell.
    pub missed: Option<u64>,
    /// `expired`, `evicted`, `lagged`, `epoch`, `unknown_id` or `source`.
    pub reason: String,
}

impl Gap {
    /// A gap of which only the reason is known; its fields may be set: for tests of what handles gaps.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { from: None, to: None, missed: None, reason: reason.into() }
    }

    /// Reads a gap's data. What cannot be read is still a gap: never a quiet skip.
    pub(crate) fn read(data: &str) -> Self {
        serde_json::from_str(data).unwrap_or_else(|_| Self::new("unreadable"))
    }
}

/// What becomes of a subscriber's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// A connection is being made.
    Connecting {
        /// Which attempt this is since the last connection over which something came, from 1.
        attempt: u32,
    },
    /// The stream is open.
    Open,
    /// No stream comes through: the hub is asked for events by long-poll, from the same position on. The
    /// stream is tried again now and then.
    Polling,
    /// The hub says that it closes the stream, and why. The end follows, and then a new attempt; with
    /// `SESSION_ENDED`, `TOKEN_REVOKED` and `FORBIDDEN` the subscriber is over.
    ClosingEvent {
        /// Stable code: `SESSION_ENDED`, `SHUTTING_DOWN`, `TIMEOUT`, ...
        code: String,
        /// For people.
        message: String,
    },
    /// No connection; the next attempt comes after `delay`.
    Waiting {
        /// How long until then.
        delay: Duration,
        /// Why the last attempt or connection ended.
        reason: String,
    },
    /// The hub answered 204: there is nothing more to come, ever. The subscriber is over.
    Stopped,
}

/// The data of an `error` event, and the `end` of a long-poll.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct ClosingData {
    error: String,
    code: String,
}

impl ClosingData {
    /// As a status; `text` where it gives no message.
    pub(crate) fn status(self, text: &str) -> Status {
        let message = if self.error.is_empty() { text.to_owned() } else { self.error };
        Status::ClosingEvent { code: self.code, message }
    }
}

impl Status {
    /// Reads the data of an `error` event.
    pub(crate) fn closing_event(data: &str) -> Self {
        serde_json::from_str::<ClosingData>(data).unwrap_or_default().status(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_read_as_the_type_that_is_asked_for() {
        let event = Event::new("", "n", r#"{"n":7}"#);
        #[derive(Deserialize)]
        struct Number {
            n: u32,
        }
        assert_eq!(event.json::<Number>().unwrap().n, 7);
        assert!(matches!(event.json::<Vec<u32>>(), Err(Error::Json(_))));
    }
}
