use super::super::tests_support::{heard, reply};
use super::super::{Answer, Protocol, ber};

/// The request of the attacks: root entry, `(objectClass=*)`, no attributes named.
const SEARCH: &[u8] = b"\x30\x25\x02\x01\x01\x63\x20\x04\x00\x0a\x01\x00\x0a\x01\x00\x02\x01\x00\x02\x01\x00\x01\x01\x00\x87\x0bobjectclass\x30\x00";

#[test]
fn the_root_entry_and_the_end() {
    let said = reply(Protocol::Cldap, SEARCH);
    assert!(said.len() <= 256, "{}", said.len());
    let mut input = &said[..];
    for (id, operation) in [(1, 0x64), (1, 0x65)] {
        let mut message = ber::expect(&mut input, 0x30).unwrap();
        assert_eq!(ber::integer(ber::expect(&mut message, 2).unwrap()), Some(id));
        assert!(ber::expect(&mut message, operation).is_some());
    }
    assert!(input.is_empty());
    assert!(said.windows(11).any(|part| part == b"dnsHostName"));
}

#[test]
fn other_bases_do_not_exist_and_other_requests_are_none() {
    let mut other = SEARCH.to_vec();
    other.splice(7..9, *b"\x04\x02DC");
    other[1] += 2;
    other[6] += 2;
    let said = heard(Protocol::Cldap, &other);
    assert_eq!(said.name, "DC");
    assert!(matches!(said.answer, Answer::Reply(reply) if reply.len() < 20));
    for bad in [&SEARCH[..20], b"", &[0x30, 0x80, 0, 0], &[0x30; 60]] {
        assert_eq!(heard(Protocol::Cldap, bad).answer, Answer::Malformed);
    }
}
