//! Where events of one publish stand: a first position and a count, because they stand side by side.

use watertight_core::{Epoch, Position};

/// Positions of events that were appended together, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Positions {
    first: Position,
    count: u64,
}

impl Positions {
    /// Of no event at all.
    pub(crate) const fn none(epoch: Epoch) -> Positions {
        Positions { first: Position { epoch, sequence: 0 }, count: 0 }
    }

    pub(crate) fn new(first: Position, count: usize) -> Positions {
        Positions { first, count: count as u64 }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.count).unwrap_or(usize::MAX)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The first.
    #[must_use]
    pub fn first(&self) -> Option<Position> {
        self.iter().next()
    }

    /// The last.
    #[must_use]
    pub fn last(&self) -> Option<Position> {
        self.iter().next_back()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Position> + use<> {
        let Position { epoch, sequence } = self.first;
        (sequence..sequence + self.count).map(move |sequence| Position { epoch, sequence })
    }
}
