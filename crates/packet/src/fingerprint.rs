//! Which scanner fingerprints one packet satisfies.
//!
//! Sources: the published code of Mirai, ZMap, masscan and nmap for the facts, and V. Ghiette, N. Blenn, C. Doerr,
//! "Remote Identification of Port Scan Toolchains", 2016, for relations between packets (those are judged per source by
//! the detectors). One packet proves nothing: a relation over sixteen bits holds by chance once in 65,536.

use noroshi_model::packet::{Has, OptionKinds, Packet, ToolBits, Transport, tcp};

/// Identification that ZMap wrote into every probe until March 2024.
pub const ZMAP_IP_ID: u16 = 54_321;
/// Hop limits above this started at 255: raw-socket scanners, hardly any stack.
pub const TTL_RAW_SOCKET: u8 = 200;
/// nmap draws its initial hop limit from 37 to 59.
pub const NMAP_TTL_MAX: u8 = 59;

/// Options of a ZMap probe since 2024: MSS, NOP, window scale, NOP, NOP, SACK-permitted.
const ZMAP_OPTIONS: OptionKinds = OptionKinds(0x0024_4541);
const MSS_ONLY: OptionKinds = OptionKinds(1);

/// Sets [`Packet::tool_bits`].
#[inline]
pub fn mark(row: &mut Packet) {
    if row.transport != Transport::Tcp
        || !row.has.has(Has::TCP)
        || row.tcp_flags & (tcp::SYN | tcp::ACK | tcp::RST) != tcp::SYN
    {
        return;
    }
    // Sums of bits where branches would do: which tool comes next no branch predictor can follow.
    let mark = |holds: bool, bit: ToolBits| if holds { bit.0 } else { 0 };
    let (v4, dst) = (row.dst.is_v4(), row.dst.0 as u32);
    let no_options = row.options == OptionKinds::NONE;
    let raw_socket = row.ttl > TTL_RAW_SOCKET;
    let plain_mss = (row.options == MSS_ONLY) & (row.mss == 1_460);
    let zmap_id = row.ip_id == ZMAP_IP_ID;
    let zmap_shape =
        (row.window == 65_535) & (row.options == ZMAP_OPTIONS) & (row.sport.wrapping_sub(32_768) <= 61_000 - 32_768);
    let narrow = row.window == 1_024;
    let bits = mark(v4 & (row.seq == dst), ToolBits::MIRAI)
        | mark(v4 & (row.ip_id == (dst ^ u32::from(row.dport) ^ row.seq) as u16), ToolBits::MASSCAN)
        | mark(v4 & zmap_id, ToolBits::ZMAP_OLD)
        | mark(raw_socket & zmap_shape, ToolBits::ZMAP_NEW)
        | mark(raw_socket & narrow & (no_options | plain_mss), ToolBits::MASSCAN_SHAPE)
        | mark(narrow & plain_mss & (row.ttl <= NMAP_TTL_MAX), ToolBits::NMAP_SYN)
        | mark(zmap_id | raw_socket | no_options, ToolBits::IRREGULAR_SYN);
    row.tool_bits = ToolBits(bits);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zmap_options_are_what_the_comment_says() {
        assert_eq!(ZMAP_OPTIONS.to_string(), "MNWNNS");
        assert_eq!(MSS_ONLY.to_string(), "M");
    }
}
