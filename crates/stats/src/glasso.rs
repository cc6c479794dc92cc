//! Graphical lasso: which of many series move together when all others are held fixed.
//!
//! Friedman, Hastie and Tibshirani, "Sparse inverse covariance estimation with the graphical lasso", Biostatistics 9(3),
//! 2008: block coordinate descent, off-diagonal entries penalised. Two things make it fast and never fail: the problem
//! falls apart into the connected components of |covariance| > penalty (Witten, Friedman and Simon 2011; Mazumder and
//! Hastie 2012: exact), and each is started from the last solution where one is given.

/// Sweeps over the columns of one component, at most.
const SWEEPS_MAX: usize = 200;
/// Coordinate descent passes for one column, at most.
const PASSES_MAX: usize = 1_000;

/// A sparse precision matrix: one block per component of more than one variable.
#[derive(Clone, PartialEq, Debug)]
pub struct Precision {
    /// Variables.
    pub size: usize,
    /// The components with more than one variable.
    pub blocks: Vec<Block>,
    /// False when a component was still changing after the last sweep.
    pub converged: bool,
}

/// One component.
#[derive(Clone, PartialEq, Debug)]
pub struct Block {
    /// Its variables, ascending.
    pub variables: Vec<usize>,
    /// Precision among them, row by row.
    pub precision: Vec<f64>,
    /// Lasso coefficients per column: start for a next solution.
    coefficients: Vec<f64>,
}

impl Precision {
    /// Pairs (a < b) of variables that depend on each other directly.
    pub fn edges(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.blocks.iter().flat_map(|block| {
            let size = block.variables.len();
            (0..size)
                .flat_map(move |a| (a + 1..size).map(move |b| (a, b)))
                .filter(move |(a, b)| block.precision[a * size + b] != 0.0)
                .map(move |(a, b)| (block.variables[a], block.variables[b]))
        })
    }
}

/// Precision matrix of a covariance (`size` × `size`, row by row) under the penalty. `None` when the matrix has another
/// size, holds values that are not finite, or the penalty is not positive. A variable without variance stands alone.
/// `start`: a solution for a penalty near this one.
pub fn graphical_lasso(
    covariance: &[f64],
    size: usize,
    penalty: f64,
    tolerance: f64,
    start: Option<&Precision>,
) -> Option<Precision> {
    let sound = covariance.len() == size * size
        && penalty > 0.0
        && penalty.is_finite()
        && covariance.iter().all(|value| value.is_finite());
    if !sound {
        return None;
    }
    let mut converged = true;
    let mut blocks = Vec::new();
    for variables in components(covariance, size, penalty) {
        let mut coefficients = vec![0.0; variables.len() * variables.len()];
        if let Some(before) = start {
            carry_over(before, &variables, &mut coefficients);
        }
        let mut problem = Component::new(covariance, size, &variables, penalty);
        converged &= problem.solve(&mut coefficients, tolerance);
        blocks.push(Block { precision: problem.precision(&coefficients), variables, coefficients });
    }
    Some(Precision { size, blocks, converged })
}

/// Connected components of more than one variable, by |covariance| > penalty, smallest variable first.
fn components(covariance: &[f64], size: usize, penalty: f64) -> Vec<Vec<usize>> {
    let mut seen = vec![false; size];
    let mut found = Vec::new();
    for first in 0..size {
        if seen[first] || covariance[first * size + first] <= 0.0 {
            continue;
        }
        seen[first] = true;
        let mut members = vec![first];
        let mut next = 0;
        while next < members.len() {
            let row = &covariance[members[next] * size..][..size];
            next += 1;
            for (other, value) in row.iter().enumerate() {
                if !seen[other] && value.abs() > penalty && covariance[other * size + other] > 0.0 {
                    seen[other] = true;
                    members.push(other);
                }
            }
        }
        if members.len() > 1 {
            members.sort_unstable();
            found.push(members);
        }
    }
    found
}

/// Takes coefficients of an earlier solution for the variables that are in both.
fn carry_over(before: &Precision, variables: &[usize], coefficients: &mut [f64]) {
    let size = variables.len();
    for block in &before.blocks {
        let places: Vec<(usize, usize)> = block
            .variables
            .iter()
            .enumerate()
            .filter_map(|(old, variable)| Some((old, variables.binary_search(variable).ok()?)))
            .collect();
        for &(old_row, row) in &places {
            for &(old_column, column) in &places {
                coefficients[row * size + column] = block.coefficients[old_row * block.variables.len() + old_column];
            }
        }
    }
}

/// One component while it is solved.
struct Component {
    size: usize,
    penalty: f64,
    covariance: Vec<f64>,
    /// Present estimate of the covariance under the penalty.
    fitted: Vec<f64>,
}

impl Component {
    fn new(covariance: &[f64], size: usize, variables: &[usize], penalty: f64) -> Self {
        let own: Vec<f64> =
            variables.iter().flat_map(|a| variables.iter().map(move |b| covariance[a * size + b])).collect();
        let count = variables.len();
        // Shrinking the off-diagonal a little makes the start positive definite, and so every later estimate.
        let fitted =
            (0..count * count).map(|at| if at / count == at % count { own[at] } else { 0.95 * own[at] }).collect();
        Component { size: count, penalty, covariance: own, fitted }
    }

    /// Sweeps until the fitted covariance changes by less than `tolerance` times the mean of |covariance|.
    fn solve(&mut self, coefficients: &mut [f64], tolerance: f64) -> bool {
        let size = self.size;
        let cells = (size * (size - 1)) as f64;
        let off_diagonal = (0..size * size).filter(|at| at / size != at % size);
        let mean = off_diagonal.map(|at| self.covariance[at].abs()).sum::<f64>() / cells;
        let stop = (tolerance * mean).max(1e-14);
        let mut gradient = vec![0.0; size];
        for _ in 0..SWEEPS_MAX {
            let mut change = 0.0;
            for column in 0..size {
                change += self.column(column, &mut coefficients[column * size..][..size], &mut gradient, stop * 0.1);
            }
            if change / cells <= stop {
                return true;
            }
        }
        false
    }

    /// Lasso of one column on all others; updates its fitted covariances and returns the sum of their changes.
    fn column(&mut self, column: usize, beta: &mut [f64], gradient: &mut [f64], stop: f64) -> f64 {
        let size = self.size;
        beta[column] = 0.0;
        gradient.copy_from_slice(&self.covariance[column * size..][..size]);
        for (other, value) in beta.iter().enumerate().filter(|(_, value)| **value != 0.0) {
            subtract(gradient, *value, &self.fitted[other * size..][..size]);
        }
        let mut only_active = false;
        for _ in 0..PASSES_MAX {
            let mut largest = 0.0_f64;
            for other in 0..size {
                let before = beta[other];
                if other == column || (only_active && before == 0.0) {
                    continue;
                }
                let own = self.fitted[other * size + other];
                let pull = gradient[other] + own * before;
                let after = soft_threshold(pull, self.penalty) / own;
                if after != before {
                    beta[other] = after;
                    subtract(gradient, after - before, &self.fitted[other * size..][..size]);
                    largest = largest.max((after - before).abs() * own);
                }
            }
            if largest <= stop {
                if !only_active {
                    break;
                }
                only_active = false;
            } else {
                only_active = true;
            }
        }
        // What the gradient lacks to the covariance is the fit: fitted = covariance - gradient.
        let mut change = 0.0;
        for other in (0..size).filter(|other| *other != column) {
            let fit = self.covariance[column * size + other] - gradient[other];
            change += (fit - self.fitted[column * size + other]).abs();
            self.fitted[column * size + other] = fit;
            self.fitted[other * size + column] = fit;
        }
        change
    }

    /// Precision from the coefficients; zero on both sides when either column says zero.
    fn precision(&self, coefficients: &[f64]) -> Vec<f64> {
        let size = self.size;
        let mut precision = vec![0.0; size * size];
        for column in 0..size {
            let beta = &coefficients[column * size..][..size];
            let fitted = &self.fitted[column * size..][..size];
            let explained: f64 = beta.iter().zip(fitted).map(|(b, w)| b * w).sum();
            let own = 1.0 / (fitted[column] - explained).max(f64::MIN_POSITIVE);
            for (other, value) in beta.iter().enumerate() {
                precision[column * size + other] = if other == column { own } else { -value * own };
            }
        }
        for a in 0..size {
            for b in a + 1..size {
                let (upper, lower) = (precision[a * size + b], precision[b * size + a]);
                let mean = if upper == 0.0 || lower == 0.0 { 0.0 } else { 0.5 * (upper + lower) };
                precision[a * size + b] = mean;
                precision[b * size + a] = mean;
            }
        }
        precision
    }
}

fn subtract(from: &mut [f64], factor: f64, row: &[f64]) {
    from.iter_mut().zip(row).for_each(|(value, other)| *value -= factor * other);
}

fn soft_threshold(value: f64, threshold: f64) -> f64 {
    if value > threshold {
        value - threshold
    } else if value < -threshold {
        value + threshold
    } else {
        0.0
    }
}
