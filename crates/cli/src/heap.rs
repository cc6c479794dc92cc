//! How much memory the allocator keeps for itself in a program that runs for months.
//!
//! glibc gives threads up to eight arenas a core, and each keeps what was freed in it. A hub has dozens of threads that each
//! once decode or compact something large: with the arenas of a two-core machine the sample day's hub came to 751 MiB
//! before anybody asked it, with one a core to 551 MiB.

/// One arena a core. To be called before other threads start.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
pub fn one_arena_a_core() {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let Ok(arenas) = i32::try_from(cores) else { return };
    // SAFETY: mallopt(3) takes two integers and changes the allocator's settings only; no other thread runs yet that could
    // read them. A setting that is refused leaves things as they were.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, arenas) };
}

/// Other allocators have no such setting.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn one_arena_a_core() {}
