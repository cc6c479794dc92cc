//! `SEQUENCE { version, community, PDU { request-id, a, b, SEQUENCE OF { name, value } } }`.

use super::super::ber;

/// Names asked for at once that are looked at; more are ignored, as by devices with little memory.
const NAMES: usize = 16;

/// A request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request<'a> {
    /// 0 is SNMPv1, 1 is SNMPv2c.
    pub version: i64,
    /// The shared word.
    pub community: &'a [u8],
    /// Tag of the PDU: 0xa0 get, 0xa1 get-next, 0xa5 get-bulk, 0xa3 set.
    pub operation: u8,
    /// Transaction number.
    pub id: i64,
    /// Object identifiers asked for, encoded.
    pub names: Vec<&'a [u8]>,
    /// The PDU after the transaction number.
    pub body: &'a [u8],
}

impl Request<'_> {
    /// Name of the operation.
    pub fn operation_name(&self) -> &'static str {
        match self.operation {
            0xa0 => "get",
            0xa1 => "get-next",
            0xa3 => "set",
            0xa5 => "get-bulk",
            _ => "other",
        }
    }
}

/// Reads a request of version 1 or 2c; none for anything else, responses included.
pub fn parse(payload: &[u8]) -> Option<Request<'_>> {
    let mut input = payload;
    let mut message = ber::expect(&mut input, 0x30)?;
    let version = ber::integer(ber::expect(&mut message, 0x02)?).filter(|version| (0..=1).contains(version))?;
    let community = ber::expect(&mut message, 0x04)?;
    let pdu = ber::take(&mut message).filter(|pdu| matches!(pdu.tag, 0xa0 | 0xa1 | 0xa3 | 0xa5))?;
    let mut fields = pdu.content;
    let id = ber::integer(ber::expect(&mut fields, 0x02)?)?;
    let body = fields;
    ber::expect(&mut fields, 0x02)?;
    ber::expect(&mut fields, 0x02)?;
    let mut list = ber::expect(&mut fields, 0x30)?;
    let mut names = Vec::new();
    while !list.is_empty() && names.len() < NAMES {
        names.push(ber::expect(&mut ber::expect(&mut list, 0x30)?, 0x06)?);
    }
    Some(Request { version, community, operation: pdu.tag, id, names, body })
}
