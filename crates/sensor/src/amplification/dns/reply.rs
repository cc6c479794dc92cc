//! A small answer, invented: nothing is ever asked of a real resolver.
//!
//! Addresses: the lure answers every A question with its own address, as captive home routers do, so that no third
//! party is named. ANY is answered as RFC 8482 recommends.

use super::super::{Persona, Question};
use super::parser::Query;
use hickory_proto::rr::RecordType;

const CHAOS: u16 = 3;
const INTERNET: u16 = 1;
/// NOERROR, NXDOMAIN, NOTIMP, REFUSED (RFC 1035, section 4.1.1).
const CODES: (u16, u16, u16, u16) = (0, 3, 4, 5);

/// The response.
pub fn reply(query: &Query, question: &Question) -> Vec<u8> {
    let (code, records) = if query.opcode != 0 { (CODES.2, Vec::new()) } else { answers(query, question) };
    let flags = 0x8000 | u16::from(query.opcode) << 11 | u16::from(query.recursion) << 8 | 0x0080 | code;
    let mut out = Vec::with_capacity(128);
    let counts = [1, records.len() as u16, 0, u16::from(query.edns.is_some())];
    for word in [query.id, flags].into_iter().chain(counts) {
        out.extend(word.to_be_bytes());
    }
    out.extend_from_slice(&query.raw);
    for (kind, class, ttl, data) in &records {
        // A pointer to the question's name.
        out.extend([0xc0, 0x0c]);
        out.extend(u16::from(*kind).to_be_bytes());
        out.extend(class.to_be_bytes());
        out.extend(ttl.to_be_bytes());
        out.extend((data.len() as u16).to_be_bytes());
        out.extend_from_slice(data);
    }
    if query.edns.is_some() {
        let size = question.persona.pick("dns.edns", &[&1232u16, &4096, &1280, &512]);
        out.extend([0, 0, 41]);
        out.extend(size.to_be_bytes());
        out.extend([0; 6]);
    }
    out
}

type Record = (RecordType, u16, u32, Vec<u8>);

fn answers(query: &Query, question: &Question) -> (u16, Vec<Record>) {
    let persona = question.persona;
    if query.class == CHAOS {
        return match &*query.name {
            "version.bind." | "version.server." => (CODES.0, vec![(RecordType::TXT, CHAOS, 0, text(version(persona)))]),
            "hostname.bind." | "id.server." => (CODES.0, vec![(RecordType::TXT, CHAOS, 0, text(&persona.host()))]),
            _ => (CODES.3, Vec::new()),
        };
    }
    if query.class != INTERNET && query.class != 255 {
        return (CODES.3, Vec::new());
    }
    let ttl = 60 + (super::super::hash(query.name.as_bytes()) ^ persona.number("dns.ttl")) as u32 % 3_500;
    let one = |kind, data| (CODES.0, vec![(kind, INTERNET, ttl, data)]);
    match RecordType::from(query.kind) {
        RecordType::A => match question.dst.as_v4() {
            Some(bits) => one(RecordType::A, bits.to_be_bytes().to_vec()),
            None => (CODES.0, Vec::new()),
        },
        RecordType::AAAA if !question.dst.is_v4() => one(RecordType::AAAA, question.dst.bytes().to_vec()),
        RecordType::TXT => one(RecordType::TXT, text("v=spf1 -all")),
        // RFC 8482, section 4.2: a synthesised HINFO.
        RecordType::ANY => one(RecordType::HINFO, [text("RFC8482"), text("")].concat()),
        RecordType::NS => one(RecordType::NS, prefixed("ns1")),
        RecordType::MX => one(RecordType::MX, [vec![0, 10], prefixed("mail")].concat()),
        RecordType::PTR => (CODES.1, Vec::new()),
        _ => (CODES.0, Vec::new()),
    }
}

fn version(persona: &Persona) -> &str {
    persona.pick(
        "dns.version",
        &["dnsmasq-2.51", "dnsmasq-2.78", "9.8.4-rpz2+rl005.12-P1", "9.9.4-RedHat-9.9.4-61.el7", "unbound 1.6.0"],
    )
}

/// A character-string.
fn text(text: &str) -> Vec<u8> {
    let bytes = &text.as_bytes()[..text.len().min(255)];
    [&[bytes.len() as u8], bytes].concat()
}

/// A label before the question's name.
fn prefixed(label: &str) -> Vec<u8> {
    [&text(label)[..], &[0xc0, 0x0c]].concat()
}
