//! Link layers: from the frame to the network header.

use crate::capture::LinkType;
use crate::headers::{Walk, be16, be32};
use crate::link_rare::registered_name;
use noroshi_model::packet::Oddities;

/// Link types that are understood, by their registered numbers (tcpdump.org, "Link-Layer Header Types").
#[allow(missing_docs)]
impl LinkType {
    pub const NULL: LinkType = LinkType(0);
    pub const ETHERNET: LinkType = LinkType(1);
    pub const PPP: LinkType = LinkType(9);
    pub const RAW_BSD: LinkType = LinkType(12);
    pub const RAW_OPENBSD: LinkType = LinkType(14);
    pub const PPP_HDLC: LinkType = LinkType(50);
    pub const PPP_ETHER: LinkType = LinkType(51);
    pub const RAW: LinkType = LinkType(101);
    pub const C_HDLC: LinkType = LinkType(104);
    pub const IEEE802_11: LinkType = LinkType(105);
    pub const LOOP: LinkType = LinkType(108);
    pub const LINUX_SLL: LinkType = LinkType(113);
    pub const IEEE802_11_RADIOTAP: LinkType = LinkType(127);
    pub const IPV4: LinkType = LinkType(228);
    pub const IPV6: LinkType = LinkType(229);
    pub const NFLOG: LinkType = LinkType(239);
    pub const LINUX_SLL2: LinkType = LinkType(276);

    /// Name and whether packets of it are decoded.
    pub fn describe(self) -> (String, bool) {
        let name = match self {
            LinkType::NULL => "NULL (BSD loopback)",
            LinkType::ETHERNET => "Ethernet",
            LinkType::PPP | LinkType::PPP_HDLC => "PPP",
            LinkType::PPP_ETHER => "PPPoE",
            LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD => "raw IP",
            LinkType::C_HDLC => "Cisco HDLC",
            LinkType::IEEE802_11 => "802.11",
            LinkType::LOOP => "OpenBSD loopback",
            LinkType::LINUX_SLL => "Linux cooked",
            LinkType::IEEE802_11_RADIOTAP => "802.11 with radiotap",
            LinkType::IPV4 => "raw IPv4",
            LinkType::IPV6 => "raw IPv6",
            LinkType::NFLOG => "NFLOG",
            LinkType::LINUX_SLL2 => "Linux cooked version 2",
            LinkType::TOKEN_RING => "token ring",
            LinkType::ARCNET | LinkType::ARCNET_LINUX => "ARCNET",
            LinkType::FDDI => "FDDI",
            LinkType::ATM_RFC1483 => "ATM (RFC 2684)",
            LinkType::ATM_CLIP => "classical IP over ATM",
            LinkType::FRAME_RELAY => "Frame Relay",
            LinkType::ENC => "OpenBSD encapsulating interface",
            LinkType::PFLOG => "OpenBSD packet filter log",
            LinkType::PRISM => "802.11 with Prism header",
            LinkType::IP_OVER_FC => "IP over Fibre Channel",
            LinkType::IEEE802_11_AVS => "802.11 with AVS header",
            LinkType::PPI => "Per-Packet Information",
            LinkType::PPP_WITH_DIR => "PPP with direction",
            LinkType::PKTAP => "Apple PKTAP",
            LinkType(other) => {
                let name = registered_name(self);
                return (name.map_or_else(|| format!("number {other}"), |name| format!("{other} ({name})")), false);
            }
        };
        (name.to_owned(), true)
    }
}

/// Ethertypes that are understood.
pub(crate) mod ethertype {
    pub(crate) const IPV4: u16 = 0x0800;
    pub(crate) const IPV6: u16 = 0x86dd;
    pub(crate) const VLAN: u16 = 0x8100;
    pub(crate) const QINQ: u16 = 0x88a8;
    pub(crate) const QINQ_OLD_1: u16 = 0x9100;
    pub(crate) const QINQ_OLD_2: u16 = 0x9200;
    pub(crate) const MPLS: u16 = 0x8847;
    pub(crate) const MPLS_MULTICAST: u16 = 0x8848;
    pub(crate) const PPPOE_SESSION: u16 = 0x8864;
    pub(crate) const TRANSPARENT_ETHERNET: u16 = 0x6558;
    pub(crate) const PPP: u16 = 0x880b;
    pub(crate) const MACSEC: u16 = 0x88e5;
    pub(crate) const BACKBONE: u16 = 0x88e7;
    pub(crate) const FABRIC_PATH: u16 = 0x8903;
    pub(crate) const ERSPAN_1_2: u16 = 0x88be;
    pub(crate) const ERSPAN_3: u16 = 0x22eb;
}

impl Walk<'_> {
    /// Enters the frame through its link layer.
    #[inline]
    pub(crate) fn link(&mut self, link: LinkType) {
        match link {
            LinkType::ETHERNET => self.ethernet(),
            LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD | LinkType::IPV4 | LinkType::IPV6 => {
                self.ip_by_nibble()
            }
            LinkType::NULL => self.loopback(false),
            LinkType::LOOP => self.loopback(true),
            LinkType::LINUX_SLL => self.cooked(16, 14),
            LinkType::LINUX_SLL2 => self.cooked(20, 0),
            LinkType::NFLOG => self.nflog(),
            LinkType::IEEE802_11 => self.wlan(),
            LinkType::IEEE802_11_RADIOTAP => self.radiotap(),
            LinkType::PPP | LinkType::PPP_HDLC => self.ppp(),
            LinkType::PPP_ETHER => self.pppoe(),
            LinkType::C_HDLC => self.cisco_hdlc(),
            _ => self.rare_link(link),
        }
    }

    /// IEEE 802.3, Ethernet II or LLC/SNAP.
    #[inline]
    pub(crate) fn ethernet(&mut self) {
        let Some(head) = self.take(14) else { return };
        let kind = be16(head, 12);
        if kind >= 0x600 { self.ethertype(kind) } else { self.llc() }
    }

    /// IEEE 802.2: a SNAP header that carries an ethertype (RFC 1042, and IEEE 802.1H with its own code), or IP itself.
    pub(crate) fn llc(&mut self) {
        if let Some([0xaa, 0xaa, 3, 0, 0, 0 | 0xf8, high, low]) = self.peek(8) {
            let kind = u16::from_be_bytes([*high, *low]);
            self.at += 8;
            self.ethertype(kind);
        } else if let Some([6, 6, 3]) = self.peek(3) {
            self.at += 3;
            self.ipv4();
        }
    }

    /// Goes on by ethertype.
    pub(crate) fn ethertype(&mut self, kind: u16) {
        if !self.descend() {
            return;
        }
        match kind {
            ethertype::IPV4 => self.ipv4(),
            ethertype::IPV6 => self.ipv6(),
            ethertype::VLAN | ethertype::QINQ | ethertype::QINQ_OLD_1 | ethertype::QINQ_OLD_2 => self.vlan(),
            ethertype::MPLS | ethertype::MPLS_MULTICAST => self.mpls(),
            ethertype::PPPOE_SESSION => self.pppoe(),
            ethertype::TRANSPARENT_ETHERNET => self.ethernet(),
            ethertype::PPP => self.ppp(),
            ethertype::FABRIC_PATH => self.fabric_path(),
            ethertype::BACKBONE => self.backbone(),
            ethertype::MACSEC => self.macsec(),
            _ => {}
        }
    }

    fn vlan(&mut self) {
        let Some(tag) = self.take(4) else { return };
        let (control, kind) = (be16(tag, 0), be16(tag, 2));
        self.rare_mut().vlan.get_or_insert(control & 0xfff);
        if kind >= 0x600 { self.ethertype(kind) } else { self.llc() }
    }

    /// Loopback: the address family as a number, in the byte order of the machine that captured, or big-endian.
    fn loopback(&mut self, big_endian: bool) {
        if let Some([0xff, 3]) = self.peek(2) {
            return self.ppp();
        }
        let Some(head) = self.take(4) else { return };
        let value = be32(head, 0);
        let family = if big_endian || value < 0x1_0000 { value } else { value.swap_bytes() };
        match family {
            2 => self.ipv4(),
            // AF_INET6 of NetBSD and OpenBSD, FreeBSD, macOS, Linux and Windows.
            24 | 28 | 30 | 10 | 23 => self.ipv6(),
            // Some systems leave an ethertype in the last two bytes.
            _ => self.ethertype(be16(head, 2)),
        }
    }

    fn cooked(&mut self, length: usize, protocol_at: usize) {
        let Some(head) = self.take(length) else { return };
        let kind = be16(head, protocol_at);
        match kind {
            4 => self.llc(),
            _ => self.ethertype(kind),
        }
    }

    /// NFLOG: type-length-value items in the byte order of the machine that captured; item 9 is the packet.
    fn nflog(&mut self) {
        let Some(head) = self.take(4) else { return };
        let family = head[0];
        for _ in 0..64 {
            let Some(item) = self.peek(4) else { return };
            let native = |at: usize| u16::from_le_bytes([item[at], item[at + 1]]);
            let swapped = |at: usize| be16(item, at);
            // The type is below 256, so its zero byte tells the order.
            let (length, kind) =
                if item[2] == 0 && item[3] != 0 { (swapped(0), swapped(2)) } else { (native(0), native(2)) };
            if length < 4 {
                self.odd(Oddities::TRUNCATED_HEADER);
                return;
            }
            if kind & 0x7fff == 9 {
                self.at += 4;
                return match family {
                    2 => self.ipv4(),
                    10 => self.ipv6(),
                    _ => self.ip_by_nibble(),
                };
            }
            if self.take((length as usize).next_multiple_of(4)).is_none() {
                return;
            }
        }
    }

    fn radiotap(&mut self) {
        let Some(head) = self.peek(4) else { return };
        let length = u16::from_le_bytes([head[2], head[3]]) as usize;
        if length < 8 {
            return self.odd(Oddities::TRUNCATED_HEADER);
        }
        if self.take(length).is_some() {
            self.wlan();
        }
    }

    /// IEEE 802.11 data frames that are not encrypted (IEEE 802.11-2020, section 9.3.2).
    pub(crate) fn wlan(&mut self) {
        let Some(head) = self.peek(24) else { return };
        let (control, flags) = (head[0], head[1]);
        let (kind, subtype) = (control >> 2 & 3, control >> 4);
        let (null_data, protected) = (subtype & 4 != 0, flags & 0x40 != 0);
        if kind != 2 || null_data || protected || control & 3 != 0 {
            return;
        }
        let four_addresses = flags & 3 == 3;
        let quality_of_service = subtype & 8 != 0;
        let has_ht_control = quality_of_service && flags & 0x80 != 0;
        let length = 24
            + 6 * usize::from(four_addresses)
            + 2 * usize::from(quality_of_service)
            + 4 * usize::from(has_ht_control);
        let Some(head) = self.take(length) else { return };
        let aggregated = quality_of_service && head[24 + 6 * usize::from(four_addresses)] & 0x80 != 0;
        if aggregated && self.take(14).is_none() {
            return;
        }
        self.llc();
    }

    /// PPP, with or without the HDLC address and control bytes (RFC 1661, RFC 1662).
    pub(crate) fn ppp(&mut self) {
        match self.peek(2) {
            Some([0xff, 3]) => self.at += 2,
            // Cisco's HDLC on a line that was taken for PPP.
            Some([0x0f | 0x8f, 0]) => return self.cisco_hdlc(),
            _ => {}
        }
        let Some(&[first]) = self.peek(1) else { return };
        let protocol = if first & 1 == 1 {
            self.at += 1;
            u16::from(first)
        } else {
            let Some(head) = self.take(2) else { return };
            be16(head, 0)
        };
        match protocol {
            0x0021 => self.ethertype(ethertype::IPV4),
            0x0057 => self.ethertype(ethertype::IPV6),
            0x0281 => self.ethertype(ethertype::MPLS),
            _ => {}
        }
    }

    fn cisco_hdlc(&mut self) {
        let Some(head) = self.take(4) else { return };
        let kind = be16(head, 2);
        self.ethertype(kind);
    }
}
