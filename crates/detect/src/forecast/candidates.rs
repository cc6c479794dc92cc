//! The methods that are compared and combined.

use super::Plan;
use noroshi_stats::{naive, regression, smooth};

/// The naive methods a forecast is measured against, in order.
pub const NAIVE: [&str; 6] = ["naive", "seasonal naive", "drift", "mean", "moving average 7", "moving average 28"];

/// Candidates of the combination, in order.
pub(super) const CANDIDATES: [&str; 9] = [
    "smoothing 0.1",
    "smoothing 0.2",
    "smoothing 0.3",
    "smoothing 0.5",
    "median of two seasons",
    "mean of a season",
    "mean of four seasons",
    "log-linear regression",
    "negative binomial regression",
];

/// Rows a regression needs: more than twice its features.
const ROWS_MIN: usize = 20;
/// Ridge penalties; small beside the rows, large enough for collinear lags.
const LINEAR_PENALTY: f64 = 0.3;
const COUNT_PENALTY: f64 = 3.0;

/// From a history to the next value.
type Method<'a> = &'a dyn Fn(&[f64]) -> Option<f64>;

/// Naive forecasts; NaN where undefined. For a sum, each method goes on from its own forecasts.
pub(super) fn naive(history: &[f64], plan: &Plan) -> Vec<f64> {
    let season = plan.season;
    let methods: [Method<'_>; 6] = [
        &naive::last,
        &|history| naive::seasonal(history, season),
        &|history| naive::drift(history).map(|value| value.max(0.0)),
        &|history| naive::moving_average(history, history.len()),
        &|history| naive::moving_average(history, 7),
        &|history| naive::moving_average(history, 28),
    ];
    methods
        .iter()
        .map(|method| {
            let (mut sum, mut known) = (method(history).unwrap_or(f64::NAN), history.to_vec());
            let mut next = sum;
            for _ in 1..plan.ahead {
                known.push(next);
                next = method(&known).unwrap_or(f64::NAN);
                sum += next;
            }
            sum
        })
        .collect()
}

/// A forecast per candidate.
pub(super) fn forecast_all(history: &[f64], plan: &Plan) -> Vec<Option<f64>> {
    let logs: Vec<f64> = history.iter().map(|value| if value.is_nan() { *value } else { super::log(*value) }).collect();
    let smoothed = |weight| smooth::simple(&logs, weight).map(f64::exp_m1);
    vec![
        smoothed(0.1),
        smoothed(0.2),
        smoothed(0.3),
        smoothed(0.5),
        naive::moving_median(history, 2 * plan.season),
        naive::moving_average(history, plan.season),
        naive::moving_average(history, 4 * plan.season),
        log_linear(&logs, plan),
        negative_binomial(history, &logs, plan),
    ]
    .into_iter()
    // Levels go on as they are, so a sum is so many of them.
    .map(|value| value.filter(|value| value.is_finite()).map(|value| value.max(0.0) * plan.ahead as f64))
    .collect()
}

/// Seasons whose slots of the same place are averaged.
const SEASONS: usize = 7;

/// Means of one and two seasons and what the lags differ from the first; `None` where a lag is a hole.
fn features(logs: &[f64], slot: usize, plan: &Plan) -> Option<(f64, Vec<f64>)> {
    let season = plan.season;
    if slot < 2 * season {
        return None;
    }
    let one = naive::moving_average(&logs[..slot], season)?;
    let two = naive::moving_average(&logs[..slot], 2 * season)?;
    let mut lags = vec![logs[slot - 1], logs[slot - 2], logs[slot - season], two];
    if !plan.slots_of_season {
        let same: Vec<f64> =
            (1..=SEASONS).filter_map(|back| logs.get(slot.checked_sub(back * season)?).copied()).collect();
        lags.push(naive::moving_average(&same, SEASONS)?);
    }
    let differences: Vec<f64> = lags.iter().map(|lag| lag - one).collect();
    differences.iter().all(|value| value.is_finite()).then_some((one, differences))
}

/// Slots whose truth is known, from which a regression learns: the mean of the slots from there on.
fn learnable<'a>(values: &'a [f64], plan: &'a Plan) -> impl Iterator<Item = (usize, f64)> + 'a {
    let last = (values.len() + 1).saturating_sub(plan.ahead);
    (values.len().saturating_sub(plan.learn).max(2 * plan.season)..last)
        .map(|slot| (slot, plan.target(values, slot) / plan.ahead as f64))
}

/// The regression predicts how far the next value lies from the mean of the season.
fn log_linear(logs: &[f64], plan: &Plan) -> Option<f64> {
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    for (slot, target) in learnable(logs, plan) {
        if let Some((level, row)) = features(logs, slot, plan)
            && target.is_finite()
        {
            rows.push(row);
            targets.push(target - level);
        }
    }
    if rows.len() < ROWS_MIN {
        return None;
    }
    let model = regression::ridge(&rows, &targets, None, LINEAR_PENALTY)?;
    let (level, row) = features(logs, logs.len(), plan)?;
    Some((level + model.predict(&row)).min(LARGEST_LOG).exp_m1())
}

/// Forecasts above this are no counts any more; keeps the exponential finite.
const LARGEST_LOG: f64 = 60.0;

/// Lags, level and the place in the season explain the count itself.
fn negative_binomial(history: &[f64], logs: &[f64], plan: &Plan) -> Option<f64> {
    let row = |slot: usize| {
        let (level, mut row) = features(logs, slot, plan)?;
        row.push(level);
        if plan.slots_of_season {
            row.extend((1..plan.season).map(|day| f64::from(u8::from(slot % plan.season == day))));
        }
        Some(row)
    };
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    for (slot, count) in learnable(history, plan) {
        // Values that no sensor counts would only break the arithmetic.
        if let Some(row) = row(slot)
            && (0.0..1e12).contains(&count)
        {
            rows.push(row);
            targets.push(count);
        }
    }
    if rows.len() < ROWS_MIN {
        return None;
    }
    let size = noroshi_stats::tail::CountModel::fit(&targets, 0.1)?.size;
    let model = regression::negative_binomial(&rows, &targets, size, COUNT_PENALTY)?;
    Some(model.predict(&row(logs.len())?).min(LARGEST_LOG).exp())
}
