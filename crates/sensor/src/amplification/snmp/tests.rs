use super::super::tests_support::{heard, reply_of};
use super::super::{Answer, Protocol, ber};

fn request(version: i64, community: &str, operation: u8, oid: &[u8]) -> Vec<u8> {
    let pair = ber::nest(0x30, &[ber::put(6, oid), vec![5, 0]]);
    let pdu = ber::nest(
        operation,
        &[ber::put_integer(2, 77), ber::put_integer(2, 0), ber::put_integer(2, 50), ber::nest(0x30, &[pair])],
    );
    ber::nest(0x30, &[ber::put_integer(2, version), ber::put(4, community.as_bytes()), pdu])
}

const SEED: u64 = 5;
const DESCRIPTION: [u8; 8] = [0x2b, 6, 1, 2, 1, 1, 1, 0];

#[test]
fn a_get_and_a_bulk() {
    let get = reply_of(Protocol::Snmp, &request(1, "public", 0xa0, &DESCRIPTION), SEED).expect("an answer");
    assert!(get.len() <= 160);
    let bulk = reply_of(Protocol::Snmp, &request(1, "public", 0xa5, &[0x2b, 6, 1, 2, 1]), SEED).expect("an answer");
    assert!(bulk.len() <= 160, "{}", bulk.len());
    assert!(bulk.windows(8).any(|part| part == DESCRIPTION), "the walk begins with the description");
}

#[test]
fn objects_that_do_not_exist() {
    let unknown = [0x2b, 6, 1, 2, 1, 99, 1];
    let modern = reply_of(Protocol::Snmp, &request(1, "public", 0xa0, &unknown), SEED).unwrap();
    assert!(modern.ends_with(&[0x80, 0]));
    let old = reply_of(Protocol::Snmp, &request(0, "public", 0xa0, &unknown), SEED).unwrap();
    assert!(old.windows(6).any(|part| part == [2, 1, 2, 2, 1, 1]), "noSuchName at index 1");
    let end = reply_of(Protocol::Snmp, &request(1, "public", 0xa1, &[0x2b, 7]), SEED).unwrap();
    assert!(end.ends_with(&[0x82, 0]));
}

#[test]
fn a_wrong_word_gets_silence_and_is_recorded() {
    let said = heard(Protocol::Snmp, &request(1, "s3cr\x1bet", 0xa0, &DESCRIPTION));
    assert_eq!(said.answer, Answer::Nothing);
    assert_eq!((said.method.as_str(), said.name.as_str()), ("get", "s3cr\\x1bet"));
    for bad in
        [&b""[..], &[0x30, 1, 2], &request(3, "public", 0xa0, &DESCRIPTION), &request(1, "public", 0xa2, &DESCRIPTION)]
    {
        assert_eq!(heard(Protocol::Snmp, bad).answer, Answer::Malformed);
    }
}
