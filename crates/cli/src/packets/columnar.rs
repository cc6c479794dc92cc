//! Rows as a Parquet file.
//!
//! A row group is made batch by batch, from raw packets to encoded pages while they are in a core's cache; several threads
//! share its columns, so that none has to wait until packets for a second row group have been read. What batches and pages
//! stood in is filled again: fresh memory costs the kernel more than to encode what goes there. Numbers, times and addresses are encoded by [`super::pages`],
//! what is left (texts, payloads, flags) by the general writer.

use super::pages::{Chunk, DICTIONARY_ROWS_MIN};
use super::spliced::Spliced;
use super::{Fill, Group, Groups, Shelf};
use crate::failure::Failure;
use noroshi_model::columns::{Column, schema_of};
use noroshi_model::packet::PacketBatch;
use noroshi_model::rows::record_batch;
use noroshi_packet::capture::RawBatch;
use noroshi_packet::decode::decode_into;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::add_encoded_arrow_schema_to_metadata;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::Compression;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnPath, SchemaDescriptor};
use rayon::prelude::*;
use std::io::Write;
use std::panic::resume_unwind;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Captured bytes or packets that make a row group: large enough that a reader opens few, small enough that two of
/// them, one made and one written, fit in memory.
pub const ROW_GROUP: Fill = Fill { bytes: 64 << 20, packets: 1 << 20 };

/// Writes all groups as one file; says how many rows it has.
pub fn write<W: Write + Send>(
    groups: &mut Groups,
    columns: &[&'static Column],
    threads: usize,
    out: W,
) -> Result<u64, Failure> {
    let schema = schema_of(columns.iter().copied());
    let mut properties = properties(columns);
    add_encoded_arrow_schema_to_metadata(&schema, &mut properties);
    let parquet_schema = ArrowSchemaConverter::new().convert(&schema)?;
    let mut writer = SerializedFileWriter::new(out, parquet_schema.root_schema_ptr(), Arc::new(properties))?;
    let factory = ArrowRowGroupWriterFactory::new(&writer, schema);
    let encoder = Encoder {
        columns,
        schema: &parquet_schema,
        factory: &factory,
        shelf: groups.shelf(),
        memory: columns.iter().map(|_| Mutex::default()).collect(),
    };
    let mut rows = 0;
    let mut append = |encoded: Vec<Encoded>| -> Result<(), Failure> {
        let mut row_group = writer.next_row_group()?;
        for (at, chunk) in encoded.into_iter().enumerate() {
            match chunk {
                Encoded::Ours(bytes, close) => {
                    row_group.append_column(&bytes, close)?;
                    encoder.give_back(at, bytes);
                }
                Encoded::General(chunk) => chunk.append_to_row_group(&mut row_group)?,
            }
        }
        rows += row_group.close()?.num_rows() as u64;
        Ok(())
    };
    if threads <= 1 {
        // Each batch is read when it is encoded, so that it still lies in the core's cache.
        loop {
            let mut group = groups.group().peekable();
            if group.peek().is_none() {
                break;
            }
            append(encoder.encode(group)?)?;
        }
    } else {
        in_parallel(&encoder, groups, threads, append)?;
    }
    writer.close()?;
    Ok(rows)
}

/// Makes row groups on several threads; one that is whole is written while the next is made.
fn in_parallel(
    encoder: &Encoder,
    groups: &mut Groups,
    threads: usize,
    append: impl FnMut(Vec<Encoded>) -> Result<(), Failure> + Send,
) -> Result<(), Failure> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|error| Failure::failed(format!("cannot start threads: {error}")))?;
    thread::scope(|scope| {
        let (give, take) = sync_channel(0);
        let writer = scope.spawn(|| take.into_iter().try_for_each(append));
        let made = pool.install(|| {
            while let Some(encoded) = encoder.encode_in_parallel(groups.group(), threads)? {
                // The writer has left: it says why.
                if give.send(encoded).is_err() {
                    break;
                }
            }
            Ok(())
        });
        drop(give);
        writer.join().unwrap_or_else(|panic| resume_unwind(panic)).and(made)
    })
}

/// How a column of a row group is made.
enum Maker {
    Ours(Box<Chunk>),
    General(&'static Column, Box<ArrowColumnWriter>),
}

impl Maker {
    fn close(self) -> Result<Encoded, ParquetError> {
        match self {
            Maker::Ours(chunk) => chunk.close().map(|(bytes, close)| Encoded::Ours(bytes, close)),
            Maker::General(_, writer) => writer.close().map(Encoded::General),
        }
    }
}

/// A column of a row group, made.
enum Encoded {
    Ours(Spliced, ColumnCloseResult),
    General(ArrowColumnChunk),
}

/// Rows that go through all columns in turn: they stay in the nearest cache.
const PIECE_ROWS: usize = 256;

/// Batches for each thread that are decoded, then encoded, together: they stay in the core's second cache.
const BATCHES_PER_THREAD: usize = 2;
/// Parts for each thread that columns are dealt into: more even the load, but each reads all rows.
const PARTS_PER_THREAD: usize = 3;

/// Makes row groups.
struct Encoder<'a> {
    columns: &'a [&'static Column],
    schema: &'a SchemaDescriptor,
    factory: &'a ArrowRowGroupWriterFactory,
    shelf: Shelf,
    /// Of each column, what pages that have been written stood in.
    memory: Vec<Mutex<Vec<Vec<u8>>>>,
}

impl Encoder<'_> {
    fn encode(&self, mut group: impl Iterator<Item = RawBatch>) -> Result<Vec<Encoded>, ParquetError> {
        // How columns are encoded depends on whether the group is large.
        let (mut head, mut rows) = (Vec::new(), 0);
        while rows < DICTIONARY_ROWS_MIN
            && let Some(raw) = group.next()
        {
            rows += raw.records.len();
            head.push(raw);
        }
        let mut makers = self.makers(rows)?;
        let mut packets = PacketBatch::default();
        for raw in head.into_iter().chain(group) {
            self.shelf.put(decode_into(raw, 0, &mut packets));
            add(&packets, &mut makers)?;
        }
        makers.into_iter().map(Maker::close).collect()
    }

    /// The same on the threads of the current pool, each of which makes some columns; `None` when no packet is left.
    fn encode_in_parallel(&self, mut group: Group, threads: usize) -> Result<Option<Vec<Encoded>>, ParquetError> {
        let (mut raw, mut rows) = (Vec::new(), 0);
        while rows < DICTIONARY_ROWS_MIN
            && let Some(batch) = group.next()
        {
            rows += batch.records.len();
            raw.push(batch);
        }
        if raw.is_empty() {
            return Ok(None);
        }
        let mut makers = self.makers(rows)?;
        let part = makers.len().div_ceil(threads * PARTS_PER_THREAD);
        let mut decoded: Vec<PacketBatch> = Vec::new();
        while !raw.is_empty() {
            decoded.resize_with(raw.len(), PacketBatch::default);
            raw.into_par_iter()
                .zip(&mut decoded)
                .for_each(|(raw, packets)| self.shelf.put(decode_into(raw, 0, packets)));
            let encoded;
            // The next packets are read meanwhile.
            (raw, encoded) = rayon::join(
                || group.by_ref().take(threads * BATCHES_PER_THREAD).collect(),
                || {
                    // Part by part, so that no thread is left with many of them at the end.
                    let parts = makers.par_chunks_mut(part).with_max_len(1);
                    parts.try_for_each(|makers| decoded.iter().try_for_each(|rows| add(rows, makers)))
                },
            );
            encoded?;
        }
        makers.into_par_iter().map(Maker::close).collect::<Result<_, _>>().map(Some)
    }

    /// What makes the columns of a group of at least so many rows.
    fn makers(&self, rows: usize) -> Result<Vec<Maker>, ParquetError> {
        let writers = self.factory.create_column_writers(0)?;
        let maker = |(at, (column, writer)): (usize, (&&'static Column, ArrowColumnWriter))| {
            if Chunk::takes(column) {
                let memory = self.memory_of(at).pop().unwrap_or_default();
                Maker::Ours(Box::new(Chunk::new(column, self.schema.column(at), rows, memory)))
            } else {
                Maker::General(column, Box::new(writer))
            }
        };
        Ok(self.columns.iter().zip(writers).enumerate().map(maker).collect())
    }

    fn memory_of(&self, column: usize) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.memory[column].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, column: usize, bytes: Spliced) {
        self.memory_of(column).push(bytes.into_memory());
    }
}

/// Adds the rows of a batch to all columns.
fn add(packets: &PacketBatch, makers: &mut [Maker]) -> Result<(), ParquetError> {
    for rows in packets.rows.chunks(PIECE_ROWS) {
        for maker in &mut *makers {
            if let Maker::Ours(chunk) = maker {
                chunk.add(packets, rows);
            }
        }
    }
    for maker in makers {
        let Maker::General(column, writer) = maker else { continue };
        let batch = record_batch(packets, [*column]);
        for leaf in compute_leaves(batch.schema().field(0), batch.column(0))? {
            writer.write(&leaf)?;
        }
    }
    Ok(())
}

/// How the general writer encodes its columns: a dictionary costs a hash per value and pays only for texts that repeat.
fn properties(columns: &[&'static Column]) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by(concat!("noroshi ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::LZ4_RAW)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_dictionary_enabled(false);
    if columns.iter().any(|column| column.name == "tcp_options") {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from("tcp_options"), true);
    }
    properties.build()
}
