//! Many forecasts into one.

/// Mean of the forecasts weighted by 1 / error^power, errors being comparable (MASE, or absolute error on one series);
/// Bates and Granger, "The Combination of Forecasts", OR Quarterly 1969. Pairs are (forecast, past error). A forecast
/// without a known error takes part only when none has one; an error of zero wins alone.
pub fn inverse_error(forecasts: &[(f64, Option<f64>)], power: f64) -> Option<f64> {
    let usable: Vec<(f64, Option<f64>)> = forecasts.iter().copied().filter(|(value, _)| value.is_finite()).collect();
    let scored: Vec<(f64, f64)> = usable
        .iter()
        .filter_map(|&(value, error)| error.filter(|error| error.is_finite() && *error >= 0.0).map(|e| (value, e)))
        .collect();
    let mean = |values: &[f64]| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
    if scored.is_empty() {
        return mean(&usable.iter().map(|pair| pair.0).collect::<Vec<_>>());
    }
    let least = scored.iter().map(|pair| pair.1).fold(f64::INFINITY, f64::min);
    if least == 0.0 {
        return mean(&scored.iter().filter(|pair| pair.1 == 0.0).map(|pair| pair.0).collect::<Vec<_>>());
    }
    // Weights relative to the best, so that no power overflows.
    let (sum, total) = scored.iter().fold((0.0, 0.0), |(sum, total), &(value, error)| {
        let weight = (least / error).powf(power);
        (sum + weight * value, total + weight)
    });
    Some(sum / total).filter(|value| value.is_finite())
}
