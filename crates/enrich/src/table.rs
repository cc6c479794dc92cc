//! One imported file, compiled: segments of both families that point to deduplicated facts.

use std::collections::HashMap;
use std::net::IpAddr;

use noroshi_model::{Addr, Prefix};

use crate::country::Country;
use crate::error::LoadError;
use crate::segments::{NO_LENGTH, Segments, Span};

/// No name.
pub(crate) const NO_NAME: u32 = u32::MAX;
/// Longest name kept, in bytes; longer ones are cut at a character.
const NAME_BYTES_MAX: usize = 256;

/// What a table says of a range: for a list `name` is the organisation, else the name of the AS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Fact {
    /// 0, 0 when unknown.
    pub country: [u8; 2],
    /// 0 when unknown (RFC 7607 reserves it).
    pub asn: u32,
    pub name: u32,
}

impl Fact {
    pub fn country(self) -> Option<Country> {
        Country::from_bytes(self.country)
    }

    pub fn asn(self) -> Option<u32> {
        (self.asn != 0).then_some(self.asn)
    }
}

/// What one table says of one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit<'a> {
    /// Country, when the table holds countries.
    pub country: Option<Country>,
    /// Autonomous system, when the table holds networks.
    pub asn: Option<u32>,
    /// AS name, or for a list the organisation.
    pub name: Option<&'a str>,
    /// The prefix that answered; none when the source gives ranges that are no prefix.
    pub prefix: Option<Prefix>,
}

/// A compiled table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    pub(crate) v4: Segments<u32>,
    pub(crate) v6: Segments<u128>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) names: Names,
    /// 2002::/16 and 2001::/32 of the source point to its IPv4 tree (RFC 3056, RFC 4380).
    pub(crate) tunnels_alias_v4: bool,
}

impl Table {
    /// What the table says of an address.
    pub fn find(&self, addr: Addr) -> Option<Hit<'_>> {
        let (fact, length) = self.find_fact(addr)?;
        let prefix = (length != NO_LENGTH).then(|| Prefix::new(addr, length));
        Some(self.hit(fact, prefix))
    }

    /// As [`Table::find`], with the IPv4-mapped block looked up as the IPv6 it is written as. An [`Addr`] holds IPv4
    /// in that block, so this is the one place where the two forms differ; it exists to compare with other readers.
    pub fn find_as_written(&self, ip: IpAddr) -> Option<Hit<'_>> {
        match ip {
            IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
                let (value, _) = self.v6.find(v6.into())?;
                Some(self.hit(self.facts[value as usize], None))
            }
            _ => self.find(ip.into()),
        }
    }

    fn hit(&self, fact: Fact, prefix: Option<Prefix>) -> Hit<'_> {
        Hit { country: fact.country(), asn: fact.asn(), name: self.names.get(fact.name), prefix }
    }

    #[inline]
    pub(crate) fn find_fact(&self, addr: Addr) -> Option<(Fact, u8)> {
        let found = match addr.as_v4() {
            Some(bits) => self.v4.find(bits),
            None => self.v6.find(addr.0).or_else(|| self.find_tunnelled(addr)),
        };
        found.map(|(value, length)| (self.facts[value as usize], length))
    }

    /// The IPv4 address inside a 6to4 or Teredo address, where the source treats those blocks as aliases.
    #[cold]
    fn find_tunnelled(&self, addr: Addr) -> Option<(u32, u8)> {
        if !self.tunnels_alias_v4 {
            return None;
        }
        let (bits, above) = match addr.0 >> 96 {
            0x2001_0000 => ((addr.0 >> 64) as u32, 32),
            top if top >> 16 == 0x2002 => ((addr.0 >> 80) as u32, 16),
            _ => return None,
        };
        self.v4.find(bits).map(|(value, length)| (value, if length == NO_LENGTH { length } else { length + above }))
    }

    /// The table in bytes as kept on disk, or what does not fit.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, &'static str> {
        crate::codec::decode(bytes)
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.v4.bytes() + self.v6.bytes() + self.facts.capacity() * size_of::<Fact>() + self.names.text.capacity()
    }

    pub(crate) fn has_country(&self) -> bool {
        self.facts.iter().any(|fact| fact.country().is_some())
    }

    pub(crate) fn has_asn(&self) -> bool {
        self.facts.iter().any(|fact| fact.asn().is_some())
    }

    /// Names by AS number, ascending; the first name seen for each.
    pub(crate) fn as_names(&self) -> Vec<(u32, u32)> {
        let mut names: Vec<_> =
            self.facts.iter().filter(|f| f.asn != 0 && f.name != NO_NAME).map(|f| (f.asn, f.name)).collect();
        names.sort_unstable();
        names.dedup_by_key(|(asn, _)| *asn);
        names
    }
}

/// Texts end to end, addressed by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    pub text: String,
    /// End offset of each name.
    pub ends: Vec<u32>,
}

impl Names {
    pub fn get(&self, number: u32) -> Option<&str> {
        let at = number as usize;
        let end = *self.ends.get(at)? as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        self.text.get(start..end)
    }
}

/// Gathers what a loader reads and compiles it.
#[derive(Debug)]
pub(crate) struct Builder {
    v4: Vec<Span<u32>>,
    v6: Vec<Span<u128>>,
    facts: Vec<Fact>,
    known_facts: HashMap<Fact, u32>,
    names: Names,
    known_names: HashMap<String, u32>,
    entries_left: u64,
    entries_max: u64,
    pub tunnels_alias_v4: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Builder::new(u64::MAX)
    }
}

impl Builder {
    pub fn new(entries_max: u64) -> Self {
        Builder {
            v4: Vec::new(),
            v6: Vec::new(),
            facts: Vec::new(),
            known_facts: HashMap::new(),
            names: Names::default(),
            known_names: HashMap::new(),
            entries_left: entries_max,
            entries_max,
            tunnels_alias_v4: false,
        }
    }

    /// The number of a name; control characters are replaced and the length is bounded, for names reach terminals.
    pub fn name(&mut self, text: &str) -> u32 {
        let text = text.trim();
        if text.is_empty() {
            return NO_NAME;
        }
        if let Some(number) = self.known_names.get(text) {
            return *number;
        }
        let cut = text.floor_char_boundary(NAME_BYTES_MAX);
        let clean: String = text[..cut].chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if self.names.text.len() + clean.len() > u32::MAX as usize {
            return NO_NAME;
        }
        let number = self.names.ends.len() as u32;
        self.names.text.push_str(&clean);
        self.names.ends.push(self.names.text.len() as u32);
        self.known_names.insert(text.to_owned(), number);
        number
    }

    pub fn fact(&mut self, country: Option<Country>, asn: Option<u32>, name: u32) -> u32 {
        let fact = Fact { country: country.map_or([0; 2], Country::bytes), asn: asn.unwrap_or(0), name };
        let next = self.facts.len() as u32;
        *self.known_facts.entry(fact).or_insert_with(|| {
            self.facts.push(fact);
            next
        })
    }

    fn count(&mut self) -> Result<(), LoadError> {
        let over = LoadError::OverLimit { what: "entries", limit: self.entries_max };
        self.entries_left = self.entries_left.checked_sub(1).ok_or(over)?;
        Ok(())
    }

    pub fn prefix(&mut self, prefix: Prefix, fact: u32) -> Result<(), LoadError> {
        self.count()?;
        let (first, last, length) = (prefix.first(), prefix.last(), prefix.length());
        match (first.as_v4(), last.as_v4()) {
            (Some(first), Some(last)) => self.v4.push(Span { first, last, length, value: fact }),
            _ => self.v6.push(Span { first: first.0, last: last.0, length, value: fact }),
        }
        Ok(())
    }

    /// A prefix as an MMDB tree spells it: the IPv4-mapped block stays IPv6 here.
    pub fn tree_prefix(&mut self, ip: IpAddr, length: u8, fact: u32) -> Result<(), LoadError> {
        match ip {
            IpAddr::V4(_) => self.prefix(Prefix::new(ip.into(), length), fact),
            IpAddr::V6(v6) => {
                self.count()?;
                let host = u128::MAX.checked_shr(u32::from(length)).unwrap_or(0);
                let first = u128::from(v6) & !host;
                self.v6.push(Span { first, last: first | host, length, value: fact });
                Ok(())
            }
        }
    }

    /// A range; returns false when the ends are not an ascending pair of one family.
    pub fn range(&mut self, first: Addr, last: Addr, fact: u32) -> Result<bool, LoadError> {
        if first.is_v4() != last.is_v4() || first > last {
            return Ok(false);
        }
        self.count()?;
        let length = range_length(first, last);
        match (first.as_v4(), last.as_v4()) {
            (Some(first), Some(last)) => self.v4.push(Span { first, last, length, value: fact }),
            _ => self.v6.push(Span { first: first.0, last: last.0, length, value: fact }),
        }
        Ok(true)
    }

    pub fn build(mut self) -> Table {
        // A country holds many thousand prefixes: their lengths say nothing anyone asks for, and without them
        // neighbours merge, which makes the table several times smaller.
        if self.facts.iter().all(|fact| fact.asn == 0 && fact.country != [0; 2]) {
            self.v4.iter_mut().for_each(|span| span.length = NO_LENGTH);
            self.v6.iter_mut().for_each(|span| span.length = NO_LENGTH);
        }
        Table {
            v4: Segments::compile(self.v4),
            v6: Segments::compile(self.v6),
            facts: self.facts,
            names: self.names,
            tunnels_alias_v4: self.tunnels_alias_v4,
        }
    }
}

/// The length when the range is exactly one prefix.
fn range_length(first: Addr, last: Addr) -> u8 {
    let host = first.0 ^ last.0;
    if host & host.wrapping_add(1) != 0 || first.0 & host != 0 {
        return NO_LENGTH;
    }
    let bits = 128 - host.count_ones();
    if first.is_v4() { (bits - 96) as u8 } else { bits as u8 }
}
