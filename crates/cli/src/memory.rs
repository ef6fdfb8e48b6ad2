//! What the allocator says the process holds: the budget's second opinion.

use tikv_jemalloc_ctl::{epoch, stats};

/// Bytes in live allocations and in the pages they stand on. `None`: the allocator does not say.
pub(crate) fn observed_bytes() -> Option<usize> {
    // The figures are of the last epoch: advance it first.
    epoch::advance().ok()?;
    stats::active::read().ok()
}
