//! A subscriber that keeps the last it has read.

use std::collections::VecDeque;

use futures_util::{FutureExt as _, StreamExt as _};
use watertight_core::CloseReason;

use crate::event::{Message, Received};
use crate::subscription::Subscription;

/// Messages that a reader keeps to be compared: a source that never rests fills no memory.
const KEPT_MAX: usize = 64;

/// A subscriber. Dropping it ends its subscription.
#[derive(Debug)]
pub(super) struct Reader {
    stream: Subscription,
    /// The last messages.
    last: VecDeque<Message>,
    events: u64,
    /// An event that has come twice.
    doubled: Option<String>,
    closed: Option<CloseReason>,
}

impl Reader {
    pub(super) fn new(stream: Subscription) -> Reader {
        Reader { stream, last: VecDeque::new(), events: 0, doubled: None, closed: None }
    }

    /// Ends its subscription; what it has read is left.
    pub(super) fn left(mut self) -> VecDeque<Message> {
        self.read();
        self.last
    }

    /// The same, which remembers what another has read before.
    pub(super) fn after(self, last: VecDeque<Message>) -> Reader {
        Reader { last, ..self }
    }

    /// Reads what is there, without waiting: at most as much as it keeps.
    pub(super) fn read(&mut self) {
        for _ in 0..KEPT_MAX {
            let Some(Some(message)) = self.stream.next().now_or_never() else { return };
            match message {
                Message::Closed(reason) => self.closed = Some(reason),
                message => {
                    if let Message::Event(event) = &message {
                        self.events += 1;
                        if self.last.iter().any(|known| is_same(known, event)) {
                            self.doubled = Some(event.data.clone());
                        }
                    }
                    if self.last.len() == KEPT_MAX {
                        self.last.pop_front();
                    }
                    self.last.push_back(message);
                }
            }
        }
    }

    /// Events read so far.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// The text of an event that has come twice, among those that are kept.
    pub(super) fn doubled(&self) -> Option<&str> {
        self.doubled.as_deref()
    }

    /// Why it was closed.
    pub(super) fn closed(&self) -> Option<CloseReason> {
        self.closed
    }

    /// Whether `later`, who came after this one, has read the same since.
    pub(super) fn has_read_the_same(&self, later: &Reader) -> bool {
        let count = self.last.len().min(later.last.len());
        self.last.iter().rev().take(count).eq(later.last.iter().rev().take(count))
    }

    pub(super) fn last(&self) -> &VecDeque<Message> {
        &self.last
    }
}

/// Whether a message is an event that says the same as another, whatever their ids.
fn is_same(message: &Message, event: &Received) -> bool {
    matches!(message, Message::Event(it) if (&it.event_type, &it.data) == (&event.event_type, &event.data))
}
