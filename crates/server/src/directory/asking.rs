//! What stands under the directory's lock: the answers that are kept, the questions under way, and whether the directory is
//! left alone. No waiting in here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{info, warn};
use watertight_core::{Permit, Tick};

use super::answer::{Answer, DirectoryError};
use super::breaker::Breaker;
use super::cache::Cache;
use super::question::Question;

/// What became of a question.
pub(super) type Outcome = Result<Answer, DirectoryError>;

/// Where the answer to a question is.
#[derive(Debug)]
pub(super) enum Lookup {
    /// Here.
    Known(Answer),
    /// It is being asked for.
    UnderWay(watch::Receiver<Option<Outcome>>),
}

/// What is to be said in the log: each sort of failure once until an answer comes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    None,
    Fails(DirectoryError),
    Answers,
}

impl News {
    pub(super) fn say(self) {
        match self {
            News::None => {}
            News::Fails(error) => warn!(%error, "a question to the directory has no answer"),
            News::Answers => info!("the directory answers again"),
        }
    }
}

#[derive(Debug)]
pub(super) struct Asking {
    cache: Cache,
    under_way: HashMap<Arc<Question>, watch::Receiver<Option<Outcome>>>,
    breaker: Breaker,
    /// Which sorts of failure were said since the last answer, a bit for each.
    said: u8,
}

const _: () = assert!(DirectoryError::NAMES.len() <= u8::BITS as usize);

impl Asking {
    pub(super) fn new(cache_for: Duration, max_entries: usize, now: Tick) -> Asking {
        let cache = Cache::new(cache_for, max_entries, now);
        Asking { cache, under_way: HashMap::new(), breaker: Breaker::default(), said: 0 }
    }

    pub(super) fn find(&self, question: &Question, younger_than: Duration, now: Tick) -> Option<Lookup> {
        if let Some(answer) = self.cache.get(question, younger_than, now) {
            return Some(Lookup::Known(answer));
        }
        self.under_way.get(question).map(|outcome| Lookup::UnderWay(outcome.clone()))
    }

    /// Whether a question may be put, and if so whether it is the one that finds out if the directory answers again.
    pub(super) fn admit(&mut self, user: &str, now: Tick, max: usize) -> Result<bool, DirectoryError> {
        if self.under_way.len() >= max {
            return Err(DirectoryError::Overloaded);
        }
        self.breaker.admit(user, now).ok_or(DirectoryError::Resting)
    }

    /// Whether a question that waited for its turn is put no more: the directory failed meanwhile.
    pub(super) fn is_left_alone(&self, user: &str) -> bool {
        self.breaker.is_open_for(user)
    }

    /// A question that was admitted is not put after all.
    pub(super) fn give_up(&mut self, is_probe: bool) {
        self.breaker.give_up(is_probe);
    }

    pub(super) fn begin(&mut self, question: &Arc<Question>, outcome: watch::Receiver<Option<Outcome>>) {
        self.under_way.insert(Arc::clone(question), outcome);
    }

    /// A question is over.
    pub(super) fn settle(
        &mut self,
        (question, since, is_probe): (&Arc<Question>, Tick, bool),
        outcome: &Outcome,
        now: Tick,
        jitter: f64,
        charge: impl Fn(usize) -> Option<Permit>,
    ) -> News {
        self.under_way.remove(question);
        match outcome {
            Ok(answer) => {
                self.breaker.succeeded();
                self.cache.put(question, (*answer, since), now, charge);
                if std::mem::take(&mut self.said) == 0 { News::None } else { News::Answers }
            }
            // Nobody asked: that the hub stops, or has no room, says nothing about the directory.
            Err(DirectoryError::Stopped | DirectoryError::Overloaded | DirectoryError::NoMemory) => {
                self.breaker.give_up(is_probe);
                News::None
            }
            // It was not put: nothing new is known.
            Err(DirectoryError::Resting) => News::None,
            Err(error) => {
                self.breaker.failed(&question.user, is_probe, now, jitter);
                let bit = 1 << error.index();
                if self.said & bit == 0 {
                    self.said |= bit;
                    return News::Fails(error.clone());
                }
                News::None
            }
        }
    }

    pub(super) fn sweep(&mut self, now: Tick) {
        self.cache.sweep(now);
        if self.under_way.is_empty() {
            self.under_way.shrink_to_fit();
        }
    }

    pub(super) fn entries(&self) -> usize {
        self.cache.len()
    }
}
