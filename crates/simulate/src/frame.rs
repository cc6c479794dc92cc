//! Packets as bytes: Ethernet, IPv4 (RFC 791), IPv6 (RFC 8200), TCP (RFC 9293), UDP (RFC 768), ICMP (RFC 792) and
//! ICMPv6 (RFC 4443), with right checksums.

use noroshi_model::Addr;
use noroshi_model::packet::proto;

/// Smallest Ethernet frame without its check sequence (IEEE 802.3); shorter packets are padded as a network card sees
/// them.
const FRAME_MIN: usize = 60;
/// Locally administered addresses: no vendor's.
const MACS: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
const DONT_FRAGMENT: u8 = 0x40;

/// The fields of an IP header that a scenario decides.
#[derive(Clone, Copy, Debug)]
pub struct Ip {
    /// Sender.
    pub src: Addr,
    /// Receiver, of the same family.
    pub dst: Addr,
    /// Time to live or hop limit, on arrival.
    pub ttl: u8,
    /// Identification; IPv4 only.
    pub id: u16,
    /// Do not fragment; IPv4 only.
    pub dont_fragment: bool,
}

/// A TCP header without payload.
#[derive(Clone, Copy, Debug)]
pub struct Tcp {
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Flags.
    pub flags: u8,
    /// Window.
    pub window: u16,
    /// Options, a multiple of four bytes.
    pub options: Options,
}

/// TCP options as bytes, at most 20 here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    bytes: [u8; 20],
    len: u8,
}

impl Options {
    /// None.
    pub const NONE: Options = Options { bytes: [0; 20], len: 0 };

    /// From at most 20 bytes.
    #[inline]
    pub const fn new<const N: usize>(given: [u8; N]) -> Self {
        assert!(N <= 20 && N.is_multiple_of(4));
        let mut bytes = [0; 20];
        let mut i = 0;
        while i < N {
            bytes[i] = given[i];
            i += 1;
        }
        Options { bytes, len: N as u8 }
    }

    /// Maximum segment size alone.
    #[inline]
    pub const fn mss(size: u16) -> Self {
        let [high, low] = size.to_be_bytes();
        Options::new([2, 4, high, low])
    }

    #[inline]
    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len as usize]
    }
}

/// One frame at a time, in a buffer that is used again.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    bytes: Vec<u8>,
}

impl Frame {
    /// The frame as on the wire.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn ip(&mut self, ip: &Ip, protocol: u8, payload: usize) {
        let b = &mut self.bytes;
        b.clear();
        b.extend_from_slice(&MACS);
        match (ip.src.as_v4(), ip.dst.as_v4()) {
            (Some(src), Some(dst)) => {
                b.extend_from_slice(&[0x08, 0x00]);
                let header = ipv4_header(src, dst, ip, protocol, payload);
                b.extend_from_slice(&header);
            }
            _ => {
                b.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0]);
                b.extend_from_slice(&(payload as u16).to_be_bytes());
                b.extend_from_slice(&[protocol, ip.ttl]);
                b.extend_from_slice(&ip.src.bytes());
                b.extend_from_slice(&ip.dst.bytes());
            }
        }
    }

    /// Writes the transport checksum at `offset` of the transport header and pads the frame.
    fn finish(&mut self, ip: &Ip, protocol: u8, start: usize, offset: usize) {
        let length = self.bytes.len() - start;
        let pseudo = if protocol == proto::ICMP { 0 } else { pseudo_header(ip, protocol, length) };
        let mut sum = fold(pseudo + words(&self.bytes[start..]));
        if protocol == proto::UDP && sum == 0 {
            sum = 0xffff; // zero would mean "not computed" (RFC 768)
        }
        self.bytes[start + offset..start + offset + 2].copy_from_slice(&sum.to_be_bytes());
        if self.bytes.len() < FRAME_MIN {
            self.bytes.resize(FRAME_MIN, 0);
        }
    }

    /// A TCP segment without payload.
    pub fn tcp(&mut self, ip: &Ip, tcp: &Tcp) {
        let options = tcp.options.as_slice();
        self.ip(ip, proto::TCP, 20 + options.len());
        let start = self.bytes.len();
        let mut header = [0; 20];
        header[0..2].copy_from_slice(&tcp.sport.to_be_bytes());
        header[2..4].copy_from_slice(&tcp.dport.to_be_bytes());
        header[4..8].copy_from_slice(&tcp.seq.to_be_bytes());
        header[8..12].copy_from_slice(&tcp.ack.to_be_bytes());
        header[12] = ((5 + options.len() / 4) as u8) << 4;
        header[13] = tcp.flags;
        header[14..16].copy_from_slice(&tcp.window.to_be_bytes());
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(options);
        self.finish(ip, proto::TCP, start, 16);
    }

    /// A UDP datagram.
    pub fn udp(&mut self, ip: &Ip, sport: u16, dport: u16, payload: &[u8]) {
        let length = 8 + payload.len();
        self.ip(ip, proto::UDP, length);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&sport.to_be_bytes());
        self.bytes.extend_from_slice(&dport.to_be_bytes());
        self.bytes.extend_from_slice(&(length as u16).to_be_bytes());
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(payload);
        self.finish(ip, proto::UDP, start, 6);
    }

    /// An ICMP or ICMPv6 message, by the family of the addresses: type, code, the four bytes after the checksum, rest.
    pub fn icmp(&mut self, ip: &Ip, kind: u8, code: u8, rest: [u8; 4], body: &[u8]) {
        let protocol = if ip.src.is_v4() { proto::ICMP } else { proto::ICMPV6 };
        self.ip(ip, protocol, 8 + body.len());
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[kind, code, 0, 0]);
        self.bytes.extend_from_slice(&rest);
        self.bytes.extend_from_slice(body);
        self.finish(ip, protocol, start, 2);
    }
}

/// The head of a UDP packet as an ICMP error quotes it: IP header and eight bytes.
pub fn quoted_udp(ip: &Ip, sport: u16, dport: u16, payload: usize, out: &mut Vec<u8>) {
    out.clear();
    match (ip.src.as_v4(), ip.dst.as_v4()) {
        (Some(src), Some(dst)) => out.extend_from_slice(&ipv4_header(src, dst, ip, proto::UDP, 8 + payload)),
        _ => {
            out.extend_from_slice(&[0x60, 0, 0, 0]);
            out.extend_from_slice(&((8 + payload) as u16).to_be_bytes());
            out.extend_from_slice(&[proto::UDP, ip.ttl]);
            out.extend_from_slice(&ip.src.bytes());
            out.extend_from_slice(&ip.dst.bytes());
        }
    }
    out.extend_from_slice(&sport.to_be_bytes());
    out.extend_from_slice(&dport.to_be_bytes());
    out.extend_from_slice(&((8 + payload) as u16).to_be_bytes());
    out.extend_from_slice(&[0, 0]); // the sender computed no checksum, as flood tools do
}

fn ipv4_header(src: u32, dst: u32, ip: &Ip, protocol: u8, payload: usize) -> [u8; 20] {
    let mut header = [0; 20];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&((20 + payload) as u16).to_be_bytes());
    header[4..6].copy_from_slice(&ip.id.to_be_bytes());
    header[6] = if ip.dont_fragment { DONT_FRAGMENT } else { 0 };
    header[8] = ip.ttl;
    header[9] = protocol;
    header[12..16].copy_from_slice(&src.to_be_bytes());
    header[16..20].copy_from_slice(&dst.to_be_bytes());
    let sum = fold(words(&header));
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}

#[inline]
fn pseudo_header(ip: &Ip, protocol: u8, length: usize) -> u64 {
    let addresses = match (ip.src.as_v4(), ip.dst.as_v4()) {
        (Some(src), Some(dst)) => u64::from(src) + u64::from(dst),
        _ => words(&ip.src.bytes()) + words(&ip.dst.bytes()),
    };
    addresses + u64::from(protocol) + length as u64
}

/// Sum of 32-bit words; folding makes it the sum of 16-bit words (RFC 1071, section 2).
#[inline]
fn words(bytes: &[u8]) -> u64 {
    let (fours, rest) = bytes.as_chunks::<4>();
    let mut sum: u64 = fours.iter().map(|four| u64::from(u32::from_be_bytes(*four))).sum();
    if !rest.is_empty() {
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        sum += u64::from(u32::from_be_bytes(last));
    }
    sum
}

#[inline]
fn fold(mut sum: u64) -> u16 {
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
