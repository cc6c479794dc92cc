//! The tables of the lake, one line each. To add a table of observations, declare its columns in `model`, give it a
//! schema id, and add it to [`all`]; a roll-up is a [`Grouping`].

use super::table::Encodings;
use super::types::{lake_schema, timestamp};
use crate::rollup::Grouping;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use deltalake::parquet::basic::Encoding::{DELTA_BINARY_PACKED, DELTA_LENGTH_BYTE_ARRAY};
use noroshi_model::columns::{Column, PACKETS};
use noroshi_model::request::REQUESTS;
use noroshi_model::session::SESSIONS;
use noroshi_model::stream::SchemaId;
use std::sync::Arc;

/// Where a table's rows come from.
#[derive(Clone, Copy)]
pub(crate) enum Feed {
    /// Journal rows of that schema, as they are.
    Base(SchemaId, &'static [Column]),
    /// What batches declared lost, and what the disk damaged.
    Gaps,
    /// Packets, counted per minute and key.
    Rollup(Grouping),
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
    pub stats_columns: &'static str,
    pub encodings: Encodings,
    /// Order of rows within a compacted file.
    pub order: &'static str,
}

const PACKET_ENCODINGS: Encodings = &[
    ("ts", DELTA_BINARY_PACKED),
    ("src", DELTA_LENGTH_BYTE_ARRAY),
    ("dst", DELTA_LENGTH_BYTE_ARRAY),
    ("sport", DELTA_BINARY_PACKED),
    ("seq", DELTA_BINARY_PACKED),
    ("ip_id", DELTA_BINARY_PACKED),
];

/// Every table, base tables first.
pub(crate) fn all() -> Vec<TableSpec> {
    let base = |name, id, columns, stats_columns, encodings, order| TableSpec {
        name,
        feed: Feed::Base(id, columns),
        schema: lake_schema(columns),
        partition: "hour",
        stats_columns,
        encodings,
        order,
    };
    let mut tables = vec![
        base("packets", SchemaId::PACKETS, PACKETS, "ts,sensor,proto,dport", PACKET_ENCODINGS, "proto, dport, src, ts"),
        base("sessions", SchemaId::SESSIONS, SESSIONS, "ts,sensor", &[], "ts"),
        base("requests", SchemaId::REQUESTS, REQUESTS, "ts,sensor", &[], "ts"),
        gaps(),
    ];
    tables.extend(Grouping::ALL.into_iter().map(rollup));
    tables
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
        stats_columns: "sensor",
        encodings: &[],
        order: "sensor, epoch, first_seq",
    }
}

pub(crate) fn rollup(grouping: Grouping) -> TableSpec {
    let mut fields = vec![Field::new("minute", timestamp(), true), Field::new("sensor", DataType::Utf8, false)];
    fields.extend(grouping.key_fields());
    fields.extend([
        Field::new("packets", DataType::Int64, false),
        Field::new("bytes", DataType::Int64, false),
        Field::new("sources", DataType::Binary, false),
        Field::new("destinations", DataType::Binary, false),
        Field::new("day", DataType::Utf8, false),
    ]);
    TableSpec {
        name: grouping.table(),
        feed: Feed::Rollup(grouping),
        schema: Arc::new(Schema::new(fields)),
        partition: "day",
        stats_columns: "minute,sensor",
        encodings: &[],
        order: "minute",
    }
}
