//! Names: every one resolves (RFC 1035), each to its own address in the range for benchmarks (RFC 2544).

use std::net::Ipv4Addr;

pub(super) struct Answer {
    pub(super) name: String,
    pub(super) address: Option<Ipv4Addr>,
    pub(super) bytes: Vec<u8>,
}

const TYPE_A: u16 = 1;
const TTL_SECONDS: u32 = 60;
/// The name under which the fake Internet proves itself.
const PROOF: &str = ".sandbox.invalid";

/// Answers one query with one question; None for anything else.
pub(super) fn answer(query: &[u8], token: Option<&str>) -> Option<Answer> {
    let header = query.get(..12)?;
    if header[2] & 0x80 != 0 || u16::from_be_bytes([header[4], header[5]]) != 1 {
        return None;
    }
    let (mut name, mut at) = (String::new(), 12);
    loop {
        let length = usize::from(*query.get(at)?);
        if length == 0 {
            break;
        }
        // Compression in a question makes no sense, and a name has 255 bytes at most.
        if length > 63 || name.len() > 255 {
            return None;
        }
        let label = query.get(at + 1..at + 1 + length)?;
        if !name.is_empty() {
            name.push('.');
        }
        name.extend(
            label.iter().map(|byte| if byte.is_ascii_graphic() { byte.to_ascii_lowercase() as char } else { '?' }),
        );
        at += 1 + length;
    }
    let question_end = at + 5;
    let kind = u16::from_be_bytes([*query.get(at + 1)?, *query.get(at + 2)?]);
    query.get(question_end - 1)?;
    let address = (kind == TYPE_A).then(|| address_of(&name, token));
    let mut bytes = query[..question_end].to_vec();
    // Answer, recursion available, no error; one answer or none.
    (bytes[2], bytes[3]) = (0x81, 0x80);
    bytes[6..12].copy_from_slice(&[0, u8::from(address.is_some()), 0, 0, 0, 0]);
    if let Some(address) = address {
        bytes.extend([0xc0, 12, 0, 1, 0, 1]);
        bytes.extend(TTL_SECONDS.to_be_bytes());
        bytes.extend([0, 4]);
        bytes.extend(address.octets());
    }
    Some(Answer { name, address, bytes })
}

/// FNV-1a over a text.
fn hash(text: &str) -> u32 {
    text.bytes().fold(2_166_136_261, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619))
}

fn address_of(name: &str, token: Option<&str>) -> Ipv4Addr {
    match (name.strip_suffix(PROOF), token) {
        (Some(asked), Some(token)) if asked == token => Ipv4Addr::from(0x0a00_0000 | hash(token) & 0xff_ffff),
        _ => Ipv4Addr::from(0xc612_0000 | hash(name) & 0x1_ffff),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str) -> Vec<u8> {
        let mut bytes = vec![1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            bytes.push(label.len() as u8);
            bytes.extend(label.bytes());
        }
        bytes.extend([0, 0, 1, 0, 1]);
        bytes
    }

    #[test]
    fn names_resolve_and_half_queries_do_not() {
        let full = query("C2.example");
        let found = answer(&full, None).unwrap();
        assert_eq!(found.name, "c2.example");
        assert_eq!(found.address.unwrap().octets()[0], 198);
        assert_eq!(found.bytes.len(), full.len() + 16);
        for cut in 0..full.len() {
            assert!(answer(&full[..cut], None).is_none());
        }
        assert!(answer(&found.bytes, None).is_none(), "an answer is no question");
    }

    #[test]
    fn only_the_token_proves() {
        let of = |name: &str| answer(&query(name), Some("abc")).unwrap().address.unwrap().octets()[0];
        assert_eq!((of("abc.sandbox.invalid"), of("abd.sandbox.invalid")), (10, 198));
    }
}
