//! Captures as bytes: classic pcap and pcapng (draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng).

/// Link type of Ethernet frames.
pub const LINKTYPE_ETHERNET: u32 = 1;
/// Link type of bare IP packets.
pub const LINKTYPE_RAW: u32 = 101;
const SNAP_LENGTH: u32 = 262_144;

/// A nanosecond pcap of Ethernet frames: (nanoseconds since 1970, frame).
pub fn pcap(packets: &[(i64, &[u8])]) -> Vec<u8> {
    pcap_of(LINKTYPE_ETHERNET, packets)
}

/// A nanosecond pcap of another link type.
pub fn pcap_of(link_type: u32, packets: &[(i64, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&0xa1b2_3c4du32.to_le_bytes());
    out.extend_from_slice(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    out.extend_from_slice(&SNAP_LENGTH.to_le_bytes());
    out.extend_from_slice(&link_type.to_le_bytes());
    for (time, packet) in packets {
        let length = packet.len() as u32;
        let (seconds, nanos) = (time.div_euclid(1_000_000_000), time.rem_euclid(1_000_000_000));
        for word in [seconds as u32, nanos as u32, length, length] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(packet);
    }
    out
}

/// A little-endian pcapng with one section and one Ethernet interface of nanosecond resolution.
pub fn pcapng(packets: &[(i64, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut section = Vec::new();
    section.extend_from_slice(&0x1a2b_3c4du32.to_le_bytes());
    section.extend_from_slice(&[1, 0, 0, 0]);
    section.extend_from_slice(&(-1i64).to_le_bytes());
    block(&mut out, 0x0a0d_0d0a, &section);
    let mut interface = Vec::new();
    interface.extend_from_slice(&(LINKTYPE_ETHERNET as u16).to_le_bytes());
    interface.extend_from_slice(&[0, 0]);
    interface.extend_from_slice(&SNAP_LENGTH.to_le_bytes());
    // if_tsresol: powers of ten, 9 digits; then the end of options.
    interface.extend_from_slice(&[9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
    block(&mut out, 1, &interface);
    for (time, packet) in packets {
        let (time, length) = (*time as u64, packet.len() as u32);
        let mut body = Vec::new();
        for word in [0, (time >> 32) as u32, time as u32, length, length] {
            body.extend_from_slice(&word.to_le_bytes());
        }
        body.extend_from_slice(packet);
        body.resize(body.len().next_multiple_of(4), 0);
        block(&mut out, 6, &body);
    }
    out
}

fn block(out: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let length = (body.len() as u32 + 12).to_le_bytes();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&length);
    out.extend_from_slice(body);
    out.extend_from_slice(&length);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_times_stand_where_they_must() {
        let bytes = pcap(&[(1_000_000_007, &[1, 2, 3])]);
        assert_eq!(bytes.len(), 24 + 16 + 3);
        assert_eq!(bytes[24..40], [1, 0, 0, 0, 7, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0]);
        assert_eq!(pcap_of(LINKTYPE_RAW, &[])[20], 101);
        let bytes = pcapng(&[(1 << 32, &[1, 2, 3])]);
        assert_eq!(bytes.len(), 28 + 32 + 36);
        assert_eq!(bytes[60..64], [6, 0, 0, 0]);
        assert_eq!(bytes[72..80], [1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[92..96], 36u32.to_le_bytes());
    }
}
