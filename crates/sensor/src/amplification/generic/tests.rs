use super::super::tests_support::heard;
use super::super::{Answer, Protocol};
use super::parser::name;
use noroshi_model::finding::Vector;

#[test]
fn named_by_payload_then_by_port() {
    assert_eq!(name(9999, b"\xff\xff\xff\xffTSource Engine Query\0"), Vector::Steam);
    assert_eq!(name(9999, b"\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl"), Vector::Stun);
    assert_eq!(name(10001, b"\x01\0\0\0"), Vector::Ubiquiti);
    assert_eq!(name(9999, b""), Vector::UdpOther);
}

#[test]
fn never_answered() {
    for payload in [&b""[..], b"x", &[0xff; 2000]] {
        assert_eq!(heard(Protocol::Generic, payload).answer, Answer::Nothing);
    }
}

#[test]
fn questions_are_described() {
    use super::describe::describe;
    let said = |vector, payload: &[u8]| {
        let (method, name, _) = describe(vector, payload);
        (method, name)
    };
    let mdns = b"\0\0\0\0\0\x01\0\0\0\0\0\0\x09_services\x07_dns-sd\x04_udp\x05local\0\0\x0c\0\x01";
    assert_eq!(said(Vector::Mdns, mdns), ("query", "_services._dns-sd._udp.local".into()));
    assert_eq!(said(Vector::Tftp, b"\0\x01boot.bin\0octet\0"), ("read", "boot.bin".into()));
    assert_eq!(said(Vector::Sip, b"OPTIONS sip:100@192.0.2.1 SIP/2.0\r\nVia: x\r\n").0, "options");
    assert_eq!(said(Vector::Mssql, b"\x02").0, "broadcast");
    assert_eq!(said(Vector::Openvpn, b"\x38abcdefgh\0\0\0\0\0").0, "hard-reset");
    let rpc = |transaction: u8, procedure: u8| {
        let mut call = vec![transaction; 4];
        call.extend([0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0x86, 0xa0, 0, 0, 0, 2, 0, 0, 0, procedure]);
        call
    };
    assert_eq!(said(Vector::Portmap, &rpc(1, 4)).0, "dump");
    assert_eq!(describe(Vector::Portmap, &rpc(1, 4)).2, describe(Vector::Portmap, &rpc(9, 4)).2, "transactions differ");
    assert_ne!(describe(Vector::Portmap, &rpc(1, 4)).2, describe(Vector::Portmap, &rpc(1, 3)).2);
}

#[test]
fn every_reflector_has_a_port_that_names_it() {
    for (port, vector) in [
        (19, Vector::Chargen),
        (17, Vector::Qotd),
        (5353, Vector::Mdns),
        (137, Vector::Netbios),
        (111, Vector::Portmap),
        (1434, Vector::Mssql),
        (69, Vector::Tftp),
        (3283, Vector::Arms),
        (10001, Vector::Ubiquiti),
        (5060, Vector::Sip),
        (27015, Vector::Steam),
        (1194, Vector::Openvpn),
        (37810, Vector::Dvr37810),
    ] {
        assert_eq!(name(port, b"anything"), vector);
    }
}
