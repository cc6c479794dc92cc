//! IP and TCP headers of one packet, read and written. Fragments and extension headers are left alone: a TCP handshake
//! needs neither.

use noroshi_model::Addr;

/// FIN, SYN, RST, PSH, ACK.
pub const FIN: u8 = 1;
/// SYN.
pub const SYN: u8 = 2;
/// RST.
pub const RST: u8 = 4;
/// ACK.
pub const ACK: u8 = 16;

/// A TCP segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment<'a> {
    /// Source.
    pub src: Addr,
    /// Destination.
    pub dst: Addr,
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
    /// Hops left.
    pub ttl: u8,
    /// IPv4 identification; 0 for IPv6.
    pub id: u16,
    /// Bytes of TCP options.
    pub options: &'a [u8],
    /// What it carries.
    pub payload: &'a [u8],
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Reads a packet that begins with its IP header; none when it is not whole TCP.
pub fn read(packet: &[u8]) -> Option<Segment<'_>> {
    let (src, dst, ttl, id, tcp) = match packet.first()? >> 4 {
        4 => {
            let header = usize::from(packet[0] & 15) * 4;
            let total = usize::from(word(packet, 2)?);
            // Protocol 6; no fragment.
            if header < 20 || packet.get(9)? != &6 || word(packet, 6)? & 0x3fff != 0 {
                return None;
            }
            let addr = |at| long(packet, at).map(Addr::v4);
            (addr(12)?, addr(16)?, packet[8], word(packet, 4)?, packet.get(header..total.min(packet.len()))?)
        }
        6 => {
            let length = usize::from(word(packet, 4)?);
            if packet.get(6)? != &6 {
                return None;
            }
            let addr = |at: usize| Some(Addr::from_bytes(packet.get(at..at + 16)?.try_into().ok()?));
            (addr(8)?, addr(24)?, packet[7], 0, packet.get(40..(40 + length).min(packet.len()))?)
        }
        _ => return None,
    };
    let offset = usize::from(tcp.get(12)? >> 4) * 4;
    Some(Segment {
        src,
        dst,
        sport: word(tcp, 0)?,
        dport: word(tcp, 2)?,
        seq: long(tcp, 4)?,
        ack: long(tcp, 8)?,
        flags: *tcp.get(13)?,
        ttl,
        id,
        options: tcp.get(20..offset)?,
        payload: tcp.get(offset..)?,
    })
}

/// Ones' complement sum (RFC 1071).
fn sum(bytes: &[u8], start: u32) -> u32 {
    bytes.chunks(2).fold(start, |sum, pair| sum + (u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))))
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// A segment as a packet with its IP header and checksums.
pub fn write(segment: &Segment<'_>) -> Vec<u8> {
    let length = 20 + segment.options.len() + segment.payload.len();
    let mut tcp = Vec::with_capacity(length);
    tcp.extend(segment.sport.to_be_bytes());
    tcp.extend(segment.dport.to_be_bytes());
    tcp.extend(segment.seq.to_be_bytes());
    tcp.extend(segment.ack.to_be_bytes());
    tcp.push((((20 + segment.options.len()) / 4) as u8) << 4);
    tcp.push(segment.flags);
    tcp.extend(if segment.flags & RST != 0 { [0, 0] } else { 29_200u16.to_be_bytes() });
    tcp.extend([0; 4]);
    tcp.extend(segment.options);
    tcp.extend(segment.payload);
    let (head, pseudo) = match (segment.src.as_v4(), segment.dst.as_v4()) {
        (Some(src), Some(dst)) => {
            let mut head = vec![0x45, 0];
            head.extend((20 + length as u16).to_be_bytes());
            head.extend(segment.id.to_be_bytes());
            head.extend([0x40, 0, segment.ttl, 6, 0, 0]);
            head.extend(src.to_be_bytes());
            head.extend(dst.to_be_bytes());
            let check = fold(sum(&head, 0));
            head[10..12].copy_from_slice(&check.to_be_bytes());
            let pseudo = head[12..20].to_vec();
            (head, pseudo)
        }
        _ => {
            let mut head = vec![0x60, 0, 0, 0];
            head.extend((length as u16).to_be_bytes());
            head.extend([6, segment.ttl]);
            head.extend(segment.src.bytes());
            head.extend(segment.dst.bytes());
            let pseudo = head[8..40].to_vec();
            (head, pseudo)
        }
    };
    let check = fold(sum(&tcp, sum(&pseudo, 6 + length as u32)));
    tcp[16..18].copy_from_slice(&check.to_be_bytes());
    [head, tcp].concat()
}
