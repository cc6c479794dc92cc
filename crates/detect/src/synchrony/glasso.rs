//! Dark-GLASSO: how densely networks depend on each other, slot by slot, and when that density is an outlier.
//!
//! Parameters as the authors run it: slots of ten minutes in twelve samples, at most 1,000 hosts (first two octets),
//! logarithms of counts with zero as 0.1, biased covariance, six penalties, outliers by the change of variance against
//! three days of slots. It needs those three days before the first alert; [`Settings::history`] may shorten them.

use super::slots::{Slot, attribute_all};
use super::{Alert, Knock, port_list};
use hashbrown::HashMap;
use noroshi_stats::glasso::{Precision, graphical_lasso};
use std::collections::VecDeque;

/// Seconds of a slot.
const SLOT_SECONDS: u16 = 600;
/// Samples of a slot.
const SAMPLES: usize = 12;
/// Hosts of a slot, at most.
const HOSTS_MAX: usize = 1_000;
/// Stands for no packet before logarithms are taken.
const ZERO: f64 = 0.1;
/// Penalties, strictest first, so that each solution starts the next.
const PENALTIES: [f64; 6] = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4];
/// Change of the fitted covariance, relative to its mean, at which a solution is taken; scikit-learn's default.
const TOLERANCE: f64 = 1e-4;

/// Settings of the engine.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Settings {
    /// Slots that an outlier is judged against; none is judged before so many are known. Published: 432 (three days).
    pub history: usize,
    /// A maximum is an outlier when the variance without it is at most this share. Larger: more alerts. Published: 0.98.
    pub theta: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { history: 432, theta: 0.98 }
    }
}

/// The engine. Feed knocks in the order of time.
#[derive(Clone, Debug)]
pub struct Engine {
    settings: Settings,
    slot: Slot,
    /// Densities of past slots, per penalty, without those that were alerts.
    densities: Vec<VecDeque<f64>>,
    alerts: Vec<Alert>,
}

impl Engine {
    /// An engine that has seen nothing.
    pub fn new(settings: Settings) -> Self {
        Engine {
            settings,
            slot: Slot::new(SLOT_SECONDS),
            densities: vec![VecDeque::new(); PENALTIES.len()],
            alerts: Vec::new(),
        }
    }

    /// Takes one knock; closes a slot when the knock is of a later one.
    pub fn observe(&mut self, knock: &Knock) {
        if let Some(number) = self.slot.closes(knock) {
            self.close(number);
        }
        self.slot.add(knock);
    }

    /// All alerts; the last slot is closed as it is.
    pub fn finish(mut self) -> Vec<Alert> {
        if let Some(number) = self.slot.number() {
            self.close(number);
        }
        self.alerts
    }

    fn close(&mut self, number: i64) {
        let mut alarming = false;
        for (density, history) in densities(&self.slot).into_iter().zip(&mut self.densities) {
            history.push_back(density);
            if history.len() > self.settings.history {
                history.pop_front();
            }
            if history.len() >= self.settings.history && is_outlier(history, self.settings.theta) {
                history.pop_back();
                alarming = true;
            }
        }
        if alarming {
            let (start, end) = self.slot.span(number);
            let ports = attribute_all(&self.slot.knocks);
            let hosts = ports.iter().map(|port| port.hosts).max().unwrap_or(0);
            let reason = format!("networks depended on each other unusually densely; ports {}", port_list(&ports));
            let (sources, bursts) = (Vec::new(), Vec::new());
            let weight = hosts as f64;
            self.alerts.push(Alert { engine: "glasso", start, end, ports, sources, hosts, bursts, weight, reason });
        }
        self.slot.clear();
    }
}

/// Share of pairs of hosts that depend on each other directly, per penalty.
fn densities(slot: &Slot) -> Vec<f64> {
    let mut counts: HashMap<u16, [f64; SAMPLES]> = HashMap::new();
    for knock in &slot.knocks {
        let sample = usize::from(knock.second) * SAMPLES / usize::from(SLOT_SECONDS);
        counts.entry(knock.host).or_default()[sample] += 1.0;
    }
    let mut hosts: Vec<u16> = counts.keys().copied().collect();
    // The authors draw hosts at random; a hash does the same and gives the same result again.
    hosts.sort_unstable_by_key(|host| (u32::from(*host).wrapping_mul(0x9e37_79b1).rotate_left(15), *host));
    hosts.truncate(HOSTS_MAX);
    let columns: Vec<[f64; SAMPLES]> = hosts.iter().map(|host| centred(&counts[host])).collect();
    let size = columns.len();
    let mut covariance = vec![0.0; size * size];
    for (a, first) in columns.iter().enumerate() {
        for (b, second) in columns.iter().enumerate().take(a + 1) {
            let value = first.iter().zip(second).map(|(x, y)| x * y).sum::<f64>() / SAMPLES as f64;
            covariance[a * size + b] = value;
            covariance[b * size + a] = value;
        }
    }
    let pairs = (size * size.saturating_sub(1)).max(1) as f64;
    let mut before: Option<Precision> = None;
    PENALTIES
        .iter()
        .map(|&penalty| {
            before = graphical_lasso(&covariance, size, penalty, TOLERANCE, before.as_ref());
            before.as_ref().map_or(0.0, |found| found.edges().count() as f64 / pairs)
        })
        .collect()
}

/// Logarithms of counts, less their mean.
fn centred(counts: &[f64; SAMPLES]) -> [f64; SAMPLES] {
    let logs = counts.map(|count| count.max(ZERO).ln());
    let mean = logs.iter().sum::<f64>() / SAMPLES as f64;
    logs.map(|log| log - mean)
}

/// Whether the newest value is among the maxima whose removal, largest first, shrinks the variance enough.
fn is_outlier(history: &VecDeque<f64>, theta: f64) -> bool {
    let mut sorted: Vec<f64> = history.iter().copied().collect();
    sorted.sort_by(f64::total_cmp);
    let newest = history[history.len() - 1];
    let (mut count, mut sum, mut squares) =
        sorted.iter().fold((0.0, 0.0, 0.0), |(n, s, q), v| (n + 1.0, s + v, q + v * v));
    while let Some(largest) = sorted.pop() {
        let variance = squares / count - (sum / count) * (sum / count);
        (count, sum, squares) = (count - 1.0, sum - largest, squares - largest * largest);
        if count < 1.0 || variance <= 0.0 {
            return false;
        }
        let without = squares / count - (sum / count) * (sum / count);
        if without / variance > theta {
            return false;
        }
        if largest <= newest {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_are_maxima_that_carry_the_variance() {
        let quiet: Vec<f64> = (0..30).map(|i| f64::from(i % 5)).collect();
        assert!(!is_outlier(&quiet.iter().copied().collect(), 0.98 - 0.2));
        let mut loud: VecDeque<f64> = quiet.iter().copied().collect();
        loud.push_back(100.0);
        assert!(is_outlier(&loud, 0.98));
        // The maximum is elsewhere, and the newest value is usual.
        loud.push_back(2.0);
        assert!(!is_outlier(&loud, 0.5));
        assert!(!is_outlier(&VecDeque::from([1.0]), 0.98));
        assert!(!is_outlier(&VecDeque::from([3.0; 10]), 0.98));
    }
}
