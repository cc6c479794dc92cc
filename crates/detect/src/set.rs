//! Sets of addresses that are small where most are small.
//!
//! In a darknet most sources touch a handful of destinations, a few touch all. A set starts inside its owner, grows into
//! an open-addressing table, and from there into bitmaps of /24 networks, which hold a fully scanned /16 in ten
//! kilobytes. Counts are exact for IPv4. An IPv6 address is kept as 32 bits of a keyed hash: among `n` addresses of one
//! set about `n^2 / 2^33` are taken for one another.

use crate::prefetch;
use foldhash::fast::FixedState;
use noroshi_model::Addr;
use std::hash::BuildHasher;

const INLINE: usize = 5;
/// Table entries past which bitmaps are smaller when destinations share networks.
const TABLE_MAX: u32 = 1_024;

/// Distinct addresses.
#[derive(Clone, Debug)]
pub(crate) enum AddrSet {
    Inline(u8, [u32; INLINE]),
    /// Open addressing with linear probing: a power of two of slots, and one more. Zero marks a free slot, so the key zero
    /// is kept in the last one, which no other key is put into.
    Table {
        len: u32,
        slots: Box<[u32]>,
    },
    Networks(Box<Networks>),
}

impl Default for AddrSet {
    fn default() -> Self {
        AddrSet::Inline(0, [0; INLINE])
    }
}

const _: () = assert!(size_of::<AddrSet>() == 24);

/// Bitmaps by /24, in a table with linear probing.
#[derive(Clone, Debug)]
pub(crate) struct Networks {
    /// Upper 24 bits of the addresses plus one; zero where none is.
    nets: Vec<u32>,
    maps: Vec<[u64; 4]>,
    used: usize,
    len: usize,
}

/// 32 bits that stand for an address: the address itself for IPv4, a hash for IPv6.
#[inline]
pub(crate) fn key(addr: Addr) -> u32 {
    match addr.as_v4() {
        Some(bits) => bits,
        None => FixedState::with_seed(0x6e6f_726f).hash_one(addr.0) as u32,
    }
}

/// Multiplicative mixing, high bits last: destinations of one prefix must not share slots.
#[inline]
fn mix(key: u32) -> usize {
    (u64::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize
}

/// The slots of a table, see [`AddrSet::Table`].
fn table_of(slots: usize) -> Box<[u32]> {
    vec![0; slots + 1].into_boxed_slice()
}

#[inline]
fn table_insert(slots: &mut [u32], key: u32) -> bool {
    let last = slots.len() - 1;
    if key == 0 {
        return std::mem::replace(&mut slots[last], 1) == 0;
    }
    let mask = last - 1;
    let mut at = mix(key) & mask;
    loop {
        match slots[at] {
            0 => break,
            other if other == key => return false,
            _ => at = (at + 1) & mask,
        }
    }
    slots[at] = key;
    true
}

fn table_keys(slots: &[u32]) -> impl Iterator<Item = u32> + '_ {
    let (zero, keys) = slots.split_last().expect("never empty");
    keys.iter().copied().filter(|key| *key != 0).chain((*zero != 0).then_some(0))
}

/// The same keys in twice as many slots.
fn table_grown(slots: &[u32]) -> Box<[u32]> {
    let mut larger = table_of((slots.len() - 1) * 2);
    for key in table_keys(slots) {
        table_insert(&mut larger, key);
    }
    larger
}

impl Networks {
    fn of_size(slots: usize) -> Self {
        Networks { nets: vec![0; slots], maps: vec![[0; 4]; slots], used: 0, len: 0 }
    }

    #[inline]
    fn insert(&mut self, key: u32) -> bool {
        let at = self.place((key >> 8) + 1);
        let map = &mut self.maps[at];
        let (word, bit) = ((key >> 6 & 3) as usize, 1u64 << (key & 63));
        let fresh = map[word] & bit == 0;
        map[word] |= bit;
        self.len += usize::from(fresh);
        fresh
    }

    /// Where a network stands, or from now on will.
    #[inline]
    fn place(&mut self, net: u32) -> usize {
        let mask = self.nets.len() - 1;
        let mut at = mix(net) & mask;
        loop {
            match self.nets[at] {
                0 => break,
                other if other == net => return at,
                _ => at = (at + 1) & mask,
            }
        }
        if self.used * 8 >= self.nets.len() * 5 {
            self.grow();
            return self.place(net);
        }
        self.nets[at] = net;
        self.used += 1;
        at
    }

    #[cold]
    fn grow(&mut self) {
        let larger = Networks::of_size(self.nets.len() * 2);
        let old = std::mem::replace(self, larger);
        self.len = old.len;
        for (net, map) in old.nets.into_iter().zip(old.maps).filter(|(net, _)| *net != 0) {
            let at = self.place(net);
            self.maps[at] = map;
        }
    }
}

impl AddrSet {
    /// True when the address was not there.
    #[inline]
    pub(crate) fn insert(&mut self, addr: Addr) -> bool {
        self.insert_key(key(addr))
    }

    #[inline]
    pub(crate) fn insert_key(&mut self, key: u32) -> bool {
        match self {
            AddrSet::Inline(len, keys) => {
                let used = *len as usize;
                if keys[..used].contains(&key) {
                    return false;
                }
                if used < INLINE {
                    keys[used] = key;
                    *len += 1;
                } else {
                    let mut slots = table_of(16);
                    for key in keys.iter().chain([&key]) {
                        table_insert(&mut slots, *key);
                    }
                    *self = AddrSet::Table { len: INLINE as u32 + 1, slots };
                }
                true
            }
            AddrSet::Table { len, slots } => {
                if !table_insert(slots, key) {
                    return false;
                }
                *len += 1;
                if *len as usize * 4 > slots.len() * 3 {
                    *slots = table_grown(slots);
                }
                if *len >= TABLE_MAX && len.is_power_of_two() {
                    self.pack();
                }
                true
            }
            AddrSet::Networks(networks) => networks.insert(key),
        }
    }

    /// Asks for the line where a key would stand.
    #[inline]
    pub(crate) fn prefetch(&self, key: u32) {
        if let AddrSet::Table { slots, .. } = self {
            prefetch::ahead(slots, mix(key) & (slots.len() - 2));
        } else if let AddrSet::Networks(networks) = self {
            let at = mix((key >> 8) + 1) & (networks.nets.len() - 1);
            prefetch::ahead(&networks.nets, at);
            prefetch::ahead(&networks.maps, at);
        }
    }

    /// Turns a table into bitmaps when its addresses share networks enough to gain by it.
    fn pack(&mut self) {
        let AddrSet::Table { slots, .. } = self else { return };
        let mut networks = Networks::of_size(16);
        for key in table_keys(slots) {
            networks.insert(key);
        }
        if networks.used * 6 <= networks.len {
            *self = AddrSet::Networks(Box::new(networks));
        }
    }

    /// Number of distinct addresses.
    pub(crate) fn len(&self) -> u64 {
        match self {
            AddrSet::Inline(len, _) => u64::from(*len),
            AddrSet::Table { len, .. } => u64::from(*len),
            AddrSet::Networks(networks) => networks.len as u64,
        }
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> u64 {
        match self {
            AddrSet::Inline(..) => 0,
            AddrSet::Table { slots, .. } => (slots.len() * 4) as u64,
            AddrSet::Networks(networks) => (size_of::<Networks>() + networks.nets.len() * 36) as u64,
        }
    }
}

/// Distinct ports; six inside, then a sorted list, then a bitmap. The list is boxed to keep the set at sixteen bytes.
#[allow(clippy::box_collection)]
#[derive(Clone, Debug)]
pub(crate) enum PortSet {
    Inline(u8, [u16; PORTS_INLINE]),
    Sorted(Box<Vec<u16>>),
    Bitmap(Box<Bitmap>),
}

const PORTS_INLINE: usize = 6;
const _: () = assert!(size_of::<PortSet>() == 16);

/// All 65,536 ports as bits.
#[derive(Clone, Debug)]
pub(crate) struct Bitmap {
    words: [u64; 1_024],
    len: u32,
}

impl Default for PortSet {
    fn default() -> Self {
        PortSet::Inline(0, [0; PORTS_INLINE])
    }
}

/// Sorted list past which the bitmap takes over: 8 KiB hold either.
const SORTED_MAX: usize = 512;

impl PortSet {
    /// True when the port was not there.
    #[inline]
    pub(crate) fn insert(&mut self, port: u16) -> bool {
        match self {
            PortSet::Inline(len, ports) => {
                let used = *len as usize;
                if ports[..used].contains(&port) {
                    return false;
                }
                if used < PORTS_INLINE {
                    ports[used] = port;
                    *len += 1;
                } else {
                    let mut list = ports.to_vec();
                    list.push(port);
                    list.sort_unstable();
                    *self = PortSet::Sorted(Box::new(list));
                }
                true
            }
            PortSet::Sorted(list) => {
                let Err(at) = list.binary_search(&port) else { return false };
                if list.len() < SORTED_MAX {
                    list.insert(at, port);
                } else {
                    let mut bitmap = Bitmap { words: [0; 1_024], len: 0 };
                    for port in list.iter().chain([&port]) {
                        bitmap.insert(*port);
                    }
                    *self = PortSet::Bitmap(Box::new(bitmap));
                }
                true
            }
            PortSet::Bitmap(bitmap) => bitmap.insert(port),
        }
    }

    /// Asks for the line where a port would stand.
    #[inline]
    pub(crate) fn prefetch(&self, port: u16) {
        if let PortSet::Bitmap(bitmap) = self {
            prefetch::ahead(&bitmap.words, usize::from(port >> 6));
        }
    }

    /// Whether the port is there.
    #[cfg(test)]
    pub(crate) fn contains(&self, port: u16) -> bool {
        match self {
            PortSet::Inline(len, ports) => ports[..*len as usize].contains(&port),
            PortSet::Sorted(list) => list.binary_search(&port).is_ok(),
            PortSet::Bitmap(bitmap) => bitmap.words[usize::from(port >> 6)] >> (port & 63) & 1 == 1,
        }
    }

    /// Number of distinct ports.
    pub(crate) fn len(&self) -> u64 {
        match self {
            PortSet::Inline(len, _) => u64::from(*len),
            PortSet::Sorted(list) => list.len() as u64,
            PortSet::Bitmap(bitmap) => u64::from(bitmap.len),
        }
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> u64 {
        match self {
            PortSet::Inline(..) => 0,
            PortSet::Sorted(list) => (24 + list.capacity() * 2) as u64,
            PortSet::Bitmap(_) => size_of::<Bitmap>() as u64,
        }
    }
}

impl Bitmap {
    fn insert(&mut self, port: u16) -> bool {
        let (word, bit) = (&mut self.words[usize::from(port >> 6)], 1u64 << (port & 63));
        let fresh = *word & bit == 0;
        *word |= bit;
        self.len += u32::from(fresh);
        fresh
    }
}

/// Counts by port for the first few ports that come; the others are left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct PortCounter(std::collections::BTreeMap<u16, u64>);

/// Ports that a [`PortCounter`] tells apart.
const PORTS_COUNTED: usize = 32;

impl PortCounter {
    #[inline]
    pub(crate) fn add(&mut self, port: u16, packets: u64) {
        let full = self.0.len() >= PORTS_COUNTED;
        match self.0.entry(port) {
            std::collections::btree_map::Entry::Occupied(mut entry) => *entry.get_mut() += packets,
            std::collections::btree_map::Entry::Vacant(_) if full => {}
            std::collections::btree_map::Entry::Vacant(entry) => _ = entry.insert(packets),
        }
    }

    pub(crate) fn merge(&mut self, other: &PortCounter) {
        for (port, packets) in &other.0 {
            self.add(*port, *packets);
        }
    }

    /// Ports by count, commonest first, then by number.
    pub(crate) fn ranked(&self) -> Vec<u16> {
        let mut ports: Vec<(u16, u64)> = self.0.iter().map(|(port, packets)| (*port, *packets)).collect();
        ports.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        ports.into_iter().map(|(port, _)| port).collect()
    }

    pub(crate) fn heap_bytes(&self) -> u64 {
        self.0.len() as u64 * 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn addresses_count_like_a_plain_set(keys in proptest::collection::vec(prop_oneof![0u32..40_000, any::<u32>()], 0..6_000)) {
            let (mut set, mut plain) = (AddrSet::default(), HashSet::new());
            for key in keys {
                prop_assert_eq!(set.insert_key(key), plain.insert(key));
            }
            prop_assert_eq!(set.len(), plain.len() as u64);
        }

        #[test]
        fn ports_count_like_a_plain_set(ports in proptest::collection::vec(any::<u16>(), 0..2_000)) {
            let (mut set, mut plain) = (PortSet::default(), HashSet::new());
            for port in ports {
                prop_assert_eq!(set.insert(port), plain.insert(port));
            }
            prop_assert_eq!(set.len(), plain.len() as u64);
            prop_assert!(plain.iter().all(|port| set.contains(*port)));
        }
    }

    #[test]
    fn one_prefix_fills_without_clustering() {
        let mut set = AddrSet::default();
        for host in 0..65_536u32 {
            assert!(set.insert_key(0xc612_0000 | host));
        }
        assert_eq!(set.len(), 65_536);
        assert!(set.heap_bytes() < 40_000, "{}", set.heap_bytes());
    }
}
