//! Where an address stands in a list: a hash table of one word per address.
//!
//! A word holds 32 bits of a hash and the place in the list. For IPv4 the hash is a keyed permutation of the address, so
//! that equal bits are the same address and a search reads one line of the table and nothing else; a look at the list to
//! make sure was one trip to memory more for each packet. For IPv6, where bits can agree by chance, the list decides. Keys
//! are drawn per table: neither destinations of one prefix nor addresses chosen by an adversary share places more than by
//! chance.

use crate::prefetch;
use crate::shard::Kept;
use foldhash::fast::RandomState;
use noroshi_model::Addr;
use std::hash::BuildHasher;

/// Addresses to places in a list.
#[derive(Clone)]
pub(crate) struct AddrIndex {
    v4: Table,
    v6: Table,
    secrets: [u64; 2],
    /// What the permutation of IPv4 addresses begins with, and the odd numbers that it multiplies by.
    keys: [u32; 3],
}

/// What an address is searched by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Sought {
    hash: u32,
    /// The hash is that of an IPv4 address, and of no other.
    v4: bool,
}

impl AddrIndex {
    pub(crate) fn new() -> Self {
        let random = RandomState::default();
        let drawn = |which: u8| random.hash_one(which);
        let keys = [drawn(3) as u32, drawn(4) as u32 | 1, drawn(5) as u32 | 1];
        AddrIndex { v4: Table::new(), v6: Table::new(), secrets: [drawn(1), drawn(2)], keys }
    }

    /// What to search an address by.
    #[inline]
    pub(crate) fn seek(&self, addr: Addr) -> Sought {
        match addr.as_v4() {
            Some(bits) => Sought { hash: self.permuted(bits), v4: true },
            None => Sought { hash: self.hash(addr), v4: false },
        }
    }

    /// What to search the address of a row by.
    #[inline]
    pub(crate) fn seek_kept<A: Kept>(&self, addr: A) -> Sought {
        match addr.v4() {
            Some(bits) => Sought { hash: self.permuted(bits), v4: true },
            None => Sought { hash: self.hash(addr.addr()), v4: false },
        }
    }

    /// The place of the address of a row.
    #[inline]
    pub(crate) fn find_kept<A: Kept>(&self, addr: A, sought: Sought, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        if addr.v4().is_some() { self.v4.find(sought.hash, |_| true) } else { self.v6.find(sought.hash, is_it) }
    }

    /// Each step can be undone, so no two addresses give the same.
    #[inline]
    fn permuted(&self, bits: u32) -> u32 {
        let mixed = (bits ^ self.keys[0]).wrapping_mul(self.keys[1]);
        (mixed ^ mixed >> 15).wrapping_mul(self.keys[2])
    }

    #[inline]
    fn hash(&self, addr: Addr) -> u32 {
        let (low, high) = (addr.0 as u64 ^ self.secrets[0], (addr.0 >> 64) as u64 ^ self.secrets[1]);
        let product = u128::from(low) * u128::from(high);
        ((product >> 64) as u64 ^ product as u64) as u32
    }

    /// Asks for the line where a search begins.
    #[inline]
    pub(crate) fn prefetch(&self, sought: Sought) {
        let table = if sought.v4 { &self.v4 } else { &self.v6 };
        prefetch::ahead(&table.slots, table.home(sought.hash));
    }

    /// The place of an address, given a look at what stands at a place.
    #[inline]
    pub(crate) fn find(&self, sought: Sought, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        if sought.v4 { self.v4.find(sought.hash, |_| true) } else { self.v6.find(sought.hash, is_it) }
    }

    /// Gives an address, which must be new, its place.
    pub(crate) fn insert(&mut self, sought: Sought, place: u32) {
        if sought.v4 { self.v4.insert(sought.hash, place) } else { self.v6.insert(sought.hash, place) }
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        (self.v4.slots.capacity() + self.v6.slots.capacity()) * size_of::<u64>()
    }
}

/// Hashes to places, with linear probing.
#[derive(Clone)]
struct Table {
    /// Hash bits above, place plus one below; zero where nothing stands.
    slots: Vec<u64>,
    used: usize,
}

/// Slots of an empty table; always a power of two.
const SLOTS_MIN: usize = 64;

impl Table {
    fn new() -> Self {
        Table { slots: vec![0; SLOTS_MIN], used: 0 }
    }

    #[inline]
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.slots.len() as u64) >> 32) as usize
    }

    /// A table is never full, so the search ends.
    #[inline]
    fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
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

    fn insert(&mut self, hash: u32, place: u32) {
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

    #[cold]
    fn grow(&mut self) {
        let old = std::mem::take(&mut self.slots);
        self.slots = vec![0; old.len() * 2];
        for word in old.into_iter().filter(|word| *word != 0) {
            self.put(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longest search over all addresses.
    fn longest(addrs: &[Addr]) -> usize {
        let mut index = AddrIndex::new();
        for (place, addr) in addrs.iter().enumerate() {
            let sought = index.seek(*addr);
            assert_eq!(index.find(sought, |at| addrs[at as usize] == *addr), None);
            index.insert(sought, place as u32);
        }
        let steps = |addr: &Addr| {
            let sought = index.seek(*addr);
            let place = index.find(sought, |at| addrs[at as usize] == *addr).expect("inserted");
            assert_eq!(addrs[place as usize], *addr);
            let table = if sought.v4 { &index.v4 } else { &index.v6 };
            let (mask, home) = (table.slots.len() - 1, table.home(sought.hash));
            (0..).find(|step| table.slots[(home + step) & mask] as u32 == place + 1).expect("found above")
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

    #[test]
    fn both_families_share_an_index() {
        let mut index = AddrIndex::new();
        let addrs = [Addr::v4(7), Addr(7), Addr::v4(0), Addr(u128::MAX)];
        for (place, addr) in addrs.iter().enumerate() {
            assert_eq!(index.find(index.seek(*addr), |at| addrs[at as usize] == *addr), None);
            index.insert(index.seek(*addr), place as u32);
        }
        for (place, addr) in addrs.iter().enumerate() {
            assert_eq!(index.find(index.seek(*addr), |at| addrs[at as usize] == *addr), Some(place as u32));
        }
    }
}
