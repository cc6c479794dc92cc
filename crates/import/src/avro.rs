//! Avro object container files (Avro 1.11, "Object Container Files"): header, schema, blocks of records.
//!
//! Records become JSON objects by the schema that the file carries, so readers go by names, never by position. Codecs:
//! null, deflate, zstandard. Named types that refer to each other are refused, which also rules out endless recursion.

use serde_json::{Map, Value};
use std::io::{self, Read};

/// What a container begins with.
pub const MAGIC: [u8; 4] = *b"Obj\x01";

/// Bytes of the header's values, and of one block as stored.
const BLOCK_BYTES: u64 = 64 << 20;
/// Bytes of one block unpacked.
const UNPACKED_BYTES: u64 = 256 << 20;
/// Types within types, and fields of a record.
const DEPTH: usize = 8;
const FIELDS: usize = 256;
/// Items of one array or map.
const ITEMS: i64 = 65_536;
/// Values of one record, those within values included: some take no byte.
const VALUES: usize = 65_536;

/// What keeps a container from being read further, in words.
type Broken = String;

enum Schema {
    Null,
    Boolean,
    Number,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    Enum(Vec<String>),
    Array(Box<Schema>),
    Map(Box<Schema>),
    Union(Vec<Schema>),
    Record(Vec<(String, Schema)>),
}

#[derive(Clone, Copy, PartialEq)]
enum Codec {
    Null,
    Deflate,
    Zstandard,
}

/// A container, read block by block.
pub struct Container<R> {
    source: R,
    schema: Schema,
    name: String,
    codec: Codec,
    sync: [u8; 16],
    block: Block,
    left: i64,
    ended: bool,
}

/// An unpacked block, and how many values the record that is read may still have.
#[derive(Default)]
struct Block {
    bytes: io::Cursor<Vec<u8>>,
    values: usize,
}

impl Block {
    /// Bytes that are left: they bound what any length may ask for.
    fn left(&self) -> u64 {
        self.bytes.get_ref().len() as u64 - self.bytes.position()
    }
}

impl Read for Block {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(into)
    }
}

impl<R: Read> Container<R> {
    /// Reads the header.
    pub fn open(mut source: R) -> Result<Self, Broken> {
        let mut magic = [0; 4];
        read(&mut source, &mut magic)?;
        if magic != MAGIC {
            return Err("it is no Avro container".into());
        }
        let (mut schema, mut codec) = (None, Codec::Null);
        loop {
            let count = items(&mut source)?;
            if count == 0 {
                break;
            }
            for _ in 0..count {
                let key = bytes(&mut source, BLOCK_BYTES)?;
                let value = bytes(&mut source, BLOCK_BYTES)?;
                match &key[..] {
                    b"avro.schema" => {
                        let json: Value = serde_json::from_slice(&value).map_err(|e| format!("its schema: {e}"))?;
                        let name = json["name"].as_str().unwrap_or_default().to_owned();
                        schema = Some((schema_of(&json, DEPTH)?, name));
                    }
                    b"avro.codec" => {
                        codec = match &value[..] {
                            b"null" => Codec::Null,
                            b"deflate" => Codec::Deflate,
                            b"zstandard" => Codec::Zstandard,
                            other => {
                                let name = String::from_utf8_lossy(other).escape_default().to_string();
                                return Err(format!("codec {name}; null, deflate and zstandard are read"));
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
        let mut sync = [0; 16];
        read(&mut source, &mut sync)?;
        let (schema, name) = schema.ok_or("it has no schema")?;
        Ok(Container { source, schema, name, codec, sync, block: Block::default(), left: 0, ended: false })
    }

    /// The name that the schema gives to its records.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The next record; none at the end. After an error there is nothing more.
    pub fn next_record(&mut self) -> Result<Option<Map<String, Value>>, Broken> {
        if self.ended {
            return Ok(None);
        }
        let next = self.advance();
        self.ended = !matches!(next, Ok(Some(_)));
        next
    }

    fn advance(&mut self) -> Result<Option<Map<String, Value>>, Broken> {
        while self.left == 0 {
            if self.block.left() > 0 {
                return Err("a block is longer than its records".into());
            }
            let Some(count) = first_number(&mut self.source)? else { return Ok(None) };
            if count < 0 {
                return Err("a block of fewer than no records".into());
            }
            let stored = bytes(&mut self.source, BLOCK_BYTES)?;
            let mut sync = [0; 16];
            read(&mut self.source, &mut sync)?;
            if sync != self.sync {
                return Err("a block does not end with the file's mark".into());
            }
            self.block.bytes = io::Cursor::new(unpack(self.codec, stored)?);
            // A record without fields takes no byte: only the size bounds the count.
            if count as u64 > self.block.left() {
                return Err("a block of more records than bytes".into());
            }
            self.left = count;
        }
        self.left -= 1;
        self.block.values = VALUES;
        match value(&self.schema, &mut self.block)? {
            Value::Object(record) => Ok(Some(record)),
            _ => Err("its values are no records".into()),
        }
    }
}

fn unpack(codec: Codec, stored: Vec<u8>) -> Result<Vec<u8>, Broken> {
    let mut unpacked = Vec::new();
    let limit = UNPACKED_BYTES + 1;
    let done = match codec {
        Codec::Null => return Ok(stored),
        Codec::Deflate => flate2::read::DeflateDecoder::new(&stored[..]).take(limit).read_to_end(&mut unpacked),
        Codec::Zstandard => zstd::stream::read::Decoder::new(&stored[..])
            .and_then(|mut decoder| decoder.window_log_max(27).map(|()| decoder))
            .and_then(|decoder| decoder.take(limit).read_to_end(&mut unpacked)),
    };
    done.map_err(|error| format!("a block cannot be unpacked: {error}"))?;
    if unpacked.len() as u64 >= limit { Err("a block unpacks to too many bytes".into()) } else { Ok(unpacked) }
}

fn schema_of(json: &Value, depth: usize) -> Result<Schema, Broken> {
    let deeper = depth.checked_sub(1).ok_or("its schema is nested too deeply")?;
    let inner = |name: &str| Ok::<_, Broken>(Box::new(schema_of(&json[name], deeper)?));
    let kind = match json {
        Value::Array(of) if of.len() <= FIELDS => {
            return Ok(Schema::Union(of.iter().map(|json| schema_of(json, deeper)).collect::<Result<_, _>>()?));
        }
        Value::Object(of) => of.get("type").unwrap_or(&Value::Null),
        other => other,
    };
    Ok(match kind.as_str() {
        Some("null") => Schema::Null,
        Some("boolean") => Schema::Boolean,
        Some("int" | "long") => Schema::Number,
        Some("float") => Schema::Float,
        Some("double") => Schema::Double,
        Some("bytes") => Schema::Bytes,
        Some("string") => Schema::Text,
        Some("array") => Schema::Array(inner("items")?),
        Some("map") => Schema::Map(inner("values")?),
        Some("fixed") => {
            let size = json["size"].as_u64().filter(|size| *size <= BLOCK_BYTES).ok_or("its schema: a fixed size")?;
            Schema::Fixed(size as usize)
        }
        Some("enum") => {
            let symbols = json["symbols"].as_array().filter(|symbols| symbols.len() <= FIELDS);
            let symbols = symbols.ok_or("its schema: an enum without symbols")?;
            Schema::Enum(symbols.iter().map(|symbol| symbol.as_str().unwrap_or_default().to_owned()).collect())
        }
        Some("record") => {
            let fields = json["fields"].as_array().filter(|fields| fields.len() <= FIELDS);
            let field = |field: &Value| {
                Ok((field["name"].as_str().unwrap_or_default().to_owned(), schema_of(&field["type"], deeper)?))
            };
            let fields = fields.ok_or("its schema: a record without fields, or with too many")?;
            Schema::Record(fields.iter().map(field).collect::<Result<_, Broken>>()?)
        }
        Some(other) => return Err(format!("its schema names the type {}", other.escape_default())),
        // {"type": {"type": "array", …}}
        None if kind.is_object() || kind.is_array() => schema_of(kind, deeper)?,
        None => return Err("its schema lacks a type".into()),
    })
}

fn value(schema: &Schema, source: &mut Block) -> Result<Value, Broken> {
    source.values = source.values.checked_sub(1).ok_or("a record of too many values")?;
    Ok(match schema {
        Schema::Null => Value::Null,
        Schema::Boolean => Value::from(byte(source)? != 0),
        Schema::Number => Value::from(number(source)?),
        Schema::Float => {
            let mut bits = [0; 4];
            read(source, &mut bits)?;
            Value::from(f32::from_le_bytes(bits))
        }
        Schema::Double => {
            let mut bits = [0; 8];
            read(source, &mut bits)?;
            Value::from(f64::from_le_bytes(bits))
        }
        Schema::Bytes | Schema::Text => {
            let most = source.left();
            Value::from(String::from_utf8_lossy(&bytes(source, most)?).into_owned())
        }
        Schema::Fixed(size) => {
            let mut found = vec![0; (*size).min(source.left() as usize + 1)];
            read(source, &mut found)?;
            Value::from(String::from_utf8_lossy(&found).into_owned())
        }
        Schema::Enum(symbols) => {
            let at = usize::try_from(number(source)?).ok().and_then(|at| symbols.get(at));
            Value::from(at.ok_or("a symbol that its schema does not have")?.as_str())
        }
        Schema::Union(of) => {
            let at = usize::try_from(number(source)?).ok().and_then(|at| of.get(at));
            value(at.ok_or("a branch that its schema does not have")?, source)?
        }
        Schema::Array(of) => {
            let mut found = Vec::new();
            many(source, |source| {
                found.push(value(of, source)?);
                Ok(())
            })?;
            Value::from(found)
        }
        Schema::Map(of) => {
            let mut found = Map::new();
            many(source, |source| {
                let most = source.left();
                let key = String::from_utf8_lossy(&bytes(source, most)?).into_owned();
                found.insert(key, value(of, source)?);
                Ok(())
            })?;
            Value::from(found)
        }
        Schema::Record(fields) => {
            let mut found = Map::new();
            for (name, schema) in fields {
                found.insert(name.clone(), value(schema, source)?);
            }
            Value::from(found)
        }
    })
}

/// Items in blocks, until one is empty.
fn many(source: &mut Block, mut item: impl FnMut(&mut Block) -> Result<(), Broken>) -> Result<(), Broken> {
    let mut total = 0;
    loop {
        let count = items(source)?;
        if count == 0 {
            return Ok(());
        }
        total += count;
        if total > ITEMS {
            return Err(format!("more than {ITEMS} items in one value"));
        }
        (0..count).try_for_each(|_| item(source))?;
    }
}

/// Count of a block of items; a negative one is followed by its size in bytes.
fn items(source: &mut impl Read) -> Result<i64, Broken> {
    let count = number(source)?;
    if count < 0 {
        number(source)?;
    }
    let count = count.checked_abs().filter(|count| *count <= ITEMS);
    count.ok_or_else(|| format!("more than {ITEMS} items in one value"))
}

fn bytes(source: &mut impl Read, most: u64) -> Result<Vec<u8>, Broken> {
    let length = number(source)?;
    let length = u64::try_from(length).ok().filter(|length| *length <= most);
    let length = length.ok_or("a length beyond the end of what holds it, or of the budget")?;
    let mut found = Vec::new();
    source.take(length).read_to_end(&mut found).map_err(|error| error.to_string())?;
    if found.len() as u64 == length { Ok(found) } else { Err(ENDS.into()) }
}

const ENDS: &str = "it ends in the middle";

fn read(source: &mut impl Read, into: &mut [u8]) -> Result<(), Broken> {
    source.read_exact(into).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => ENDS.to_owned(),
        _ => error.to_string(),
    })
}

fn byte(source: &mut impl Read) -> Result<u8, Broken> {
    let mut byte = [0];
    read(source, &mut byte)?;
    Ok(byte[0])
}

/// A zigzag number of at most ten bytes.
fn number(source: &mut impl Read) -> Result<i64, Broken> {
    let first = byte(source)?;
    number_from(first, source)
}

/// The same, or none at the end of the file.
fn first_number(source: &mut impl Read) -> Result<Option<i64>, Broken> {
    let mut first = [0];
    loop {
        match source.read(&mut first) {
            Ok(0) => return Ok(None),
            Ok(_) => return number_from(first[0], source).map(Some),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn number_from(first: u8, source: &mut impl Read) -> Result<i64, Broken> {
    let (mut bits, mut shift, mut last) = (u64::from(first & 127), 7, first);
    while last & 128 != 0 {
        if shift > 63 {
            return Err("a number of more than 64 bits".into());
        }
        last = byte(source)?;
        bits |= u64::from(last & 127) << shift;
        shift += 7;
    }
    Ok((bits >> 1) as i64 ^ -((bits & 1) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_specification() {
        for (bytes, expected) in
            [(&[0u8][..], 0), (&[1], -1), (&[2], 1), (&[0x7f], -64), (&[0x80, 1], 64), (&[0x7e], 63)]
        {
            assert_eq!(number(&mut &bytes[..]), Ok(expected));
        }
        assert!(number(&mut &[0xff; 11][..]).is_err());
    }
}
