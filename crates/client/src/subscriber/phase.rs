//! Where a subscriber is. At most one of these holds a socket. Decides nothing.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::attempt::{Opened, Polled};
use crate::clock::{Clock, Sleep};
use crate::error::Error;
use crate::poll::Answer;
use crate::stream::OpenStream;

type Attempting<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// Dropping a phase drops its socket, its timer, and what the application's token function was doing.
pub(super) enum Phase {
    /// Until then there is no connection.
    Waiting(Wait),
    /// A stream is being opened: a token is asked for, a connection made, a head awaited.
    Opening(Attempting<Opened>),
    Open(Box<OpenStream>),
    /// A long-poll is under way.
    Polling(LongPoll),
    /// It was answered, and not all of the answer is delivered.
    Delivering(Box<Answer>, Asked),
    Over(End),
}

/// Why there is nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// By the application.
    Closed,
    /// By the server, with 204.
    Stopped,
    /// With an error, which was told.
    Failed,
    /// The hub said that the session has ended.
    Ended,
}

/// A wait without a connection.
pub(super) struct Wait {
    until: Duration,
    /// Made at the first poll, so that a subscriber can be made without a runtime.
    sleep: Option<Sleep>,
}

/// A long-poll under way.
pub(super) struct LongPoll {
    pub(super) answering: Attempting<Polled>,
    pub(super) asked: Asked,
}

/// When a long-poll was sent, and how long the hub was to hold it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) at: Duration,
    pub(super) wait: Duration,
}

impl Phase {
    /// On to the next attempt, without a wait.
    pub(super) fn at_once() -> Self {
        Self::Waiting(Wait { until: Duration::ZERO, sleep: None })
    }

    pub(super) fn waiting(until: Duration) -> Self {
        Self::Waiting(Wait { until, sleep: None })
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Waiting(_) => "waiting",
            Self::Opening(_) => "opening",
            Self::Open(_) => "open",
            Self::Polling(_) => "polling",
            Self::Delivering(..) => "delivering",
            Self::Over(End::Closed) => "closed",
            Self::Over(End::Stopped) => "stopped",
            Self::Over(End::Failed) => "failed",
            Self::Over(End::Ended) => "ended",
        }
    }
}

impl Wait {
    pub(super) fn poll(&mut self, clock: &dyn Clock, context: &mut Context<'_>) -> Poll<()> {
        while clock.now() < self.until {
            let sleep = self.sleep.get_or_insert_with(|| clock.sleep_until(self.until));
            ready!(sleep.as_mut().poll(context));
            // A timer may be a little early.
            self.sleep = None;
        }
        Poll::Ready(())
    }
}
