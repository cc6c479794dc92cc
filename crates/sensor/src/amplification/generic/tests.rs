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
