//! Removing events: what expired, what memory pressure takes, and the ring's spare capacity after a burst.

use super::{Log, cost};
use crate::frame::{Frame, frame_charge};
use crate::gap::GapReason;
use crate::time::Tick;

/// A ring with room for this many events is kept as it is: too little memory to be worth the copying.
pub(super) const SPARE_EVENTS: usize = 64;

/// What was let go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Freed {
    /// Events let go.
    pub events: usize,
    /// What they are charged, bytes; for those that a reader pins, until it lets go.
    pub bytes: usize,
}

impl Freed {
    fn add(&mut self, frame: &Frame) {
        self.events += 1;
        self.bytes += frame_charge(frame.chunk().len());
    }
}

impl std::ops::AddAssign for Freed {
    fn add_assign(&mut self, other: Freed) {
        self.events += other.events;
        self.bytes += other.bytes;
    }
}

impl Log {
    /// Lets go of what expired by `now`, but for events from `needed` on: a live reader still gets those. A walk
    /// over the ring at most, and none at all before the earliest expiry.
    pub fn expire(&mut self, now: Tick, needed: u64) -> Freed {
        let mut freed = Freed::default();
        if now < self.earliest_expiry || self.is_retired() {
            return freed;
        }
        let mut earliest = Tick::NEVER;
        for (sequence, kept) in (self.first..).zip(&mut self.kept) {
            let expires = kept.expires.at();
            if expires > now || sequence >= needed {
                if kept.frame.is_some() {
                    earliest = earliest.min(expires);
                }
            } else if let Some(frame) = kept.frame.take() {
                freed.add(&frame);
                self.events -= 1;
                self.bytes -= cost(&frame);
            }
        }
        self.earliest_expiry = earliest;
        self.after_letting_go();
        freed
    }

    /// Lets go of everything before `sequence` (memory pressure).
    pub fn shed_before(&mut self, sequence: u64) -> Freed {
        self.shed(usize::MAX, sequence)
    }

    /// Lets go of the oldest events until `bytes` are free, and of none from `needed` on.
    pub fn shed(&mut self, bytes: usize, needed: u64) -> Freed {
        let mut freed = Freed::default();
        while freed.bytes < bytes && self.first < needed && !self.kept.is_empty() && !self.is_retired() {
            self.pop_front(GapReason::Evicted, &mut freed);
        }
        self.after_letting_go();
        freed
    }

    pub(super) fn pop_front(&mut self, why: GapReason, freed: &mut Freed) {
        if let Some(kept) = self.kept.pop_front() {
            // An event that expired before is reported as expired, although its number is only evicted now.
            self.gone.note(self.first, if kept.frame.is_some() { why } else { GapReason::Expired });
            self.first += 1;
            if let Some(frame) = kept.frame {
                freed.add(&frame);
                self.events -= 1;
                self.bytes -= cost(&frame);
            }
        }
    }

    /// Restores what must hold: the ring begins with an event, its capacity fits its contents, its events are counted.
    pub(super) fn after_letting_go(&mut self) {
        while self.kept.front().is_some_and(|kept| kept.frame.is_none()) {
            self.pop_front(GapReason::Expired, &mut Freed::default());
        }
        // The ring's capacity is charged with the events in it, so little of it may be unused.
        let spacious = self.kept.capacity() > SPARE_EVENTS && self.kept.len() < self.kept.capacity() / 4;
        if spacious || self.kept.is_empty() {
            self.kept.shrink_to_fit();
        }
        self.count_events();
    }

    pub(super) fn count_events(&mut self) {
        if !self.is_retired() {
            self.counted.set(self.events);
        }
    }
}
