//! Which addresses a world uses: the monitored space that packets go to, and the sources they come from.
//!
//! Destinations are the scenario's monitored prefixes. Sources are a keyed order over the public IPv4 space (each
//! number a different address, so no two planted things share a source by accident) or hashes in routed-looking IPv6
//! space. They say nothing about real hosts, and nothing is ever sent.

use crate::rng::{Permutation, mix, mix2};
use noroshi_model::{Addr, Prefix};

/// Subnets used of a long IPv6 prefix, and hosts in each: scanners of IPv6 try low numbers in known subnets.
const V6_SUBNET_BITS: u32 = 8;
const V6_HOSTS: u64 = 256;

/// The monitored space, counted through as one range per family.
#[derive(Clone, Debug)]
pub struct Space {
    v4: Vec<(u32, u64)>,
    v6: Vec<(Prefix, u64)>,
    v4_size: u64,
    v6_size: u64,
}

impl Space {
    /// From the monitored prefixes, which do not overlap.
    pub fn new(prefixes: &[Prefix]) -> Self {
        let mut space = Space { v4: Vec::new(), v6: Vec::new(), v4_size: 0, v6_size: 0 };
        for prefix in prefixes {
            match prefix.first().as_v4() {
                Some(first) => {
                    space.v4_size += prefix.size() as u64;
                    space.v4.push((first, space.v4_size));
                }
                None => {
                    let subnet_bits = V6_SUBNET_BITS.min(64 - u32::from(prefix.length()).min(64));
                    space.v6_size += V6_HOSTS << subnet_bits;
                    space.v6.push((*prefix, space.v6_size));
                }
            }
        }
        space
    }

    /// Number of targets of a family.
    #[inline]
    pub fn size(&self, v6: bool) -> u64 {
        if v6 { self.v6_size } else { self.v4_size }
    }

    /// The target at an index below [`Space::size`].
    #[inline]
    pub fn target(&self, v6: bool, index: u64) -> Addr {
        if v6 {
            let at = self.v6.partition_point(|(_, end)| *end <= index).min(self.v6.len() - 1);
            let index = index - if at == 0 { 0 } else { self.v6[at - 1].1 };
            let (subnet, host) = (u128::from(index / V6_HOSTS), u128::from(index % V6_HOSTS) + 1);
            Addr(self.v6[at].0.first().0 | subnet << 64 | host)
        } else {
            let mut start = 0;
            for (first, end) in &self.v4 {
                if index < *end {
                    return Addr::v4(first + (index - start) as u32);
                }
                start = *end;
            }
            Addr::v4(self.v4[0].0)
        }
    }
}

/// Addresses of sources and victims.
#[derive(Clone, Debug)]
pub struct Sources {
    order: Permutation,
    taken: Vec<Prefix>,
    networks: Permutation,
    networks_first_octet: u32,
    blocks_first_octet: u32,
    key: u64,
}

/// Numbers of scattered sources start here, inside 64.0.0.0/3, which is public: a walk that starts at a usable address
/// and stops at the next usable one never meets another walk's end. (Who monitors a part of that block may, rarely, get
/// two sources with one address.)
const SCATTERED_FIRST: u64 = 0x4000_0000;
/// First octets that may be set apart, the first four for networks, the others for blocks under carpet bombing; all outside 64.0.0.0/3, public throughout.
const NETWORK_OCTETS: [u32; 8] = [37, 41, 45, 46, 130, 141, 151, 163];

impl Sources {
    /// Of one seed; `taken` are prefixes that no source comes from (monitored, members).
    pub fn new(seed: u64, taken: &[Prefix]) -> Self {
        let key = mix2(seed, 0x50);
        Sources {
            order: Permutation::new(1 << 32, key),
            taken: taken.to_vec(),
            networks: Permutation::new(1 << 16, key ^ 1),
            networks_first_octet: NETWORK_OCTETS[(key % 4) as usize],
            blocks_first_octet: NETWORK_OCTETS[(4 + key / 4 % 4) as usize],
            key,
        }
    }

    /// The scattered address with a number below 2^29; different numbers give different addresses.
    #[inline]
    pub fn scattered(&self, v6: bool, number: u64) -> Addr {
        if v6 {
            return self.scattered_v6(number);
        }
        // First and last of a /24 are not used, neither as starts nor as ends.
        let mut place = SCATTERED_FIRST + (number / 254 * 256 + 1 + number % 254);
        loop {
            place = self.order.at(place);
            let bits = place as u32;
            let first_octet = bits >> 24;
            let apart = first_octet == self.networks_first_octet || first_octet == self.blocks_first_octet;
            if !apart && is_public(bits) && !self.is_taken(Addr::v4(bits)) {
                return Addr::v4(bits);
            }
        }
    }

    fn scattered_v6(&self, number: u64) -> Addr {
        // Blocks of the registries that hold most of the routed space (IANA IPv6 global unicast assignments).
        const BLOCKS: [u128; 6] = [0x2400, 0x2600, 0x2804, 0x2a01, 0x2a02, 0x2c0f];
        let high = mix2(self.key, number);
        let network = u128::from(high >> 16 & 0xffff_ffff);
        let block = BLOCKS[(high % 6) as usize];
        Addr(block << 112 | network << 80 | u128::from(high & 0xffff) << 64 | u128::from(mix(high)))
    }

    /// Host `host` of the network with a number below 65,536: a /24, or a /64 of IPv6.
    #[inline]
    pub fn in_network(&self, v6: bool, network: u32, host: u64) -> Addr {
        if v6 {
            let Addr(address) = self.scattered_v6(1 << 40 | u64::from(network));
            return Addr(address >> 64 << 64 | u128::from(host + 1));
        }
        let network = self.networks.at(u64::from(network)) as u32;
        Addr::v4(self.networks_first_octet << 24 | network << 8 | (1 + host % 254) as u32)
    }

    /// Block with a number below 16,384 that carpets fall on, cut to a length of 22 to 24.
    pub fn block(&self, number: u32, length: u8) -> Prefix {
        let scattered = number.wrapping_mul(0x2545) & 0x3fff;
        Prefix::new(Addr::v4(self.blocks_first_octet << 24 | scattered << 10), length.clamp(22, 24))
    }

    #[inline]
    fn is_taken(&self, addr: Addr) -> bool {
        self.taken.iter().any(|prefix| prefix.contains(addr))
    }
}

/// Neither reserved (IANA IPv4 special-purpose registry, RFC 6890) nor multicast, and not the first or last of a /24:
/// analysers discard those as forged.
#[inline]
pub fn is_public(bits: u32) -> bool {
    let [a, b, c, d] = bits.to_be_bytes();
    let reserved = match a {
        0 | 10 | 127 | 224..=255 => true,
        100 => b & 0xc0 == 64,
        169 => b == 254,
        172 => b & 0xf0 == 16,
        192 => b == 168 || b == 0 || (b == 88 && c == 99),
        198 => b & 0xfe == 18 || (b == 51 && c == 100),
        203 => b == 0 && c == 113,
        _ => false,
    };
    !reserved && d != 0 && d != 255
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn targets_cover_the_monitored_space() {
        let space = Space::new(&["192.0.2.0/30".parse().unwrap(), "2001:db8::/64".parse().unwrap()]);
        assert_eq!((space.size(false), space.size(true)), (4, 256));
        assert_eq!(space.target(false, 3).to_string(), "192.0.2.3");
        assert_eq!(space.target(true, 0).to_string(), "2001:db8::1");
        assert_eq!(space.target(true, 255).to_string(), "2001:db8::100");
        let wide = Space::new(&["2001:db8::/32".parse().unwrap(), "2001:db8:1::/48".parse().unwrap()]);
        assert_eq!(wide.target(true, 65_536).to_string(), "2001:db8:1::1");
        assert_eq!(wide.target(true, 257).to_string(), "2001:db8:0:1::2");
    }

    #[test]
    fn sources_are_public_and_distinct() {
        let taken: Vec<Prefix> = vec!["20.0.0.0/8".parse().unwrap()];
        let sources = Sources::new(7, &taken);
        let mut seen = HashSet::new();
        for number in 0..200_000 {
            let addr = sources.scattered(false, number);
            assert!(is_public(addr.as_v4().unwrap()) && !taken[0].contains(addr), "{addr}");
            assert!(seen.insert(addr), "{addr} twice");
        }
        for network in 0..100 {
            let addr = sources.in_network(false, network, 5);
            assert!(is_public(addr.as_v4().unwrap()) && seen.insert(addr), "{addr}");
        }
        assert!(!sources.scattered(true, 1).is_v4());
    }
}
