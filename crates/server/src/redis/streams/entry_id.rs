//! The id of an entry: milliseconds and a number, `1526919030474-55`.

use std::fmt;
use std::str::FromStr;

/// The id of an entry of a stream. They rise within a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct EntryId {
    /// Usually milliseconds since 1970.
    pub(crate) milliseconds: u64,
    /// Which one of that millisecond.
    pub(crate) number: u64,
}

/// The text is no id of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id of an entry is two numbers, such as 1526919030474-55")]
pub(crate) struct InvalidEntryId;

impl EntryId {
    /// Before every entry.
    pub(crate) const START: EntryId = EntryId { milliseconds: 0, number: 0 };

    /// The one before it, of all that are possible.
    pub(super) fn previous(self) -> EntryId {
        match (self.milliseconds, self.number) {
            (0, 0) => EntryId::START,
            (milliseconds, 0) => EntryId { milliseconds: milliseconds - 1, number: u64::MAX },
            (milliseconds, number) => EntryId { milliseconds, number: number - 1 },
        }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.milliseconds, self.number)
    }
}

impl FromStr for EntryId {
    type Err = InvalidEntryId;

    fn from_str(text: &str) -> Result<EntryId, InvalidEntryId> {
        // Digits only: `parse` by itself would take `+1`.
        let number = |digits: &str| match digits.bytes().all(|b| b.is_ascii_digit()) {
            true => digits.parse().map_err(|_| InvalidEntryId),
            false => Err(InvalidEntryId),
        };
        let (milliseconds, counter) = text.split_once('-').ok_or(InvalidEntryId)?;
        Ok(EntryId { milliseconds: number(milliseconds)?, number: number(counter)? })
    }
}
