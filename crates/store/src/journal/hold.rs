//! Readers that still need rows.

use super::{Journal, JournalError};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Rows that somebody still needs. Dropping it lets them go.
pub struct Hold(Arc<AtomicI64>);

impl Hold {
    /// Rows up to and including this one are no longer needed.
    pub fn release_through(&self, row: i64) {
        self.0.fetch_max(row, Ordering::Release);
    }
}

/// Every hold on a journal.
#[derive(Default)]
pub(super) struct Holds(Mutex<Vec<Weak<AtomicI64>>>);

impl Holds {
    fn add(&self) -> Hold {
        let hold = Arc::new(AtomicI64::new(i64::MIN));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&hold));
        Hold(hold)
    }

    /// The last row that nobody needs.
    fn released(&self) -> i64 {
        let mut holds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        holds.retain(|hold| hold.strong_count() > 0);
        let released = holds.iter().filter_map(Weak::upgrade).map(|hold| hold.load(Ordering::Acquire));
        released.min().unwrap_or(i64::MAX)
    }
}

impl Journal {
    /// Keeps every row from being deleted until it is released. Holds live as long as the process: a reader that is
    /// started again takes its hold before anything deletes.
    pub fn hold(&self) -> Hold {
        self.shared.holds.add()
    }

    /// Deletes all rows up to and including `row` that nobody holds; watermarks and accounts stay.
    pub async fn delete_through(&self, row: i64) -> Result<(), JournalError> {
        match row.min(self.shared.holds.released()) {
            i64::MIN => Ok(()),
            row => self.delete(row).await,
        }
    }
}
