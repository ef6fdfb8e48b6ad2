//! Why events are gone: runs of one reason each.
//!
//! A reader is told the reason for exactly the events it missed, so one reason for a whole log would be wrong.
//! Bounded: of more than [`RUNS_MAX`] runs the oldest takes the reason of the one after it.

use crate::gap::GapReason;

/// Runs that are remembered, at most. A new run begins only when expiry and eviction alternate.
pub(super) const RUNS_MAX: usize = 8;

/// Where a run ends (exclusive), and in the lowest bit whether its events expired; otherwise they were evicted.
/// Packed, because every session has some.
#[derive(Debug, Clone, Copy)]
struct Run(u64);

impl Run {
    fn new(end: u64, why: GapReason) -> Run {
        Run(end << 1 | u64::from(why == GapReason::Expired))
    }

    fn end(self) -> u64 {
        self.0 >> 1
    }

    fn why(self) -> GapReason {
        if self.0 & 1 == 1 { GapReason::Expired } else { GapReason::Evicted }
    }
}

/// All events before the oldest that is kept. A run begins where the one before it ends, the first at 0.
#[derive(Debug, Default)]
pub(super) struct Gone {
    runs: Vec<Run>,
}

impl Gone {
    /// Notes that event `sequence`, the oldest there was, is gone because of `why`.
    pub(super) fn note(&mut self, sequence: u64, why: GapReason) {
        let run = Run::new(sequence + 1, why);
        match self.runs.last_mut() {
            Some(last) if last.why() == run.why() => *last = run,
            _ => {
                if self.runs.len() == RUNS_MAX {
                    self.runs.remove(0);
                }
                self.runs.push(run);
            }
        }
    }

    /// Why event `sequence` is gone, and where (exclusive) the run of that reason ends; `None`: it is not gone.
    pub(super) fn at(&self, sequence: u64) -> Option<(GapReason, u64)> {
        self.runs.iter().find(|run| sequence < run.end()).map(|run| (run.why(), run.end()))
    }
}
