//! What one reader has been told, and what it must be told next: contiguous but for gaps, never doubled, never
//! reordered. The same for a stream and for long-polls, however often the reader leaves and comes back.

use std::time::Instant;

use super::model::Model;
use super::position::Position;
use crate::Gap;

/// What a reader asks for when it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    /// Live events only.
    Live,
    /// `?replay=all`.
    All,
    /// `?replay=N`.
    Last(u64),
    /// Everything after this id, which the hub may have given out or not.
    After(String),
}

/// How far one reader has come in its session.
#[derive(Debug)]
pub(super) struct Sequence {
    pub(super) session: String,
    /// What it has been told of, up to and including; `None` before the first time.
    last: Option<Position>,
    /// What it asked for and has no answer to yet, with the last event known when it asked.
    asked: Option<(Ask, Option<Position>)>,
}

impl Sequence {
    pub(super) fn new(session: &str) -> Sequence {
        Sequence { session: session.to_owned(), last: None, asked: None }
    }

    /// The id to come back with.
    pub(super) fn last(&self) -> Option<&Position> {
        self.last.as_ref()
    }

    /// Forgets everything: the next time it comes as a newcomer.
    pub(super) fn forget(&mut self) {
        self.last = None;
        self.asked = None;
    }

    /// Notes that it asks.
    pub(super) fn asks(&mut self, ask: Ask, model: &Model) {
        self.asked = Some((ask, model.head(&self.session)));
    }

    /// Notes that what it asked for was not answered.
    pub(super) fn gives_up(&mut self) {
        self.asked = None;
    }

    /// Whether it still waits for the first thing that it is told.
    pub(super) fn is_unanswered(&self) -> bool {
        self.asked.is_some()
    }

    /// A stream opened, or a poll came back, at `start`, and nothing is said to be missing.
    ///
    /// # Errors
    /// When something is.
    pub(super) fn starts(&mut self, start: Position, model: &mut Model) -> Result<(), String> {
        let Some((ask, floor)) = self.asked.take() else {
            return Err(format!("{start} is said to be the start, where {:?} is", self.last));
        };
        model.lives(&self.session, &start.epoch)?;
        let floor = floor.filter(|floor| floor.epoch == start.epoch).map_or(0, |floor| floor.sequence);
        match &ask {
            Ask::Live if start.sequence < floor => {
                return Err(format!("live events only were asked for, and {start} is before {floor}"));
            }
            Ask::Last(count) if start.sequence + count < floor => {
                return Err(format!("{count} events were asked for, and {start} is before {floor} by more"));
            }
            Ask::After(id) if *id != start.to_string() => {
                return Err(format!("{id} was asked for, and without a gap it goes on after {start}"));
            }
            _ => self.last = Some(start),
        }
        Ok(())
    }

    /// An event.
    ///
    /// # Errors
    /// When it is not the next.
    pub(super) fn event(
        &mut self,
        id: &str,
        event_type: &str,
        data: &str,
        model: &mut Model,
    ) -> Result<(), String> {
        let at = Position::parse(id)?;
        let before = Position {
            sequence: at.sequence.checked_sub(1).ok_or("an event without a number")?,
            ..at.clone()
        };
        if self.asked.is_some() {
            self.starts(before.clone(), model)?;
        }
        if self.last.as_ref() != Some(&before) {
            let last = self.last.as_ref().map(ToString::to_string).unwrap_or_default();
            return Err(format!("{at} came after {last}: lost, doubled or out of order"));
        }
        model.observe(&self.session, &at, event_type, data)?;
        self.last = Some(at);
        Ok(())
    }

    /// A gap.
    ///
    /// # Errors
    /// When it does not begin where the reader is, tells a wrong number, or a reason that cannot be.
    pub(super) fn gap(&mut self, gap: &Gap, model: &mut Model, now: Instant) -> Result<(), String> {
        let to = Position::parse(&gap.to)?;
        if gap.id != gap.to {
            return Err(format!("whoever comes back after this gap would miss or repeat something: {gap:?}"));
        }
        model.lives(&self.session, &to.epoch)?;
        model.note_told(&gap.reason);
        let asked = self.asked.take();
        if matches!(gap.reason.as_str(), "epoch" | "unknown_id") {
            self.unknown(gap, &to, asked.map(|(ask, _)| ask))?;
        } else {
            self.missing(gap, &to, asked.map(|(ask, _)| ask), model, now)?;
        }
        self.last = Some(to);
        Ok(())
    }

    /// A gap of which nothing is known but what follows it.
    fn unknown(&self, gap: &Gap, to: &Position, ask: Option<Ask>) -> Result<(), String> {
        let Some(Ask::After(id)) = ask else {
            return Err(format!("nobody asked for an id, and is told {gap:?}"));
        };
        if gap.missed.is_some() {
            return Err(format!("nobody can know how many are missing: {gap:?}"));
        }
        let given_out = Position::parse(&id).ok();
        let is_right = match gap.reason.as_str() {
            "epoch" => {
                let is_other = given_out.is_some_and(|id| id.epoch != to.epoch);
                is_other && gap.from.as_deref() == Some(&*id)
            }
            // Its own last event is an id that was given out.
            _ => {
                let is_own =
                    self.last.as_ref().is_some_and(|last| last.epoch == to.epoch && id == last.to_string());
                !is_own && gap.from.as_deref().is_none_or(|from| from == id)
            }
        };
        if is_right { Ok(()) } else { Err(format!("{id} was asked for, and this is the answer: {gap:?}")) }
    }

    /// A gap whose events are known by number.
    fn missing(
        &self,
        gap: &Gap,
        to: &Position,
        ask: Option<Ask>,
        model: &Model,
        now: Instant,
    ) -> Result<(), String> {
        let Some(from) = &gap.from else { return Err(format!("without `from`: {gap:?}")) };
        let from = Position::parse(from)?;
        let expected = match &ask {
            None => self.last.clone(),
            Some(Ask::After(id)) => Some(Position::parse(id)?),
            Some(Ask::Live) => {
                return Err(format!("live events only were asked for, and this is told: {gap:?}"));
            }
            Some(Ask::All | Ask::Last(_)) => None,
        };
        if let Some(last) = expected
            && (from.epoch != last.epoch || from.sequence != last.sequence + 1)
        {
            return Err(format!("a gap that does not begin after {last}: {gap:?}"));
        }
        let is_sound = from.epoch == to.epoch && from.sequence > 0 && from.sequence <= to.sequence;
        if !is_sound || gap.missed != Some(to.sequence - from.sequence + 1) {
            return Err(format!("a gap that does not add up: {gap:?}"));
        }
        model.justify(&self.session, gap, from.sequence, to, now)
    }

    /// The reader was told that its session ended.
    ///
    /// # Errors
    /// When others know otherwise.
    pub(super) fn session_ended(&self, model: &mut Model) -> Result<(), String> {
        match &self.last {
            Some(last) if self.asked.is_none() => model.ended(&self.session, last),
            _ => Ok(()),
        }
    }

    /// Whether it has been told of everything up to `head`.
    pub(super) fn has(&self, head: &Position) -> bool {
        let last = self.last.as_ref().filter(|_| self.asked.is_none());
        last.is_some_and(|last| last.epoch == head.epoch && last.sequence >= head.sequence)
    }
}
