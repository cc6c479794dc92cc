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
    ///
    /// Coordinates that are not zero, or would not stay so, are solved among themselves (Friedman, Hastie and Tibshirani,
    /// "Regularization Paths for Generalized Linear Models via Coordinate Descent", J. Stat. Softw. 33(1), 2010); only then
    /// is the gradient of all others brought up to date. It ends when that changes nothing, as a sweep over all would.
    fn column(&mut self, column: usize, beta: &mut [f64], gradient: &mut [f64], stop: f64) -> f64 {
        let size = self.size;
        beta[column] = 0.0;
        gradient.copy_from_slice(&self.covariance[column * size..][..size]);
        for (other, value) in beta.iter().enumerate().filter(|(_, value)| **value != 0.0) {
            subtract(gradient, *value, &self.fitted[other * size..][..size]);
        }
        let mut active = Active::default();
        for _ in 0..PASSES_MAX {
            let moves = |other: &usize| beta[*other] != 0.0 || gradient[*other].abs() > self.penalty;
            active.take((0..size).filter(|other| *other != column).filter(moves), &self.fitted, size);
            active.load(beta, gradient);
            let largest = active.solve(self.penalty, stop);
            for (&other, &after) in active.places.iter().zip(&active.beta) {
                if after != beta[other] {
                    subtract(gradient, after - beta[other], &self.fitted[other * size..][..size]);
                    beta[other] = after;
                }
            }
            if largest <= stop {
                break;
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

/// The coordinates that move, with the fitted covariances among them.
#[derive(Default)]
struct Active {
    places: Vec<usize>,
    /// Row by row.
    fitted: Vec<f64>,
    beta: Vec<f64>,
    gradient: Vec<f64>,
}

impl Active {
    fn take(&mut self, places: impl Iterator<Item = usize>, fitted: &[f64], size: usize) {
        let before = std::mem::take(&mut self.places);
        self.places.extend(places);
        if self.places != before {
            self.fitted.clear();
            for place in &self.places {
                let row = &fitted[place * size..][..size];
                self.fitted.extend(self.places.iter().map(|other| row[*other]));
            }
        }
    }

    fn load(&mut self, beta: &[f64], gradient: &[f64]) {
        self.beta.clear();
        self.beta.extend(self.places.iter().map(|place| beta[*place]));
        self.gradient.clear();
        self.gradient.extend(self.places.iter().map(|place| gradient[*place]));
    }

    /// Passes until no coordinate moves by more than `stop`; gives the largest move of the first pass.
    fn solve(&mut self, penalty: f64, stop: f64) -> f64 {
        let mut first = None;
        for _ in 0..PASSES_MAX {
            let largest = self.pass(penalty);
            first.get_or_insert(largest);
            if largest <= stop {
                break;
            }
        }
        first.unwrap_or(0.0)
    }

    fn pass(&mut self, penalty: f64) -> f64 {
        let count = self.places.len();
        let mut largest = 0.0_f64;
        for (at, row) in self.fitted.chunks_exact(count.max(1)).enumerate() {
            let (before, own) = (self.beta[at], row[at]);
            let after = soft_threshold(self.gradient[at] + own * before, penalty) / own;
            if after != before {
                self.beta[at] = after;
                subtract(&mut self.gradient, after - before, row);
                largest = largest.max((after - before).abs() * own);
            }
        }
        largest
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
