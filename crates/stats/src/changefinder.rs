//! ChangeFinder: two-stage learning of change points by sequentially discounting autoregression (SDAR).
//!
//! Takeuchi and Yamanishi, "A Unifying Framework for Detecting Outliers and Change Points from Time Series", IEEE
//! TKDE 18(4), 2006. The first stage scores how surprising each value is; the second does the same on the smoothed
//! scores, so that lasting changes stay and single outliers fade. Constant memory, one pass.

/// Settings; the default is NICT's published choice for darknet series.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Settings {
    /// Order of the autoregression, 1 to [`ORDER_MAX`].
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

/// Largest order: arrays of this size keep a detector free of allocations, one per port of 65,536.
pub const ORDER_MAX: usize = 8;

/// Widest smoothing.
pub const WINDOW_MAX: usize = 10_000;

/// One SDAR stage.
#[derive(Clone, Debug)]
struct Sdar {
    order: usize,
    discount: f64,
    mean: f64,
    /// Of lags 0 to `order`.
    covariance: [f64; ORDER_MAX + 1],
    variance: f64,
    /// Newest first; `known` of them are.
    past: [f64; ORDER_MAX],
    known: usize,
}

impl Sdar {
    fn new(order: usize, discount: f64) -> Self {
        Sdar {
            order,
            discount,
            mean: 0.0,
            covariance: [0.0; ORDER_MAX + 1],
            variance: 1.0,
            past: [0.0; ORDER_MAX],
            known: 0,
        }
    }

    /// Logarithmic loss of `value` given the past; `None` until the past is as long as the order.
    #[inline]
    fn update(&mut self, value: f64) -> Option<f64> {
        let score = (self.known == self.order).then(|| self.score(value));
        self.past.copy_within(..self.order - 1, 1);
        self.past[0] = value;
        self.known = (self.known + 1).min(self.order);
        score
    }

    #[inline]
    fn score(&mut self, value: f64) -> f64 {
        let (keep, new) = (1.0 - self.discount, self.discount);
        self.mean = keep * self.mean + new * value;
        let off = value - self.mean;
        self.covariance[0] = keep * self.covariance[0] + new * off * off;
        for lag in 0..self.order {
            self.covariance[lag + 1] = keep * self.covariance[lag + 1] + new * off * (self.past[lag] - self.mean);
        }
        let weights = levinson(&self.covariance, self.order);
        let explained: f64 = (0..self.order).map(|lag| weights[lag] * (self.past[lag] - self.mean)).sum();
        let expected = self.mean + explained;
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
#[inline]
fn levinson(covariance: &[f64; ORDER_MAX + 1], order: usize) -> [f64; ORDER_MAX] {
    let mut weights = [0.0; ORDER_MAX];
    let mut error = covariance[0];
    for step in 0..order {
        // Early estimates need not be positive definite; the equations are solved all the same, unless singular.
        if error.abs() <= covariance[0] * 1e-12 {
            break;
        }
        let explained: f64 = (0..step).map(|lag| weights[lag] * covariance[step - lag]).sum();
        let reflection = (covariance[step + 1] - explained) / error;
        let before = weights;
        for lag in 0..step {
            weights[lag] = before[lag] - reflection * before[step - 1 - lag];
        }
        weights[step] = reflection;
        error *= 1.0 - reflection * reflection;
    }
    weights
}

/// Mean of the last values, once there are enough.
#[derive(Clone, Debug)]
struct Window {
    values: Vec<f64>,
    width: usize,
    next: usize,
}

impl Window {
    fn new(width: usize) -> Self {
        Window { values: Vec::with_capacity(width), width, next: 0 }
    }

    #[inline]
    fn push(&mut self, value: f64) -> Option<f64> {
        if self.values.len() < self.width {
            self.values.push(value);
        } else {
            self.values[self.next] = value;
        }
        self.next = if self.next + 1 == self.width { 0 } else { self.next + 1 };
        // Summed anew each time: a running sum would drift over the years a detector lives.
        (self.values.len() == self.width).then(|| self.values.iter().sum::<f64>() / self.width as f64)
    }
}

/// The detector. Feed values in order; each gives its change score.
#[derive(Clone, Debug)]
pub struct ChangeFinder {
    first: Sdar,
    second: Sdar,
    first_scores: Window,
    second_scores: Window,
}

impl ChangeFinder {
    /// A detector that has seen nothing. Windows are 1 to [`WINDOW_MAX`], the order 1 to [`ORDER_MAX`], and the discount is kept within 1e-6 to 1.
    pub fn new(settings: Settings) -> Self {
        let discount = if settings.discount.is_nan() { 0.005 } else { settings.discount.clamp(1e-6, 1.0) };
        let order = settings.order.clamp(1, ORDER_MAX);
        ChangeFinder {
            first: Sdar::new(order, discount),
            second: Sdar::new(order, discount),
            first_scores: Window::new(settings.first_window.clamp(1, WINDOW_MAX)),
            second_scores: Window::new(settings.second_window.clamp(1, WINDOW_MAX)),
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
        let smooth = self.first_scores.push(first)?;
        let second = self.second.update(smooth)?;
        self.second_scores.push(second)
    }
}
