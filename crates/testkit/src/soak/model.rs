//! What was published, what was acknowledged, and what any reader has seen: one model for all readers, so that
//! two readers that disagree are found. Pure: time is an argument.

mod publication;
mod session;

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use self::publication::{Publication, Standing};
use self::session::SessionLog;
use super::message::{self, EventKey};
use super::position::Position;
use crate::Gap;

pub(super) use self::publication::Order;

/// The limits of the hub that the model judges gaps by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) max_queue_size: u64,
    pub(super) max_history: u64,
    pub(super) max_history_bytes: u64,
    /// Whether history may go, and publishers and newcomers may be refused, because memory is short.
    pub(super) is_short: bool,
}

/// All that is known of one hub.
#[derive(Debug)]
pub(super) struct Model {
    limits: Limits,
    sessions: HashMap<String, SessionLog>,
    publications: Vec<Publication>,
    /// Events that were acknowledged, each once.
    pub(super) acknowledged_events: u64,
    /// Gaps by their reason, and ends by their code, that readers were told of.
    pub(super) told: BTreeMap<String, u64>,
}

impl Model {
    pub(super) fn new(limits: Limits) -> Model {
        Model {
            limits,
            sessions: HashMap::new(),
            publications: Vec::new(),
            acknowledged_events: 0,
            told: BTreeMap::new(),
        }
    }

    /// Notes a request that is about to be sent for the first time; its number.
    pub(super) fn order(&mut self, order: Order) -> u32 {
        self.publications.push(Publication::new(order));
        u32::try_from(self.publications.len() - 1).unwrap()
    }

    /// Notes that the whole request is about to be sent (once more). From here on it may be published.
    pub(super) fn sends(&mut self, publication: u32) {
        let publication = &mut self.publications[publication as usize];
        if publication.standing == Standing::Unsent {
            publication.standing = Standing::Open;
            self.sessions.entry(publication.order.session.clone()).or_default().outstanding +=
                publication.order.events as u64;
        }
        publication.unanswered += 1;
    }

    /// Notes that a retry may be taken for a new request: the hub need not know its key any more.
    pub(super) fn may_double(&mut self, publication: u32) {
        self.publications[publication as usize].may_double = true;
    }

    /// Notes a 202 with its ids.
    ///
    /// # Errors
    /// When it contradicts what is known.
    pub(super) fn acknowledged(&mut self, publication: u32, ids: &[String]) -> Result<(), String> {
        let record = &self.publications[publication as usize];
        if ids.len() != record.order.events {
            return Err(format!("{} events were answered with {} ids", record.order.events, ids.len()));
        }
        let positions = ids.iter().map(|id| Position::parse(id)).collect::<Result<Vec<_>, _>>()?;
        for pair in positions.windows(2) {
            if pair[0].epoch != pair[1].epoch || pair[1].sequence != pair[0].sequence + 1 {
                return Err(format!(
                    "ids of one request that do not follow each other: {} {}",
                    pair[0], pair[1]
                ));
            }
        }
        for (index, position) in (0..).zip(&positions) {
            self.settle(EventKey { publication, index }, position)?;
        }
        let record = &mut self.publications[publication as usize];
        record.unanswered -= 1;
        if record.standing != Standing::Acknowledged {
            record.standing = Standing::Acknowledged;
            self.acknowledged_events += ids.len() as u64;
        }
        Ok(())
    }

    /// Notes a refusal: nothing of this try is published.
    ///
    /// # Errors
    /// When something was seen that only this try can have published.
    pub(super) fn refused(&mut self, publication: u32) -> Result<(), String> {
        let record = &mut self.publications[publication as usize];
        record.unanswered -= 1;
        if record.standing != Standing::Open || record.unanswered > 0 {
            return Ok(());
        }
        record.standing = Standing::Unsent;
        let unseen = record.events.iter().filter(|at| at.is_none()).count() as u64;
        if let Some(log) = self.sessions.get_mut(&record.order.session) {
            log.outstanding -= unseen;
        }
        match record.events.iter().flatten().next() {
            None => Ok(()),
            Some(seen) => Err(format!("publication {publication} was refused, and yet is {seen}")),
        }
    }

    /// Notes an event that some reader got, and that it is the same for all.
    ///
    /// # Errors
    /// When it is not.
    pub(super) fn observe(
        &mut self,
        session: &str,
        at: &Position,
        event_type: &str,
        data: &str,
    ) -> Result<(), String> {
        let key = message::read(session, data)?;
        let Some(record) = self.publications.get(key.publication as usize) else {
            return Err(format!("{at} is of publication {}, which never was", key.publication));
        };
        if record.standing == Standing::Unsent {
            return Err(format!(
                "{at} is of publication {}, which was refused or never sent whole",
                key.publication
            ));
        }
        if event_type != message::type_of(key.publication) {
            return Err(format!(
                "{at} has type {event_type}, published was {}",
                message::type_of(key.publication)
            ));
        }
        self.settle(key, at)
    }

    /// Notes that `key` is event `at`: both ways once and for all.
    fn settle(&mut self, key: EventKey, at: &Position) -> Result<(), String> {
        let record = &mut self.publications[key.publication as usize];
        let log = self.sessions.entry(record.order.session.clone()).or_default();
        log.settle(key, at, record.sent_at)?;
        let known = &mut record.events[key.index as usize];
        match known {
            // A key belongs to an epoch: a retry after a deletion is a new request.
            Some(known) if known != at && known.epoch == at.epoch && !record.may_double => Err(format!(
                "event {} of publication {} is both {known} and {at}",
                key.index, key.publication
            )),
            Some(_) => Ok(()),
            None => {
                *known = Some(at.clone());
                log.outstanding =
                    log.outstanding.saturating_sub(u64::from(record.standing == Standing::Open));
                Ok(())
            }
        }
    }

    /// Where the last event of an acknowledged publication stands.
    pub(super) fn acknowledged_as(&self, publication: u32) -> Option<&Position> {
        let record = &self.publications[publication as usize];
        record.events.last()?.as_ref().filter(|_| record.standing == Standing::Acknowledged)
    }

    /// The last event of the session's latest life that is known to be in the log.
    pub(super) fn head(&self, session: &str) -> Option<Position> {
        self.sessions.get(session)?.head()
    }

    /// The last event of one life that is known to be in the log.
    pub(super) fn head_of(&self, session: &str, epoch: &str) -> Option<u64> {
        self.sessions.get(session)?.head_of(epoch)
    }

    /// Notes that a reader followed a life of a session, whatever it was told there.
    ///
    /// # Errors
    /// When there can be no such life.
    pub(super) fn lives(&mut self, session: &str, epoch: &str) -> Result<(), String> {
        self.sessions.entry(session.to_owned()).or_default().life(epoch).map(drop)
    }

    /// Notes that the session is about to be deleted.
    pub(super) fn deletes(&mut self, session: &str) {
        self.sessions.entry(session.to_owned()).or_default().deletes();
    }

    /// Notes the answer: whether there was such a session.
    pub(super) fn deleted(&mut self, session: &str, was_there: bool, now: Instant) {
        self.sessions.entry(session.to_owned()).or_default().deleted(was_there, now);
    }

    /// Notes that a reader was told the end of a life after event `last`.
    ///
    /// # Errors
    /// When others were told another, when more was acknowledged, or when nobody ended it.
    pub(super) fn ended(&mut self, session: &str, last: &Position) -> Result<(), String> {
        self.sessions.entry(session.to_owned()).or_default().ended(last)
    }

    /// Checks a gap of reason `expired`, `evicted` or `lagged` against what is known.
    ///
    /// # Errors
    /// When no event in it can be missing for that reason.
    pub(super) fn justify(
        &self,
        session: &str,
        gap: &Gap,
        from: u64,
        to: &Position,
        now: Instant,
    ) -> Result<(), String> {
        let Some(log) = self.sessions.get(session) else {
            return Err(format!("{gap:?} in a session without events"));
        };
        let head = log.head_at_most(&to.epoch);
        if to.sequence > head {
            return Err(format!("{gap:?} reaches beyond the last event, which is {head} at most"));
        }
        let keys = || (from..=to.sequence).map(|sequence| log.event(&to.epoch, sequence));
        let is_justified = match gap.reason.as_str() {
            // Of an event that nobody saw it is not known when it expired.
            "expired" => keys().any(|key| {
                key.is_none_or(|key| self.publications[key.publication as usize].may_be_expired(now))
            }),
            "lagged" => head >= to.sequence + self.limits.max_queue_size,
            "evicted" => {
                let kept = self.limits.max_history;
                self.limits.is_short
                    || log.may_be_deleted(&to.epoch)
                    || head >= from + kept
                    || self.is_too_large(log, from, &to.epoch, head)
            }
            other => return Err(format!("{other} is no reason in the middle of a stream: {gap:?}")),
        };
        if is_justified {
            Ok(())
        } else {
            Err(format!("{gap:?}, but nothing in it is; the last event is {head} at most"))
        }
    }

    /// Whether the events from `from` on may be more bytes than a session keeps.
    fn is_too_large(&self, log: &SessionLog, from: u64, epoch: &str, head: u64) -> bool {
        let mut bytes = 0;
        for sequence in from..=head {
            // Of one that is not known, the largest.
            bytes += log.event(epoch, sequence).map_or(self.limits.max_history_bytes, |key| {
                self.publications[key.publication as usize].bytes_at_most()
            });
            if bytes >= self.limits.max_history_bytes {
                return true;
            }
        }
        false
    }

    /// Counts what a reader was told: a gap's reason, or an end's code.
    pub(super) fn note_told(&mut self, what: &str) {
        *self.told.entry(what.to_owned()).or_default() += 1;
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// What a message of failure tells of a session.
    pub(super) fn describe(&self, session: &str) -> String {
        self.sessions.get(session).map_or_else(|| "nothing is known of it".to_owned(), SessionLog::describe)
    }
}
