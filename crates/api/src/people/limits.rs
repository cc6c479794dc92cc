//! How often one may try to sign in: a window of failures per account and per source address, bounded in memory.

use noroshi_model::Nanos;
use std::collections::HashMap;
use std::sync::Mutex;

/// Failures allowed per account and window.
pub const PER_ACCOUNT: u32 = 8;
/// Failures allowed per source and window.
pub const PER_SOURCE: u32 = 30;
/// Length of the window, seconds.
pub const WINDOW_SECONDS: i64 = 15 * 60;
/// Keys remembered; past it the oldest window goes, so that floods of names cannot fill memory.
const KEYS: usize = 10_000;

/// Counts failures.
#[derive(Default)]
pub struct Limits(Mutex<HashMap<String, (Nanos, u32)>>);

impl Limits {
    /// Seconds to wait before the next try, when there were too many.
    pub fn wait(&self, now: Nanos, account: &str, source: &str) -> Option<u64> {
        let all = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let left = |key: String, most: u32| {
            let (start, failures) = all.get(&key)?;
            let age = now.seconds_since(*start) as i64;
            (age < WINDOW_SECONDS && *failures >= most).then_some((WINDOW_SECONDS - age) as u64)
        };
        left(format!("a {account}"), PER_ACCOUNT).max(left(format!("s {source}"), PER_SOURCE))
    }

    /// Counts a failure.
    pub fn failed(&self, now: Nanos, account: &str, source: &str) {
        let mut all = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        for key in [format!("a {account}"), format!("s {source}")] {
            if all.len() >= KEYS && !all.contains_key(&key) {
                let oldest = all.iter().min_by_key(|(_, (start, _))| *start).map(|(key, _)| key.clone());
                oldest.map(|key| all.remove(&key));
            }
            let entry = all.entry(key).or_insert((now, 0));
            if now.seconds_since(entry.0) as i64 >= WINDOW_SECONDS {
                *entry = (now, 0);
            }
            entry.1 += 1;
        }
    }

    /// Forgets the failures of an account after it signed in.
    pub fn succeeded(&self, account: &str) {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(&format!("a {account}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_waits_until_its_window_ends() {
        let (limits, now) = (Limits::default(), Nanos::from_seconds(1000));
        for n in 0..PER_ACCOUNT {
            assert_eq!(limits.wait(now, "a", &n.to_string()), None);
            limits.failed(now, "a", &n.to_string());
        }
        assert_eq!(limits.wait(now, "a", "new"), Some(WINDOW_SECONDS as u64));
        assert_eq!(limits.wait(now, "b", "new"), None);
        assert_eq!(limits.wait(Nanos::from_seconds(1000 + WINDOW_SECONDS), "a", "new"), None);
    }

    #[test]
    fn floods_of_names_stay_bounded() {
        let limits = Limits::default();
        for n in 0..(KEYS as i64 + 50) {
            limits.failed(Nanos::from_seconds(n), &n.to_string(), "s");
        }
        assert!(limits.0.lock().unwrap().len() <= KEYS);
    }
}
