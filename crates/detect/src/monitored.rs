//! Which addresses are monitored, when nobody says.
//!
//! A monitored (dark) address receives and never sends. Where such addresses take most packets, they are the monitored
//! space; otherwise the capture shows conversations, and its private addresses stand for "ours".

use noroshi_model::{Addr, Prefix};
use std::collections::{BTreeMap, BTreeSet};

/// Addresses of a /24 that must have been seen for the whole of it to count as monitored.
const HOSTS_OF_NETWORK_MIN: usize = 16;
/// Share of packets that must go to silent addresses for those to be the monitored space.
const SILENT_SHARE_MIN: f64 = 0.5;
/// Prefixes that are listed, at most; the ones with most addresses are kept.
const PREFIXES_MAX: usize = 1_024;

/// What is known of one destination.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Destination {
    pub(crate) addr: Addr,
    pub(crate) packets: u64,
    pub(crate) sends: bool,
}

/// The monitored space, as few prefixes as possible.
pub(crate) fn infer(destinations: impl Iterator<Item = Destination>) -> Vec<Prefix> {
    let unicast: Vec<Destination> = destinations.filter(|destination| is_unicast(destination.addr)).collect();
    let packets =
        |keep: &dyn Fn(&Destination) -> bool| unicast.iter().filter(|d| keep(d)).map(|d| d.packets).sum::<u64>();
    let (all, silent) = (packets(&|_| true), packets(&|d| !d.sends));
    let chosen: Vec<Addr> = if silent as f64 >= all as f64 * SILENT_SHARE_MIN && silent > 0 {
        unicast.iter().filter(|d| !d.sends).map(|d| d.addr).collect()
    } else if unicast.iter().any(|d| is_private(d.addr)) {
        unicast.iter().filter(|d| is_private(d.addr)).map(|d| d.addr).collect()
    } else {
        unicast.iter().max_by_key(|d| (d.packets, std::cmp::Reverse(d.addr))).map(|d| d.addr).into_iter().collect()
    };
    cover(&chosen)
}

/// Number of addresses that thresholds scale with: the size of IPv4 prefixes; IPv6 prefixes count as what was seen of
/// them, since no one monitors a whole /64.
pub(crate) fn size(prefixes: &[Prefix], destinations_seen: u64) -> u64 {
    let v4: u128 = prefixes.iter().filter(|prefix| prefix.first().is_v4()).map(|prefix| prefix.size()).sum();
    if v4 > 0 { v4.min(1 << 32) as u64 } else { destinations_seen.max(1) }
}

fn cover(addrs: &[Addr]) -> Vec<Prefix> {
    let mut networks: BTreeMap<Prefix, Vec<Addr>> = BTreeMap::new();
    for addr in addrs {
        let network = if addr.is_v4() { addr.network() } else { Prefix::new(*addr, 64) };
        networks.entry(network).or_default().push(*addr);
    }
    let mut prefixes = BTreeSet::new();
    for (network, hosts) in networks {
        if hosts.len() >= HOSTS_OF_NETWORK_MIN {
            prefixes.insert(network);
        } else {
            prefixes.extend(hosts.into_iter().map(|host| Prefix::new(host, if host.is_v4() { 32 } else { 128 })));
        }
    }
    let mut merged = merge(prefixes);
    if merged.len() > PREFIXES_MAX {
        merged.sort_by_key(|prefix| (prefix.mapped_length(), *prefix));
        merged.truncate(PREFIXES_MAX);
    }
    merged.sort();
    merged
}

/// Joins neighbours until none is left to join.
fn merge(mut prefixes: BTreeSet<Prefix>) -> Vec<Prefix> {
    let mut work: Vec<Prefix> = prefixes.iter().copied().collect();
    while let Some(prefix) = work.pop() {
        if !prefixes.contains(&prefix) || prefix.length() == 0 {
            continue;
        }
        let parent = Prefix::new(prefix.first(), prefix.length() - 1);
        let sibling = if parent.first() == prefix.first() {
            Prefix::new(Addr(prefix.last().0.wrapping_add(1)), prefix.length())
        } else {
            Prefix::new(parent.first(), prefix.length())
        };
        if sibling.length() == prefix.length() && prefixes.contains(&sibling) {
            prefixes.remove(&prefix);
            prefixes.remove(&sibling);
            prefixes.insert(parent);
            work.push(parent);
        }
    }
    prefixes.into_iter().collect()
}

/// Neither group nor broadcast, neither loopback nor unspecified. The last address of a private /24 is taken for a
/// broadcast address.
pub(crate) fn is_unicast(addr: Addr) -> bool {
    match addr.as_v4() {
        Some(v4) => !(matches!(v4 >> 24, 0 | 127 | 224..=255) || is_private(addr) && v4 & 255 == 255),
        None => addr.0 > 1 && addr.0 >> 120 != 0xff,
    }
}

/// RFC 1918, RFC 6598, link-local, and unique local IPv6 addresses.
pub(crate) fn is_private(addr: Addr) -> bool {
    match addr.as_v4() {
        Some(v4) => {
            v4 >> 24 == 10 || v4 >> 20 == 0xac1 || v4 >> 16 == 0xc0a8 || v4 >> 22 == 0x191 || v4 >> 16 == 0xa9fe
        }
        None => addr.0 >> 121 == 0x7e || addr.0 >> 118 == 0x3fa,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(addrs: impl Iterator<Item = u32>, sends: bool) -> Vec<Destination> {
        addrs.map(|bits| Destination { addr: Addr::v4(bits), packets: 1, sends }).collect()
    }

    #[test]
    fn a_darknet_is_found_as_its_prefixes() {
        let mut all = seen(0xc612_0000..0xc613_0000, false);
        all.extend(seen(0xc000_0200..0xc000_0300, false));
        all.extend(seen([0x0808_0808].into_iter(), true));
        let text: Vec<String> = infer(all.into_iter()).iter().map(Prefix::to_string).collect();
        assert_eq!(text, ["192.0.2.0/24", "198.18.0.0/16"]);
    }

    #[test]
    fn a_conversation_gives_its_private_side() {
        let mut all = seen([0xc0a8_0105].into_iter(), true);
        all.extend(seen([0x0808_0808].into_iter(), true));
        assert_eq!(infer(all.into_iter()), ["192.168.1.5/32".parse().unwrap()]);
    }

    #[test]
    fn private_space_is_told() {
        for (text, private) in [
            ("10.1.2.3", true),
            ("172.31.0.1", true),
            ("172.32.0.1", false),
            ("100.64.1.1", true),
            ("fe80::1", true),
            ("fd00::1", true),
            ("2001:db8::1", false),
            ("169.254.9.9", true),
            ("192.168.255.1", true),
        ] {
            assert_eq!(is_private(text.parse().unwrap()), private, "{text}");
        }
    }
}
