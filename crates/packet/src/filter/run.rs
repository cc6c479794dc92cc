//! Asks a filter's questions of one frame.

use super::{Families, Join, Layer, Operation, Place, Primitive, Relation, Side, Step, Test, Transports, Value};
use crate::capture::LinkType;

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const RARP: u16 = 0x8035;
const IPV6: u16 = 0x86dd;
const MPLS: u16 = 0x8847;
const PPPOE_SESSION: u16 = 0x8864;
const IPX: u16 = 0x8137;
/// Largest type field that is a length: then LLC follows.
const LLC_MAX: u16 = 1_500;
const FRAGMENT_HEADER: u8 = 44;
const AUTHENTICATION_HEADER: u8 = 51;

struct Frame<'a> {
    bytes: &'a [u8],
    wire_len: u32,
    /// Ethertype; none when it was not captured.
    kind: Option<u16>,
    network: usize,
    ethernet: bool,
}

/// `None` when the link type cannot be looked into.
pub(super) fn matches(test: &Test, link: LinkType, bytes: &[u8], wire_len: u32) -> Option<bool> {
    let (kind, network) = network_header(link, bytes)?;
    let frame = Frame { bytes, wire_len, kind, network, ethernet: link == LinkType::ETHERNET };
    // A load beyond the captured bytes ends the program of libpcap with "no".
    Some(frame.test(test).unwrap_or(false))
}

/// Ethertype and place of the network header.
fn network_header(link: LinkType, bytes: &[u8]) -> Option<(Option<u16>, usize)> {
    let two = |at: usize| Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    let by_version = |at: usize| {
        let kind = bytes.get(at).map(|first| match first >> 4 {
            4 => IPV4,
            6 => IPV6,
            _ => 0,
        });
        (kind, at)
    };
    Some(match link {
        LinkType::ETHERNET => (two(12), 14),
        LinkType::LINUX_SLL => (two(14), 16),
        LinkType::LINUX_SLL2 => (two(0), 20),
        LinkType::C_HDLC => (two(2), 4),
        LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD | LinkType::IPV4 | LinkType::IPV6 => by_version(0),
        LinkType::NULL | LinkType::LOOP => by_version(4),
        LinkType::PPP | LinkType::PPP_HDLC => {
            let at = if bytes.starts_with(&[0xff, 3]) { 2 } else { 0 };
            (two(at).map(from_ppp), at + 2)
        }
        LinkType::IEEE802_11 => wlan(bytes, 0),
        LinkType::IEEE802_11_RADIOTAP => {
            let length = bytes.get(2..4).map_or(usize::MAX, |two| usize::from(u16::from_le_bytes([two[0], two[1]])));
            wlan(bytes, length)
        }
        _ => return None,
    })
}

fn from_ppp(protocol: u16) -> u16 {
    match protocol {
        0x21 => IPV4,
        0x57 => IPV6,
        0x281 => MPLS,
        _ => 0,
    }
}

/// Data frames with LLC and SNAP.
fn wlan(bytes: &[u8], at: usize) -> (Option<u16>, usize) {
    let Some(head) = bytes.get(at..).and_then(|rest| rest.first_chunk::<2>()) else { return (None, 0) };
    let (kind, subtype) = (head[0] >> 2 & 3, head[0] >> 4);
    if kind != 2 || subtype & 4 != 0 || head[1] & 0x40 != 0 {
        return (Some(0), at);
    }
    let four = head[1] & 3 == 3;
    let llc = at + 24 + 6 * usize::from(four) + 2 * usize::from(subtype & 8 != 0);
    match bytes.get(llc..).and_then(|rest| rest.first_chunk::<8>()) {
        Some([0xaa, 0xaa, 3, 0, 0, 0, high, low]) => (Some(u16::from_be_bytes([*high, *low])), llc + 8),
        Some(_) => (Some(0), llc),
        None => (None, 0),
    }
}

impl Frame<'_> {
    fn one(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    fn two(&self, at: usize) -> Option<u16> {
        Some(u16::from_be_bytes(*self.bytes.get(at..)?.first_chunk()?))
    }

    fn four(&self, at: usize) -> Option<u32> {
        Some(u32::from_be_bytes(*self.bytes.get(at..)?.first_chunk()?))
    }

    fn sixteen(&self, at: usize) -> Option<u128> {
        Some(u128::from_be_bytes(*self.bytes.get(at..)?.first_chunk()?))
    }

    /// `None` when the answer lies beyond the captured bytes.
    fn test(&self, test: &Test) -> Option<bool> {
        match test {
            Test::Not(inner) => self.test(inner).map(|is| !is),
            Test::Chain(first, later) => {
                let mut is = self.test(first)?;
                for (join, test) in later {
                    if is == (*join == Join::And) {
                        is = self.test(test)?;
                    }
                }
                Some(is)
            }
            Test::Compare(relation, a, b) => {
                if !self.guards(a)? || !self.guards(b)? {
                    return Some(false);
                }
                let (a, b) = (self.value(a)?, self.value(b)?);
                Some(match relation {
                    Relation::Equal => a == b,
                    Relation::NotEqual => a != b,
                    Relation::Less => a < b,
                    Relation::LessOrEqual => a <= b,
                    Relation::Greater => a > b,
                    Relation::GreaterOrEqual => a >= b,
                })
            }
            Test::Packet(place, primitive) => self.primitive(place, primitive),
        }
    }

    /// Ethertype and place behind the headers that the expression has stepped over.
    fn behind(&self, place: &Place) -> Option<(u16, usize)> {
        let (mut kind, mut at) = (self.kind, self.network);
        for step in &place.0 {
            match step {
                Step::Vlan => (kind, at) = (self.two(at + 2), at + 4),
                Step::Pppoe => (kind, at) = (self.two(at + 6).map(from_ppp), at + 8),
                Step::Mpls => {
                    let bottom = self.one(at + 2)? & 1 == 1;
                    at += 4;
                    kind = if bottom {
                        self.one(at).map(|first| match first >> 4 {
                            4 => IPV4,
                            6 => IPV6,
                            _ => 0,
                        })
                    } else {
                        Some(MPLS)
                    };
                }
            }
        }
        Some((kind?, at))
    }

    /// Whether the headers that a value loads from are there.
    fn guards(&self, value: &Value) -> Option<bool> {
        Some(match value {
            Value::Number(_) | Value::Length => true,
            Value::Negative(inner) => self.guards(inner)?,
            Value::Binary(_, a, b) => self.guards(a)? && self.guards(b)?,
            Value::Load { place, layer, at, .. } => self.layer(place, *layer)?.is_some() && self.guards(at)?,
        })
    }

    /// Where a layer begins, if the frame has it.
    fn layer(&self, place: &Place, layer: Layer) -> Option<Option<usize>> {
        if layer == Layer::Link {
            return Some(Some(0));
        }
        let (kind, at) = self.behind(place)?;
        Some(match layer {
            Layer::Link => Some(0),
            Layer::Network(wanted) => (kind == wanted).then_some(at),
            Layer::Over4(protocol) => {
                let first = kind == IPV4 && self.one(at + 9)? == protocol && self.two(at + 6)? & 0x1fff == 0;
                if first { Some(at + self.header_v4(at)?) } else { None }
            }
            Layer::Over6(protocol) => (kind == IPV6 && self.over_v6(at, protocol)?).then_some(at + 40),
        })
    }

    fn header_v4(&self, at: usize) -> Option<usize> {
        Some(usize::from(self.one(at)? & 15) * 4)
    }

    /// As libpcap sees it: the first next header, or the one behind a fragment header.
    fn over_v6(&self, at: usize, protocol: u8) -> Option<bool> {
        let next = self.one(at + 6)?;
        Some(next == protocol || next == FRAGMENT_HEADER && self.one(at + 40)? == protocol)
    }

    fn value(&self, value: &Value) -> Option<u32> {
        Some(match value {
            Value::Number(number) => *number,
            Value::Length => self.wire_len,
            Value::Negative(inner) => self.value(inner)?.wrapping_neg(),
            Value::Binary(operation, a, b) => calculate(*operation, self.value(a)?, self.value(b)?)?,
            Value::Load { place, layer, at, size } => {
                let start = self.layer(place, *layer)??;
                let at = start.checked_add(self.value(at)? as usize)?;
                match size {
                    1 => u32::from(self.one(at)?),
                    2 => u32::from(self.two(at)?),
                    _ => self.four(at)?,
                }
            }
        })
    }

    fn primitive(&self, place: &Place, primitive: &Primitive) -> Option<bool> {
        if let Primitive::Mac(..) | Primitive::EtherMulticast = primitive {
            return if self.ethernet { self.link(primitive) } else { Some(false) };
        }
        let (kind, at) = self.behind(place)?;
        Some(match primitive {
            Primitive::EtherType(wanted @ 0..=LLC_MAX) => kind <= LLC_MAX && u16::from(self.one(at)?) == *wanted,
            Primitive::EtherType(wanted) => kind == *wanted,
            Primitive::Llc => kind <= LLC_MAX && self.two(at)? != 0xffff,
            Primitive::Saps(sap) => kind <= LLC_MAX && self.two(at)? == u16::from_be_bytes([*sap, *sap]),
            Primitive::Ipx => {
                kind == IPX
                    || kind <= LLC_MAX && (self.one(at)? == 0xe0 || self.two(at)? == 0xffff || self.snap(at, 0, IPX)?)
            }
            Primitive::AppleTalk(wanted) => {
                let organisation = if *wanted == 0x809b { 0x08_0007 } else { 0 };
                kind == *wanted || kind <= LLC_MAX && self.snap(at, organisation, *wanted)?
            }
            Primitive::Protocol { number, v4, v6 } => {
                *v4 && kind == IPV4 && self.one(at + 9)? == *number
                    || *v6 && kind == IPV6 && self.over_v6(at, *number)?
            }
            Primitive::Chain { number, v4, v6 } => {
                (*v4 && kind == IPV4 || *v6 && kind == IPV6) && self.chain(kind, at, *number)?
            }
            Primitive::Net4 { address, mask, side, families } => {
                let Some((source, destination)) = addresses_at(kind, *families) else { return Some(false) };
                let fits = |offset: usize| Some(self.four(at + offset)? & mask == *address);
                both_sides(*side, || fits(source), || fits(destination))?
            }
            Primitive::Net6 { address, mask, side } => {
                let fits = |offset: usize| Some(self.sixteen(at + offset)? & mask == *address);
                kind == IPV6 && both_sides(*side, || fits(8), || fits(24))?
            }
            Primitive::Ports { low, high, side, transports } => {
                let Some(ports) = self.ports(kind, at, *transports)? else { return Some(false) };
                let fits = |at: usize| Some((*low..=*high).contains(&self.two(at)?));
                both_sides(*side, || fits(ports), || fits(ports + 2))?
            }
            Primitive::IpMulticast => kind == IPV4 && self.one(at + 16)? >= 224,
            Primitive::Ip6Multicast => kind == IPV6 && self.one(at + 24)? == 255,
            Primitive::Vlan(id) => {
                matches!(kind, 0x8100 | 0x88a8 | 0x9100)
                    && match id {
                        Some(id) => self.two(at)? & 0xfff == *id,
                        None => true,
                    }
            }
            Primitive::Mpls(label) => {
                kind == MPLS
                    && match label {
                        Some(label) => self.four(at)? >> 12 == *label,
                        None => true,
                    }
            }
            Primitive::Pppoes(id) => {
                kind == PPPOE_SESSION
                    && match id {
                        Some(id) => self.two(at + 2)? == *id,
                        None => true,
                    }
            }
            Primitive::Mac(..) | Primitive::EtherMulticast => false,
        })
    }

    fn link(&self, primitive: &Primitive) -> Option<bool> {
        match primitive {
            Primitive::Mac(mac, side) => {
                let fits = |at: usize| Some(self.bytes.get(at..at + 6)? == mac);
                both_sides(*side, || fits(6), || fits(0))
            }
            _ => Some(self.one(0)? & 1 == 1),
        }
    }

    fn snap(&self, at: usize, organisation: u32, kind: u16) -> Option<bool> {
        Some(self.two(at)? == 0xaaaa && self.four(at + 2)? == 0x0300_0000 | organisation && self.two(at + 6)? == kind)
    }

    /// Where the ports stand.
    fn ports(&self, kind: u16, at: usize, transports: Transports) -> Option<Option<usize>> {
        let carried = |protocol: u8| match protocol {
            6 => transports.tcp,
            17 => transports.udp,
            132 => transports.sctp,
            _ => false,
        };
        Some(match kind {
            IPV4 if carried(self.one(at + 9)?) && self.two(at + 6)? & 0x1fff == 0 => Some(at + self.header_v4(at)?),
            IPV6 if carried(self.one(at + 6)?) => Some(at + 40),
            _ => None,
        })
    }

    /// Behind any extension and authentication headers. Each is eight bytes at least, so the frame bounds the walk.
    fn chain(&self, kind: u16, at: usize, wanted: u8) -> Option<bool> {
        let (mut next, mut at) = match kind {
            IPV4 => (self.one(at + 9)?, at + self.header_v4(at)?),
            _ => (self.one(at + 6)?, at + 40),
        };
        loop {
            if next == wanted {
                return Some(true);
            }
            let length = match next {
                0 | 43 | 60 | FRAGMENT_HEADER if kind == IPV6 => (usize::from(self.one(at + 1)?) + 1) * 8,
                AUTHENTICATION_HEADER => (usize::from(self.one(at + 1)?) + 2) * 4,
                _ => return Some(false),
            };
            (next, at) = (self.one(at)?, at + length);
        }
    }
}

/// Offsets of the two addresses in a header of this kind.
fn addresses_at(kind: u16, families: Families) -> Option<(usize, usize)> {
    match kind {
        IPV4 if families.ip => Some((12, 16)),
        ARP if families.arp => Some((14, 24)),
        RARP if families.rarp => Some((14, 24)),
        _ => None,
    }
}

fn both_sides(
    side: Side,
    source: impl FnOnce() -> Option<bool>,
    destination: impl FnOnce() -> Option<bool>,
) -> Option<bool> {
    Some(match side {
        Side::Source => source()?,
        Side::Destination => destination()?,
        Side::Either => source()? || destination()?,
        Side::Both => source()? && destination()?,
    })
}

/// As the machine of bpf(4) calculates; dividing by zero ends it.
fn calculate(operation: Operation, a: u32, b: u32) -> Option<u32> {
    Some(match operation {
        Operation::Add => a.wrapping_add(b),
        Operation::Subtract => a.wrapping_sub(b),
        Operation::Multiply => a.wrapping_mul(b),
        Operation::Divide => a.checked_div(b)?,
        Operation::Remainder => a.checked_rem(b)?,
        Operation::And => a & b,
        Operation::Or => a | b,
        Operation::Xor => a ^ b,
        Operation::Left => a.checked_shl(b).unwrap_or(0),
        Operation::Right => a.checked_shr(b).unwrap_or(0),
    })
}
