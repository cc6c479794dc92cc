//! Non-negative matrix factorisation: a table of counts as a few patterns over time, each with the hosts that follow it.
//!
//! Lee and Seung, "Algorithms for Non-negative Matrix Factorization", NIPS 2000: multiplicative updates of the Frobenius
//! norm. It starts from the absolute values of the singular vectors, so the result needs no chance.

use nalgebra::{DMatrix, SymmetricEigen};

/// Keeps divisions from zero; scikit-learn's value.
const EPSILON: f64 = f64::EPSILON;

/// The factors: `values` ≈ `patterns` × `members`.
#[derive(Clone, PartialEq, Debug)]
pub struct Factors {
    /// Rows × rank.
    pub patterns: DMatrix<f64>,
    /// Rank × columns.
    pub members: DMatrix<f64>,
    /// Mean squared error.
    pub error: f64,
    /// Updates made.
    pub updates: usize,
}

/// Factors of rank `rank`, by at most `updates_max` updates or until the mean squared error changes by less than
/// `stop`. `None` when the matrix is empty or holds negative or not finite values, or the rank is zero. A rank above the
/// smaller side is cut to it.
pub fn factorise(values: &DMatrix<f64>, rank: usize, updates_max: usize, stop: f64) -> Option<Factors> {
    let (patterns, members) = start(values, rank)?;
    Some(factorise_from(values, patterns, members, updates_max, stop))
}

/// As [`factorise`], from given factors.
pub fn factorise_from(
    values: &DMatrix<f64>,
    mut patterns: DMatrix<f64>,
    mut members: DMatrix<f64>,
    updates_max: usize,
    stop: f64,
) -> Factors {
    let cells = (values.nrows() * values.ncols()) as f64;
    let square = values.norm_squared();
    let mut error = f64::INFINITY;
    let mut updates = 0;
    while updates < updates_max {
        let crossed = values * members.transpose();
        let squared = &members * members.transpose();
        let fitted = &patterns * &squared;
        update(&mut patterns, &crossed, &fitted);
        let gram = patterns.tr_mul(&patterns);
        let projected = patterns.tr_mul(values);
        let fitted = &gram * &members;
        update(&mut members, &projected, &fitted);
        updates += 1;
        // |V - WH|² = |V|² - 2 <WᵀV, H> + <WᵀW H, H>: no matrix of the full size is built.
        let now = (square - 2.0 * projected.dot(&members) + (&gram * &members).dot(&members)).max(0.0) / cells;
        let settled = (error - now).abs() < stop;
        error = now;
        if settled {
            break;
        }
    }
    Factors { patterns, members, error, updates }
}

fn update(factor: &mut DMatrix<f64>, above: &DMatrix<f64>, below: &DMatrix<f64>) {
    factor
        .iter_mut()
        .zip(above.iter().zip(below.iter()))
        .for_each(|(value, (above, below))| *value *= above / below.max(EPSILON));
}

/// Absolute values of the leading left and right singular vectors, by the eigenvectors of the smaller Gram matrix.
fn start(values: &DMatrix<f64>, rank: usize) -> Option<(DMatrix<f64>, DMatrix<f64>)> {
    let (rows, columns) = values.shape();
    let rank = rank.min(rows).min(columns);
    if rank == 0 || values.iter().any(|value| !value.is_finite() || *value < 0.0) {
        return None;
    }
    if rows > columns {
        let (members, patterns) = start(&values.transpose(), rank)?;
        return Some((patterns.transpose(), members.transpose()));
    }
    let eigen = SymmetricEigen::new(values * values.transpose());
    let mut order: Vec<usize> = (0..rows).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let mut patterns = DMatrix::zeros(rows, rank);
    let mut members = DMatrix::zeros(rank, columns);
    for (to, &from) in order.iter().take(rank).enumerate() {
        let left = eigen.eigenvectors.column(from);
        let length = eigen.eigenvalues[from].max(0.0).sqrt();
        patterns.set_column(to, &left.abs());
        if length > 0.0 {
            members.set_row(to, &(values.tr_mul(&left).transpose() / length).abs());
        }
    }
    Some((patterns, members))
}
