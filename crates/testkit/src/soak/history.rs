//! What happened to one reader, for the message of a failure: the last of it, events in a row as one line.

use std::collections::VecDeque;
use std::fmt;

/// Lines that are kept.
const LINES: usize = 40;

#[derive(Debug)]
enum Line {
    Said(String),
    Events { first: String, last: String, count: u64 },
}

/// The last that a reader did and was told.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<Line>);

impl History {
    /// Adds a line.
    pub(super) fn say(&mut self, what: impl Into<String>) {
        self.push(Line::Said(what.into()));
    }

    /// Adds an event.
    pub(super) fn event(&mut self, id: &str) {
        if let Some(Line::Events { last, count, .. }) = self.0.back_mut() {
            id.clone_into(last);
            *count += 1;
        } else {
            self.push(Line::Events { first: id.to_owned(), last: id.to_owned(), count: 1 });
        }
    }

    fn push(&mut self, line: Line) {
        if self.0.len() == LINES {
            self.0.pop_front();
        }
        self.0.push_back(line);
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.0 {
            match line {
                Line::Said(what) => writeln!(f, "  {what}")?,
                Line::Events { first, last, count } => writeln!(f, "  {count} events, {first} to {last}")?,
            }
        }
        Ok(())
    }
}
