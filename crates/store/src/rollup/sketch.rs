//! Distinct counts that merge: HyperLogLog as in Apache DataSketches, 4,096 registers.
//!
//! Up to about 200 distinct values the sketch is exact for practical purposes (it holds the hashes themselves); past
//! that its relative standard error is 1.04 / sqrt(4096) = 1.6 %, so 19 estimates in 20 are within 3.3 % (Flajolet et
//! al. 2007; DataSketches' HIP estimator is somewhat better until sketches are merged).

use datasketches::hll::{HllSketch, HllType, HllUnion};
use noroshi_model::Addr;

/// Binary logarithm of the number of registers.
const LG_K: u8 = 12;

/// A set of addresses of which only the size is known.
#[derive(Clone)]
pub struct Sketch(HllSketch);

impl Default for Sketch {
    fn default() -> Self {
        Sketch(HllSketch::new(LG_K, HllType::Hll4).expect("LG_K is between 4 and 21"))
    }
}

impl Sketch {
    /// Adds an address.
    pub fn add(&mut self, addr: Addr) {
        self.0.update(addr.0);
    }

    /// The sketch as stored in the lake: the portable form of DataSketches.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.serialize()
    }

    /// The estimated size.
    pub fn estimate(&self) -> f64 {
        self.0.estimate()
    }
}

/// The union of sketches.
pub struct Union(HllUnion);

impl Default for Union {
    fn default() -> Self {
        Union(HllUnion::new(LG_K).expect("LG_K is between 4 and 21"))
    }
}

/// The bytes are no sketch.
#[derive(Debug, thiserror::Error)]
#[error("not a sketch of distinct addresses: {0}")]
pub struct NotASketch(String);

impl Union {
    /// Adds the members of a stored sketch.
    pub fn merge(&mut self, bytes: &[u8]) -> Result<(), NotASketch> {
        let sketch = HllSketch::deserialize(bytes).map_err(|error| NotASketch(error.to_string()))?;
        self.0.update(&sketch);
        Ok(())
    }

    /// The estimated size of the union.
    pub fn estimate(&self) -> f64 {
        self.0.estimate()
    }

    /// The union as a stored sketch.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.to_sketch(HllType::Hll4).serialize()
    }

    /// Bytes of memory it takes.
    pub fn size(&self) -> usize {
        self.0.estimated_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_counts_each_address_once_within_the_stated_error() {
        let mut union = Union::default();
        for part in 0..4u32 {
            let mut sketch = Sketch::default();
            (part * 10_000..part * 10_000 + 20_000).for_each(|n| sketch.add(Addr::v4(n)));
            union.merge(&sketch.bytes()).unwrap();
        }
        let estimate = union.estimate();
        assert!((estimate / 50_000.0 - 1.0).abs() < 0.05, "{estimate}");
    }

    #[test]
    fn small_sets_are_exact() {
        let mut sketch = Sketch::default();
        (0..100).chain(0..100).for_each(|n| sketch.add(Addr::v4(n)));
        assert_eq!(sketch.estimate().round(), 100.0);
    }

    #[test]
    fn foreign_bytes_are_refused() {
        for bytes in [&b""[..], b"x", &[0; 64], &[255; 4096]] {
            assert!(Union::default().merge(bytes).is_err());
        }
    }
}
