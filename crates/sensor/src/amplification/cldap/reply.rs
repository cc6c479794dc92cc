//! A root entry of four attributes, and the end of the search.

use super::super::{Persona, Question, ber};
use super::parser::Search;

/// `SearchResultEntry` and `SearchResultDone` in one datagram, as directory servers send it.
pub fn reply(search: &Search, question: &Question) -> Vec<u8> {
    let done = [ber::put_integer(0x0a, 0), ber::put(0x04, b""), ber::put(0x04, b"")];
    let mut out = Vec::new();
    if search.base.is_empty() {
        out = message(search.id, ber::nest(0x64, &[ber::put(0x04, b""), ber::nest(0x30, &attributes(question))]));
    }
    out.extend(message(search.id, ber::nest(0x65, &done)));
    out
}

fn message(id: i64, operation: Vec<u8>) -> Vec<u8> {
    ber::nest(0x30, &[ber::put_integer(0x02, id), operation])
}

fn attributes(question: &Question) -> Vec<Vec<u8>> {
    let persona = question.persona;
    let host = host(persona);
    let domain = domain(persona);
    let time: String = question.now.rfc3339().chars().take(19).filter(char::is_ascii_digit).collect();
    [
        ("currentTime", format!("{time}.0Z")),
        ("supportedLDAPVersion", "3".to_owned()),
        ("defaultNamingContext", format!("DC={domain},DC=local")),
        ("dnsHostName", format!("{host}.{domain}.local")),
    ]
    .into_iter()
    .map(|(name, value)| {
        let values = ber::nest(0x31, &[ber::put(0x04, value.as_bytes())]);
        ber::nest(0x30, &[ber::put(0x04, name.as_bytes()), values])
    })
    .collect()
}

fn host(persona: &Persona) -> String {
    let kind = persona.pick("cldap.host", &["dc", "srv-dc", "ad", "win-dc", "server"]);
    format!("{kind}{:02}", persona.between("cldap.host-number", 1, 13))
}

fn domain(persona: &Persona) -> String {
    let kind = persona.pick("cldap.domain", &["corp", "office", "hq", "intra", "ad"]);
    format!("{kind}{}", persona.between("cldap.domain-number", 1, 100))
}
