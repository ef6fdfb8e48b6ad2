//! The first rows of a list in some order, behind some point of it, found by looking at each item once.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Which end of the order comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Direction {
    Ascending,
    Descending,
}

/// Where an item stands in the order: by rank, then by name. No two items are called alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) rank: u64,
    pub(crate) name: Box<str>,
}

/// The first rows so far.
#[derive(Debug)]
pub(crate) struct Top<T> {
    direction: Direction,
    /// Where the page before ended.
    after: Option<Key>,
    rows: usize,
    /// At most one more than there are rows: that says whether there is another page. The last is on top.
    kept: BinaryHeap<Kept<T>>,
    matched: u64,
}

#[derive(Debug)]
struct Kept<T> {
    direction: Direction,
    key: Key,
    item: T,
}

impl Direction {
    fn compare(self, one: (u64, &str), two: (u64, &str)) -> Ordering {
        match self {
            Direction::Ascending => one.cmp(&two),
            Direction::Descending => two.cmp(&one),
        }
    }
}

impl Key {
    fn parts(&self) -> (u64, &str) {
        (self.rank, &self.name)
    }
}

impl<T> Top<T> {
    pub(crate) fn new(direction: Direction, after: Option<Key>, rows: usize) -> Top<T> {
        Top { direction, after, rows, kept: BinaryHeap::new(), matched: 0 }
    }

    /// Looks at an item that matches. `make` makes its row, if it is among the first so far.
    pub(crate) fn see(&mut self, rank: u64, name: &str, make: impl FnOnce() -> T) {
        self.matched += 1;
        let is_behind = |key: &Key| self.direction.compare((rank, name), key.parts()).is_gt();
        if !self.after.as_ref().is_none_or(is_behind) {
            return;
        }
        if self.kept.len() > self.rows {
            if self.kept.peek().is_some_and(|last| is_behind(&last.key)) {
                return;
            }
            self.kept.pop();
        }
        let key = Key { rank, name: name.into() };
        self.kept.push(Kept { direction: self.direction, key, item: make() });
    }

    /// The rows in order; where they end, if there are more; how many items matched in all.
    pub(crate) fn finish(self) -> (Vec<T>, Option<Key>, u64) {
        let mut kept = self.kept.into_sorted_vec();
        let mut next = None;
        if kept.len() > self.rows {
            kept.truncate(self.rows);
            next = kept.last().map(|last| last.key.clone());
        }
        (kept.into_iter().map(|kept| kept.item).collect(), next, self.matched)
    }
}

impl<T> Ord for Kept<T> {
    fn cmp(&self, other: &Kept<T>) -> Ordering {
        self.direction.compare(self.key.parts(), other.key.parts())
    }
}

impl<T> PartialOrd for Kept<T> {
    fn partial_cmp(&self, other: &Kept<T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Kept<T> {
    fn eq(&self, other: &Kept<T>) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Kept<T> {}
