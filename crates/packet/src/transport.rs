//! Transport headers, and the packet that an ICMP error quotes.

use crate::headers::{Walk, be16, be32, be128};
use noroshi_model::Addr;
use noroshi_model::packet::{Has, Oddities, OptionKinds, Packet, Quoted, Transport, Tunnel, proto, tcp};

/// Option list as text, at most: forty bytes of options hold no more than forty kinds.
const OPTIONS_MAX: usize = 40;

impl Walk<'_> {
    /// Goes on by IP protocol number.
    #[inline]
    pub(crate) fn protocol(&mut self, protocol: u8) {
        match protocol {
            proto::TCP => self.tcp(),
            proto::UDP => self.udp(),
            proto::ICMP => self.icmp(),
            proto::ICMPV6 => self.icmpv6(),
            proto::SCTP => self.sctp(),
            proto::GRE => self.gre(),
            proto::IPIP | proto::IPV6 => self.ip_in_ip(protocol),
            MPLS_IN_IP => self.mpls(),
            AUTHENTICATION => self.authentication(),
            ETHERNET_IN_IP => self.ethernet_in_ip(),
            _ => self.payload(),
        }
    }

    fn ip_in_ip(&mut self, protocol: u8) {
        let kind = match (protocol, self.row.src.is_v4()) {
            (proto::IPIP, true) => Tunnel::IpIp,
            (proto::IPV6, true) => Tunnel::SixInFour,
            _ => Tunnel::IpInIpv6,
        };
        self.tunnel(kind);
        if self.descend() {
            if protocol == proto::IPIP { self.ipv4() } else { self.ipv6() }
        }
    }

    /// Authentication header (RFC 4302): stepped over, as it hides nothing.
    fn authentication(&mut self) {
        let Some(head) = self.peek(12) else { return self.odd(Oddities::TRUNCATED_HEADER) };
        let (next, length) = (head[0], (usize::from(head[1]) + 2) * 4);
        if length >= 12 && self.take(length).is_some() && self.descend() {
            self.row.proto = next;
            self.protocol(next);
        }
    }

    /// EtherIP (RFC 3378).
    fn ethernet_in_ip(&mut self) {
        if self.take(2).is_some() && self.descend() {
            self.ethernet();
        }
    }

    fn ports(&mut self, head: &[u8]) {
        self.row.has.set(Has::PORTS);
        (self.row.sport, self.row.dport) = (be16(head, 0), be16(head, 2));
        if self.row.sport == 0 || self.row.dport == 0 {
            self.odd(Oddities::PORT_ZERO);
        }
    }

    /// The transport counts although its header is cut short; ports are kept when they are there.
    #[cold]
    fn cut_short(&mut self) {
        self.odd(if self.row.has.has(Has::FRAGMENT) { Oddities::TINY_FRAGMENT } else { Oddities::TRUNCATED_HEADER });
        if let Some(head) = self.peek(4) {
            self.ports(head);
        }
    }

    /// TCP (RFC 9293).
    #[inline]
    fn tcp(&mut self) {
        self.row.transport = Transport::Tcp;
        self.row.proto = proto::TCP;
        let Some(head) = self.peek(20) else { return self.cut_short() };
        self.ports(head);
        self.row.has.set(Has::TCP);
        (self.row.seq, self.row.ack) = (be32(head, 4), be32(head, 8));
        (self.row.tcp_flags, self.row.window) = (head[13], be16(head, 14));
        let flags = head[13];
        if flags == 0 || flags & tcp::SYN != 0 && flags & (tcp::FIN | tcp::RST) != 0 {
            self.odd(Oddities::TCP_FLAGS);
        }
        let header = usize::from(head[12] >> 4) * 4;
        self.at += 20;
        if header < 20 {
            self.odd(Oddities::TCP_HEADER_LENGTH);
            return self.payload();
        }
        if header > 20 {
            let options = self.rest();
            if options.len() < header - 20 {
                self.odd(Oddities::TCP_HEADER_LENGTH);
            }
            let options = &options[..options.len().min(header - 20)];
            self.tcp_options(options);
            self.at += options.len();
        }
        self.payload();
        if flags & tcp::SYN != 0 && self.row.payload_len > 0 {
            self.odd(Oddities::SYN_PAYLOAD);
        }
    }

    fn tcp_options(&mut self, options: &[u8]) {
        if !option_kinds(options, self.row) {
            self.row.options = OptionKinds::AS_TEXT;
            self.rare_mut().tcp_options = Some(option_text(options).into());
        }
    }

    /// UDP (RFC 768).
    fn udp(&mut self) {
        self.row.transport = Transport::Udp;
        self.row.proto = proto::UDP;
        let Some(head) = self.peek(8) else { return self.cut_short() };
        self.ports(head);
        let length = usize::from(be16(head, 4));
        let start = self.at;
        self.at += 8;
        let room = self.claimed_end.saturating_sub(start);
        if length >= 8 && length <= room {
            self.claimed_end = start + length;
            self.end = self.end.min(self.claimed_end);
        } else if length != 0 && !self.row.has.has(Has::FRAGMENT) {
            self.odd(Oddities::UDP_LENGTH);
        }
        self.payload();
        self.udp_tunnel();
    }

    fn sctp(&mut self) {
        self.row.transport = Transport::Sctp;
        self.row.proto = proto::SCTP;
        let Some(head) = self.peek(12) else { return self.cut_short() };
        self.ports(head);
        self.at += 12;
        self.payload();
    }

    /// ICMP (RFC 792).
    fn icmp(&mut self) {
        self.row.transport = Transport::Icmp;
        self.row.proto = proto::ICMP;
        let quotes = |kind: u8| matches!(kind, 3 | 4 | 5 | 11 | 12);
        self.icmp_body(quotes);
    }

    /// ICMPv6 (RFC 4443).
    fn icmpv6(&mut self) {
        self.row.transport = Transport::Icmpv6;
        self.row.proto = proto::ICMPV6;
        self.icmp_body(|kind: u8| matches!(kind, 1..=4));
    }

    fn icmp_body(&mut self, quotes: impl Fn(u8) -> bool) {
        let Some(head) = self.peek(2) else { return self.odd(Oddities::TRUNCATED_HEADER) };
        self.row.has.set(Has::ICMP);
        (self.row.icmp_type, self.row.icmp_code) = (head[0], head[1]);
        if self.take(8).is_none() {
            return;
        }
        self.payload();
        if quotes(self.row.icmp_type) {
            match quoted(self.rest()) {
                Some(quoted) => self.rare_mut().quoted = Some(quoted),
                None => self.odd(Oddities::QUOTE),
            }
        }
    }
}

const MPLS_IN_IP: u8 = 137;
const AUTHENTICATION: u8 = 51;
const ETHERNET_IN_IP: u8 = 97;

/// Reads option kinds and MSS into the row. False when the kinds do not fit [`OptionKinds`].
#[inline]
pub(crate) fn option_kinds(mut options: &[u8], row: &mut Packet) -> bool {
    let (mut packed, mut count, mut fits) = (0u64, 0u32, true);
    while let [kind, rest @ ..] = options {
        match OptionKinds::code(*kind) {
            Some(code) if count < 16 => packed |= code << (4 * count),
            _ => fits = false,
        }
        count += 1;
        match (*kind, rest) {
            (0, _) => break,
            (1, _) => options = rest,
            (_, [length, ..]) if *length >= 2 && usize::from(*length) <= options.len() => {
                if *kind == 2 && *length == 4 {
                    row.has.set(Has::MSS);
                    row.mss = be16(options, 2);
                }
                options = &options[usize::from(*length)..];
            }
            _ => {
                row.oddities.set(Oddities::TCP_OPTIONS);
                break;
            }
        }
    }
    row.options = OptionKinds(packed);
    fits
}

fn option_text(mut options: &[u8]) -> String {
    let mut text = String::new();
    for _ in 0..OPTIONS_MAX {
        let [kind, rest @ ..] = options else { break };
        text.push_str(&OptionKinds::letter(*kind));
        match (*kind, rest) {
            (0, _) => break,
            (1, _) => options = rest,
            (_, [length, ..]) if *length >= 2 => options = options.get(usize::from(*length)..).unwrap_or(&[]),
            _ => break,
        }
    }
    text
}

/// Addresses, protocol and ports at the head of a quoted packet, as far as they were quoted.
fn quoted(bytes: &[u8]) -> Option<Quoted> {
    match bytes.first()? >> 4 {
        4 => quoted_v4(bytes),
        6 => quoted_v6(bytes),
        _ => None,
    }
}

fn quoted_v4(bytes: &[u8]) -> Option<Quoted> {
    let head = bytes.get(..20)?;
    let header = usize::from(head[0] & 15) * 4;
    if header < 20 {
        return None;
    }
    let later_fragment = be16(head, 6) & 0x1fff != 0;
    let ports = if later_fragment { None } else { ports_of(head[9], bytes.get(header..)) };
    Some(Quoted { src: Addr::v4(be32(head, 12)), dst: Addr::v4(be32(head, 16)), proto: head[9], ports })
}

fn quoted_v6(bytes: &[u8]) -> Option<Quoted> {
    let head = bytes.get(..40)?;
    let (src, dst) = (Addr(be128(head, 8)), Addr(be128(head, 24)));
    let (mut next, mut rest) = (head[6], bytes.get(40..));
    for _ in 0..8 {
        let (0 | 43 | 44 | 60, Some([after, length, ..])) = (next, rest) else { break };
        let size = if next == 44 { 8 } else { 8 + usize::from(*length) * 8 };
        (next, rest) = (*after, rest.and_then(|bytes| bytes.get(size..)));
    }
    Some(Quoted { src, dst, proto: next, ports: ports_of(next, rest) })
}

fn ports_of(protocol: u8, bytes: Option<&[u8]>) -> Option<(u16, u16)> {
    let head = bytes?.get(..4)?;
    matches!(protocol, proto::TCP | proto::UDP | proto::SCTP).then(|| (be16(head, 0), be16(head, 2)))
}
