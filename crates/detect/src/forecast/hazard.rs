//! How likely is a surge on a port within the next slots?
//!
//! For every series and origin: did a surge begin in the slots that follow? ([`SURGE`]: smaller ones than those that are
//! reported to people count, because large ones are too rare to learn from.) A logistic
//! regression learns from origins whose answer was known at the time and is fitted anew each week. It is judged on the
//! last quarter against always saying the rate that was really seen there, which no one could have known: probabilities
//! are published only when they beat even that ([`Judged::publishable`]).

use super::backtest::SCORED;
use crate::series::surge::{self, Surge};
use crate::series::{Series, TOTAL};
use noroshi_stats::baseline::quantile;
use noroshi_stats::classify::{logistic, sigmoid};
use noroshi_stats::regression::Linear;
use noroshi_stats::score;
use serde::Serialize;
use std::collections::HashMap;

/// What counts: three times the usual and 20 counts above it, by the rules of [`surge`].
pub const SURGE: surge::Settings =
    surge::Settings { per_slot: 1_000, probability: 1e-3, excess: 20.0, ratio: 3.0, recent: 28, long: 84, warm_up: 14 };
/// Slots ahead.
pub const HORIZONS: [usize; 2] = [1, 7];
/// Slots between fits.
const REFIT: usize = 7;
/// Known slots before an origin counts.
const WARM_UP: usize = 28;
/// Counts a series needs; of the rest too little is known for a probability.
const LARGE_ENOUGH: f64 = 100.0;
/// Surges seen before anything is learned.
const SURGES_MIN: usize = 10;
/// Ridge penalty.
const PENALTY: f64 = 1.0;
/// Most rows a fit learns from, the newest.
const ROWS_MAX: usize = 100_000;

/// What the probability rests on, in order.
pub const FEATURES: [&str; 8] = [
    "level of the last week",
    "last slot against the usual",
    "largest of the last week against the usual",
    "surges in the last week",
    "surges in the last twelve weeks",
    "surge in the last slot",
    "surges of others in the last slot",
    "silent before last week",
];

/// Some predictions with about the same probability.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Bin {
    /// Mean probability said.
    pub said: f64,
    /// Share that happened.
    pub happened: f64,
    /// Predictions.
    pub count: usize,
}

/// How good probabilities were.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Judged {
    /// Predictions scored.
    pub count: usize,
    /// Share that happened.
    pub base_rate: f64,
    /// Brier score.
    pub brier: f64,
    /// Brier skill against always saying the base rate of the scored part; none when all or nothing happened.
    pub skill: Option<f64>,
    /// Reliability, by rising probability.
    pub bins: Vec<Bin>,
}

impl Judged {
    /// Whether the probabilities may be shown: they beat the base rate.
    pub fn publishable(&self) -> bool {
        self.skill.is_some_and(|skill| skill > 0.0)
    }
}

/// Lower ends of the bins.
const BINS: [f64; 9] = [0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7];

/// Scores probabilities against what happened; `None` without any.
pub fn judge(probabilities: &[f64], happened: &[bool]) -> Option<Judged> {
    let brier = score::brier(probabilities, happened)?;
    let rate = |members: &[usize]| members.iter().filter(|i| happened[**i]).count() as f64 / members.len() as f64;
    let mut bins = Vec::new();
    for (index, low) in BINS.iter().enumerate() {
        let high = BINS.get(index + 1).copied().unwrap_or(f64::INFINITY);
        let members: Vec<usize> =
            (0..probabilities.len()).filter(|i| probabilities[*i] >= *low && probabilities[*i] < high).collect();
        if !members.is_empty() {
            let said = members.iter().map(|i| probabilities[*i]).sum::<f64>() / members.len() as f64;
            bins.push(Bin { said, happened: rate(&members), count: members.len() });
        }
    }
    let all: Vec<usize> = (0..happened.len()).collect();
    Some(Judged {
        count: happened.len(),
        base_rate: rate(&all),
        brier,
        skill: score::brier_skill(probabilities, happened),
        bins,
    })
}

/// A probability for a series.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Hazard {
    /// Which.
    pub key: String,
    /// Probability of a surge within the slots.
    pub probability: f64,
    /// The feature that raised it most.
    pub because: &'static str,
}

/// Probabilities for the slots after the data, with how good such ones were.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Hazards {
    /// Slots ahead.
    pub slots: usize,
    /// The back-test; none when too few surges were seen to learn from.
    pub judged: Option<Judged>,
    /// Most probable first; empty when the back-test does not allow them to be shown.
    pub next: Vec<Hazard>,
}

/// One series at one origin.
struct Row {
    series: usize,
    origin: usize,
    features: Vec<f64>,
    /// Whether a surge came; none when the slots are not all there.
    came: Option<bool>,
}

/// Back-test and present probabilities, one per horizon.
pub fn hazards(series: &[Series]) -> Vec<Hazards> {
    let found = surge::surges(series, &SURGE);
    HORIZONS.iter().map(|slots| within(series, &found, *slots)).collect()
}

fn within(series: &[Series], found: &[Surge], slots: usize) -> Hazards {
    let length = series.first().map_or(0, |series| series.values.len());
    let rows = rows(series, found, slots, length);
    let begin = length - (length as f64 * SCORED) as usize;
    let (mut probabilities, mut happened) = (Vec::new(), Vec::new());
    let mut model = None;
    for origin in begin..length {
        if (origin - begin).is_multiple_of(REFIT) {
            model = fit(&rows, origin, slots);
        }
        let Some(model) = &model else { continue };
        for row in rows.iter().filter(|row| row.origin == origin) {
            if let Some(came) = row.came {
                probabilities.push(sigmoid(model.predict(&row.features)));
                happened.push(came);
            }
        }
    }
    let judged = judge(&probabilities, &happened);
    let mut next = Vec::new();
    if judged.as_ref().is_some_and(Judged::publishable)
        && let Some(model) = fit(&rows, length, slots)
    {
        next = rows.iter().filter(|row| row.origin == length).map(|row| hazard(series, row, &model)).collect();
        next.sort_by(|a, b| b.probability.total_cmp(&a.probability).then_with(|| a.key.cmp(&b.key)));
    }
    Hazards { slots, judged, next }
}

fn hazard(series: &[Series], row: &Row, model: &Linear) -> Hazard {
    let part = |index: &usize| model.coefficients[*index] * row.features[*index];
    let most = (0..FEATURES.len()).max_by(|a, b| part(a).total_cmp(&part(b))).unwrap_or(0);
    Hazard {
        key: series[row.series].key.clone(),
        probability: sigmoid(model.predict(&row.features)),
        because: FEATURES[most],
    }
}

/// Learns from the origins whose answer was known at `now`.
fn fit(rows: &[Row], now: usize, slots: usize) -> Option<Linear> {
    let known: Vec<&Row> = rows.iter().filter(|row| row.origin + slots <= now && row.came.is_some()).collect();
    let newest = &known[known.len().saturating_sub(ROWS_MAX)..];
    let targets: Vec<bool> = newest.iter().map(|row| row.came == Some(true)).collect();
    if targets.iter().filter(|came| **came).count() < SURGES_MIN {
        return None;
    }
    let features: Vec<Vec<f64>> = newest.iter().map(|row| row.features.clone()).collect();
    logistic(&features, &targets, PENALTY)
}

fn rows(series: &[Series], found: &[Surge], slots: usize, length: usize) -> Vec<Row> {
    let mut by_key: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut per_slot = vec![0_usize; length + 1];
    for surge in found {
        by_key.entry(&surge.key).or_default().push(surge.slot);
        per_slot[surge.slot] += 1;
    }
    let mut rows = Vec::new();
    for origin in WARM_UP..=length {
        for (index, one) in series.iter().enumerate().filter(|(_, one)| one.key != TOTAL) {
            // A series that is large only because of what comes later would give it away.
            let before: f64 = one.values[..origin].iter().filter(|value| value.is_finite()).sum();
            if before < LARGE_ENOUGH {
                continue;
            }
            let surged = by_key.get(one.key.as_str()).map_or(&[][..], Vec::as_slice);
            let Some(features) = features(&one.values[..origin], surged, &per_slot, origin) else { continue };
            let came =
                (origin + slots <= length).then(|| surged.iter().any(|slot| (origin..origin + slots).contains(slot)));
            rows.push(Row { series: index, origin, features, came });
        }
    }
    rows
}

/// What is known before the origin; `None` without a known slot in the last week.
fn features(values: &[f64], surged: &[usize], per_slot: &[usize], origin: usize) -> Option<Vec<f64>> {
    let week: Vec<f64> = values[origin - 7..].iter().copied().filter(|value| value.is_finite()).collect();
    let last = *week.last()?;
    let mut before: Vec<f64> = values[origin.saturating_sub(84)..].to_vec();
    let usual = quantile(&mut before, 0.5)?;
    let earlier = values[origin.saturating_sub(84)..origin - 7].iter().filter(|value| value.is_finite());
    let silent = earlier.copied().fold(0.0, f64::max) == 0.0;
    let most = week.iter().copied().fold(0.0, f64::max);
    let mean = week.iter().sum::<f64>() / week.len() as f64;
    let within = |slots: usize| surged.iter().filter(|slot| **slot < origin && **slot + slots >= origin).count();
    let count = |count: usize| (count as f64).ln_1p();
    let against = |value: f64| ((value.max(0.0) + 1.0) / (usual.max(0.0) + 1.0)).ln();
    let row = vec![
        mean.max(0.0).ln_1p(),
        against(last),
        against(most),
        count(within(7)),
        count(within(84)),
        count(within(1)),
        count(per_slot[origin - 1].saturating_sub(within(1))),
        f64::from(u8::from(silent)),
    ];
    row.iter().all(|value| value.is_finite()).then_some(row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use noroshi_model::Nanos;

    /// Forty ports: ten of them burst every ninth day, each at its own time, for 160 days.
    fn bursting() -> Vec<Series> {
        (0..40_usize)
            .map(|port| Series {
                key: format!("tcp/{port}"),
                start: Nanos(0),
                slot_seconds: 86_400,
                values: (0..160_usize)
                    .map(|day| {
                        let quiet = 10.0 + ((day * 7 + port * 13) % 5) as f64;
                        if port < 10 && (day * 31 + port * 17) % 23 == 0 { 900.0 } else { quiet }
                    })
                    .collect(),
            })
            .collect()
    }

    #[test]
    fn ports_that_burst_are_told_from_those_that_do_not() {
        let found = hazards(&bursting());
        for hazards in &found {
            let judged = hazards.judged.as_ref().unwrap();
            assert!(judged.publishable(), "{judged:?}");
            assert_eq!(judged.bins.iter().map(|bin| bin.count).sum::<usize>(), judged.count);
            // Those that burst within the last week are due again only later, which the model learned too.
            let least = hazards.next[..5].iter().map(|hazard| hazard.key[4..].parse::<u16>().unwrap()).max();
            assert!(least < Some(10), "{:?}", &hazards.next[..12]);
        }
        assert!(found[1].next[0].probability > found[0].next[0].probability);
    }

    #[test]
    fn what_cannot_be_foreseen_is_not_shown() {
        // Bursts by a hash of day and port: any port, any day.
        let mut series = bursting();
        for (port, one) in series.iter_mut().enumerate() {
            for (day, value) in one.values.iter_mut().enumerate() {
                let mut hash = (day * 1_000 + port) as u64 ^ 0x5bd1_e995;
                for _ in 0..3 {
                    hash = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                }
                *value = if (hash >> 40).is_multiple_of(60) { 900.0 } else { 12.0 + (day % 3) as f64 };
            }
        }
        for hazards in hazards(&series) {
            let judged = hazards.judged.unwrap();
            assert!(judged.skill.unwrap() < 0.02, "{judged:?}");
            assert_eq!(judged.skill.unwrap() > 0.0, !hazards.next.is_empty());
        }
    }

    #[test]
    fn nothing_after_the_origin_is_seen() {
        let whole = bursting();
        let surges = surge::surges(&whole, &SURGE);
        let cut: Vec<Series> =
            whole.iter().map(|one| Series { values: one.values[..120].to_vec(), ..one.clone() }).collect();
        let earlier = surge::surges(&cut, &SURGE);
        let all = rows(&whole, &surges, 7, 160);
        let short = rows(&cut, &earlier, 7, 120);
        let of = |rows: &[Row], origin: usize| {
            rows.iter().filter(|row| row.origin == origin).map(|row| row.features.clone()).collect::<Vec<_>>()
        };
        assert_eq!(of(&all, 120), of(&short, 120));
        assert!(short.iter().filter(|row| row.origin > 113).all(|row| row.came.is_none()));
    }

    #[test]
    fn short_or_empty_series_give_no_probability() {
        for values in [vec![], vec![f64::NAN; 60], vec![1.0], vec![5.0; 90]] {
            let series = [Series { key: "a".into(), start: Nanos(0), slot_seconds: 86_400, values }];
            assert!(hazards(&series).iter().all(|one| one.judged.is_none() && one.next.is_empty()));
        }
        assert!(hazards(&[]).iter().all(|one| one.judged.is_none()));
    }

    #[test]
    fn judging_by_hand() {
        let judged = judge(&[0.9, 0.8, 0.1, 0.0], &[true, true, false, false]).unwrap();
        assert!((judged.brier - (0.01 + 0.04 + 0.01) / 4.0).abs() < 1e-12);
        assert!((judged.skill.unwrap() - (1.0 - judged.brier / 0.25)).abs() < 1e-12);
        assert_eq!(judged.bins.len(), 3);
        assert!(judge(&[], &[]).is_none());
    }
}
