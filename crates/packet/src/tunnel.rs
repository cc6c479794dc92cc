//! Tunnels: walked through where the outer protocol is not a transport, recognised where it is UDP.

use crate::headers::{Walk, be16, be32, be128};
use crate::link::ethertype;
use noroshi_model::Addr;
use noroshi_model::packet::{Oddities, Tunnel};

/// Labels of one MPLS stack, at most.
const LABELS_MAX: usize = 16;

impl Walk<'_> {
    /// GRE (RFC 2784, RFC 2890) and its enhanced form for PPTP (RFC 2637).
    pub(crate) fn gre(&mut self) {
        let Some(head) = self.take(4) else { return };
        let (flags, kind) = (be16(head, 0), be16(head, 2));
        let (checksum, routing, key, sequence) =
            (flags & 0x8000 != 0, flags & 0x4000 != 0, flags & 0x2000 != 0, flags & 0x1000 != 0);
        let acknowledged = flags & 7 == 1 && flags & 0x80 != 0;
        let optional = [checksum || routing, key, sequence, acknowledged].iter().filter(|is| **is).count() * 4;
        let erspan = matches!(kind, ethertype::ERSPAN_1_2 | ethertype::ERSPAN_3);
        self.tunnel(if erspan { Tunnel::Erspan } else { Tunnel::Gre });
        if routing || flags & 7 > 1 {
            return self.payload();
        }
        if self.take(optional).is_none() {
            return;
        }
        match kind {
            ethertype::ERSPAN_1_2 => self.erspan(if sequence { 8 } else { 0 }),
            ethertype::ERSPAN_3 => self.erspan_3(),
            _ => {
                self.payload();
                self.ethertype(kind);
            }
        }
    }

    fn erspan(&mut self, header: usize) {
        if self.take(header).is_some() && self.descend() {
            self.payload();
            self.ethernet();
        }
    }

    fn erspan_3(&mut self) {
        let Some(head) = self.peek(12) else { return self.odd(Oddities::TRUNCATED_HEADER) };
        let platform_header = head[11] & 1 != 0;
        self.erspan(if platform_header { 20 } else { 12 });
    }

    /// MPLS label stack (RFC 3032); what follows is told by its first nibble (RFC 4928, section 3).
    pub(crate) fn mpls(&mut self) {
        self.tunnel(Tunnel::Mpls);
        for _ in 0..LABELS_MAX {
            let Some(label) = self.take(4) else { return };
            if label[2] & 1 == 1 {
                return self.under_mpls();
            }
        }
        self.odd(Oddities::TOO_DEEP);
    }

    fn under_mpls(&mut self) {
        if !self.descend() {
            return;
        }
        match self.peek(1).map(|first| first[0] >> 4) {
            Some(4) => self.ipv4(),
            Some(6) => self.ipv6(),
            Some(0) if self.take(4).is_some() => self.ethernet(),
            Some(_) => self.ethernet(),
            None => {}
        }
    }

    /// PPPoE session (RFC 2516).
    pub(crate) fn pppoe(&mut self) {
        let Some(head) = self.take(6) else { return };
        if head[0] != 0x11 || head[1] != 0 {
            return;
        }
        self.tunnel(Tunnel::Pppoe);
        self.ppp();
    }

    /// Tunnels over UDP are recognised by port and shape; only their first inner addresses are read.
    #[inline]
    pub(crate) fn udp_tunnel(&mut self) {
        let ports = (self.row.sport, self.row.dport);
        match ports {
            (_, 4789 | 8472) => self.vxlan(),
            (_, 6081) => self.geneve(),
            (_, 3544) | (3544, _) => self.teredo(),
            (_, 2152) => self.gtp(),
            _ => {}
        }
    }

    fn vxlan(&mut self) {
        let bytes = self.rest();
        if bytes.len() >= 8 + 14 && bytes[0] & 0x08 != 0 && bytes[1..4] == [0; 3] {
            self.inside(Tunnel::Vxlan, inner_of_ethernet(&bytes[8..]));
        }
    }

    fn geneve(&mut self) {
        let bytes = self.rest();
        if bytes.len() < 8 || bytes[0] >> 6 != 0 {
            return;
        }
        let Some(inner) = bytes.get(8 + usize::from(bytes[0] & 0x3f) * 4..) else { return };
        match be16(bytes, 2) {
            ethertype::TRANSPARENT_ETHERNET => self.inside(Tunnel::Geneve, inner_of_ethernet(inner)),
            ethertype::IPV4 | ethertype::IPV6 => self.inside(Tunnel::Geneve, inner_of_ip(inner)),
            _ => {}
        }
    }

    /// Teredo: an IPv6 packet, after optional authentication and origin indications (RFC 4380, section 5.1.1).
    fn teredo(&mut self) {
        let mut bytes = self.rest();
        if let [0, 1, id, auth, rest @ ..] = bytes {
            bytes = rest.get(usize::from(*id) + usize::from(*auth) + 9..).unwrap_or(&[]);
        }
        if let [0, 0, rest @ ..] = bytes {
            bytes = rest.get(6..).unwrap_or(&[]);
        }
        if bytes.first().is_some_and(|first| first >> 4 == 6) {
            self.inside(Tunnel::Teredo, inner_of_ip(bytes));
        }
    }

    /// GTP-U: only messages that carry a user packet (type 255).
    fn gtp(&mut self) {
        let bytes = self.rest();
        if bytes.len() < 8 || bytes[0] >> 4 != 3 || bytes[1] != 255 {
            return;
        }
        let mut at = if bytes[0] & 7 != 0 { 12 } else { 8 };
        let mut extension = if bytes[0] & 4 != 0 { bytes.get(11).copied().unwrap_or(0) } else { 0 };
        for _ in 0..8 {
            if extension == 0 {
                break;
            }
            let Some(&length) = bytes.get(at) else { return };
            at += usize::from(length.max(1)) * 4;
            extension = bytes.get(at - 1).copied().unwrap_or(0);
        }
        if let Some(inner) = bytes.get(at..) {
            self.inside(Tunnel::Gtp, inner_of_ip(inner));
        }
    }

    fn inside(&mut self, kind: Tunnel, inner: Option<(Addr, Addr)>) {
        self.tunnel(kind);
        if let Some((src, dst)) = inner {
            self.inner(src, dst);
        }
    }
}

fn inner_of_ethernet(bytes: &[u8]) -> Option<(Addr, Addr)> {
    let mut at = 12;
    for _ in 0..3 {
        let kind = bytes.get(at..at + 2)?;
        match be16(kind, 0) {
            ethertype::VLAN | ethertype::QINQ => at += 4,
            ethertype::IPV4 | ethertype::IPV6 => return inner_of_ip(&bytes[at + 2..]),
            _ => return None,
        }
    }
    None
}

fn inner_of_ip(bytes: &[u8]) -> Option<(Addr, Addr)> {
    match bytes.first()? >> 4 {
        4 if bytes.len() >= 20 => Some((Addr::v4(be32(bytes, 12)), Addr::v4(be32(bytes, 16)))),
        6 if bytes.len() >= 40 => Some((Addr(be128(bytes, 8)), Addr(be128(bytes, 24)))),
        _ => None,
    }
}
