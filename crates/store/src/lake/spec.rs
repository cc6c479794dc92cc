//! The tables of the lake: those that `model` declares ([`noroshi_model::tables`]), the account of losses, the roll-ups.

use super::table::Encodings;
use super::types::{lake_schema, timestamp};
use crate::rollup::{Grouping, Span};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use deltalake::parquet::basic::Encoding::{DELTA_BINARY_PACKED, DELTA_BYTE_ARRAY, DELTA_LENGTH_BYTE_ARRAY};
use noroshi_model::tables::{TABLES, Table};
use std::sync::Arc;

/// Where a table's rows come from.
#[derive(Clone, Copy)]
pub(crate) enum Feed {
    /// Journal rows of that schema, as they are.
    Base(&'static Table),
    /// What batches declared lost, and what the disk damaged.
    Gaps,
    /// Packets, counted per key and minute, hour or day.
    Rollup(Grouping, Span),
}

/// One table.
#[derive(Clone)]
pub(crate) struct TableSpec {
    pub name: &'static str,
    pub feed: Feed,
    pub schema: SchemaRef,
    /// Partition column: text, made by us.
    pub partition: &'static str,
    /// Columns with min/max per file in the log, comma separated.
    pub stats_columns: String,
    pub encodings: Encodings,
    /// Order of rows within a compacted file.
    pub order: String,
    /// Bytes that it may occupy unless configured otherwise; `None` is kept for ever.
    pub keep_bytes: Option<u64>,
}

/// Bytes that a roll-up may occupy unless configured otherwise.
const ROLLUP_BYTES: u64 = 8 << 30;

const PACKET_ENCODINGS: Encodings = &[
    ("ts", DELTA_BINARY_PACKED),
    ("src", DELTA_LENGTH_BYTE_ARRAY),
    ("dst", DELTA_LENGTH_BYTE_ARRAY),
    ("sport", DELTA_BINARY_PACKED),
    ("seq", DELTA_BINARY_PACKED),
    ("ip_id", DELTA_BINARY_PACKED),
];

/// Keys are in order, so they begin as the one before; sets are all different.
const ROLLUP_ENCODINGS: Encodings = &[
    ("network", DELTA_BYTE_ARRAY),
    ("source", DELTA_BYTE_ARRAY),
    ("victim", DELTA_BYTE_ARRAY),
    ("sources", DELTA_LENGTH_BYTE_ARRAY),
    ("destinations", DELTA_LENGTH_BYTE_ARRAY),
    ("ports", DELTA_LENGTH_BYTE_ARRAY),
];

/// Roll-ups of earlier versions, as long as the packets themselves.
pub(crate) const RETIRED: [&str; 4] = ["minutes_networks", "hours_networks", "minutes_asns", "minutes_profiles"];

/// Every table, base tables first.
pub(crate) fn all() -> Vec<TableSpec> {
    let mut tables: Vec<TableSpec> = TABLES.iter().map(base).collect();
    tables.push(gaps());
    tables.extend(
        Grouping::ALL.into_iter().flat_map(|grouping| grouping.spans().iter().map(move |span| rollup(grouping, *span))),
    );
    tables
}

fn base(table: &'static Table) -> TableSpec {
    TableSpec {
        name: table.name,
        feed: Feed::Base(table),
        schema: lake_schema(table.columns),
        partition: "hour",
        stats_columns: table.narrowed_by.join(","),
        encodings: if table.name == "packets" { PACKET_ENCODINGS } else { &[] },
        order: quoted(table.order),
        keep_bytes: Some(table.keep_bytes),
    }
}

/// Names as SQL takes them, whatever words they are.
fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}

pub(super) fn gaps() -> TableSpec {
    let field = |name, kind| Field::new(name, kind, false);
    TableSpec {
        name: "gaps",
        feed: Feed::Gaps,
        schema: Arc::new(Schema::new(vec![
            field("sensor", DataType::Utf8),
            field("epoch", DataType::Utf8),
            field("first_seq", DataType::Int64),
            field("last_seq", DataType::Int64),
            field("count", DataType::Int64),
            field("reason", DataType::Utf8),
        ])),
        partition: "reason",
        stats_columns: "sensor".to_owned(),
        encodings: &[],
        order: quoted(&["sensor", "epoch", "first_seq"]),
        keep_bytes: None,
    }
}

pub(crate) fn rollup(grouping: Grouping, span: Span) -> TableSpec {
    let filed = grouping.filed(span);
    let mut fields = vec![Field::new(span.word(), timestamp(), true), Field::new("sensor", DataType::Utf8, false)];
    fields.extend(grouping.key_fields());
    fields.extend([
        Field::new("packets", DataType::Int64, false),
        Field::new("bytes", DataType::Int64, false),
        Field::new(grouping.set(), DataType::Binary, false),
        Field::new("destinations", DataType::Binary, false),
        Field::new(filed.partition(), DataType::Utf8, false),
    ]);
    TableSpec {
        name: grouping.table(span),
        feed: Feed::Rollup(grouping, span),
        schema: Arc::new(Schema::new(fields)),
        partition: filed.partition(),
        stats_columns: format!("{},sensor", span.word()),
        encodings: ROLLUP_ENCODINGS,
        order: quoted(&[span.word()]),
        keep_bytes: (filed != Span::Day).then_some(ROLLUP_BYTES),
    }
}
