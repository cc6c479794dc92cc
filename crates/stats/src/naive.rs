//! The naive methods every forecast has to beat.
//!
//! Hyndman and Athanasopoulos, *Forecasting: Principles and Practice* (3rd ed.), section 5.2. All take the history,
//! oldest first, with a hole as NaN, and give the next value; `None` when nothing in the history can carry a forecast.

/// The last known value.
pub fn last(history: &[f64]) -> Option<f64> {
    history.iter().rev().copied().find(|value| value.is_finite())
}

/// The value one season earlier than the value to come; an earlier season when that one is a hole.
pub fn seasonal(history: &[f64], season: usize) -> Option<f64> {
    if season == 0 {
        return None;
    }
    let mut back = season;
    while back <= history.len() {
        let value = history[history.len() - back];
        if value.is_finite() {
            return Some(value);
        }
        back += season;
    }
    None
}

/// The last known value plus the mean step between the first and the last known value.
pub fn drift(history: &[f64]) -> Option<f64> {
    let first = history.iter().position(|value| value.is_finite())?;
    let latest = history.iter().rposition(|value| value.is_finite())?;
    let value = history[latest];
    if latest == first {
        return Some(value);
    }
    let slope = (value - history[first]) / (latest - first) as f64;
    Some(value + slope * (history.len() - latest) as f64).filter(|value| value.is_finite())
}

/// Mean of the known values among the last `width`.
pub fn moving_average(history: &[f64], width: usize) -> Option<f64> {
    let known: Vec<f64> = tail(history, width).collect();
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64).filter(|value| value.is_finite())
}

/// Median of the known values among the last `width`.
pub fn moving_median(history: &[f64], width: usize) -> Option<f64> {
    let mut known: Vec<f64> = tail(history, width).collect();
    crate::baseline::quantile(&mut known, 0.5)
}

fn tail(history: &[f64], width: usize) -> impl Iterator<Item = f64> {
    history[history.len().saturating_sub(width)..].iter().copied().filter(|value| value.is_finite())
}
