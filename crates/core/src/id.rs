//! Ids: an epoch and a sequence.
//!
//! The epoch is drawn at random whenever a log begins anew, so an id of another session or of an earlier life
//! of this one is recognised for what it is, in O(1), without keeping anything about the past. Clients treat
//! the text as opaque.

use std::fmt;
use std::str::FromStr;

use crate::limits::SEQUENCE_MAX;

/// Characters of an epoch's text, five bits each: 60 bits in 12 characters.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const EPOCH_CHARS: usize = 12;
const EPOCH_BITS: u32 = 60;

/// One life of a session's log. 60 random bits: two lives share one with a chance of 2^-60.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// A new epoch from the operating system's random source.
    ///
    /// # Errors
    /// When the operating system has no randomness to give; there is no weaker fallback.
    pub fn random() -> Result<Epoch, getrandom::Error> {
        Ok(Epoch::from_bits(getrandom::u64()?))
    }

    /// The epoch made of the lowest 60 bits: for tests and models.
    #[must_use]
    pub fn from_bits(bits: u64) -> Epoch {
        Epoch(bits & ((1 << EPOCH_BITS) - 1))
    }

    /// Its 60 bits.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }

    fn text(self) -> [u8; EPOCH_CHARS] {
        let mut text = [0; EPOCH_CHARS];
        for (index, character) in text.iter_mut().rev().enumerate() {
            let digit = (self.0 >> (5 * index)) & 31;
            *character = ALPHABET[usize::try_from(digit).unwrap_or(0)];
        }
        text
    }

    fn parse(text: &[u8]) -> Option<Epoch> {
        let mut bits = 0u64;
        for character in text {
            let digit = ALPHABET.iter().position(|known| known == character)?;
            bits = (bits << 5) | u64::try_from(digit).ok()?;
        }
        Some(Epoch(bits))
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.text()).unwrap_or_default())
    }
}

/// A position in a session's log: after event number `sequence` of `epoch`. Sequence 0 is before the first event.
///
/// Its text, `EPOCH-SEQUENCE`, is the `id:` of the event that stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// Which life of the log.
    pub epoch: Epoch,
    /// How many events of that life came up to and including this position; at most [`SEQUENCE_MAX`].
    pub sequence: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.sequence)
    }
}

/// A text that no hub ever gave out as an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of this hub: expected EPOCH-SEQUENCE")]
pub struct InvalidPosition;

impl FromStr for Position {
    type Err = InvalidPosition;

    /// Accepts exactly what [`Position`]'s `Display` writes: one text per position, so two ids never alias.
    fn from_str(text: &str) -> Result<Position, InvalidPosition> {
        let bytes = text.as_bytes();
        let (epoch, rest) = bytes.split_at_checked(EPOCH_CHARS).ok_or(InvalidPosition)?;
        let epoch = Epoch::parse(epoch).ok_or(InvalidPosition)?;
        let digits = rest.strip_prefix(b"-").ok_or(InvalidPosition)?;
        let canonical = digits == b"0" || matches!(digits.first(), Some(b'1'..=b'9'));
        if !canonical || digits.len() > 16 || !digits.iter().all(u8::is_ascii_digit) {
            return Err(InvalidPosition);
        }
        let sequence = digits.iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        if sequence > SEQUENCE_MAX {
            return Err(InvalidPosition);
        }
        Ok(Position { epoch, sequence })
    }
}

/// A position's text on the stack: what the encoder wants, without an allocation per event.
#[derive(Debug, Clone, Copy)]
pub struct PositionText {
    bytes: [u8; crate::limits::ID_TEXT_BYTES_MAX],
    start: usize,
}

impl Position {
    /// How long the text of a position with that sequence is, bytes.
    #[must_use]
    pub fn text_len(sequence: u64) -> usize {
        let digits = sequence.min(SEQUENCE_MAX).checked_ilog10().map_or(1, |zeros| zeros as usize + 1);
        EPOCH_CHARS + 1 + digits
    }

    /// The position's text, written backwards into a buffer of fixed size.
    #[must_use]
    pub fn text(self) -> PositionText {
        let mut bytes = [0; crate::limits::ID_TEXT_BYTES_MAX];
        let mut start = bytes.len();
        let mut rest = self.sequence.min(SEQUENCE_MAX);
        loop {
            start -= 1;
            bytes[start] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        start -= 1;
        bytes[start] = b'-';
        start -= EPOCH_CHARS;
        bytes[start..start + EPOCH_CHARS].copy_from_slice(&self.epoch.text());
        PositionText { bytes, start }
    }
}

impl PositionText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The bytes of the text; all ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}
