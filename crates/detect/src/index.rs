//! Where an address stands in a list: a hash table of one word per address.
//!
//! A word holds 32 bits of the hash and the place in the list, so a search reads one line of the table and, when the bits
//! agree, one line of the list to make sure. The hash multiplies with secrets drawn per table: neither destinations of
//! one prefix nor addresses chosen by an adversary share places more than by chance.

use crate::prefetch;
use foldhash::fast::RandomState;
use noroshi_model::Addr;
use std::hash::BuildHasher;

/// Addresses to places in a list.
#[derive(Clone)]
pub(crate) struct AddrIndex {
    /// Hash bits above, place plus one below; zero where nothing stands.
    slots: Vec<u64>,
    used: usize,
    secrets: [u64; 2],
}

/// Slots of an empty table; always a power of two.
const SLOTS_MIN: usize = 64;

impl AddrIndex {
    pub(crate) fn new() -> Self {
        let random = RandomState::default();
        AddrIndex { slots: vec![0; SLOTS_MIN], used: 0, secrets: [random.hash_one(1u8), random.hash_one(2u8)] }
    }

    /// The bits of an address's hash that are kept.
    #[inline]
    pub(crate) fn hash(&self, addr: Addr) -> u32 {
        let (low, high) = (addr.0 as u64 ^ self.secrets[0], (addr.0 >> 64) as u64 ^ self.secrets[1]);
        let product = u128::from(low) * u128::from(high);
        ((product >> 64) as u64 ^ product as u64) as u32
    }

    #[inline]
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.slots.len() as u64) >> 32) as usize
    }

    /// Asks for the line where the search for a hash begins.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u32) {
        prefetch::ahead(&self.slots, self.home(hash));
    }

    /// The first place whose hash bits agree: most likely the place of the address, if it has one.
    #[inline]
    pub(crate) fn likely(&self, hash: u32) -> Option<u32> {
        self.find(hash, |_| true)
    }

    /// The place of an address, given what stands at each place. A table is never full, so the search ends.
    #[inline]
    pub(crate) fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut at = self.home(hash);
        loop {
            let slot = self.slots[at & mask];
            if slot == 0 {
                return None;
            }
            let place = (slot as u32).wrapping_sub(1);
            if (slot >> 32) as u32 == hash && is_it(place) {
                return Some(place);
            }
            at += 1;
        }
    }

    /// Gives an address, which must be new, its place.
    pub(crate) fn insert(&mut self, hash: u32, place: u32) {
        if self.used * 8 >= self.slots.len() * 5 {
            self.grow();
        }
        self.put(u64::from(hash) << 32 | u64::from(place + 1));
        self.used += 1;
    }

    #[inline]
    fn put(&mut self, word: u64) {
        let mask = self.slots.len() - 1;
        let mut at = self.home((word >> 32) as u32);
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = word;
    }

    fn grow(&mut self) {
        let old = std::mem::take(&mut self.slots);
        self.slots = vec![0; old.len() * 2];
        for word in old.into_iter().filter(|word| *word != 0) {
            self.put(word);
        }
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longest search over all addresses.
    fn longest(addrs: &[Addr]) -> usize {
        let mut index = AddrIndex::new();
        for (place, addr) in addrs.iter().enumerate() {
            let hash = index.hash(*addr);
            assert_eq!(index.find(hash, |at| addrs[at as usize] == *addr), None);
            index.insert(hash, place as u32);
        }
        let mask = index.slots.len() - 1;
        let steps = |addr: &Addr| {
            let hash = index.hash(*addr);
            let place = index.find(hash, |at| addrs[at as usize] == *addr).expect("inserted");
            assert_eq!(addrs[place as usize], *addr);
            (0..).find(|step| index.slots[(index.home(hash) + step) & mask] as u32 == place + 1).expect("found above")
        };
        addrs.iter().map(steps).max().unwrap_or(0)
    }

    #[test]
    fn neighbours_do_not_crowd() {
        let prefix: Vec<Addr> = (0..40_000).map(|host| Addr::v4(0xc612_0000 + host)).collect();
        let strided: Vec<Addr> = (0..40_000).map(|net| Addr::v4(net << 16 | 1)).collect();
        let v6: Vec<Addr> = (0..40_000u128).map(|host| Addr(0x2001_0db8 << 96 | host << 64 | 1)).collect();
        for addrs in [prefix, strided, v6] {
            let longest = longest(&addrs);
            assert!(longest < 150, "{longest}");
        }
    }
}
