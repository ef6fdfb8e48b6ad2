//! What may stand in a field: the types that make injection unwritable.
//!
//! A line break in an event's type or id would end its line and let whoever chose the text write fields, or
//! whole events, of their own; a NUL makes clients drop an id silently. So the encoder takes these types and
//! no bare text, and there is no other way to make one than through the check. Knows nothing of the encoding.

use std::fmt;
use std::str::FromStr;

use crate::limits::{MAX_EVENT_ID_BYTES, MAX_EVENT_TYPE_BYTES};

/// The type every event has that names none.
const MESSAGE: &str = "message";

/// The type of an event: at most [`MAX_EVENT_TYPE_BYTES`] bytes, without control characters.
///
/// The default type, `message`, needs no allocation and is left out on the wire.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct EventType(
    /// `None` for `message`.
    Option<Box<str>>,
);

/// The id of an event, borrowed: at most [`MAX_EVENT_ID_BYTES`] bytes, without control characters.
///
/// An empty id is valid: it makes a client forget the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventId<'a>(&'a str);

/// Why a text cannot be a field: which field, what is wrong with it, what would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct InvalidField {
    /// The field it was meant for.
    pub field: Field,
    /// What is wrong with it.
    pub problem: Problem,
}

/// A field of an event that is validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// `event:`
    EventType,
    /// `id:`
    EventId,
}

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is too long.
    #[error("is {bytes} bytes long: at most {limit} will do")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
        /// The greatest length in bytes.
        limit: usize,
    },
    /// It holds a control character: U+0000 to U+001F, or U+007F.
    #[error("holds the control character U+{:04X} at byte {at}: any text without control characters will do",
            u32::from(*character))]
    ControlCharacter {
        /// The first such character.
        character: char,
        /// Where it stands, in bytes from the start.
        at: usize,
    },
}

impl EventType {
    /// Takes a text as a type. The empty text is `message`, as it is for a client.
    ///
    /// # Errors
    /// When it is longer than [`MAX_EVENT_TYPE_BYTES`] or holds a control character.
    pub fn new(text: &str) -> Result<EventType, InvalidField> {
        check(text, Field::EventType, MAX_EVENT_TYPE_BYTES)?;
        Ok(EventType((!text.is_empty() && text != MESSAGE).then(|| text.into())))
    }

    /// Its text; never empty.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or(MESSAGE)
    }

    /// Whether it is the default type, which is left out on the wire.
    #[must_use]
    pub fn is_message(&self) -> bool {
        self.0.is_none()
    }
}

impl FromStr for EventType {
    type Err = InvalidField;

    fn from_str(text: &str) -> Result<EventType, InvalidField> {
        EventType::new(text)
    }
}

impl AsRef<str> for EventType {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventType").field(&self.as_str()).finish()
    }
}

impl<'a> EventId<'a> {
    /// Takes a text as an id.
    ///
    /// # Errors
    /// When it is longer than [`MAX_EVENT_ID_BYTES`] or holds a control character.
    pub fn new(text: &'a str) -> Result<EventId<'a>, InvalidField> {
        check(text, Field::EventId, MAX_EVENT_ID_BYTES)?;
        Ok(EventId(text))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Display for EventId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Field::EventType => "event type",
            Field::EventId => "event id",
        })
    }
}

/// CR, LF and NUL have a meaning in the format. The other ASCII controls have none anywhere an id or a type
/// goes (a header, a log line, a terminal), only ways to do harm there.
fn check(text: &str, field: Field, limit: usize) -> Result<(), InvalidField> {
    if text.len() > limit {
        return Err(InvalidField { field, problem: Problem::TooLong { bytes: text.len(), limit } });
    }
    // The usual case is answered without reading characters; each control is a byte of its own.
    if !text.bytes().fold(false, |found, byte| found | byte.is_ascii_control()) {
        return Ok(());
    }
    match text.char_indices().find(|(_, character)| character.is_ascii_control()) {
        Some((at, character)) => {
            Err(InvalidField { field, problem: Problem::ControlCharacter { character, at } })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_type_is_message_and_equal_to_it() {
        assert_eq!(EventType::new("").unwrap(), EventType::default());
        assert_eq!(EventType::new("message").unwrap(), EventType::default());
        assert!(EventType::new("message").unwrap().is_message());
        assert!(!EventType::new("Message").unwrap().is_message());
        assert_eq!(EventType::default().as_str(), "message");
    }

    #[test]
    fn lengths_are_refused_one_byte_above_their_limit() {
        assert!(EventType::new(&"x".repeat(MAX_EVENT_TYPE_BYTES)).is_ok());
        let too_long = "x".repeat(MAX_EVENT_TYPE_BYTES + 1);
        assert_eq!(
            EventType::new(&too_long).unwrap_err().to_string(),
            "event type is 257 bytes long: at most 256 will do"
        );
        assert!(EventId::new(&"x".repeat(MAX_EVENT_ID_BYTES)).is_ok());
        let too_long = "x".repeat(MAX_EVENT_ID_BYTES + 1);
        assert_eq!(
            EventId::new(&too_long).unwrap_err().to_string(),
            "event id is 129 bytes long: at most 128 will do"
        );
    }

    #[test]
    fn the_error_names_the_field_the_character_and_what_would_do() {
        assert_eq!(
            EventId::new("é\r1").unwrap_err().to_string(),
            "event id holds the control character U+000D at byte 2: any text without control characters will do"
        );
    }

    #[test]
    fn an_empty_id_is_valid() {
        assert_eq!(EventId::new("").unwrap().as_str(), "");
    }
}
