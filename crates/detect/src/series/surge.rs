//! What rose: one ranked list that a person can work through.
//!
//! A slot of a series is a surge when three independent judgements agree, each on the slots before it only: GreyNoise's
//! rule (robust level over up to twelve weeks, mean and deviation over 28 slots), a negative binomial tail whose
//! false discovery rate over all series of that slot is controlled, and a size that is worth a person's time.

use super::{Series, TOTAL, slot_name};
use noroshi_model::Nanos;
use noroshi_stats::baseline::Baseline;
use noroshi_stats::tail::{CountModel, benjamini_hochberg};

/// What counts as a surge.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Settings {
    /// Most surges reported per slot. Larger: more work for a person. Dark-TRACER's "20 alerts a day".
    pub per_slot: usize,
    /// Largest adjusted probability; methods A6.
    pub probability: f64,
    /// Least excess over the baseline, in counts. Smaller: noise of quiet ports.
    pub excess: f64,
    /// Least ratio to the baseline.
    pub ratio: f64,
    /// Slots of recent history.
    pub recent: usize,
    /// Slots of long history.
    pub long: usize,
    /// Known slots needed before anything is judged.
    pub warm_up: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { per_slot: 20, probability: 1e-6, excess: 100.0, ratio: 3.0, recent: 28, long: 84, warm_up: 14 }
    }
}

/// A count that history does not explain.
#[derive(Clone, PartialEq, Debug)]
pub struct Surge {
    /// Which series.
    pub key: String,
    /// Index of the slot.
    pub slot: usize,
    /// Start of the slot.
    pub start: Nanos,
    /// 1 is the largest of its slot.
    pub rank: usize,
    /// What was counted.
    pub count: f64,
    /// What was usual: the median of the long history.
    pub usual: f64,
    /// Benjamini-Hochberg adjusted probability of so much, were the series as before.
    pub probability: f64,
    /// First seen in this slot.
    pub new: bool,
    /// Whether the rise ended with its slot, judged afterwards: the median of up to seven known slots before and
    /// seven after is at most a third of the count. `None` without a later slot.
    pub confirmed: Option<bool>,
    /// One sentence.
    pub reason: String,
}

/// All surges, by slot, then rank. `series` are over the same slots; the total is left out: its parts are judged.
pub fn surges(series: &[Series], settings: &Settings) -> Vec<Surge> {
    let slots = series.iter().map(|series| series.values.len()).max().unwrap_or(0);
    let parts: Vec<&Series> = series.iter().filter(|series| series.key != TOTAL).collect();
    let mut found = Vec::new();
    for slot in 0..slots {
        found.extend(in_slot(&parts, slot, settings));
    }
    found
}

/// The surges of one slot, ranked.
pub fn surges_in(series: &[Series], slot: usize, settings: &Settings) -> Vec<Surge> {
    let parts: Vec<&Series> = series.iter().filter(|series| series.key != TOTAL).collect();
    in_slot(&parts, slot, settings)
}

/// Surges of one slot; only slots up to it are read for the judgement.
fn in_slot(parts: &[&Series], slot: usize, settings: &Settings) -> Vec<Surge> {
    let mut candidates = Vec::new();
    // A series that is zero in this slot is a test too: it has probability one.
    let mut tests = 0;
    for series in parts {
        let Some(count) = series.values.get(slot).copied().filter(|count| count.is_finite()) else { continue };
        let long = &series.values[slot.saturating_sub(settings.long)..slot];
        let recent = &series.values[slot.saturating_sub(settings.recent)..slot];
        let (Some(wide), Some(near)) = (Baseline::of(long), Baseline::of(recent)) else { continue };
        if wide.points < settings.warm_up {
            continue;
        }
        tests += 1;
        let large = count - wide.median >= settings.excess && count >= settings.ratio * wide.median;
        if !large || !wide.surges(&near, count) {
            continue;
        }
        // Past bursts would widen the model until no burst is unlikely: counts above the robust fence are cut to it.
        let fence = (wide.median + 3.0 * wide.interquartile).max(1.0);
        let cut: Vec<f64> = long.iter().map(|value| if value.is_nan() { *value } else { value.min(fence) }).collect();
        let Some(model) = CountModel::fit(&cut, 1.0) else { continue };
        candidates.push((*series, count, wide.median, model.tail(count)));
    }
    let mut probabilities: Vec<f64> = candidates.iter().map(|candidate| candidate.3).collect();
    probabilities.resize(tests, 1.0);
    let adjusted = benjamini_hochberg(&probabilities);
    let mut found: Vec<Surge> = candidates
        .into_iter()
        .zip(adjusted)
        .filter(|(_, probability)| *probability <= settings.probability)
        .map(|((series, count, usual, _), probability)| describe(series, slot, count, usual, probability))
        .collect();
    found.sort_by(|a, b| (b.count - b.usual).total_cmp(&(a.count - a.usual)).then_with(|| a.key.cmp(&b.key)));
    found.truncate(settings.per_slot);
    let names: Vec<String> = found.iter().map(|surge| surge.key.clone()).collect();
    for (index, surge) in found.iter_mut().enumerate() {
        surge.rank = index + 1;
        let others: Vec<&str> = names.iter().map(String::as_str).filter(|name| *name != surge.key).take(3).collect();
        if !others.is_empty() {
            surge.reason.push_str(&format!(" Also moved: {}.", others.join(", ")));
        }
    }
    found
}

fn describe(series: &Series, slot: usize, count: f64, usual: f64, probability: f64) -> Surge {
    let new = series.values[..slot].iter().all(|value| value.is_nan() || *value == 0.0);
    let when = slot_name(series.time(slot), series.slot_seconds);
    let against = if new {
        "never seen before".to_owned()
    } else if usual < 1.0 {
        "usually quiet".to_owned()
    } else {
        format!("{:.1} times the usual {usual:.0}", count / usual)
    };
    let mut around: Vec<f64> = series.values[slot.saturating_sub(7)..slot].to_vec();
    let after = &series.values[slot + 1..(slot + 8).min(series.values.len())];
    around.extend_from_slice(after);
    let later = after.iter().any(|value| value.is_finite());
    let middle = noroshi_stats::baseline::quantile(&mut around, 0.5);
    Surge {
        key: series.key.clone(),
        slot,
        start: series.time(slot),
        rank: 0,
        count,
        usual,
        probability,
        new,
        confirmed: middle.filter(|_| later).map(|middle| middle * 3.0 <= count),
        reason: format!("{} rose to {count:.0} on {when}, {against}.", series.key),
    }
}
