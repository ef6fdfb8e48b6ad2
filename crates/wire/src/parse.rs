//! An incremental parser of `text/event-stream`: any bytes in, cut anywhere, [`Item`]s out.
//!
//! Bytes that are not UTF-8 become U+FFFD and the stream goes on, as the standard has it. Lines end with CR,
//! LF or CRLF, and a bare CR ends its line at once: nothing waits for an LF that may never come. Time is linear
//! in the input and memory bounded by [`Limits`]. Knows nothing of connections, retries or time.

mod line;
mod parser;
mod pending;
mod start;

pub use parser::Parser;

use crate::limits::DEFAULT_MAX_EVENT_BYTES;

/// How much a parser may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// What one event may hold, bytes: its data, type and id together, as they came, finished or not. Field
    /// names, comments and fields without a meaning do not count; they are not kept.
    pub max_event_bytes: usize,
}

/// What a stream says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// An event.
    Event {
        /// The last id in force when the event ended: its own, or else that of an event before it.
        id: &'a str,
        /// Its type; `message` where it named none. Never empty.
        event_type: &'a str,
        /// Its data; lines are divided by LF, and there is none after the last.
        data: &'a str,
    },
    /// A comment: all that stands behind its colon. Of a long one only the first
    /// [`MAX_COMMENT_BYTES`](crate::limits::MAX_COMMENT_BYTES).
    Comment(&'a str),
    /// How long to wait before coming back, milliseconds, as the peer has it: 0 and `u64::MAX` are possible,
    /// so clamp it.
    Retry(u64),
}

/// How far [`Parser::feed`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fed {
    /// Bytes taken. Fewer than were given only where the sink stopped: feed the rest to go on.
    pub consumed: usize,
    /// Whether the sink stopped delivery.
    pub stopped: bool,
}

/// Why a stream cannot be parsed any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// An event, finished or not, holds more than [`Limits::max_event_bytes`]. What was buffered is freed, and
    /// the parser refuses more input until [`Parser::reset_for_reconnect`]. A retry from the same id meets
    /// the same event again.
    #[error("event of the stream is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The limit, bytes.
        limit: usize,
    },
}

impl Default for Limits {
    /// [`DEFAULT_MAX_EVENT_BYTES`].
    fn default() -> Limits {
        Limits { max_event_bytes: DEFAULT_MAX_EVENT_BYTES }
    }
}
