//! Answers for a short time: two generations, of which the older is let go as a whole. So nothing is searched for what is
//! too old, and what is kept is bounded in number. Every answer is charged.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use watertight_core::{Permit, Tick};

use super::answer::Answer;
use super::question::Question;

/// What an answer costs in its table, which is up to sixteen sevenths of what is in it (it doubles when seven eighths are
/// full), each with a byte of its hash.
const TABLE_BYTES: usize = (size_of::<(Arc<Question>, Known)>() + 1) * 16 / 7;

#[derive(Debug)]
struct Known {
    answer: Answer,
    /// When it was asked for.
    at: Tick,
    _permit: Permit,
}

type Generation = HashMap<Arc<Question>, Known>;

#[derive(Debug)]
pub(super) struct Cache {
    young: Generation,
    old: Generation,
    /// When the young generation began.
    since: Tick,
    keep_for: Duration,
    /// How many answers a generation may have: half of all.
    max: usize,
}

impl Cache {
    pub(super) fn new(keep_for: Duration, max: usize, now: Tick) -> Cache {
        let (young, old) = (Generation::new(), Generation::new());
        Cache { young, old, since: now, keep_for, max: (max / 2).max(1) }
    }

    /// The answer, if it is younger than this and than all are kept.
    pub(super) fn get(&self, question: &Question, younger_than: Duration, now: Tick) -> Option<Answer> {
        let known = self.young.get(question).or_else(|| self.old.get(question))?;
        (now.since(known.at) < younger_than.min(self.keep_for)).then_some(known.answer)
    }

    /// Keeps an answer if `charge` has its bytes.
    pub(super) fn put(
        &mut self,
        question: &Arc<Question>,
        (answer, at): (Answer, Tick),
        now: Tick,
        charge: impl Fn(usize) -> Option<Permit>,
    ) {
        self.sweep(now);
        self.forget(question);
        if self.young.len() >= self.max {
            self.turn(now);
        }
        if let Some(permit) = charge(question.bytes() + TABLE_BYTES) {
            self.young.insert(Arc::clone(question), Known { answer, at, _permit: permit });
        }
    }

    /// Forgets an answer: it was asked for again.
    pub(super) fn forget(&mut self, question: &Question) {
        self.young.remove(question);
        self.old.remove(question);
    }

    /// Lets go what is too old.
    pub(super) fn sweep(&mut self, now: Tick) {
        if now.since(self.since) >= self.keep_for {
            self.turn(now);
        }
    }

    fn turn(&mut self, now: Tick) {
        self.old = std::mem::take(&mut self.young);
        self.since = now;
    }

    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}
