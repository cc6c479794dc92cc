//! The little of ASN.1 BER (ITU-T X.690) that LDAP and SNMP need: definite lengths, no depth beyond what is asked.

/// One element: its tag and content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Element<'a> {
    /// Identifier octet; multi-octet tags do not occur here.
    pub tag: u8,
    /// Content octets.
    pub content: &'a [u8],
}

/// Takes one element off the front. Work and depth are bounded by the caller's own reads.
pub fn take<'a>(input: &mut &'a [u8]) -> Option<Element<'a>> {
    let (&tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // Lengths of one to three octets are enough for a datagram; the indefinite form is refused.
        0x81..=0x83 => {
            let (octets, rest) = rest.split_at_checked(usize::from(first & 3))?;
            (octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)), rest)
        }
        0x84 => {
            let (octets, rest) = rest.split_at_checked(4)?;
            (usize::try_from(u32::from_be_bytes(octets.try_into().ok()?)).ok()?, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    *input = rest;
    Some(Element { tag, content })
}

/// Takes one element of that tag.
pub fn expect<'a>(input: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    take(input).filter(|element| element.tag == tag).map(|element| element.content)
}

/// An INTEGER of at most eight octets.
pub fn integer(content: &[u8]) -> Option<i64> {
    if content.is_empty() || content.len() > 8 {
        return None;
    }
    let sign = if content[0] & 0x80 != 0 { -1i64 } else { 0 };
    Some(content.iter().fold(sign, |value, octet| value << 8 | i64::from(*octet)))
}

/// Encodes an element.
pub fn put(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        length @ 0..=0x7f => out.push(length as u8),
        length @ 0x80..=0xff => out.extend([0x81, length as u8]),
        length => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend_from_slice(content);
    out
}

/// Encodes an INTEGER in the fewest octets, under any tag.
pub fn put_integer(tag: u8, value: i64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let spare =
        |at: usize| (bytes[at] == 0 && bytes[at + 1] & 0x80 == 0) || (bytes[at] == 0xff && bytes[at + 1] & 0x80 != 0);
    let start = (0..7).take_while(|at| spare(*at)).count();
    put(tag, &bytes[start..])
}

/// Encodes several elements inside one.
pub fn nest(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    put(tag, &parts.concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_it_cannot_hold() {
        for bad in
            [&[][..], &[2], &[2, 1], &[2, 0x80, 0], &[0x1f, 1, 0], &[2, 0x84, 0xff, 0xff, 0xff, 0xff], &[2, 0x85]]
        {
            assert_eq!(take(&mut &*bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn integers_return(value in any::<i64>()) {
            let wire = put_integer(2, value);
            prop_assert_eq!(integer(expect(&mut &wire[..], 2).unwrap()), Some(value));
        }

        #[test]
        fn elements_return(content in proptest::collection::vec(any::<u8>(), 0..700)) {
            let wire = put(4, &content);
            prop_assert_eq!(expect(&mut &wire[..], 4), Some(&content[..]));
        }
    }
}
