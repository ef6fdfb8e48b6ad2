//! A session's name. It is the only text of a client that the hub keeps as a key, so its type checks and bounds it.

use std::fmt;

use compact_str::CompactString;

/// A session's name: 1 to a configured number of bytes of UTF-8 without control characters, not `.` or `..`. A short one
/// (up to 24 bytes) stands in the value itself: to compare it is to look at no other memory.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionName(CompactString);

/// Why a text cannot name a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSessionName {
    /// The name is empty.
    #[error("a session name must not be empty")]
    Empty,
    /// The name is `.` or `..`.
    #[error("a session cannot be called \".\" or \"..\": whoever writes an address takes them out of it")]
    Dots,
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
    /// When it is empty, dots, too long, or has control characters.
    pub fn new(text: &str, max_bytes: usize) -> Result<SessionName, InvalidSessionName> {
        if text.is_empty() {
            return Err(InvalidSessionName::Empty);
        }
        // RFC 3986, section 5.2.4, also where they are percent-encoded.
        if matches!(text, "." | "..") {
            return Err(InvalidSessionName::Dots);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_any_text_without_control_characters() {
        for text in ["a", "agent-7", "deployments/42/logs", "...", " ", "Ünïcödé 🚰", "\u{2028}", "a\u{301}"]
        {
            assert_eq!(SessionName::new(text, 64).map(|name| name.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn threat_16_a_name_is_as_long_as_its_limit_and_no_longer() {
        assert!(SessionName::new(&"x".repeat(64), 64).is_ok());
        let too_long = InvalidSessionName::TooLong { bytes: 65, max_bytes: 64 };
        assert_eq!(SessionName::new(&"x".repeat(65), 64), Err(too_long));
        let bytes_count = InvalidSessionName::TooLong { bytes: 66, max_bytes: 64 };
        assert_eq!(SessionName::new(&"é".repeat(33), 64), Err(bytes_count));
        assert_eq!(SessionName::new("", 64), Err(InvalidSessionName::Empty));
        for dots in [".", ".."] {
            assert_eq!(SessionName::new(dots, 64), Err(InvalidSessionName::Dots));
        }
        assert!(SessionName::new("...", 64).is_ok() && SessionName::new(".a", 64).is_ok());
    }

    #[test]
    fn threat_13_a_name_with_a_control_character_is_refused_where_it_stands() {
        for character in ['\0', '\t', '\n', '\r', '\x1b', '\x7f', '\u{80}', '\u{85}', '\u{9f}'] {
            let refused = InvalidSessionName::ControlCharacter { code: u32::from(character), at: 3 };
            assert_eq!(SessionName::new(&format!("é-{character}x"), 64), Err(refused));
        }
        let refused = SessionName::new("a\nb", 64).map_err(|error| error.to_string());
        let said = "a session name must not contain control characters (U+000A at byte 1)";
        assert_eq!(refused, Err(said.to_owned()));
    }
}
