//! Memory that will be needed in a moment, asked for now.
//!
//! A hub of many small sessions touches each of them seldom: by the time its next event comes, the processor has
//! forgotten where it stands, and waits some hundred cycles for each line that it has to fetch. What is asked for ahead
//! comes while other work is done, and several lines come side by side instead of one after the other.
//!
//! These are hints. They change nothing that a program can see but its time.

/// Bytes that a processor fetches at once.
const LINE: usize = 64;

/// Asks for all of `value`.
#[inline]
pub fn prefetch<T: ?Sized>(value: &T) {
    bytes(std::ptr::from_ref(value).cast(), size_of_val(value));
}

/// Asks for the first and for the last bytes of `value`.
#[inline]
pub fn prefetch_ends<T>(value: &T, first: usize, last: usize) {
    let (begin, len) = (std::ptr::from_ref(value).cast::<u8>(), size_of::<T>());
    bytes(begin, first.min(len));
    bytes(begin.wrapping_add(len.saturating_sub(last)), last.min(len));
}

/// Asks for what stands in memory right behind `value`: where the next one will be put.
#[inline]
pub fn prefetch_behind<T>(value: &T) {
    line(std::ptr::from_ref(value).wrapping_add(1).cast());
}

#[inline]
fn bytes(begin: *const u8, len: usize) {
    for at in (0..len).step_by(LINE) {
        line(begin.wrapping_add(at));
    }
    // They may end in a line more than they are long.
    line(begin.wrapping_add(len.saturating_sub(1)));
}

/// Asks for the line of `address`, which may be any.
///
/// # Safety of the hint
/// It reads nothing into the program, writes nothing, and does not fault, whatever the address is: Intel's Software
/// Developer's Manual (PREFETCHh) and the Arm Architecture Reference Manual (PRFM) say so. Elsewhere it is nothing.
#[expect(unsafe_code, reason = "the instruction has no safe wrapper; why it does no harm is described above")]
#[inline]
fn line(address: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: as described above; every processor of this architecture has the instruction.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    // SAFETY: as described above; flags, stack and memory stay as they are.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{0}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    let _ = address;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_memory_can_be_asked_for_and_stays_as_it_is() {
        let values: Vec<u64> = (0..10_000).collect();
        prefetch(values.as_slice());
        prefetch(&values[..0]);
        prefetch(&());
        prefetch("");
        prefetch_ends(&[7_u8; 100], 1000, 1000);
        prefetch_ends(&(), 64, 64);
        prefetch_behind(&values[9_999]);
        // Where nothing is.
        line(std::ptr::null());
        line(usize::MAX as *const u8);
        assert!(values.iter().copied().eq(0..10_000));
    }
}
