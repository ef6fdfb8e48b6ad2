//! What arrived, and whether each subscriber got every number once and in order. Pure.

use std::collections::BTreeMap;

use super::scan::Block;

/// Different closing codes or statuses told apart; a hub has far fewer.
const NAMES_MAX: usize = 32;

/// What one subscriber must see next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sequence {
    next: u64,
    /// A gap that could not tell its length: any higher number may follow.
    resync: bool,
    /// Numbers were skipped without a gap: one that comes later is out of order, not doubled.
    skipped: bool,
}

impl Sequence {
    /// The first number to arrive is `first`.
    pub(super) fn from(first: u64) -> Self {
        Self { next: first, resync: false, skipped: false }
    }

    /// The number awaited.
    pub(super) fn next(&self) -> u64 {
        self.next
    }
}

/// Counts over all subscribers.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// Streams whose head said 200.
    pub(super) opened: u64,
    /// Events that were new to their subscriber.
    pub(super) deliveries: u64,
    /// Gaps announced by the hub.
    pub(super) gaps: u64,
    /// Events missing by those gaps.
    pub(super) missed: u64,
    /// Numbers skipped without a gap: silent loss.
    pub(super) lost: u64,
    /// Numbers seen before.
    pub(super) duplicates: u64,
    /// Numbers that came after a higher one.
    pub(super) out_of_order: u64,
    /// Streams given up because they were not what a hub sends.
    pub(super) malformed: u64,
    /// Streams that ended, but for those closed from here.
    pub(super) ended: u64,
    /// Answers other than 200, by status.
    pub(super) refused: BTreeMap<u16, u64>,
    /// Closing events, by code.
    pub(super) closing_events: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts a block for one subscriber. Answers with the stamp of an event that was new to it.
    pub(super) fn block(&mut self, block: &Block<'_>, sequence: &mut Sequence) -> Option<u64> {
        match block {
            Block::Event { number, stamp } => return self.event(*number, sequence).then_some(*stamp),
            Block::Gap { missed } => {
                self.gaps += 1;
                match missed {
                    Some(missed) => {
                        self.missed += missed;
                        sequence.next += missed;
                    }
                    None => sequence.resync = true,
                }
            }
            Block::ClosingEvent { code } => {
                if self.closing_events.len() < NAMES_MAX || self.closing_events.contains_key(*code) {
                    *self.closing_events.entry((*code).to_owned()).or_default() += 1;
                }
            }
            Block::Position { .. } | Block::Other => {}
        }
        None
    }

    fn event(&mut self, number: u64, sequence: &mut Sequence) -> bool {
        if number < sequence.next {
            if sequence.skipped {
                self.out_of_order += 1;
            } else {
                self.duplicates += 1;
            }
            return false;
        }
        let skipped = number - sequence.next;
        if sequence.resync {
            self.missed += skipped;
            sequence.resync = false;
        } else if skipped > 0 {
            self.lost += skipped;
            sequence.skipped = true;
        }
        sequence.next = number + 1;
        self.deliveries += 1;
        true
    }

    /// Adds what was counted of other subscribers.
    pub(super) fn merge(&mut self, other: &Self) {
        self.opened += other.opened;
        self.deliveries += other.deliveries;
        self.gaps += other.gaps;
        self.missed += other.missed;
        self.lost += other.lost;
        self.duplicates += other.duplicates;
        self.out_of_order += other.out_of_order;
        self.malformed += other.malformed;
        self.ended += other.ended;
        for (status, count) in &other.refused {
            *self.refused.entry(*status).or_default() += count;
        }
        for (code, count) in &other.closing_events {
            *self.closing_events.entry(code.clone()).or_default() += count;
        }
    }

    /// Counts an answer.
    pub(super) fn head(&mut self, status: u16) {
        if status == 200 {
            self.opened += 1;
        } else if self.refused.len() < NAMES_MAX || self.refused.contains_key(&status) {
            *self.refused.entry(status).or_default() += 1;
        }
    }

    /// Whether every subscriber saw every event that it was not told to be missing, once and in order.
    pub(super) fn is_exact(&self) -> bool {
        self.lost == 0 && self.duplicates == 0 && self.out_of_order == 0 && self.malformed == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(blocks: &[Block<'_>]) -> Tally {
        let mut tally = Tally::default();
        let mut sequence = Sequence::from(1);
        for block in blocks {
            tally.block(block, &mut sequence);
        }
        tally
    }

    fn event(number: u64) -> Block<'static> {
        Block::Event { number, stamp: 0 }
    }

    #[test]
    fn numbers_without_a_hole_are_exact() {
        let tally = counted(&[event(1), Block::Other, event(2), event(3)]);
        assert!(tally.is_exact() && tally.deliveries == 3, "{tally:?}");
    }

    #[test]
    fn a_hole_is_a_loss_unless_a_gap_said_so() {
        assert_eq!(counted(&[event(1), event(5)]).lost, 3);
        let told = counted(&[event(1), Block::Gap { missed: Some(3) }, event(5)]);
        assert!(told.is_exact() && told.missed == 3 && told.gaps == 1, "{told:?}");
        let vague = counted(&[event(1), Block::Gap { missed: None }, event(5), event(6)]);
        assert!(vague.is_exact() && vague.missed == 3, "{vague:?}");
        let wrong = counted(&[event(1), Block::Gap { missed: Some(2) }, event(5)]);
        assert_eq!(wrong.lost, 1);
        let lying = counted(&[event(1), Block::Gap { missed: Some(9) }, event(5)]);
        assert_eq!(lying.duplicates, 1);
    }

    #[test]
    fn what_comes_twice_and_what_comes_late_are_told_apart() {
        assert_eq!(counted(&[event(1), event(2), event(2)]).duplicates, 1);
        let late = counted(&[event(1), event(3), event(2)]);
        assert_eq!((late.lost, late.out_of_order, late.duplicates), (1, 1, 0));
    }
}
