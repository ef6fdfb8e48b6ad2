//! The allocator: how it is tuned, and what it says the process holds (the budget's second opinion).

use tikv_jemalloc_ctl::{epoch, stats};

/// jemalloc reads its options from this symbol before `main`. Unused pages go back to the operating system at once:
/// kept for half a second, those of publishers that run flat out came to as much as the whole budget. It has its
/// price: batches of 100 KB, published flat out, come at a fifth of the rate (`docs/benchmarks.md`, the full budget).
///
/// # Safety of the symbol
/// jemalloc declares `const char *malloc_conf`; the first word of a Rust slice is a pointer to its bytes, which
/// are static and end with NUL. Nothing else in the program defines or reads the name.
#[expect(unsafe_code, reason = "an exported name; its type and its only reader are described above")]
#[unsafe(export_name = "malloc_conf")]
pub(crate) static MALLOC_CONF: &[u8] =
    b"background_thread:true,dirty_decay_ms:0,muzzy_decay_ms:0,narenas:4\0";

/// Bytes of the pages that live allocations stand on. `None`: the allocator does not say.
pub(crate) fn observed_bytes() -> Option<usize> {
    // The figures are of the last epoch: advance it first.
    epoch::advance().ok()?;
    stats::active::read().ok()
}
