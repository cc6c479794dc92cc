//! Packets as bytes, written so that a test shows only what matters to it: everything else has a plain default, and
//! lengths and checksums are right unless the test says otherwise.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// The Internet checksum (RFC 1071) over any bytes; 0 when they hold a right one.
pub fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0u64;
    for pair in bytes.chunks(2) {
        sum += u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[derive(Clone, Debug)]
enum Transport {
    None { protocol: u8 },
    Tcp { seq: u32, ack: u32, flags: u8, window: u16, options: Vec<u8> },
    Udp,
    Icmp { kind: u8, code: u8, rest: [u8; 4] },
}

/// One packet, from the outside in: addresses, link options, transport, payload.
#[derive(Clone, Debug)]
pub struct PacketBuilder {
    src: IpAddr,
    dst: IpAddr,
    ttl: u8,
    id: u16,
    dscp: u8,
    fragment: u16,
    vlans: Vec<u16>,
    sport: u16,
    dport: u16,
    transport: Transport,
    payload: Vec<u8>,
    raw: bool,
    pad: bool,
    good_checksums: bool,
}

impl PacketBuilder {
    /// An IPv4 packet.
    pub fn ipv4(src: impl Into<Ipv4Addr>, dst: impl Into<Ipv4Addr>) -> Self {
        Self::ip(IpAddr::V4(src.into()), IpAddr::V4(dst.into()))
    }

    /// An IPv6 packet.
    pub fn ipv6(src: impl Into<Ipv6Addr>, dst: impl Into<Ipv6Addr>) -> Self {
        Self::ip(IpAddr::V6(src.into()), IpAddr::V6(dst.into()))
    }

    /// A packet between two addresses of one family.
    ///
    /// # Panics
    ///
    /// When the families differ.
    pub fn ip(src: IpAddr, dst: IpAddr) -> Self {
        assert_eq!(src.is_ipv4(), dst.is_ipv4(), "{src} and {dst} are of different families");
        PacketBuilder {
            src,
            dst,
            ttl: 64,
            id: 1,
            dscp: 0,
            fragment: 0,
            vlans: Vec::new(),
            sport: 0,
            dport: 0,
            transport: Transport::None { protocol: 59 },
            payload: Vec::new(),
            raw: false,
            pad: false,
            good_checksums: true,
        }
    }

    /// A packet between two addresses given as text.
    ///
    /// # Panics
    ///
    /// When a text is not an address, or the families differ.
    pub fn between(src: &str, dst: &str) -> Self {
        let addr = |text: &str| text.parse().unwrap_or_else(|_| panic!("\"{text}\" is not an address"));
        Self::ip(addr(src), addr(dst))
    }

    /// Time to live or hop limit; 64.
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    /// IPv4 identification; 1.
    pub fn ip_id(mut self, id: u16) -> Self {
        self.id = id;
        self
    }

    /// Differentiated services code point; 0.
    pub fn dscp(mut self, dscp: u8) -> Self {
        self.dscp = dscp;
        self
    }

    /// IPv4 fragment: offset in units of eight bytes, and whether more follow.
    pub fn fragment(mut self, offset: u16, more: bool) -> Self {
        self.fragment = offset & 0x1fff | if more { 0x2000 } else { 0 };
        self
    }

    /// Adds a VLAN tag inside those already there; the outer of several is a service tag (802.1ad).
    pub fn vlan(mut self, id: u16) -> Self {
        self.vlans.push(id & 0xfff);
        self
    }

    /// TCP without flags; see [`PacketBuilder::syn`] and [`PacketBuilder::flags`].
    pub fn tcp(mut self, sport: u16, dport: u16) -> Self {
        (self.sport, self.dport) = (sport, dport);
        self.transport = Transport::Tcp { seq: 0, ack: 0, flags: 0, window: 65_535, options: Vec::new() };
        self
    }

    /// UDP.
    pub fn udp(mut self, sport: u16, dport: u16) -> Self {
        (self.sport, self.dport) = (sport, dport);
        self.transport = Transport::Udp;
        self
    }

    /// ICMP or ICMPv6, by the family of the addresses.
    pub fn icmp(mut self, kind: u8, code: u8) -> Self {
        self.transport = Transport::Icmp { kind, code, rest: [0; 4] };
        self
    }

    /// The four bytes after the ICMP checksum.
    pub fn icmp_rest(mut self, given: [u8; 4]) -> Self {
        match &mut self.transport {
            Transport::Icmp { rest, .. } => *rest = given,
            _ => panic!("icmp_rest belongs after icmp"),
        }
        self
    }

    /// An ICMP error that quotes another packet: its IP header and the first eight bytes after it.
    pub fn icmp_quoting(self, kind: u8, code: u8, quoted: &PacketBuilder) -> Self {
        let header = if quoted.src.is_ipv4() { 20 } else { 40 };
        let mut bytes = quoted.clone().raw_ip().build();
        bytes.truncate(header + 8);
        self.icmp(kind, code).payload(bytes)
    }

    /// Any other protocol; its bytes are the payload.
    pub fn protocol(mut self, protocol: u8) -> Self {
        self.transport = Transport::None { protocol };
        self
    }

    fn on_tcp(mut self, change: impl FnOnce(&mut u32, &mut u32, &mut u8, &mut u16, &mut Vec<u8>)) -> Self {
        match &mut self.transport {
            Transport::Tcp { seq, ack, flags, window, options } => change(seq, ack, flags, window, options),
            _ => panic!("TCP fields belong after tcp"),
        }
        self
    }

    /// Adds flag bits.
    pub fn flags(self, bits: u8) -> Self {
        self.on_tcp(|_, _, flags, _, _| *flags |= bits)
    }

    /// Adds SYN.
    pub fn syn(self) -> Self {
        self.flags(0x02)
    }

    /// Adds ACK with its number.
    pub fn ack(self, number: u32) -> Self {
        self.flags(0x10).on_tcp(|_, ack, _, _, _| *ack = number)
    }

    /// Adds RST.
    pub fn rst(self) -> Self {
        self.flags(0x04)
    }

    /// Sequence number; 0.
    pub fn seq(self, number: u32) -> Self {
        self.on_tcp(|seq, _, _, _, _| *seq = number)
    }

    /// Window; 65,535.
    pub fn window(self, size: u16) -> Self {
        self.on_tcp(|_, _, _, window, _| *window = size)
    }

    /// TCP options as bytes, padded with end-of-list to a multiple of four.
    pub fn options(self, bytes: &[u8]) -> Self {
        assert!(bytes.len() <= 40, "TCP options are at most 40 bytes");
        self.on_tcp(|_, _, _, _, options| {
            *options = bytes.to_vec();
            options.resize(bytes.len().next_multiple_of(4), 0);
        })
    }

    /// The MSS option alone.
    pub fn mss(self, size: u16) -> Self {
        let [high, low] = size.to_be_bytes();
        self.options(&[2, 4, high, low])
    }

    /// Payload of the transport.
    pub fn payload(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.payload = bytes.into();
        self
    }

    /// No Ethernet header: for captures of raw IP, and for packets inside packets.
    pub fn raw_ip(mut self) -> Self {
        self.raw = true;
        self
    }

    /// Pads the Ethernet frame to 60 bytes, as a network card delivers it.
    pub fn padded(mut self) -> Self {
        self.pad = true;
        self
    }

    /// Leaves transport checksums wrong (inverted), for tests of what checks them.
    pub fn wrong_checksums(mut self) -> Self {
        self.good_checksums = false;
        self
    }

    /// The bytes.
    pub fn build(self) -> Vec<u8> {
        let transport = self.transport_bytes();
        let packet = self.ip_bytes(&transport);
        if self.raw {
            return packet;
        }
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        for (i, id) in self.vlans.iter().enumerate() {
            let inner = i + 1 == self.vlans.len();
            let kind = if inner { ETHERTYPE_VLAN } else { ETHERTYPE_QINQ };
            frame.extend_from_slice(&kind.to_be_bytes());
            frame.extend_from_slice(&id.to_be_bytes());
        }
        let ethertype = if self.src.is_ipv4() { ETHERTYPE_IPV4 } else { ETHERTYPE_IPV6 };
        frame.extend_from_slice(&ethertype.to_be_bytes());
        frame.extend_from_slice(&packet);
        if self.pad && frame.len() < 60 {
            frame.resize(60, 0);
        }
        frame
    }

    fn protocol_number(&self) -> u8 {
        match self.transport {
            Transport::None { protocol } => protocol,
            Transport::Tcp { .. } => TCP,
            Transport::Udp => UDP,
            Transport::Icmp { .. } if self.src.is_ipv4() => ICMP,
            Transport::Icmp { .. } => ICMPV6,
        }
    }

    fn transport_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let checksum_at = match &self.transport {
            Transport::None { .. } => None,
            Transport::Tcp { seq, ack, flags, window, options } => {
                bytes.extend_from_slice(&self.sport.to_be_bytes());
                bytes.extend_from_slice(&self.dport.to_be_bytes());
                bytes.extend_from_slice(&seq.to_be_bytes());
                bytes.extend_from_slice(&ack.to_be_bytes());
                bytes.extend_from_slice(&[((5 + options.len() / 4) as u8) << 4, *flags]);
                bytes.extend_from_slice(&window.to_be_bytes());
                bytes.extend_from_slice(&[0; 4]);
                bytes.extend_from_slice(options);
                Some(16)
            }
            Transport::Udp => {
                bytes.extend_from_slice(&self.sport.to_be_bytes());
                bytes.extend_from_slice(&self.dport.to_be_bytes());
                bytes.extend_from_slice(&(8 + self.payload.len() as u16).to_be_bytes());
                bytes.extend_from_slice(&[0; 2]);
                Some(6)
            }
            Transport::Icmp { kind, code, rest } => {
                bytes.extend_from_slice(&[*kind, *code, 0, 0]);
                bytes.extend_from_slice(rest);
                Some(2)
            }
        };
        bytes.extend_from_slice(&self.payload);
        if let Some(at) = checksum_at {
            let mut sum = checksum(&[self.pseudo_header(bytes.len()), bytes.clone()].concat());
            if self.protocol_number() == UDP && sum == 0 {
                sum = 0xffff;
            }
            let sum = if self.good_checksums { sum } else { !sum };
            bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        }
        bytes
    }

    fn pseudo_header(&self, length: usize) -> Vec<u8> {
        let protocol = self.protocol_number();
        let mut bytes = match (self.src, self.dst) {
            _ if protocol == ICMP => return Vec::new(),
            (IpAddr::V4(src), IpAddr::V4(dst)) => [src.octets(), dst.octets()].concat(),
            (IpAddr::V6(src), IpAddr::V6(dst)) => [src.octets(), dst.octets()].concat(),
            _ => Vec::new(),
        };
        bytes.extend_from_slice(&(length as u32).to_be_bytes());
        bytes.extend_from_slice(&[0, 0, 0, protocol]);
        bytes
    }

    fn ip_bytes(&self, transport: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                bytes.extend_from_slice(&[0x45, self.dscp << 2]);
                bytes.extend_from_slice(&(20 + transport.len() as u16).to_be_bytes());
                bytes.extend_from_slice(&self.id.to_be_bytes());
                bytes.extend_from_slice(&self.fragment.to_be_bytes());
                bytes.extend_from_slice(&[self.ttl, self.protocol_number(), 0, 0]);
                bytes.extend_from_slice(&src.octets());
                bytes.extend_from_slice(&dst.octets());
                let sum = checksum(&bytes);
                bytes[10..12].copy_from_slice(&sum.to_be_bytes());
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                bytes.extend_from_slice(&[0x60 | self.dscp >> 2, (self.dscp & 3) << 6, 0, 0]);
                bytes.extend_from_slice(&(transport.len() as u16).to_be_bytes());
                bytes.extend_from_slice(&[self.protocol_number(), self.ttl]);
                bytes.extend_from_slice(&src.octets());
                bytes.extend_from_slice(&dst.octets());
            }
            _ => unreachable!("one family, checked when built"),
        }
        bytes.extend_from_slice(transport);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syn_is_as_the_standards_say() {
        let bytes = PacketBuilder::ipv4([192, 0, 2, 1], [198, 18, 0, 1])
            .ttl(50)
            .ip_id(54_321)
            .tcp(40_000, 23)
            .syn()
            .seq(7)
            .window(1024)
            .mss(1460)
            .build();
        assert_eq!(bytes.len(), 14 + 20 + 24);
        assert_eq!(bytes[12..16], [8, 0, 0x45, 0]);
        assert_eq!(bytes[18..20], 54_321u16.to_be_bytes());
        assert_eq!(checksum(&bytes[14..34]), 0);
        assert_eq!(bytes[34..38], [0x9c, 0x40, 0, 23]);
        assert_eq!(bytes[46..50], [0x60, 0x02, 4, 0]);
        let pseudo = [&bytes[26..34], &[0, 6, 0, 24]].concat();
        assert_eq!(checksum(&[&pseudo, &bytes[34..]].concat()), 0);
    }

    #[test]
    fn ipv6_udp_has_its_checksum() {
        let bytes = PacketBuilder::between("2001:db8::1", "2001:db8::2").udp(53, 9).payload(*b"abc").build();
        assert_eq!(bytes[12..14], [0x86, 0xdd]);
        let pseudo = [&bytes[22..54], &[0, 0, 0, 11, 0, 0, 0, 17]].concat();
        assert_eq!(checksum(&[&pseudo, &bytes[54..]].concat()), 0);
        let wrong = PacketBuilder::between("2001:db8::1", "2001:db8::2").udp(53, 9).payload(*b"abc").wrong_checksums();
        assert_ne!(wrong.build(), bytes);
    }

    #[test]
    fn tags_stand_outside_in() {
        let bytes = PacketBuilder::between("192.0.2.1", "192.0.2.2").icmp(8, 0).vlan(100).vlan(200).padded().build();
        assert_eq!(bytes[12..22], [0x88, 0xa8, 0, 100, 0x81, 0, 0, 200, 8, 0]);
        assert_eq!(bytes.len(), 60);
    }

    #[test]
    fn an_error_quotes_header_and_eight_bytes() {
        let inner = PacketBuilder::between("198.18.0.1", "192.0.2.1").udp(1000, 80).payload(vec![0; 100]);
        let bytes = PacketBuilder::between("192.0.2.1", "198.18.0.1").icmp_quoting(3, 3, &inner).raw_ip().build();
        assert_eq!(bytes.len(), 20 + 8 + 28);
        assert_eq!(bytes[28 + 12..28 + 20], [198, 18, 0, 1, 192, 0, 2, 1]);
        assert_eq!(bytes[48..52], [3, 232, 0, 80]);
        assert_eq!(checksum(&bytes[20..]), 0);
    }
}
