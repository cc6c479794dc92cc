//! A message: header, token, options (RFC 7252, section 3).

/// Uri-Path.
const URI_PATH: u32 = 11;
/// Options read; more make a message malformed.
const OPTIONS: usize = 32;

/// A request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request<'a> {
    /// Whether an acknowledgement is wanted.
    pub confirmable: bool,
    /// 0 empty, 1 GET, 2 POST, 3 PUT, 4 DELETE.
    pub code: u8,
    /// Message number, to be returned.
    pub id: u16,
    /// Token, to be returned.
    pub token: &'a [u8],
    /// Segments of the path, each after a slash.
    pub path: Vec<u8>,
}

impl Request<'_> {
    /// Name of the method.
    pub fn method_name(&self) -> &'static str {
        match self.code {
            0 => "ping",
            1 => "GET",
            2 => "POST",
            3 => "PUT",
            4 => "DELETE",
            _ => "other",
        }
    }
}

/// Reads a request; none for anything else, responses and acknowledgements included.
pub fn parse(payload: &[u8]) -> Option<Request<'_>> {
    let (head, rest) = payload.split_first_chunk::<4>()?;
    let (version, kind, token) = (head[0] >> 6, head[0] >> 4 & 3, usize::from(head[0] & 15));
    if version != 1 || kind > 1 || token > 8 || head[1] > 31 {
        return None;
    }
    let (token, mut rest) = rest.split_at_checked(token)?;
    let (mut number, mut path) = (0u32, Vec::new());
    for _ in 0..OPTIONS {
        let Some((&first, after)) = rest.split_first() else { break };
        if first == 0xff {
            rest = &[];
            break;
        }
        rest = after;
        let delta = extended(first >> 4, &mut rest)?;
        let length = extended(first & 15, &mut rest)? as usize;
        number = number.checked_add(delta)?;
        let (value, after) = rest.split_at_checked(length)?;
        if number == URI_PATH {
            path.push(b'/');
            path.extend_from_slice(value);
        }
        rest = after;
    }
    let id = u16::from_be_bytes([head[2], head[3]]);
    rest.is_empty().then_some(Request { confirmable: kind == 0, code: head[1], id, token, path })
}

/// Option numbers and lengths in one, two or three bytes.
fn extended(nibble: u8, rest: &mut &[u8]) -> Option<u32> {
    match nibble {
        13 => {
            let (&byte, after) = rest.split_first()?;
            *rest = after;
            Some(u32::from(byte) + 13)
        }
        14 => {
            let (bytes, after) = rest.split_first_chunk::<2>()?;
            *rest = after;
            Some(u32::from(u16::from_be_bytes(*bytes)) + 269)
        }
        15 => None,
        small => Some(u32::from(small)),
    }
}
