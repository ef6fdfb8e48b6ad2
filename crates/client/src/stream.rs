//! An open stream: bytes in, one item out at a time. Ends with an error, never by itself. Knows no retries.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use watertight_wire::{Item as Parsed, ParseError, Parser};

use crate::clock::{Clock, Limit, Sleep};
use crate::cursor::Cursor;
use crate::error::Error;
use crate::event::{Event, Gap, Item, Status};
use crate::transport::Body;

/// A connection whose head said `text/event-stream`.
pub(crate) struct OpenStream {
    /// Holds the socket.
    body: Body,
    /// What was read and not parsed yet: at most one read.
    unparsed: Bytes,
    clock: Arc<dyn Clock>,
    silence_max: Duration,
    /// When silence becomes death. Moved by every byte.
    deadline: Limit,
    /// Until `deadline`, or until one before it: a timer is not moved for every byte, it looks again.
    alarm: Option<Sleep>,
    opened_at: Duration,
    /// When the last byte came; `None` before the first.
    heard_at: Option<Duration>,
    /// Whether an event came over it, or a gap that moved the cursor.
    progressed: bool,
}

/// How a stream is to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// `gap` and `error` are the hub's own words; elsewhere they are events like any other.
    pub(crate) hub: bool,
    /// Whether comments are wanted.
    pub(crate) comments: bool,
}

/// What one read gave.
pub(crate) enum Read {
    Item(Item),
    /// The hub's wish for the time between attempts.
    Retry(Duration),
    /// The first byte came, and nothing else yet.
    Heard,
}

/// What the parser found, and what it means for the cursor.
enum Found {
    Event(Event),
    Gap(Gap),
    /// The hub's closing event, or a comment: nothing moves.
    Other(Item),
    Retry(Duration),
    /// An event that was delivered before.
    Duplicate,
}

impl OpenStream {
    /// `first_byte` bounds the wait for the first byte, `silence_max` every wait.
    pub(crate) fn new(body: Body, clock: Arc<dyn Clock>, first_byte: Limit, silence_max: Duration) -> Self {
        let opened_at = clock.now();
        let silence = Limit { deadline: opened_at.saturating_add(silence_max), after: silence_max };
        let deadline = if silence.deadline < first_byte.deadline { silence } else { first_byte };
        Self {
            body,
            unparsed: Bytes::new(),
            clock,
            silence_max,
            deadline,
            alarm: None,
            opened_at,
            heard_at: None,
            progressed: false,
        }
    }

    /// The next item. Nothing is lost between two calls.
    ///
    /// # Errors
    /// The end of the stream is one too ([`Error::StreamEnded`]); silence is [`Error::TimedOut`].
    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        reading: Reading,
        parser: &mut Parser,
        cursor: &mut Cursor,
    ) -> Poll<Result<Read, Error>> {
        loop {
            if let Some(read) = self.parse(reading, parser, cursor)? {
                return Poll::Ready(Ok(read));
            }
            if let Poll::Ready(bytes) = self.body.as_mut().poll_next(context) {
                self.unparsed = bytes.ok_or(Error::StreamEnded)??;
                if self.unparsed.is_empty() {
                    continue;
                }
                let now = self.clock.now();
                let after = self.silence_max;
                self.deadline = Limit { deadline: now.saturating_add(after), after };
                if self.heard_at.replace(now).is_none() {
                    return Poll::Ready(Ok(Read::Heard));
                }
                continue;
            }
            ready!(self.poll_silence(context));
            let phase =
                if self.has_spoken() { "the hub's heartbeat" } else { "the first byte of the stream" };
            return Poll::Ready(Err(Error::TimedOut { phase, after: self.deadline.after }));
        }
    }

    /// Whether a byte came.
    pub(crate) fn has_spoken(&self) -> bool {
        self.heard_at.is_some()
    }

    /// Whether the connection was worth something: an event came, or bytes did for `healthy_after`. That it
    /// was opened is worth nothing, nor is its silence.
    pub(crate) fn got_somewhere(&self, healthy_after: Duration) -> bool {
        self.progressed || self.held(healthy_after)
    }

    /// Whether bytes came for so long.
    pub(crate) fn held(&self, healthy_after: Duration) -> bool {
        self.heard_at.is_some_and(|at| at.saturating_sub(self.opened_at) >= healthy_after)
    }

    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let deadline = self.deadline.deadline;
            let alarm = self.alarm.get_or_insert_with(|| self.clock.sleep_until(deadline));
            ready!(alarm.as_mut().poll(context));
            self.alarm = None;
            if self.clock.now() >= deadline {
                return Poll::Ready(());
            }
        }
    }

    /// Takes one item out of what was read.
    fn parse(
        &mut self,
        reading: Reading,
        parser: &mut Parser,
        cursor: &mut Cursor,
    ) -> Result<Option<Read>, Error> {
        while !self.unparsed.is_empty() {
            let mut found = None;
            let fed = parser.feed(&self.unparsed, &mut |parsed| {
                found = understand(&parsed, reading, cursor);
                if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            match fed {
                Ok(fed) => self.unparsed.advance(fed.consumed),
                Err(ParseError::TooLarge { limit }) => return Err(Error::EventTooLarge { limit }),
            }
            let id = parser.last_event_id();
            match found {
                Some(Found::Event(event)) => {
                    cursor.event(id);
                    self.progressed = true;
                    return Ok(Some(Read::Item(Item::Event(event))));
                }
                Some(Found::Gap(gap)) => {
                    self.progressed |= cursor.jump(id);
                    return Ok(Some(Read::Item(Item::Gap(gap))));
                }
                // The parser has taken the id over already; the cursor does not.
                Some(Found::Duplicate) => parser.set_last_event_id(cursor.id()),
                Some(Found::Other(item)) => {
                    cursor.pass(id);
                    return Ok(Some(Read::Item(item)));
                }
                Some(Found::Retry(base)) => {
                    cursor.pass(id);
                    return Ok(Some(Read::Retry(base)));
                }
                None => cursor.pass(id),
            }
        }
        Ok(None)
    }
}

/// What is parsed, as something to keep; nothing for a comment that nobody wants.
fn understand(parsed: &Parsed<'_>, reading: Reading, cursor: &Cursor) -> Option<Found> {
    match parsed {
        Parsed::Comment(text) => reading.comments.then(|| Found::Other(Item::Comment((*text).to_owned()))),
        Parsed::Retry(milliseconds) => Some(Found::Retry(Duration::from_millis(*milliseconds))),
        Parsed::Event { event_type: "gap", data, .. } if reading.hub => Some(Found::Gap(Gap::read(data))),
        Parsed::Event { event_type: "error", data, .. } if reading.hub => {
            Some(Found::Other(Item::Status(Status::closing_event(data))))
        }
        Parsed::Event { id, .. } if reading.hub && cursor.is_duplicate(id) => Some(Found::Duplicate),
        Parsed::Event { id, event_type, data } => Some(Found::Event(Event {
            id: (*id).to_owned(),
            event_type: (*event_type).to_owned(),
            data: (*data).to_owned(),
        })),
    }
}
