//! The form of the hub's ids, as far as a client needs it: to know an event that it had already.
//!
//! Anything else is a foreign id, and nothing is concluded from it.

/// Characters of an epoch.
const EPOCH_CHARS: usize = 12;

/// Digits of the largest sequence, 2^53 - 1.
const SEQUENCE_DIGITS_MAX: usize = 16;

/// A place in a session's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    epoch: [u8; EPOCH_CHARS],
    sequence: u64,
}

impl Position {
    /// Reads an id of the hub's form: 12 characters of its alphabet, a dash, a decimal number.
    pub(crate) fn parse(id: &str) -> Option<Self> {
        let (epoch, rest) = id.as_bytes().split_first_chunk::<EPOCH_CHARS>()?;
        let digits = rest.strip_prefix(b"-")?;
        // i, l, o and u are left out of the alphabet.
        let of_alphabet = |byte: &u8| {
            byte.is_ascii_digit() || (byte.is_ascii_lowercase() && !matches!(byte, b'i' | b'l' | b'o' | b'u'))
        };
        let canonical = digits == b"0" || matches!(digits.first(), Some(b'1'..=b'9'));
        if !epoch.iter().all(of_alphabet)
            || !canonical
            || digits.len() > SEQUENCE_DIGITS_MAX
            || !digits.iter().all(u8::is_ascii_digit)
        {
            return None;
        }
        let sequence = digits.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        Some(Self { epoch: *epoch, sequence })
    }

    /// Whether this lies after `other` in the same life of a log, or in another life: where nothing is
    /// before or after anything.
    pub(crate) fn is_news_after(self, other: Self) -> bool {
        self.epoch != other.epoch || self.sequence > other.sequence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hubs_own_form_is_a_position() {
        assert!(Position::parse("mg931z5aashp-0").is_some());
        assert!(Position::parse("mg931z5aashp-9007199254740991").is_some());
        for foreign in [
            "",
            "7-1",
            "mg931z5aashp",
            "mg931z5aashp-",
            "mg931z5aashp-01",
            "mg931z5aashp--1",
            "mg931z5aashp-1x",
            "mg931z5aashp-90071992547409911",
            "mg931z5aash-1",
            "mg931z5aashl-1",
            "MG931z5aashp-1",
            "2026-01-01T00:00:00Z",
            "ééééééééé-1",
        ] {
            assert_eq!(Position::parse(foreign), None, "{foreign:?}");
        }
    }

    #[test]
    fn order_is_known_within_one_epoch_only() {
        let at = |id| Position::parse(id).unwrap();
        assert!(at("mg931z5aashp-10").is_news_after(at("mg931z5aashp-9")));
        assert!(!at("mg931z5aashp-9").is_news_after(at("mg931z5aashp-9")));
        assert!(at("000000000000-1").is_news_after(at("mg931z5aashp-9")));
    }
}
