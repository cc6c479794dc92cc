//! Replays history and scores every forecast beside the naive methods.
//!
//! Rolling origin (Tashman, "Out-of-sample tests of forecasting accuracy", IJF 2000): each forecast sees the slots
//! before it and nothing else; scores are taken over the last part of the series.

use super::{Forecast, NAIVE, Plan, Replay};
use crate::series::Series;
use noroshi_model::Nanos;
use noroshi_stats::score;
use serde::Serialize;

/// Share of the series, at its end, that is scored.
pub const SCORED: f64 = 0.25;

/// One scored slot.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Point {
    /// Start of the slot.
    pub start: Nanos,
    /// What came; none is a gap.
    pub actual: Option<f64>,
    /// What was expected.
    pub forecast: Option<Forecast>,
    /// Forecast of the best naive method.
    pub naive: Option<f64>,
}

/// Mean absolute error of one method.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct MethodScore {
    /// Name of the method.
    pub method: &'static str,
    /// Mean absolute error.
    pub mae: f64,
    /// Mean absolute scaled error; none when the training part is constant.
    pub mase: Option<f64>,
}

/// Scores of one series.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Backtest {
    /// Which series.
    pub key: String,
    /// What was forecast: `1 h`, `1 d`, `7 d`.
    pub horizon: &'static str,
    /// Slots scored.
    pub scored: usize,
    /// Mean absolute error.
    pub mae: f64,
    /// Mean absolute scaled error; scale: in-sample seasonal naive of the part before.
    pub mase: Option<f64>,
    /// Symmetric mean absolute percentage error, 0 to 200.
    pub smape: Option<f64>,
    /// Continuous ranked probability score from quantiles.
    pub crps: Option<f64>,
    /// Share inside the 80 % interval.
    pub coverage80: Option<f64>,
    /// Share inside the 95 % interval.
    pub coverage95: Option<f64>,
    /// The naive methods on the same slots, best first.
    pub naive: Vec<MethodScore>,
    /// Every scored slot.
    pub points: Vec<Point>,
    /// Slots before the scored part, for plots; none is a gap.
    pub history: Vec<Option<f64>>,
}

impl Backtest {
    /// The best naive method, chosen after the fact; moving averages apart.
    pub fn best_naive(&self) -> Option<&MethodScore> {
        self.naive.iter().find(|score| !score.method.starts_with("moving"))
    }

    /// The best moving average, chosen after the fact.
    pub fn best_average(&self) -> Option<&MethodScore> {
        self.naive.iter().find(|score| score.method.starts_with("moving"))
    }

    /// Error divided by that of another method; below 1 is better. `None` without one, or when it made no error.
    pub fn relative(&self, other: Option<&MethodScore>) -> Option<f64> {
        let mae = other?.mae;
        (mae > 0.0).then(|| self.mae / mae)
    }
}

/// Replays one series day by day; `None` when nothing could be scored.
pub fn backtest(series: &Series) -> Option<Backtest> {
    backtest_by(series, Plan::DAY)
}

/// Replays one series by a plan; `None` when nothing could be scored.
pub fn backtest_by(series: &Series, plan: Plan) -> Option<Backtest> {
    let values = plan.window(&series.values);
    let skipped = series.values.len() - values.len();
    let begin = values.len() - (values.len() as f64 * SCORED) as usize;
    let mut replay = Replay::new(plan);
    let steps: Vec<_> = (0..values.len()).map(|slot| replay.step(&values[..slot])).collect();
    let truth: Vec<f64> = (0..values.len()).map(|slot| plan.target(values, slot)).collect();
    let scored = &steps[begin..];
    let actual = &truth[begin..];
    // What was known before the scored part began gives the scale.
    let training = &truth[..(begin + 1).saturating_sub(plan.ahead)];
    let season = plan.season.max(plan.ahead);
    let points: Vec<f64> =
        scored.iter().map(|step| step.forecast.as_ref().map_or(f64::NAN, |forecast| forecast.point)).collect();
    let mae = score::mae(actual, &points)?;
    let mut naive: Vec<(usize, MethodScore)> = (0..NAIVE.len())
        .filter_map(|index| {
            let forecasts: Vec<f64> = scored.iter().map(|step| step.naive[index]).collect();
            let mae = score::mae(actual, &forecasts)?;
            let mase = score::mase(actual, &forecasts, training, season);
            Some((index, MethodScore { method: NAIVE[index], mae, mase }))
        })
        .collect();
    naive.sort_by(|a, b| a.1.mae.total_cmp(&b.1.mae));
    let best = naive.iter().find(|(_, score)| !score.method.starts_with("moving")).map(|(index, _)| *index);
    let known = |value: f64| value.is_finite().then_some(value);
    let crps: Vec<f64> = scored
        .iter()
        .zip(actual)
        .filter_map(|(step, actual)| score::crps(known(*actual)?, &step.forecast.as_ref()?.quantiles))
        .collect();
    Some(Backtest {
        key: series.key.clone(),
        horizon: plan.name,
        scored: actual.iter().zip(&points).filter(|(a, p)| a.is_finite() && p.is_finite()).count(),
        mae,
        mase: score::mase(actual, &points, training, season),
        smape: score::smape(actual, &points),
        crps: (!crps.is_empty()).then(|| crps.iter().sum::<f64>() / crps.len() as f64),
        coverage80: coverage(scored.iter().map(|step| step.forecast.as_ref()?.interval80), actual),
        coverage95: coverage(scored.iter().map(|step| step.forecast.as_ref()?.interval95), actual),
        naive: naive.into_iter().map(|(_, score)| score).collect(),
        points: scored
            .iter()
            .enumerate()
            .map(|(index, step)| Point {
                start: series.time(skipped + begin + index),
                actual: known(actual[index]),
                forecast: step.forecast.clone(),
                naive: best.and_then(|best| known(step.naive[best])),
            })
            .collect(),
        history: truth[..begin].iter().map(|value| known(*value)).collect(),
    })
}

fn coverage(intervals: impl Iterator<Item = Option<(f64, f64)>>, actual: &[f64]) -> Option<f64> {
    let (lower, upper): (Vec<f64>, Vec<f64>) =
        intervals.map(|interval| interval.unwrap_or((f64::NAN, f64::NAN))).unzip();
    score::coverage(actual, &lower, &upper)
}
