//! A small reader of the bytes that the generator writes, written from the RFCs and sharing nothing with it.

use noroshi_model::{Addr, Nanos};

/// What the tests look at in a packet.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub time: Nanos,
    pub src: Addr,
    pub dst: Addr,
    pub proto: u8,
    pub ttl: u8,
    pub ip_id: u16,
    pub sport: u16,
    pub dport: u16,
    pub seq: u32,
    pub flags: u8,
    pub window: u16,
    pub options: Vec<u8>,
    pub payload: Vec<u8>,
}

fn be16(b: &[u8]) -> u16 {
    u16::from_be_bytes([b[0], b[1]])
}

fn be32(b: &[u8]) -> u32 {
    u32::from_be_bytes([b[0], b[1], b[2], b[3]])
}

/// The Internet checksum over any bytes; 0 when they hold a right one.
fn checksum(parts: &[&[u8]]) -> u16 {
    let all: Vec<u8> = parts.concat();
    let mut sum = 0u32;
    for pair in all.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Reads a frame and checks lengths and checksums on the way.
pub fn read(time: Nanos, frame: &[u8]) -> Seen {
    assert!(frame.len() >= 60, "short frame of {}", frame.len());
    let packet = &frame[14..];
    let (src, dst, proto, ttl, ip_id, transport, addresses) = match be16(&frame[12..]) {
        0x0800 => {
            assert_eq!(packet[0], 0x45);
            assert_eq!(checksum(&[&packet[..20]]), 0, "IPv4 header checksum");
            let total = be16(&packet[2..]) as usize;
            let (src, dst) = (Addr::v4(be32(&packet[12..])), Addr::v4(be32(&packet[16..])));
            (src, dst, packet[9], packet[8], be16(&packet[4..]), &packet[20..total], &packet[12..20])
        }
        0x86dd => {
            assert_eq!(packet[0] >> 4, 6);
            let total = 40 + be16(&packet[4..]) as usize;
            let addr = |at: usize| Addr::from_bytes(packet[at..at + 16].try_into().unwrap());
            (addr(8), addr(24), packet[6], packet[7], 0, &packet[40..total], &packet[8..40])
        }
        other => panic!("ethertype {other:04x}"),
    };
    let length = (transport.len() as u32).to_be_bytes();
    let pseudo: &[&[u8]] = if proto == 1 { &[] } else { &[addresses, &length, &[0, 0, 0, proto]] };
    assert_eq!(checksum(&[pseudo, &[transport]].concat()), 0, "checksum of protocol {proto}");
    let mut seen = Seen {
        time,
        src,
        dst,
        proto,
        ttl,
        ip_id,
        sport: 0,
        dport: 0,
        seq: 0,
        flags: 0,
        window: 0,
        options: Vec::new(),
        payload: Vec::new(),
    };
    match proto {
        6 => {
            let header = (transport[12] >> 4) as usize * 4;
            (seen.sport, seen.dport, seen.seq) = (be16(transport), be16(&transport[2..]), be32(&transport[4..]));
            (seen.flags, seen.window) = (transport[13], be16(&transport[14..]));
            seen.options = transport[20..header].to_vec();
            seen.payload = transport[header..].to_vec();
        }
        17 => {
            (seen.sport, seen.dport) = (be16(transport), be16(&transport[2..]));
            assert_eq!(be16(&transport[4..]) as usize, transport.len(), "UDP length");
            seen.payload = transport[8..].to_vec();
        }
        1 | 58 => {
            (seen.sport, seen.dport) = (transport[0].into(), transport[1].into());
            seen.payload = transport[8..].to_vec();
        }
        other => panic!("protocol {other}"),
    }
    seen
}

/// All packets of a world.
pub fn read_all(world: &noroshi_simulate::World) -> Vec<Seen> {
    let mut all = Vec::new();
    world.for_each(|time, frame| all.push(read(time, frame)));
    all
}

/// Kinds of TCP options in order, as letters.
pub fn option_letters(options: &[u8]) -> String {
    let (mut at, mut letters) = (0, String::new());
    while at < options.len() {
        let (letter, length) = match options[at] {
            0 => ('E', 1),
            1 => ('N', 1),
            2 => ('M', options[at + 1]),
            3 => ('W', options[at + 1]),
            4 => ('S', options[at + 1]),
            8 => ('T', options[at + 1]),
            other => panic!("option {other}"),
        };
        letters.push(letter);
        at += length as usize;
    }
    letters
}
