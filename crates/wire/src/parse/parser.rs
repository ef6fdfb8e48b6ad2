//! The parser itself: finds the lines' ends, and hands over what each line completes.

use std::ops::ControlFlow;

use super::line::{Field, Line};
use super::pending::Pending;
use super::start::Start;
use super::{Fed, Item, Limits, ParseError};
use crate::limits::KEPT_FIELD_BYTES;

/// The type of an event that names none.
const MESSAGE: &str = "message";

/// An incremental, bounded parser of one event stream.
///
/// While it gathers an event it holds at most twice [`Limits::max_event_bytes`], and between events
/// [`KEPT_BUFFER_BYTES`](crate::limits::KEPT_BUFFER_BYTES) and a few KiB; the last id comes on top. While
/// an event with bytes that are not UTF-8 is handed over, its text with U+FFFD in their place, at most three
/// times as long, exists beside it.
#[derive(Debug)]
pub struct Parser {
    limits: Limits,
    /// Whether a byte order mark may still come.
    start: Start,
    /// The last line ended with CR: an LF right after it belongs to it.
    after_carriage_return: bool,
    /// The line being read.
    line: Line,
    /// The event being gathered: emptied by each blank line, freed by an error or a reset.
    pending: Pending,
    /// The id that a client coming back would send. Only a blank line changes it.
    last_event_id: String,
    /// An event was too large: nothing more is taken.
    refusing: Option<ParseError>,
}

impl Parser {
    /// A parser at the start of a stream, with no last id. Allocates nothing.
    #[must_use]
    pub fn new(limits: Limits) -> Parser {
        Parser {
            limits,
            start: Start::default(),
            after_carriage_return: false,
            line: Line::default(),
            pending: Pending::default(),
            last_event_id: String::new(),
            refusing: None,
        }
    }

    /// Takes the next bytes of the stream and hands what they complete to `sink`, in order, at once.
    ///
    /// A sink that breaks gets nothing more: [`Fed::consumed`] tells where the rest begins.
    ///
    /// # Errors
    /// When an event is too large. What came before it was delivered.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        sink: &mut (impl FnMut(Item<'_>) -> ControlFlow<()> + ?Sized),
    ) -> Result<Fed, ParseError> {
        if let Some(error) = self.refusing {
            return Err(error);
        }
        self.feed_within_limits(bytes, sink).inspect_err(|error| {
            self.refusing = Some(*error);
            self.pending = Pending::default();
        })
    }

    /// The id that a client coming back sends as `Last-Event-ID`; empty for none.
    ///
    /// An event's id counts once the event has ended, also if it had no data.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// Sets the last id, for a client that resumes where an earlier one stopped.
    pub fn set_last_event_id(&mut self, id: &str) {
        id.clone_into(&mut self.last_event_id);
    }

    /// Makes it ready for the next connection: an unfinished event is dropped with its id, the last id stays.
    pub fn reset_for_reconnect(&mut self) {
        let last_event_id = std::mem::take(&mut self.last_event_id);
        *self = Parser { last_event_id, ..Parser::new(self.limits) };
    }

    /// The memory it holds on to, bytes.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        self.pending.kept_bytes() + self.last_event_id.capacity()
    }

    fn feed_within_limits(
        &mut self,
        bytes: &[u8],
        sink: &mut (impl FnMut(Item<'_>) -> ControlFlow<()> + ?Sized),
    ) -> Result<Fed, ParseError> {
        let mut rest = bytes;
        let held_back = self.start.skip(&mut rest);
        self.part_of_line(held_back)?;
        while let Some(first) = rest.first() {
            if std::mem::take(&mut self.after_carriage_return) && *first == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let Some(end) = memchr::memchr2(b'\r', b'\n', rest) else {
                self.part_of_line(rest)?;
                break;
            };
            self.part_of_line(&rest[..end])?;
            self.after_carriage_return = rest[end] == b'\r';
            rest = &rest[end + 1..];
            if self.end_of_line(sink)?.is_break() {
                return Ok(Fed { consumed: bytes.len() - rest.len(), stopped: true });
            }
        }
        Ok(Fed { consumed: bytes.len(), stopped: false })
    }

    /// Takes bytes that hold no line end.
    fn part_of_line(&mut self, bytes: &[u8]) -> Result<(), ParseError> {
        let mut rest = bytes;
        if let Line::Name(name) = &mut self.line {
            let Some(field) = name.read(&mut rest) else { return Ok(()) };
            self.line = Line::Value { field, at_start: true };
            self.pending.start(field, self.limits)?;
        }
        let Line::Value { field, at_start } = &mut self.line else { return Ok(()) };
        let Some(first) = rest.first() else { return Ok(()) };
        if std::mem::take(at_start) && *first == b' ' && !matches!(field, Field::Comment) {
            // One space after the colon is not part of a field's value; of a comment it is.
            rest = &rest[1..];
        }
        match field {
            Field::Ignored => Ok(()),
            Field::Retry(digits) => {
                digits.read(rest);
                Ok(())
            }
            Field::Comment | Field::Data | Field::EventType | Field::EventId => {
                self.pending.extend(*field, rest, self.limits)
            }
        }
    }

    fn end_of_line(
        &mut self,
        sink: &mut (impl FnMut(Item<'_>) -> ControlFlow<()> + ?Sized),
    ) -> Result<ControlFlow<()>, ParseError> {
        let field = match std::mem::take(&mut self.line) {
            Line::Name(name) if name.is_empty() => return Ok(self.end_of_event(sink)),
            Line::Name(name) => {
                // A line without a colon is a field without a value.
                let field = name.field();
                self.pending.start(field, self.limits)?;
                field
            }
            Line::Value { field, .. } => field,
        };
        match field {
            Field::Comment => {
                let flow = sink(Item::Comment(&self.pending.comment()));
                self.pending.end_comment();
                return Ok(flow);
            }
            Field::Retry(digits) => {
                return Ok(digits
                    .number()
                    .map_or(ControlFlow::Continue(()), |number| sink(Item::Retry(number))));
            }
            Field::EventType => self.pending.end_event_type(),
            Field::EventId => self.pending.end_event_id(),
            Field::Data | Field::Ignored => {}
        }
        Ok(ControlFlow::Continue(()))
    }

    /// A blank line: the id counts from now on, and what has data is an event.
    fn end_of_event(
        &mut self,
        sink: &mut (impl FnMut(Item<'_>) -> ControlFlow<()> + ?Sized),
    ) -> ControlFlow<()> {
        if let Some(id) = self.pending.event_id() {
            self.last_event_id.clear();
            self.last_event_id.shrink_to(KEPT_FIELD_BYTES);
            self.last_event_id.push_str(&id);
        }
        let mut flow = ControlFlow::Continue(());
        if let Some(data) = self.pending.data() {
            let event_type = self.pending.event_type();
            let event_type = if event_type.is_empty() { MESSAGE } else { &event_type };
            flow = sink(Item::Event { id: &self.last_event_id, event_type, data: &data });
        }
        self.pending.clear();
        flow
    }
}
