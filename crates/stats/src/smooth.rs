//! Exponential smoothing: our own simple form, and the state-space family and MSTL of the augurs library.

use augurs::ets::AutoETS;
use augurs::mstl::MSTLModel;
use augurs::{Fit, Predict};

/// Simple exponential smoothing with a fixed weight of the newest value (Brown, *Statistical Forecasting for Inventory
/// Control*, 1959), started at the first known value. Holes leave the level as it was.
pub fn simple(history: &[f64], weight: f64) -> Option<f64> {
    let mut known = history.iter().copied().filter(|value| value.is_finite());
    let first = known.next()?;
    Some(known.fold(first, |level, value| level + weight * (value - level)))
}

/// The history from the first known value on, holes carried forward: the libraries accept no holes.
fn filled(history: &[f64]) -> Vec<f64> {
    let mut known = None;
    history
        .iter()
        .filter_map(|value| {
            if value.is_finite() {
                known = Some(*value);
            }
            known
        })
        .collect()
}

fn constant(values: &[f64]) -> bool {
    values.windows(2).all(|pair| pair[0] == pair[1])
}

/// Most points given to a state-space fit: its time grows with the length, its forecast does not change.
const LONGEST: usize = 400;
/// Values beyond this overflow the libraries' likelihoods.
const LARGEST: f64 = 1e100;

/// Values a fit can work with: filled, at least `least` of them, not all equal.
fn usable(history: &[f64], least: usize) -> Option<Vec<f64>> {
    let mut values = filled(history);
    values.drain(..values.len().saturating_sub(LONGEST));
    (values.len() >= least && !constant(&values) && values.iter().all(|value| value.abs() < LARGEST)).then_some(values)
}

/// ETS with the components chosen by the corrected information criterion (Hyndman et al., *Forecasting with
/// Exponential Smoothing*, 2008), without season. A constant series forecasts itself; `None` with fewer than eight
/// known values otherwise, or when no model fits.
pub fn ets(history: &[f64]) -> Option<f64> {
    let all = filled(history);
    if !all.is_empty() && constant(&all) {
        return all.last().copied();
    }
    let values = usable(history, 8)?;
    let model = AutoETS::new(1, "ZZN").ok()?.fit(&values).ok()?;
    model.predict(1, None).ok()?.point.first().copied().filter(|value| value.is_finite())
}

/// MSTL (Bandara, Hyndman and Bergmeir, 2021): seasons by LOESS, what remains by ETS. `None` with fewer than three of
/// the longest season, or when nothing fits.
pub fn mstl(history: &[f64], seasons: &[usize]) -> Option<f64> {
    use augurs::mstl::TrendModel;
    let longest = *seasons.iter().max()?;
    if seasons.iter().any(|season| *season < 2) {
        return None;
    }
    let values = usable(history, 3 * longest)?;
    let trend: Box<dyn TrendModel + Sync + Send> = Box::new(AutoETS::new(1, "ZZN").ok()?.into_trend_model());
    let model = MSTLModel::new(seasons.to_vec(), trend).fit(&values).ok()?;
    model.predict(1, None).ok()?.point.first().copied().filter(|value| value.is_finite())
}
