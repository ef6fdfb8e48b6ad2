//! The allocator: how it is tuned, and what it says the process holds (the budget's second opinion).

use std::ffi::CStr;
use std::ptr::null_mut;

use tikv_jemalloc_ctl::{epoch, stats};

/// jemalloc reads its options from this symbol before `main`. Unused pages are kept for a tenth of a second, then go
/// back to the operating system. Given back at once, each large body that a publisher sends would interrupt every other
/// core (`docs/benchmarks.md`, the full budget). Given back by a thread of jemalloc's own, they would add up while all
/// cores are busy: whoever allocates does it, and [`observed_bytes`] for those that rest.
///
/// # Safety of the symbol
/// jemalloc declares `const char *malloc_conf`; the first word of a Rust slice is a pointer to its bytes, which
/// are static and end with NUL. Nothing else in the program defines or reads the name.
#[expect(unsafe_code, reason = "an exported name; its type and its only reader are described above")]
#[unsafe(export_name = "malloc_conf")]
pub(crate) static MALLOC_CONF: &[u8] =
    b"background_thread:false,dirty_decay_ms:100,muzzy_decay_ms:0,narenas:4\0";

/// Bytes of the pages that live allocations stand on, after unused ones that are due were given back. `None`: the
/// allocator does not say.
pub(crate) fn observed_bytes() -> Option<usize> {
    give_back_due_pages();
    // The figures are of the last epoch: advance it first.
    epoch::advance().ok()?;
    stats::active::read().ok()
}

/// jemalloc gives pages back as it allocates: in a process that rests, nobody would.
#[expect(unsafe_code, reason = "the call has no wrapper; its arguments are described below")]
fn give_back_due_pages() {
    const DUE_OF_ALL_ARENAS: &CStr = c"arena.4096.decay";
    // SAFETY: the name is static and ends with NUL; the call takes nothing and answers nothing, so all other
    // pointers may be null. It may be made from any thread at any time.
    let code = unsafe {
        tikv_jemalloc_sys::mallctl(DUE_OF_ALL_ARENAS.as_ptr(), null_mut(), null_mut(), null_mut(), 0)
    };
    debug_assert_eq!(code, 0, "jemalloc knows {DUE_OF_ALL_ARENAS:?}");
}

#[cfg(test)]
mod tests {
    use watertight_core::frame_charge;
    use watertight_core::limits::RING_ENTRY_BYTES;

    /// What a frame of no bytes is allocated: its head, the count of its bytes, how many share it.
    const EMPTY: usize = 40;

    #[test]
    #[expect(unsafe_code, reason = "asks the allocator; the call is described below")]
    fn a_frame_is_charged_exactly_what_the_allocator_takes_for_it_and_its_entry_in_the_ring() {
        for bytes in (0..20_000).chain((20_000..1_000_000).step_by(997)) {
            // SAFETY: looks at its arguments only; the size is not zero.
            let taken = unsafe { tikv_jemalloc_sys::nallocx(EMPTY + bytes, 0) };
            assert_eq!(frame_charge(bytes), taken + RING_ENTRY_BYTES, "{bytes} bytes");
        }
    }
}
