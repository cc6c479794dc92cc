//! How much of everything our reflectors see (methods C5, C6).

/// Attacks in all, from two halves of the sensors that saw `first` and `second` of them, `both` in common (Chapman's
/// estimator, methods C6). Sensors that attackers choose alike make it too low.
pub fn chapman(first: u64, second: u64, both: u64) -> f64 {
    (first + 1) as f64 * (second + 1) as f64 / (both + 1) as f64 - 1.0
}

/// Probability that some other scanner, who knows `known` of `sensors` reflectors drawn at random, happens to know all
/// `used` of an attack (methods C5: C(K-|B|, a-|B|) / C(K, a)).
pub fn chance_of_cover(sensors: u32, known: u32, used: u32) -> f64 {
    if used > known || known > sensors {
        return 0.0;
    }
    (0..used).map(|i| f64::from(known - i) / f64::from(sensors - i)).product()
}
