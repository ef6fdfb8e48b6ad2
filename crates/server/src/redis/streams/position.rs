//! Where a feed stands in its stream, and what is missing when the stream is not as it was.

use super::entry_id::EntryId;

/// What Redis knows about a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct StreamInfo {
    /// Entries that are there.
    pub(in super::super) length: u64,
    /// The first that is there.
    pub(in super::super) first: EntryId,
    /// The last that was ever added, whether it is there or not.
    pub(in super::super) last: EntryId,
    /// How many were ever added; unknown before Redis 7.
    pub(in super::super) added: Option<u64>,
    /// The highest of those that were deleted one by one.
    pub(in super::super) deleted: EntryId,
}

/// Where a feed stands: what it has been given, or will not be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Position {
    /// All up to this one are behind it.
    pub(in super::super) after: EntryId,
    /// How many entries the stream had up to there, if that is known.
    pub(in super::super) count: Option<u64>,
    /// The stream was found deleted since.
    is_gone: bool,
}

/// What a look at the stream says about a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Verdict {
    /// What follows its position is there.
    Whole,
    /// So many went before they were read, if that is known. The position is behind them now.
    Trimmed(Option<u64>),
    /// It is another stream than before. The position is its start.
    Anew,
}

impl Position {
    /// Before everything, in a stream that is not there.
    pub(in super::super) const START: Position =
        Position { after: EntryId::START, count: Some(0), is_gone: false };

    /// After an entry of which nothing else is known.
    pub(in super::super) fn after(id: EntryId) -> Position {
        Position { after: id, count: None, is_gone: false }
    }

    /// At the end of a stream.
    pub(in super::super) fn end(info: &StreamInfo) -> Position {
        Position { after: info.last, count: info.added, is_gone: false }
    }

    /// Before the last `count` entries, of which `first` is the first.
    pub(in super::super) fn before(first: EntryId, count: u64, info: &StreamInfo) -> Position {
        let is_exact = info.deleted < first;
        let before = info.added.filter(|_| is_exact).and_then(|added| added.checked_sub(count));
        Position { after: first.previous(), count: before, is_gone: false }
    }

    /// The stream is not there.
    pub(in super::super) fn gone(&mut self) {
        self.is_gone = *self != Position::START;
    }

    /// Where to wait from: of a stream that is gone, any entry is news.
    pub(in super::super) fn waits_after(&self) -> EntryId {
        if self.is_gone { EntryId::START } else { self.after }
    }

    /// Compares with the stream as it is, before what it has is given.
    pub(in super::super) fn look(&mut self, info: &StreamInfo) -> Verdict {
        let has_fewer = self.count.zip(info.added).is_some_and(|(count, added)| added < count);
        if self.is_gone || info.last < self.after || (has_fewer && info.first > self.after) {
            *self = Position::START;
            return Verdict::Anew;
        }
        if has_fewer {
            // Ids as before, and still another past: a master that had less has taken over.
            self.count = None;
            return Verdict::Trimmed(None);
        }
        let is_empty = info.length == 0;
        if is_empty && info.last > self.after {
            let missing = info.added.zip(self.count).map(|(added, count)| added - count);
            *self = Position::end(info);
            return Verdict::Trimmed(missing);
        }
        if is_empty || info.first <= self.after {
            return Verdict::Whole;
        }
        // Everything up to the first one is gone. How many that are, is known if none was deleted behind it.
        let is_exact = info.deleted < info.first;
        let before_first = info.added.filter(|_| is_exact).and_then(|added| added.checked_sub(info.length));
        let missing = match (before_first, self.count) {
            (Some(before), Some(count)) => before.checked_sub(count),
            _ => None,
        };
        *self = Position { after: info.first.previous(), count: before_first, is_gone: false };
        if missing == Some(0) { Verdict::Whole } else { Verdict::Trimmed(missing) }
    }

    /// It was given the next entry.
    pub(in super::super) fn given(&mut self, id: EntryId) {
        self.after = id;
        self.count = self.count.map(|count| count + 1);
    }

    /// All that this look showed was given.
    pub(in super::super) fn settled(&mut self, info: &StreamInfo) {
        if self.after == info.last {
            // Exact again, whatever was deleted one by one.
            self.count = info.added;
        }
    }
}
