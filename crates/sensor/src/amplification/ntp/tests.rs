use super::super::tests_support::{NOW, heard, reply, reply_of};
use super::super::{Answer, Protocol};

/// What the classic scanner sends.
const MONLIST: [u8; 8] = [0x17, 0x00, 0x03, 0x2a, 0, 0, 0, 0];

#[test]
fn monlist_names_the_asker_alone() {
    let reply = reply(Protocol::Ntp, &MONLIST);
    assert_eq!(reply.len(), 8 + 72);
    assert_eq!(reply[0], 0x97, "response, version 2, mode 7");
    assert_eq!((&reply[2..4], &reply[4..8]), (&[3, 42][..], &[0, 1, 0, 72][..]), "no error, one item of 72 bytes");
    assert_eq!(&reply[8 + 16..8 + 20], &[192, 0, 2, 9], "the asker");
    assert_eq!(&reply[8 + 20..8 + 24], &[198, 51, 100, 7], "the server");
    assert_eq!(heard(Protocol::Ntp, &MONLIST).method, "monlist");
}

#[test]
fn ntpdc_sends_a_longer_request_and_gets_no_more() {
    let mut long = MONLIST.to_vec();
    long.resize(192, 0);
    assert_eq!(reply(Protocol::Ntp, &long).len(), 80);
}

#[test]
fn time_is_told_with_the_askers_stamp_returned() {
    let mut request = vec![0x23];
    request.resize(48, 0);
    request[40..48].copy_from_slice(b"cookie!!");
    let reply = reply(Protocol::Ntp, &request);
    assert_eq!((reply.len(), reply[0] & 7, reply[0] >> 3 & 7), (48, 4, 4));
    assert_eq!(&reply[24..32], b"cookie!!");
    let seconds = u32::from_be_bytes(reply[40..44].try_into().unwrap());
    assert_eq!(i64::from(seconds) - 2_208_988_800, NOW.seconds());
    assert_eq!(reply[1], 2, "stratum of a server that follows one with a clock");
}

#[test]
fn readvar_is_text_and_padded() {
    let request = [0x16, 2, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0];
    let reply = reply(Protocol::Ntp, &request);
    let count = usize::from(u16::from_be_bytes([reply[10], reply[11]]));
    let text = std::str::from_utf8(&reply[12..12 + count]).unwrap();
    assert!(text.starts_with("version=\"ntpd ") && text.contains("stratum="), "{text}");
    assert_eq!((reply[1], &reply[2..4], reply.len() % 4), (0x82, &[0, 7][..], 0));
    assert!(reply.len() <= 128);
    let said: std::collections::HashSet<_> = (0..50).map(|seed| reply_of(Protocol::Ntp, &request, seed)).collect();
    assert!(said.len() > 20, "sensors differ: {}", said.len());
}

#[test]
fn responses_are_never_answered() {
    let answered = reply(Protocol::Ntp, &MONLIST);
    let mut time = vec![0x24];
    time.resize(48, 0);
    for bad in [&answered[..], &time, &[0x17, 0, 3], &[], &[0x16; 11], &[0x95; 20]] {
        assert_eq!(heard(Protocol::Ntp, bad).answer, Answer::Malformed, "{bad:?}");
    }
}

#[test]
fn unknown_requests_get_the_error_that_a_server_gives() {
    let reply = reply(Protocol::Ntp, &[0x17, 0, 3, 99, 0, 0, 0, 0]);
    assert_eq!((reply.len(), reply[4] >> 4), (8, 4));
}
