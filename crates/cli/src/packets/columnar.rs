//! Rows as a Parquet file.
//!
//! A row group is made by one worker from raw packets to encoded pages, batch by batch while they are in its core's
//! cache, and row groups are appended in the order of the input. Encodings are chosen per column by what darknet
//! traffic holds, see [`properties`].

use super::{Fill, Groups};
use crate::failure::Failure;
use crate::ordered::ordered;
use noroshi_model::columns::{Column, Type, schema_of};
use noroshi_model::packet::PacketBatch;
use noroshi_model::rows::record_batch;
use noroshi_packet::capture::RawBatch;
use noroshi_packet::decode::decode_into;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::add_encoded_arrow_schema_to_metadata;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression, Encoding};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
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
        |group| encode(group, columns, &factory),
        |encoded| -> Result<(), Failure> {
            let mut row_group = writer.next_row_group()?;
            for chunk in encoded? {
                chunk.append_to_row_group(&mut row_group)?;
            }
            rows += row_group.close()?.num_rows() as u64;
            Ok(())
        },
    )?;
    writer.close()?;
    Ok(rows)
}

fn encode(
    group: Vec<RawBatch>,
    columns: &[&'static Column],
    factory: &ArrowRowGroupWriterFactory,
) -> Result<Vec<ArrowColumnChunk>, ParquetError> {
    let mut writers = factory.create_column_writers(0)?;
    let mut packets = PacketBatch::default();
    for raw in group {
        decode_into(raw, 0, &mut packets);
        let batch = record_batch(&packets, columns.iter().copied());
        let schema = batch.schema();
        for ((field, array), writer) in schema.fields().iter().zip(batch.columns()).zip(&mut writers) {
            for leaf in compute_leaves(field, array)? {
                writer.write(&leaf)?;
            }
        }
    }
    writers.into_iter().map(|writer| writer.close()).collect()
}

/// How each column is encoded, by measurement on a day of darknet traffic (CPU time and size of each column alone).
///
/// A dictionary costs a hash per value and pays only for the few texts that repeat. Numbers that repeat or stay in a
/// small range are packed as differences, which leaves a compressor nothing to do; random ones are written as they
/// are. Addresses share their first twelve bytes when they are IPv4: byte by byte they compress to the other four.
fn properties(columns: &[&'static Column]) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by(concat!("noroshi ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_dictionary_enabled(false);
    for column in columns {
        let path = || ColumnPath::from(column.name);
        let (encoding, compression) = match (column.kind, column.name) {
            (Type::U32, "seq" | "ack") | (Type::U16, "ip_id" | "sport") => (Encoding::PLAIN, Compression::UNCOMPRESSED),
            (Type::Time | Type::U8 | Type::U16 | Type::U32, _) => {
                (Encoding::DELTA_BINARY_PACKED, Compression::UNCOMPRESSED)
            }
            (Type::Address, _) => (Encoding::BYTE_STREAM_SPLIT, Compression::LZ4_RAW),
            _ => (Encoding::PLAIN, Compression::LZ4_RAW),
        };
        let statistics = if column.kind == Type::Time { EnabledStatistics::Chunk } else { EnabledStatistics::None };
        properties = properties
            .set_column_encoding(path(), encoding)
            .set_column_compression(path(), compression)
            .set_column_dictionary_enabled(path(), column.name == "tcp_options")
            .set_column_statistics_enabled(path(), statistics);
    }
    properties.build()
}
