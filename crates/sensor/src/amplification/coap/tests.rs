use super::super::tests_support::{heard, reply};
use super::super::{Answer, Protocol};

/// GET /.well-known/core, confirmable, token `ab`.
const CORE: &[u8] = b"\x42\x01\x12\x34ab\xbb.well-known\x04core";

#[test]
fn discovery_is_acknowledged_with_a_short_list() {
    let said = reply(Protocol::Coap, CORE);
    assert_eq!(&said[..6], b"\x62\x45\x12\x34ab");
    assert!(said.ends_with(b"</.well-known/core>") && said.len() <= 128);
    assert_eq!(heard(Protocol::Coap, CORE).name, "/.well-known/core");
}

#[test]
fn number_and_token_do_not_change_the_hash() {
    assert_eq!(
        heard(Protocol::Coap, CORE).hash,
        heard(Protocol::Coap, b"\x42\x01\xff\xffxy\xbb.well-known\x04core").hash
    );
}

#[test]
fn pings_and_strangers() {
    assert_eq!(reply(Protocol::Coap, &[0x40, 0, 9, 9]), [0x70, 0, 9, 9]);
    let replied = reply(Protocol::Coap, CORE);
    for bad in [&replied[..], b"", &[0x40], &[0x4f, 1, 0, 0], b"\x42\x01\x12\x34ab\xbb.well", &[0x40, 1, 0, 0, 0xf0]] {
        assert_eq!(heard(Protocol::Coap, bad).answer, Answer::Malformed, "{bad:?}");
    }
}
