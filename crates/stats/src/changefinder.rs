//! ChangeFinder: two-stage learning of change points by sequentially discounting autoregression (SDAR).
//!
//! Takeuchi and Yamanishi, "A Unifying Framework for Detecting Outliers and Change Points from Time Series", IEEE
//! TKDE 18(4), 2006. The first stage scores how surprising each value is; the second does the same on the smoothed
//! scores, so that lasting changes stay and single outliers fade. Constant memory, one pass.

use crate::wide::{self, Loop};

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

/// Largest order.
pub const ORDER_MAX: usize = 8;

/// Widest smoothing.
pub const WINDOW_MAX: usize = 10_000;

/// Series that one block computes side by side: enough for the processor to have work while divisions wait.
const LANES: usize = 16;

/// A value of each series of a block.
type Lane<const N: usize> = [f64; N];

/// Settings brought into their bounds.
#[derive(Clone, Copy, Debug)]
struct Shape {
    order: usize,
    discount: f64,
    windows: [usize; 2],
}

impl Shape {
    fn new(settings: Settings) -> Self {
        Shape {
            order: settings.order.clamp(1, ORDER_MAX),
            discount: if settings.discount.is_nan() { 0.005 } else { settings.discount.clamp(1e-6, 1.0) },
            windows: [settings.first_window, settings.second_window].map(|width| width.clamp(1, WINDOW_MAX)),
        }
    }

    /// Values that a stage takes before its smoothed scores begin.
    fn silent(&self, stage: usize) -> u32 {
        (self.order + self.windows[stage] - 1) as u32
    }
}

/// Both stages of `N` series.
#[derive(Clone, Debug)]
struct Block<const N: usize> {
    /// Values taken so far; stops counting once all scores have begun.
    taken: [u32; N],
    stages: [Stage<N>; 2],
}

/// One stage: SDAR and the window over its scores.
#[derive(Clone, Debug)]
struct Stage<const N: usize> {
    mean: Lane<N>,
    variance: Lane<N>,
    /// Covariances of lags 0 to the order, the newest values first as many as the order, then the window's scores, newest
    /// first.
    lags: Vec<Lane<N>>,
}

impl<const N: usize> Stage<N> {
    fn new(shape: &Shape, stage: usize) -> Self {
        let lags = vec![[0.0; N]; 2 * shape.order + 1 + shape.windows[stage]];
        Stage { mean: [0.0; N], variance: [1.0; N], lags }
    }

    /// Takes a value of each series of `on`; gives the smoothed logarithmic loss given the past, which means something
    /// once the past is as long as the order and the window full. `scored`: where the past is. With `ALL`, both are
    /// everywhere.
    #[inline(always)]
    fn update<const ALL: bool>(
        &mut self,
        shape: &Shape,
        order: usize,
        values: &Lane<N>,
        on: &[bool; N],
        scored: &[bool; N],
    ) -> Lane<N> {
        let (keep, new) = (1.0 - shape.discount, shape.discount);
        let (covariance, rest) = self.lags.split_at_mut(order + 1);
        let (past, window) = rest.split_at_mut(order);
        let mut off = [0.0; N];
        for i in 0..N {
            let mean = keep * self.mean[i] + new * values[i];
            self.mean[i] = if ALL || scored[i] { mean } else { self.mean[i] };
            off[i] = values[i] - self.mean[i];
        }
        let mut behind = [[0.0; N]; ORDER_MAX];
        for lag in 0..order {
            for i in 0..N {
                behind[lag][i] = past[lag][i] - self.mean[i];
            }
        }
        for lag in 0..=order {
            let other = if lag == 0 { off } else { behind[lag - 1] };
            for i in 0..N {
                let next = keep * covariance[lag][i] + new * off[i] * other[i];
                covariance[lag][i] = if ALL || scored[i] { next } else { covariance[lag][i] };
            }
        }
        let weights = levinson(covariance, order);
        let mut explained = [0.0; N];
        for lag in 0..order {
            for i in 0..N {
                explained[i] += weights[lag][i] * behind[lag][i];
            }
        }
        let mut score = [0.0; N];
        for i in 0..N {
            let expected = self.mean[i] + explained[i];
            // Nearly singular equations can overflow; the mean is then the expectation.
            let expected = if expected.abs() < 1e150 { expected } else { self.mean[i] };
            let squared = (values[i] - expected) * (values[i] - expected);
            // A constant series drives the variance to zero; the floor keeps the score finite.
            let variance = (keep * self.variance[i] + new * squared).max(1e-12);
            self.variance[i] = if ALL || scored[i] { variance } else { self.variance[i] };
            score[i] = 0.5 * (logarithm(2.0 * std::f64::consts::PI * variance) + squared / variance);
        }
        shift::<ALL, N>(past, values, on);
        let width = window.len() as f64;
        shift::<ALL, N>(window, &score, scored);
        // Summed anew each time: a running sum would drift over the years a detector lives.
        let mut sum = [0.0; N];
        for row in window.iter() {
            for i in 0..N {
                sum[i] += row[i];
            }
        }
        sum.map(|sum| sum / width)
    }
}

/// Puts the newest value first and drops the oldest.
#[inline(always)]
fn shift<const ALL: bool, const N: usize>(rows: &mut [Lane<N>], newest: &Lane<N>, on: &[bool; N]) {
    for at in (1..rows.len()).rev() {
        for i in 0..N {
            rows[at][i] = if ALL || on[i] { rows[at - 1][i] } else { rows[at][i] };
        }
    }
    for i in 0..N {
        rows[0][i] = if ALL || on[i] { newest[i] } else { rows[0][i] };
    }
}

/// Solves the Yule-Walker equations by Levinson-Durbin recursion: weights of lag 1, 2, … A degenerate covariance gives
/// zero weights from there on.
#[inline(always)]
fn levinson<const N: usize>(covariance: &[Lane<N>], order: usize) -> [Lane<N>; ORDER_MAX] {
    let mut weights = [[0.0; N]; ORDER_MAX];
    let mut error = covariance[0];
    for step in 0..order {
        let mut explained = [0.0; N];
        for lag in 0..step {
            for i in 0..N {
                explained[i] += weights[lag][i] * covariance[step - lag][i];
            }
        }
        let before = weights;
        let mut reflection = [0.0; N];
        for i in 0..N {
            // Early estimates need not be positive definite; the equations are solved all the same, unless singular: then
            // the error stays, and so every later weight is zero.
            let found = (covariance[step + 1][i] - explained[i]) / error[i];
            reflection[i] = if error[i].abs() > covariance[0][i] * 1e-12 { found } else { 0.0 };
            error[i] *= 1.0 - reflection[i] * reflection[i];
        }
        for lag in 0..step {
            for i in 0..N {
                weights[lag][i] = before[lag][i] - reflection[i] * before[step - 1 - lag][i];
            }
        }
        weights[step] = reflection;
    }
    weights
}

/// Natural logarithm of a positive, finite, normal number within two units of the last place, without a branch or a call,
/// so that it runs for several numbers at once: 2 artanh((m - 1) / (m + 1)) by its series for m of 0.7 to 1.4.
#[inline(always)]
fn logarithm(value: f64) -> f64 {
    const HALF_ROOT: u64 = 0x3fe6_a09e_667f_3bcd;
    const FRACTION: u64 = (1 << 52) - 1;
    let bits = value.to_bits().wrapping_add(0x3ff0_0000_0000_0000 - HALF_ROOT);
    // A whole number below 2^52 becomes a double by setting its bits into those of 2^52.
    let exponent = f64::from_bits((bits >> 52) | 0x4330_0000_0000_0000) - (4_503_599_627_370_496.0 + 1_023.0);
    let part = f64::from_bits((bits & FRACTION) + HALF_ROOT);
    let ratio = (part - 1.0) / (part + 1.0);
    let square = ratio * ratio;
    let mut tail = 1.0 / 21.0;
    for denominator in [19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0] {
        tail = tail * square + 1.0 / denominator;
    }
    // ln 2 in two parts: the first times any exponent is exact.
    exponent * 6.931_471_803_691_238e-1
        + (2.0 * ratio + (2.0 * ratio * square * tail + exponent * 1.908_214_929_270_587_7e-10))
}

impl<const N: usize> Block<N> {
    fn new(shape: &Shape) -> Self {
        Block { taken: [0; N], stages: [Stage::new(shape, 0), Stage::new(shape, 1)] }
    }

    /// Change scores; NaN where there is none.
    #[inline(always)]
    fn update(&mut self, shape: &Shape, values: &Lane<N>) -> Lane<N> {
        // Orders that are written out need no loops of unknown length.
        match shape.order {
            1 => self.update_of(shape, 1, values),
            2 => self.update_of(shape, 2, values),
            order => self.update_of(shape, order, values),
        }
    }

    #[inline(always)]
    fn update_of(&mut self, shape: &Shape, order: usize, values: &Lane<N>) -> Lane<N> {
        let (first, second) = (shape.silent(0), shape.silent(0) + shape.order as u32);
        let last = shape.silent(0) + shape.silent(1);
        // Squares of larger values would overflow; NaN is not less.
        let on: [bool; N] = std::array::from_fn(|i| values[i].abs() <= 1e150);
        let steady = self.taken.iter().all(|taken| *taken >= last);
        if steady && on.iter().all(|on| *on) {
            let smooth = self.stages[0].update::<true>(shape, order, values, &on, &on);
            return self.stages[1].update::<true>(shape, order, &smooth, &on, &on);
        }
        let after = |taken: u32| -> [bool; N] { std::array::from_fn(|i| on[i] && self.taken[i] >= taken) };
        let (scored, smoothed, scored_again) = (after(shape.order as u32), after(first), after(second));
        let given = after(last);
        let values: Lane<N> = std::array::from_fn(|i| if on[i] { values[i] } else { 0.0 });
        let smooth = self.stages[0].update::<false>(shape, order, &values, &on, &scored);
        let found = self.stages[1].update::<false>(shape, order, &smooth, &smoothed, &scored_again);
        for (taken, _) in self.taken.iter_mut().zip(on).filter(|(_, on)| *on) {
            *taken = (*taken + 1).min(last);
        }
        std::array::from_fn(|i| if given[i] { found[i] } else { f64::NAN })
    }
}

/// The detector. Feed values in order; each gives its change score.
#[derive(Clone, Debug)]
pub struct ChangeFinder {
    shape: Shape,
    block: Block<1>,
}

impl ChangeFinder {
    /// A detector that has seen nothing. Windows are 1 to [`WINDOW_MAX`], the order 1 to [`ORDER_MAX`], and the discount is kept within 1e-6 to 1.
    pub fn new(settings: Settings) -> Self {
        let shape = Shape::new(settings);
        ChangeFinder { shape, block: Block::new(&shape) }
    }

    /// Score of the next value; `None` while the windows fill, and for a hole (NaN or infinite), which leaves the
    /// detector as it was.
    pub fn update(&mut self, value: f64) -> Option<f64> {
        let [score] = self.block.update(&self.shape, &[value]);
        (!score.is_nan()).then_some(score)
    }
}

/// Detectors of many series side by side: the same scores as one [`ChangeFinder`] each, several at a time.
#[derive(Clone, Debug)]
pub struct Bank {
    shape: Shape,
    series: usize,
    blocks: Vec<Block<LANES>>,
}

impl Bank {
    /// Detectors of so many series that have seen nothing.
    pub fn new(settings: Settings, series: usize) -> Self {
        let shape = Shape::new(settings);
        Bank { shape, series, blocks: vec![Block::new(&shape); series.div_ceil(LANES)] }
    }

    /// Takes the next value of each series (NaN: a hole) and writes its score, or NaN where [`ChangeFinder::update`] gives
    /// none. Series beyond the values have a hole; scores beyond the series stay.
    pub fn update(&mut self, values: &[f64], scores: &mut [f64]) {
        let values = &values[..values.len().min(self.series)];
        let take = move |place: usize, at: usize| if at == 0 { values.get(place).copied() } else { None };
        let count = scores.len().min(self.series);
        wide::run(Days {
            bank: self,
            points: 1,
            take,
            give: |place, score| {
                if place < count {
                    scores[place] = score;
                }
            },
        });
    }

    /// Takes `points` values of each series, that of place `at` by `value(series, at)`, and gives each series' largest
    /// score, 0 where there is none. Each block's series are worked through before the next block's, from the nearest
    /// cache.
    pub fn largest(&mut self, points: usize, value: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        let mut most = vec![0.0_f64; self.series];
        let series = self.series;
        let take = move |place: usize, at: usize| (place < series).then(|| value(place, at));
        wide::run(Days {
            bank: self,
            points,
            take,
            give: |place: usize, score: f64| {
                if let Some(most) = most.get_mut(place) {
                    *most = most.max(score);
                }
            },
        });
        most
    }
}

struct Days<'a, T, G> {
    bank: &'a mut Bank,
    points: usize,
    take: T,
    give: G,
}

impl<T: Fn(usize, usize) -> Option<f64>, G: FnMut(usize, f64)> Loop for Days<'_, T, G> {
    type Output = ();

    #[inline(always)]
    fn run<const WIDTH: usize, const FUSED: bool>(mut self) {
        let shape = self.bank.shape;
        for (number, block) in self.bank.blocks.iter_mut().enumerate() {
            let first = number * LANES;
            for at in 0..self.points {
                let mut values = [f64::NAN; LANES];
                for (value, place) in values.iter_mut().zip(first..) {
                    *value = (self.take)(place, at).unwrap_or(f64::NAN);
                }
                let scores = block.update(&shape, &values);
                for (score, place) in scores.into_iter().zip(first..) {
                    (self.give)(place, score);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_as_the_library() {
        for step in -1_000..1_000 {
            for part in [1.0, 1.000_000_1, 1.25, 1.41, 1.42, 1.75, 1.999_999] {
                let value = part * 2.0_f64.powi(step);
                let theirs = value.ln();
                let ulp = f64::EPSILON * theirs.abs().max(f64::MIN_POSITIVE);
                assert!((logarithm(value) - theirs).abs() <= 2.0 * ulp, "{value}: {} {theirs}", logarithm(value));
            }
        }
    }
}
