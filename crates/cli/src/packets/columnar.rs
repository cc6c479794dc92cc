//! Rows as a Parquet file.
//!
//! A row group is made by one worker from raw packets to encoded pages, batch by batch while they are in its core's
//! cache, and row groups are appended in the order of the input. Encodings are chosen per column by what darknet
//! traffic holds, see [`properties`].

use super::{Fill, Groups};
use crate::failure::Failure;
use crate::ordered::ordered;
use noroshi_model::columns::{Column, Type, schema_of};
use noroshi_model::rows::record_batch;
use noroshi_packet::capture::RawBatch;
use noroshi_packet::decode::decode;
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

/// Compression where there is any: runs vanish, random bytes cost next to nothing.
const FAST: Compression = Compression::LZ4_RAW;

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
    for raw in group {
        let batch = record_batch(&decode(raw, 0), columns.iter().copied());
        let schema = batch.schema();
        for ((field, array), writer) in schema.fields().iter().zip(batch.columns()).zip(&mut writers) {
            for leaf in compute_leaves(field, array)? {
                writer.write(&leaf)?;
            }
        }
    }
    writers.into_iter().map(|writer| writer.close()).collect()
}

/// How each column is encoded, by measurement on a day of darknet traffic (see `BENCHMARKS.md`).
///
/// A dictionary costs a hash per value and pays only for the few texts that repeat. Numbers that repeat or stay in a
/// small range are packed as differences, which needs no compression after it; numbers and addresses that are random
/// are written as they are. Statistics are kept where a reader can skip row groups by them.
fn properties(columns: &[&'static Column]) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by(concat!("noroshi ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::UNCOMPRESSED)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_dictionary_enabled(false);
    for column in columns {
        let path = || ColumnPath::from(column.name);
        properties = match (column.kind, column.name) {
            (Type::Time, _) => properties
                .set_column_encoding(path(), Encoding::DELTA_BINARY_PACKED)
                .set_column_statistics_enabled(path(), EnabledStatistics::Chunk),
            (Type::U8 | Type::U16 | Type::U32, "seq" | "ack" | "ip_id" | "sport") => {
                properties.set_column_encoding(path(), Encoding::PLAIN).set_column_compression(path(), FAST)
            }
            (Type::U8 | Type::U16 | Type::U32, _) => properties
                .set_column_encoding(path(), Encoding::DELTA_BINARY_PACKED)
                .set_column_compression(path(), FAST),
            (Type::Keyword, "tcp_options") => properties.set_column_dictionary_enabled(path(), true),
            (Type::Address | Type::Bytes | Type::Keyword, _) => {
                properties.set_column_encoding(path(), Encoding::PLAIN).set_column_compression(path(), FAST)
            }
            (Type::Bool, _) => properties.set_column_compression(path(), FAST),
            #[allow(unreachable_patterns)] // a type that table packets does not have is stored plainly
            _ => properties,
        };
    }
    properties.build()
}
