//! The end of a round: everybody catches up, everything is given back.

use super::{IDLE, Round, now};
use crate::PATIENCE;
use crate::soak::Trouble;
use crate::soak::line::Protocol;
use crate::soak::model::Order;
use crate::soak::position::Position;
use crate::soak::publisher::{Begun, Form, Manner, Publication, Try};
use crate::soak::reader::Pace;
use crate::soak::sequence::Ask;

impl Round {
    /// The end: everybody who is away comes back, everybody gets everything, and then nothing is left.
    ///
    /// # Errors
    /// What is wrong.
    pub(in crate::soak) fn settle(&mut self) -> Result<(), Trouble> {
        self.again.clear();
        self.readers.iter_mut().for_each(|reader| reader.paces(Pace::Eager));
        self.wait("all requests are answered", |round| {
            Ok(round.tries.is_empty() && round.deletions.is_empty())
        })?;
        // A last event in each session, so that everybody has something to come to.
        let mut lasts = Vec::new();
        for session in self.sessions.clone() {
            lasts.push(self.publish_last(&session)?);
        }
        self.wait_for_readers(&lasts)?;
        for (session, last) in self.sessions.clone().into_iter().zip(&lasts) {
            self.wait("the hub and the readers know the same last event", |round| {
                let path = format!("/sessions/{session}/events?wait=0");
                let request = round.hub.client().request("GET", path).header("Accept", "application/json");
                let next = request.send().expect(200).json()["next"].as_str().unwrap_or_default().to_owned();
                let known = round.model.head_of(&session, &last.epoch);
                Ok(known.is_some_and(|sequence| next == format!("{}-{sequence}", last.epoch)))
            })?;
        }
        for number in 0..self.readers.len() {
            self.readers[number].leave(number % 2 == 0);
        }
        for session in self.sessions.clone() {
            self.begin_deletion(session);
        }
        self.wait("all sessions are deleted", |round| Ok(round.deletions.is_empty()))?;
        // The last ends are remembered for a while, and what asks until then may find the one that asked before: the
        // balance looks at connections and requests.
        let is_back = |round: &mut Round| Ok(round.hub.stats().kept_bytes() == round.kept_at_start);
        self.wait("every byte that was kept is given back", is_back)?;
        self.hub.assert_balanced();
        Ok(())
    }

    /// Sweeps until `holds`.
    fn wait(
        &mut self,
        what: &str,
        mut holds: impl FnMut(&mut Round) -> Result<bool, Trouble>,
    ) -> Result<(), Trouble> {
        let deadline = now() + 2 * PATIENCE;
        loop {
            let has_read = self.sweep()?;
            if holds(self)? {
                return Ok(());
            }
            if now() >= deadline {
                let budget = self.hub.stats().json()["budget"].to_string();
                return Err(Trouble::of(format!("never: {what}; the budget is {budget}")));
            }
            if !has_read {
                std::thread::sleep(IDLE);
            }
        }
    }

    /// Publishes to a session until it is taken: while memory is short, that may last a while.
    fn publish_last(&mut self, session: &str) -> Result<Position, Trouble> {
        let (mut number, mut last) = (None, None);
        self.wait("a last event is taken", |round| {
            last = number.and_then(|number| round.model.acknowledged_as(number)).cloned();
            if last.is_none() && round.tries.is_empty() {
                let order = Order { session: session.to_owned(), events: 1, bytes: 10, ttl: None };
                let publication = Publication::new(order, Form::Text, None, &mut round.model);
                number = Some(publication.number);
                let (to, model) = (&round.target, &mut round.model);
                let begun = Try::begin(publication, Manner::Waits, Protocol::Http11, to, model, now());
                if let Begun::UnderWay(one) = begun {
                    round.tries.push(one);
                }
            }
            Ok(last.is_some())
        })?;
        last.ok_or_else(|| Trouble::of("a last event without an id".to_owned()))
    }

    /// Everybody comes back until everybody has everything.
    fn wait_for_readers(&mut self, lasts: &[Position]) -> Result<(), Trouble> {
        let mut behind = None;
        let outcome = self.wait("every reader has everything", |round| {
            behind = None;
            for (number, reader) in round.readers.iter_mut().enumerate() {
                let session = round.sessions.iter().position(|session| *session == reader.sequence.session);
                if session.is_some_and(|session| reader.sequence.has(&lasts[session])) {
                    continue;
                }
                behind = Some(number);
                if reader.is_away() {
                    if reader.was_ended {
                        reader.sequence.forget();
                    }
                    let last = reader.sequence.last().map(ToString::to_string);
                    reader.come(&round.target, last.map_or(Ask::All, Ask::After), &round.model);
                }
            }
            Ok(behind.is_none())
        });
        outcome.map_err(|trouble| Trouble { reader: trouble.reader.or(behind), ..trouble })
    }
}
