//! The set behind `count(distinct …)`: pairs of a group and a number, of all groups in one table.
//!
//! Eight bytes a pair where group and number fit in 32 bits each, which is every IPv4 address, port and length: open
//! addressing with linear probing, half to three quarters full. Slots of several pairs are read before any is decided on,
//! so that the memory answers them together; a table of millions of pairs lies far outside the caches, and one pair at a
//! time would wait for each. The place of a pair is the top of its hash, so a table that doubles is copied from front to
//! back. Hashes are seeded for each table: whoever chooses addresses cannot aim at one slot, and pairs that leave one
//! table in its order do not crowd the next.

use foldhash::fast::RandomState;
use hashbrown::HashSet;
use std::hash::{BuildHasher, RandomState as Seeds};

/// No pair: a group has less than 32 bits, see [`Pairs::insert`].
const EMPTY: u64 = u64::MAX;
/// 2⁶⁴ over the golden ratio (Knuth, The Art of Computer Programming 3, 6.4).
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
/// Pairs whose slots are looked up together.
const TOGETHER: usize = 32;
/// Slots of the first table, a power of two.
const SLOTS: usize = 1 << 10;

/// A set of pairs of a group and a number.
pub(super) struct Pairs {
    slots: Vec<u64>,
    /// Places of the top bits of a hash: 64 less the binary logarithm of the slots.
    shift: u32,
    used: usize,
    seed: u64,
    /// Pairs that do not fit in 64 bits: IPv6 addresses by their hash, negative numbers, groups past 2³².
    wide: HashSet<(u64, i64), RandomState>,
}

impl Pairs {
    pub fn new() -> Self {
        Pairs { slots: Vec::new(), shift: 64, used: 0, seed: Seeds::new().hash_one(0u8), wide: HashSet::default() }
    }

    /// Bytes that it occupies.
    pub fn size(&self) -> usize {
        self.slots.capacity() * size_of::<u64>() + self.wide.allocation_size()
    }

    fn place(&self, pair: u64) -> usize {
        // Both halves of the product: its top depends on every bit of the pair.
        let product = u128::from(pair ^ self.seed) * u128::from(MULTIPLIER);
        let folded = (product >> 64) as u64 ^ product as u64;
        (folded >> self.shift) as usize
    }

    /// Room for that many pairs more.
    fn reserve(&mut self, more: usize) {
        let wanted = (self.used + more).saturating_mul(4) / 3;
        if wanted < self.slots.len() {
            return;
        }
        let slots = wanted.next_power_of_two().max(SLOTS);
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; slots]);
        self.shift = 64 - slots.trailing_zeros();
        for pair in old.into_iter().filter(|pair| *pair != EMPTY) {
            let at = self.place(pair);
            self.settle(pair, at);
        }
    }

    /// Puts the pair into its slot or the next free one; says whether it is new.
    fn settle(&mut self, pair: u64, mut at: usize) -> bool {
        let last = self.slots.len() - 1;
        loop {
            match self.slots[at & last] {
                EMPTY => {
                    self.slots[at & last] = pair;
                    return true;
                }
                found if found == pair => return false,
                _ => at += 1,
            }
        }
    }

    /// Inserts the pairs; calls `new` with the group of each that was not there.
    pub fn insert(&mut self, mut pairs: impl Iterator<Item = (usize, i64)>, mut new: impl FnMut(usize)) {
        let (mut together, mut places, mut found) = ([EMPTY; TOGETHER], [0; TOGETHER], [EMPTY; TOGETHER]);
        let mut last = None;
        let mut ended = false;
        while !ended {
            self.reserve(TOGETHER);
            let mut count = 0;
            while count < TOGETHER {
                let Some(pair) = pairs.next() else {
                    ended = true;
                    break;
                };
                // Sorted rows repeat.
                if last == Some(pair) {
                    continue;
                }
                last = Some(pair);
                match (u32::try_from(pair.0), u32::try_from(pair.1)) {
                    (Ok(group), Ok(number)) if group != u32::MAX => {
                        together[count] = u64::from(group) << 32 | u64::from(number);
                        places[count] = self.place(together[count]);
                        count += 1;
                    }
                    _ => {
                        if self.wide.insert((pair.0 as u64, pair.1)) {
                            new(pair.0);
                        }
                    }
                }
            }
            for (found, place) in found.iter_mut().zip(&places[..count]) {
                *found = self.slots[*place];
            }
            for at in 0..count {
                if found[at] != together[at] && self.settle(together[at], places[at]) {
                    self.used += 1;
                    new((together[at] >> 32) as usize);
                }
            }
        }
    }

    /// Every pair, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (usize, i64)> {
        let narrow = self.slots.iter().filter(|pair| **pair != EMPTY);
        let narrow = narrow.map(|pair| ((*pair >> 32) as usize, i64::from(*pair as u32)));
        narrow.chain(self.wide.iter().map(|(group, number)| (*group as usize, *number)))
    }
}

#[cfg(test)]
mod tests {
    use super::Pairs;
    use std::collections::BTreeSet;

    #[test]
    fn a_table_holds_what_a_plain_set_holds() {
        let mut state = 7u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        let edges = [0, -1, 1, i64::from(u32::MAX), i64::from(u32::MAX) + 1, i64::MIN, i64::MAX];
        let mut all: Vec<(usize, i64)> =
            (0..200_000).map(|_| (random() as usize % 300, random() as i64 % 500)).collect();
        let groups = [0, 1, u32::MAX as usize - 1, u32::MAX as usize, u32::MAX as usize + 1];
        all.extend(groups.iter().flat_map(|group| edges.map(|number| (*group, number))));
        let (mut pairs, mut new) = (Pairs::new(), Vec::new());
        for part in all.chunks(777) {
            pairs.insert(part.iter().copied(), |group| new.push(group));
        }
        let plain: BTreeSet<(usize, i64)> = all.iter().copied().collect();
        assert_eq!(pairs.iter().collect::<BTreeSet<_>>(), plain);
        assert_eq!(new.len(), plain.len());
        // Poured into another table, in the order of this one.
        let mut other = Pairs::new();
        other.insert(pairs.iter(), |_| {});
        assert_eq!(other.iter().collect::<BTreeSet<_>>(), plain);
        assert!(other.size() >= plain.len() * 8 && other.size() < plain.len() * 64, "{} bytes", other.size());
    }
}
