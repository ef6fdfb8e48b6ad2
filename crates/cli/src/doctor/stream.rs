//! A stream as it comes: its events, one by one, with a deadline for each. It is there from the moment at which it was
//! asked for, because a proxy may hold back even its head.

use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

use watertight_wire::{Item, Limits, Parser};

use super::clock::now;
use super::http::{Answering, Head};

/// What a stream says next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Event { event_type: String, data: String },
    Comment,
}

/// What became of waiting for it.
#[derive(Debug)]
pub(super) enum Next {
    Said(Said),
    /// Nothing within the time.
    Silence,
    /// The end, and the error that it was, if it was one.
    End(Option<io::Error>),
}

pub(super) struct Stream {
    answering: Answering,
    parser: Parser,
    /// What one read brought, and nobody has asked for yet.
    said: VecDeque<Said>,
    ended: bool,
}

impl Stream {
    pub(super) fn new(answering: Answering) -> Stream {
        Stream { answering, parser: Parser::new(Limits::default()), said: VecDeque::new(), ended: false }
    }

    pub(super) fn head(&self) -> Option<&Head> {
        self.answering.head()
    }

    /// What the stream says next, within this time.
    pub(super) async fn next(&mut self, within: Duration) -> Next {
        let deadline = now() + within;
        loop {
            if let Some(said) = self.said.pop_front() {
                return Next::Said(said);
            }
            if self.ended {
                return Next::End(None);
            }
            match tokio::time::timeout_at(deadline, self.pull()).await {
                Err(_) => return Next::Silence,
                Ok(Err(error)) => {
                    self.ended = true;
                    return Next::End(Some(error));
                }
                Ok(Ok(())) => {}
            }
        }
    }

    /// Waits for the event with this text. `None`: it did not come in time, or the stream ended.
    pub(super) async fn expect(&mut self, text: &str, within: Duration) -> Option<Duration> {
        let begun = now();
        loop {
            let left = within.checked_sub(begun.elapsed())?;
            match self.next(left).await {
                Next::Said(Said::Event { data, .. }) if data == text => return Some(begun.elapsed()),
                Next::Said(_) => {}
                Next::Silence | Next::End(_) => return None,
            }
        }
    }

    async fn pull(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        self.ended = !self.answering.pull(&mut bytes).await?;
        let said = &mut self.said;
        let fed = self.parser.feed(&bytes, &mut |item| {
            match item {
                Item::Event { event_type, data, .. } => {
                    said.push_back(Said::Event { event_type: event_type.to_owned(), data: data.to_owned() });
                }
                Item::Comment(_) => said.push_back(Said::Comment),
                Item::Retry(_) => {}
            }
            ControlFlow::Continue(())
        });
        fed.map(|_| ()).map_err(io::Error::other)
    }
}
