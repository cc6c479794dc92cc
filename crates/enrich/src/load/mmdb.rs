//! MaxMind DB files (format specification 2.0) of any publisher: MaxMind, DB-IP, IPinfo, iptoasn.
//!
//! The library checks the structure; what it cannot know is how many networks a tree of `n` nodes may hold. A binary
//! tree with `n` inner nodes has `n + 1` leaves, so a walk that yields more meets nodes twice (a loop or a fold), and
//! is refused: a few hundred bytes could otherwise describe 2^128 networks.

use std::collections::HashMap;
use std::fmt;

use maxminddb::{Reader, WithinOptions};
use noroshi_model::Nanos;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Format, Limits, Parsed};
use crate::country::Country;
use crate::error::LoadError;
use crate::table::Builder;

const NAME: &str = "MMDB";
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
/// The metadata stands in the last 128 KiB (specification, "Database Metadata").
const METADATA_BYTES_MAX: usize = 128 << 10;

pub(super) fn is_mmdb(bytes: &[u8]) -> bool {
    let tail = &bytes[bytes.len().saturating_sub(METADATA_BYTES_MAX)..];
    tail.windows(MARKER.len()).any(|window| window == MARKER)
}

/// Reads a MaxMind DB.
pub fn mmdb(bytes: &[u8], name: &str, limits: &Limits) -> Result<Parsed, LoadError> {
    let reader = Reader::from_source(bytes).map_err(|e| LoadError::malformed(NAME, "metadata", e))?;
    let metadata = reader.metadata();
    let leaves_max = u64::from(metadata.node_count) + 1;
    let mut builder = Builder::new(limits.entries_max);
    let mut known: HashMap<usize, Option<u32>> = HashMap::new();
    let (mut leaves, mut entries, mut skipped) = (0u64, 0u64, 0u64);
    // Leaves without data are asked for so that each step of the walk returns here and is counted.
    let options = WithinOptions::default().include_networks_without_data();
    for leaf in reader.networks(options).map_err(|e| LoadError::malformed(NAME, "search tree", e))? {
        let leaf = leaf.map_err(|e| LoadError::malformed(NAME, "search tree", e))?;
        leaves += 1;
        if leaves > leaves_max {
            return Err(LoadError::malformed(NAME, "search tree", "nodes are reached twice (a loop)"));
        }
        let Some(offset) = leaf.offset() else { continue };
        let fact = match known.get(&offset) {
            Some(fact) => *fact,
            None => {
                let record: Option<Record> =
                    leaf.decode().map_err(|e| LoadError::malformed(NAME, format!("record at {offset}"), e))?;
                let fact = record.unwrap_or_default().fact(&mut builder);
                known.insert(offset, fact);
                fact
            }
        };
        let Some(fact) = fact else {
            skipped += 1;
            continue;
        };
        let network = leaf.network().map_err(|e| LoadError::malformed(NAME, "search tree", e))?;
        builder.tree_prefix(network.ip(), network.prefix(), fact)?;
        entries += 1;
    }
    if entries == 0 {
        let reason = format!("no record of \"{}\" has a country or an AS number", metadata.database_type);
        return Err(LoadError::Empty { format: NAME, reason: crate::error::printable(&reason) });
    }
    builder.tunnels_alias_v4 = tunnels_alias_v4(&reader)?;
    let seconds = i64::try_from(metadata.build_epoch).unwrap_or(i64::MAX);
    Ok(Parsed {
        format: Format::Mmdb,
        title: title(&metadata.database_type, name),
        as_of: (seconds > 0).then(|| Nanos::from_seconds(seconds)),
        kinds: None,
        entries,
        skipped,
        problems: Vec::new(),
        table: builder.build(),
    })
}

fn title(database_type: &str, name: &str) -> String {
    if database_type.trim().is_empty() { name.to_owned() } else { crate::error::printable(database_type) }
}

/// True when 2002::/16 leads to the IPv4 tree. The library leaves such aliases out, so that a walk which would show
/// even holes shows nothing there.
fn tunnels_alias_v4(reader: &Reader<&[u8]>) -> Result<bool, LoadError> {
    if reader.metadata().ip_version != 6 {
        return Ok(false);
    }
    let six_to_four = "2002::/16".parse().map_err(|e| LoadError::malformed(NAME, "search tree", e))?;
    let options = WithinOptions::default().include_networks_without_data();
    let mut walk = reader.within(six_to_four, options).map_err(|e| LoadError::malformed(NAME, "search tree", e))?;
    Ok(walk.next().is_none())
}

/// The fields that matter, by all the names publishers give them.
#[derive(Debug, Default)]
struct Record {
    country: Option<Country>,
    registered: Option<Country>,
    asn: Option<u32>,
    name: Option<String>,
}

impl Record {
    /// The fact's number, or none when the record says neither country nor network.
    fn fact(self, builder: &mut Builder) -> Option<u32> {
        let country = self.country.or(self.registered);
        if country.is_none() && self.asn.is_none() {
            return None;
        }
        let name = match (self.asn, self.name) {
            (Some(_), Some(name)) => builder.name(&name),
            _ => crate::table::NO_NAME,
        };
        Some(builder.fact(country, self.asn, name))
    }

    fn take(&mut self, field: Field, value: Value) {
        match field {
            Field::Country => self.country = value.country(),
            Field::Registered => self.registered = value.country(),
            Field::Asn => self.asn = value.asn(),
            Field::AsName => self.name = value.text(),
            Field::Name if self.name.is_none() => self.name = value.text(),
            Field::Name | Field::Other => {}
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Country,
    /// Where the holder is registered; counts when the place itself is unknown.
    Registered,
    Asn,
    AsName,
    /// IPinfo: beside "asn"; weaker than the other names.
    Name,
    Other,
}

fn field(key: &str) -> Field {
    match key {
        "country" | "country_code" | "country_iso_code" | "iso_code" => Field::Country,
        "registered_country" => Field::Registered,
        "autonomous_system_number" | "asn" | "as_number" | "AS_number" => Field::Asn,
        "autonomous_system_organization" | "as_name" | "as_organization" | "as_org" | "asn_name" | "AS_description" => {
            Field::AsName
        }
        "name" => Field::Name,
        _ => Field::Other,
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Record;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record, A::Error> {
                let mut record = Record::default();
                while let Some(key) = map.next_key::<String>()? {
                    match field(&key) {
                        Field::Other => _ = map.next_value::<IgnoredAny>()?,
                        field => record.take(field, map.next_value()?),
                    }
                }
                Ok(record)
            }
            // A record may be any type; one that is no map has no fields.
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Record, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Record::default())
            }
            fn visit_str<E>(self, _: &str) -> Result<Record, E> {
                Ok(Record::default())
            }
            fn visit_bytes<E>(self, _: &[u8]) -> Result<Record, E> {
                Ok(Record::default())
            }
            fn visit_u64<E>(self, _: u64) -> Result<Record, E> {
                Ok(Record::default())
            }
            fn visit_u128<E>(self, _: u128) -> Result<Record, E> {
                Ok(Record::default())
            }
            fn visit_i64<E>(self, _: i64) -> Result<Record, E> {
                Ok(Record::default())
            }
            fn visit_f64<E>(self, _: f64) -> Result<Record, E> {
                Ok(Record::default())
            }
            fn visit_bool<E>(self, _: bool) -> Result<Record, E> {
                Ok(Record::default())
            }
        }
        deserializer.deserialize_any(Fields)
    }
}

/// A field of unforeseen type: a text, a number, or a map of which only the code matters.
#[derive(Debug)]
enum Value {
    Text(String),
    Number(u64),
    Other,
}

impl Value {
    fn country(self) -> Option<Country> {
        match self {
            Value::Text(text) => Country::new(&text),
            _ => None,
        }
    }

    /// A number, or text such as `AS15169`.
    fn asn(self) -> Option<u32> {
        match self {
            Value::Number(number) => u32::try_from(number).ok().filter(|asn| *asn != 0),
            Value::Text(text) => super::columns::parse_asn(&text),
            Value::Other => None,
        }
    }

    fn text(self) -> Option<String> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field")
            }
            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(text.to_owned()))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
                Ok(Value::Number(number))
            }
            fn visit_u128<E>(self, _: u128) -> Result<Value, E> {
                Ok(Value::Other)
            }
            fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
                Ok(u64::try_from(number).map_or(Value::Other, Value::Number))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
                Ok(Value::Other)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
                Ok(Value::Other)
            }
            fn visit_bytes<E>(self, _: &[u8]) -> Result<Value, E> {
                Ok(Value::Other)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Value::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let mut code = Value::Other;
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "iso_code" | "code" | "country_code" => code = map.next_value()?,
                        _ => _ = map.next_value::<IgnoredAny>()?,
                    }
                }
                Ok(code)
            }
        }
        deserializer.deserialize_any(Any)
    }
}
