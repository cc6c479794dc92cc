//! Column chunks of a Parquet file, encoded straight from decoded packets.
//!
//! Numbers, times and addresses take this way; texts, payloads and flags go through the general writer. That one builds
//! an Arrow array of each column, then levels, then values, then pages: 36 columns cost it half a microsecond a packet.
//! Here a column is one pass over rows that lie in the nearest cache, and most pages are what was gathered, as it is:
//!
//! - A number of eight or sixteen bits is its own place in a dictionary of all numbers below, so that places, packed at
//!   eight or sixteen bits, are the bytes of the numbers. A page of one number is one run.
//! - Times are differences, packed (`DELTA_BINARY_PACKED`); random words are plain.
//! - Addresses are plain, as splits and differences of sixteen bytes are not read everywhere (DuckDB 2.0, polars 2.1),
//!   and where a page is IPv4 throughout LZ4 takes away the twelve bytes that all share. Where they are is known, so
//!   the block is written down without a search.
//!
//! Layout: the Parquet format's `Encodings.md` and `parquet.thrift`, data pages of version 1.

use super::spliced::Spliced;
use noroshi_model::Addr;
use noroshi_model::columns::{Column, Type};
use noroshi_model::packet::{Has, Packet, PacketBatch, Rare};
use parquet::basic::{Compression, Encoding};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;

/// Rows of a page: what all columns gather for one page fits a core's second-level cache.
const PAGE_ROWS: usize = 1 << 13;
/// Rows of a chunk from which on a dictionary of sixteen bits is worth its quarter of a mebibyte.
pub const DICTIONARY_ROWS_MIN: usize = 1 << 16;

/// Values of a page that are waiting, one list in use.
#[derive(Default)]
struct Values {
    numbers: Vec<u32>,
    times: Vec<i64>,
    addresses: Vec<Addr>,
}

impl Values {
    fn clear(&mut self) {
        self.numbers.clear();
        self.times.clear();
        self.addresses.clear();
    }
}

/// One column of one row group, while it is made.
pub struct Chunk {
    column: &'static Column,
    descriptor: ColumnDescPtr,
    /// Bits of a place in the dictionary; none for columns of random numbers and for small chunks.
    index_bits: Option<u32>,
    rows: usize,
    values: Values,
    present: Presence,
    pages: Vec<u8>,
    body: Vec<u8>,
    packed: Vec<u8>,
    total_rows: u64,
    nulls: u64,
    /// Bytes that compression took away.
    saved: i64,
    index_max: Option<u32>,
    plain: bool,
    range: Option<(i64, i64)>,
}

/// Which rows have a value.
#[derive(Default)]
struct Presence {
    words: Vec<u64>,
    bits: usize,
}

impl Presence {
    #[inline]
    fn push(&mut self, mask: u64, rows: usize) {
        let shift = self.bits % 64;
        match self.words.last_mut() {
            Some(last) if shift > 0 => {
                *last |= mask << shift;
                if shift + rows > 64 {
                    self.words.push(mask >> (64 - shift));
                }
            }
            _ => self.words.push(mask),
        }
        self.bits += rows;
    }

    fn clear(&mut self) {
        self.words.clear();
        self.bits = 0;
    }

    fn ones(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Definition levels: the length in four bytes, then one run, or all bits.
    fn write(&self, ones: usize, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; 4]);
        if ones == 0 || ones == self.bits {
            varint((self.bits as u64) << 1, out);
            out.push(u8::from(ones > 0));
        } else {
            let bytes = self.bits.div_ceil(8);
            varint((bytes as u64) << 1 | 1, out);
            out.extend(self.words.iter().flat_map(|word| word.to_le_bytes()).take(bytes));
        }
        let length = (out.len() - start - 4) as u32;
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }
}

impl Chunk {
    /// Whether columns of that kind are made here.
    pub fn takes(column: &Column) -> bool {
        matches!(column.kind, Type::Time | Type::Address | Type::U8 | Type::U16 | Type::U32)
    }

    /// A chunk that will have at least so many rows, and memory for its pages.
    pub fn new(column: &'static Column, descriptor: ColumnDescPtr, rows: usize, memory: Vec<u8>) -> Self {
        let index_bits = match (column.kind, column.name) {
            _ if rows < DICTIONARY_ROWS_MIN => None,
            (_, "seq" | "ack") => None,
            (Type::U8, _) => Some(8),
            (Type::U16 | Type::U32, _) => Some(16),
            _ => None,
        };
        Chunk {
            column,
            descriptor,
            index_bits,
            rows: 0,
            values: Values::default(),
            present: Presence::default(),
            pages: memory,
            body: Vec::new(),
            packed: Vec::new(),
            total_rows: 0,
            nulls: 0,
            saved: 0,
            index_max: None,
            plain: false,
            range: None,
        }
    }

    /// Adds rows of a batch.
    pub fn add(&mut self, batch: &PacketBatch, mut rows: &[Packet]) {
        while !rows.is_empty() {
            let (now, later) = rows.split_at(rows.len().min(PAGE_ROWS - self.rows));
            self.gather(batch, now);
            self.rows += now.len();
            if self.rows == PAGE_ROWS {
                self.flush();
            }
            rows = later;
        }
    }

    fn gather(&mut self, batch: &PacketBatch, rows: &[Packet]) {
        match self.column.name {
            "ts" => {
                let times = &mut self.values.times;
                gather(rows, &mut self.present, times, Has::TIME, |row| row.ts.0);
            }
            "src" => gather(rows, &mut self.present, &mut self.values.addresses, Has::IP, |row| row.src),
            "dst" => gather(rows, &mut self.present, &mut self.values.addresses, Has::IP, |row| row.dst),
            "family" => self.numbers(rows, Has::IP, |row| row.src.family().into()),
            "proto" => self.numbers(rows, Has::IP, |row| row.proto.into()),
            "sport" => self.numbers(rows, Has::PORTS, |row| row.sport.into()),
            "dport" => self.numbers(rows, Has::PORTS, |row| row.dport.into()),
            "tcp_flags" => self.numbers(rows, Has::TCP, |row| row.tcp_flags.into()),
            "seq" => self.numbers(rows, Has::TCP, |row| row.seq),
            "ack" => self.numbers(rows, Has::TCP, |row| row.ack),
            "window" => self.numbers(rows, Has::TCP, |row| row.window.into()),
            "mss" => self.numbers(rows, Has::MSS, |row| row.mss.into()),
            "icmp_type" => self.numbers(rows, Has::ICMP, |row| row.icmp_type.into()),
            "icmp_code" => self.numbers(rows, Has::ICMP, |row| row.icmp_code.into()),
            "ttl" => self.numbers(rows, Has::IP, |row| row.ttl.into()),
            "ip_id" => self.numbers(rows, Has::IP_ID, |row| row.ip_id.into()),
            "dscp" => self.numbers(rows, Has::IP, |row| row.dscp.into()),
            "payload_len" => self.numbers(rows, Has::IP, |row| row.payload_len),
            "wire_len" => self.values.numbers.extend(rows.iter().map(|row| row.wire_len)),
            "cap_len" => self.values.numbers.extend(rows.iter().map(|row| row.cap_len)),
            "tool_bits" => self.values.numbers.extend(rows.iter().map(|row| u32::from(row.tool_bits.0))),
            "evidence" => self.values.numbers.extend(rows.iter().map(|row| row.evidence as u32)),
            "oddities" => self.values.numbers.extend(rows.iter().map(|row| row.oddities.0)),
            name => self.rare(batch, rows, name),
        }
    }

    fn numbers(&mut self, rows: &[Packet], has: Has, value: impl Fn(&Packet) -> u32) {
        gather(rows, &mut self.present, &mut self.values.numbers, has, value);
    }

    fn rare(&mut self, batch: &PacketBatch, rows: &[Packet], name: &str) {
        let Chunk { present, values: Values { numbers, addresses, .. }, .. } = self;
        let ports = |rare: &Rare| rare.quoted.and_then(|quoted| quoted.ports);
        match name {
            "quoted_src" => gather_rare(batch, rows, present, addresses, |rare| rare.quoted.map(|quoted| quoted.src)),
            "quoted_dst" => gather_rare(batch, rows, present, addresses, |rare| rare.quoted.map(|quoted| quoted.dst)),
            "quoted_proto" => {
                gather_rare(batch, rows, present, numbers, |rare| rare.quoted.map(|quoted| quoted.proto.into()));
            }
            "quoted_sport" => gather_rare(batch, rows, present, numbers, |rare| ports(rare).map(|pair| pair.0.into())),
            "quoted_dport" => gather_rare(batch, rows, present, numbers, |rare| ports(rare).map(|pair| pair.1.into())),
            "vlan" => gather_rare(batch, rows, present, numbers, |rare| rare.vlan.map(u32::from)),
            "inner_src" => gather_rare(batch, rows, present, addresses, |rare| rare.inner.map(|inner| inner.0)),
            "inner_dst" => gather_rare(batch, rows, present, addresses, |rare| rare.inner.map(|inner| inner.1)),
            other => unreachable!("column {other} is not made here"),
        }
    }

    /// Ends a page.
    fn flush(&mut self) {
        if self.rows == 0 {
            return;
        }
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        if self.column.nullable {
            let ones = self.present.ones();
            self.present.write(ones, &mut body);
            self.nulls += (self.rows - ones) as u64;
        }
        let encoding = self.write_values(&mut body);
        self.plain |= encoding == Encoding::PLAIN;
        let length = body.len();
        let written = if self.compression() == Compression::LZ4_RAW {
            let v4 = self.values.addresses.iter().all(|addr| addr.is_v4());
            compress(&body, if v4 { self.values.addresses.len() } else { 0 }, &mut self.packed);
            &self.packed
        } else {
            &body
        };
        header(0, length, written.len(), (self.rows, encoding), &mut self.pages);
        self.saved += length as i64 - written.len() as i64;
        self.pages.extend_from_slice(written);
        self.body = body;
        self.total_rows += self.rows as u64;
        self.rows = 0;
        self.values.clear();
        self.present.clear();
    }

    fn compression(&self) -> Compression {
        if self.column.kind == Type::Address { Compression::LZ4_RAW } else { Compression::UNCOMPRESSED }
    }

    fn write_values(&mut self, body: &mut Vec<u8>) -> Encoding {
        let Values { numbers, times, addresses } = &self.values;
        if let Some((low, high)) = range_of(times) {
            let (min, max) = self.range.unwrap_or((low, high));
            self.range = Some((min.min(low), max.max(high)));
            differences(times, body);
            return Encoding::DELTA_BINARY_PACKED;
        }
        if !addresses.is_empty() {
            addresses.iter().for_each(|addr| body.extend_from_slice(&addr.bytes()));
            return Encoding::PLAIN;
        }
        if let (Some(bits), Some((min, max))) = (self.index_bits, range_of(numbers))
            && max >> bits == 0
        {
            self.index_max = self.index_max.max(Some(max));
            places(numbers, bits, min == max, body);
            return Encoding::RLE_DICTIONARY;
        }
        plain(numbers, body);
        Encoding::PLAIN
    }

    /// The chunk's bytes and what the file's footer says of it.
    pub fn close(mut self) -> Result<(Spliced, ColumnCloseResult), ParquetError> {
        self.flush();
        let mut dictionary = Vec::new();
        let mut encodings = vec![Encoding::RLE];
        if let Some(max) = self.index_max {
            let numbers: Vec<u32> = (0..=max).collect();
            header(2, numbers.len() * 4, numbers.len() * 4, (numbers.len(), Encoding::PLAIN), &mut dictionary);
            plain(&numbers, &mut dictionary);
            encodings.extend([Encoding::PLAIN, Encoding::RLE_DICTIONARY]);
        } else if self.plain {
            encodings.push(Encoding::PLAIN);
        }
        if self.range.is_some() {
            encodings.push(Encoding::DELTA_BINARY_PACKED);
        }
        let pages_at = dictionary.len() as i64;
        let compression = self.compression();
        let length = pages_at + self.pages.len() as i64;
        let mut metadata = ColumnChunkMetaData::builder(self.descriptor)
            .set_encodings(encodings)
            .set_compression(compression)
            .set_num_values(self.total_rows as i64)
            .set_total_compressed_size(length)
            .set_total_uncompressed_size(length + self.saved)
            .set_data_page_offset(pages_at)
            .set_dictionary_page_offset((pages_at > 0).then_some(0));
        if let Some((min, max)) = self.range {
            metadata = metadata.set_statistics(Statistics::int64(Some(min), Some(max), None, Some(self.nulls), false));
        }
        let close = ColumnCloseResult {
            bytes_written: length as u64,
            rows_written: self.total_rows,
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        Ok((Spliced { dictionary: dictionary.into(), pages: self.pages.into() }, close))
    }
}

/// Values of the rows that have one, without a branch on whether they do.
#[inline]
fn gather<T: Copy + Default>(
    rows: &[Packet],
    present: &mut Presence,
    values: &mut Vec<T>,
    has: Has,
    value: impl Fn(&Packet) -> T,
) {
    let mut at = values.len();
    values.resize(at + rows.len(), T::default());
    for rows in rows.chunks(64) {
        let mut mask = 0u64;
        for (i, row) in rows.iter().enumerate() {
            let there = row.has.has(has);
            values[at] = value(row);
            at += usize::from(there);
            mask |= u64::from(there) << i;
        }
        present.push(mask, rows.len());
    }
    values.truncate(at);
}

fn gather_rare<T>(
    batch: &PacketBatch,
    rows: &[Packet],
    present: &mut Presence,
    values: &mut Vec<T>,
    value: impl Fn(&Rare) -> Option<T>,
) {
    for rows in rows.chunks(64) {
        let mut mask = 0u64;
        if !batch.rare.is_empty() {
            for (i, row) in rows.iter().enumerate() {
                let found = batch.rare(row).and_then(&value);
                mask |= u64::from(found.is_some()) << i;
                values.extend(found);
            }
        }
        present.push(mask, rows.len());
    }
}

fn range_of<T: Copy + Ord>(values: &[T]) -> Option<(T, T)> {
    let first = *values.first()?;
    Some(values.iter().fold((first, first), |(min, max), value| (min.min(*value), max.max(*value))))
}

fn plain(numbers: &[u32], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + numbers.len() * 4, 0);
    for (slot, number) in out[start..].chunks_exact_mut(4).zip(numbers) {
        slot.copy_from_slice(&number.to_le_bytes());
    }
}

/// Places in the dictionary: their width, then one run, or all of them packed in groups of eight.
fn places(numbers: &[u32], bits: u32, same: bool, out: &mut Vec<u8>) {
    out.push(bits as u8);
    let width = bits as usize / 8;
    if same {
        varint((numbers.len() as u64) << 1, out);
        out.extend_from_slice(&numbers[0].to_le_bytes()[..width]);
        return;
    }
    let groups = numbers.len().div_ceil(8);
    varint((groups as u64) << 1 | 1, out);
    let start = out.len();
    out.resize(start + groups * 8 * width, 0);
    if width == 1 {
        for (slot, number) in out[start..].iter_mut().zip(numbers) {
            *slot = *number as u8;
        }
    } else {
        for (slot, number) in out[start..].chunks_exact_mut(2).zip(numbers) {
            slot.copy_from_slice(&(*number as u16).to_le_bytes());
        }
    }
}

/// Bytes of an address, and of those the ones that all IPv4 addresses share.
const ADDRESS: usize = 16;
const SHARED: usize = 12;
/// Of LZ4: a reference to the address before; what stands before four plain bytes and a reference of twelve.
const REFERENCE: [u8; 2] = (ADDRESS as u16).to_le_bytes();
const TOKEN: u8 = ((ADDRESS - SHARED) << 4 | (SHARED - 4)) as u8;

/// An LZ4 block of a body that ends with so many IPv4 addresses: the first as it is, of each other one its last four
/// bytes behind a reference to the address before. The format wants at least five plain bytes at the end.
fn compress(body: &[u8], addresses: usize, out: &mut Vec<u8>) {
    out.clear();
    if addresses < 4 {
        literals(body, 0, out);
        return;
    }
    let (head, rest) = body.split_at(body.len() - (addresses - 1) * ADDRESS);
    let (last, middle) = (&rest[rest.len() - ADDRESS..], &rest[..rest.len() - ADDRESS]);
    let (before_last, middle) = (&middle[middle.len() - ADDRESS..], &middle[..middle.len() - ADDRESS]);
    literals(head, SHARED, out);
    out.extend_from_slice(&REFERENCE);
    for own in middle.chunks_exact(ADDRESS).map(|address| &address[SHARED..]) {
        out.extend_from_slice(&[TOKEN, own[0], own[1], own[2], own[3], REFERENCE[0], REFERENCE[1]]);
    }
    literals(&before_last[SHARED..], SHARED - 1, out);
    out.extend_from_slice(&REFERENCE);
    literals(&last[SHARED - 1..], 0, out);
}

/// Begins an LZ4 sequence: plain bytes, before a reference of `length` bytes (4 to 18), or at the end (0).
#[inline]
fn literals(bytes: &[u8], length: usize, out: &mut Vec<u8>) {
    out.push((bytes.len().min(15) << 4 | length.saturating_sub(4)) as u8);
    if bytes.len() >= 15 {
        let more = bytes.len() - 15;
        out.resize(out.len() + more / 255, 255);
        out.push((more % 255) as u8);
    }
    out.extend_from_slice(bytes);
}

const BLOCK: usize = 128;
const MINIBLOCK: usize = 32;

/// `DELTA_BINARY_PACKED`: blocks of 128 differences over their least, in four parts with a width of their own.
fn differences(values: &[i64], out: &mut Vec<u8>) {
    varint(BLOCK as u64, out);
    varint((BLOCK / MINIBLOCK) as u64, out);
    varint(values.len() as u64, out);
    zigzag(values[0], out);
    let mut previous = values[0];
    for block in values[1..].chunks(BLOCK) {
        let mut deltas = [0u64; BLOCK];
        for (delta, value) in deltas.iter_mut().zip(block) {
            *delta = value.wrapping_sub(std::mem::replace(&mut previous, *value)) as u64;
        }
        let deltas = &mut deltas[..];
        let least = deltas[..block.len()].iter().map(|delta| *delta as i64).min().unwrap_or(0);
        zigzag(least, out);
        deltas[..block.len()].iter_mut().for_each(|delta| *delta = delta.wrapping_sub(least as u64));
        let width = |part: &[u64]| 64 - part.iter().fold(0, |all, delta| all | delta).leading_zeros();
        out.extend(deltas.chunks(MINIBLOCK).map(|part| width(part) as u8));
        deltas.chunks(MINIBLOCK).for_each(|part| pack(part, width(part), out));
    }
}

/// Thirty-two numbers of so many bits, the lowest bits first.
fn pack(numbers: &[u64], width: u32, out: &mut Vec<u8>) {
    let (mut held, mut bits) = (0u128, 0);
    for number in numbers {
        held |= u128::from(*number) << bits;
        bits += width;
        if bits >= 64 {
            out.extend_from_slice(&(held as u64).to_le_bytes());
            held >>= 64;
            bits -= 64;
        }
    }
    out.extend_from_slice(&(held as u64).to_le_bytes()[..bits as usize / 8]);
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn zigzag(number: i64, out: &mut Vec<u8>) {
    varint((number << 1 ^ number >> 63) as u64, out);
}

/// A page header in Thrift's compact protocol: `page` 0 is a data page, 2 a dictionary.
fn header(page: i64, length: usize, compressed: usize, (count, encoding): (usize, Encoding), out: &mut Vec<u8>) {
    // A field is its distance from the one before and its type: 5 a number, 12 a structure.
    let number = |distance: u8, number: i64, out: &mut Vec<u8>| {
        out.push(distance << 4 | 5);
        zigzag(number, out);
    };
    number(1, page, out);
    number(1, length as i64, out);
    number(1, compressed as i64, out);
    // Field 5 describes a data page, field 7 a dictionary.
    out.push(if page == 0 { 2 } else { 4 } << 4 | 12);
    number(1, count as i64, out);
    number(1, encoding as i64, out);
    if page == 0 {
        // Definition and repetition levels.
        number(1, Encoding::RLE as i64, out);
        number(1, Encoding::RLE as i64, out);
    }
    out.extend([0, 0]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use noroshi_model::Nanos;
    use noroshi_model::columns::{PACKETS, schema_of};
    use noroshi_model::packet::Quoted;
    use noroshi_model::rows::record_batch;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
    use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use std::sync::Arc;

    /// Rows that hold what is awkward: gaps, extremes, runs, both families, and more than one page.
    fn awkward(rows: usize) -> PacketBatch {
        let mut batch = PacketBatch::default();
        let mut state = 7u64;
        for i in 0..rows {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let random = state >> 16;
            let mut row = Packet::BLANK;
            for (bit, has) in
                [Has::TIME, Has::IP, Has::PORTS, Has::TCP, Has::MSS, Has::ICMP, Has::IP_ID].into_iter().enumerate()
            {
                // Some pages have a value in every row, some in none, most in some.
                if i / PAGE_ROWS % 4 == 1 || i / PAGE_ROWS % 4 != 2 && random >> bit & 3 != 0 {
                    row.has.set(has);
                }
            }
            row.ts = Nanos(if random & 0xfff == 5 { i64::MIN } else { i as i64 * 1_000 + (random & 0xffff) as i64 });
            (row.src, row.dst) = (Addr::v4(random as u32), Addr::v4(0xc612_0000 | random as u32 >> 16));
            if i / PAGE_ROWS == 3 && random & 7 == 0 {
                row.src = Addr(u128::from(random) << 70 | 1);
            }
            (row.sport, row.dport, row.window) = (random as u16, (random >> 9) as u16 & 0x3ff, 1_024);
            (row.seq, row.ack, row.ip_id, row.mss) = (random as u32, (random >> 3) as u32, (random >> 5) as u16, 1_460);
            (row.tcp_flags, row.ttl, row.proto) = (random as u8, (random >> 7) as u8, 6);
            row.wire_len = if i / PAGE_ROWS == 2 { u32::MAX - i as u32 } else { 60 + (random & 0xff) as u32 };
            (row.cap_len, row.payload_len) = (60, 70_000 * u32::from(i / PAGE_ROWS == 1));
            if random & 0x1f == 1 {
                row.rare = batch.rare.len() as u32;
                let ports = (random & 0x20 != 0).then_some((random as u16, 53));
                let quoted = Some(Quoted { src: row.dst, dst: row.src, proto: 17, ports });
                batch.rare.push(Rare { quoted, vlan: (random & 0x40 != 0).then_some(7), ..Rare::default() });
            }
            batch.rows.push(row);
        }
        batch
    }

    /// What a reader of the format, not ours, reads is what the general way writes.
    #[test]
    fn pages_are_read_back() {
        let columns: Vec<&'static Column> = PACKETS.iter().filter(|column| Chunk::takes(column)).collect();
        let schema = schema_of(columns.iter().copied());
        for rows in [0, 1, 7, 64, 65, 129, PAGE_ROWS, PAGE_ROWS * 4 + 33, DICTIONARY_ROWS_MIN + 1] {
            let batch = awkward(rows);
            let parquet_schema = ArrowSchemaConverter::new().convert(&schema).unwrap();
            let mut properties = WriterProperties::builder().build();
            add_encoded_arrow_schema_to_metadata(&schema, &mut properties);
            let root = parquet_schema.root_schema_ptr();
            let mut file = SerializedFileWriter::new(Vec::new(), root, Arc::new(properties)).unwrap();
            let mut group = file.next_row_group().unwrap();
            for (at, column) in columns.iter().enumerate() {
                let mut chunk = Chunk::new(column, parquet_schema.column(at), rows, Vec::new());
                batch.rows.chunks(1_000).for_each(|piece| chunk.add(&batch, piece));
                let (bytes, close) = chunk.close().unwrap();
                group.append_column(&bytes, close).unwrap();
            }
            group.close().unwrap();
            let bytes: Bytes = file.into_inner().unwrap().into();
            let expected = record_batch(&batch, columns.iter().copied());
            let mut seen = 0;
            for read in ParquetRecordBatchReader::try_new(bytes, 5_000).unwrap() {
                let read = read.unwrap();
                let piece = expected.slice(seen, read.num_rows());
                for (i, column) in columns.iter().enumerate() {
                    assert!(read.column(i) == piece.column(i), "{} of {rows} rows from {seen}", column.name);
                }
                seen += read.num_rows();
            }
            assert_eq!(seen, rows);
        }
    }
}
