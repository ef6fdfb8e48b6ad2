//! Bytes that came from Redis, cut where they were longer than the hub takes.

use bytes::Bytes;

/// A message, or a field of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Payload {
    /// Its first bytes; all of them, unless it [is cut](Payload::is_cut). A cut may fall inside a character.
    pub(crate) bytes: Bytes,
    /// How many it had at Redis.
    pub(crate) whole_bytes: u64,
}

impl Payload {
    /// Whether bytes are missing at its end.
    pub(crate) fn is_cut(&self) -> bool {
        self.whole_bytes > self.bytes.len() as u64
    }
}
