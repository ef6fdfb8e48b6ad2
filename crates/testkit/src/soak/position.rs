//! Ids as the checker takes them apart. A client must not; the checker knows that they are an epoch and a
//! sequence, and compares.

use std::fmt;

/// An id: after event number `sequence` of the life `epoch` of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) epoch: String,
    pub(super) sequence: u64,
}

impl Position {
    /// Takes an id of the hub apart.
    ///
    /// # Errors
    /// When it has not the form of one.
    pub(super) fn parse(id: &str) -> Result<Position, String> {
        let parts = id.split_once('-').and_then(|(epoch, sequence)| Some((epoch, sequence.parse().ok()?)));
        let (epoch, sequence) = parts.ok_or_else(|| format!("{id:?} is no id"))?;
        Ok(Position { epoch: epoch.to_owned(), sequence })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.sequence)
    }
}
