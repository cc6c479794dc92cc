//! Link layers that are seldom met: other media, and headers that capture programs put in front of another link layer.
//!
//! Sources: the registered descriptions at tcpdump.org ("Link-Layer Header Types"), RFC 1042, RFC 1051, RFC 1201,
//! RFC 2427 (Frame Relay), RFC 2684 (ATM), the PPI and Prism header descriptions.

use crate::capture::LinkType;
use crate::headers::{Walk, be16, be32};
use noroshi_model::packet::Oddities;

/// Bytes of a Frame Relay address, at most (Q.922).
const FRAME_RELAY_ADDRESS_MAX: usize = 4;
/// Length of a Prism monitoring header.
const PRISM_HEADER: usize = 144;
/// First word of a header that an AVS driver wrote, without its version nibble.
const AVS_MAGIC: u32 = 0x8021_1000;

#[allow(missing_docs)]
impl LinkType {
    pub const TOKEN_RING: LinkType = LinkType(6);
    pub const ARCNET: LinkType = LinkType(7);
    pub const FDDI: LinkType = LinkType(10);
    pub const ATM_RFC1483: LinkType = LinkType(100);
    pub const ATM_CLIP: LinkType = LinkType(106);
    pub const FRAME_RELAY: LinkType = LinkType(107);
    pub const ENC: LinkType = LinkType(109);
    pub const PFLOG: LinkType = LinkType(117);
    pub const PRISM: LinkType = LinkType(119);
    pub const IP_OVER_FC: LinkType = LinkType(122);
    pub const SUNATM: LinkType = LinkType(123);
    pub const ARCNET_LINUX: LinkType = LinkType(129);
    pub const IEEE802_11_AVS: LinkType = LinkType(163);
    pub const PPI: LinkType = LinkType(192);
    pub const PPP_WITH_DIR: LinkType = LinkType(204);
    pub const PKTAP: LinkType = LinkType(258);

    /// Bytes in front of each record's packet that tell about its capture and were never sent. Other programs leave them
    /// out of a packet's lengths, and so do we.
    pub(crate) fn pseudo_header(self) -> u32 {
        match self.0 {
            // ATM cell address, MTP2 with error byte, Bluetooth H4 with direction, Bluetooth of the Linux monitor.
            123 | 139 | 201 | 254 => 4,
            // IrDA and LAPD as cooked by Linux.
            144 | 177 => 16,
            // NFC LLCP.
            245 => 2,
            // PPP with direction.
            204 => 1,
            _ => 0,
        }
    }
}

/// Registered names of link types whose headers are not read, so that a report can name them.
pub(crate) fn registered_name(link: LinkType) -> Option<&'static str> {
    Some(match link.0 {
        3 => "AX.25",
        8 => "SLIP",
        15 => "SLIP (BSD/OS)",
        16 => "PPP (BSD/OS)",
        99 => "Symantec firewall",
        114 => "LocalTalk",
        123 => "SunATM",
        130..=137 => "Juniper",
        138 => "Apple IP over FireWire",
        139 => "SS7 MTP2 with pseudo-header",
        140 => "SS7 MTP2",
        141 => "SS7 MTP3",
        142 => "SS7 SCCP",
        143 => "DOCSIS",
        144 => "Linux IrDA",
        147..=162 => "private (USER0 to USER15)",
        164 | 178..=183 | 194 | 200 | 238 => "Juniper",
        165 => "BACnet MS/TP",
        166 => "PPP of pppd",
        169 => "GPRS LLC",
        177 => "Linux LAPD",
        186 => "USB (FreeBSD)",
        187 => "Bluetooth HCI H4",
        189 => "USB (Linux)",
        195 => "IEEE 802.15.4 with FCS",
        197 => "Endace ERF",
        199 => "IPMB",
        201 => "Bluetooth HCI H4 with direction",
        202 => "AX.25 with KISS",
        203 => "LAPD",
        205 => "Cisco HDLC with direction",
        206 => "Frame Relay with direction",
        209 => "IPMB (Linux)",
        210 => "FlexRay",
        212 => "LIN",
        215 => "IEEE 802.15.4 non-ASK",
        220 => "USB (Linux, memory-mapped)",
        224 => "Fibre Channel FC-2",
        225 => "Fibre Channel FC-2 with delimiters",
        226 => "Solaris IPNET",
        227 => "SocketCAN",
        230 => "IEEE 802.15.4 without FCS",
        231 => "D-Bus",
        235 => "DVB-CI",
        237 => "STANAG 5066",
        240 | 241 => "NetAnalyzer",
        242 => "IP over InfiniBand",
        243 => "MPEG-2 transport stream",
        244 => "ng4T",
        245 => "NFC LLCP",
        247 => "InfiniBand",
        248 => "SCTP",
        249 => "USBPcap",
        250 => "RTAC serial line",
        251 => "Bluetooth Low Energy",
        252 => "Wireshark upper PDU",
        253 => "Linux Netlink",
        254 => "Bluetooth (Linux monitor)",
        255 => "Bluetooth BR/EDR baseband",
        256 => "Bluetooth Low Energy with radio header",
        257 => "PROFIBUS",
        259 => "Ethernet PON",
        260 => "IPMI",
        261 => "Z-Wave R1/R2",
        262 => "Z-Wave R3",
        263 => "WattStopper DLM",
        264 => "ISO 14443",
        265 => "RDS",
        266 => "USB (macOS)",
        268 => "SDLC",
        270 => "LoRa",
        271 => "vSockets",
        272 => "Nordic Bluetooth Low Energy sniffer",
        273 => "DOCSIS 3.1",
        274 => "IEEE 802.3br mPackets",
        275 => "DisplayPort AUX",
        279 => "EBHSCR",
        280 => "VPP",
        281 | 282 => "Broadcom switch tag",
        283 => "IEEE 802.15.4 with TAP header",
        284 => "Marvell DSA",
        285 => "Marvell EDSA",
        288 => "USB 2.0",
        289 => "ATSC ALP",
        290 => "Event Tracing for Windows",
        _ => return None,
    })
}

impl Walk<'_> {
    /// Enters a frame of one of the rarer link types; others are left alone.
    #[cold]
    pub(crate) fn rare_link(&mut self, link: LinkType) {
        match link {
            LinkType::TOKEN_RING => self.token_ring(),
            LinkType::ARCNET => self.arcnet(2),
            LinkType::ARCNET_LINUX => self.arcnet(4),
            LinkType::FDDI => self.fddi(),
            LinkType::ATM_RFC1483 => self.llc(),
            LinkType::ATM_CLIP => self.classical_ip(),
            LinkType::FRAME_RELAY => self.frame_relay(),
            LinkType::ENC => self.behind(12),
            LinkType::PFLOG => self.packet_filter_log(),
            LinkType::PRISM => self.prism(),
            LinkType::IP_OVER_FC => self.behind_llc(16),
            LinkType::IEEE802_11_AVS => self.avs(),
            LinkType::PPI => self.per_packet_information(),
            LinkType::PPP_WITH_DIR => self.ppp(),
            LinkType::PKTAP => self.pktap(),
            _ => {}
        }
    }

    /// IP behind a header of fixed length.
    fn behind(&mut self, header: usize) {
        if self.take(header).is_some() {
            self.ip_by_nibble();
        }
    }

    /// LLC behind a header of fixed length.
    fn behind_llc(&mut self, header: usize) {
        if self.take(header).is_some() {
            self.llc();
        }
    }

    /// IEEE 802.5: access and frame control, two addresses, a route when the first bit of the source is set.
    fn token_ring(&mut self) {
        let Some(head) = self.take(14) else { return };
        let llc_frame = head[1] & 0xc0 == 0x40;
        if head[8] & 0x80 != 0 {
            let Some(route) = self.peek(2) else { return };
            let length = usize::from(route[0] & 0x1f);
            if length < 2 || self.take(length).is_none() {
                return self.odd(Oddities::TRUNCATED_HEADER);
            }
        }
        if llc_frame {
            self.llc();
        }
    }

    /// FDDI: frame control and two addresses; only LLC frames carry IP.
    fn fddi(&mut self) {
        let Some(head) = self.take(13) else { return };
        if head[0] & 0x70 == 0x50 {
            self.llc();
        }
    }

    /// ARCNET: addresses (and an offset, as Linux gives them), then the protocol.
    fn arcnet(&mut self, addresses: usize) {
        const IP_1051: u8 = 0xf0;
        const IP_1201: u8 = 0xd4;
        const IPV6_1201: u8 = 0xc4;
        let Some(head) = self.take(addresses + 1) else { return };
        match head[addresses] {
            IP_1051 => self.ipv4(),
            kind @ (IP_1201 | IPV6_1201) => {
                let Some(&[split]) = self.peek(1) else { return };
                // An exception packet repeats the split flag behind four bytes of padding.
                let Some(head) = self.take(if split == 0xff { 7 } else { 3 }) else { return };
                let split = head[head.len() - 3];
                // Later pieces of a split packet have an even flag, never zero.
                if split != 0 && split & 1 == 0 {
                    return;
                }
                if kind == IP_1201 { self.ipv4() } else { self.ipv6() }
            }
            _ => {}
        }
    }

    /// Classical IP over ATM: LLC when it is there, else IP at once.
    fn classical_ip(&mut self) {
        if let Some([0xaa, 0xaa, 3]) = self.peek(3) { self.llc() } else { self.ip_by_nibble() }
    }

    /// Frame Relay (RFC 2427), or Cisco's way with an ethertype behind the address.
    fn frame_relay(&mut self) {
        const UNNUMBERED: u8 = 3;
        for length in 1..=FRAME_RELAY_ADDRESS_MAX {
            let Some(byte) = self.take(1) else { return };
            if byte[0] & 1 == 1 {
                break;
            }
            if length == FRAME_RELAY_ADDRESS_MAX {
                return;
            }
        }
        let Some(&[control, protocol]) = self.peek(2) else { return };
        if control != UNNUMBERED {
            self.at += 2;
            return self.ethertype(u16::from_be_bytes([control, protocol]));
        }
        self.at += 1;
        if protocol == 0 {
            self.at += 1;
        }
        match self.take(1) {
            Some([0xcc]) => self.ipv4(),
            Some([0x8e]) => self.ipv6(),
            Some([0x80]) => {
                if let Some([0, 0, 0, high, low]) = self.peek(5) {
                    let kind = u16::from_be_bytes([*high, *low]);
                    self.at += 5;
                    self.ethertype(kind);
                }
            }
            _ => {}
        }
    }

    /// OpenBSD's packet filter log: its first byte is the header's length, to be rounded up to four.
    fn packet_filter_log(&mut self) {
        let Some(head) = self.peek(2) else { return };
        self.behind(usize::from(head[0]).next_multiple_of(4));
    }

    fn prism(&mut self) {
        let Some(head) = self.peek(4) else { return };
        if be32(head, 0) & 0xffff_f000 == AVS_MAGIC {
            return self.avs();
        }
        if self.take(PRISM_HEADER).is_some() {
            self.wlan();
        }
    }

    fn avs(&mut self) {
        let Some(head) = self.peek(8) else { return };
        if self.take(be32(head, 4) as usize).is_some() {
            self.wlan();
        }
    }

    /// Per-Packet Information: little-endian length and inner link type.
    fn per_packet_information(&mut self) {
        let Some(head) = self.peek(8) else { return };
        let (length, inner) = (u16::from_le_bytes([head[2], head[3]]), u16::from_le_bytes([head[4], head[5]]));
        self.inner_link(usize::from(length), 8, inner);
    }

    /// Apple's PKTAP: little-endian length, and the inner link type at offset 8.
    fn pktap(&mut self) {
        let Some(head) = self.peek(12) else { return };
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        self.inner_link(length as usize, 12, u16::from_le_bytes([head[8], head[9]]));
    }

    /// Steps over a header that names the link type of what follows.
    fn inner_link(&mut self, length: usize, least: usize, inner: u16) {
        if length < least {
            return self.odd(Oddities::TRUNCATED_HEADER);
        }
        if self.take(length).is_some() && self.descend() {
            self.link(LinkType(inner));
        }
    }

    /// Cisco FabricPath: a tag of two bytes, then the frame as its host sent it.
    pub(crate) fn fabric_path(&mut self) {
        if self.take(2).is_some() {
            self.ethernet();
        }
    }

    /// Provider backbone bridges (IEEE 802.1ah): a service tag, then the customer's frame.
    pub(crate) fn backbone(&mut self) {
        if self.take(4).is_some() {
            self.ethernet();
        }
    }

    /// IEEE 802.1AE frames that are signed but not encrypted.
    pub(crate) fn macsec(&mut self) {
        let Some(head) = self.peek(6) else { return };
        let (encrypted, has_channel) = (head[0] & 0x0c != 0, head[0] & 0x20 != 0);
        if encrypted || self.take(if has_channel { 14 } else { 6 }).is_none() {
            return;
        }
        let Some(kind) = self.take(2) else { return };
        let kind = be16(kind, 0);
        self.ethertype(kind);
    }
}
