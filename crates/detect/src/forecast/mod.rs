//! What comes next, and how good such forecasts were.
//!
//! Every forecast is made from the slots before it only, for the next hour, the next day, or the sum of the next seven days
//! ([`Plan`]). Candidates are combined by the inverse of
//! their own past errors (an inner rolling validation: the same rule for every series, nothing chosen by hand), and
//! intervals come from the errors that the combination really made. [`backtest`] replays all of it over history.

pub mod backtest;
pub mod blocklist;
pub mod brief;
mod candidates;
pub mod hazard;

use crate::series::Series;
use candidates::{CANDIDATES, forecast_all};
use noroshi_stats::{conformal, ensemble};
use serde::Serialize;

pub use candidates::NAIVE;

/// Slots of a week of days: the season.
pub const SEASON: usize = 7;
/// Known slots needed before a first forecast.
pub const WARM_UP: usize = 14;
/// Past errors over which candidates are compared. Smaller: quicker to change its mind, more led by chance.
const VALIDATION: usize = 42;
/// Candidates that take part: the best of the validation.
const CHOSEN: usize = 3;
/// Past errors that intervals rest on. 28 are too few for a 95 % interval of two sides: its ends need 39.
const RESIDUALS: usize = 84;
/// Past errors needed before an interval is given.
const RESIDUALS_MIN: usize = 10;
/// Step of adaptive conformal inference; Gibbs and Candès use 0.005 on long series, ours are short.
const ADAPT_RATE: f64 = 0.02;
/// Levels of the quantiles that are forecast, beside the interval ends.
const LEVELS: [f64; 9] = [0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95];

/// What is forecast, and how far back is looked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Name: `1 h`, `1 d`, `7 d`.
    pub name: &'static str,
    /// Seconds of the slots that it is for.
    pub slot_seconds: u32,
    /// Slots of a season.
    pub season: usize,
    /// Slots whose sum is forecast.
    pub ahead: usize,
    /// Slots that are replayed at most.
    pub window: usize,
    /// Slots a regression learns from.
    learn: usize,
    /// Whether each slot of the season has a coefficient of its own; for long seasons their mean is a feature instead.
    slots_of_season: bool,
}

impl Plan {
    /// The next hour, from hours.
    pub const HOUR: Plan = Plan {
        name: "1 h",
        slot_seconds: 3_600,
        season: 24,
        ahead: 1,
        window: 672,
        learn: 168,
        slots_of_season: false,
    };
    /// The next day, from days.
    pub const DAY: Plan = Plan {
        name: "1 d",
        slot_seconds: 86_400,
        season: SEASON,
        ahead: 1,
        window: 400,
        learn: 90,
        slots_of_season: true,
    };
    /// The sum of the next seven days, from days.
    pub const WEEK: Plan = Plan { name: "7 d", ahead: 7, ..Plan::DAY };

    /// What comes in the slots from `at` on: their mean times their number when at least three quarters are known.
    fn target(&self, values: &[f64], at: usize) -> f64 {
        let Some(slots) = values.get(at..at + self.ahead) else { return f64::NAN };
        let known: Vec<f64> = slots.iter().copied().filter(|value| value.is_finite()).collect();
        if known.len() * 4 < self.ahead * 3 {
            return f64::NAN;
        }
        known.iter().sum::<f64>() / known.len() as f64 * self.ahead as f64
    }

    /// The part of a long series that a forecast can use, so that the work per series is bounded.
    fn window<'a>(&self, values: &'a [f64]) -> &'a [f64] {
        &values[values.len().saturating_sub(self.window)..]
    }
}

/// A forecast of one slot, or of the sum of several.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Forecast {
    /// Most likely value (median).
    pub point: f64,
    /// Ends of the 80 % interval; none while there are too few past errors.
    pub interval80: Option<(f64, f64)>,
    /// Ends of the 95 % interval.
    pub interval95: Option<(f64, f64)>,
    /// (level, value), ascending.
    pub quantiles: Vec<(f64, f64)>,
    /// Candidates that took part.
    pub methods: Vec<&'static str>,
}

/// One slot of a replay.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Step {
    pub forecast: Option<Forecast>,
    /// Naive forecasts, in the order of [`NAIVE`]; NaN where undefined.
    pub naive: Vec<f64>,
}

/// Forecasts of one origin that wait for their truth.
#[derive(Debug)]
struct Waiting {
    origin: usize,
    points: Vec<Option<f64>>,
    forecast: Option<Forecast>,
}

/// Replays a series; call [`Replay::step`] for every slot in order.
#[derive(Debug)]
pub(crate) struct Replay {
    plan: Plan,
    /// Absolute errors per candidate, newest last.
    errors: Vec<Vec<f64>>,
    /// Errors of the combination on the logarithmic scale.
    residuals: Vec<f64>,
    /// Miss rates asked for, 80 % and 95 %.
    alphas: [f64; 2],
    waiting: std::collections::VecDeque<Waiting>,
}

/// Counts are compared on log(1 + x): spread grows with level.
fn log(value: f64) -> f64 {
    value.max(0.0).ln_1p()
}

impl Replay {
    pub fn new(plan: Plan) -> Self {
        Replay {
            plan,
            errors: vec![Vec::new(); CANDIDATES.len()],
            residuals: Vec::new(),
            alphas: [0.2, 0.05],
            waiting: std::collections::VecDeque::new(),
        }
    }

    /// Forecast of what comes after `history`, having learned from those earlier forecasts whose truth it holds.
    pub fn step(&mut self, history: &[f64]) -> Step {
        while self.waiting.front().is_some_and(|waiting| waiting.origin + self.plan.ahead <= history.len()) {
            let Some(waiting) = self.waiting.pop_front() else { break };
            let actual = self.plan.target(history, waiting.origin);
            if actual.is_finite() {
                self.learn(&waiting.points, waiting.forecast.as_ref(), actual);
            }
        }
        let naive = candidates::naive(history, &self.plan);
        if history.iter().filter(|value| value.is_finite()).count() < WARM_UP {
            return Step { forecast: None, naive };
        }
        let points = forecast_all(history, &self.plan);
        let forecast = self.combine(&points);
        self.waiting.push_back(Waiting { origin: history.len(), points, forecast: forecast.clone() });
        Step { forecast, naive }
    }

    fn learn(&mut self, points: &[Option<f64>], forecast: Option<&Forecast>, actual: f64) {
        for (errors, point) in self.errors.iter_mut().zip(points) {
            errors.push(point.map_or(f64::NAN, |point| (point - actual).abs()));
        }
        let Some(forecast) = forecast else { return };
        self.residuals.push(log(actual) - log(forecast.point));
        let intervals = [(forecast.interval80, 0.2), (forecast.interval95, 0.05)];
        for (alpha, (interval, target)) in self.alphas.iter_mut().zip(intervals) {
            if let Some((low, high)) = interval {
                *alpha = conformal::adapt(*alpha, target, actual < low || actual > high, ADAPT_RATE * target * 5.0);
            }
        }
    }

    fn combine(&self, points: &[Option<f64>]) -> Option<Forecast> {
        let mut ranked: Vec<(&'static str, f64, Option<f64>)> = points
            .iter()
            .enumerate()
            .filter_map(|(index, point)| Some((CANDIDATES[index], (*point)?, recent_error(&self.errors[index]))))
            .collect();
        ranked.sort_by(|a, b| a.2.unwrap_or(f64::INFINITY).total_cmp(&b.2.unwrap_or(f64::INFINITY)));
        if ranked.iter().any(|candidate| candidate.2.is_some()) {
            ranked.truncate(CHOSEN);
        }
        let pairs: Vec<(f64, Option<f64>)> = ranked.iter().map(|candidate| (candidate.1, candidate.2)).collect();
        let point = ensemble::inverse_error(&pairs, 1.0)?.max(0.0);
        let residuals = &self.residuals[self.residuals.len().saturating_sub(RESIDUALS)..];
        let at = |level: f64| {
            // Sums of several slots overlap: their errors are worth fewer.
            if residuals.len() < RESIDUALS_MIN * self.plan.ahead {
                return None;
            }
            let error = conformal::error_quantile(residuals, level)?;
            Some((log(point) + error).exp_m1().max(0.0)).filter(|value| value.is_finite())
        };
        let interval = |alpha: f64| Some((at(alpha / 2.0)?, at(1.0 - alpha / 2.0)?));
        Some(Forecast {
            point,
            interval80: interval(self.alphas[0]),
            interval95: interval(self.alphas[1]),
            quantiles: LEVELS.iter().filter_map(|&level| Some((level, at(level)?))).collect(),
            methods: ranked.iter().map(|candidate| candidate.0).collect(),
        })
    }
}

fn recent_error(errors: &[f64]) -> Option<f64> {
    let known: Vec<f64> =
        errors[errors.len().saturating_sub(VALIDATION)..].iter().copied().filter(|error| error.is_finite()).collect();
    // With fewer errors than a season the comparison would be led by chance.
    (known.len() >= SEASON).then(|| known.iter().sum::<f64>() / known.len() as f64)
}

/// Forecast of the slot after the last one; `None` with fewer than [`WARM_UP`] known slots.
pub fn next(series: &Series) -> Option<Forecast> {
    next_by(series, Plan::DAY)
}

/// Forecast of what the plan asks for, after the last slot.
pub fn next_by(series: &Series, plan: Plan) -> Option<Forecast> {
    let mut replay = Replay::new(plan);
    let values = plan.window(&series.values);
    let mut last = None;
    for slot in 0..=values.len() {
        last = replay.step(&values[..slot]).forecast;
    }
    last
}

#[cfg(test)]
mod tests;
