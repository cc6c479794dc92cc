//! Two classes from features: logistic regression, linear support vector machine, boosted stumps.
//!
//! Rows are features, targets are whether the row belongs to the class. All are deterministic. `None` for rows of unequal
//! length, values that are not finite, or a single class.

use crate::regression::{Linear, ridge};
use crate::skipgram::next;

fn sound(rows: &[Vec<f64>], targets: &[bool]) -> Option<usize> {
    let width = rows.first()?.len();
    let mixed = targets.iter().any(|target| *target) && targets.iter().any(|target| !*target);
    let whole = rows.iter().all(|row| row.len() == width && row.iter().all(|value| value.is_finite()));
    (mixed && whole && rows.len() == targets.len()).then_some(width)
}

/// Probability from log-odds.
pub fn sigmoid(odds: f64) -> f64 {
    1.0 / (1.0 + (-odds).exp())
}

/// Logistic regression with a ridge penalty on the coefficients (not the intercept), by iteratively reweighted least
/// squares (McCullagh and Nelder, 1989); a step that does not lessen the loss is halved, so that rare classes and classes
/// that a feature separates do not make it diverge. The result gives log-odds.
pub fn logistic(rows: &[Vec<f64>], targets: &[bool], penalty: f64) -> Option<Linear> {
    let width = sound(rows, targets)?;
    let rate = targets.iter().filter(|target| **target).count() as f64 / targets.len() as f64;
    let mut model = Linear { intercept: (rate / (1.0 - rate)).ln(), coefficients: vec![0.0; width] };
    let mut loss = logistic_loss(&model, rows, targets, penalty);
    for _ in 0..100 {
        let odds: Vec<f64> = rows.iter().map(|row| model.predict(row).clamp(-30.0, 30.0)).collect();
        let weights: Vec<f64> = odds.iter().map(|odds| (sigmoid(*odds) * (1.0 - sigmoid(*odds))).max(1e-12)).collect();
        let working: Vec<f64> = (0..rows.len())
            .map(|i| odds[i] + (f64::from(u8::from(targets[i])) - sigmoid(odds[i])) / weights[i])
            .collect();
        let full = ridge(rows, &working, Some(&weights), penalty)?;
        let mut part = 1.0;
        let (next, next_loss) = loop {
            let mix = |from: f64, to: f64| from + part * (to - from);
            let coefficients = model.coefficients.iter().zip(&full.coefficients).map(|(a, b)| mix(*a, *b)).collect();
            let next = Linear { intercept: mix(model.intercept, full.intercept), coefficients };
            let next_loss = logistic_loss(&next, rows, targets, penalty);
            if next_loss <= loss || part < 1e-6 {
                break (next, next_loss);
            }
            part /= 2.0;
        };
        // Not better, or not noticeably.
        if next_loss.is_nan() || next_loss > loss {
            break;
        }
        let settled = loss - next_loss <= 1e-14 * loss.abs();
        (model, loss) = (next, next_loss);
        if settled {
            break;
        }
    }
    Some(model)
}

/// Negative log-likelihood with the penalty.
fn logistic_loss(model: &Linear, rows: &[Vec<f64>], targets: &[bool], penalty: f64) -> f64 {
    let one = |(row, target): (&Vec<f64>, &bool)| {
        let odds = if *target { model.predict(row) } else { -model.predict(row) };
        // ln(1 + e^-x) without overflow.
        if odds > 0.0 { (-odds).exp().ln_1p() } else { odds.exp().ln_1p() - odds }
    };
    let size: f64 = model.coefficients.iter().map(|value| value * value).sum();
    rows.iter().zip(targets).map(one).sum::<f64>() + penalty / 2.0 * size
}

/// Linear support vector machine with hinge loss of cost `cost` per row, by dual coordinate descent (Hsieh et al., "A
/// Dual Coordinate Descent Method for Large-scale Linear SVM", ICML 2008). The intercept is a feature that is always
/// one, hence penalised like the others. The result is positive for the class.
pub fn support_vectors(rows: &[Vec<f64>], targets: &[bool], cost: f64, passes: usize) -> Option<Linear> {
    let width = sound(rows, targets)?;
    if !(cost.is_finite() && cost > 0.0) {
        return None;
    }
    let sign = |index: usize| if targets[index] { 1.0 } else { -1.0 };
    let squares: Vec<f64> = rows.iter().map(|row| 1.0 + row.iter().map(|value| value * value).sum::<f64>()).collect();
    let mut model = Linear { intercept: 0.0, coefficients: vec![0.0; width] };
    let mut duals = vec![0.0_f64; rows.len()];
    let mut order: Vec<usize> = (0..rows.len()).collect();
    let mut state = 1;
    for _ in 0..passes {
        let mut violation = 0.0_f64;
        for at in (1..order.len()).rev() {
            order.swap(at, (next(&mut state) % (at as u64 + 1)) as usize);
        }
        for &index in &order {
            let gradient = sign(index) * model.predict(&rows[index]) - 1.0;
            let projected = match duals[index] {
                dual if dual <= 0.0 => gradient.min(0.0),
                dual if dual >= cost => gradient.max(0.0),
                _ => gradient,
            };
            violation = violation.max(projected.abs());
            if projected == 0.0 {
                continue;
            }
            let before = duals[index];
            duals[index] = (before - gradient / squares[index]).clamp(0.0, cost);
            let step = (duals[index] - before) * sign(index);
            model.intercept += step;
            model.coefficients.iter_mut().zip(&rows[index]).for_each(|(weight, value)| *weight += step * value);
        }
        if violation < 1e-6 {
            break;
        }
    }
    Some(model)
}

/// A question about one feature: above the cut, the odds grow by `above`, otherwise by `below`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Stump {
    /// Which feature.
    pub feature: usize,
    /// Values above it answer yes.
    pub cut: f64,
    /// Added to the log-odds at or below the cut.
    pub below: f64,
    /// Added above.
    pub above: f64,
}

/// Stumps whose answers add up to log-odds.
#[derive(Clone, PartialEq, Debug)]
pub struct Stumps {
    /// Log-odds before any question.
    pub start: f64,
    /// In the order learned.
    pub stumps: Vec<Stump>,
    /// Gain of each feature over all stumps; shares of one.
    pub gains: Vec<f64>,
}

impl Stumps {
    /// Log-odds of the class.
    pub fn predict(&self, features: &[f64]) -> f64 {
        let answer = |stump: &Stump| match features.get(stump.feature) {
            Some(value) if *value > stump.cut => stump.above,
            _ => stump.below,
        };
        self.start + self.stumps.iter().map(answer).sum::<f64>()
    }
}

/// Penalty on the answers, as in XGBoost (Chen and Guestrin, KDD 2016): keeps answers of few rows small.
const ANSWER_PENALTY: f64 = 1.0;
/// Cuts tried per feature: quantiles.
const CUTS: usize = 32;

/// Gradient boosting of stumps on the logistic loss with Newton steps (Friedman, "Greedy Function Approximation",
/// Annals of Statistics 2001), `rounds` of them, each shrunk by `rate`.
pub fn boosted(rows: &[Vec<f64>], targets: &[bool], rounds: usize, rate: f64) -> Option<Stumps> {
    let width = sound(rows, targets)?;
    let share = targets.iter().filter(|target| **target).count() as f64 / targets.len() as f64;
    let start = (share / (1.0 - share)).ln();
    let cuts: Vec<Vec<f64>> = (0..width).map(|feature| quantile_cuts(rows, feature)).collect();
    // Bin of each row per feature: how many cuts lie below its value.
    let bins: Vec<Vec<u8>> = (0..width)
        .map(|f| rows.iter().map(|row| cuts[f].partition_point(|cut| *cut < row[f]) as u8).collect())
        .collect();
    let mut odds = vec![start; rows.len()];
    let mut found = Stumps { start, stumps: Vec::new(), gains: vec![0.0; width] };
    for _ in 0..rounds {
        let Some((stump, gain, bin)) = best_stump(&bins, &cuts, &odds, targets, rate) else { break };
        for (row, odds) in odds.iter_mut().enumerate() {
            *odds += if usize::from(bins[stump.feature][row]) > bin { stump.above } else { stump.below };
        }
        found.gains[stump.feature] += gain;
        found.stumps.push(stump);
    }
    let total: f64 = found.gains.iter().sum();
    if total > 0.0 {
        found.gains.iter_mut().for_each(|gain| *gain /= total);
    }
    Some(found)
}

fn quantile_cuts(rows: &[Vec<f64>], feature: usize) -> Vec<f64> {
    let mut values: Vec<f64> = rows.iter().map(|row| row[feature]).collect();
    values.sort_by(f64::total_cmp);
    let mut cuts: Vec<f64> =
        (1..=CUTS).map(|cut| values[(cut * values.len() / (CUTS + 1)).min(values.len() - 1)]).collect();
    cuts.dedup();
    // A cut at the largest value divides nothing.
    cuts.retain(|cut| *cut < values[values.len() - 1]);
    cuts
}

/// The stump with the largest gain, that gain, and the bin of its cut.
fn best_stump(
    bins: &[Vec<u8>],
    cuts: &[Vec<f64>],
    odds: &[f64],
    targets: &[bool],
    rate: f64,
) -> Option<(Stump, f64, usize)> {
    let slopes: Vec<(f64, f64)> = odds
        .iter()
        .zip(targets)
        .map(|(odds, target)| {
            let p = sigmoid(*odds);
            (f64::from(u8::from(*target)) - p, p * (1.0 - p))
        })
        .collect();
    let sum = |parts: &[(f64, f64)]| parts.iter().fold((0.0, 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
    let whole = sum(&slopes);
    let worth = |(g, h): (f64, f64)| g * g / (h + ANSWER_PENALTY);
    let answer = |(g, h): (f64, f64)| rate * g / (h + ANSWER_PENALTY);
    let mut best: Option<(Stump, f64, usize)> = None;
    for (feature, bins) in bins.iter().enumerate() {
        let mut sums = [(0.0, 0.0); CUTS + 1];
        for (bin, slope) in bins.iter().zip(&slopes) {
            let cell = &mut sums[usize::from(*bin)];
            *cell = (cell.0 + slope.0, cell.1 + slope.1);
        }
        let mut below = (0.0, 0.0);
        for (bin, cut) in cuts[feature].iter().enumerate() {
            below = (below.0 + sums[bin].0, below.1 + sums[bin].1);
            let above = (whole.0 - below.0, whole.1 - below.1);
            let gain = worth(below) + worth(above) - worth(whole);
            if gain > best.as_ref().map_or(1e-9, |best| best.1) {
                best = Some((Stump { feature, cut: *cut, below: answer(below), above: answer(above) }, gain, bin));
            }
        }
    }
    best
}

/// How well a feature alone tells the classes apart: squared distance of the means over the sum of the variances (the
/// F-score of Chen and Lin, "Combining SVMs with Various Feature Selection Strategies", 2006).
pub fn separation(rows: &[Vec<f64>], targets: &[bool]) -> Option<Vec<f64>> {
    let width = sound(rows, targets)?;
    let moments = |feature: usize, class: bool| {
        let values: Vec<f64> =
            rows.iter().zip(targets).filter(|(_, t)| **t == class).map(|(r, _)| r[feature]).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let spread = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len().max(2) - 1) as f64;
        (mean, spread)
    };
    let score = |feature: usize| {
        let ((a, va), (b, vb)) = (moments(feature, true), moments(feature, false));
        let all = rows.iter().map(|row| row[feature]).sum::<f64>() / rows.len() as f64;
        let between = (a - all).powi(2) + (b - all).powi(2);
        if between == 0.0 { 0.0 } else { between / (va + vb).max(1e-12) }
    };
    Some((0..width).map(score).collect())
}
