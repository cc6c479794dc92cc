//! Promises that the kill tests break on purpose, to show that they would notice: `NOROSHI_BREAK=sync` and
//! `NOROSHI_BREAK=watermark`. Only builds with debug assertions look at the environment.

/// Whether a test wants this promise broken.
#[cfg(debug_assertions)]
pub(super) fn broken(promise: &str) -> bool {
    use std::sync::LazyLock;
    static BREAK: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("NOROSHI_BREAK").ok());
    BREAK.as_deref() == Some(promise)
}

#[cfg(not(debug_assertions))]
pub(super) const fn broken(_promise: &str) -> bool {
    false
}
