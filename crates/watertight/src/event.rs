//! An event as a publisher hands it in, and as a Rust subscriber gets it.

use std::ops::ControlFlow;
use std::time::Duration;

use watertight_core::{CloseReason, Frame, Gap};
pub use watertight_wire::EventType;
use watertight_wire::{Item, Limits, Parser};

/// An event to be published. The id is the hub's to give.
#[derive(Debug, Clone)]
pub struct Event {
    /// What kind of event it is; `message` is the default kind and is left out on the wire.
    pub event_type: EventType,
    /// The text. CR, LF and CRLF each end one line of it.
    pub data: Box<str>,
    /// How long it lives, if not as long as the hub's `event_ttl` says.
    pub ttl: Option<Duration>,
}

impl Event {
    /// An event of type `message`.
    #[must_use]
    pub fn new(data: impl Into<Box<str>>) -> Event {
        Event { event_type: EventType::default(), data: data.into(), ttl: None }
    }

    /// An event of the given type.
    #[must_use]
    pub fn of_type(event_type: EventType, data: impl Into<Box<str>>) -> Event {
        Event { event_type, data: data.into(), ttl: None }
    }

    /// The same event with a time to live of its own.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Duration) -> Event {
        self.ttl = Some(ttl);
        self
    }
}

/// An event as it was published, read back from its frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The id the hub gave it. Opaque; hand it back to resume.
    pub id: String,
    /// Its type.
    pub event_type: String,
    /// Its text; line ends are LF.
    pub data: String,
    /// When it was published, since the Unix epoch, to the microsecond. The hub's wall clock: it may have been set
    /// between two events, so their order is that of their ids.
    pub created_at: Duration,
}

impl Received {
    /// Reads a frame back. A frame holds exactly one event.
    pub(crate) fn from_frame(frame: &Frame) -> Received {
        let created_at = frame.created_at();
        let mut received =
            Received { id: String::new(), event_type: String::new(), data: String::new(), created_at };
        let limit = frame.event().len() + 1;
        let mut parser = Parser::new(Limits { max_event_bytes: limit });
        let fed = parser.feed(frame.event(), &mut |item| {
            if let Item::Event { id, event_type, data } = item {
                received.id = id.to_owned();
                received.event_type = event_type.to_owned();
                received.data = data.to_owned();
            }
            ControlFlow::Continue(())
        });
        debug_assert!(fed.is_ok(), "the hub's own frame fits its own size");
        received
    }
}

/// What a Rust subscriber reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// An event.
    Event(Received),
    /// Events are missing before whatever comes next.
    Gap(Gap),
    /// The hub ends the subscription; nothing follows.
    Closed(CloseReason),
}
