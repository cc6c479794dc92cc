//! Numbers that look random and are the same on every machine: integers only, no library state.
//!
//! The generator is xoshiro256++ 1.0 (Blackman and Vigna, "Scrambled linear pseudorandom number generators", ACM TOMS
//! 2021), seeded through SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) as its authors advise.

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64's finaliser over one value: a keyless hash of 64 bits that is a bijection.
#[inline]
pub fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Hash of two values.
#[inline]
pub fn mix2(a: u64, b: u64) -> u64 {
    mix(mix(a).wrapping_add(b))
}

/// xoshiro256++.
#[derive(Clone, Debug)]
pub struct Rng([u64; 4]);

impl Rng {
    /// The stream of one seed.
    pub fn new(seed: u64) -> Self {
        let mut state = [0; 4];
        for (i, word) in state.iter_mut().enumerate() {
            *word = mix(seed.wrapping_add(GOLDEN.wrapping_mul(i as u64)));
        }
        Rng(state)
    }

    /// The next 64 bits.
    #[inline]
    pub fn draw(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number in `0..bound` (0 when `bound` is 0); the bias of the multiplication is below bound / 2^64.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `low..=high`.
    #[inline]
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// One of the items, which must not be empty.
    #[inline]
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }
}

/// A keyed order over `0..size`: every number exactly once, without a table.
///
/// Rounds of odd multiplication and xor-shift are bijections of `0..2^bits`; numbers past `size` are walked over
/// (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002). Enough to scatter, not a cipher.
#[derive(Clone, Copy, Debug)]
pub struct Permutation {
    size: u64,
    mask: u64,
    shift: u32,
    keys: [u64; 3],
}

impl Permutation {
    /// The order of one key.
    #[inline]
    pub fn new(size: u64, key: u64) -> Self {
        let bits = (64 - size.max(2).wrapping_sub(1).leading_zeros()).max(1);
        let first = mix(key);
        let second = first.wrapping_mul(GOLDEN) ^ (first >> 29);
        Permutation {
            size: size.max(1),
            mask: if bits == 64 { u64::MAX } else { (1 << bits) - 1 },
            shift: bits.div_ceil(2),
            keys: [first, second, first.rotate_left(32) ^ GOLDEN],
        }
    }

    /// One step of the bijection of `0..2^bits`.
    #[inline]
    fn scatter(&self, mut x: u64) -> u64 {
        for key in self.keys {
            x = x.wrapping_mul(key | 1).wrapping_add(key >> 17) & self.mask;
            x ^= x >> self.shift;
        }
        x
    }

    /// The number at a place of the order; places past the size start again.
    #[inline]
    pub fn at(&self, place: u64) -> u64 {
        let mut x = if place < self.size { place } else { place % self.size };
        loop {
            x = self.scatter(x);
            if x < self.size {
                return x;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xoshiro_matches_its_reference() {
        // First outputs of the authors' C code for the state 1, 2, 3, 4.
        let mut rng = Rng([1, 2, 3, 4]);
        assert_eq!([rng.draw(), rng.draw(), rng.draw()], [41_943_041, 58_720_359, 3_588_806_011_781_223]);
    }

    #[test]
    fn a_permutation_meets_every_number_once() {
        for size in [1, 2, 3, 7, 256, 1000, 67_072] {
            for key in 0..5 {
                let order = Permutation::new(size, key);
                let mut seen = vec![false; size as usize];
                for place in 0..size {
                    let at = order.at(place) as usize;
                    assert!(!std::mem::replace(&mut seen[at], true), "size {size} key {key} place {place}");
                }
            }
        }
    }

    #[test]
    fn below_stays_below() {
        let mut rng = Rng::new(1);
        assert!((0..10_000).all(|_| rng.below(3) < 3));
        assert_eq!(rng.below(0), 0);
        assert!((0..1000).all(|_| (5..=6).contains(&rng.between(5, 6))));
    }
}
