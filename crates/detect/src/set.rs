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
    /// Open addressing with linear probing: some slots, and one more. Zero marks a free slot, so the key zero
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

/// Where the search for a key begins in a table of so many slots, which need be no power of two.
#[inline]
fn home(key: u32, slots: usize) -> usize {
    (mix(key) * slots) >> 32
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
    let mut at = home(key, last);
    loop {
        match slots[at] {
            0 => break,
            other if other == key => return false,
            _ => at = after(at, last),
        }
    }
    slots[at] = key;
    true
}

/// The slot after one, the first after the last.
#[inline]
fn after(at: usize, slots: usize) -> usize {
    if at + 1 == slots { 0 } else { at + 1 }
}

fn table_keys(slots: &[u32]) -> impl Iterator<Item = u32> + '_ {
    let (zero, keys) = slots.split_last().expect("never empty");
    keys.iter().copied().filter(|key| *key != 0).chain((*zero != 0).then_some(0))
}

/// Slots from which on tables grow by less than double.
const STEPS_FROM: usize = 64;

/// The same keys in the next larger table. Large ones get a half more slots and a third more in turn: they are fuller than if
/// they doubled, and most of what sets hold is in them.
fn table_grown(slots: &[u32]) -> Box<[u32]> {
    let (zero, keys) = slots.split_last().expect("never empty");
    let many = match keys.len() {
        few if few < STEPS_FROM => few * 2,
        two if two.is_power_of_two() => two / 2 * 3,
        three => three / 3 * 4,
    };
    let mut larger = table_of(many);
    for key in keys.iter().filter(|key| **key != 0) {
        // All are different: each takes the first free slot of its search.
        let mut at = home(*key, many);
        while larger[at] != 0 {
            at = after(at, many);
        }
        larger[at] = *key;
    }
    larger[many] = *zero;
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

    fn keys(&self) -> Vec<u32> {
        let taken = self.nets.iter().zip(&self.maps).filter(|(net, _)| **net != 0);
        let hosts = |map: &[u64; 4]| {
            let map = *map;
            (0..256u32).filter(move |host| map[*host as usize / 64] & 1 << (host % 64) != 0)
        };
        taken.flat_map(|(net, map)| hosts(map).map(move |host| (net - 1) << 8 | host)).collect()
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
            prefetch::ahead(slots, home(key, slots.len() - 1));
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

    /// The keys, in no particular order.
    pub(crate) fn keys(&self) -> Vec<u32> {
        match self {
            AddrSet::Inline(len, keys) => keys[..usize::from(*len)].to_vec(),
            AddrSet::Table { slots, .. } => table_keys(slots).collect(),
            AddrSet::Networks(networks) => networks.keys(),
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

/// Distinct ports: six inside, then a hash table of one cache line, of eight, of sixty-four, then a bitmap. A sorted
/// list in their place cost every packet of a source with many ports a search that no branch predictor can follow: a
/// twentieth of the whole run on a day of ten million packets.
#[derive(Clone, Debug)]
pub(crate) enum PortSet {
    Inline(u8, [u16; PORTS_INLINE]),
    Small(PortCount, Box<PortTable<32>>),
    Medium(PortCount, Box<PortTable<256>>),
    Large(PortCount, Box<PortTable<2_048>>),
    Bitmap(Box<Bitmap>),
}

const PORTS_INLINE: usize = 6;
const _: () = assert!(size_of::<PortSet>() == 16);

/// A hash table of ports with linear probing. Zero marks a free slot; port zero itself is noted in the count. Not aligned:
/// allocators serve aligned requests from larger ones, and what they cut off lies about in pieces.
#[derive(Clone, Debug)]
pub(crate) struct PortTable<const SLOTS: usize>([u16; SLOTS]);

/// How many ports a table holds; the highest bit says that port zero is one of them.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct PortCount(u16);

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

impl PortCount {
    const ZERO: u16 = 1 << 15;

    #[inline]
    fn len(self) -> usize {
        usize::from(self.0 & !Self::ZERO) + usize::from(self.0 & Self::ZERO != 0)
    }
}

impl<const SLOTS: usize> PortTable<SLOTS> {
    /// A table of some ports, all different.
    #[cold]
    fn of(ports: impl Iterator<Item = u16>) -> (PortCount, Box<Self>) {
        let (mut count, mut table) = (PortCount::default(), Box::new(PortTable([0; SLOTS])));
        ports.for_each(|port| _ = table.insert(&mut count, port));
        (count, table)
    }

    /// Where the search for a port begins: the high bits of a product, as neighbouring ports come together.
    #[inline]
    fn home(port: u16) -> usize {
        usize::from(port.wrapping_mul(0x9e37) >> (16 - SLOTS.trailing_zeros()))
    }

    #[inline]
    fn insert(&mut self, count: &mut PortCount, port: u16) -> bool {
        if port == 0 {
            let fresh = count.0 & PortCount::ZERO == 0;
            count.0 |= PortCount::ZERO;
            return fresh;
        }
        let mut at = Self::home(port);
        loop {
            match self.0[at % SLOTS] {
                0 => break,
                other if other == port => return false,
                _ => at += 1,
            }
        }
        self.0[at % SLOTS] = port;
        count.0 += 1;
        true
    }

    /// Whether three slots in four are taken.
    #[inline]
    fn is_full(count: PortCount) -> bool {
        count.len() * 4 >= SLOTS * 3
    }

    fn ports(&self, count: PortCount) -> impl Iterator<Item = u16> + '_ {
        let zero = (count.0 & PortCount::ZERO != 0).then_some(0);
        self.0.iter().copied().filter(|port| *port != 0).chain(zero)
    }

    #[inline]
    fn prefetch(&self, port: u16) {
        prefetch::ahead(&self.0, Self::home(port));
    }
}

impl PortSet {
    /// True when the port was not there.
    #[inline]
    pub(crate) fn insert(&mut self, port: u16) -> bool {
        match self {
            PortSet::Inline(len, ports) => {
                let used = usize::from(*len);
                if ports[..used].contains(&port) {
                    return false;
                }
                if used < PORTS_INLINE {
                    ports[used] = port;
                    *len += 1;
                } else {
                    let (count, table) = PortTable::of(ports.iter().copied().chain([port]));
                    *self = PortSet::Small(count, table);
                }
                true
            }
            PortSet::Small(count, table) => {
                let fresh = table.insert(count, port);
                if fresh && PortTable::<32>::is_full(*count) {
                    let (count, table) = PortTable::of(table.ports(*count));
                    *self = PortSet::Medium(count, table);
                }
                fresh
            }
            PortSet::Medium(count, table) => {
                let fresh = table.insert(count, port);
                if fresh && PortTable::<256>::is_full(*count) {
                    let (count, table) = PortTable::of(table.ports(*count));
                    *self = PortSet::Large(count, table);
                }
                fresh
            }
            PortSet::Large(count, table) => {
                let fresh = table.insert(count, port);
                if fresh && PortTable::<2_048>::is_full(*count) {
                    *self = PortSet::Bitmap(Box::new(Bitmap::of(table.ports(*count))));
                }
                fresh
            }
            PortSet::Bitmap(bitmap) => bitmap.insert(port),
        }
    }

    /// Asks for the line where a port would stand.
    #[inline]
    pub(crate) fn prefetch(&self, port: u16) {
        match self {
            PortSet::Inline(..) => {}
            PortSet::Small(_, table) => table.prefetch(port),
            PortSet::Medium(_, table) => table.prefetch(port),
            PortSet::Large(_, table) => table.prefetch(port),
            PortSet::Bitmap(bitmap) => prefetch::ahead(&bitmap.words, usize::from(port >> 6)),
        }
    }

    /// Number of distinct ports.
    #[inline]
    pub(crate) fn len(&self) -> u64 {
        match self {
            PortSet::Inline(len, _) => u64::from(*len),
            PortSet::Small(count, _) | PortSet::Medium(count, _) | PortSet::Large(count, _) => count.len() as u64,
            PortSet::Bitmap(bitmap) => u64::from(bitmap.len),
        }
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> u64 {
        let bytes = match self {
            PortSet::Inline(..) => 0,
            PortSet::Small(..) => size_of::<PortTable<32>>(),
            PortSet::Medium(..) => size_of::<PortTable<256>>(),
            PortSet::Large(..) => size_of::<PortTable<2_048>>(),
            PortSet::Bitmap(_) => size_of::<Bitmap>(),
        };
        bytes as u64
    }
}

impl Bitmap {
    #[cold]
    fn of(ports: impl Iterator<Item = u16>) -> Self {
        let mut bitmap = Bitmap { words: [0; 1_024], len: 0 };
        ports.for_each(|port| _ = bitmap.insert(port));
        bitmap
    }

    #[inline]
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
pub(crate) struct PortCounter(Vec<(u16, u64)>);

/// Ports that a [`PortCounter`] tells apart.
const PORTS_COUNTED: usize = 32;

impl PortCounter {
    #[inline]
    pub(crate) fn add(&mut self, port: u16, packets: u64) {
        match self.0.iter().position(|(known, _)| *known == port) {
            Some(at) => self.0[at].1 += packets,
            None if self.0.len() < PORTS_COUNTED => self.0.push((port, packets)),
            None => {}
        }
    }

    pub(crate) fn merge(&mut self, other: &PortCounter) {
        let mut ports = other.0.clone();
        // Which ports are left out must not depend on the order of packets across shards.
        ports.sort_unstable();
        ports.into_iter().for_each(|(port, packets)| self.add(port, packets));
    }

    /// Ports by count, commonest first, then by number.
    pub(crate) fn ranked(&self) -> Vec<u16> {
        let mut ports = self.0.clone();
        ports.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        ports.into_iter().map(|(port, _)| port).collect()
    }

    pub(crate) fn heap_bytes(&self) -> u64 {
        (self.0.capacity() * size_of::<(u16, u64)>()) as u64
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
            let keys = set.keys();
            prop_assert_eq!(keys.len(), plain.len());
            prop_assert!(keys.iter().all(|key| plain.contains(key)));
        }

        #[test]
        fn ports_count_like_a_plain_set(
            ports in proptest::collection::vec(prop_oneof![0u16..600, any::<u16>()], 0..6_000),
        ) {
            let (mut set, mut plain) = (PortSet::default(), HashSet::new());
            for port in ports {
                prop_assert_eq!(set.insert(port), plain.insert(port));
            }
            prop_assert_eq!(set.len(), plain.len() as u64);
            prop_assert!(plain.iter().all(|port| !set.insert(*port)));
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
