//! Bayesian online change-point detection of counts.
//!
//! Adams and MacKay, "Bayesian Online Changepoint Detection" (2007), with Poisson counts whose rate has a gamma prior.
//! After each value the length of the present segment has an exact posterior; [`Detector::update`] gives the probability
//! that the segment is young. Run lengths whose probability has become negligible are dropped, so memory is bounded.

use statrs::function::gamma::ln_gamma;

/// Settings of a [`Detector`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Settings {
    /// Mean length of a segment, values. Longer: fewer changes are believed.
    pub expected_length: f64,
    /// Mean count believed before anything is seen.
    pub prior_mean: f64,
    /// How many values that belief is worth.
    pub prior_weight: f64,
    /// Counts are divided by this first (quasi-Poisson): variance over mean of what is usual.
    pub dispersion: f64,
    /// A segment of at most this many values is young.
    pub young: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { expected_length: 250.0, prior_mean: 1.0, prior_weight: 0.1, dispersion: 1.0, young: 3 }
    }
}

/// Run lengths with less probability than this are dropped.
const NEGLIGIBLE: f64 = 1e-12;
/// Most run lengths held; beyond, the least probable go.
const RUNS_MAX: usize = 256;

/// One length that the present segment may have.
#[derive(Clone, Copy, Debug)]
struct Run {
    length: usize,
    /// Gamma posterior of the segment's rate.
    shape: f64,
    rate: f64,
    /// Logarithm of the gamma function at `shape`, which the next value needs.
    log_gamma: f64,
    probability: f64,
}

/// The detector. Feed counts in order.
#[derive(Clone, Debug)]
pub struct Detector {
    settings: Settings,
    runs: Vec<Run>,
}

impl Detector {
    /// A detector that has seen nothing. Settings that are not positive numbers become those of the default.
    pub fn new(settings: Settings) -> Self {
        let usual = Settings::default();
        let sound = |value: f64, usual: f64| if value.is_finite() && value > 0.0 { value } else { usual };
        let settings = Settings {
            expected_length: sound(settings.expected_length, usual.expected_length).max(1.0),
            prior_mean: sound(settings.prior_mean, usual.prior_mean),
            prior_weight: sound(settings.prior_weight, usual.prior_weight),
            dispersion: sound(settings.dispersion, usual.dispersion),
            young: settings.young.max(1),
        };
        Detector { settings, runs: Vec::new() }
    }

    /// Probability that the present segment, the new value included, is at most [`Settings::young`] values long. `None`
    /// for a hole (NaN, infinite, negative), which leaves the detector as it was.
    pub fn update(&mut self, count: f64) -> Option<f64> {
        if !count.is_finite() || count < 0.0 {
            return None;
        }
        let count = count / self.settings.dispersion;
        let (shape, rate) = (self.settings.prior_mean * self.settings.prior_weight, self.settings.prior_weight);
        let hazard = if self.runs.is_empty() { 1.0 } else { 1.0 / self.settings.expected_length };
        let prior = Run { length: 0, shape, rate, log_gamma: ln_gamma(shape), probability: 1.0 };
        let factorial = ln_gamma(count + 1.0);
        // The new segment, then each old one grown by a value; probabilities are logarithms until they are summed.
        let mut runs: Vec<Run> = Vec::with_capacity(self.runs.len() + 1);
        runs.push(prior.grown(count, factorial, hazard.ln()));
        runs.extend(self.runs.iter().map(|run| run.grown(count, factorial, (1.0 - hazard).ln())));
        // The largest is taken out before exponentials are, so that not all underflow.
        let largest = runs.iter().map(|run| run.probability).fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = runs.iter().map(|run| (run.probability - largest).exp()).sum();
        for run in &mut runs {
            run.probability = (run.probability - largest).exp() / total;
        }
        runs.retain(|run| run.probability > NEGLIGIBLE);
        if runs.len() > RUNS_MAX {
            let least = runs.iter().map(|run| run.probability).fold(f64::INFINITY, f64::min);
            let at = runs.iter().position(|run| run.probability <= least);
            at.map(|at| runs.remove(at));
        }
        self.runs = runs;
        Some(self.runs.iter().filter(|run| run.length <= self.settings.young).map(|run| run.probability).sum())
    }

    /// Most probable length of the present segment, values; `None` before the first.
    pub fn length(&self) -> Option<usize> {
        self.runs.iter().max_by(|a, b| a.probability.total_cmp(&b.probability)).map(|run| run.length)
    }
}

impl Run {
    /// The run with one more count, its probability a logarithm: that of the run, of `ln_hazard` and of the count, whose
    /// rate is gamma distributed (negative binomial). `factorial` is the logarithm of the count's.
    fn grown(&self, count: f64, factorial: f64, ln_hazard: f64) -> Run {
        let log_gamma = ln_gamma(self.shape + count);
        let predictive = log_gamma - self.log_gamma - factorial + self.shape * (self.rate / (self.rate + 1.0)).ln()
            - count * (self.rate + 1.0).ln();
        Run {
            length: self.length + 1,
            shape: self.shape + count,
            rate: self.rate + 1.0,
            log_gamma,
            probability: self.probability.ln() + ln_hazard + predictive,
        }
    }
}
