//! Which attack vector a packet speaks for.

use noroshi_model::finding::Vector;
use noroshi_model::packet::{Has, Packet, Transport, tcp};

/// UDP services that answer more than they are asked, by port. US-CERT TA14-017A; Rossow, "Amplification Hell",
/// NDSS 2014; Netscout threat reports for the newer ones.
pub fn amplifier(port: u16) -> Option<Vector> {
    Some(match port {
        17 => Vector::Qotd,
        19 => Vector::Chargen,
        53 => Vector::Dns,
        69 => Vector::Tftp,
        111 => Vector::Portmap,
        123 => Vector::Ntp,
        137 => Vector::Netbios,
        161 => Vector::Snmp,
        389 => Vector::Cldap,
        427 => Vector::Slp,
        500 | 4500 => Vector::Ike,
        520 => Vector::Rip,
        623 => Vector::Ipmi,
        1194 => Vector::Openvpn,
        1434 => Vector::Mssql,
        1701 => Vector::L2tp,
        1900 => Vector::Ssdp,
        3283 => Vector::Arms,
        3389 => Vector::RdpUdp,
        3478 => Vector::Stun,
        3702 => Vector::WsDiscovery,
        5060 => Vector::Sip,
        5353 => Vector::Mdns,
        5683 | 5684 => Vector::Coap,
        10001 => Vector::Ubiquiti,
        11211 => Vector::Memcached,
        27005..=27050 => Vector::Steam,
        32410 | 32412..=32414 => Vector::Plex,
        37810 => Vector::Dvr37810,
        47808 => Vector::Bacnet,
        _ => return None,
    })
}

/// What a packet would be if its destination were a victim.
pub fn arriving(transport: Transport, later_fragment: bool, sport: u16, tcp_flags: u8, icmp_type: u8) -> Vector {
    if later_fragment {
        return Vector::Fragments;
    }
    match transport {
        Transport::Udp => amplifier(sport).unwrap_or(Vector::UdpOther),
        Transport::Tcp => arriving_tcp(tcp_flags),
        Transport::Icmp if matches!(icmp_type, 0 | 8) => Vector::IcmpEcho,
        Transport::Icmp => Vector::IcmpOther,
        Transport::Icmpv6 => Vector::Icmpv6,
        _ => Vector::Other,
    }
}

fn arriving_tcp(tcp_flags: u8) -> Vector {
    let flags = tcp_flags & (tcp::SYN | tcp::ACK | tcp::RST | tcp::FIN);
    match flags {
        tcp::SYN => Vector::TcpSyn,
        _ if flags == tcp::SYN | tcp::ACK => Vector::TcpSynAck,
        _ if flags & tcp::RST != 0 => Vector::TcpRst,
        tcp::ACK => Vector::TcpAck,
        _ => Vector::TcpOther,
    }
}

/// Whether packets of this vector that arrive are replies of reflectors.
pub fn reflected(vector: Vector) -> bool {
    !matches!(
        vector,
        Vector::TcpSyn
            | Vector::TcpAck
            | Vector::TcpRst
            | Vector::TcpOther
            | Vector::IcmpEcho
            | Vector::IcmpOther
            | Vector::Icmpv6
            | Vector::UdpOther
            | Vector::Fragments
            | Vector::Other
    )
}

/// Whether a packet is what a victim sends back to a forged source (methods B): SYN-ACK, RST, or the ICMP answers and
/// errors that Corsaro lists.
#[inline]
pub fn is_backscatter(row: &Packet) -> bool {
    match row.transport {
        Transport::Tcp if row.has.has(Has::TCP) => {
            row.tcp_flags & tcp::RST != 0 && row.tcp_flags & tcp::SYN == 0
                || row.tcp_flags & (tcp::SYN | tcp::ACK) == tcp::SYN | tcp::ACK
        }
        Transport::Icmp => matches!(row.icmp_type, 0 | 3 | 4 | 5 | 11 | 12 | 14 | 16 | 18),
        Transport::Icmpv6 => row.has.has(Has::ICMP) && matches!(row.icmp_type, 1..=4 | 129),
        _ => false,
    }
}
