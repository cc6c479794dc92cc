//! Probes of one source at one port: the unit that scans are made of.
//!
//! After the darknet events of Merit (Durumeric, Bailey, Halderman, USENIX Security 2014, and their published
//! aggregator): packets of one source, port and type belong together until a gap.

use crate::ddos::vectors;
use crate::set::AddrSet;
use crate::shard::{Kept, Sent, unpacked};
use noroshi_model::finding::Position;
use noroshi_model::packet::{Has, Packet, ToolBits, Transport, tcp};
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos};

/// What kind of packet probes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub(crate) enum ProbeType {
    /// SYN without ACK.
    Syn,
    /// FIN, NULL, XMAS and other combinations that open nothing.
    OddTcp,
    /// Bare ACK without payload.
    Ack,
    /// TCP with payload or within a connection.
    Data,
    /// UDP that asks.
    Udp,
    /// ICMP echo, timestamp, information and address mask requests.
    Icmp,
    /// ICMPv6 echo request.
    Icmpv6,
}

impl ProbeType {
    /// The type of a packet; none for answers and for what neither asks nor carries.
    #[inline]
    pub(crate) fn of(row: &Packet) -> Option<Self> {
        if !row.has.has(Has::IP) || row.has.has(Has::LATER_FRAGMENT) || to_everyone(row.dst) {
            return None;
        }
        match row.transport {
            Transport::Tcp if row.has.has(Has::TCP) => Some(Self::of_tcp(row)),
            Transport::Udp if row.has.has(Has::PORTS) && !replies(row) => Some(ProbeType::Udp),
            Transport::Icmp if matches!(row.icmp_type, 8 | 13 | 15 | 17) => Some(ProbeType::Icmp),
            Transport::Icmpv6 if row.icmp_type == 128 => Some(ProbeType::Icmpv6),
            _ => None,
        }
    }

    #[inline]
    fn of_tcp(row: &Packet) -> Self {
        let flags = row.tcp_flags & (tcp::SYN | tcp::ACK | tcp::FIN | tcp::RST | tcp::PSH | tcp::URG);
        if flags == tcp::SYN {
            ProbeType::Syn
        } else if row.payload_len > 0 || flags & (tcp::ACK | tcp::FIN) == tcp::ACK | tcp::FIN {
            ProbeType::Data
        } else if flags == tcp::ACK {
            ProbeType::Ack
        } else {
            ProbeType::OddTcp
        }
    }

    /// Whether a scan can be made of such packets.
    pub(crate) fn can_scan(self) -> bool {
        !matches!(self, ProbeType::Data | ProbeType::Ack)
    }
}

/// Multicast groups and the limited broadcast: whoever speaks to them calls its neighbours, as routers and printers do.
#[inline]
fn to_everyone(dst: Addr) -> bool {
    match dst.as_v4() {
        Some(v4) => v4 >> 28 == 0xe || v4 == u32::MAX,
        None => dst.0 >> 120 == 0xff,
    }
}

/// UDP from a service port to a client port answers.
#[inline]
fn replies(row: &Packet) -> bool {
    let service = row.sport < 1_024 || vectors::amplifier(row.sport).is_some();
    service && row.dport >= 1_024 && vectors::amplifier(row.dport).is_none()
}

/// Source, type and port packed into [`ProbeKey::BITS`] bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct ProbeKey(pub(crate) u64);

impl ProbeKey {
    /// 32 of source, 16 of port, 3 of type.
    pub(crate) const BITS: u32 = 51;

    #[inline]
    pub(crate) fn new(source: u32, kind: ProbeType, port: u16) -> Self {
        ProbeKey(u64::from(source) << 19 | u64::from(port) << 3 | kind as u64)
    }

    /// Index of the source in its shard.
    pub(crate) fn source(self) -> u32 {
        (self.0 >> 19) as u32
    }

    pub(crate) fn port(self) -> u16 {
        (self.0 >> 3) as u16
    }

    pub(crate) fn kind(self) -> ProbeType {
        match self.0 & 7 {
            0 => ProbeType::Syn,
            1 => ProbeType::OddTcp,
            2 => ProbeType::Ack,
            3 => ProbeType::Data,
            4 => ProbeType::Udp,
            5 => ProbeType::Icmp,
            _ => ProbeType::Icmpv6,
        }
    }
}

/// Destinations that are kept by name, to ask later whether they answered.
const SAMPLES_MAX: usize = 8;
/// Packets from which on the longer account is kept.
const LONG_FROM: u32 = 4;

/// Probes of one source at one port, so far. When the last of them came is kept beside it ([`super::probes`]).
/// One cache line.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(crate) struct Probe {
    pub(crate) first: Nanos,
    pub(crate) bytes: u64,
    pub(crate) position: u64,
    pub(crate) destinations: AddrSet,
    pub(crate) packets: u32,
    /// Fingerprints that every packet satisfied.
    pub(crate) consistent: ToolBits,
    pub(crate) long: Option<Box<Long>>,
}

const _: () = assert!(size_of::<Probe>() == 64);

/// Some of the destinations, all of the family of their source. IPv4 ones stand inside: on the heap they would cost a trip
/// to the allocator and twice the memory for every run of a few packets.
#[derive(Clone, Debug)]
pub(crate) enum FewAddrs {
    V4(u8, [u32; SAMPLES_MAX]),
    V6(Vec<Addr>),
}

impl Default for FewAddrs {
    fn default() -> Self {
        FewAddrs::V4(0, [0; SAMPLES_MAX])
    }
}

impl FewAddrs {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self {
            FewAddrs::V4(len, _) => usize::from(*len),
            FewAddrs::V6(addrs) => addrs.len(),
        }
    }

    /// Keeps an address while there is room.
    #[inline]
    fn push<A: Kept>(&mut self, addr: A) {
        match (&mut *self, addr.v4()) {
            (FewAddrs::V4(len, addrs), Some(bits)) if usize::from(*len) < SAMPLES_MAX => {
                addrs[usize::from(*len)] = bits;
                *len += 1;
            }
            (FewAddrs::V4(0, _), None) => *self = FewAddrs::V6(vec![addr.addr()]),
            (FewAddrs::V6(addrs), _) if addrs.len() < SAMPLES_MAX => addrs.push(addr.addr()),
            _ => {}
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            FewAddrs::V4(..) => 0,
            FewAddrs::V6(addrs) => addrs.capacity() * size_of::<Addr>(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Addr> + '_ {
        let (v4, v6) = match self {
            FewAddrs::V4(len, addrs) => (&addrs[..usize::from(*len)], &[][..]),
            FewAddrs::V6(addrs) => (&[][..], addrs.as_slice()),
        };
        v4.iter().map(|bits| Addr::v4(*bits)).chain(v6.iter().copied())
    }
}

/// What is kept once a probe has become more than a handful of packets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Long {
    pub(crate) samples: FewAddrs,
    second: i64,
    in_second: u32,
    pub(crate) peak_pps: u32,
    pub(crate) evidence: Vec<Position>,
}

impl Probe {
    #[inline]
    pub(crate) fn add<A: Kept>(&mut self, row: &Sent<A>) {
        self.first = self.first.min(row.ts);
        self.packets = self.packets.saturating_add(1);
        self.consistent = ToolBits(self.consistent.0 & row.tool_bits.0);
        self.bytes += u64::from(row.wire_len);
        let fresh = self.destinations.insert_key(row.dst.key());
        if self.packets >= LONG_FROM {
            self.long.get_or_insert_default().add(row, fresh, self.packets);
        }
    }

    /// First packet and a few later ones.
    pub(crate) fn evidence(&self) -> Vec<Position> {
        let first = unpacked(self.position);
        let later = self.long.as_ref().map_or(&[][..], |long| &long.evidence);
        [first].into_iter().chain(later.iter().copied()).collect()
    }

    /// Largest number of packets in one second.
    pub(crate) fn peak_pps(&self) -> u32 {
        self.long.as_ref().map_or(1, |long| long.peak_pps)
    }

    pub(crate) fn heap_bytes(&self) -> u64 {
        self.destinations.heap_bytes()
            + self.long.as_ref().map_or(0, |long| (size_of::<Long>() + long.samples.heap_bytes()) as u64)
    }
}

impl Long {
    #[inline]
    fn add<A: Kept>(&mut self, row: &Sent<A>, fresh: bool, packets: u32) {
        if fresh || self.samples.len() == 0 {
            self.samples.push(row.dst);
        }
        let second = row.ts.0.div_euclid(SECOND);
        if second == self.second {
            self.in_second += 1;
        } else {
            (self.second, self.in_second) = (second, 1);
        }
        self.peak_pps = self.peak_pps.max(self.in_second);
        if matches!(packets, 10 | 100 | 1_000 | 10_000) {
            self.evidence.push(unpacked(row.position));
        }
    }
}
