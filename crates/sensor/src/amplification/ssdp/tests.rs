use super::super::tests_support::{heard, reply, reply_of};
use super::super::{Answer, Protocol};

const SEARCH: &[u8] =
    b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 2\r\nST: ssdp:all\r\n\r\n";

#[test]
fn a_search_finds_one_device() {
    let said = String::from_utf8(reply(Protocol::Ssdp, SEARCH)).unwrap();
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.ends_with("\r\n\r\n"), "{said}");
    assert!(said.contains("LOCATION: http://198.51.100.7:"), "the lure's own address: {said}");
    assert!(said.len() <= 400, "{}", said.len());
    assert_eq!(heard(Protocol::Ssdp, SEARCH).name, "ssdp:all");
    let all: std::collections::HashSet<_> = (0..50).map(|seed| reply_of(Protocol::Ssdp, SEARCH, seed)).collect();
    assert_eq!(all.len(), 50);
}

#[test]
fn other_targets_and_announcements_stay_unanswered() {
    let other = b"M-SEARCH * HTTP/1.1\r\nST: urn:dial-multiscreen-org:service:dial:1\r\n\r\n";
    assert_eq!(heard(Protocol::Ssdp, other).answer, Answer::Nothing);
    assert_eq!(heard(Protocol::Ssdp, b"NOTIFY * HTTP/1.1\r\nNT: upnp:rootdevice\r\n\r\n").answer, Answer::Nothing);
    for bad in [&b"HTTP/1.1 200 OK\r\nST: x\r\n\r\n"[..], b"", b"GET / HTTP/1.1\r\n", &[0xff; 40]] {
        assert_eq!(heard(Protocol::Ssdp, bad).answer, Answer::Malformed);
    }
}
