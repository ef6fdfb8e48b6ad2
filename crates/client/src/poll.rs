//! The answer to a long-poll. Knows no request and no waiting.

use std::collections::VecDeque;

use serde::Deserialize;

use crate::cursor::Cursor;
use crate::error::Error;
use crate::event::{ClosingData, Event, Gap, Item};
use crate::limits::{POLL_BODY_FACTOR, POLL_DATA_BYTES};

/// What a hub answers.
#[derive(Deserialize)]
pub(crate) struct Answer {
    gap: Option<Gap>,
    events: VecDeque<PolledEvent>,
    /// The position after all of it.
    next: String,
    /// Nothing came and nothing will.
    end: Option<ClosingData>,
    /// Whether anything of it was news.
    #[serde(skip)]
    fruitful: bool,
    /// Whether `end` was there, and was given.
    #[serde(skip)]
    ended: bool,
}

#[derive(Deserialize)]
struct PolledEvent {
    id: String,
    #[serde(rename = "type")]
    event_type: String,
    data: String,
}

impl Answer {
    /// The longest body to read if events may be of this size, in bytes.
    pub(crate) fn body_bytes_max(max_event_bytes: usize) -> usize {
        max_event_bytes.max(POLL_DATA_BYTES).saturating_mul(POLL_BODY_FACTOR)
    }

    /// Reads it; `None` if it is not what a hub answers.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// The next item of it, whose position the cursor takes over; `None` when all of it was delivered.
    ///
    /// # Errors
    /// [`Error::EventTooLarge`], as over a stream.
    pub(crate) fn next_item(&mut self, cursor: &mut Cursor, limit: usize) -> Option<Result<Item, Error>> {
        if let Some(gap) = self.gap.take().filter(|gap| cursor.is_news(gap)) {
            match gap.to.as_deref() {
                Some(to) => self.fruitful |= cursor.jump(to),
                None => cursor.forget_delivered(),
            }
            return Some(Ok(Item::Gap(gap)));
        }
        while let Some(PolledEvent { id, event_type, data }) = self.events.pop_front() {
            if id.len() + event_type.len() + data.len() > limit {
                return Some(Err(Error::EventTooLarge { limit }));
            }
            if !cursor.is_duplicate(&id) {
                cursor.event(&id);
                self.fruitful = true;
                return Some(Ok(Item::Event(Event { id, event_type, data })));
            }
        }
        cursor.pass(&self.next);
        let end = self.end.take()?;
        self.ended = true;
        Some(Ok(Item::Status(end.status("the hub ends the session"))))
    }

    /// Whether the hub ended the session with it.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether something of it was delivered that had not been before.
    pub(crate) fn is_fruitful(&self) -> bool {
        self.fruitful
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Status;

    fn items(json: &str, cursor: &mut Cursor) -> Vec<Item> {
        let mut answer = Answer::parse(json.as_bytes()).unwrap();
        std::iter::from_fn(|| answer.next_item(cursor, 1000)).map(Result::unwrap).collect()
    }

    #[test]
    fn a_gap_comes_before_the_events_and_the_position_after_them() {
        let json = r#"{"events":[{"id":"mg931z5aashp-8","type":"tick","data":"x"}],"next":"mg931z5aashp-9",
            "gap":{"from":null,"to":"mg931z5aashp-7","missed":null,"reason":"epoch"},"later":"field"}"#;
        let mut cursor = Cursor::default();
        let items = items(json, &mut cursor);
        assert!(matches!(&items[0], Item::Gap(gap) if gap.reason == "epoch"), "{items:?}");
        assert!(matches!(&items[1], Item::Event(event) if event.event_type == "tick"), "{items:?}");
        assert_eq!((items.len(), cursor.id()), (2, "mg931z5aashp-9"));
    }

    #[test]
    fn an_answer_that_is_repeated_tells_its_gap_and_its_events_once() {
        let json = r#"{"events":[{"id":"mg931z5aashp-8","type":"tick","data":"x"}],"next":"mg931z5aashp-9",
            "gap":{"from":null,"to":"mg931z5aashp-7","missed":null,"reason":"epoch"}}"#;
        let mut cursor = Cursor::default();
        assert_eq!(items(json, &mut cursor).len(), 2);
        let mut again = Answer::parse(json.as_bytes()).unwrap();
        assert!(again.next_item(&mut cursor, 1000).is_none(), "told already");
        assert!(!again.is_fruitful(), "so it hurries no poll");
        assert_eq!(cursor.id(), "mg931z5aashp-9");
        let other = json.replace("mg931z5aashp-7", "mg931z5aashp-6");
        assert_eq!(items(&other, &mut cursor).len(), 2, "another gap is news, wherever it leads");
    }

    #[test]
    fn the_end_of_a_session_is_a_closing_event() {
        let json = r#"{"events":[],"next":"7","gap":null,"end":{"error":"over","code":"SESSION_ENDED"}}"#;
        let closing = Status::ClosingEvent { code: "SESSION_ENDED".into(), message: "over".into() };
        assert_eq!(items(json, &mut Cursor::default()), [Item::Status(closing)]);
    }

    #[test]
    fn what_no_hub_answers_is_not_understood() {
        for body in ["", "[]", "{}", r#"{"events":[]}"#, r#"{"events":[{"id":7}],"next":"7"}"#, "<html>"] {
            assert!(Answer::parse(body.as_bytes()).is_none(), "{body}");
        }
    }

    #[test]
    fn an_event_over_the_limit_is_an_error_here_too() {
        let data = "x".repeat(1001);
        let json = format!(r#"{{"events":[{{"id":"7","type":"t","data":"{data}"}}],"next":"7"}}"#);
        let mut answer = Answer::parse(json.as_bytes()).unwrap();
        let item = answer.next_item(&mut Cursor::default(), 1000).unwrap();
        assert!(matches!(item, Err(Error::EventTooLarge { limit: 1000 })));
    }
}
