//! An open stream: bytes in, one item out at a time. Ends with an error, never by itself. Knows no retries.

use std::ops::ControlFlow;
use std::time::Duration;

use bytes::{Buf, Bytes};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use watertight_wire::{Item as Parsed, ParseError, Parser};

use crate::error::Error;
use crate::event::{Event, Gap, Item, Status};
use crate::link::Link;

/// A connection whose head said `text/event-stream`.
pub(crate) struct OpenStream {
    link: Link,
    body: Incoming,
    /// What was read and not parsed yet: at most one read.
    unparsed: Bytes,
    silence_max: Duration,
    /// When silence becomes death. Moved by every byte.
    deadline: Instant,
    opened_at: Instant,
    /// Whether an event or a gap came over it.
    progressed: bool,
}

/// What one read gave.
pub(crate) enum Read {
    Item(Item),
    /// The hub's wish for the time between attempts.
    Retry(Duration),
}

impl OpenStream {
    pub(crate) fn new(link: Link, body: Incoming, silence_max: Duration) -> Self {
        let opened_at = Instant::now();
        let deadline = opened_at + silence_max;
        Self { link, body, unparsed: Bytes::new(), silence_max, deadline, opened_at, progressed: false }
    }

    /// The next item. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The end of the stream is one too ([`Error::StreamEnded`]); silence is [`Error::TimedOut`].
    pub(crate) async fn read(&mut self, parser: &mut Parser) -> Result<Read, Error> {
        loop {
            if let Some(read) = self.parse(parser)? {
                return Ok(read);
            }
            let silent = Error::TimedOut { phase: "the hub's heartbeat", after: self.silence_max };
            let reading = self.link.read(&mut self.body);
            self.unparsed = match timeout_at(self.deadline, reading).await {
                Err(_) => return Err(silent),
                Ok(read) => read?.ok_or(Error::StreamEnded)?,
            };
            self.deadline = Instant::now() + self.silence_max;
        }
    }

    /// Whether the connection was worth something: an event came, or it held for `healthy_after`.
    pub(crate) fn got_somewhere(&self, healthy_after: Duration) -> bool {
        self.progressed || self.opened_at.elapsed() >= healthy_after
    }

    /// Takes one item out of what was read.
    fn parse(&mut self, parser: &mut Parser) -> Result<Option<Read>, Error> {
        if self.unparsed.is_empty() {
            return Ok(None);
        }
        let mut found = None;
        let fed = parser.feed(&self.unparsed, &mut |parsed| {
            found = owned(&parsed);
            if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        match fed {
            Ok(fed) => self.unparsed.advance(fed.consumed),
            Err(ParseError::TooLarge { limit }) => return Err(Error::EventTooLarge { limit }),
        }
        self.progressed |= matches!(found, Some(Read::Item(Item::Event(_) | Item::Gap(_))));
        Ok(found)
    }
}

/// An item of our own, or nothing for a comment.
fn owned(parsed: &Parsed<'_>) -> Option<Read> {
    match parsed {
        Parsed::Comment(_) => None,
        Parsed::Retry(milliseconds) => Some(Read::Retry(Duration::from_millis(*milliseconds))),
        Parsed::Event { event_type: "gap", data, .. } => Some(Read::Item(Item::Gap(Gap::read(data)))),
        Parsed::Event { event_type: "error", data, .. } => {
            Some(Read::Item(Item::Status(Status::goodbye(data))))
        }
        Parsed::Event { id, event_type, data } => Some(Read::Item(Item::Event(Event {
            id: (*id).to_owned(),
            event_type: (*event_type).to_owned(),
            data: (*data).to_owned(),
        }))),
    }
}
