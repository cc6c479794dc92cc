//! ChangeFinder: two-stage learning of change points by sequentially discounting autoregression (SDAR).
//!
//! Takeuchi and Yamanishi, "A Unifying Framework for Detecting Outliers and Change Points from Time Series", IEEE
//! TKDE 18(4), 2006. The first stage scores how surprising each value is; the second does the same on the smoothed
//! scores, so that lasting changes stay and single outliers fade. Constant memory, one pass.

use std::collections::VecDeque;

/// Settings; the default is NICT's published choice for darknet series.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Settings {
    /// Order of the autoregression.
    pub order: usize,
    /// Discount: weight of the newest value, 0 to 1.
    pub discount: f64,
    /// Width of the first smoothing.
    pub first_window: usize,
    /// Width of the second smoothing.
    pub second_window: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { order: 2, discount: 0.005, first_window: 10, second_window: 5 }
    }
}

/// One SDAR stage.
#[derive(Clone, Debug)]
struct Sdar {
    discount: f64,
    mean: f64,
    covariance: Vec<f64>,
    variance: f64,
    past: VecDeque<f64>,
}

impl Sdar {
    fn new(order: usize, discount: f64) -> Self {
        Sdar { discount, mean: 0.0, covariance: vec![0.0; order + 1], variance: 1.0, past: VecDeque::new() }
    }

    /// Logarithmic loss of `value` given the past; `None` until the past is as long as the order.
    fn update(&mut self, value: f64) -> Option<f64> {
        let order = self.covariance.len() - 1;
        let score = (self.past.len() == order).then(|| self.score(value));
        self.past.push_front(value);
        self.past.truncate(order);
        score
    }

    fn score(&mut self, value: f64) -> f64 {
        let (keep, new) = (1.0 - self.discount, self.discount);
        self.mean = keep * self.mean + new * value;
        self.covariance[0] = keep * self.covariance[0] + new * (value - self.mean).powi(2);
        for (lag, past) in self.past.iter().enumerate() {
            let covariance = &mut self.covariance[lag + 1];
            *covariance = keep * *covariance + new * (value - self.mean) * (past - self.mean);
        }
        let weights = levinson(&self.covariance);
        let expected =
            self.mean + weights.iter().zip(&self.past).map(|(weight, past)| weight * (past - self.mean)).sum::<f64>();
        // Nearly singular equations can overflow; the mean is then the expectation.
        let expected = if expected.abs() < 1e150 { expected } else { self.mean };
        let squared = (value - expected).powi(2);
        // A constant series drives the variance to zero; the floor keeps the score finite.
        self.variance = (keep * self.variance + new * squared).max(1e-12);
        0.5 * ((2.0 * std::f64::consts::PI * self.variance).ln() + squared / self.variance)
    }
}

/// Solves the Yule-Walker equations by Levinson-Durbin recursion: weights of lag 1, 2, … A degenerate covariance gives
/// zero weights from there on.
fn levinson(covariance: &[f64]) -> Vec<f64> {
    let order = covariance.len() - 1;
    let mut weights = vec![0.0; order];
    let mut error = covariance[0];
    for step in 0..order {
        // Early estimates need not be positive definite; the equations are solved all the same, unless singular.
        if error.abs() <= covariance[0] * 1e-12 {
            break;
        }
        let explained: f64 = (0..step).map(|lag| weights[lag] * covariance[step - lag]).sum();
        let reflection = (covariance[step + 1] - explained) / error;
        let before = weights.clone();
        for lag in 0..step {
            weights[lag] = before[lag] - reflection * before[step - 1 - lag];
        }
        weights[step] = reflection;
        error *= 1.0 - reflection * reflection;
    }
    weights
}

/// The detector. Feed values in order; each gives its change score.
#[derive(Clone, Debug)]
pub struct ChangeFinder {
    settings: Settings,
    first: Sdar,
    second: Sdar,
    first_scores: VecDeque<f64>,
    second_scores: VecDeque<f64>,
}

impl ChangeFinder {
    /// A detector that has seen nothing. Windows are at least 1 and the discount is kept within 1e-6 to 1.
    pub fn new(settings: Settings) -> Self {
        let discount = if settings.discount.is_nan() { 0.005 } else { settings.discount.clamp(1e-6, 1.0) };
        let settings = Settings {
            order: settings.order.clamp(1, 64),
            discount,
            first_window: settings.first_window.max(1),
            second_window: settings.second_window.max(1),
        };
        ChangeFinder {
            first: Sdar::new(settings.order, discount),
            second: Sdar::new(settings.order, discount),
            first_scores: VecDeque::new(),
            second_scores: VecDeque::new(),
            settings,
        }
    }

    /// Score of the next value; `None` while the windows fill, and for a hole (NaN or infinite), which leaves the
    /// detector as it was.
    pub fn update(&mut self, value: f64) -> Option<f64> {
        // Squares of larger values would overflow.
        if !value.is_finite() || value.abs() > 1e150 {
            return None;
        }
        let first = self.first.update(value)?;
        let smooth = push(&mut self.first_scores, first, self.settings.first_window)?;
        let second = self.second.update(smooth)?;
        push(&mut self.second_scores, second, self.settings.second_window)
    }
}

/// Mean of the window once it is full.
fn push(window: &mut VecDeque<f64>, value: f64, width: usize) -> Option<f64> {
    window.push_back(value);
    if window.len() > width {
        window.pop_front();
    }
    (window.len() == width).then(|| window.iter().sum::<f64>() / width as f64)
}
