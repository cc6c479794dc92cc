//! Compiled tables as bytes on disk: fixed header, plain little-endian columns, CRC32C over everything before it.
//!
//! Reading checks the sum and then every number that is later used to index something, so that a damaged or forged
//! file is an error here and never a panic in a look-up.

use crate::segments::{NO_VALUE, Segments};
use crate::table::{Fact, NO_NAME, Names, Table};

/// The last byte before the line end is the version of the format.
const MAGIC: &[u8; 16] = b"NOROSHI TABLE 1\n";
const HEADER_NUMBERS: usize = 6;

/// The table as bytes.
pub(crate) fn encode(table: &Table) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    let counts = [
        table.v4.len(),
        table.v6.len(),
        table.facts.len(),
        table.names.ends.len(),
        table.names.text.len(),
        usize::from(table.tunnels_alias_v4),
    ];
    counts.iter().for_each(|count| out.extend((*count as u64).to_le_bytes()));
    let (starts, values, lengths) = table.v4.parts();
    starts.iter().for_each(|n| out.extend(n.to_le_bytes()));
    values.iter().for_each(|n| out.extend(n.to_le_bytes()));
    out.extend(lengths);
    let (starts, values, lengths) = table.v6.parts();
    starts.iter().for_each(|n| out.extend(n.to_le_bytes()));
    values.iter().for_each(|n| out.extend(n.to_le_bytes()));
    out.extend(lengths);
    for fact in &table.facts {
        out.extend(fact.country);
        out.extend(fact.asn.to_le_bytes());
        out.extend(fact.name.to_le_bytes());
    }
    table.names.ends.iter().for_each(|n| out.extend(n.to_le_bytes()));
    out.extend(table.names.text.as_bytes());
    let sum = crc32c::crc32c(&out);
    out.extend(sum.to_le_bytes());
    out
}

/// The table in the bytes, or what does not fit.
pub(crate) fn decode(bytes: &[u8]) -> Result<Table, &'static str> {
    let Some((content, sum)) = bytes.split_last_chunk::<4>() else { return Err("too short") };
    if !content.starts_with(MAGIC) {
        return Err("not a table of this format");
    }
    if crc32c::crc32c(content) != u32::from_le_bytes(*sum) {
        return Err("the checksum differs");
    }
    let mut cursor = Cursor(&content[MAGIC.len()..]);
    let mut counts = [0usize; HEADER_NUMBERS];
    for count in &mut counts {
        *count = usize::try_from(u64::from_le_bytes(cursor.chunk()?)).map_err(|_| "a count is too large")?;
    }
    let [v4, v6, facts, names, text, alias] = counts;
    let v4 = segments(cursor.numbers(v4, u32::from_le_bytes)?, &mut cursor, facts, 32)?;
    let v6 = segments(cursor.numbers(v6, u128::from_le_bytes)?, &mut cursor, facts, 128)?;
    let facts = cursor.numbers(facts, |raw: [u8; 10]| Fact {
        country: [raw[0], raw[1]],
        asn: u32::from_le_bytes([raw[2], raw[3], raw[4], raw[5]]),
        name: u32::from_le_bytes([raw[6], raw[7], raw[8], raw[9]]),
    })?;
    if facts.iter().any(|fact| fact.name != NO_NAME && fact.name as usize >= names) {
        return Err("a name is missing");
    }
    let ends = cursor.numbers(names, u32::from_le_bytes)?;
    let text = std::str::from_utf8(cursor.bytes(text)?).map_err(|_| "a name is not text")?.to_owned();
    Ok(Table { v4, v6, facts, names: Names { text, ends }, tunnels_alias_v4: alias == 1 })
}

fn segments<K: crate::segments::Key>(
    starts: Vec<K>,
    cursor: &mut Cursor<'_>,
    facts: usize,
    bits: u8,
) -> Result<Segments<K>, &'static str> {
    let values = cursor.numbers(starts.len(), u32::from_le_bytes)?;
    let lengths = cursor.bytes(starts.len())?.to_vec();
    if values.iter().any(|value| *value != NO_VALUE && *value as usize >= facts) {
        return Err("a fact is missing");
    }
    if lengths.iter().any(|length| *length != crate::segments::NO_LENGTH && *length > bits) {
        return Err("a prefix is too long");
    }
    Segments::from_parts(starts, values, lengths).ok_or("the segments are out of order")
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let (head, rest) = self.0.split_at_checked(count).ok_or("it ends too early")?;
        self.0 = rest;
        Ok(head)
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (head, rest) = self.0.split_first_chunk().ok_or("it ends too early")?;
        self.0 = rest;
        Ok(*head)
    }

    fn numbers<T, const N: usize>(
        &mut self,
        count: usize,
        read: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>, &'static str> {
        let bytes = self.bytes(count.checked_mul(N).ok_or("a count is too large")?)?;
        Ok(bytes.as_chunks::<N>().0.iter().map(|raw| read(*raw)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Limits, csv};
    use proptest::prelude::*;

    fn sample() -> Table {
        let text = "192.0.2.0/24,64500,One\n2001:db8::/32,64501,\"Two, Ltd\"\n198.51.100.0/24,64500,One\n";
        csv(text.as_bytes(), "x", &Limits::default()).unwrap().table
    }

    #[test]
    fn round_trip() {
        let table = sample();
        assert_eq!(decode(&encode(&table)).unwrap(), table);
        assert_eq!(decode(&encode(&Table::default())).unwrap(), Table::default());
    }

    #[test]
    fn each_damaged_byte_is_noticed() {
        let bytes = encode(&sample());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            assert!(decode(&damaged).is_err(), "byte {at}");
            assert!(decode(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    proptest! {
        /// With a correct checksum over forged content nothing may panic, in reading or in looking up.
        #[test]
        fn forged_content_never_panics(at in 16usize..300, with: u8, keys in prop::collection::vec(any::<u128>(), 8)) {
            let mut bytes = encode(&sample());
            let content = bytes.len() - 4;
            bytes[16 + at % (content - 16)] = with;
            let sum = crc32c::crc32c(&bytes[..content]);
            bytes[content..].copy_from_slice(&sum.to_le_bytes());
            if let Ok(table) = decode(&bytes) {
                for key in keys {
                    table.find(noroshi_model::Addr(key));
                    table.find(noroshi_model::Addr::v4(key as u32));
                }
                table.find("192.0.2.1".parse().unwrap());
            }
        }
    }
}
