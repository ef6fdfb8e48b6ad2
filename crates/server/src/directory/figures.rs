//! What is counted about a directory. The names are fixed: no label is a client's.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::answer::{Answer, DirectoryError};
use super::asking::Lookup;

#[derive(Debug, Default)]
pub(crate) struct Figures {
    questions: AtomicU64,
    ended: AtomicU64,
    hits: AtomicU64,
    shared: AtomicU64,
    answers: [AtomicU64; Answer::ALL.len()],
    errors: [AtomicU64; DirectoryError::NAMES.len()],
}

impl Figures {
    pub(super) fn began(&self) {
        self.questions.fetch_add(1, Relaxed);
    }

    pub(super) fn ended(&self) {
        self.ended.fetch_add(1, Relaxed);
    }

    pub(super) fn found(&self, lookup: &Lookup) {
        match lookup {
            Lookup::Known(_) => self.hits.fetch_add(1, Relaxed),
            Lookup::UnderWay(_) => self.shared.fetch_add(1, Relaxed),
        };
    }

    pub(super) fn answered(&self, answer: Answer) {
        self.answers[answer as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn failed(&self, error: &DirectoryError) {
        self.errors[error.index()].fetch_add(1, Relaxed);
    }

    /// Questions put to Redis or to the webhook.
    pub(crate) fn questions(&self) -> u64 {
        self.questions.load(Relaxed)
    }

    /// Those of them that are under way.
    pub(crate) fn under_way(&self) -> u64 {
        let ended = self.ended.load(Relaxed);
        self.questions().saturating_sub(ended)
    }

    /// Answers that were there already.
    pub(crate) fn hits(&self) -> u64 {
        self.hits.load(Relaxed)
    }

    /// Requests that waited for a question of somebody else.
    pub(crate) fn shared(&self) -> u64 {
        self.shared.load(Relaxed)
    }

    /// Answers by what they say.
    pub(crate) fn answers(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Answer::ALL.iter().map(|answer| (answer.name(), self.answers[*answer as usize].load(Relaxed)))
    }

    /// Questions without an answer, by the reason.
    pub(crate) fn errors(&self) -> impl Iterator<Item = (&'static str, u64)> {
        DirectoryError::NAMES.into_iter().zip(self.errors.iter().map(|count| count.load(Relaxed)))
    }
}
