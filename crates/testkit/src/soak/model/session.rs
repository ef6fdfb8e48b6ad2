//! The lives of one session: which event stands where, and where each life ended.

use std::collections::HashMap;
use std::time::Instant;

use crate::soak::message::EventKey;
use crate::soak::position::Position;

/// One life: from a first event or reader to a deletion.
#[derive(Debug)]
pub(super) struct Life {
    epoch: String,
    events: HashMap<u64, EventKey>,
    /// The last event that is known.
    head: u64,
    /// The last event before the end, once a reader was told of the end.
    ended_at: Option<u64>,
    /// A deletion that began after this life was known was answered then: nothing that is sent later is in it.
    dead_at: Option<Instant>,
    /// A deletion has begun since this life is known.
    is_marked: bool,
}

/// A session.
#[derive(Debug, Default)]
pub(super) struct SessionLog {
    lives: Vec<Life>,
    /// Deletions that were sent; each ends one life at most.
    deletions: usize,
    /// Events that may be in the log without anybody having seen them.
    pub(super) outstanding: u64,
}

impl SessionLog {
    /// The life of that epoch, which begins if it is not known.
    ///
    /// # Errors
    /// When there were not enough deletions for one more.
    pub(super) fn life(&mut self, epoch: &str) -> Result<&mut Life, String> {
        if let Some(known) = self.lives.iter().position(|life| life.epoch == epoch) {
            return Ok(&mut self.lives[known]);
        }
        if self.lives.len() > self.deletions {
            let lives = self.lives.len();
            return Err(format!(
                "{epoch} is life {} of a session that was deleted {} times",
                lives + 1,
                self.deletions
            ));
        }
        self.lives.push(Life {
            epoch: epoch.to_owned(),
            events: HashMap::new(),
            head: 0,
            ended_at: None,
            dead_at: None,
            is_marked: false,
        });
        Ok(self.lives.last_mut().unwrap())
    }

    fn known(&self, epoch: &str) -> Option<&Life> {
        self.lives.iter().find(|life| life.epoch == epoch)
    }

    /// Notes that `key`, first sent at `sent_at`, is event `at`.
    ///
    /// # Errors
    /// When another is, or when it cannot be in that life.
    pub(super) fn settle(&mut self, key: EventKey, at: &Position, sent_at: Instant) -> Result<(), String> {
        let life = self.life(&at.epoch)?;
        if life.dead_at.is_some_and(|dead_at| dead_at < sent_at) {
            return Err(format!("{at} was published to a life that had ended before"));
        }
        if life.ended_at.is_some_and(|last| last < at.sequence) {
            return Err(format!("{at} is there, but readers were told the end before it"));
        }
        life.head = life.head.max(at.sequence);
        match life.events.insert(at.sequence, key) {
            Some(other) if other != key => Err(format!("{at} is both {other:?} and {key:?}")),
            _ => Ok(()),
        }
    }

    pub(super) fn event(&self, epoch: &str, sequence: u64) -> Option<&EventKey> {
        self.known(epoch)?.events.get(&sequence)
    }

    /// The last known event of the last known life.
    pub(super) fn head(&self) -> Option<Position> {
        let life = self.lives.last()?;
        Some(Position { epoch: life.epoch.clone(), sequence: life.head })
    }

    /// The last event that a life can have by now.
    pub(super) fn head_at_most(&self, epoch: &str) -> u64 {
        self.known(epoch).map_or(0, |life| life.head) + self.outstanding
    }

    /// The last known event of a life.
    pub(super) fn head_of(&self, epoch: &str) -> Option<u64> {
        self.known(epoch).map(|life| life.head)
    }

    /// Whether a life may have been deleted: then only its end is remembered, and all of its events are gone.
    pub(super) fn may_be_deleted(&self, epoch: &str) -> bool {
        self.known(epoch).is_some_and(|life| life.is_marked)
    }

    pub(super) fn deletes(&mut self) {
        self.deletions += 1;
        self.lives.iter_mut().for_each(|life| life.is_marked = true);
    }

    pub(super) fn deleted(&mut self, was_there: bool, now: Instant) {
        if !was_there {
            self.deletions -= 1;
            return;
        }
        for life in self.lives.iter_mut().filter(|life| life.is_marked) {
            life.dead_at.get_or_insert(now);
        }
    }

    /// # Errors
    /// When the end stands elsewhere, or when nobody ended this life.
    pub(super) fn ended(&mut self, last: &Position) -> Result<(), String> {
        let deletions = self.deletions;
        let life = self.life(&last.epoch)?;
        if deletions == 0 {
            return Err(format!("{last} was ended, and nobody deleted it"));
        }
        if life.head > last.sequence {
            return Err(format!(
                "a reader was told the end after {last}, but event {} was published",
                life.head
            ));
        }
        match life.ended_at.replace(last.sequence) {
            Some(other) if other != last.sequence => {
                Err(format!("one reader was told the end after {last}, another after {other}"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn describe(&self) -> String {
        let lives = self.lives.iter().map(|life| {
            let Life { epoch, head, ended_at, dead_at, .. } = life;
            let is_dead = dead_at.is_some();
            format!("{epoch}: last event known {head}, end told after {ended_at:?}, deleted {is_dead}")
        });
        let lives: Vec<String> = lives.collect();
        format!("{} deletions, {} events open; {}", self.deletions, self.outstanding, lives.join("; "))
    }
}
