//! `LDAPMessage ::= SEQUENCE { messageID INTEGER, [APPLICATION 3] SearchRequest, … }` (RFC 4511, section 4.5.1).

use super::super::ber;

/// A search request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Search<'a> {
    /// Transaction number.
    pub id: i64,
    /// Where to search; empty is the root entry.
    pub base: &'a [u8],
    /// Everything but the transaction number.
    pub body: &'a [u8],
}

/// Reads a search request; none for anything else.
pub fn parse(payload: &[u8]) -> Option<Search<'_>> {
    let mut input = payload;
    let mut message = ber::expect(&mut input, 0x30)?;
    let id = ber::integer(ber::expect(&mut message, 0x02)?)?;
    let body = ber::expect(&mut message, 0x63)?;
    let mut rest = body;
    let base = ber::expect(&mut rest, 0x04)?;
    let scope = ber::integer(ber::expect(&mut rest, 0x0a)?)?;
    ((0..=2).contains(&scope) && (0..=i64::from(i32::MAX)).contains(&id)).then_some(Search { id, base, body })
}
