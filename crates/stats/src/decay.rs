//! How overlap fades with time: P(t) = b^a / (b^a + t^a), the modified Cauchy form of Kepner et al., "Temporal
//! Correlation of Internet Observatories and Outposts" (IPDPS workshops, 2022), with P(0) = 1.

/// The fitted curve.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Decay {
    /// Steepness.
    pub alpha: f64,
    /// Time at which half is left.
    pub beta: f64,
    /// Root of the mean squared error of the fit.
    pub error: f64,
}

/// Values outside are no curve that data of this kind have, and would overflow.
const LOG_MAX: f64 = 50.0;

impl Decay {
    /// Share left after `time`.
    pub fn at(&self, time: f64) -> f64 {
        if time <= 0.0 {
            return 1.0;
        }
        1.0 / (1.0 + (self.alpha * (time / self.beta).ln()).exp())
    }

    /// Time after which less than `share` is left: the inverse of [`Decay::at`]. `None` outside 0 to 1.
    pub fn until(&self, share: f64) -> Option<f64> {
        (share > 0.0 && share < 1.0).then(|| self.beta * ((1.0 / share - 1.0).ln() / self.alpha).exp())
    }
}

/// Least squares over (time, share) points, each with a weight, by Levenberg-Marquardt from the linear fit of the
/// log-odds. Points with a time that is not positive, a share outside 0 to 1, or no weight are left out. `None` with
/// fewer than three points, or when the shares do not fall.
pub fn fit(points: &[(f64, f64, f64)]) -> Option<Decay> {
    let sound = |&&(time, share, weight): &&(f64, f64, f64)| {
        time.is_finite() && time > 0.0 && (0.0..=1.0).contains(&share) && weight.is_finite() && weight > 0.0
    };
    let points: Vec<(f64, f64, f64)> = points.iter().filter(sound).copied().collect();
    if points.len() < 3 {
        return None;
    }
    let mut at = start(&points)?;
    let mut best = squares(&points, at);
    let mut damping = 1e-3;
    for _ in 0..200 {
        let (gradient, curvature) = derivatives(&points, at);
        let (a, b, c) = (curvature[0] * (1.0 + damping), curvature[1], curvature[2] * (1.0 + damping));
        let determinant = a * c - b * b;
        if !(determinant.is_finite() && determinant.abs() > 1e-300) {
            break;
        }
        let step =
            [(gradient[0] * c - gradient[1] * b) / determinant, (gradient[1] * a - gradient[0] * b) / determinant];
        let next = [at[0] + step[0], at[1] + step[1]];
        let squared = squares(&points, next);
        if squared.is_finite() && squared <= best && next.iter().all(|value| value.abs() < LOG_MAX) {
            let settled = (best - squared) <= 1e-15 * (best + 1e-300) && step.iter().all(|step| step.abs() < 1e-10);
            (at, best, damping) = (next, squared, damping * 0.3);
            if settled {
                break;
            }
        } else {
            damping *= 10.0;
            if damping > 1e12 {
                break;
            }
        }
    }
    let weights: f64 = points.iter().map(|point| point.2).sum();
    Some(Decay { alpha: at[0].exp(), beta: at[1].exp(), error: (best / weights).sqrt() })
}

/// Logarithms of alpha and beta from the straight line of log-odds over log-time.
fn start(points: &[(f64, f64, f64)]) -> Option<[f64; 2]> {
    let line: Vec<(f64, f64)> = points
        .iter()
        .map(|&(time, share, _)| {
            let share = share.clamp(1e-6, 1.0 - 1e-6);
            (time.ln(), (1.0 / share - 1.0).ln())
        })
        .collect();
    let count = line.len() as f64;
    let (mx, my) = (line.iter().map(|p| p.0).sum::<f64>() / count, line.iter().map(|p| p.1).sum::<f64>() / count);
    let spread: f64 = line.iter().map(|p| (p.0 - mx).powi(2)).sum();
    let slope = line.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum::<f64>() / spread;
    if !slope.is_finite() || slope <= 1e-6 {
        return None;
    }
    let beta = mx - my / slope;
    (beta.abs() < LOG_MAX).then(|| [slope.ln(), beta])
}

fn share(at: [f64; 2], time: f64) -> f64 {
    1.0 / (1.0 + (at[0].exp() * (time.ln() - at[1])).exp())
}

fn squares(points: &[(f64, f64, f64)], at: [f64; 2]) -> f64 {
    points.iter().map(|&(time, seen, weight)| weight * (seen - share(at, time)).powi(2)).sum()
}

/// Gradient (towards the minimum) and the three different cells of the Gauss-Newton matrix.
fn derivatives(points: &[(f64, f64, f64)], at: [f64; 2]) -> ([f64; 2], [f64; 3]) {
    let (mut gradient, mut curvature) = ([0.0; 2], [0.0; 3]);
    for &(time, seen, weight) in points {
        let fitted = share(at, time);
        let slope = -fitted * (1.0 - fitted);
        let alpha = at[0].exp();
        let by = [slope * alpha * (time.ln() - at[1]), -slope * alpha];
        for (index, by) in by.iter().enumerate() {
            gradient[index] += weight * (seen - fitted) * by;
        }
        for (cell, product) in curvature.iter_mut().zip([by[0] * by[0], by[0] * by[1], by[1] * by[1]]) {
            *cell += weight * product;
        }
    }
    (gradient, curvature)
}
