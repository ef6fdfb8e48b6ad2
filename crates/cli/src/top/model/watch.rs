//! The events of the session that is watched: the newest, as lines.

use std::collections::VecDeque;

use watertight_client::{Item, Status};

use crate::plain::push_escaped;

/// Lines that are kept.
const LINES_MAX: usize = 200;
/// Characters of an event that are.
const LINE_CHARS_MAX: usize = 500;

/// A session that is watched.
#[derive(Debug)]
pub(in crate::top) struct Watch {
    /// As text that can be shown.
    pub(in crate::top) session: String,
    /// What became of the connection.
    pub(in crate::top) state: String,
    /// Events so far.
    pub(in crate::top) events: u64,
    pub(in crate::top) lines: VecDeque<Seen>,
}

/// What was seen.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::top) enum Seen {
    Event(String),
    Gap(String),
}

impl Watch {
    pub(in crate::top) fn new(session: &str) -> Self {
        Self { session: line(session), state: "connecting".into(), events: 0, lines: VecDeque::new() }
    }

    /// Takes what the client says.
    pub(in crate::top) fn push(&mut self, item: &Item) {
        match item {
            Item::Event(event) => {
                self.events = self.events.saturating_add(1);
                self.keep(Seen::Event(line(&format!("{}  {}  {}", event.id, event.event_type, event.data))));
            }
            Item::Gap(gap) => {
                let missed =
                    gap.missed.map_or("an unknown number of".to_owned(), |missed| missed.to_string());
                self.keep(Seen::Gap(line(&format!("gap: {missed} events missed ({})", gap.reason))));
            }
            Item::Status(status) => self.say(match status {
                Status::Connecting { .. } => "connecting",
                Status::Open => "live",
                Status::Polling => "live, by long-poll",
                Status::ClosingEvent { message, .. } => message,
                Status::Waiting { reason, .. } => reason,
                Status::Stopped => "the hub has nothing more to send",
                _ => return,
            }),
            _ => {}
        }
    }

    /// What became of the connection; words of anybody.
    pub(in crate::top) fn say(&mut self, state: &str) {
        self.state = line(state);
    }

    fn keep(&mut self, seen: Seen) {
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(seen);
    }
}

/// Text of anybody as a part of a line.
fn line(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars().take(LINE_CHARS_MAX) {
        push_escaped(&mut line, character);
    }
    line
}

#[cfg(test)]
mod tests {
    use watertight_client::{Event, Gap};

    use super::*;

    #[test]
    fn only_the_newest_events_are_kept_and_only_the_beginning_of_each() {
        let mut watch = Watch::new("demo");
        for number in 0..10_000 {
            watch.push(&Item::Event(Event::new(format!("7-{number}"), "message", "x".repeat(10_000))));
        }
        assert_eq!((watch.events, watch.lines.len()), (10_000, LINES_MAX));
        let Some(Seen::Event(last)) = watch.lines.back() else { panic!("{:?}", watch.lines.back()) };
        assert!(last.starts_with("7-9999  message  xxx"), "{last}");
        assert_eq!(last.len(), LINE_CHARS_MAX);
    }

    #[test]
    fn gaps_and_the_state_of_the_connection_are_told_and_nothing_steers() {
        let mut watch = Watch::new("a\u{1b}[2J");
        let mut gap = Gap::new("lagged\u{202e}");
        watch.push(&Item::Gap(gap.clone()));
        gap.missed = Some(4);
        watch.push(&Item::Gap(gap));
        let told = "gap: an unknown number of events missed (lagged\\u202e)";
        assert_eq!(watch.lines[0], Seen::Gap(told.into()));
        assert_eq!(watch.lines[1], Seen::Gap("gap: 4 events missed (lagged\\u202e)".into()));
        watch.push(&Item::Status(Status::Open));
        assert_eq!((watch.session.as_str(), watch.state.as_str()), ("a\\u001b[2J", "live"));
    }
}
