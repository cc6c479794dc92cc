use super::super::tests_support::{heard, reply};
use super::super::{Answer, Protocol};

fn framed(command: &str) -> Vec<u8> {
    [b"\x12\x34\0\0\0\x01\0\0", command.as_bytes()].concat()
}

#[test]
fn stats_version_and_nothing_to_get() {
    let said = reply(Protocol::Memcached, &framed("stats\r\n"));
    assert_eq!(&said[..8], b"\x12\x34\0\0\0\x01\0\0");
    let text = std::str::from_utf8(&said[8..]).unwrap();
    assert!(text.starts_with("STAT pid ") && text.ends_with("END\r\n"), "{text}");
    assert!(said.len() <= 128);
    assert!(reply(Protocol::Memcached, &framed("set x 0 0 4\r\nabcd\r\n")).ends_with(b"STORED\r\n"));
    assert!(reply(Protocol::Memcached, &framed("get x\r\n")).ends_with(b"\0END\r\n"));
    assert_eq!(heard(Protocol::Memcached, &framed("gets a b c\r\n")).name, "a b c");
}

#[test]
fn the_request_number_does_not_change_the_hash() {
    let mut other = framed("stats\r\n");
    other[0] = 0xff;
    assert_eq!(heard(Protocol::Memcached, &other).hash, heard(Protocol::Memcached, &framed("stats\r\n")).hash);
}

#[test]
fn what_is_no_command() {
    for bad in [
        &b"stats\r\n"[..],
        b"",
        b"\0\0\0\0\0\x02\0\0stats\r\n",
        b"\0\0\0\0\0\x01\0\0stats",
        b"\0\0\0\0\0\x01\0\0\xff\n",
    ] {
        assert_eq!(heard(Protocol::Memcached, bad).answer, Answer::Malformed);
    }
}
