//! Intervals from past errors.
//!
//! Split conformal prediction (Vovk, Gammerman and Shafer, *Algorithmic Learning in a Random World*, 2005; Lei et al.,
//! JASA 2018) over rolling residuals: no distribution is assumed, and each side has its own quantile.

use crate::baseline::quantile;

/// Quantile of past errors at `level`, widened for the size of the sample: the level is moved outward from q to
/// (n + 1) q / n (mirrored below one half), as the conformal rank demands, and cut at the extremes. `None` without errors.
pub fn error_quantile(errors: &[f64], level: f64) -> Option<f64> {
    if !(0.0..=1.0).contains(&level) {
        return None;
    }
    let mut known: Vec<f64> = errors.iter().copied().filter(|value| value.is_finite()).collect();
    if known.is_empty() {
        return None;
    }
    let grow = (known.len() + 1) as f64 / known.len() as f64;
    let widened = if level >= 0.5 { 0.5 + (level - 0.5) * grow } else { 0.5 - (0.5 - level) * grow };
    quantile(&mut known, widened.clamp(0.0, 1.0))
}

/// Level to ask for next, given whether the last interval held the value: adaptive conformal inference (Gibbs and
/// Candès, NeurIPS 2021), `alpha + rate · (target − miss)`, kept within 0.001 to 0.999. `alpha` is the miss rate.
pub fn adapt(alpha: f64, target: f64, missed: bool, rate: f64) -> f64 {
    let next = alpha + rate * (target - f64::from(u8::from(missed)));
    if next.is_nan() { target } else { next.clamp(0.001, 0.999) }
}
