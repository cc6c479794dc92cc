//! The walk through a frame: cursor, budgets, and the network headers.

use noroshi_model::Addr;
use noroshi_model::packet::{Has, Oddities, Packet, Rare, Tunnel, proto};

/// Nested headers that are entered, at most; anything deeper is noted and left.
const DEPTH_MAX: u8 = 16;
/// IPv6 extension headers that an honest packet may have; more are an oddity, and are still walked through.
const EXTENSIONS_PLAUSIBLE: u16 = 12;
/// IPv6 extension headers of one packet that are walked through, at most: as many as the usual 1,500 bytes hold.
const EXTENSIONS_MAX: u16 = 183;

/// Two bytes in network order. The caller has checked the length.
#[inline]
pub(crate) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Four bytes in network order. The caller has checked the length.
#[inline]
pub(crate) fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[inline]
pub(crate) fn be128(bytes: &[u8], at: usize) -> u128 {
    u128::from_be_bytes(bytes[at..at + 16].try_into().expect("sixteen bytes"))
}

/// A cursor over one frame and the row that it fills.
pub(crate) struct Walk<'a> {
    frame: &'a [u8],
    /// Where the next header starts.
    pub(crate) at: usize,
    /// Where the current packet ends by its headers' account, never past the captured bytes.
    pub(crate) end: usize,
    /// Where the current packet ends by its headers' account, captured or not.
    pub(crate) claimed_end: usize,
    base: u32,
    pub(crate) row: &'a mut Packet,
    rare: Option<Box<Rare>>,
    depth: u8,
}

impl<'a> Walk<'a> {
    #[inline]
    pub(crate) fn new(frame: &'a [u8], base: u32, row: &'a mut Packet) -> Self {
        Walk { frame, at: 0, end: frame.len(), claimed_end: frame.len(), base, row, rare: None, depth: 0 }
    }

    #[inline]
    pub(crate) fn finish(self) -> Option<Rare> {
        self.rare.map(|rare| *rare)
    }

    #[inline]
    pub(crate) fn odd(&mut self, oddity: Oddities) {
        self.row.oddities.set(oddity);
    }

    pub(crate) fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// The next `length` bytes, without moving.
    #[inline]
    pub(crate) fn peek(&self, length: usize) -> Option<&'a [u8]> {
        self.frame.get(self.at..self.end)?.get(..length)
    }

    /// The next `length` bytes; notes a truncated header when they are not there.
    #[inline]
    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.peek(length);
        if taken.is_some() {
            self.at += length
        } else {
            self.odd(Oddities::TRUNCATED_HEADER)
        }
        taken
    }

    /// Everything captured from here to the end of the packet.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.frame.get(self.at..self.end).unwrap_or(&[])
    }

    /// Whether one more nested header may be entered.
    #[inline]
    pub(crate) fn descend(&mut self) -> bool {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            self.odd(Oddities::TOO_DEEP);
            return false;
        }
        true
    }

    pub(crate) fn tunnel(&mut self, kind: Tunnel) {
        self.rare_mut().tunnel.get_or_insert(kind);
    }

    /// The first inner pair of addresses is kept.
    pub(crate) fn inner(&mut self, src: Addr, dst: Addr) {
        self.rare_mut().inner.get_or_insert((src, dst));
    }

    /// The payload of the transport: from here to the end of the packet.
    #[inline]
    pub(crate) fn payload(&mut self) {
        self.row.payload_len = self.claimed_end.saturating_sub(self.at) as u32;
        self.row.payload_at = self.base + self.at as u32;
        self.row.payload_cap = self.end.saturating_sub(self.at).min(u16::MAX as usize) as u16;
    }

    pub(crate) fn ip_by_nibble(&mut self) {
        match self.peek(1).map(|first| first[0] >> 4) {
            Some(4) => self.ipv4(),
            Some(6) => self.ipv6(),
            Some(_) => self.odd(Oddities::IP_VERSION),
            None => self.odd(Oddities::TRUNCATED_HEADER),
        }
    }

    /// IPv4 (RFC 791).
    #[inline]
    pub(crate) fn ipv4(&mut self) {
        let start = self.at;
        let Some(head) = self.peek(20) else { return self.cut_ipv4() };
        match head[0] >> 4 {
            4 => self.at += 20,
            // Some writers put IPv6 behind the IPv4 type; the header itself knows better.
            6 => {
                self.odd(Oddities::IP_VERSION);
                return self.ipv6();
            }
            _ => return self.odd(Oddities::IP_VERSION),
        }
        let header = usize::from(head[0] & 15) * 4;
        if header < 20 {
            return self.odd(Oddities::IP_HEADER_LENGTH);
        }
        let (src, dst) = (Addr::v4(be32(head, 12)), Addr::v4(be32(head, 16)));
        let (total, fragment_field) = (usize::from(be16(head, 2)), be16(head, 6));
        let outermost = self.addresses(src, dst, head[8], head[1] >> 2);
        if outermost {
            self.row.has.set(Has::IP_ID);
            self.row.ip_id = be16(head, 4);
        }
        self.row.proto = head[9];
        let empty = self.bound_v4(start, header, total);
        if header > 20 {
            let Some(options) = self.take(header - 20) else { return };
            self.odd(Oddities::IP_OPTIONS);
            if routes_by_source(options) {
                self.odd(Oddities::IP_SOURCE_ROUTE);
            }
        }
        let (offset, more) = (fragment_field & 0x1fff, fragment_field & 0x2000 != 0);
        if offset != 0 || more {
            self.row.has.set(Has::FRAGMENT);
            self.odd(Oddities::FRAGMENT);
        }
        if offset != 0 {
            return self.later_fragment();
        }
        if empty {
            return self.payload();
        }
        let protocol = self.row.proto;
        self.protocol(protocol);
    }

    /// A header that was captured as far as its source address still tells who sent it.
    #[cold]
    fn cut_ipv4(&mut self) {
        self.odd(Oddities::TRUNCATED_HEADER);
        let Some(head) = self.peek(16) else { return };
        if head[0] >> 4 == 4 && head[0] & 15 >= 5 {
            let mut dst = [0; 4];
            let rest = &self.rest()[16..];
            dst[..rest.len()].copy_from_slice(rest);
            self.addresses(Addr::v4(be32(head, 12)), Addr::v4(u32::from_be_bytes(dst)), head[8], head[1] >> 2);
            self.row.proto = head[9];
        }
    }

    /// As [`Walk::cut_ipv4`].
    #[cold]
    fn cut_ipv6(&mut self) {
        self.odd(Oddities::TRUNCATED_HEADER);
        let Some(head) = self.peek(24) else { return };
        if head[0] >> 4 == 6 {
            let mut dst = [0; 16];
            let rest = &self.rest()[24..];
            dst[..rest.len()].copy_from_slice(rest);
            self.addresses(Addr(be128(head, 8)), Addr::from_bytes(dst), head[7], (be16(head, 0) >> 6 & 0x3f) as u8);
            self.row.proto = head[6];
        }
    }

    /// Narrows the packet to its total length. True when the header says that nothing follows it.
    #[inline]
    fn bound_v4(&mut self, start: usize, header: usize, total: usize) -> bool {
        if total == 0 {
            // Segmentation offload leaves zero: the captured bytes tell the length.
            self.odd(Oddities::IP_TOTAL_LENGTH);
            return false;
        }
        if total < header {
            self.odd(Oddities::IP_TOTAL_LENGTH);
            return true;
        }
        self.claimed_end = start + total;
        if self.claimed_end <= self.end {
            self.end = self.claimed_end;
        } else if self.row.cap_len >= self.row.wire_len {
            self.odd(Oddities::IP_TOTAL_LENGTH);
        }
        total == header
    }

    /// Keeps the outermost addresses in the row, the first inner ones beside it. True for the outermost header.
    #[inline]
    fn addresses(&mut self, src: Addr, dst: Addr, ttl: u8, dscp: u8) -> bool {
        if self.row.has.has(Has::IP) {
            self.inner(src, dst);
            return false;
        }
        self.row.has.set(Has::IP);
        (self.row.src, self.row.dst, self.row.ttl, self.row.dscp) = (src, dst, ttl, dscp);
        if src == dst {
            self.odd(Oddities::SAME_ADDRESSES);
        }
        if impossible_sender(src) {
            self.odd(Oddities::BOGUS_SOURCE);
        }
        true
    }

    fn later_fragment(&mut self) {
        self.row.has.set(Has::LATER_FRAGMENT);
        self.payload();
    }

    /// IPv6 and its extension headers (RFC 8200).
    pub(crate) fn ipv6(&mut self) {
        let start = self.at;
        let Some(head) = self.peek(40) else { return self.cut_ipv6() };
        if head[0] >> 4 != 6 {
            return self.odd(Oddities::IP_VERSION);
        }
        self.at += 40;
        let (src, dst) = (Addr(be128(head, 8)), Addr(be128(head, 24)));
        self.addresses(src, dst, head[7], (be16(head, 0) >> 6 & 0x3f) as u8);
        let length = usize::from(be16(head, 4));
        let jumbo = length == 0 && head[6] == proto::HOP_BY_HOP;
        if !jumbo {
            self.claimed_end = start + 40 + length;
            if self.claimed_end <= self.end {
                self.end = self.claimed_end;
            } else if self.row.cap_len >= self.row.wire_len {
                self.odd(Oddities::IP_TOTAL_LENGTH);
            }
        }
        self.extensions(head[6]);
    }

    fn extensions(&mut self, mut next: u8) {
        for count in 0.. {
            self.row.proto = next;
            if count == EXTENSIONS_MAX {
                return self.odd(Oddities::EXTENSION_CHAIN);
            }
            if count == EXTENSIONS_PLAUSIBLE || next == proto::HOP_BY_HOP && count > 0 {
                self.odd(Oddities::EXTENSION_CHAIN);
            }
            match next {
                proto::HOP_BY_HOP | ROUTING | DESTINATION | MOBILITY | HOST_IDENTITY | SHIM6 => {
                    let Some(head) = self.peek(8) else { return self.odd(Oddities::TRUNCATED_HEADER) };
                    if next == ROUTING && head[2] == 0 {
                        self.odd(Oddities::IP_SOURCE_ROUTE);
                    }
                    next = head[0];
                    if self.take(8 + usize::from(head[1]) * 8).is_none() {
                        return;
                    }
                }
                FRAGMENT => {
                    let Some(head) = self.take(8) else { return };
                    next = head[0];
                    let field = be16(head, 2);
                    if field & 0xfff9 != 0 {
                        self.row.has.set(Has::FRAGMENT);
                        self.odd(Oddities::FRAGMENT);
                    }
                    if field & 0xfff8 != 0 {
                        self.row.proto = next;
                        return self.later_fragment();
                    }
                }
                NO_NEXT => return self.payload(),
                _ => return self.protocol(next),
            }
        }
    }
}

const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const NO_NEXT: u8 = 59;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
const HOST_IDENTITY: u8 = 139;
const SHIM6: u8 = 140;

/// Unspecified, loopback, multicast and limited broadcast addresses send nothing (RFC 1122, section 3.2.1.3; RFC 4291).
#[inline]
pub(crate) fn impossible_sender(src: Addr) -> bool {
    match src.as_v4() {
        Some(v4) => matches!(v4 >> 24, 0 | 127 | 224..=239 | 255),
        None => src.0 <= 1 || src.0 >> 120 == 0xff,
    }
}

/// Loose (131) or strict (137) source route among IPv4 options.
fn routes_by_source(mut options: &[u8]) -> bool {
    while let [kind, rest @ ..] = options {
        match (*kind, rest) {
            (0, _) => return false,
            (1, _) => options = rest,
            (131 | 137, _) => return true,
            (_, [length, ..]) if *length >= 2 => options = options.get(usize::from(*length)..).unwrap_or(&[]),
            _ => return false,
        }
    }
    false
}
