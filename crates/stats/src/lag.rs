//! Who moves first: cross-correlation of what an autoregression leaves unexplained, and signs of first sightings.

/// What one series tells of another.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Lag {
    /// Slots by which the first leads; negative when it follows.
    pub slots: i64,
    /// Correlation at that lag.
    pub correlation: f64,
    /// Share of circular shifts whose largest correlation within as many lags is at least as large.
    pub probability: f64,
}

/// Least squares of an autoregression by the Yule-Walker equations (Levinson and Durbin); the order with the least AIC
/// up to `order_max`. Weights of lag 1, 2, …; holes count as the mean. Empty when nothing can be fitted.
pub fn autoregression(values: &[f64], order_max: usize) -> Vec<f64> {
    let centred = centred(values);
    let count = centred.len();
    let covariance: Vec<f64> = (0..=order_max.min(count.saturating_sub(1) / 4))
        .map(|lag| centred.iter().zip(centred.iter().skip(lag)).map(|(a, b)| a * b).sum::<f64>() / count.max(1) as f64)
        .collect();
    let Some(&variance) = covariance.first().filter(|variance| variance.is_finite() && **variance > 0.0) else {
        return Vec::new();
    };
    let (mut weights, mut error) = (Vec::<f64>::new(), variance);
    let (mut best, mut lowest) = (Vec::new(), count as f64 * variance.ln());
    for lag in 1..covariance.len() {
        let explained: f64 = weights.iter().enumerate().map(|(i, weight)| weight * covariance[lag - 1 - i]).sum();
        let reflection = (covariance[lag] - explained) / error;
        let mut next: Vec<f64> = (0..lag - 1).map(|i| weights[i] - reflection * weights[lag - 2 - i]).collect();
        next.push(reflection);
        error *= 1.0 - reflection * reflection;
        if !(error.is_finite() && error > variance * 1e-12) {
            break;
        }
        weights = next;
        let criterion = count as f64 * error.ln() + 2.0 * lag as f64;
        if criterion < lowest {
            (best, lowest) = (weights.clone(), criterion);
        }
    }
    best
}

/// Differences from the mean; holes become zero.
fn centred(values: &[f64]) -> Vec<f64> {
    let known: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
    values.iter().map(|value| if value.is_finite() { value - mean } else { 0.0 }).collect()
}

/// What the weights leave unexplained; shorter than the series by the order.
fn residuals(values: &[f64], weights: &[f64]) -> Vec<f64> {
    let centred = centred(values);
    (weights.len()..centred.len())
        .map(|at| centred[at] - weights.iter().enumerate().map(|(i, weight)| weight * centred[at - 1 - i]).sum::<f64>())
        .collect()
}

/// Lag, within `reach` slots to each side, at which `first` explains `second` best, both prewhitened by the
/// autoregression of `first` (Box and Jenkins, *Time Series Analysis*, 1970). The probability compares the largest
/// correlation with that of every circular shift of one series against the other beyond the reach: all there are, so
/// nothing is drawn by chance. `None` when the series differ in length, are shorter than eight times the reach, or one
/// is constant.
pub fn leads(first: &[f64], second: &[f64], reach: usize, order_max: usize) -> Option<Lag> {
    if first.len() != second.len() || first.len() < 8 * reach.max(1) {
        return None;
    }
    let weights = autoregression(first, order_max);
    let (a, b) = (residuals(first, &weights), residuals(second, &weights));
    let (a, b) = (centred(&a), centred(&b));
    let length = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>().sqrt();
    let scale = length(&a) * length(&b);
    if !(scale.is_finite() && scale > 0.0) {
        return None;
    }
    let count = a.len();
    // Correlation at every circular lag: those near zero are the question, all others the answer by chance.
    let all: Vec<f64> = (0..count)
        .map(|lag| {
            let (head, tail) = b.split_at(lag);
            let straight: f64 = a.iter().zip(tail).map(|(x, y)| x * y).sum();
            let around: f64 = a[count - lag..].iter().zip(head).map(|(x, y)| x * y).sum();
            (straight + around) / scale
        })
        .collect();
    let reach = reach as i64;
    let at = |lag: i64| all[lag.rem_euclid(count as i64) as usize];
    let slots = (-reach..=reach).max_by(|x, y| at(*x).total_cmp(&at(*y)).then(y.abs().cmp(&x.abs())))?;
    let correlation = at(slots);
    let centres: Vec<i64> = (2 * reach + 1..count as i64 - 2 * reach - 1).collect();
    let as_large =
        centres.iter().filter(|centre| (**centre - reach..=**centre + reach).any(|lag| at(lag) >= correlation)).count();
    Some(Lag { slots, correlation, probability: (as_large + 1) as f64 / (centres.len() + 1) as f64 })
}

/// Two-sided sign test: probability of a split at least as uneven as `before` of `count`, were both orders equally
/// likely (Arbuthnot, 1710). 1 without a count.
pub fn sign_test(before: u64, count: u64) -> f64 {
    use statrs::distribution::{Binomial, DiscreteCDF};
    let fewer = before.min(count.saturating_sub(before));
    match Binomial::new(0.5, count) {
        Ok(model) if count > 0 => (2.0 * model.cdf(fewer)).min(1.0),
        _ => 1.0,
    }
}

/// Whether lags of `other` help to explain `series` beyond its own: F statistic and its probability (Granger,
/// Econometrica 1969). Rows with a hole are left out. `None` with too few rows or a singular system.
pub fn granger(series: &[f64], other: &[f64], lags: usize) -> Option<(f64, f64)> {
    use statrs::distribution::{ContinuousCDF, FisherSnedecor};
    if lags == 0 || series.len() != other.len() {
        return None;
    }
    let (mut own, mut both, mut targets) = (Vec::new(), Vec::new(), Vec::new());
    for at in lags..series.len() {
        let mut row: Vec<f64> = (1..=lags).map(|lag| series[at - lag]).collect();
        let others: Vec<f64> = (1..=lags).map(|lag| other[at - lag]).collect();
        if row.iter().chain(&others).any(|value| !value.is_finite()) || !series[at].is_finite() {
            continue;
        }
        own.push(row.clone());
        row.extend(others);
        both.push(row);
        targets.push(series[at]);
    }
    let free = targets.len().checked_sub(2 * lags + 1).filter(|free| *free > 0)? as f64;
    let rest = |rows: &[Vec<f64>]| {
        let model = crate::regression::ridge(rows, &targets, None, 0.0)?;
        Some(rows.iter().zip(&targets).map(|(row, target)| (target - model.predict(row)).powi(2)).sum::<f64>())
    };
    let (without, with) = (rest(&own)?, rest(&both)?);
    let statistic = ((without - with) / lags as f64) / (with / free);
    let model = FisherSnedecor::new(lags as f64, free).ok()?;
    statistic.is_finite().then(|| (statistic.max(0.0), model.sf(statistic.max(0.0))))
}
