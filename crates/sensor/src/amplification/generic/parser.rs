//! The protocol that a request is for: by its payload where that is unmistakable, else by its port.

use noroshi_model::finding::Vector;

/// Payloads that name their protocol on any port: prefix and vector.
const MARKS: &[(&[u8], Vector)] = &[
    (b"M-SEARCH", Vector::Ssdp),
    (b"\xff\xff\xff\xffTSource Engine Query", Vector::Steam),
    (b"\xff\xff\xff\xffgetstatus", Vector::Steam),
    (b"OPTIONS sip:", Vector::Sip),
    (b"REGISTER sip:", Vector::Sip),
    (b"INVITE sip:", Vector::Sip),
    (b"\x80\x78\x00\x00\x00\x00", Vector::Dvr37810),
    (b"\x20\x00\x00\x00DHIP", Vector::Dvr37810),
    (b"\x17\x00\x03\x2a", Vector::Ntp),
    (b"\x00\x14\x00\x01\x03", Vector::Arms),
    (b"\x06\x00\xff\x07\x00", Vector::Ipmi),
    (b"\x81\x0a\x00", Vector::Bacnet),
];

/// Ports and what is reflected from them.
const PORTS: &[(u16, Vector)] = &[
    (7, Vector::Other),
    (17, Vector::Qotd),
    (19, Vector::Chargen),
    (53, Vector::Dns),
    (69, Vector::Tftp),
    (111, Vector::Portmap),
    (123, Vector::Ntp),
    (137, Vector::Netbios),
    (161, Vector::Snmp),
    (389, Vector::Cldap),
    (427, Vector::Slp),
    (500, Vector::Ike),
    (520, Vector::Rip),
    (623, Vector::Ipmi),
    (1194, Vector::Openvpn),
    (1434, Vector::Mssql),
    (1701, Vector::L2tp),
    (1900, Vector::Ssdp),
    (3283, Vector::Arms),
    (3389, Vector::RdpUdp),
    (3478, Vector::Stun),
    (3702, Vector::WsDiscovery),
    (5060, Vector::Sip),
    (5353, Vector::Mdns),
    (5683, Vector::Coap),
    (10001, Vector::Ubiquiti),
    (11211, Vector::Memcached),
    (27015, Vector::Steam),
    (32414, Vector::Plex),
    (37810, Vector::Dvr37810),
    (47808, Vector::Bacnet),
];

/// The protocol of a request.
pub fn name(port: u16, payload: &[u8]) -> Vector {
    if let Some((_, vector)) = MARKS.iter().find(|(mark, _)| payload.starts_with(mark)) {
        return *vector;
    }
    // STUN's magic cookie (RFC 8489, section 5) stands at a fixed place.
    if payload.get(4..8) == Some(&[0x21, 0x12, 0xa4, 0x42]) {
        return Vector::Stun;
    }
    PORTS.iter().find(|(known, _)| *known == port).map_or(Vector::UdpOther, |(_, vector)| *vector)
}
