//! The methods that are compared and combined.

use super::SEASON;
use noroshi_stats::{naive, regression, smooth};

/// The naive methods a forecast is measured against, in order.
pub const NAIVE: [&str; 6] = ["naive", "seasonal naive", "drift", "mean", "moving average 7", "moving average 28"];

/// Candidates of the combination, in order.
pub(super) const CANDIDATES: [&str; 9] = [
    "smoothing 0.1",
    "smoothing 0.2",
    "smoothing 0.3",
    "smoothing 0.5",
    "median 14",
    "moving average 7",
    "moving average 28",
    "log-linear regression",
    "negative binomial regression",
];

/// Slots a regression learns from.
const LEARN: usize = 90;
/// Rows a regression needs: more than twice its features.
const ROWS_MIN: usize = 20;
/// Ridge penalties; small beside the rows, large enough for collinear lags.
const LINEAR_PENALTY: f64 = 0.3;
const COUNT_PENALTY: f64 = 3.0;

/// Naive forecasts; NaN where undefined.
pub(super) fn naive(history: &[f64]) -> Vec<f64> {
    [
        naive::last(history),
        naive::seasonal(history, SEASON),
        naive::drift(history).map(|value| value.max(0.0)),
        naive::moving_average(history, history.len()),
        naive::moving_average(history, 7),
        naive::moving_average(history, 28),
    ]
    .map(|value| value.unwrap_or(f64::NAN))
    .to_vec()
}

/// A forecast per candidate.
pub(super) fn forecast_all(history: &[f64]) -> Vec<Option<f64>> {
    let logs: Vec<f64> = history.iter().map(|value| if value.is_nan() { *value } else { super::log(*value) }).collect();
    let smoothed = |weight| smooth::simple(&logs, weight).map(f64::exp_m1);
    vec![
        smoothed(0.1),
        smoothed(0.2),
        smoothed(0.3),
        smoothed(0.5),
        naive::moving_median(history, 14),
        naive::moving_average(history, 7),
        naive::moving_average(history, 28),
        log_linear(&logs),
        negative_binomial(history, &logs),
    ]
    .into_iter()
    .map(|value| value.filter(|value| value.is_finite()).map(|value| value.max(0.0)))
    .collect()
}

/// Means of one and two weeks and what the lags differ from the first; `None` where a lag is a hole.
fn features(logs: &[f64], slot: usize) -> Option<(f64, Vec<f64>)> {
    if slot < 14 {
        return None;
    }
    let week = naive::moving_average(&logs[..slot], 7)?;
    let fortnight = naive::moving_average(&logs[..slot], 14)?;
    let lags = [logs[slot - 1], logs[slot - 2], logs[slot - 7], fortnight];
    let differences: Vec<f64> = lags.iter().map(|lag| lag - week).collect();
    differences.iter().all(|value| value.is_finite()).then_some((week, differences))
}

/// The regression predicts how far the next value lies from the mean of the week.
fn log_linear(logs: &[f64]) -> Option<f64> {
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    for slot in logs.len().saturating_sub(LEARN).max(14)..logs.len() {
        if let Some((week, row)) = features(logs, slot)
            && logs[slot].is_finite()
        {
            rows.push(row);
            targets.push(logs[slot] - week);
        }
    }
    if rows.len() < ROWS_MIN {
        return None;
    }
    let model = regression::ridge(&rows, &targets, None, LINEAR_PENALTY)?;
    let (week, row) = features(logs, logs.len())?;
    Some((week + model.predict(&row)).min(LARGEST_LOG).exp_m1())
}

/// Forecasts above this are no counts any more; keeps the exponential finite.
const LARGEST_LOG: f64 = 60.0;

/// Lags, level and day of the week explain the count itself.
fn negative_binomial(history: &[f64], logs: &[f64]) -> Option<f64> {
    let row = |slot: usize| {
        let (week, mut row) = features(logs, slot)?;
        row.push(week);
        row.extend((1..SEASON).map(|day| f64::from(u8::from(slot % SEASON == day))));
        Some(row)
    };
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    for (slot, count) in history.iter().enumerate().skip(history.len().saturating_sub(LEARN).max(14)) {
        // Values that no sensor counts would only break the arithmetic.
        if let Some(row) = row(slot)
            && (0.0..1e12).contains(count)
        {
            rows.push(row);
            targets.push(*count);
        }
    }
    if rows.len() < ROWS_MIN {
        return None;
    }
    let size = noroshi_stats::tail::CountModel::fit(&targets, 0.1)?.size;
    let model = regression::negative_binomial(&rows, &targets, size, COUNT_PENALTY)?;
    Some(model.predict(&row(logs.len())?).min(LARGEST_LOG).exp())
}
