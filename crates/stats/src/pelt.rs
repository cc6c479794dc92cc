//! PELT: the exact best cut of a series into segments of constant level, in close to linear time.
//!
//! Killick, Fearnhead and Eckley, "Optimal Detection of Changepoints With a Linear Computational Cost", JASA 107(500),
//! 2012. The cost of a segment is its negative Poisson log-likelihood at its own mean, so that a rise from 2 to 8 and
//! one from 200 to 800 are judged by what such counts vary by.

/// Penalty per change: three times the logarithm of the number of values. Larger: fewer changes. The Bayesian
/// criterion asks for half of ln n per parameter; counts vary more than Poisson, so more is asked.
pub fn penalty(values: usize) -> f64 {
    3.0 * (values.max(2) as f64).ln()
}

/// Indices at which a new level begins, ascending, by the lowest sum of costs plus `penalty` per change. Holes (NaN,
/// infinite) and negative values are skipped. Fewer than two known values, or a penalty that is not positive: none.
/// `dispersion` divides the counts first (quasi-Poisson): variance over mean of what is usual, 1 for Poisson.
pub fn changes(values: &[f64], penalty: f64, dispersion: f64) -> Vec<usize> {
    let scale = if dispersion.is_finite() && dispersion > 1.0 { dispersion } else { 1.0 };
    let known: Vec<(usize, f64)> = values
        .iter()
        .enumerate()
        .filter(|(_, value)| value.is_finite() && **value >= 0.0)
        .map(|(index, value)| (index, value / scale))
        .collect();
    if known.len() < 2 || penalty.is_nan() || penalty <= 0.0 {
        return Vec::new();
    }
    let mut sums = Vec::with_capacity(known.len() + 1);
    sums.push(0.0);
    for (_, value) in &known {
        sums.push(sums[sums.len() - 1] + value);
    }
    let cost = |from: usize, to: usize| {
        let total: f64 = sums[to] - sums[from];
        let mean = total / (to - from) as f64;
        if total > 0.0 { total - total * mean.ln() } else { 0.0 }
    };
    let before = best_cuts(known.len(), penalty, cost);
    let mut cuts = Vec::new();
    let mut end = known.len();
    while end > 0 {
        end = before[end];
        if end > 0 {
            cuts.push(known[end].0);
        }
    }
    cuts.reverse();
    cuts
}

/// For every end, the start of its last segment. A start is given up for good once even without a further penalty it
/// is no better than the best (the pruning rule; constant 0 for a likelihood).
fn best_cuts(count: usize, penalty: f64, cost: impl Fn(usize, usize) -> f64) -> Vec<usize> {
    let mut best = vec![0.0; count + 1];
    best[0] = -penalty;
    let mut before = vec![0; count + 1];
    let mut starts: Vec<(usize, f64)> = Vec::new();
    for end in 1..=count {
        starts.push((end - 1, 0.0));
        let mut lowest = f64::INFINITY;
        for (start, sum) in &mut starts {
            *sum = best[*start] + cost(*start, end);
            if *sum + penalty < lowest {
                lowest = *sum + penalty;
                before[end] = *start;
            }
        }
        best[end] = lowest;
        starts.retain(|(_, sum)| *sum <= lowest);
    }
    before
}
