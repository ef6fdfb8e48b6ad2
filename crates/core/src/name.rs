//! A session's name: the one word of a client that the hub keeps, hence checked and bounded by its type.

use std::fmt;

/// A session's name: 1 to a configured number of bytes of UTF-8 without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionName(Box<str>);

/// Why a text cannot name a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSessionName {
    /// The name is empty.
    #[error("a session name must not be empty")]
    Empty,
    /// The name is longer than the limit.
    #[error("a session name may have at most {max_bytes} bytes, this one has {bytes}")]
    TooLong {
        /// Bytes of the refused name.
        bytes: usize,
        /// The limit in force.
        max_bytes: usize,
    },
    /// The name has a control character in it.
    #[error("a session name must not contain control characters (U+{code:04X} at byte {at})")]
    ControlCharacter {
        /// The character.
        code: u32,
        /// Where it stands.
        at: usize,
    },
}

impl SessionName {
    /// Checks `text` against `max_bytes` and copies it.
    ///
    /// # Errors
    /// When it is empty, too long, or has control characters.
    pub fn new(text: &str, max_bytes: usize) -> Result<SessionName, InvalidSessionName> {
        if text.is_empty() {
            return Err(InvalidSessionName::Empty);
        }
        if text.len() > max_bytes {
            return Err(InvalidSessionName::TooLong { bytes: text.len(), max_bytes });
        }
        if let Some((at, character)) = text.char_indices().find(|(_, c)| c.is_control()) {
            return Err(InvalidSessionName::ControlCharacter { code: u32::from(character), at });
        }
        Ok(SessionName(text.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
