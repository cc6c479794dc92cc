//! Rows as a Parquet file.
//!
//! A row group is made by one worker from raw packets to encoded pages, batch by batch while they are in its core's
//! cache, and row groups are appended in the order of the input. Numbers, times and addresses are encoded by [`super::pages`],
//! what is left (texts, payloads, flags) by the general writer.

use super::pages::Chunk;
use super::{Fill, Groups};
use crate::failure::Failure;
use crate::ordered::ordered;
use bytes::Bytes;
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
use std::io::Write;
use std::sync::Arc;

/// Captured bytes or packets that make a row group: large enough that a reader opens few, small enough that two per
/// thread fit in memory.
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
    let mut rows = 0;
    ordered(
        threads,
        groups,
        |group| encode(group, columns, &parquet_schema, &factory),
        |encoded| -> Result<(), Failure> {
            let mut row_group = writer.next_row_group()?;
            for chunk in encoded? {
                match chunk {
                    Encoded::Ours(bytes, close) => row_group.append_column(&bytes, close)?,
                    Encoded::General(chunk) => chunk.append_to_row_group(&mut row_group)?,
                }
            }
            rows += row_group.close()?.num_rows() as u64;
            Ok(())
        },
    )?;
    writer.close()?;
    Ok(rows)
}

/// How a column of a row group is made.
enum Maker {
    Ours(Box<Chunk>),
    General(&'static Column, Box<ArrowColumnWriter>),
}

/// A column of a row group, made.
enum Encoded {
    Ours(Bytes, ColumnCloseResult),
    General(ArrowColumnChunk),
}

/// Rows that go through all columns in turn: they stay in the nearest cache.
const PIECE_ROWS: usize = 256;

fn encode(
    group: Vec<RawBatch>,
    columns: &[&'static Column],
    schema: &SchemaDescriptor,
    factory: &ArrowRowGroupWriterFactory,
) -> Result<Vec<Encoded>, ParquetError> {
    let rows = group.iter().map(|raw| raw.records.len()).sum();
    let writers = factory.create_column_writers(0)?;
    let mut makers: Vec<Maker> = columns
        .iter()
        .zip(writers)
        .enumerate()
        .map(|(at, (column, writer))| match Chunk::takes(column) {
            true => Maker::Ours(Box::new(Chunk::new(column, schema.column(at), rows))),
            false => Maker::General(column, Box::new(writer)),
        })
        .collect();
    let mut packets = PacketBatch::default();
    for raw in group {
        decode_into(raw, 0, &mut packets);
        for rows in packets.rows.chunks(PIECE_ROWS) {
            for maker in &mut makers {
                if let Maker::Ours(chunk) = maker {
                    chunk.add(&packets, rows);
                }
            }
        }
        for maker in &mut makers {
            let Maker::General(column, writer) = maker else { continue };
            let batch = record_batch(&packets, [*column]);
            for leaf in compute_leaves(batch.schema().field(0), batch.column(0))? {
                writer.write(&leaf)?;
            }
        }
    }
    let close = |maker| match maker {
        Maker::Ours(chunk) => chunk.close().map(|(bytes, close)| Encoded::Ours(bytes, close)),
        Maker::General(_, writer) => writer.close().map(Encoded::General),
    };
    makers.into_iter().map(close).collect()
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
