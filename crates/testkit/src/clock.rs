//! A clock that is set by hand.

use noroshi_model::Nanos;
use noroshi_model::time::{Clock, SECOND};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Stands still until a test moves it. Clones show the same time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows an instant.
    pub fn new(now: Nanos) -> Self {
        ManualClock(Arc::new(AtomicI64::new(now.0)))
    }

    /// Shows another instant, earlier ones too.
    pub fn set(&self, now: Nanos) {
        self.0.store(now.0, Ordering::SeqCst);
    }

    /// Moves on; negative seconds move back, as clocks in the field do.
    pub fn advance(&self, seconds: f64) -> Nanos {
        let nanos = (seconds * SECOND as f64).round() as i64;
        Nanos(self.0.fetch_add(nanos, Ordering::SeqCst).saturating_add(nanos))
    }
}

impl Default for ManualClock {
    /// 2026-01-01T00:00:00Z.
    fn default() -> Self {
        Self::new(Nanos::from_seconds(1_767_225_600))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Nanos {
        Nanos(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_moves_only_when_told() {
        let clock = ManualClock::default();
        let other = clock.clone();
        let start = clock.now();
        assert_eq!(start, clock.now());
        assert_eq!(clock.advance(1.5), Nanos(start.0 + 1_500_000_000));
        assert_eq!(other.now(), Nanos(start.0 + 1_500_000_000));
        clock.advance(-2.0);
        assert_eq!(other.now(), Nanos(start.0 - 500_000_000));
        other.set(Nanos(5));
        assert_eq!(clock.now(), Nanos(5));
    }
}
