//! A query: header, one question, and whether it speaks EDNS.

use hickory_proto::rr::RecordType;

/// What is needed of a query.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query {
    /// Transaction number.
    pub id: u16,
    /// Operation: 0 is a standard query.
    pub opcode: u8,
    /// Recursion desired.
    pub recursion: bool,
    /// The question's name for people: lower case, dots, no escapes beyond ASCII.
    pub name: String,
    /// The question section as it came, name in its own spelling (clients check that it returns).
    pub raw: Vec<u8>,
    /// Type asked for.
    pub kind: u16,
    /// Class asked for.
    pub class: u16,
    /// Bytes that the asker takes, when it speaks EDNS.
    pub edns: Option<u16>,
}

/// Reads a query; none for anything that is none: responses, several questions, pointers in the question.
pub fn parse(payload: &[u8]) -> Option<Query> {
    let header: &[u8; 12] = payload.first_chunk()?;
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let flags = word(2);
    // A response is never answered: two lures could otherwise keep each other busy.
    if flags & 0x8000 != 0 || word(4) != 1 || word(6) != 0 || word(8) != 0 {
        return None;
    }
    let (name, used) = name(&payload[12..])?;
    let end = 12 + used + 4;
    let fixed = payload.get(end - 4..end)?;
    Some(Query {
        id: word(0),
        opcode: (flags >> 11 & 0xf) as u8,
        recursion: flags & 0x0100 != 0,
        name,
        raw: payload[12..end].to_vec(),
        kind: u16::from_be_bytes([fixed[0], fixed[1]]),
        class: u16::from_be_bytes([fixed[2], fixed[3]]),
        edns: if word(10) > 0 { edns(&payload[end..]) } else { None },
    })
}

/// A name without pointers, at most 255 bytes; also how many bytes it took.
fn name(bytes: &[u8]) -> Option<(String, usize)> {
    let (mut out, mut at) = (String::new(), 0);
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        if length > 63 || at + length > 255 {
            return None;
        }
        let label = bytes.get(at..at + length)?;
        out.push_str(&super::super::printable(&label.to_ascii_lowercase()));
        out.push('.');
        at += length;
    }
    if out.is_empty() {
        out.push('.');
    }
    Some((out, at))
}

/// Size from an OPT record (RFC 6891) that stands first in the additional section, as clients send it.
fn edns(additional: &[u8]) -> Option<u16> {
    let record = additional.first_chunk::<11>()?;
    let kind = u16::from_be_bytes([record[1], record[2]]);
    (record[0] == 0 && kind == u16::from(RecordType::OPT)).then(|| u16::from_be_bytes([record[3], record[4]]))
}

/// `ANY`, `TXT`, …; `TYPE65280` for numbers without a name (RFC 3597).
pub fn kind_name(kind: u16) -> String {
    match RecordType::from(kind) {
        RecordType::Unknown(number) => format!("TYPE{number}"),
        known => known.to_string(),
    }
}
