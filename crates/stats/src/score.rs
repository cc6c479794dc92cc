//! How good forecasts were.

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) =
        values.filter(|value| value.is_finite()).fold((0.0, 0_u64), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

/// Mean absolute error over the pairs that are known on both sides.
pub fn mae(actual: &[f64], forecast: &[f64]) -> Option<f64> {
    mean(actual.iter().zip(forecast).map(|(a, f)| (a - f).abs()))
}

/// Mean absolute step of `history` over `season`: the scale of MASE. `None` when it is zero or nothing is known.
pub fn scale(history: &[f64], season: usize) -> Option<f64> {
    let steps = history.iter().zip(history.iter().skip(season)).map(|(before, now)| (now - before).abs());
    mean(steps).filter(|scale| *scale > 0.0)
}

/// Mean absolute scaled error; Hyndman and Koehler, "Another look at measures of forecast accuracy", IJF 2006.
/// `training` gives the scale (in-sample seasonal naive); `None` when that is constant.
pub fn mase(actual: &[f64], forecast: &[f64], training: &[f64], season: usize) -> Option<f64> {
    Some(mae(actual, forecast)? / scale(training, season.max(1))?)
}

/// Symmetric mean absolute percentage error in per cent, 0 to 200; Makridakis, IJF 1993. Two zeros agree: 0.
pub fn smape(actual: &[f64], forecast: &[f64]) -> Option<f64> {
    mean(actual.iter().zip(forecast).map(|(a, f)| {
        let size = a.abs() + f.abs();
        if size == 0.0 { 0.0 } else { 200.0 * (a - f).abs() / size }
    }))
}

/// Share of values inside their interval, ends included.
pub fn coverage(actual: &[f64], lower: &[f64], upper: &[f64]) -> Option<f64> {
    let known =
        actual.iter().zip(lower.iter().zip(upper)).filter(|(a, (l, u))| a.is_finite() && !l.is_nan() && !u.is_nan());
    mean(known.map(|(a, (l, u))| f64::from(u8::from(l <= a && a <= u))))
}

/// Quantile (pinball) loss; Koenker and Bassett, Econometrica 1978.
pub fn pinball(actual: f64, forecast: f64, level: f64) -> f64 {
    let error = actual - forecast;
    if error >= 0.0 { level * error } else { (level - 1.0) * error }
}

/// Continuous ranked probability score from quantiles: twice the mean pinball loss (Gneiting and Ranjan, JBES 2011), the
/// levels equally weighted. Each pair is (level, forecast).
pub fn crps(actual: f64, quantiles: &[(f64, f64)]) -> Option<f64> {
    mean(quantiles.iter().map(|&(level, forecast)| 2.0 * pinball(actual, forecast, level)))
}

/// Brier score of probabilities against what happened; Brier, Monthly Weather Review 1950.
pub fn brier(probabilities: &[f64], happened: &[bool]) -> Option<f64> {
    mean(probabilities.iter().zip(happened).map(|(p, h)| (p - f64::from(u8::from(*h))).powi(2)))
}

/// Brier skill against always saying the base rate: 1 perfect, 0 no better, negative worse. `None` when everything or
/// nothing happened.
pub fn brier_skill(probabilities: &[f64], happened: &[bool]) -> Option<f64> {
    let base = mean(happened.iter().map(|h| f64::from(u8::from(*h))))?;
    let reference = base * (1.0 - base);
    if reference <= 0.0 { None } else { Some(1.0 - brier(probabilities, happened)? / reference) }
}
