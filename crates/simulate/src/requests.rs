//! UDP requests that reflectors answer with more than they were asked: the small first packet of an amplification
//! attack, as attackers send it. Only requests are made here, and only into files.

use crate::rng::{Rng, mix};
use noroshi_model::finding::Vector;

/// The vectors that a scenario may name, with their ports.
pub const VECTORS: [(Vector, u16); 24] = [
    (Vector::Dns, 53),
    (Vector::Ntp, 123),
    (Vector::Ssdp, 1900),
    (Vector::Cldap, 389),
    (Vector::Memcached, 11_211),
    (Vector::Snmp, 161),
    (Vector::Chargen, 19),
    (Vector::Qotd, 17),
    (Vector::Coap, 5683),
    (Vector::Tftp, 69),
    (Vector::Netbios, 137),
    (Vector::Portmap, 111),
    (Vector::Mdns, 5353),
    (Vector::WsDiscovery, 3702),
    (Vector::Arms, 3283),
    (Vector::Ubiquiti, 10_001),
    (Vector::Dvr37810, 37_810),
    (Vector::Openvpn, 1194),
    (Vector::Stun, 3478),
    (Vector::Sip, 5060),
    (Vector::Steam, 27_015),
    (Vector::Mssql, 1434),
    (Vector::Ipmi, 623),
    (Vector::Rip, 520),
];

/// The port of a vector's service, when scenarios may name it.
pub fn port(vector: Vector) -> Option<u16> {
    VECTORS.iter().find(|(known, _)| *known == vector).map(|(_, port)| *port)
}

/// Appends one request. `key` fixes what one attacker keeps (the name asked for); `rng` gives what changes (ids).
pub fn request(vector: Vector, key: u64, rng: &mut Rng, out: &mut Vec<u8>) {
    let id = rng.draw();
    match vector {
        Vector::Dns => dns_any(id as u16, key, out),
        // Mode 7, implementation XNTPD, request MON_GETLIST_1 (ntpdc).
        Vector::Ntp => out.extend_from_slice(&[0x17, 0, 3, 0x2a, 0, 0, 0, 0]),
        Vector::Ssdp => out.extend_from_slice(
            b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: ssdp:all\r\n\r\n",
        ),
        Vector::Cldap => {
            // searchRequest of RFC 4511 over UDP: base "", scope base, filter (objectClass=*).
            out.extend_from_slice(&[0x30, 0x25, 2, 1, 1, 0x63, 0x20, 4, 0, 0x0a, 1, 0, 0x0a, 1, 0, 2, 1, 0, 2, 1, 0]);
            out.extend_from_slice(&[1, 1, 0, 0x87, 0x0b]);
            out.extend_from_slice(b"objectClass\x30\x00");
        }
        Vector::Memcached => {
            out.extend_from_slice(&[0, 0, 0, 0, 0, 1, 0, 0]);
            out.extend_from_slice(if key & 1 == 0 { b"stats\r\n".as_slice() } else { b"gets a b c\r\n" });
        }
        Vector::Snmp => snmp_get_bulk(id as u32, out),
        Vector::Chargen => out.push(1),
        Vector::Qotd => out.extend_from_slice(b"\r\n"),
        Vector::Coap => {
            // RFC 7252: confirmable GET of /.well-known/core.
            let [a, b] = (id as u16).to_be_bytes();
            out.extend_from_slice(&[0x40, 1, a, b, 0xbb]);
            out.extend_from_slice(b".well-known\x04core");
        }
        Vector::Tftp => out.extend_from_slice(b"\x00\x01a.pdf\x00octet\x00"),
        Vector::Netbios => netbios_status(id as u16, out),
        Vector::Portmap => portmap_dump(id as u32, out),
        Vector::Mdns => {
            out.extend_from_slice(&[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
            out.extend_from_slice(b"\x09_services\x07_dns-sd\x04_udp\x05local\x00\x00\x0c\x80\x01");
        }
        Vector::WsDiscovery => ws_probe(id, out),
        Vector::Arms => out.extend_from_slice(&[0, 0x14, 0, 1, 3]),
        Vector::Ubiquiti => out.extend_from_slice(&[1, 0, 0, 0]),
        Vector::Dvr37810 => dhip_search(out),
        Vector::Openvpn => {
            // P_CONTROL_HARD_RESET_CLIENT_V2, session id, empty acknowledgement list, packet 0.
            out.push(0x38);
            out.extend_from_slice(&id.to_be_bytes());
            out.extend_from_slice(&[0, 0, 0, 0, 0]);
        }
        Vector::Stun => {
            // RFC 8489: binding request with magic cookie.
            out.extend_from_slice(&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
            out.extend_from_slice(&id.to_be_bytes());
            out.extend_from_slice(&(mix(id) as u32).to_be_bytes());
        }
        Vector::Sip => out.extend_from_slice(
            b"OPTIONS sip:100@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
              From: <sip:100@192.0.2.1>;tag=1\r\nTo: <sip:100@192.0.2.1>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\
              Content-Length: 0\r\n\r\n",
        ),
        Vector::Steam => out.extend_from_slice(b"\xff\xff\xff\xffTSource Engine Query\x00"),
        Vector::Mssql => out.push(2),
        // RMCP header and an IPMI 1.5 session with Get Channel Authentication Capabilities.
        Vector::Ipmi => out.extend_from_slice(&[
            6, 0, 0xff, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0x20, 0x18, 0xc8, 0x81, 0, 0x38, 0x8e, 4, 0xb5,
        ]),
        Vector::Rip => {
            // RFC 1058: request for the whole table.
            out.extend_from_slice(&[1, 1, 0, 0]);
            out.extend_from_slice(&[0; 16]);
            out.extend_from_slice(&16u32.to_be_bytes());
        }
        _ => out.extend_from_slice(&id.to_be_bytes()),
    }
}

/// RFC 1035 query for ANY of a name below `.example`, with an EDNS buffer of 4096 (RFC 6891).
fn dns_any(id: u16, key: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
    let name = mix(key);
    out.push(8);
    out.extend((0..8).map(|i| b'a' + ((name >> (8 * i)) as u8) % 26));
    out.extend_from_slice(b"\x07example\x00\x00\xff\x00\x01");
    out.extend_from_slice(&[0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0]);
}

/// RFC 3416 GetBulk of mib-2 with community "public".
fn snmp_get_bulk(id: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x30, 0x27, 2, 1, 1, 4, 6]);
    out.extend_from_slice(b"public");
    out.extend_from_slice(&[0xa5, 0x1a, 2, 4]);
    out.extend_from_slice(&(id & 0x7fff_ffff | 0x0100_0000).to_be_bytes());
    out.extend_from_slice(&[2, 1, 0, 2, 2, 8, 0xca, 0x30, 0x0b, 0x30, 9, 6, 5, 0x2b, 6, 1, 2, 1, 5, 0]);
}

/// RFC 1002 node status request for "*".
fn netbios_status(id: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 32]);
    out.extend_from_slice(b"CK");
    out.extend_from_slice(&[b'A'; 30]);
    out.extend_from_slice(&[0, 0, 0x21, 0, 1]);
}

/// RFC 5531 call of portmapper version 2, procedure DUMP, no authentication.
fn portmap_dump(id: u32, out: &mut Vec<u8>) {
    for word in [id, 0, 2, 100_000, 2, 4, 0, 0, 0, 0] {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

/// OASIS WS-Discovery 1.0 Probe without types.
fn ws_probe(id: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(
        b"<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
          xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\"><s:Header><a:Action>\
          http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action><a:MessageID>urn:uuid:",
    );
    let hex = format!("{id:016x}");
    out.extend_from_slice(hex.as_bytes());
    out.extend_from_slice(
        b"</a:MessageID><a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To></s:Header><s:Body>\
          <Probe xmlns=\"http://schemas.xmlsoap.org/ws/2005/04/discovery\"/></s:Body></s:Envelope>",
    );
}

/// The discovery of video recorders on port 37810: a 32-byte header and JSON.
fn dhip_search(out: &mut Vec<u8>) {
    let body = b"{\"method\":\"DHDiscover.search\",\"params\":{\"mac\":\"\",\"uni\":1}}\n";
    let length = (body.len() as u32).to_le_bytes();
    out.extend_from_slice(b"\x20\0\0\0DHIP\0\0\0\0\0\0\0\0");
    out.extend_from_slice(&length);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&length);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(body);
}
