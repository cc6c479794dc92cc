//! Non-negative matrix factorisation: a table of counts as a few patterns over time, each with the hosts that follow it.
//!
//! Lee and Seung, "Algorithms for Non-negative Matrix Factorization", NIPS 2000: multiplicative updates of the Frobenius
//! norm. It starts from the absolute values of the singular vectors, so the result needs no chance. Nearly all time goes
//! into two products with the table per update; [`product`](crate::product) has the loops.

use crate::product::{Panels, Rows};
use crate::skipgram::uniform;
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
    let rank = rank.min(values.nrows()).min(values.ncols());
    if rank == 0 || values.iter().any(|value| !value.is_finite() || *value < 0.0) {
        return None;
    }
    let table = Table::of(values);
    let (patterns, members) = start(values, &table, rank);
    Some(improve(values, &table, patterns, members, updates_max, stop))
}

/// As [`factorise`], from given factors.
pub fn factorise_from(
    values: &DMatrix<f64>,
    patterns: DMatrix<f64>,
    members: DMatrix<f64>,
    updates_max: usize,
    stop: f64,
) -> Factors {
    improve(values, &Table::of(values), patterns, members, updates_max, stop)
}

/// A table packed both ways.
struct Table {
    by_row: Panels,
    by_column: Panels,
}

impl Table {
    fn of(values: &DMatrix<f64>) -> Self {
        Table { by_row: Panels::of_rows(values), by_column: Panels::of_columns(values) }
    }
}

fn improve(
    values: &DMatrix<f64>,
    table: &Table,
    patterns: DMatrix<f64>,
    members: DMatrix<f64>,
    updates_max: usize,
    stop: f64,
) -> Factors {
    let cells = (values.nrows() * values.ncols()) as f64;
    let square = values.norm_squared();
    let rank = patterns.ncols();
    let mut patterns = Rows::of(&patterns);
    let mut members = Rows::of(&members.transpose());
    let mut member_gram = members.gram();
    let mut product = Rows::default();
    let mut error = f64::INFINITY;
    let mut updates = 0;
    while updates < updates_max {
        table.by_row.times(&members, &mut product);
        patterns.scale(&product, &member_gram, EPSILON);
        let gram = patterns.gram();
        table.by_column.times(&patterns, &mut product);
        members.scale(&product, &gram, EPSILON);
        member_gram = members.gram();
        updates += 1;
        // |V - WH|² = |V|² - 2 <WᵀV, H> + <WᵀW, HHᵀ>: no matrix of the full size is built.
        let fit = dot(&gram, &member_gram) - 2.0 * product.dot(&members);
        let now = (square + fit).max(0.0) / cells;
        let settled = (error - now).abs() < stop;
        error = now;
        if settled {
            break;
        }
    }
    Factors { patterns: patterns.matrix(rank), members: members.matrix(rank).transpose(), error, updates }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Tables whose smaller side is longer start from approximate singular vectors.
const EXACT_MAX: usize = 200;

/// Absolute values of the leading left and right singular vectors, each scaled as in the decomposition U (S Vᵀ / S).
fn start(values: &DMatrix<f64>, table: &Table, rank: usize) -> (DMatrix<f64>, DMatrix<f64>) {
    let smaller = values.nrows().min(values.ncols());
    if smaller <= EXACT_MAX || 2 * (rank + OVERSAMPLING) > smaller {
        exact_start(values, rank)
    } else {
        subspace_start(table, values.shape(), rank)
    }
}

/// By the eigenvectors of the smaller Gram matrix.
fn exact_start(values: &DMatrix<f64>, rank: usize) -> (DMatrix<f64>, DMatrix<f64>) {
    let (rows, columns) = values.shape();
    if rows > columns {
        let (members, patterns) = exact_start(&values.transpose(), rank);
        return (patterns.transpose(), members.transpose());
    }
    let eigen = SymmetricEigen::new(values * values.transpose());
    let mut patterns = DMatrix::zeros(rows, rank);
    let mut members = DMatrix::zeros(rank, columns);
    for (to, from) in descending(eigen.eigenvalues.as_slice()).into_iter().take(rank).enumerate() {
        let left = eigen.eigenvectors.column(from);
        let length = eigen.eigenvalues[from].max(0.0).sqrt();
        patterns.set_column(to, &left.abs());
        if length > 0.0 {
            members.set_row(to, &(values.tr_mul(&left).transpose() / length).abs());
        }
    }
    (patterns, members)
}

/// Vectors carried beyond the rank, and products with the table and its transpose: Halko, Martinsson and Tropp, "Finding
/// Structure with Randomness", SIAM Review 53(2), 2011, algorithm 4.4. scikit-learn carries as many and makes four to
/// seven.
const OVERSAMPLING: usize = 10;
const PASSES: usize = 8;

/// By subspace iteration from a block of fixed numbers: the start is the same each time.
fn subspace_start(table: &Table, (rows, columns): (usize, usize), rank: usize) -> (DMatrix<f64>, DMatrix<f64>) {
    let block = rank + OVERSAMPLING;
    let mut state = 1;
    let mut left = DMatrix::from_fn(rows, block, |_, _| uniform(&mut state) - 0.5);
    let mut product = Rows::default();
    for _ in 0..PASSES {
        table.by_column.times(&Rows::of(&left), &mut product);
        let right = std::mem::take(&mut product);
        table.by_row.times(&right, &mut product);
        left = product.matrix(block).qr().q();
    }
    table.by_column.times(&Rows::of(&left), &mut product);
    let right = product.matrix(block);
    let eigen = SymmetricEigen::new(right.transpose() * &right);
    let mut patterns = DMatrix::zeros(rows, rank);
    let mut members = DMatrix::zeros(rank, columns);
    for (to, from) in descending(eigen.eigenvalues.as_slice()).into_iter().take(rank).enumerate() {
        let mix = eigen.eigenvectors.column(from);
        let length = eigen.eigenvalues[from].max(0.0).sqrt();
        patterns.set_column(to, &(&left * mix).abs());
        if length > 0.0 {
            members.set_row(to, &((&right * mix).transpose() / length).abs());
        }
    }
    (patterns, members)
}

/// Places from the largest value to the smallest.
fn descending(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    order
}
