//! A list whose entries belong to shards.
//!
//! A list for each shard of each batch grows to the longest that it ever was: a burst of answers from one victim stands in
//! one shard, and in time every batch had room for one in every shard, a quarter of all memory. One list in the order of
//! the packets is as long as the batch, and the order in which shards want it takes five bytes an entry. Shards gather
//! their entries from it, which is dearer than to read them in a row: for lists of few.

use crate::shard::SHARDS;

/// A list and the shards of its entries.
#[derive(Clone, Debug)]
pub(crate) struct Dealt<T> {
    entries: Vec<T>,
    /// The shard of each entry.
    shards: Vec<u8>,
    /// Places of entries, those of one shard together, once they are sorted.
    order: Vec<u32>,
    /// Where each shard's places end.
    ends: [u32; SHARDS],
}

impl<T> Default for Dealt<T> {
    fn default() -> Self {
        Dealt { entries: Vec::new(), shards: Vec::new(), order: Vec::new(), ends: [0; SHARDS] }
    }
}

impl<T> Dealt<T> {
    #[inline]
    pub(crate) fn push(&mut self, shard: usize, entry: T) {
        self.entries.push(entry);
        self.shards.push(shard as u8);
    }

    /// Sorts the entries by shard; to be called once all are there, before any is asked for.
    pub(crate) fn sort(&mut self) {
        let mut next = [0u32; SHARDS];
        for shard in &self.shards {
            next[usize::from(*shard) % SHARDS] += 1;
        }
        let mut start = 0;
        for count in &mut next {
            start += std::mem::replace(count, start);
        }
        self.order.resize(self.shards.len(), 0);
        for (place, shard) in (0..).zip(&self.shards) {
            let at = &mut next[usize::from(*shard) % SHARDS];
            self.order[*at as usize] = place;
            *at += 1;
        }
        self.ends = next;
    }

    /// The entries of a shard, in their own order.
    pub(crate) fn of(&self, shard: usize) -> impl Iterator<Item = &T> {
        let start = if shard == 0 { 0 } else { self.ends[shard - 1] };
        self.order[start as usize..self.ends[shard] as usize].iter().map(|place| &self.entries[*place as usize])
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.shards.clear();
        self.order.clear();
        self.ends = [0; SHARDS];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_entry_comes_to_its_shard_in_order(shards in proptest::collection::vec(0..SHARDS, 0..400)) {
            let mut dealt = Dealt::default();
            // Memory that was used before must not show through.
            (0..500).for_each(|entry| dealt.push(7, entry));
            dealt.sort();
            dealt.clear();
            prop_assert_eq!(dealt.of(7).count(), 0);
            shards.iter().enumerate().for_each(|(entry, shard)| dealt.push(*shard, entry));
            dealt.sort();
            for shard in 0..SHARDS {
                let expected: Vec<usize> = (0..shards.len()).filter(|entry| shards[*entry] == shard).collect();
                prop_assert_eq!(dealt.of(shard).copied().collect::<Vec<_>>(), expected);
            }
        }
    }
}
