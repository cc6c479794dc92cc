//! How unlikely a count is, and which of many unlikely counts to believe.

use statrs::distribution::{DiscreteCDF, NegativeBinomial, Poisson};

/// Counts with more spread than a Poisson distribution: variance = mean + mean² / size.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CountModel {
    /// Mean.
    pub mean: f64,
    /// Size (often k or r) of the negative binomial distribution; infinite for Poisson.
    pub size: f64,
}

impl CountModel {
    /// Method of moments (Anscombe, "The statistical analysis of insect counts based on the negative binomial
    /// distribution", Biometrics 1949): size = mean² / (variance - mean). Without overdispersion, Poisson. The mean is
    /// at least `floor`, so that a port never seen before has a tail that is defined. `None` without a known value.
    pub fn fit(history: &[f64], floor: f64) -> Option<CountModel> {
        let known: Vec<f64> = history.iter().copied().filter(|value| value.is_finite() && *value >= 0.0).collect();
        if known.is_empty() {
            return None;
        }
        let count = known.len() as f64;
        let mean = known.iter().sum::<f64>() / count;
        let variance = known.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
        if !mean.is_finite() || !variance.is_finite() {
            return None;
        }
        let size = if variance > mean { mean * mean / (variance - mean) } else { f64::INFINITY };
        Some(CountModel { mean: mean.max(floor).max(f64::MIN_POSITIVE), size: size.max(1e-3) })
    }

    /// Probability of `count` or more.
    pub fn tail(&self, count: f64) -> f64 {
        if !count.is_finite() || count <= 0.0 {
            return 1.0;
        }
        let below = (count.ceil() - 1.0).min(u64::MAX as f64) as u64;
        let upper = if self.size.is_finite() && self.size < 1e7 {
            NegativeBinomial::new(self.size, self.size / (self.size + self.mean)).map(|model| model.sf(below)).ok()
        } else {
            Poisson::new(self.mean).map(|model| model.sf(below)).ok()
        };
        upper.filter(|value| value.is_finite()).unwrap_or(1.0).clamp(0.0, 1.0)
    }
}

/// Benjamini and Hochberg, "Controlling the False Discovery Rate" (J. R. Stat. Soc. B, 1995): adjusted values in the
/// order given; those at most q are the discoveries at false discovery rate q. A value that is not a number counts as a
/// test that found nothing.
pub fn benjamini_hochberg(probabilities: &[f64]) -> Vec<f64> {
    let tests = probabilities.len() as f64;
    let clean = |index: usize| if probabilities[index].is_nan() { 1.0 } else { probabilities[index].clamp(0.0, 1.0) };
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| clean(a).total_cmp(&clean(b)));
    let mut adjusted = vec![1.0; probabilities.len()];
    let mut smallest = 1.0_f64;
    for (rank, &index) in order.iter().enumerate().rev() {
        smallest = smallest.min(clean(index) * tests / (rank + 1) as f64);
        adjusted[index] = smallest;
    }
    adjusted
}
