//! What is usual: robust quantiles, and the published rule for a day that is not.

/// Sample quantile by linear interpolation between order statistics; type 7 of Hyndman and Fan, "Sample Quantiles in
/// Statistical Packages" (The American Statistician, 1996), the default of R and NumPy. Values that are not finite are
/// left out; the slice is reordered. `None` without a value or with a level outside 0 to 1.
pub fn quantile(values: &mut Vec<f64>, level: f64) -> Option<f64> {
    values.retain(|value| value.is_finite());
    if values.is_empty() || !(0.0..=1.0).contains(&level) {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let place = level * (values.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(values.len() - 1);
    let part = place - below as f64;
    Some(values[below] * (1.0 - part) + values[above] * part)
}

/// Level and spread of a stretch of history.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Baseline {
    /// Known values it rests on.
    pub points: usize,
    /// Median.
    pub median: f64,
    /// Distance between the quartiles.
    pub interquartile: f64,
    /// Mean.
    pub mean: f64,
    /// Sample standard deviation (divisor n - 1); 0 for one point.
    pub deviation: f64,
}

impl Baseline {
    /// Of the known values; `None` when there is none.
    pub fn of(history: &[f64]) -> Option<Baseline> {
        let mut known: Vec<f64> = history.iter().copied().filter(|value| value.is_finite()).collect();
        let median = quantile(&mut known, 0.5)?;
        let interquartile = quantile(&mut known, 0.75)? - quantile(&mut known, 0.25)?;
        let mean = known.iter().sum::<f64>() / known.len() as f64;
        let squares = known.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let deviation = (squares / (known.len().max(2) - 1) as f64).sqrt();
        let all_finite = [median, interquartile, mean, deviation].iter().all(|value| value.is_finite());
        all_finite.then_some(Baseline { points: known.len(), median, interquartile, mean, deviation })
    }

    /// GreyNoise's rule for a surge of a tag ("Early Warning Signals", 2025): above the median by twice the
    /// interquartile range over the long history (`self`), and above the mean of the last 28 days (`recent`) by twice
    /// their standard deviation. Both must hold, strictly: a constant series never fires on its own value.
    pub fn surges(&self, recent: &Baseline, value: f64) -> bool {
        value > self.median + 2.0 * self.interquartile && value > recent.mean + 2.0 * recent.deviation
    }
}
