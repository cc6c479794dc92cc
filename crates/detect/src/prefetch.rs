//! Asking the processor for memory before it is needed.
//!
//! The tables of a large darknet day fit no cache, and a packet touches four or five places in them. Asked for one after
//! the other each costs a trip to memory; asked for a block ahead the trips overlap.

/// Bytes that a processor fetches at once.
const LINE: usize = 64;

/// Asks for every line of `slice[at]`. A hint: it changes nothing, whatever `at` is.
#[inline(always)]
pub(crate) fn ahead<T>(slice: &[T], at: usize) {
    let entry = slice.as_ptr().wrapping_add(at);
    line(entry);
    if size_of::<T>() > LINE {
        line(entry.cast::<u8>().wrapping_add(LINE));
    }
}

/// Asks for the line at an address. A hint likewise.
#[inline(always)]
#[allow(unsafe_code)]
pub(crate) fn line<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing that the program could see and never faults, whatever the address; SSE, which
    // brings it, is part of every x86-64.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
