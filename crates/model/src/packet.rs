//! One observed packet, and batches of them.
//!
//! A [`Packet`] is a fixed-size row, the hot currency between decoder, detectors and tables. What few packets have
//! (tunnels, tags, quoted headers, unusual TCP options) stands in [`Rare`] beside the rows. Captured payload bytes stay
//! in the batch's arena and are referred to by offset, so decoding copies no payload.

use crate::{Addr, Nanos};
use std::fmt;
use std::sync::Arc;

macro_rules! bits {
    ($(#[$meta:meta])* $name:ident: $repr:ty { $($(#[$item_meta:meta])* $item:ident = $bit:literal, $code:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Default, Hash, Debug)]
        pub struct $name(pub $repr);
        impl $name {
            $($(#[$item_meta])* pub const $item: $name = $name(1 << $bit);)*
            /// Every bit with its stable kebab-case code, lowest first.
            pub const NAMES: &'static [($name, &'static str)] = &[$(($name::$item, $code),)*];
            /// No bit set.
            pub const EMPTY: $name = $name(0);
            /// Whether all bits of `other` are set.
            #[inline]
            pub const fn has(self, other: $name) -> bool { self.0 & other.0 == other.0 }
            /// Whether any bit is set.
            #[inline]
            pub const fn any(self) -> bool { self.0 != 0 }
            /// Sets the bits of `other`.
            #[inline]
            pub fn set(&mut self, other: $name) { self.0 |= other.0; }
            /// The codes of the bits that are set.
            pub fn codes(self) -> impl Iterator<Item = &'static str> {
                Self::NAMES.iter().filter(move |(bit, _)| self.has(*bit)).map(|(_, code)| *code)
            }
        }
        impl std::ops::BitOr for $name {
            type Output = $name;
            #[inline]
            fn bitor(self, other: $name) -> $name { $name(self.0 | other.0) }
        }
    };
}

bits! {
    /// Which header fields this packet has; a field whose bit is clear is null in tables.
    Has: u16 {
        /// An IP header: addresses, `ttl`, `dscp`, `proto`.
        IP = 0, "ip";
        /// Transport ports.
        PORTS = 1, "ports";
        /// A TCP header of at least 20 bytes.
        TCP = 2, "tcp";
        /// ICMP or ICMPv6 type and code.
        ICMP = 3, "icmp";
        /// The IPv4 identification field.
        IP_ID = 4, "ip-id";
        /// The MSS option of TCP.
        MSS = 5, "mss";
        /// A capture time (simple packet blocks of pcapng carry none).
        TIME = 6, "time";
        /// Any fragment, the first one included.
        FRAGMENT = 7, "fragment";
        /// A fragment other than the first one.
        LATER_FRAGMENT = 8, "later-fragment";
    }
}

bits! {
    /// What is odd about a packet. A malformed packet is an observation, not an error.
    Oddities: u32 {
        /// Captured bytes end before a header does.
        TRUNCATED_HEADER = 0, "truncated-header";
        /// The snapshot length cut the packet short.
        SNAPPED = 1, "snapped";
        /// Version nibble and link-layer type disagree.
        IP_VERSION = 2, "ip-version";
        /// Header length below the minimum.
        IP_HEADER_LENGTH = 3, "ip-header-length";
        /// Total or payload length does not fit the bytes that were there.
        IP_TOTAL_LENGTH = 4, "ip-total-length";
        /// IPv4 options are present.
        IP_OPTIONS = 5, "ip-options";
        /// Source routing option or routing header.
        IP_SOURCE_ROUTE = 6, "ip-source-route";
        /// More nested headers than the depth budget allows.
        TOO_DEEP = 7, "too-deep";
        /// A fragment of IPv4 or IPv6.
        FRAGMENT = 8, "fragment";
        /// Fragments too small to hold the transport header.
        TINY_FRAGMENT = 9, "tiny-fragment";
        /// TCP data offset below 5 or past the packet.
        TCP_HEADER_LENGTH = 10, "tcp-header-length";
        /// TCP options that do not parse.
        TCP_OPTIONS = 11, "tcp-options";
        /// Flags that no stack sends together (SYN with FIN or RST, or none at all).
        TCP_FLAGS = 12, "tcp-flags";
        /// UDP length below 8 or past the packet.
        UDP_LENGTH = 13, "udp-length";
        /// Port zero.
        PORT_ZERO = 14, "port-zero";
        /// Source and destination address are equal.
        SAME_ADDRESSES = 15, "same-addresses";
        /// Source address that cannot be a real sender (unspecified, loopback, multicast, broadcast).
        BOGUS_SOURCE = 16, "bogus-source";
        /// The packet quoted by an ICMP error is cut short or malformed.
        QUOTE = 17, "quote";
        /// The time lies outside 1990 to 2100.
        TIME = 18, "time";
        /// Original length smaller than captured length.
        WIRE_LENGTH = 19, "wire-length";
        /// Sub-second part of the time is a second or more.
        SUBSECOND = 20, "subsecond";
        /// IPv6 extension headers out of order or repeated past reason.
        EXTENSION_CHAIN = 21, "extension-chain";
        /// SYN that carries payload.
        SYN_PAYLOAD = 22, "syn-payload";
        /// The sensor's clock was far from the hub's when it captured this; the order of records is not in doubt.
        CLOCK_SUSPECT = 23, "clock-suspect";
    }
}

bits! {
    /// Which scanner fingerprints this one packet satisfies (methods G). One packet proves nothing.
    ToolBits: u16 {
        /// Sequence number equals the destination address: Mirai and kin.
        MIRAI = 0, "mirai";
        /// IPv4 identification 54321: ZMap until 2024 and its forks.
        ZMAP_OLD = 1, "zmap-old";
        /// Shape of a ZMap probe since 2024 (window 65535, high TTL, Windows-like options, port 32768-61000).
        ZMAP_NEW = 2, "zmap-new";
        /// Identification is the low half of destination xor port xor sequence: masscan.
        MASSCAN = 3, "masscan";
        /// High TTL, window 1024, MSS 1460 or no options: masscan's shape in any version.
        MASSCAN_SHAPE = 4, "masscan-shape";
        /// Window 1024, options exactly MSS 1460, TTL that started at 37-59: nmap SYN scan.
        NMAP_SYN = 5, "nmap-syn";
        /// SYN with an unlikely stack: identification 54321, TTL above 200 or no options.
        IRREGULAR_SYN = 6, "irregular-syn";
        /// Sequence number whose halves are equal once keyed (Ghiette et al. 2016): nmap.
        NMAP_HALVES = 7, "nmap-halves";
    }
}

/// TCP flag bits as on the wire.
pub mod tcp {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Opens a connection.
    pub const SYN: u8 = 0x02;
    /// Refuses or aborts.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// Acknowledges.
    pub const ACK: u8 = 0x10;
    /// Urgent.
    pub const URG: u8 = 0x20;
    /// ECN echo.
    pub const ECE: u8 = 0x40;
    /// Congestion window reduced.
    pub const CWR: u8 = 0x80;
}

/// IP protocol numbers that the code names.
pub mod proto {
    /// Hop-by-hop options of IPv6.
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// IPv4 in IP.
    pub const IPIP: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 in IP.
    pub const IPV6: u8 = 41;
    /// GRE.
    pub const GRE: u8 = 47;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// SCTP.
    pub const SCTP: u8 = 132;
}

/// The transport a packet counts under: the first of these met walking inward, never into an ICMP quote.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, PartialOrd, Ord)]
#[repr(u8)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP for IPv4.
    Icmp,
    /// ICMPv6.
    Icmpv6,
    /// SCTP.
    Sctp,
    /// Everything else, later fragments included.
    #[default]
    Other,
}

/// How far the sender's address is proven.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Evidence {
    /// Anyone may have written this source address.
    #[default]
    Spoofable = 0,
    /// The sender answered a challenge.
    ChallengeVerified = 1,
    /// A TCP handshake was completed.
    Handshake = 2,
}

/// The outermost tunnel a packet was carried in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
#[repr(u8)]
pub enum Tunnel {
    /// Generic routing encapsulation (RFC 2784, RFC 2890).
    Gre,
    /// IPv4 or IPv6 in IPv4 (RFC 2003) or IPv4 in IPv6.
    IpIp,
    /// IPv6 in IPv4 (RFC 4213).
    SixInFour,
    /// Multiprotocol label switching (RFC 3032).
    Mpls,
    /// VXLAN (RFC 7348).
    Vxlan,
    /// Geneve (RFC 8926).
    Geneve,
    /// Encapsulated remote switched port analyser, types I to III.
    Erspan,
    /// Teredo (RFC 4380).
    Teredo,
    /// GTP-U (3GPP TS 29.281).
    Gtp,
    /// PPP over Ethernet session (RFC 2516).
    Pppoe,
    /// IPv6 in IPv6 or IPv4 in IPv6 (RFC 2473).
    IpInIpv6,
}

impl Tunnel {
    /// Stable lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Tunnel::Gre => "gre",
            Tunnel::IpIp => "ipip",
            Tunnel::SixInFour => "6in4",
            Tunnel::Mpls => "mpls",
            Tunnel::Vxlan => "vxlan",
            Tunnel::Geneve => "geneve",
            Tunnel::Erspan => "erspan",
            Tunnel::Teredo => "teredo",
            Tunnel::Gtp => "gtp",
            Tunnel::Pppoe => "pppoe",
            Tunnel::IpInIpv6 => "ip-in-ipv6",
        }
    }

    /// All kinds, in the order of their numbers.
    pub const ALL: [Tunnel; 11] = [
        Tunnel::Gre,
        Tunnel::IpIp,
        Tunnel::SixInFour,
        Tunnel::Mpls,
        Tunnel::Vxlan,
        Tunnel::Geneve,
        Tunnel::Erspan,
        Tunnel::Teredo,
        Tunnel::Gtp,
        Tunnel::Pppoe,
        Tunnel::IpInIpv6,
    ];
}

/// TCP option kinds in the order they stood, at most sixteen, packed four bits each (lowest first).
///
/// Text: `M` MSS, `S` SACK-permitted, `T` timestamp, `N` NOP, `W` window scale, `E` end of list, `[n]` any other kind.
/// Lists that do not fit (a kind without a code, or more than sixteen) are kept as text in [`Rare::tcp_options`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, PartialOrd, Ord)]
pub struct OptionKinds(pub u64);

impl OptionKinds {
    /// No options.
    pub const NONE: OptionKinds = OptionKinds(0);
    /// Marks a list that is kept as text in [`Rare`].
    pub const AS_TEXT: OptionKinds = OptionKinds(u64::MAX);
    const CODES: [(u8, &'static str); 14] = [
        (2, "M"),
        (4, "S"),
        (8, "T"),
        (1, "N"),
        (3, "W"),
        (0, "E"),
        (5, "[5]"),
        (19, "[19]"),
        (34, "[34]"),
        (30, "[30]"),
        (28, "[28]"),
        (29, "[29]"),
        (253, "[253]"),
        (254, "[254]"),
    ];

    /// The packed code of an option kind, 1 to 14, when it has one.
    #[inline]
    pub fn code(kind: u8) -> Option<u64> {
        Some(match kind {
            2 => 1,
            4 => 2,
            8 => 3,
            1 => 4,
            3 => 5,
            0 => 6,
            5 => 7,
            19 => 8,
            34 => 9,
            30 => 10,
            28 => 11,
            29 => 12,
            253 => 13,
            254 => 14,
            _ => return None,
        })
    }

    /// Whether the text stands in [`Rare::tcp_options`].
    pub const fn is_text(self) -> bool {
        self.0 == u64::MAX
    }

    /// The letter or bracketed number of one option kind.
    pub fn letter(kind: u8) -> String {
        Self::CODES.iter().find(|(k, _)| *k == kind).map_or_else(|| format!("[{kind}]"), |(_, text)| (*text).to_owned())
    }

    /// Packs a text made by `Display`; `None` when a kind in it has no code or there are too many.
    pub fn parse(text: &str) -> Option<Self> {
        let (mut rest, mut packed, mut shift) = (text, 0u64, 0);
        while !rest.is_empty() {
            let at = Self::CODES.iter().position(|(_, code)| rest.starts_with(code))?;
            if shift == 64 {
                return None;
            }
            packed |= (at as u64 + 1) << shift;
            shift += 4;
            rest = &rest[Self::CODES[at].1.len()..];
        }
        Some(OptionKinds(packed))
    }
}

impl fmt::Display for OptionKinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while rest != 0 {
            let code = (rest & 15) as usize;
            if code == 0 || code > Self::CODES.len() {
                break;
            }
            f.write_str(Self::CODES[code - 1].1)?;
            rest >>= 4;
        }
        Ok(())
    }
}

/// No entry in [`PacketBatch::rare`].
pub const NO_RARE: u32 = u32::MAX;

/// One packet. Fields whose [`Has`] bit is clear are zero and mean nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Outermost source address.
    pub src: Addr,
    /// Outermost destination address.
    pub dst: Addr,
    /// Capture time.
    pub ts: Nanos,
    /// TCP option kinds in order.
    pub options: OptionKinds,
    /// TCP sequence number.
    pub seq: u32,
    /// TCP acknowledgement number.
    pub ack: u32,
    /// Bytes of the packet on the wire, link layer included.
    pub wire_len: u32,
    /// Bytes that were captured.
    pub cap_len: u32,
    /// Transport payload bytes by the headers' account.
    pub payload_len: u32,
    /// Where the captured payload starts in the batch's arena.
    pub payload_at: u32,
    /// Captured payload bytes, at most 65,535.
    pub payload_cap: u16,
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
    /// TCP window as on the wire, not scaled.
    pub window: u16,
    /// IPv4 identification.
    pub ip_id: u16,
    /// TCP maximum segment size option.
    pub mss: u16,
    /// Which fields are present.
    pub has: Has,
    /// Fingerprints this packet satisfies.
    pub tool_bits: ToolBits,
    /// What is odd.
    pub oddities: Oddities,
    /// Index into [`PacketBatch::rare`], or [`NO_RARE`].
    pub rare: u32,
    /// IP protocol of the transport reached walking inward.
    pub proto: u8,
    /// TCP flags.
    pub tcp_flags: u8,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// ICMP or ICMPv6 type.
    pub icmp_type: u8,
    /// ICMP or ICMPv6 code.
    pub icmp_code: u8,
    /// Differentiated services code point.
    pub dscp: u8,
    /// How far the source is proven.
    pub evidence: Evidence,
    /// What the packet counts under.
    pub transport: Transport,
}

impl Packet {
    /// A packet of which nothing is known.
    pub const BLANK: Packet = Packet {
        src: Addr::NONE,
        dst: Addr::NONE,
        ts: Nanos(0),
        options: OptionKinds::NONE,
        seq: 0,
        ack: 0,
        wire_len: 0,
        cap_len: 0,
        payload_len: 0,
        payload_at: 0,
        payload_cap: 0,
        sport: 0,
        dport: 0,
        window: 0,
        ip_id: 0,
        mss: 0,
        has: Has::EMPTY,
        tool_bits: ToolBits::EMPTY,
        oddities: Oddities::EMPTY,
        rare: NO_RARE,
        proto: 0,
        tcp_flags: 0,
        ttl: 0,
        icmp_type: 0,
        icmp_code: 0,
        dscp: 0,
        evidence: Evidence::Spoofable,
        transport: Transport::Other,
    };

    /// 4, 6, or 0 for a packet without an IP header.
    #[inline]
    pub fn family(&self) -> u8 {
        if self.has.has(Has::IP) { self.src.family() } else { 0 }
    }
}

/// The head of the packet that an ICMP error quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Quoted {
    /// Quoted source address.
    pub src: Addr,
    /// Quoted destination address.
    pub dst: Addr,
    /// Quoted protocol.
    pub proto: u8,
    /// Quoted ports, when enough bytes were quoted.
    pub ports: Option<(u16, u16)>,
}

/// What few packets have.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Rare {
    /// Outermost VLAN id.
    pub vlan: Option<u16>,
    /// Outermost tunnel.
    pub tunnel: Option<Tunnel>,
    /// First inner source and destination.
    pub inner: Option<(Addr, Addr)>,
    /// Packet quoted by an ICMP error.
    pub quoted: Option<Quoted>,
    /// Option kinds that [`OptionKinds`] cannot hold, as text.
    pub tcp_options: Option<Box<str>>,
}

/// Packets of one input, in its order.
#[derive(Clone, Debug, Default)]
pub struct PacketBatch {
    /// Name of the sensor; empty for files.
    pub sensor: Arc<str>,
    /// Which input of the run this is from.
    pub file: u32,
    /// Ordinal of `rows[0]` in its input, counted from 0.
    pub first_position: u64,
    /// The packets.
    pub rows: Vec<Packet>,
    /// What few of them have.
    pub rare: Vec<Rare>,
    /// Bytes that `payload_at` points into.
    pub arena: Vec<u8>,
}

impl PacketBatch {
    /// Captured transport payload of a row of this batch.
    #[inline]
    pub fn payload(&self, row: &Packet) -> &[u8] {
        let start = row.payload_at as usize;
        self.arena.get(start..start + row.payload_cap as usize).unwrap_or(&[])
    }

    /// What is rare about a row of this batch.
    #[inline]
    pub fn rare(&self, row: &Packet) -> Option<&Rare> {
        self.rare.get(row.rare as usize)
    }

    /// TCP option kinds of a row as text.
    pub fn options_text(&self, row: &Packet) -> String {
        if row.options.is_text() {
            self.rare(row).and_then(|rare| rare.tcp_options.as_deref()).unwrap_or_default().to_owned()
        } else {
            row.options.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn option_kinds_round_trip() {
        let kinds = [2u8, 4, 8, 1, 3];
        let packed = kinds.iter().enumerate().fold(0, |sum, (i, k)| sum | OptionKinds::code(*k).unwrap() << (4 * i));
        assert_eq!(OptionKinds(packed).to_string(), "MSTNW");
        assert_eq!(OptionKinds::parse("MSTNW"), Some(OptionKinds(packed)));
        assert_eq!(OptionKinds::parse("M[19]N"), Some(OptionKinds(0x481)));
        assert_eq!(OptionKinds::parse("M[77]"), None);
        assert_eq!(OptionKinds::code(77), None);
    }

    #[test]
    fn a_row_stays_two_cache_lines() {
        assert!(size_of::<Packet>() <= 128, "{}", size_of::<Packet>());
    }
}
