//! What a parser made of a stream, owned, to be compared.

use crate::{Item, ParseError};

/// An [`Item`] of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnedItem {
    /// An event.
    Event {
        /// The last id in force.
        id: String,
        /// Its type.
        event_type: String,
        /// Its data.
        data: String,
    },
    /// A comment.
    Comment(String),
    /// A time to wait, milliseconds.
    Retry(u64),
}

/// All that a parser made of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What it delivered, in order.
    pub items: Vec<OwnedItem>,
    /// Why it stopped.
    pub error: Option<ParseError>,
    /// What a client coming back would send.
    pub last_event_id: String,
}

impl From<Item<'_>> for OwnedItem {
    fn from(item: Item<'_>) -> OwnedItem {
        match item {
            Item::Event { id, event_type, data } => OwnedItem::Event {
                id: id.to_owned(),
                event_type: event_type.to_owned(),
                data: data.to_owned(),
            },
            Item::Comment(text) => OwnedItem::Comment(text.to_owned()),
            Item::Retry(milliseconds) => OwnedItem::Retry(milliseconds),
        }
    }
}
