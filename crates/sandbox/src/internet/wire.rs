//! Packets read and made: IPv4 (RFC 791), UDP (RFC 768), TCP (RFC 9293), ICMP echo (RFC 792).

use std::net::Ipv4Addr;

pub(super) const ICMP: u8 = 1;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;

/// Hop limit of the world: it looks 14 hops away.
const TTL: u8 = 50;

/// An IPv4 packet of the sample.
pub(super) struct Datagram<'a> {
    pub(super) from: Ipv4Addr,
    pub(super) to: Ipv4Addr,
    pub(super) protocol: u8,
    pub(super) body: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// None for anything but a whole IPv4 packet.
    pub(super) fn read(packet: &'a [u8]) -> Option<Self> {
        let header = packet.get(..20)?;
        let length = usize::from(header[0] & 15) * 4;
        let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff;
        if header[0] >> 4 != 4 || length < 20 || fragment != 0 {
            return None;
        }
        let address = |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
        let body = packet.get(length..total.min(packet.len()))?;
        Some(Datagram { from: address(12), to: address(16), protocol: header[9], body })
    }
}

/// A TCP segment.
pub(super) struct Segment<'a> {
    pub(super) from: u16,
    pub(super) to: u16,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: u8,
    pub(super) data: &'a [u8],
}

pub(super) fn tcp<'a>(datagram: &Datagram<'a>) -> Option<Segment<'a>> {
    let body = datagram.body;
    let header = body.get(..20)?;
    let length = usize::from(header[12] >> 4) * 4;
    let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    Some(Segment {
        from: u16::from_be_bytes([header[0], header[1]]),
        to: u16::from_be_bytes([header[2], header[3]]),
        seq: word(4),
        ack: word(8),
        flags: header[13],
        data: body.get(length.max(20)..)?,
    })
}

/// Ports and payload of UDP.
pub(super) fn udp<'a>(datagram: &Datagram<'a>) -> Option<((u16, u16), &'a [u8])> {
    let body = datagram.body;
    let header = body.get(..8)?;
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let ports = (u16::from_be_bytes([header[0], header[1]]), u16::from_be_bytes([header[2], header[3]]));
    Some((ports, body.get(8..length.clamp(8, body.len()))?))
}

/// The Internet checksum (RFC 1071), complemented.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        }
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn ip(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, body: &[u8]) -> Vec<u8> {
    let total = (20 + body.len()) as u16;
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, TTL, protocol, 0, 0];
    packet[2..4].copy_from_slice(&total.to_be_bytes());
    packet.extend(from.octets());
    packet.extend(to.octets());
    let sum = checksum(&[&packet]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend_from_slice(body);
    packet
}

fn pseudo(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, length: usize) -> Vec<u8> {
    let mut header = [from.octets(), to.octets()].concat();
    header.extend([0, protocol]);
    header.extend((length as u16).to_be_bytes());
    header
}

/// The answer to an echo request.
pub(super) fn echo_reply(datagram: &Datagram<'_>) -> Option<Vec<u8>> {
    let mut body = datagram.body.to_vec();
    if body.len() < 8 || body[0] != 8 {
        return None;
    }
    (body[0], body[2], body[3]) = (0, 0, 0);
    let sum = checksum(&[&body]);
    body[2..4].copy_from_slice(&sum.to_be_bytes());
    Some(ip(datagram.to, datagram.from, ICMP, &body))
}

pub(super) fn udp_reply(datagram: &Datagram<'_>, ports: (u16, u16), bytes: &[u8]) -> Vec<u8> {
    let mut body = [ports.1.to_be_bytes(), ports.0.to_be_bytes()].concat();
    body.extend(((8 + bytes.len()) as u16).to_be_bytes());
    body.extend([0, 0]);
    body.extend_from_slice(bytes);
    let sum = checksum(&[&pseudo(datagram.to, datagram.from, UDP, body.len()), &body]);
    body[6..8].copy_from_slice(&if sum == 0 { 0xffff } else { sum }.to_be_bytes());
    ip(datagram.to, datagram.from, UDP, &body)
}

/// A segment back to the sample.
pub(super) fn tcp_reply(
    datagram: &Datagram<'_>,
    segment: &Segment<'_>,
    seq: u32,
    ack: u32,
    flags: u8,
    data: &[u8],
) -> Vec<u8> {
    let mut body = [segment.to.to_be_bytes(), segment.from.to_be_bytes()].concat();
    body.extend(seq.to_be_bytes());
    body.extend(ack.to_be_bytes());
    body.extend([5 << 4, flags]);
    body.extend(14_600_u16.to_be_bytes());
    body.extend([0, 0, 0, 0]);
    body.extend_from_slice(data);
    let sum = checksum(&[&pseudo(datagram.to, datagram.from, TCP, body.len()), &body]);
    body[16..18].copy_from_slice(&sum.to_be_bytes());
    ip(datagram.to, datagram.from, TCP, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_rfc_1071() {
        // Section 3: 00 01 f2 03 f4 f5 f6 f7 sum to ddf2.
        assert_eq!(!checksum(&[&[0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7]]), 0xddf2);
    }

    #[test]
    fn half_packets_are_nothing() {
        let body = [0x12, 0x34, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0];
        let packet = ip(Ipv4Addr::new(10, 66, 0, 2), Ipv4Addr::new(192, 0, 2, 1), TCP, &body);
        assert_eq!(checksum(&[&packet[..20]]), 0);
        for cut in 0..packet.len() {
            let read = Datagram::read(&packet[..cut]);
            assert!(read.and_then(|datagram| tcp(&datagram).map(|s| s.data.len())).is_none_or(|data| data == 0));
        }
        assert!(Datagram::read(&packet).and_then(|datagram| tcp(&datagram).map(|s| s.to)) == Some(80));
    }
}
