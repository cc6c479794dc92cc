//! Small regressions for short series: ridge, and negative binomial with a logarithmic link.

/// Solves the symmetric positive definite system by Cholesky decomposition; `None` when it is not one.
fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Option<Vec<f64>> {
    let size = right.len();
    for row in 0..size {
        for column in 0..=row {
            let dot: f64 = (0..column).map(|k| matrix[row][k] * matrix[column][k]).sum();
            let rest = matrix[row][column] - dot;
            matrix[row][column] = if row == column {
                if !rest.is_finite() || rest <= 0.0 {
                    return None;
                }
                rest.sqrt()
            } else {
                rest / matrix[column][column]
            };
        }
    }
    for row in 0..size {
        let dot: f64 = (0..row).map(|k| matrix[row][k] * right[k]).sum();
        right[row] = (right[row] - dot) / matrix[row][row];
    }
    for row in (0..size).rev() {
        let dot: f64 = (row + 1..size).map(|k| matrix[k][row] * right[k]).sum();
        right[row] = (right[row] - dot) / matrix[row][row];
    }
    right.iter().all(|value| value.is_finite()).then_some(right)
}

/// A linear predictor: intercept and one coefficient per feature.
#[derive(Clone, PartialEq, Debug)]
pub struct Linear {
    /// Value when all features are zero.
    pub intercept: f64,
    /// Per feature.
    pub coefficients: Vec<f64>,
}

impl Linear {
    /// Intercept plus features times coefficients.
    pub fn predict(&self, features: &[f64]) -> f64 {
        self.intercept + self.coefficients.iter().zip(features).map(|(c, x)| c * x).sum::<f64>()
    }
}

/// Weighted ridge regression (Hoerl and Kennard, Technometrics 1970); the intercept is not penalised. `None` when the
/// rows are fewer than two, of unequal length, not finite, or the system is singular.
pub fn ridge(rows: &[Vec<f64>], targets: &[f64], weights: Option<&[f64]>, penalty: f64) -> Option<Linear> {
    let width = rows.first()?.len();
    let sound = rows.len() == targets.len()
        && rows.len() > 1
        && weights.is_none_or(|weights| weights.len() == rows.len())
        && rows.iter().all(|row| row.len() == width && row.iter().all(|value| value.is_finite()))
        && targets.iter().all(|value| value.is_finite());
    if !sound {
        return None;
    }
    let mut matrix = vec![vec![0.0; width + 1]; width + 1];
    let mut right = vec![0.0; width + 1];
    for (index, (row, target)) in rows.iter().zip(targets).enumerate() {
        let weight = weights.map_or(1.0, |weights| weights[index]);
        let extended = |at: usize| if at == 0 { 1.0 } else { row[at - 1] };
        for a in 0..=width {
            right[a] += weight * extended(a) * target;
            for (b, cell) in matrix[a].iter_mut().enumerate().take(a + 1) {
                *cell += weight * extended(a) * extended(b);
            }
        }
    }
    for (diagonal, row) in matrix.iter_mut().enumerate().skip(1) {
        row[diagonal] += penalty;
    }
    let solution = solve(matrix, right)?;
    Some(Linear { intercept: solution[0], coefficients: solution[1..].to_vec() })
}

/// Largest linear predictor: e^30 is far above any count, and keeps the iteration finite.
const LARGEST_EXPONENT: f64 = 30.0;

/// Negative binomial regression, log link, by iteratively reweighted least squares (McCullagh and Nelder, *Generalized
/// Linear Models*, 1989; NB2 of Cameron and Trivedi) with a ridge penalty. `size` is the inverse of the
/// overdispersion; infinite gives Poisson regression. `None` as for [`ridge`], and for negative targets.
pub fn negative_binomial(rows: &[Vec<f64>], targets: &[f64], size: f64, penalty: f64) -> Option<Linear> {
    if size.is_nan() || size <= 0.0 || targets.iter().any(|value| value.is_nan() || *value < 0.0) {
        return None;
    }
    let mut exponents: Vec<f64> = targets.iter().map(|target| (target + 0.5).ln().min(LARGEST_EXPONENT)).collect();
    let mut model: Option<Linear> = None;
    for _ in 0..50 {
        let means: Vec<f64> = exponents.iter().map(|exponent| exponent.exp()).collect();
        let weights: Vec<f64> = means.iter().map(|mean| mean / (1.0 + mean / size)).collect();
        let working: Vec<f64> = (0..targets.len()).map(|i| exponents[i] + (targets[i] - means[i]) / means[i]).collect();
        let next = ridge(rows, &working, Some(&weights), penalty)?;
        exponents = rows.iter().map(|row| next.predict(row).clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT)).collect();
        let settled = model.as_ref().is_some_and(|before| {
            let change = |a: f64, b: f64| (a - b).abs() <= 1e-10 * (1.0 + b.abs());
            change(before.intercept, next.intercept)
                && before.coefficients.iter().zip(&next.coefficients).all(|(a, b)| change(*a, *b))
        });
        model = Some(next);
        if settled {
            break;
        }
    }
    model
}
