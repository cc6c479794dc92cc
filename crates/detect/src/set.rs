//! Sets of addresses that are small where most are small.
//!
//! In a darknet most sources touch a handful of destinations, a few touch all. A set starts inside its owner, grows into
//! an open-addressing table, and from there into bitmaps of /24 networks, which hold a fully scanned /16 in ten
//! kilobytes. Counts are exact for IPv4. An IPv6 address is kept as 32 bits of a keyed hash: among `n` addresses of one
//! set about `n^2 / 2^33` are taken for one another.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use noroshi_model::Addr;
use std::hash::BuildHasher;

const INLINE: usize = 3;
/// Table entries past which bitmaps are smaller when destinations share networks.
const TABLE_MAX: usize = 1_024;

/// Distinct addresses.
#[derive(Clone, Debug)]
pub(crate) enum AddrSet {
    Inline(u8, [u32; INLINE]),
    Table(Box<Table>),
    Networks(Box<Networks>),
}

impl Default for AddrSet {
    fn default() -> Self {
        AddrSet::Inline(0, [0; INLINE])
    }
}

/// Open addressing with linear probing; zero marks a free slot, so zero itself is kept apart.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    slots: Vec<u32>,
    len: usize,
    has_zero: bool,
}

/// Bitmaps by /24.
#[derive(Clone, Debug, Default)]
pub(crate) struct Networks {
    maps: HashMap<u32, [u64; 4], FixedState>,
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

impl Table {
    fn with(keys: &[u32]) -> Self {
        let mut table = Table { slots: vec![0; 8], len: 0, has_zero: false };
        for key in keys {
            table.insert(*key);
        }
        table
    }

    #[inline]
    fn insert(&mut self, key: u32) -> bool {
        if key == 0 {
            let fresh = !self.has_zero;
            self.has_zero = true;
            return fresh;
        }
        let mask = self.slots.len() - 1;
        let mut at = mix(key) & mask;
        loop {
            match self.slots[at] {
                0 => break,
                other if other == key => return false,
                _ => at = (at + 1) & mask,
            }
        }
        self.slots[at] = key;
        self.len += 1;
        if self.len * 4 > self.slots.len() * 3 {
            self.grow();
        }
        true
    }

    fn grow(&mut self) {
        let old = std::mem::take(&mut self.slots);
        self.slots = vec![0; old.len() * 2];
        self.len = 0;
        for key in old.into_iter().filter(|key| *key != 0) {
            self.insert(key);
        }
    }

    fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.slots.iter().copied().filter(|key| *key != 0).chain(self.has_zero.then_some(0))
    }
}

impl Networks {
    #[inline]
    fn insert(&mut self, key: u32) -> bool {
        let map = self.maps.entry(key >> 8).or_insert([0; 4]);
        let (word, bit) = ((key >> 6 & 3) as usize, 1u64 << (key & 63));
        let fresh = map[word] & bit == 0;
        map[word] |= bit;
        self.len += usize::from(fresh);
        fresh
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
                    let mut table = Table::with(&keys[..]);
                    table.insert(key);
                    *self = AddrSet::Table(Box::new(table));
                }
                true
            }
            AddrSet::Table(table) => {
                let fresh = table.insert(key);
                if table.len >= TABLE_MAX && table.len.is_power_of_two() && fresh {
                    self.pack();
                }
                fresh
            }
            AddrSet::Networks(networks) => networks.insert(key),
        }
    }

    /// Reads where a key would stand. Looking at many sets before changing any lets the processor fetch them together;
    /// the value means nothing.
    #[inline]
    pub(crate) fn warm(&self, key: u32) -> u64 {
        match self {
            AddrSet::Inline(..) => 0,
            AddrSet::Table(table) => u64::from(table.slots[mix(key) & (table.slots.len() - 1)]),
            AddrSet::Networks(networks) => networks.maps.get(&(key >> 8)).map_or(0, |map| map[0]),
        }
    }

    /// Turns a table into bitmaps when its addresses share networks enough to gain by it.
    fn pack(&mut self) {
        let AddrSet::Table(table) = self else { return };
        let mut networks = Networks::default();
        for key in table.iter() {
            networks.insert(key);
        }
        if networks.maps.len() * 6 <= networks.len {
            *self = AddrSet::Networks(Box::new(networks));
        }
    }

    /// Number of distinct addresses.
    pub(crate) fn len(&self) -> u64 {
        match self {
            AddrSet::Inline(len, _) => u64::from(*len),
            AddrSet::Table(table) => table.len as u64 + u64::from(table.has_zero),
            AddrSet::Networks(networks) => networks.len as u64,
        }
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> u64 {
        match self {
            AddrSet::Inline(..) => 0,
            AddrSet::Table(table) => (size_of::<Table>() + table.slots.len() * 4) as u64,
            AddrSet::Networks(networks) => (size_of::<Networks>() + networks.maps.capacity() * 41) as u64,
        }
    }
}

/// Distinct ports; four inside, then a sorted list, then a bitmap. The list is boxed to keep the set at sixteen bytes.
#[allow(clippy::box_collection)]
#[derive(Clone, Debug)]
pub(crate) enum PortSet {
    Inline(u8, [u16; 4]),
    Sorted(Box<Vec<u16>>),
    Bitmap(Box<Bitmap>),
}

/// All 65,536 ports as bits.
#[derive(Clone, Debug)]
pub(crate) struct Bitmap {
    words: [u64; 1_024],
    len: u32,
}

impl Default for PortSet {
    fn default() -> Self {
        PortSet::Inline(0, [0; 4])
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
                if used < 4 {
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
