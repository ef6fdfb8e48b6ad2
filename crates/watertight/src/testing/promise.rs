//! What a source promises, and how it is said that it does not keep it.

use std::fmt;

/// A promise of every [`Source`](crate::Source).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Promise {
    /// Making it opens nothing and starts nothing; its first subscriber does.
    StartsWithItsFirstSubscriber,
    /// It publishes an event when it has something to say.
    Feeds,
    /// One run serves all subscribers, who get the same events in the same order.
    IsShared,
    /// Of one thing to say it makes one event.
    SaysEverythingOnce,
    /// Its run ends when nobody watches any more: it never holds up the thread that polls it.
    Stops,
    /// Once its run was dropped, at whichever await, nothing of it is left.
    LeavesNothing,
    /// It can be run again after it was dropped, has failed or has panicked.
    RunsAgain,
    /// When what it feeds from is broken, it says that it waits, or fails.
    TellsWhenBroken,
    /// When what it feeds from is mended, events come again.
    ComesBack,
    /// It stops at once when its session ends.
    EndsWithItsSession,
}

impl Promise {
    /// The promise as a sentence about the source.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Promise::StartsWithItsFirstSubscriber => "it starts with its first subscriber, and not before",
            Promise::Feeds => "it publishes an event when it has something to say",
            Promise::IsShared => "one run serves all subscribers, who get the same events in the same order",
            Promise::SaysEverythingOnce => "it says everything once",
            Promise::Stops => "it stops when nobody watches any more",
            Promise::LeavesNothing => "it leaves nothing behind, wherever it was dropped",
            Promise::RunsAgain => "it runs again after it was dropped or has failed",
            Promise::TellsWhenBroken => "it waits or fails when what it feeds from is broken",
            Promise::ComesBack => "it goes on when what it feeds from is mended",
            Promise::EndsWithItsSession => "it stops at once when its session ends",
        }
    }
}

/// A promise that a source does not keep.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the source does not keep its promise: {}\n  {seen}", .promise.text())]
pub struct BrokenPromise {
    /// Which.
    pub promise: Promise,
    /// What was seen instead.
    pub seen: String,
}

impl BrokenPromise {
    pub(super) fn new(promise: Promise, seen: impl fmt::Display) -> BrokenPromise {
        BrokenPromise { promise, seen: seen.to_string() }
    }
}
