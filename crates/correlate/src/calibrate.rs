//! From a score to how often it is right: isotonic regression (pool adjacent violators; Ayer et al. 1955, for
//! probabilities Zadrozny and Elkan, KDD 2002).

use serde::{Deserialize, Serialize};

/// A map that never falls, as corner points between which it is a straight line.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Steps(Vec<(f32, f32)>);

/// Observations that one corner point stands for at least; fewer would follow chance.
const POOL_MIN: usize = 40;

impl Steps {
    /// Fits to pairs of score and whether it was right.
    pub(crate) fn fit(mut seen: Vec<(f32, bool)>) -> Self {
        seen.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Each pool: sum of scores, right ones, observations.
        let mut pools: Vec<(f64, f64, f64)> = Vec::new();
        for chunk in seen.chunks(POOL_MIN) {
            let sum = chunk.iter().map(|(score, _)| f64::from(*score)).sum();
            let right = chunk.iter().filter(|(_, right)| *right).count() as f64;
            pools.push((sum, right, chunk.len() as f64));
            while let [.., a, b] = pools[..]
                && a.1 / a.2 >= b.1 / b.2
            {
                pools.pop();
                *pools.last_mut().expect("two were there") = (a.0 + b.0, a.1 + b.1, a.2 + b.2);
            }
        }
        // Laplace's rule keeps the ends off zero and one; it pulls small pools further, so the order is restored.
        let mut highest = 0.0f32;
        let corners = pools.iter().map(|(sum, right, n)| {
            highest = highest.max(((right + 1.0) / (n + 2.0)) as f32);
            ((sum / n) as f32, highest)
        });
        Steps(corners.collect())
    }

    /// Whether it is what [`Steps::fit`] can give: finite and never falling.
    pub(crate) fn is_sound(&self) -> bool {
        let finite = self.0.iter().all(|(x, y)| x.is_finite() && (0.0..=1.0).contains(y));
        finite && self.0.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1)
    }

    /// The calibrated value; without a fit, the score itself.
    pub(crate) fn at(&self, score: f32) -> f32 {
        let (Some(first), Some(last)) = (self.0.first(), self.0.last()) else { return score };
        if score.is_nan() {
            return 0.0;
        }
        if score <= first.0 {
            return first.1 * (score / first.0.max(1e-6)).clamp(0.0, 1.0);
        }
        if score >= last.0 {
            return last.1;
        }
        let at = self.0.partition_point(|(x, _)| *x <= score);
        let ((x0, y0), (x1, y1)) = (self.0[at - 1], self.0[at]);
        y0 + (y1 - y0) * (score - x0) / (x1 - x0).max(1e-6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overconfident_scores_come_down_and_order_stays() {
        // Scores of 0.5 are right three times in ten, of 0.9 six times in ten, of 0.7 (out of order) two in ten.
        let seen = (0..600).map(|k| {
            let (score, right_of_ten) = [(0.5, 3), (0.7, 2), (0.9, 6)][k % 3];
            (score, (k / 3) % 10 < right_of_ten)
        });
        let map = Steps::fit(seen.collect());
        assert!((map.at(0.5) - 0.25).abs() < 0.06, "{}", map.at(0.5));
        assert!((map.at(0.9) - 0.6).abs() < 0.03);
        let values: Vec<f32> = (0..=100).map(|k| map.at(k as f32 / 100.0)).collect();
        assert!(values.windows(2).all(|pair| pair[0] <= pair[1]));
    }

    #[test]
    fn without_a_fit_nothing_changes() {
        assert_eq!(Steps::fit(Vec::new()).at(0.3), 0.3);
    }
}
