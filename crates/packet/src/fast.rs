//! The short way through the commonest packet: Ethernet, IPv4 without options or fragments, whole TCP, UDP or ICMP.
//!
//! Nine packets in ten of a darknet go this way at a third of the cost of the general walk. It must agree with the walk
//! in every field; whatever is out of the ordinary it leaves alone, and the walk starts over. A property test holds the
//! two against each other.

use crate::headers::{be16, be32, impossible_sender};
use crate::transport::option_kinds;
use noroshi_model::Addr;
use noroshi_model::packet::{Has, Oddities, Packet, Transport, proto, tcp};

const ETHERNET: usize = 14;
const TRANSPORT: usize = ETHERNET + 20;

/// Fills the row and says true, or leaves it as it was and says false.
#[inline]
pub(crate) fn ethernet_ipv4(frame: &[u8], base: u32, row: &mut Packet) -> bool {
    let Some(head) = frame.first_chunk::<TRANSPORT>() else { return false };
    let total = usize::from(be16(head, 16));
    let fragment = be16(head, 20) & 0x3fff;
    if be16(head, 12) != 0x0800 || head[14] != 0x45 || fragment != 0 || total <= 20 {
        return false;
    }
    let Some(packet) = frame.get(TRANSPORT..ETHERNET + total) else { return false };
    let Packet { ts, has, oddities, cap_len, wire_len, .. } = *row;
    let taken = match head[23] {
        proto::TCP => segment(packet, row),
        proto::UDP => datagram(packet, row),
        proto::ICMP => message(packet, row),
        _ => None,
    };
    let Some(payload) = taken else {
        // What the record said about itself is all that there was.
        *row = Packet { ts, has, oddities, cap_len, wire_len, ..Packet::BLANK };
        return false;
    };
    (row.src, row.dst) = (Addr::v4(be32(head, 26)), Addr::v4(be32(head, 30)));
    (row.ttl, row.dscp, row.ip_id, row.proto) = (head[22], head[15] >> 2, be16(head, 18), head[23]);
    row.has.set(Has::IP | Has::IP_ID);
    row.payload_at = base + (TRANSPORT + payload.0) as u32;
    row.payload_len = payload.1 as u32;
    row.payload_cap = payload.1 as u16;
    if row.src == row.dst {
        row.oddities.set(Oddities::SAME_ADDRESSES);
    }
    if impossible_sender(row.src) {
        row.oddities.set(Oddities::BOGUS_SOURCE);
    }
    true
}

/// Where the payload starts behind the IP header, and its length.
type Payload = (usize, usize);

#[inline]
fn ports(packet: &[u8], row: &mut Packet) {
    row.has.set(Has::PORTS);
    (row.sport, row.dport) = (be16(packet, 0), be16(packet, 2));
    if row.sport == 0 || row.dport == 0 {
        row.oddities.set(Oddities::PORT_ZERO);
    }
}

#[inline]
fn segment(packet: &[u8], row: &mut Packet) -> Option<Payload> {
    let head = packet.first_chunk::<20>()?;
    let header = usize::from(head[12] >> 4) * 4;
    let options = packet.get(20..header)?;
    ports(head, row);
    row.transport = Transport::Tcp;
    row.has.set(Has::TCP);
    (row.seq, row.ack) = (be32(head, 4), be32(head, 8));
    (row.tcp_flags, row.window) = (head[13], be16(head, 14));
    if !options.is_empty() && !option_kinds(options, row) {
        return None;
    }
    let (flags, length) = (head[13], packet.len() - header);
    if flags == 0 || flags & tcp::SYN != 0 && flags & (tcp::FIN | tcp::RST) != 0 {
        row.oddities.set(Oddities::TCP_FLAGS);
    }
    if flags & tcp::SYN != 0 && length > 0 {
        row.oddities.set(Oddities::SYN_PAYLOAD);
    }
    Some((header, length))
}

#[inline]
fn datagram(packet: &[u8], row: &mut Packet) -> Option<Payload> {
    let head = packet.first_chunk::<8>()?;
    let length = usize::from(be16(head, 4));
    // Tunnels over UDP and lengths that do not fit take the long way.
    let tunnel = |port: u16| matches!(port, 4789 | 8472 | 6081 | 3544 | 2152);
    if length < 8 || length > packet.len() || tunnel(be16(head, 0)) || tunnel(be16(head, 2)) {
        return None;
    }
    ports(head, row);
    row.transport = Transport::Udp;
    Some((8, length - 8))
}

#[inline]
fn message(packet: &[u8], row: &mut Packet) -> Option<Payload> {
    let head = packet.first_chunk::<8>()?;
    if matches!(head[0], 3 | 4 | 5 | 11 | 12) {
        return None;
    }
    row.transport = Transport::Icmp;
    row.has.set(Has::ICMP);
    (row.icmp_type, row.icmp_code) = (head[0], head[1]);
    Some((8, packet.len() - 8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::Walk;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn agrees_with_the_walk(
            mut frame in proptest::collection::vec(any::<u8>(), 34..130),
            protocol in prop_oneof![Just(6u8), Just(17), Just(1), any::<u8>()],
            slack in 0usize..20,
            tidy in any::<bool>(),
        ) {
            frame[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
            let total = (frame.len() - 14).saturating_sub(slack);
            frame[16..18].copy_from_slice(&(total as u16).to_be_bytes());
            frame[20..22].copy_from_slice(&[0, 0]);
            frame[23] = protocol;
            if tidy && frame.len() > 60 {
                if protocol == 6 {
                    frame[46] = 0x60;
                    frame[54..58].copy_from_slice(&[2, 4, 5, 0xb4]);
                }
                if protocol == 17 {
                    frame[38..40].copy_from_slice(&((total - 20) as u16).to_be_bytes());
                }
            }
            let (mut short, mut long) = (Packet::BLANK, Packet::BLANK);
            (short.cap_len, short.wire_len) = (frame.len() as u32, frame.len() as u32);
            (long.cap_len, long.wire_len) = (short.cap_len, short.wire_len);
            let blank = short;
            if ethernet_ipv4(&frame, 7, &mut short) {
                let mut walk = Walk::new(&frame, 7, &mut long);
                walk.link(crate::capture::LinkType::ETHERNET);
                prop_assert!(walk.finish().is_none());
                prop_assert_eq!(short, long);
            } else {
                prop_assert_eq!(short, blank);
            }
        }
    }
}
