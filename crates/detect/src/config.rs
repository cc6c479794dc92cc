//! What an operator may set, and how thresholds follow from the size of the monitored space.

use noroshi_model::finding::Thresholds;
use noroshi_model::{Nanos, Prefix};

/// Number of IPv4 addresses; the factor between what a monitored space sees and the whole Internet is this over its size.
pub const INTERNET_ADDRESSES: f64 = 4_294_967_296.0;
/// Sending rate of the slowest scan that must not be split by a gap, packets per second over the whole Internet
/// (Merit's darknet events; Richter and Berger, IMC 2019). Lower: longer memory, more state.
pub const SCAN_RATE_PPS: f64 = 100.0;
/// Probability that such a scan is split all the same.
pub const SCAN_SPLIT_PROBABILITY: f64 = 0.001;

/// Settings of one run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Monitored space; empty to infer it.
    pub monitored: Vec<Prefix>,
    /// Packets before this are left out.
    pub since: Option<Nanos>,
    /// Packets at or after this are left out.
    pub until: Option<Nanos>,
    /// Memory for tables, in bytes. Past it, sketches and eviction take over and the result says so.
    pub memory_bytes: u64,
    /// Worker threads.
    pub threads: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config { monitored: Vec::new(), since: None, until: None, memory_bytes: 1 << 30, threads: 1 }
    }
}

/// Thresholds for a monitored space of a given size.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Scale {
    /// Addresses in the monitored space.
    pub addresses: u64,
    /// Silence that ends a scan, nanoseconds.
    pub scan_gap: i64,
    /// Packets that a backscatter attack must have.
    pub backscatter_packets_min: u64,
    /// Packets per minute that a backscatter attack must reach.
    pub backscatter_ppm_min: u64,
    /// Distinct destinations that a horizontal scan must touch.
    pub scan_destinations_min: u64,
}

impl Scale {
    /// Thresholds for `addresses` monitored addresses.
    ///
    /// The gap that ends a scan follows from the mean time between two hits of a uniform scanner (methods A2):
    /// `ln(1/eps) * 2^32 / (rate * addresses)`, bounded to 5 minutes and one day. Backscatter follows Corsaro's
    /// 25 packets and 30 per minute from a /16 upwards; below, both shrink with the square root of the size (an attack
    /// shows proportionally fewer replies, but so does the background), to no less than 5 packets.
    pub fn of(addresses: u64) -> Self {
        let n = addresses.max(1) as f64;
        let gap_seconds = (1.0 / SCAN_SPLIT_PROBABILITY).ln() * INTERNET_ADDRESSES / (SCAN_RATE_PPS * n);
        let shrink = (n / 65_536.0).sqrt().min(1.0);
        Scale {
            addresses: addresses.max(1),
            scan_gap: (gap_seconds.clamp(300.0, 86_400.0) * 1e9) as i64,
            backscatter_packets_min: ((25.0 * shrink).round() as u64).max(5),
            backscatter_ppm_min: ((30.0 * shrink).round() as u64).max(5),
            scan_destinations_min: ((n / 2.0).ceil() as u64).clamp(5, 10),
        }
    }

    /// Factor from the monitored space to the whole Internet.
    pub fn factor(&self) -> f64 {
        INTERNET_ADDRESSES / self.addresses as f64
    }
}

/// Builds a [`Thresholds`] map.
pub(crate) fn thresholds<const N: usize>(pairs: [(&str, f64); N]) -> Thresholds {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_gap_of_the_large_darknet() {
        // 475,136 addresses: 624 s (methods A1, A2).
        let gap = Scale::of(475_136).scan_gap as f64 / 1e9;
        assert!((gap - 624.0).abs() < 2.0, "{gap}");
    }

    #[test]
    fn small_spaces_keep_a_floor() {
        let small = Scale::of(1);
        assert_eq!((small.backscatter_packets_min, small.backscatter_ppm_min), (5, 5));
        assert_eq!(Scale::of(1 << 24).backscatter_packets_min, 25);
    }
}
