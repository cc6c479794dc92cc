//! Shares of a whole: how concentrated they are, how two differ, and what is more frequent here than elsewhere.

use statrs::distribution::{ContinuousCDF, Gamma};

/// Exact interval of the mean of a Poisson count at `level` (0.95); Garwood, "Fiducial Limits for the Poisson
/// Distribution" (Biometrika, 1936). `None` with a level outside 0 to 1.
pub fn poisson_interval(count: u64, level: f64) -> Option<(f64, f64)> {
    if !(level > 0.0 && level < 1.0) {
        return None;
    }
    let tail = (1.0 - level) / 2.0;
    let quantile = |shape: f64, level: f64| Some(Gamma::new(shape, 1.0).ok()?.inverse_cdf(level));
    let low = if count == 0 { 0.0 } else { quantile(count as f64, tail)? };
    Some((low, quantile(count as f64 + 1.0, 1.0 - tail)?))
}

/// How much more frequent something is at one place than everywhere, with its interval.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Quotient {
    /// (part here / all here) / (part everywhere / all everywhere); 1 is as usual.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Location quotient (Haig, Regional Survey of New York, 1928) with the exact Poisson interval of the part here at 95 %.
/// `None` when the thing is nowhere, the place is empty, or the parts exceed their wholes.
pub fn location_quotient(part_here: u64, all_here: u64, part: u64, all: u64) -> Option<Quotient> {
    if part == 0 || all_here == 0 || part_here > all_here.min(part) || part > all || all_here > all {
        return None;
    }
    let expected = all_here as f64 * (part as f64 / all as f64);
    let (low, high) = poisson_interval(part_here, 0.95)?;
    Some(Quotient { value: part_here as f64 / expected, low: low / expected, high: high / expected })
}

/// Shares that sum to one; values that are not positive numbers count as zero. `None` when nothing is left.
fn shares(counts: &[f64]) -> Option<Vec<f64>> {
    let clean = |count: &f64| if count.is_finite() && *count > 0.0 { *count } else { 0.0 };
    let total: f64 = counts.iter().map(clean).sum();
    (total > 0.0 && total.is_finite()).then(|| counts.iter().map(|count| clean(count) / total).collect())
}

/// Entropy of the shares in bits (Shannon, 1948): 0 when all is in one place, log2(n) when spread evenly over n.
pub fn entropy(counts: &[f64]) -> Option<f64> {
    let bits = |share: f64| if share > 0.0 { -share * share.log2() } else { 0.0 };
    Some(shares(counts)?.into_iter().map(bits).sum::<f64>().max(0.0))
}

/// Jensen-Shannon divergence in bits (Lin, IEEE Trans. Information Theory 37, 1991): 0 for equal shares, 1 for disjoint
/// ones. `None` when a side is empty or the lengths differ.
pub fn jensen_shannon(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() != b.len() {
        return None;
    }
    let (a, b) = (shares(a)?, shares(b)?);
    let toward = |share: f64, middle: f64| if share > 0.0 { share * (share / middle).log2() } else { 0.0 };
    let sum: f64 = a.iter().zip(&b).map(|(&p, &q)| toward(p, (p + q) / 2.0) + toward(q, (p + q) / 2.0)).sum();
    Some((sum / 2.0).clamp(0.0, 1.0))
}
