//! Cores of their own for servers that are compared. What it costs a server to wake somebody on another core is more than half of
//! what a small publish costs, and nothing where both are on one core. Left alone, the kernel puts one server here and the other
//! there, and the ratio says where they were.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::Bench;
use super::failure::{Outcome, While};

/// The calling thread and those that it starts keep off the cores of the servers, until this is dropped.
pub(super) struct Apart {
    before: CpuSet,
}

impl Apart {
    /// Runs `start`; the servers that it starts stay on the first half of the cores. Afterwards this thread has the other half.
    /// Nothing is moved where there is one core, or for a hub that runs already.
    pub(super) fn start<T>(bench: &Bench, start: impl FnOnce() -> Outcome<T>) -> Outcome<(T, Option<Self>)> {
        let before = sched_getaffinity(None).during("looking at the cores")?;
        let halves = halves(&before).filter(|_| bench.options.url.is_none());
        let Some((servers, generator)) = halves else { return Ok((start()?, None)) };
        let apart = Self { before };
        sched_setaffinity(None, &servers).during("choosing the servers' cores")?;
        let started = start()?;
        sched_setaffinity(None, &generator).during("choosing other cores")?;
        Ok((started, Some(apart)))
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // It was allowed before.
        sched_setaffinity(None, &self.before).ok();
    }
}

/// Of an odd number the second half has one more; `None` of fewer than two.
fn halves(all: &CpuSet) -> Option<(CpuSet, CpuSet)> {
    let (mut first, mut second) = (CpuSet::new(), CpuSet::new());
    let half = all.count() / 2;
    for core in (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core)) {
        let into = if first.count() < half { &mut first } else { &mut second };
        into.set(core);
    }
    (half > 0).then_some((first, second))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(cores: &[usize]) -> CpuSet {
        let mut set = CpuSet::new();
        cores.iter().for_each(|core| set.set(*core));
        set
    }

    #[test]
    fn each_core_is_in_one_half_and_a_single_one_is_not_divided() {
        assert_eq!(halves(&set(&[1, 3])), Some((set(&[1]), set(&[3]))));
        assert_eq!(halves(&set(&[0, 2, 3, 7, 9])), Some((set(&[0, 2]), set(&[3, 7, 9]))));
        assert_eq!(halves(&set(&[5])), None);
    }
}
