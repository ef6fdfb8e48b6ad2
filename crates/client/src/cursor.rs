//! Where a subscription stands: the id to resume from, whichever way events come. Belongs to the subscriber
//! and outlives every connection, every token and every change between stream and long-poll.

use http::HeaderValue;

use crate::event::Gap;
use crate::limits::LAST_EVENT_ID_BYTES;
use crate::position::Position;

/// The last position, and what was delivered up to it.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    /// The id in force; empty for none.
    id: String,
    /// The last id that a request can carry: `id`, unless that one is such that no header may have it.
    resume: String,
    /// The hub's own position up to which everything was delivered: what is not after it is a duplicate.
    delivered: Option<Position>,
    /// The last gap that was told: who repeats it says nothing new.
    last_gap: Option<Gap>,
}

impl Cursor {
    /// The id in force; empty for none.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The id to send with the next request; empty for none.
    pub(crate) fn resume(&self) -> &str {
        &self.resume
    }

    /// The same as a `Last-Event-ID`.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let value = HeaderValue::from_bytes(self.resume.as_bytes()).ok();
        value.filter(|value| !value.is_empty())
    }

    /// Whether an event with this id was delivered before. An id that is not of the hub's form never was.
    pub(crate) fn is_duplicate(&self, id: &str) -> bool {
        self.delivered.is_some_and(|last| Position::parse(id).is_some_and(|at| !at.is_news_after(last)))
    }

    /// An event was delivered. Returns whether the position moved.
    pub(crate) fn event(&mut self, id: &str) -> bool {
        if id == self.id {
            return false;
        }
        self.delivered = Position::parse(id);
        self.set(id);
        true
    }

    /// The hub said where the stream stands: with a gap, after which it may begin anew further back, or
    /// because the application wants it there. Returns whether the position moved.
    pub(crate) fn jump(&mut self, id: &str) -> bool {
        let moved = id != self.id;
        self.delivered = Position::parse(id);
        self.set(id);
        moved
    }

    /// A gap came. `false`: it was told before, and the stream has gone on since: whoever answers so repeats what it has
    /// said, as a cache does.
    pub(crate) fn is_news(&mut self, gap: &Gap) -> bool {
        let is_behind = gap.to.as_deref().is_some_and(|to| self.is_duplicate(to));
        if is_behind && self.last_gap.as_ref() == Some(gap) {
            return false;
        }
        self.last_gap = Some(gap.clone());
        true
    }

    /// A position without an event. One that was passed already does not count.
    pub(crate) fn pass(&mut self, id: &str) {
        if id != self.id && !self.is_duplicate(id) {
            self.set(id);
        }
    }

    /// Something is missing, and nobody says where it goes on: anything that comes now is news.
    pub(crate) fn forget_delivered(&mut self) {
        self.delivered = None;
    }

    fn set(&mut self, id: &str) {
        self.id.clear();
        self.id.push_str(id);
        // The stream goes on with the id before, rather than end for one that cannot be sent.
        if is_sendable(id) {
            self.resume.clear();
            self.resume.push_str(id);
        }
    }
}

/// Whether a request can carry the id: no control characters (RFC 9110, section 5.5), not too long.
pub(crate) fn is_sendable(id: &str) -> bool {
    let harmless = |byte: u8| byte >= b' ' && byte != 0x7f;
    // A header's value loses blanks at its ends.
    let kept = id.trim_matches(' ').len() == id.len();
    id.len() <= LAST_EVENT_ID_BYTES && kept && id.bytes().all(harmless)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "mg931z5aashp-1";
    const SECOND: &str = "mg931z5aashp-2";
    const NEW_LIFE: &str = "00000000000z-1";

    #[test]
    fn what_was_delivered_is_a_duplicate_and_what_is_foreign_never_is() {
        let mut cursor = Cursor::default();
        assert!(!cursor.is_duplicate(FIRST));
        assert!(cursor.event(SECOND));
        assert!(cursor.is_duplicate(FIRST) && cursor.is_duplicate(SECOND));
        assert!(!cursor.is_duplicate("mg931z5aashp-3") && !cursor.is_duplicate(NEW_LIFE));
        cursor.event("7");
        assert!(!cursor.is_duplicate("7") && !cursor.is_duplicate(FIRST));
    }

    #[test]
    fn a_position_that_was_passed_does_not_take_the_cursor_back() {
        let mut cursor = Cursor::default();
        cursor.event(SECOND);
        cursor.pass(FIRST);
        assert_eq!(cursor.id(), SECOND);
        cursor.pass(NEW_LIFE);
        assert_eq!(cursor.id(), NEW_LIFE);
    }

    #[test]
    fn after_a_gap_the_hub_may_begin_further_back() {
        let mut cursor = Cursor::default();
        cursor.event("mg931z5aashp-900");
        assert!(cursor.jump("mg931z5aashp-0"));
        assert!(!cursor.is_duplicate(FIRST));
    }

    #[test]
    fn an_id_that_no_header_may_carry_never_ends_the_stream() {
        let mut cursor = Cursor::default();
        cursor.event("7-1");
        for unsendable in ["a\u{1}b", &"x".repeat(LAST_EVENT_ID_BYTES + 1), " 7", "7\u{7f}"] {
            cursor.event(unsendable);
            assert_eq!((cursor.id(), cursor.resume()), (unsendable, "7-1"));
        }
        cursor.event("é☃");
        assert_eq!(cursor.header().unwrap().as_bytes(), "é☃".as_bytes());
    }

    #[test]
    fn an_empty_id_takes_the_last_one_back() {
        let mut cursor = Cursor::default();
        cursor.jump("stored");
        cursor.event("");
        assert_eq!((cursor.id(), cursor.header()), ("", None));
    }
}
