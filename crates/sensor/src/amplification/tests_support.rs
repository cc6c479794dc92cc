//! One question to one protocol, for the tests of each.

use super::{Answer, Heard, Persona, Protocol, Question};
use noroshi_model::Nanos;

/// 2026-01-01T00:00:00Z.
pub const NOW: Nanos = Nanos(1_767_225_600_000_000_000);

fn ask(protocol: Protocol, payload: &[u8], seed: u64) -> Heard {
    protocol.hear(&Question {
        payload,
        src: "192.0.2.9".parse().expect("an address"),
        sport: 50_000,
        dst: "198.51.100.7".parse().expect("an address"),
        dport: protocol.port().unwrap_or(9),
        now: NOW,
        persona: &Persona::new(seed),
    })
}

/// What a protocol makes of a payload.
pub fn heard(protocol: Protocol, payload: &[u8]) -> Heard {
    ask(protocol, payload, 1)
}

/// The reply of the first persona; a test that calls this expects one.
pub fn reply(protocol: Protocol, payload: &[u8]) -> Vec<u8> {
    reply_of(protocol, payload, 1).expect("an answer")
}

/// The reply of a persona.
pub fn reply_of(protocol: Protocol, payload: &[u8], seed: u64) -> Option<Vec<u8>> {
    match ask(protocol, payload, seed).answer {
        Answer::Reply(reply) => Some(reply),
        Answer::Nothing | Answer::Malformed => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Valid beginnings followed by anything, and anything alone.
        #[test]
        fn hostile_bytes_do_no_harm(
            head in proptest::sample::select(vec![
                &b""[..], &b"\x12\x34\x01\0\0\x01\0\0\0\0\0\x01"[..], &b"\x17\0\x03\x2a"[..], &b"M-SEARCH * HTTP/1.1\r\n"[..], &b"\x30\x25\x02\x01\x01\x63"[..], &b"\0\0\0\0\0\x01\0\0get "[..], &b"\x30\x29\x02\x01\x01\x04\x06public\xa5"[..], &b"\x42\x01\x12\x34ab"[..], &b"<a:MessageID>"[..],
            ]),
            tail in proptest::collection::vec(any::<u8>(), 0..1500),
        ) {
            let payload = [head, &tail[..]].concat();
            for protocol in Protocol::ALL {
                let heard = heard(protocol, &payload);
                prop_assert!(heard.name.len() <= 255 && heard.method.len() <= 255);
                prop_assert!(heard.name.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{:?}", heard.name);
            }
        }
    }
}
